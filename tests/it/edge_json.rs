//! OTLP/JSON beyond its letter (conformance J02, J04): refused or told of by default, taken when asked to.

use serde_json::Value;
use spandrel::wire::Signal;

use crate::harness::{Proxy, Reply};

const SNAKE: &str = r#"{"resource_spans":[{"scope_spans":[{"spans":[{
    "trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174"}]}]}]}"#;
const NAMED: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_SERVER",
    "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#;

async fn sent(proxy: &Proxy, body: &'static str) -> (Reply, Value) {
    let reply = proxy.http_client().json(Signal::Traces, body).await;
    let value = serde_json::from_slice(&reply.body).unwrap();
    (reply, value)
}

#[tokio::test]
async fn j04_snake_case_is_no_otlp_and_its_sender_is_told() {
    let proxy = Proxy::with("").await;
    let (reply, said) = sent(&proxy, SNAKE).await;
    assert_eq!(reply.status, 200, "unknown names never fail a request (J03)");
    assert!(said["partialSuccess"].get("rejectedSpans").is_none(), "{said}");
    let why = said["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(why.contains("`resource_spans`") && why.contains("lowerCamelCase"), "{why}");
}

#[tokio::test]
async fn j02_an_enum_as_text_is_400_and_the_number_to_write_is_named() {
    let proxy = Proxy::with("").await;
    let (reply, said) = sent(&proxy, NAMED).await;
    assert_eq!(reply.status, 400);
    assert!(said["message"].as_str().unwrap().contains("write 2"), "{said}");
}

#[tokio::test]
async fn j02_j04_both_are_taken_when_lenient_and_counted() {
    let ports = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
    let lenient = format!("receive: {{{ports}, lenient_json: true}}\nadmin: \"127.0.0.1:0\"\n");
    let proxy = Proxy::with(lenient).await;
    sent(&proxy, SNAKE).await.0.assert_taken();
    sent(&proxy, NAMED).await.0.assert_taken();
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("spandrel_receiver_lenient_json_total", &[]), 5, "four names and one enum");
    assert_eq!(metrics.sum("spandrel_receiver_received_items_total", &[("transport", "http_json")]), 2);
}
