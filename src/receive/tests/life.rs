//! Listeners and connections: their birth, their limits, their end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::abuse::until;
use super::fixture::*;
use crate::model::Clock;
use crate::queue::{Budget, Lanes};
use crate::receive::{Age, Inner, Listen, Settings, bind, serve};
use crate::telemetry::Meters;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n";

fn settings(listen: Listen) -> Settings {
    Settings { listen: vec![listen], request_max: MIB, connections_max: 4, ..Settings::default() }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let edge = Edge::start().await;
    let error = bind(&settings(Listen::Tcp(edge.address()))).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("can't listen on {}: ", edge.address())), "{error}");
}

#[tokio::test]
async fn a_unix_socket_is_served_and_a_stale_file_replaced_but_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spandrel.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file of a listener that is gone");
    let settings = settings(Listen::Unix(path.clone()));
    let bound = bind(&settings).await.unwrap();
    let refused = bind(&settings).await.unwrap_err().to_string();
    assert!(refused.ends_with("another process listens on it: stop it, or choose another path"), "{refused}");

    let (lanes, _inboxes) = Lanes::new(1, 8);
    let meters = std::sync::Arc::new(Meters::new());
    let inner = Inner {
        lanes,
        budget: Budget::new(MIB),
        meters,
        clock: Clock::new(),
        relay: None,
        noting: Default::default(),
    };
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(bound, settings, inner, stop.clone()));
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(GET).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
    stop.cancel();
    served.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_counted() {
    let edge = Edge::with(With { connections: 1, ..With::default() }).await;
    let first = TcpStream::connect(edge.address()).await.unwrap();
    until(|| edge.count("spandrel_receiver_connections ") == 1).await;
    let mut second = TcpStream::connect(edge.address()).await.unwrap();
    assert_eq!(second.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert_eq!(edge.count("spandrel_receiver_refused_connections_total "), 1);
    drop(first);
    until(|| edge.count("spandrel_receiver_connections ") == 0).await;
    assert!(edge.raw(GET, "\r\n\r\n").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn stopping_lets_what_is_in_flight_finish() {
    let edge = Edge::start().await;
    let mut idle = TcpStream::connect(edge.address()).await.unwrap();
    let mut socket = TcpStream::connect(edge.address()).await.unwrap();
    let body = traces();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: edge\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    until(|| edge.budget.used() > 0).await;
    edge.stop.cancel();
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "nothing was in flight there");
    socket.write_all(&body).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
    assert_eq!(edge.taken().len(), 1);
    edge.served.await.unwrap();
    assert!(TcpStream::connect(edge.addresses[0]).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let edge = Edge::start().await;
    let mut socket = TcpStream::connect(edge.address()).await.unwrap();
    socket.write_all(b"POST /v1/tra").await.unwrap();
    until(|| edge.count("spandrel_receiver_connections ") == 1).await;
    edge.stop.cancel();
    tokio::time::timeout(Duration::from_secs(8), edge.served)
        .await
        .expect("the grace is two seconds")
        .unwrap();
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let edge = Edge::start().await;
    let head = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; MIB]].concat();
    let mut socket = TcpStream::connect(edge.address()).await.unwrap();
    // The edge may close before all is written.
    let _ = socket.write_all(&head).await;
    let mut reply = Vec::new();
    let _ = socket.read_to_end(&mut reply).await;
    assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&reply));
    assert!(edge.raw(GET, "\r\n\r\n").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn stopping_tells_http_2_to_go_away_and_answers_what_was_sent() {
    let edge = Edge::start().await;
    let mut sender = edge.http2().await;
    let (body, open) = super::abuse::endless();
    let mut slow = edge.http2_with(body).await;
    until(|| edge.budget.used() > 0).await;
    edge.stop.cancel();
    drop(open);
    let reply = Answer::of((&mut slow).await.unwrap()).await;
    assert_eq!(reply.status, 400, "two bytes are no request: {reply:?}");
    edge.served.await.unwrap();
    assert!(sender.ready().await.is_err(), "the connection is gone");
}

#[tokio::test]
async fn a_caller_that_waits_for_100_is_refused_without_it() {
    let edge = Edge::start().await;
    let head = b"POST /v1/traces HTTP/1.1\r\nhost: edge\r\ncontent-type: text/plain\r\n\
                 content-length: 1000\r\nexpect: 100-continue\r\n\r\n";
    let reply = edge.raw(head, "never").await;
    assert!(reply.starts_with("HTTP/1.1 415"), "{reply}");
    assert!(!reply.contains("100 Continue"), "{reply}");
}

fn aged(max: u64, grace: u64) -> With {
    let age = Some(Age { max: Duration::from_millis(max), grace: Duration::from_millis(grace) });
    With { settings: Settings { age, ..Settings::default() }, ..With::default() }
}

#[tokio::test]
async fn gs15_what_is_in_flight_at_a_connections_age_finishes_within_the_grace() {
    let edge = Edge::with(aged(50, 60_000)).await;
    let mut sender = edge.http2().await;
    let (body, open) = super::abuse::endless();
    let mut slow = edge.http2_with(body).await;
    until(|| edge.budget.used() > 0).await;
    // The other connection rests: when it has been told to go, so has the one that is busy, about.
    while sender.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(open);
    let reply = Answer::of((&mut slow).await.unwrap()).await;
    assert_eq!(reply.status, 400, "two bytes are no request: {reply:?}");
}

#[tokio::test]
async fn gs15_what_is_not_done_within_the_grace_is_cut_off() {
    let edge = Edge::with(aged(50, 100)).await;
    let (body, _open) = super::abuse::endless();
    let slow = edge.http2_with(body).await;
    let cut = tokio::time::timeout(Duration::from_secs(20), slow).await.expect("it is cut off");
    assert!(cut.is_err());
    until(|| edge.budget.used() == 0).await;
}
