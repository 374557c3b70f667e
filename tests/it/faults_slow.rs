//! Faults F28 to F31: callers that come slowly, do not read, or only sit there. What each costs is its own.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use rustix::process::{Pid, Resource, Rlimit};
use spandrel::wire::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::bystander::Bystander;
use crate::harness::frames::{self, DATA, END_HEADERS, Frames, HEADERS, frame, post};
use crate::harness::known_set::LABELS;
use crate::harness::{PATIENCE, Proxy, Start, Upstream, made};

const MIB: usize = 1 << 20;

/// A proxy with these settings of `receive`, and its upstream.
async fn with(receive: &str) -> (Proxy, Upstream) {
    let upstream = Upstream::start().await;
    let (proxy, endpoint) = (config(receive), upstream.endpoint());
    (Proxy::with(format!("{proxy}upstream: {endpoint}\n{LABELS}")).await, upstream)
}

fn config(receive: &str) -> String {
    format!(
        "receive: {{grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\", {receive}}}\n\
         admin: \"127.0.0.1:0\"\njoin: {{idle: 300ms}}\n"
    )
}

/// A head that announces a body of this many bytes.
fn head(length: usize) -> Vec<u8> {
    let path = Signal::Traces.http_path();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
    )
    .into()
}

fn body() -> Vec<u8> {
    made::request(made::trace(1, 3)).encode_to_vec()
}

/// Writes `piece` every 20 ms until the proxy closes the connection; what it said, and after how long.
async fn drip(address: SocketAddr, first: &[u8], piece: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = socket.into_split();
    let mut said = Vec::new();
    let dripping = async {
        let _ = to.write_all(first).await;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if to.write_all(piece).await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = dripping => {}
        // A reset is an end too.
        read = tokio::time::timeout(PATIENCE, from.read_to_end(&mut said)) => drop(read.expect("it is let go")),
    }
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[tokio::test]
async fn f31_a_head_that_drips_is_cut_off() {
    let (proxy, _upstream) = with("timeouts: {head: 400ms}").await;
    let bystander = Bystander::of(&proxy);
    let (said, took) = drip(proxy.http(), b"POST /v1/traces HTTP/1.1\r\nx: ", b"y").await;
    assert!(!said.contains(" 200 "), "{said}");
    // The limit, and two seconds in which what is in flight may end.
    assert!(took > Duration::from_millis(390) && took < Duration::from_secs(8), "{took:?}");
    bystander.assert_served().await;
}

#[tokio::test]
async fn f31_a_body_that_falls_silent_is_given_up() {
    let (proxy, _upstream) = with("timeouts: {body: 400ms}").await;
    let bystander = Bystander::of(&proxy);
    let first = [head(1000), vec![0; 10]].concat();
    let (said, took) = drip(proxy.http(), &first, b"").await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("too slowly"), "{said}");
    assert!(took > Duration::from_millis(390), "{took:?}");
    bystander.assert_served().await;
}

#[tokio::test]
async fn f31_a_body_that_drips_is_given_up_in_the_end() {
    let (proxy, _upstream) = with("timeouts: {request: 600ms}").await;
    let bystander = Bystander::of(&proxy);
    let (said, took) = drip(proxy.http(), &head(MIB), &[0]).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("too slowly"), "{said}");
    assert!(took > Duration::from_millis(590), "{took:?}");
    bystander.assert_served().await;
}

/// Over gRPC: the call is ended with a status, the connection's other calls go on.
#[tokio::test]
async fn f31_a_message_that_drips_in_data_frames_is_given_up() {
    let (proxy, _upstream) = with("timeouts: {request: 600ms}").await;
    let bystander = Bystander::of(&proxy);
    let mut peer = Frames::to(proxy.grpc()).await;
    let call = |id| frame(HEADERS, END_HEADERS, id, &post(Signal::Traces.grpc_path(), "application/grpc"));
    peer.write(&[call(1), frame(DATA, 0, 1, &[0, 0, 1, 0, 0])].concat()).await;
    let began = Instant::now();
    let dripping = async {
        let mut answered = None;
        while answered.is_none() {
            assert!(peer.write(&frame(DATA, 0, 1, &[0])).await, "the connection stays");
            let soon = tokio::time::timeout(Duration::from_millis(20), peer.next());
            answered = soon.await.ok().flatten().filter(|frame| frame.kind == HEADERS);
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it is given up");
    assert!(began.elapsed() > Duration::from_millis(590), "{:?}", began.elapsed());
    // The next call on the connection is read and answered.
    let message = body();
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    let framed = [&[0], &len[..], &message].concat();
    peer.write(&[call(3), frame(DATA, frames::END_STREAM, 3, &framed)].concat()).await;
    while peer.next().await.expect("the connection stays").stream != 3 {}
    bystander.assert_served().await;
}

/// Pipelined requests from one who reads no reply: its replies wait in the system's buffers, then it is not
/// read any more.
#[tokio::test]
async fn f28_a_client_that_never_reads_fills_its_own_buffers_only() {
    let (proxy, _upstream) = with("timeouts: {idle: 500ms}").await;
    Bystander::of(&proxy).assert_served().await;
    let before = proxy.resident();
    let bystander = Bystander::of(&proxy);
    let request = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let mut socket = TcpStream::connect(proxy.http()).await.unwrap();
    let stuffing = async { while socket.write_all(&request).await.is_ok() {} };
    // It is closed once nothing moves, or after a while of being stuck we go.
    let _ = tokio::time::timeout(Duration::from_secs(6), stuffing).await;
    let grown = proxy.resident_max().saturating_sub(before);
    assert!(grown < 16 * MIB, "{} MiB more resident", grown / MIB);
    bystander.assert_served().await;
    drop(socket);
    assert!(proxy.stop().await.success());
}

/// 10,000, or as many as this process may hold beside its other tests. Four kilobytes each.
#[tokio::test]
async fn f29_ten_thousand_idle_connections_take_forty_mebibytes() {
    let allowed = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    let count = usize::try_from(allowed).unwrap().saturating_sub(1000).min(10_000);
    let (proxy, _upstream) = with("max_connections: 20000").await;
    Bystander::of(&proxy).assert_served().await;
    let before = proxy.resident();
    let mut idle = Vec::with_capacity(count);
    for at in 0..count {
        let address = if at % 2 == 0 { proxy.grpc() } else { proxy.http() };
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let open = |metrics: &crate::harness::Metrics| metrics.sum("spandrel_receiver_connections", &[]) as usize;
    proxy.await_metrics("all of them open", |metrics| open(metrics) >= count).await;
    let each = proxy.resident_max().saturating_sub(before) / count;
    assert!(each <= 40 * MIB / 10_000, "{each} bytes for each of {count}");
    Bystander::of(&proxy).assert_served().await;
    drop(idle);
    proxy.await_metrics("all of them gone", |metrics| open(metrics) < 100).await;
}

/// 64 descriptors in all: some are kept back for the upstream and the admin port, so connections beyond
/// the rest are closed as they come, and everybody else is served.
#[tokio::test]
async fn f30_with_64_descriptors_some_are_kept_for_the_upstream() {
    let upstream = Upstream::start().await;
    let config = format!("{}upstream: {}\n{LABELS}", config(""), upstream.endpoint());
    let proxy =
        Proxy::start(Start { config, before: Some("ulimit -n 64;".into()), ..Start::default() }).await;
    let bystander = Bystander::of(&proxy);
    // It holds a connection of each kind from here on.
    proxy
        .await_metrics("somebody served", |metrics| metrics.sum("spandrel_receiver_connections", &[]) >= 2)
        .await;
    let mut greedy = Vec::new();
    for _ in 0..100 {
        greedy.push(TcpStream::connect(proxy.http()).await.unwrap());
    }
    proxy
        .await_metrics("connections refused", |metrics| {
            metrics.sum("spandrel_receiver_refused_connections_total", &[]) >= 60
        })
        .await;
    let served = bystander.assert_served().await;
    drop(greedy);
    upstream.await_spans(served.spans as usize).await;
    Bystander::of(&proxy).assert_served().await;
    assert!(proxy.stop().await.success());
}

/// No descriptors at all: the accept loops wait and say so, what is open goes on, and who waits is served
/// when there are some again.
#[tokio::test]
async fn f30_without_descriptors_the_accept_loops_back_off_and_recover() {
    let (proxy, upstream) = with("").await;
    let bystander = Bystander::of(&proxy);
    upstream.await_spans(30).await;
    let pid = Pid::from_raw(proxy.pid().try_into().unwrap());
    // It has raised its own as far as ours allows.
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let set = |current: Option<u64>| {
        rustix::process::prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).expect("it is our child")
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().count() as u64;
    set(Some(open));
    let mut waiting = TcpStream::connect(proxy.http()).await.unwrap();
    waiting.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    proxy.await_stderr("a word about it", |line| line.contains("can't accept connections")).await;
    set(maximum);
    let mut reply = [0; 12];
    tokio::time::timeout(PATIENCE, waiting.read_exact(&mut reply)).await.expect("it is served").unwrap();
    assert_eq!(&reply, b"HTTP/1.1 404");
    bystander.assert_served().await;
    let lines = proxy.stderr().matches("can't accept connections").count();
    assert!(lines < 40, "{lines} lines about it");
    assert!(proxy.stop().await.success());
}
