//! OTLP/HTTP towards upstreams of every mood.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri, Version};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::grpc::open;
use super::server::{Server, http};
use super::{Compression, Exporter, Protocol, Settings, many_pieces, settings};
use crate::wire::Signal;
use crate::wire::reply::{Encoding, Partial, Status, status, success};

fn over_http(port: u16) -> Settings {
    Settings { protocol: Protocol::HttpProtobuf, ..settings(port) }
}

#[tokio::test]
async fn hc1_the_bytes_arrive_at_the_signals_path() {
    let upstream = Server::start(|_, _| http(200, &[], "")).await;
    let endpoint = Uri::try_from(format!("http://127.0.0.1:{}/base/", upstream.port)).unwrap();
    let headers = vec![(HeaderName::from_static("x-api-key"), HeaderValue::from_static("secret"))];
    let mut exporter = Exporter::start(Settings { endpoint, headers, ..over_http(0) });
    let body: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    exporter.offer(&body, 3);
    assert_eq!(exporter.finish().await, "delivered=3");
    let [seen] = &upstream.seen()[..] else { panic!("one request") };
    assert_eq!((seen.uri.to_string().as_str(), seen.version), ("/base/v1/traces", Version::HTTP_11));
    assert_eq!(seen.body, body);
    let header = |name| seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(header("content-length").as_deref(), Some("300000"));
    assert_eq!(header("host"), Some(format!("127.0.0.1:{}", upstream.port)));
    assert_eq!(header("x-api-key").as_deref(), Some("secret"));
    assert_eq!(header("content-encoding"), None);
}

#[tokio::test]
async fn hc1_batches_of_many_pieces_arrive_as_they_are_one_after_the_other_and_when_they_are_sent_again() {
    let upstream = Server::start(|n, _| http(if n % 3 == 0 { 503 } else { 200 }, &[], "")).await;
    let mut exporter = Exporter::start(Settings { parallel: 1, ..over_http(upstream.port) });
    let batches = [(200, 1), (3, 2), (700, 3), (120, 4)].map(|(count, byte)| many_pieces(count, byte));
    batches.iter().for_each(|batch| exporter.offer_sealed(Arc::default(), batch.clone(), 1));
    assert_eq!(exporter.finish().await, "delivered=4");
    let seen: Vec<Bytes> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    // The first and the fourth attempt failed.
    let expect = [0, 0, 1, 2, 2, 3].map(|nth: usize| batches[nth].to_bytes());
    assert!(seen == expect, "{:?}", seen.iter().map(Bytes::len).collect::<Vec<_>>());
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn hc1_compressed_bodies_open_at_the_far_end() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let upstream = Server::start(|_, _| http(200, &[], "")).await;
        let mut exporter = Exporter::start(Settings { compression, ..over_http(upstream.port) });
        exporter.offer(&[b'x'; 5000], 1);
        assert_eq!(exporter.finish().await, "delivered=1");
        let [seen] = &upstream.seen()[..] else { panic!("one request") };
        assert_eq!(seen.headers["content-encoding"], compression.name().unwrap());
        assert_eq!(open(compression, &seen.body), [b'x'; 5000]);
    }
}

#[tokio::test]
async fn hc6_a_connection_is_kept_for_the_next_call() {
    let upstream =
        Server::start(|n, _| if n % 3 == 1 { http(400, &[], "no") } else { http(200, &[], "") }).await;
    let mut exporter = Exporter::start(Settings { parallel: 1, ..over_http(upstream.port) });
    (0..30).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=20 refused.invalid=10");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn hc2_f15_every_status_is_repeated_or_refused_as_the_table_says() {
    for code in [
        300, 301, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504, 505,
        599,
    ] {
        let upstream = Server::start(move |n, _| match n {
            0 => http(code, &[("location", "http://127.0.0.1:1/")], "because"),
            _ => http(200, &[], ""),
        })
        .await;
        let mut exporter = Exporter::start(over_http(upstream.port));
        exporter.offer(b"same", 2);
        let ended = exporter.finish().await;
        let bodies: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
        if [429, 502, 503, 504].contains(&code) {
            assert_eq!(
                (ended.as_str(), &bodies[..]),
                ("delivered=2", &["same".into(), "same".into()][..]),
                "{code}"
            );
        } else {
            assert!(ended.starts_with("refused."), "{code}: {ended}");
            assert_eq!(bodies.len(), 1, "{code}");
        }
    }
}

#[tokio::test]
async fn hc3_f15_retry_after_is_a_minimum_and_nonsense_is_ignored() {
    for (value, least) in [("1", 1), ("0", 0), ("garbage", 0), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)] {
        let upstream =
            Server::start(
                move |n, _| {
                    if n == 0 { http(503, &[("retry-after", value)], "") } else { http(200, &[], "") }
                },
            )
            .await;
        let mut exporter = Exporter::start(over_http(upstream.port));
        let began = tokio::time::Instant::now();
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "delivered=1");
        let took = began.elapsed();
        let least = Duration::from_secs(least);
        assert!(took >= least && took < least + Duration::from_secs(1), "`{value}` took {took:?}");
    }
}

#[tokio::test]
async fn hc3_f15_an_absurd_retry_after_does_not_stop_the_upstream_for_ever() {
    for value in ["99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let upstream =
            Server::start(
                move |n, _| {
                    if n == 0 { http(503, &[("retry-after", value)], "") } else { http(200, &[], "") }
                },
            )
            .await;
        let mut settings = over_http(upstream.port);
        settings.retry.give_up = Duration::from_secs(1);
        let mut exporter = Exporter::start(settings);
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "delivered=1", "`{value}`");
    }
}

#[tokio::test]
async fn c03_hc8_partial_success_is_read_in_both_encodings() {
    let partial = Partial { rejected: 4, message: "too old".to_owned() };
    let proto = success(Signal::Traces, Encoding::Protobuf, Some(&partial));
    let json = success(Signal::Traces, Encoding::Json, Some(&partial));
    let cases = [
        ("application/x-protobuf", proto.clone(), "delivered=6 refused.partial_success=4"),
        ("Application/JSON; charset=utf-8", json, "delivered=6 refused.partial_success=4"),
        // No type we know: read as what was asked.
        ("text/plain", proto, "delivered=6 refused.partial_success=4"),
        // A 2xx that says nothing we understand is a 2xx.
        ("application/x-protobuf", "<html>".into(), "delivered=10"),
        ("application/json", "{".into(), "delivered=10"),
    ];
    for (kind, body, expect) in cases {
        let upstream = Server::start(move |_, _| http(200, &[("content-type", kind)], body.clone())).await;
        let mut exporter = Exporter::start(over_http(upstream.port));
        exporter.offer(b"x", 10);
        assert_eq!(exporter.finish().await, expect, "{kind}");
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[tokio::test]
async fn hc7_the_words_of_a_status_never_change_the_verdict() {
    // Code 14 in the body of a 400 is still a 400 (conformance HC7).
    let body = status(Encoding::Protobuf, &Status { code: 14, ..Status::default() });
    let upstream =
        Server::start(move |_, _| http(400, &[("content-type", "application/x-protobuf")], body.clone()))
            .await;
    let mut exporter = Exporter::start(over_http(upstream.port));
    exporter.offer(b"x", 1);
    assert_eq!(exporter.finish().await, "refused.invalid=1");
}

#[tokio::test]
async fn json_is_sent_as_json_and_its_reply_read_as_json() {
    let partial = Partial { rejected: 1, message: "one was bad".to_owned() };
    let reply = success(Signal::Traces, Encoding::Json, Some(&partial));
    let upstream = Server::start(move |_, _| http(200, &[], reply.clone())).await;
    let mut exporter = Exporter::start(Settings { protocol: Protocol::HttpJson, ..over_http(upstream.port) });
    let span =
        Span { name: "a span".to_owned(), trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans };
    exporter.offer(&request.encode_to_vec(), 2);
    assert_eq!(exporter.finish().await, "delivered=1 refused.partial_success=1");
    let [seen] = &upstream.seen()[..] else { panic!("one request") };
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&seen.body).unwrap(), request);
}
