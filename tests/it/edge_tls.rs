//! TLS and mutual TLS on the listeners, rotation included.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use prost::Message;
use spandrel::wire::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::authority::{Authority, shown};
use crate::harness::{PATIENCE, Proxy, made};

const HANDSHAKES: &str = "spandrel_receiver_failed_handshakes_total";
const RELOADS: &str = "spandrel_receiver_reloads_total";

async fn proxy(tls: &str) -> Proxy {
    let ports = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
    Proxy::with(format!("receive: {{{ports}, {tls}}}\nadmin: \"127.0.0.1:0\"\n")).await
}

/// Exports a trace over OTLP/gRPC; the status it ends with.
async fn grpc(sender: &mut SendRequest<Full<Bytes>>) -> String {
    let message = made::request(made::trace(1, 1)).encode_to_vec();
    let frame = [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), &message].concat();
    let request = Request::post(format!("https://localhost{}", Signal::Traces.grpc_path()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let reply = sender.send_request(request.body(Full::from(frame)).unwrap()).await.unwrap();
    let status = reply.headers().get("grpc-status").cloned();
    let trailers = reply.into_body().collect().await.unwrap().trailers().cloned();
    let status = status.or_else(|| trailers?.get("grpc-status").cloned());
    status.unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn tls_serves_grpc_and_http_of_either_version() {
    let authority = Authority::new();
    authority.issue("now");
    let proxy = proxy(&authority.settings("now", "")).await;
    for port in [proxy.grpc(), proxy.http()] {
        let mut sender = authority.http2(port, None).await;
        assert_eq!(grpc(&mut sender).await, "0");
        let request = Request::post("https://localhost/v1/logs").header("content-type", "application/json");
        let reply = sender.send_request(request.body(Full::from("{}")).unwrap()).await.unwrap();
        assert_eq!(reply.status(), 200);

        let mut socket = authority.connect(port, &["http/1.1"], None).await.unwrap();
        let request = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                       content-length: 2\r\nconnection: close\r\n\r\n{}";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    let mut clear = TcpStream::connect(proxy.http()).await.unwrap();
    clear.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    let _ = clear.read_to_end(&mut reply).await;
    assert!(!reply.starts_with(b"HTTP"), "answered in the clear");
    proxy.await_metrics("it to be counted", |m| m.sum(HANDSHAKES, &[("reason", "refused")]) == 1).await;
}

#[tokio::test]
async fn mutual_tls_takes_only_callers_its_authority_vouches_for() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("ours");
    authority.issue("caller");
    other.issue("stranger");
    let more = format!(", client_ca_file: {}", authority.file("ca.pem").display());
    let proxy = proxy(&authority.settings("ours", &more)).await;
    let mut known = authority.http2(proxy.grpc(), Some(authority.file("caller"))).await;
    assert_eq!(grpc(&mut known).await, "0");
    for own in [None, Some(other.file("stranger"))] {
        // In TLS 1.3 a caller learns that it was refused when it reads.
        let refused = async {
            let mut socket = authority.connect(proxy.grpc(), &["h2"], own).await?;
            socket.read_u8().await
        };
        assert!(refused.await.is_err());
    }
    proxy.await_metrics("both to be counted", |m| m.sum(HANDSHAKES, &[("reason", "refused")]) == 2).await;
}

#[tokio::test]
async fn a_certificate_rotates_and_no_connection_is_dropped_for_it() {
    let authority = Authority::new();
    authority.issue("first");
    authority.issue("second");
    authority.swap("mounted", "first");
    let proxy = proxy(&authority.settings("mounted", "")).await;
    let before = shown(&authority.connect(proxy.grpc(), &["h2"], None).await.unwrap());
    let mut open = authority.http2(proxy.grpc(), None).await;
    assert_eq!(grpc(&mut open).await, "0");

    authority.swap("mounted", "second");
    proxy.await_metrics("the second to be read", |m| m.sum(RELOADS, &[("outcome", "ok")]) == 1).await;
    let after = shown(&authority.connect(proxy.grpc(), &["h2"], None).await.unwrap());
    assert_ne!(before, after);
    assert_eq!(grpc(&mut open).await, "0", "the connection of before goes on");

    std::fs::write(authority.file("second").join("tls.crt"), "half a certif").unwrap();
    proxy.await_metrics("it to be refused", |m| m.sum(RELOADS, &[("outcome", "failed")]) == 1).await;
    let kept = shown(&authority.connect(proxy.grpc(), &["h2"], None).await.unwrap());
    assert_eq!(kept, after, "the last good one serves");
    let said = proxy.await_stderr("a word", |line| line.contains("keeping the last")).await;
    assert!(said.contains("receive.tls.cert_file") && said.contains("tls.crt"), "{said}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_given_up() {
    let authority = Authority::new();
    authority.issue("now");
    let proxy = proxy(&authority.settings("now", "")).await;
    let mut socket = TcpStream::connect(proxy.grpc()).await.unwrap();
    // The first bytes of a ClientHello, and no more.
    socket.write_all(&[0x16, 3, 1, 1]).await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, socket.read(&mut [0; 8])).await.expect("given up in time");
    assert_eq!(closed.unwrap_or(0), 0);
    proxy.await_metrics("it to be counted", |m| m.sum(HANDSHAKES, &[("reason", "slow")]) == 1).await;
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_named_at_start() {
    let authority = Authority::new();
    authority.issue("one");
    authority.issue("two");
    std::fs::copy(authority.file("two").join("tls.key"), authority.file("one").join("tls.key")).unwrap();
    let config = format!("receive: {{{}}}\n", authority.settings("one", ""));
    let (code, said) = Proxy::fails(crate::harness::Start { config, ..Default::default() }).await;
    assert_ne!(code, 0);
    assert!(said.contains("do not go together") && said.contains("tls.key"), "{said}");
}
