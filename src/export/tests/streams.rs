//! HTTP/2 upstreams that turn calls away, say goodbye or fall silent, frame by frame.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Answer, Server, grpc_ok};
use super::{Exporter, Protocol, Settings, settings};
use crate::export::names::Resolver;

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn answer_ok(mut respond: SendResponse<Bytes>) {
    let reply = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(reply, false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).unwrap();
}

/// Reads a whole request, so that its sender sees nothing odd.
async fn read(mut body: h2::RecvStream) {
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
}

/// Waits longer than a test has patience for, unless a call goes again at once.
fn patient(port: u16) -> Settings {
    let mut settings = settings(port);
    settings.retry.initial = Duration::from_secs(30);
    settings.retry.max = Duration::from_secs(30);
    settings.retry.give_up = Duration::from_secs(120);
    settings
}

#[tokio::test]
async fn f20_a_refused_stream_goes_again_at_once_on_the_same_connection() {
    let (listener, port) = listen().await;
    let upstream = tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let mut calls = 0;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            calls += 1;
            if calls <= 3 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                tokio::spawn(read(request.into_body()));
                answer_ok(respond);
            }
        }
        calls
    });
    let mut exporter = Exporter::start(Settings { parallel: 1, ..patient(port) });
    exporter.offer(b"x", 3);
    assert_eq!(exporter.finish().await, "delivered=3");
    assert_eq!(upstream.await.unwrap(), 4);
}

/// Two connections take one call each, then say goodbye and look at no others; nobody waits for that.
#[tokio::test]
async fn f20_calls_above_a_goaways_last_stream_go_again_at_once() {
    const BATCHES: usize = 40;
    let (listener, port) = listen().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let upstream = tokio::spawn(async move {
        for number in 0.. {
            let Ok((socket, _)) = listener.accept().await else { return };
            let count = count.clone();
            tokio::spawn(async move {
                match number {
                    0 | 1 => answer_one_and_leave(socket, count).await,
                    _ => serve(socket, count).await,
                }
            });
        }
    });
    let mut exporter = Exporter::start(Settings { parallel: 8, ..patient(port) });
    (0..BATCHES).for_each(|_| exporter.offer(b"x", 1));
    let finished = tokio::time::timeout(Duration::from_secs(15), exporter.finish());
    assert_eq!(finished.await.expect("nobody waited for a backoff"), "delivered=40");
    assert_eq!(answered.load(Ordering::SeqCst), BATCHES, "nothing was answered twice");
    upstream.abort();
}

async fn serve(socket: TcpStream, answered: Arc<AtomicUsize>) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        answered.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(read(request.into_body()));
        answer_ok(respond);
    }
}

/// Frame by frame (RFC 9113, 4.1): answers stream 1; at the next one, GOAWAY with 1 as the last.
async fn answer_one_and_leave(mut socket: TcpStream, answered: Arc<AtomicUsize>) {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // HPACK (RFC 7541): `:status: 200` by its index, the rest as literals that are not indexed.
    let literal = |name: &str, value: &str| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let head = [vec![0x88], literal("content-type", "application/grpc")].concat();
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut said_goodbye = false;
    loop {
        let mut header = [0; 9];
        if socket.read_exact(&mut header).await.is_err() {
            return;
        }
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes(header[5..].try_into().unwrap());
        let mut payload = vec![0; len];
        socket.read_exact(&mut payload).await.unwrap();
        match (header[3], stream) {
            (SETTINGS, _) if header[4] == 0 => socket.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap(),
            (HEADERS, 1) => {
                answered.fetch_add(1, Ordering::SeqCst);
                socket.write_all(&frame(HEADERS, 4, 1, &head)).await.unwrap();
                let trailers = literal("grpc-status", "0");
                socket.write_all(&frame(HEADERS, 5, 1, &trailers)).await.unwrap();
            }
            (HEADERS, _) if !said_goodbye => {
                said_goodbye = true;
                socket.write_all(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).await.unwrap();
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn hc4_a_call_that_was_reset_alone_comes_again_and_its_neighbours_go_on() {
    let (listener, port) = listen().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let upstream = tokio::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else { return };
            count.fetch_add(1, Ordering::SeqCst);
            let mut connection = h2::server::handshake(socket).await.unwrap();
            tokio::spawn(async move {
                let mut calls = 0;
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    calls += 1;
                    if calls % 3 == 0 {
                        respond.send_reset(h2::Reason::INTERNAL_ERROR);
                    } else {
                        tokio::spawn(read(request.into_body()));
                        answer_ok(respond);
                    }
                }
            });
        }
    });
    let mut exporter = Exporter::start(Settings { parallel: 1, ..settings(port) });
    (0..20).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=20");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection was not at fault");
    upstream.abort();
}

/// A peer that is gone without a word: its kernel answers no pings. Found within 20 s though the call itself
/// may take ten minutes.
#[tokio::test(start_paused = true)]
async fn f12_a_silent_http2_peer_is_noticed_within_twenty_seconds() {
    let (listener, port) = listen().await;
    let upstream = tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        let mut first = [0; 24];
        silent.read_exact(&mut first).await.unwrap();
        let began = tokio::time::Instant::now();
        // The socket that fell silent is dropped only now, when another one came.
        let (socket, _) = listener.accept().await.unwrap();
        let noticed = began.elapsed();
        serve(socket, Arc::default()).await;
        noticed
    });
    let mut settings = settings(port);
    settings.timeout = Duration::from_secs(600);
    settings.retry.give_up = Duration::from_secs(3600);
    let mut exporter = Exporter::start(Settings { parallel: 1, ..settings });
    exporter.offer(b"x", 1);
    exporter.outbox.close();
    exporter.task.await.unwrap();
    let noticed = upstream.await.unwrap();
    assert!(noticed <= Duration::from_secs(21), "{noticed:?}");
}

/// One name, two upstreams: it moves from the one to the other while data flows.
#[tokio::test]
async fn f24_a_moved_name_is_followed_by_the_next_connection_and_nothing_is_lost() {
    let old = Server::start(|_, _| grpc_ok()).await;
    let new = Server::start(|_, _| grpc_ok()).await;
    let ports = [old.port, new.port];
    let moved = Arc::new(AtomicUsize::new(0));
    let now = moved.clone();
    let resolver = Resolver::new(move |_, _| {
        let port = ports[now.load(Ordering::SeqCst)];
        async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) }
    });
    let mut settings = Settings { parallel: 2, ..settings(1) };
    settings.endpoint = http::Uri::from_static("http://gateway.test:4317");
    let mut exporter = Exporter::start_with(settings, resolver);
    (0..10).for_each(|_| exporter.offer(b"x", 1));
    while old.seen().len() < 10 {
        tokio::task::yield_now().await;
    }
    moved.store(1, Ordering::SeqCst);
    // Twenty seconds pass between two calls.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(21)).await;
    tokio::time::resume();
    while new.seen().is_empty() {
        exporter.offer(b"x", 1);
        let before = exporter.offered;
        while exporter.sends("ok") < before {
            tokio::task::yield_now().await;
        }
    }
    let ended = exporter.finish().await;
    assert!(ended.starts_with("delivered=") && !ended.contains(' '), "{ended}");
    assert!(new.connections() <= 2 && old.connections() <= 2, "each line moved once");
}

/// A name server that is down or slow stops nobody but the calls to that upstream.
#[tokio::test]
async fn f24_a_name_nobody_knows_is_a_connection_that_fails_and_heals() {
    let upstream = Server::start(|_, _| grpc_ok()).await;
    let port = upstream.port;
    let asked = Arc::new(AtomicUsize::new(0));
    let resolver = Resolver::new(move |_, _| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0..=2 => Err("no such name".to_owned()),
                _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            }
        }
    });
    let endpoint = http::Uri::from_static("http://gateway.test:4317");
    let mut exporter = Exporter::start_with(Settings { endpoint, ..settings(1) }, resolver);
    exporter.offer(b"x", 5);
    let meters = exporter.meters.clone();
    assert_eq!(exporter.finish().await, "delivered=5");
    assert_eq!(meters.sends.with_label_values(&["traces", "test", "connect"]).get(), 3);
}

#[tokio::test]
async fn f14_a_flapping_upstream_gets_two_fifths_and_no_storm_of_attempts() {
    // A tenth of the real time scale: up for 100 ms, down for 100 ms; pauses of 100 ms to 500 ms.
    const BATCHES: u64 = 500;
    let began = tokio::time::Instant::now();
    let up = move || (began.elapsed().as_millis() / 100).is_multiple_of(2);
    let upstream = Server::start(move |_, _| if up() { grpc_ok() } else { Answer::Cut }).await;
    let mut settings = Settings { parallel: 4, ..settings(upstream.port) };
    settings.retry.initial = Duration::from_millis(100);
    settings.retry.max = Duration::from_millis(500);
    let mut exporter = Exporter::start(settings);
    let meters = exporter.meters.clone();
    let mut every = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..BATCHES {
        every.tick().await;
        exporter.offer(b"x", 1);
    }
    let in_time = meters.delivered_items.with_label_values(&["traces", "test"]).get();
    assert!(in_time >= BATCHES * 2 / 5, "{in_time} of {BATCHES} delivered while it flapped");
    assert_eq!(exporter.finish().await, format!("delivered={BATCHES}"));
    let attempts = upstream.seen().len() as u64;
    assert!(attempts <= BATCHES * 6 / 5, "{attempts} attempts for {BATCHES} batches");
}

/// One upstream reads a byte at a time and never answers; its senders are held, nobody else is, and no more
/// calls are in flight than may be.
#[tokio::test]
async fn f13_a_slow_upstream_holds_its_own_senders_and_no_more() {
    let (listener, port) = listen().await;
    let open = Arc::new(AtomicUsize::new(0));
    let count = open.clone();
    let slow = tokio::spawn(async move {
        let mut sockets = Vec::new();
        loop {
            sockets.push(listener.accept().await.unwrap());
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut settings_of_slow = Settings { protocol: Protocol::HttpProtobuf, parallel: 3, ..settings(port) };
    settings_of_slow.timeout = Duration::from_secs(60);
    let mut stuck = Exporter::start(settings_of_slow);
    let quick_upstream = Server::start(|_, _| grpc_ok()).await;
    let mut quick = Exporter::start(settings(quick_upstream.port));
    for _ in 0..50 {
        stuck.offer(&[0; 10_000], 1);
        quick.offer(&[0; 10_000], 1);
    }
    assert_eq!(quick.finish().await, "delivered=50");
    while open.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stuck.outbox.len(), 47, "three are held by senders, the others wait where they are counted");
    assert_eq!(open.load(Ordering::SeqCst), 3);
    assert_eq!(stuck.abort().await, "lost.shutdown=50");
    slow.abort();
}
