//! On the way to an upstream stands a proxy: it opens tunnels, or is handed requests.

use std::sync::{Arc, Mutex};

use http::HeaderValue;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Server, grpc_ok, http};
use super::{Exporter, Protocol, Settings, settings};
use crate::export::Proxy;

/// A proxy that tunnels everything to one port, and what its callers said first.
struct Between {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Between {
    /// Answers CONNECT with `answer`, then carries bytes to `to` if that was a 200.
    async fn start(to: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut socket = BufReader::new(socket);
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if socket.read_line(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    heard.lock().unwrap().push(head);
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    if answer.starts_with("HTTP/1.1 200") {
                        let mut upstream = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                        let _ = copy_bidirectional(&mut socket, &mut upstream).await;
                    }
                });
            }
        });
        Self { port, asked, task }
    }

    fn on_the_way(&self, protocol: Protocol) -> Settings {
        let proxy = Proxy {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            tls: false,
            credentials: Some(HeaderValue::from_static("Basic dTpw")),
        };
        let endpoint = http::Uri::from_static("http://upstream.test:4317");
        Settings { endpoint, protocol, proxy: Some(proxy), parallel: 1, ..settings(1) }
    }
}

#[tokio::test]
async fn grpc_goes_through_a_tunnel_and_names_are_the_proxys_to_resolve() {
    let upstream = Server::start(|_, _| grpc_ok()).await;
    let proxy = Between::start(upstream.port, "HTTP/1.1 200 Connection established\r\n\r\n").await;
    let mut exporter = Exporter::start(proxy.on_the_way(Protocol::Grpc));
    (0..5).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=5");
    let asked = proxy.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "one tunnel for all calls");
    let asked = asked[0].to_ascii_lowercase();
    assert!(asked.starts_with("connect upstream.test:4317 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nhost: upstream.test:4317\r\n"), "{asked}");
    assert!(asked.contains("\r\nproxy-authorization: basic dtpw\r\n"), "{asked}");
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("proxy-authorization")), "the proxy's alone");
}

#[tokio::test]
async fn plain_http_is_handed_over_request_by_request() {
    let proxy = Server::start(|_, _| http(200, &[], "")).await;
    let settings = Between { port: proxy.port, asked: Arc::default(), task: tokio::spawn(async {}) }
        .on_the_way(Protocol::HttpProtobuf);
    let mut exporter = Exporter::start(settings);
    (0..3).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=3");
    assert_eq!(proxy.connections(), 1);
    for seen in proxy.seen() {
        assert_eq!(seen.uri.to_string(), "http://upstream.test:4317/v1/traces");
        assert_eq!(seen.headers["proxy-authorization"], "Basic dTpw");
        assert_eq!(seen.headers["host"], "upstream.test:4317");
    }
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_no_connection() {
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "garbage\r\n\r\n",
    ] {
        let proxy = Between::start(1, answer).await;
        let mut settings = proxy.on_the_way(Protocol::Grpc);
        settings.retry.give_up = std::time::Duration::from_millis(200);
        let mut exporter = Exporter::start(settings);
        exporter.offer(b"x", 1);
        let meters = exporter.meters.clone();
        assert_eq!(exporter.finish().await, "lost.gave_up=1");
        assert!(meters.sends.with_label_values(&["traces", "test", "connect"]).get() > 0);
    }
}
