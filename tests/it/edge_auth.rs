//! Who may send: credentials, what becomes of them, and browsers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::harness::{Client, Proxy, Upstream, made};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

async fn receiving(lines: &str, rest: &str) -> Proxy {
    let ports = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
    Proxy::with(format!("receive: {{{ports}, {lines}}}\nadmin: \"127.0.0.1:0\"\n{rest}")).await
}

fn trace(number: u64) -> Vec<u8> {
    made::request(made::trace(number, 2)).encode_to_vec()
}

fn metadata(name: &'static str, value: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(name, value.parse().unwrap());
    metadata
}

#[tokio::test]
async fn without_a_known_credential_a_caller_is_told_what_to_send() {
    let proxy = receiving("auth: {bearer: [token-one, token-two], basic: {ada: lovelace}}", "").await;
    let client = proxy.http_client();
    for headers in [vec![JSON], vec![JSON, ("authorization", "Bearer token-three")]] {
        let reply = client.post("/v1/traces", &headers, "{}").await;
        assert_eq!(reply.status, 401);
        let asked = reply.headers["www-authenticate"].to_str().unwrap();
        assert!(asked.contains("Bearer ") && asked.contains("Basic "), "{asked}");
        let status: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(status["code"], 16);
        assert!(status["message"].as_str().unwrap().contains("receive.auth"), "{status}");
    }
    let reply = proxy.client().grpc(Signal::Traces, trace(1)).await;
    assert_eq!(reply.code, Code::Unauthenticated);
    assert!(reply.headers.contains_key("www-authenticate"), "{:?}", reply.headers);
    assert_eq!(reply.error.expect("details").code, 16);

    let basic = format!("Basic {}", BASE64_STANDARD.encode("ada:lovelace"));
    for good in ["Bearer token-one", "bearer token-two", &basic] {
        client.post("/v1/traces", &[JSON, ("authorization", good)], "{}").await.assert_taken();
        let reply = proxy.client().grpc_with(Signal::Traces, trace(2), metadata("authorization", good)).await;
        reply.assert_taken();
    }
    let refused = [("outcome", "unauthenticated")];
    assert_eq!(proxy.metrics().await.sum("spandrel_receiver_requests_total", &refused), 3);
    let printed = proxy.stderr();
    assert!(!printed.contains("token-") && !printed.contains("lovelace"), "{printed}");
}

#[tokio::test]
async fn a_health_probe_needs_no_credential() {
    let proxy = receiving("auth: {bearer: [token]}", "").await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", proxy.grpc())).unwrap();
    let mut health = tonic::client::Grpc::new(channel.connect().await.unwrap());
    health.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let asked = tonic::Request::new(bytes::Bytes::new());
    let reply: tonic::Response<bytes::Bytes> =
        health.unary(asked, path, crate::harness::raw::Raw).await.unwrap();
    assert_eq!(reply.into_inner(), [8, 1].as_slice(), "SERVING");
}

#[tokio::test]
async fn a_credential_for_us_stays_with_us_and_one_for_the_upstream_travels() {
    let upstream = Upstream::start().await;
    let rest = format!("upstream: {}\njoin: {{idle: 200ms}}\n", upstream.endpoint());
    let proxy = receiving("auth: {bearer: [ours]}", &rest).await;
    let client = proxy.http_client();
    let (ours, theirs) = (("authorization", "Bearer ours"), ("authorization", "Basic dGhlaXJz"));
    client.post("/v1/traces", &[PROTOBUF, ours], trace(1)).await.assert_taken();
    upstream.await_spans(2).await;
    assert!(!upstream.requests()[0].headers.contains_key("authorization"));
    upstream.forget();
    let apart = ("proxy-authorization", "Bearer ours");
    client.post("/v1/traces", &[PROTOBUF, apart, theirs], trace(2)).await.assert_taken();
    upstream.await_spans(2).await;
    let headers = &upstream.requests()[0].headers;
    assert_eq!(headers["authorization"], "Basic dGhlaXJz");
    assert!(!headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn tokens_in_a_file_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    std::fs::write(&path, "# ours\nold\n").unwrap();
    let proxy = receiving(&format!("auth: {{bearer_file: {}}}", path.display()), "").await;
    let client = proxy.http_client();
    let status = async |client: &Client, token: &str| {
        let header = format!("Bearer {token}");
        client.post("/v1/logs", &[JSON, ("authorization", &header)], "{}").await.status.as_u16()
    };
    assert_eq!((status(&client, "old").await, status(&client, "new").await), (200, 401));
    std::fs::write(directory.path().join("next"), "new\n").unwrap();
    std::fs::rename(directory.path().join("next"), &path).unwrap();
    let read = [("what", "credentials"), ("outcome", "ok")];
    proxy.await_metrics("them to be read", |m| m.sum("spandrel_receiver_reloads_total", &read) == 1).await;
    assert_eq!((status(&client, "old").await, status(&client, "new").await), (401, 200));
}

#[tokio::test]
async fn hs19_browsers_are_let_in_only_from_named_origins() {
    let page = ("origin", "https://shop.example.com");
    let stranger = ("origin", "https://evil.example.com");
    let asks =
        [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let closed = Proxy::with("").await;
    let reply = closed.http_client().request(Method::OPTIONS, "/v1/traces", &[page, asks[0]], "").await;
    assert_eq!(reply.status, 405, "off by default");
    assert!(!reply.headers.contains_key("access-control-allow-origin"));

    // A browser asks without credentials; they come with what it sends then.
    let proxy = receiving("auth: {bearer: [token]}, cors: [https://shop.example.com]", "").await;
    let client = proxy.http_client();
    let reply = client.request(Method::OPTIONS, "/v1/traces", &[page, asks[0], asks[1]], "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.headers["access-control-allow-origin"], page.1);
    assert_eq!(reply.headers["access-control-allow-headers"], "content-type");
    let sent = client.post("/v1/traces", &[JSON, page, ("authorization", "Bearer token")], "{}").await;
    sent.assert_taken();
    assert_eq!(sent.headers["access-control-allow-origin"], page.1);

    let reply = client.request(Method::OPTIONS, "/v1/traces", &[stranger, asks[0]], "").await;
    assert_eq!(reply.status, 403);
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
    assert!(reply.text().contains("receive.cors"), "{}", reply.text());
}
