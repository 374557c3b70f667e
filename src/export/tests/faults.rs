//! Upstreams that break, bomb, vanish and come back; and our own end.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Answer, Server, endless, grpc_frame, grpc_ok, http};
use super::{Exporter, Protocol, Retry, Settings, settings};

fn both(port: u16) -> [Settings; 2] {
    [settings(port), Settings { protocol: Protocol::HttpProtobuf, ..settings(port) }]
}

/// OK in the request's own protocol.
fn ok(seen: &super::server::Seen) -> Answer {
    if seen.headers["content-type"] == "application/grpc" { grpc_ok() } else { http(200, &[], "") }
}

#[tokio::test]
async fn hc4_a_cut_connection_brings_the_same_request_again() {
    for over in 0..2 {
        let upstream = Server::start(|n, seen| if n % 2 == 0 { Answer::Cut } else { ok(seen) }).await;
        let settings = both(upstream.port)[over].clone();
        let mut exporter = Exporter::start(Settings { parallel: 1, ..settings });
        (0..5u8).for_each(|n| exporter.offer(&[n; 100], 1));
        assert_eq!(exporter.finish().await, "delivered=5");
        let bodies: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
        assert_eq!(bodies.len(), 10);
        assert!(bodies.chunks(2).all(|pair| pair[0] == pair[1]));
    }
}

#[tokio::test]
async fn hc4_a_reply_that_breaks_off_brings_the_same_request_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = tokio::spawn(async move {
        let replies = [
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ];
        for reply in replies {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"the body") {
                assert!(socket.read_buf(&mut request).await.unwrap() > 0);
            }
            socket.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    let mut exporter = Exporter::start(both(port)[1].clone());
    exporter.offer(b"the body", 1);
    assert_eq!(exporter.finish().await, "delivered=1");
    upstream.await.unwrap();
}

#[tokio::test]
async fn f20_goaway_under_load_loses_nothing() {
    let upstream = Server::start(|_, seen| ok(seen)).await;
    upstream.say_goodbye_after(3);
    let mut exporter = Exporter::start(settings(upstream.port));
    (0..60).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=60");
    assert!(upstream.connections() >= 10, "{}", upstream.connections());
}

#[tokio::test]
async fn c02_f22_an_endless_reply_is_refused_at_the_bound() {
    for over in 0..2 {
        let upstream = Server::start(|_, seen| endless(seen.headers["content-type"].to_str().unwrap())).await;
        let mut exporter = Exporter::start(both(upstream.port)[over].clone());
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "refused.reply_too_large=1");
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[tokio::test]
async fn c02_f22_a_reply_that_inflates_without_end_is_refused_at_the_bound() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..64).for_each(|_| gzip.write_all(&[0; 1 << 20]).unwrap());
    let bomb: Bytes = gzip.finish().unwrap().into();
    assert!(bomb.len() < 1 << 20);
    let mut framed = vec![1];
    framed.extend_from_slice(&(bomb.len() as u32).to_be_bytes());
    framed.extend_from_slice(&bomb);
    let framed = Bytes::from(framed);
    let upstream = Server::start(move |_, seen| match seen.headers["content-type"] == "application/grpc" {
        true => grpc_frame(framed.clone(), &[("grpc-encoding", "gzip")], &[("grpc-status", "0")]),
        false => http(200, &[("content-encoding", "gzip")], bomb.clone()),
    })
    .await;
    for settings in both(upstream.port) {
        let mut exporter = Exporter::start(settings);
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "refused.reply_too_large=1");
    }
}

#[tokio::test]
async fn c02_a_failure_with_an_endless_body_is_judged_by_its_status() {
    let upstream = Server::start(|n, seen| match (n, endless("text/plain")) {
        (0, Answer::Reply(mut reply)) => {
            *reply.status_mut() = ::http::StatusCode::SERVICE_UNAVAILABLE;
            Answer::Reply(reply)
        }
        _ => ok(seen),
    })
    .await;
    let mut exporter = Exporter::start(both(upstream.port)[1].clone());
    exporter.offer(b"x", 1);
    assert_eq!(exporter.finish().await, "delivered=1");
}

#[tokio::test]
async fn f22_trailers_without_end_are_not_read_and_not_asked_for_again() {
    let long = "x".repeat(1 << 20);
    let upstream = Server::start(move |_, _| {
        grpc_frame(Bytes::new(), &[], &[("grpc-status", "0"), ("grpc-message", &long)])
    })
    .await;
    let mut exporter = Exporter::start(settings(upstream.port));
    exporter.offer(b"x", 1);
    assert_eq!(exporter.finish().await, "refused.reply_too_large=1");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn f11_an_upstream_that_comes_back_gets_everything() {
    for over in 0..2 {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let mut exporter = Exporter::start(both(port)[over].clone());
        (0..50).for_each(|_| exporter.offer(b"x", 2));
        while exporter.sends("connect") < 3 {
            tokio::task::yield_now().await;
        }
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let upstream = Server::on(listener, |_, seen| ok(seen));
        assert_eq!(exporter.finish().await, "delivered=100");
        assert_eq!(upstream.seen().len(), 50, "nothing is sent twice");
    }
}

#[tokio::test]
async fn c08_what_is_never_accepted_is_given_up_and_counted() {
    let upstream = Server::start(|_, _| http(503, &[], "")).await;
    for mut settings in both(upstream.port) {
        settings.retry.give_up = Duration::from_millis(300);
        let mut exporter = Exporter::start(settings);
        (0..4).for_each(|_| exporter.offer(b"x", 5));
        assert_eq!(exporter.finish().await, "lost.gave_up=20");
    }
}

#[tokio::test]
async fn a_silent_upstream_is_tried_again_after_the_timeout() {
    for over in 0..2 {
        let upstream = Server::start(|n, seen| if n == 0 { Answer::Silence } else { ok(seen) }).await;
        let settings = both(upstream.port)[over].clone();
        let mut exporter = Exporter::start(Settings { timeout: Duration::from_millis(100), ..settings });
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "delivered=1");
        assert_eq!(upstream.connections(), 2, "it may have been half open");
    }
}

#[tokio::test]
async fn c08_at_the_end_what_is_in_flight_and_waiting_is_counted() {
    let upstream = Server::start(|_, _| Answer::Silence).await;
    for settings in both(upstream.port) {
        let mut exporter = Exporter::start(settings);
        (0..20).for_each(|_| exporter.offer(b"x", 3));
        let before = upstream.seen().len();
        while upstream.seen().len() < before + 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(exporter.abort().await, "lost.shutdown=60");
    }
}

#[tokio::test]
async fn c01_a_batch_over_the_limit_is_not_sent() {
    let upstream = Server::start(|_, seen| ok(seen)).await;
    let mut exporter = Exporter::start(Settings { request_max: 100, ..settings(upstream.port) });
    exporter.offer(&[0; 101], 7);
    exporter.offer(&[0; 100], 1);
    assert_eq!(exporter.finish().await, "delivered=1 lost.too_large=7");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn c07_one_stuck_batch_does_not_stop_the_others() {
    let upstream =
        Server::start(|_, seen| if seen.body.ends_with(b"stuck") { http(429, &[], "") } else { ok(seen) })
            .await;
    let mut settings = settings(upstream.port);
    settings.retry = Retry { give_up: Duration::from_secs(2), ..settings.retry };
    settings.protocol = Protocol::HttpProtobuf;
    settings.parallel = 2;
    let mut exporter = Exporter::start(settings);
    exporter.offer(b"stuck", 1);
    (0..50).for_each(|_| exporter.offer(b"x", 1));
    let began = tokio::time::Instant::now();
    while exporter.sends("ok") < 50 {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(exporter.finish().await, "delivered=50 lost.gave_up=1");
}

#[tokio::test]
async fn settings_that_can_not_work_are_said_not_panicked() {
    let meters = std::sync::Arc::new(crate::telemetry::Meters::new());
    let inner =
        super::Inner { outbox: crate::queue::Outbox::new(1, 1), meters, clock: crate::model::Clock::new() };
    let bad = Settings { endpoint: ::http::Uri::from_static("/nowhere"), ..settings(1) };
    let error = super::start(bad, inner, Default::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "upstream `test`: endpoint `/nowhere`: it must begin with `http://` or `https://`"
    );
}
