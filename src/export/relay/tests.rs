//! The relay against real sockets that keep, close, break off and fall silent.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{Empty, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::tests::settings;
use super::super::{Protocol, Settings};
use super::*;

/// The relay to a server on loopback, whose base has a path.
async fn relayed() -> (Arc<dyn Relay>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = Settings {
        protocol: Protocol::HttpProtobuf,
        base: Some(format!("http://127.0.0.1:{port}/base/").parse().unwrap()),
        lent: Some(HeaderValue::from_static("Basic ours")),
        ..settings(port)
    };
    (relay(&settings, &Arc::new(Meters::new())).unwrap().unwrap(), listener)
}

fn get(path: &str) -> Request<Streamed> {
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::builder().uri(path).body(empty).unwrap()
}

fn post(path: &str, body: &'static str) -> Request<Streamed> {
    let body = Full::new(bytes::Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    Request::builder().method(Method::POST).uri(path).body(body).unwrap()
}

/// Reads a request to the end of its head.
async fn heard(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut some = [0; 4096];
        let len = socket.read(&mut some).await.unwrap();
        assert_ne!(len, 0, "it ended with {text:?}");
        text += std::str::from_utf8(&some[..len]).unwrap();
    }
    text.to_ascii_lowercase()
}

async fn text(reply: Response<Streamed>) -> String {
    String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-own: 1\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\r\nok";

#[test]
fn what_belongs_to_a_connection_stays_with_it() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, X-Mine"),
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Bearer ours"),
        ("host", "spandrel:4318"),
        ("content-length", "3"),
        ("authorization", "Basic theirs"),
        ("x-yours", "1"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    leave_what_stays(&mut headers);
    let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["content-length", "authorization", "x-yours"]);
}

#[test]
fn a_path_is_about_the_last_part_of_it_that_is_known() {
    for (path, expect) in [
        ("/api/public/scores", "scores"),
        ("/api/platform/v1/organizations/o/projects/p/scores", "scores"),
        ("/api/platform/v1/projects", "projects"),
        ("/api/public/v2/prompts/scores-prompt", "prompts"),
        ("/api/public/ingestion", "ingestion"),
        ("/api/public/health", "other"),
        ("/", "other"),
    ] {
        assert_eq!(kind(path), expect, "{path}");
    }
}

#[tokio::test]
async fn a_request_is_handed_on_over_one_connection_with_what_is_lent() {
    let (relay, listener) = relayed().await;
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(heard(&mut socket).await);
            socket.write_all(OK).await.unwrap();
        }
        seen
    });
    let mut own = get("/api/public/projects?page=2");
    own.headers_mut().insert("authorization", HeaderValue::from_static("Basic theirs"));
    own.headers_mut().insert(HOPS, HeaderValue::from_static("2"));
    for (request, may_borrow) in [(own, true), (get("/api/public/x"), true), (get("/api/public/x"), false)] {
        let reply = relay.clone().forward(request, may_borrow).await.unwrap();
        assert_eq!(reply.headers()["x-own"], "1");
        assert_eq!((reply.headers().get("connection"), reply.headers().get("x-hop")), (None, None));
        assert_eq!(text(reply).await, "ok");
    }
    let seen = server.await.unwrap();
    assert!(seen[0].starts_with("get /base/api/public/projects?page=2 http/1.1\r\n"), "{}", seen[0]);
    assert!(
        seen[0].contains("authorization: basic theirs") && seen[0].contains("spandrel-hops: 3"),
        "{}",
        seen[0]
    );
    assert!(
        seen[1].contains("authorization: basic ours") && seen[1].contains("via: 1.1 spandrel"),
        "{}",
        seen[1]
    );
    assert!(!seen[2].contains("authorization"), "{}", seen[2]);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_rested_is_not_the_callers_trouble() {
    let (relay, listener) = relayed().await;
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            heard(&mut socket).await;
            socket.write_all(OK).await.unwrap();
        }
    });
    for request in [post("/api/public/scores", "{}"), get("/api/public/x")] {
        let reply = relay.clone().forward(request, false).await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(text(reply).await, "ok");
    }
    server.await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let (relay, listener) = relayed().await;
    drop(listener);
    let Err(Unreached::Unreachable(why)) = relay.forward(get("/api/public/x"), false).await else { panic!() };
    assert!(why.starts_with("http://127.0.0.1:") && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    let (relay, listener) = relayed().await;
    let answered = tokio::spawn(relay.forward(get("/api/public/x"), false));
    let (mut socket, _) = listener.accept().await.unwrap();
    heard(&mut socket).await;
    tokio::time::pause();
    assert_eq!(answered.await.unwrap().unwrap_err(), Unreached::Silent(REPLY_MAX));
}

#[tokio::test]
async fn only_so_many_are_on_their_way_and_each_ends_with_its_reply() {
    let (relay, listener) = relayed().await;
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        while open.len() < AT_ONCE_MAX {
            let (mut socket, _) = listener.accept().await.unwrap();
            heard(&mut socket).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await.unwrap();
            open.push(socket);
        }
        open
    });
    let mut replies = Vec::new();
    for _ in 0..AT_ONCE_MAX {
        replies.push(relay.clone().forward(get("/api/public/x"), false).await.unwrap());
    }
    let open = server.await.unwrap();
    let refused = relay.clone().forward(get("/api/public/x"), false).await;
    assert_eq!(refused.unwrap_err(), Unreached::Busy);
    // A reply nobody reads to its end makes room as well.
    drop(replies.pop());
    let next = relay.forward(get("/api/public/x"), false).await;
    assert!(
        matches!(next, Err(Unreached::Unreachable(_))),
        "there is nobody to reply, but there is room: {next:?}"
    );
    drop(open);
}
