//! Every captured export of every SDK is taken, in every form it can have, and comes out with
//! nothing lost, changed or doubled.

use std::path::Path;

use http::HeaderName;
use spandrel::wire::Signal;
use tonic::metadata::{MetadataKey, MetadataMap};

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_labelled, assert_preserved};
use crate::harness::{Client, Proxy, Reply, Upstream, captures, signal_of};

#[tokio::test]
async fn over_http() {
    check(".pb", async |caller, capture| {
        let path = capture.header(":path").unwrap_or_else(|| capture.signal.http_path().into());
        let headers = capture.kept_headers();
        let mut headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        headers.push(("content-type", "application/x-protobuf"));
        caller.post(&path, &headers, capture.body.clone()).await
    })
    .await;
}

#[tokio::test]
async fn over_http_as_gzip() {
    check(".pb.gz", async |caller, capture| {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
        caller.post(capture.signal.http_path(), &headers, capture.sent.clone()).await
    })
    .await;
}

#[tokio::test]
async fn over_grpc() {
    check(".pb", async |caller, capture| {
        let mut metadata = MetadataMap::new();
        for (name, value) in capture.kept_headers() {
            let name: MetadataKey<_> = name.parse().expect("a header name");
            metadata.insert(name, value.parse().expect("a header value"));
        }
        caller.grpc_with(capture.signal, capture.body.clone(), metadata).await
    })
    .await;
}

#[tokio::test]
async fn as_json() {
    check(".pb", async |caller, capture| {
        let decoded = Export::decode(capture.signal, &capture.body).unwrap();
        caller.json(capture.signal, decoded.json()).await
    })
    .await;
}

struct Capture {
    signal: Signal,
    /// The request's protobuf bytes.
    body: Vec<u8>,
    /// What the SDK put on the wire.
    sent: Vec<u8>,
    head: serde_json::Value,
}

/// Sends every capture with this suffix to one instance, and compares what comes out with all of it.
async fn check(suffix: &str, send: impl AsyncFn(&Client, &Capture) -> Reply) {
    let upstream = Upstream::start().await;
    // Some captures share a trace: it must not leave between them, or the later spans are marked late.
    let config = format!("upstream: {}\njoin: {{idle: 4s}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let (caller, mut sent) = (proxy.http_client(), Vec::new());
    for path in captures(suffix) {
        let capture = Capture::read(&path);
        let reply = send(&caller, &capture).await;
        reply.assert_taken();
        sent.push(Export::decode(capture.signal, &capture.body).unwrap());
    }
    let mut came = Vec::new();
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        let of_signal = sent.iter().filter(|export| export.signal() == signal);
        upstream.await_items(signal, of_signal.map(Export::count).sum()).await;
        let ledger = proxy.await_settled(signal, "default").await;
        assert_eq!((ledger.refused, ledger.lost), (0, 0), "{}: {ledger:?}", signal.name());
        came.extend(upstream.exports(signal));
    }
    came.iter().for_each(assert_labelled);
    assert_preserved(&sent, &came);
    assert!(proxy.stop().await.success());
}

impl Capture {
    fn read(path: &Path) -> Self {
        let sent = std::fs::read(path).unwrap();
        let plain = path.to_string_lossy().trim_end_matches(".gz").to_owned();
        let body = std::fs::read(&plain).unwrap();
        let signal = signal_of(path, &body);
        let head = std::fs::read(plain.replace(".pb", ".headers.json")).unwrap();
        Self { signal, body, sent, head: serde_json::from_slice(&head).unwrap() }
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = if name == ":path" { &self.head["path"] } else { &self.head["headers"][name] };
        // A gRPC capture's path is a method, not a place on an HTTP server.
        value.as_str().filter(|value| !value.starts_with("/opentelemetry")).map(str::to_owned)
    }

    /// The headers that travel with the data.
    fn kept_headers(&self) -> Vec<(String, String)> {
        let headers = self.head["headers"].as_object().expect("headers");
        let kept = headers.iter().filter(|(name, _)| {
            name.parse::<HeaderName>().is_ok_and(|name| spandrel::model::Origin::keeps(&name))
        });
        kept.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
    }
}
