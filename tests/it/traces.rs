//! `/traces`: what a trace means, over all its services, whatever the order its parts came in.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use spandrel::wire::Signal;

use crate::harness::{Client, PATIENCE, Proxy, Upstream, captures};

const ID: &str = "e74af16a04dc117a5df19dbb56d10845";

fn parts() -> Vec<Vec<u8>> {
    let parts = captures(".pb")
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("xservice.")));
    parts.map(|path| std::fs::read(path).expect("a capture")).collect()
}

/// The trace as the admin port shows it, once it has left.
async fn shown(proxy: &Proxy) -> Value {
    let client = Client::to(proxy.admin());
    let found = async {
        loop {
            let reply = client.get(&format!("/traces/{ID}")).await;
            if reply.status.is_success() {
                return serde_json::from_slice(&reply.body).expect("JSON");
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the trace was never shown")
}

#[tokio::test]
async fn every_row_is_the_same_in_whatever_order_the_parts_come() {
    let mut seen: Vec<Value> = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0]] {
        let proxy = Proxy::with("join: {idle: 300ms}\nrollups: {metrics: true}\n").await;
        for part in order {
            proxy.http_client().http(Signal::Traces, parts().swap_remove(part)).await.assert_taken();
        }
        seen.push(shown(&proxy).await);
        let counted = |metrics: &crate::harness::Metrics| {
            metrics.sum("spandrel_trace_duration_seconds_count", &[("service", "py-gateway")]) == 1
        };
        proxy.await_metrics("the trace's duration", counted).await;
        let list = Client::to(proxy.admin()).get("/traces").await;
        let list: Value = serde_json::from_slice(&list.body).expect("JSON");
        assert_eq!((&list[0]["id"], &list[0]["observation_count"]), (&json!(ID), &json!(6)));
    }
    let rows = ["name", "timestamp", "latency", "environment", "release", "user", "session", "tags"];
    for row in rows.into_iter().chain(["input", "output", "metadata", "observations", "services", "level"]) {
        assert_eq!(seen[0][row], seen[1][row], "{row}");
    }
    let trace = &seen[0];
    assert_eq!((&trace["name"], &trace["environment"]), (&json!("orders-query"), &json!("production")));
    assert_eq!(trace["services"], json!(["py-gateway", "orders-db", "agent-worker"]));
    assert_eq!(trace["observations"].as_array().map(Vec::len), Some(6));
}

/// Where everything is forwarded, the latest are kept only when they are asked for; roots are told sums likewise.
#[tokio::test]
async fn forwarded_traces_are_kept_for_looking_when_asked_for() {
    let upstream = Upstream::start().await;
    let config = format!(
        "upstream: {}\njoin: {{idle: 300ms}}\nrecent: 1MiB\nrollups: {{on_root: true}}\n",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    for part in parts() {
        proxy.http_client().http(Signal::Traces, part).await.assert_taken();
    }
    assert_eq!(shown(&proxy).await["span_count"], 6);
    let came = upstream.await_spans(6).await;
    let spans: Vec<Span> = came.iter().flat_map(|request| spans_of(&request.bytes)).collect();
    for span in &spans {
        let sums = span.attributes.iter().filter(|pair| pair.key.starts_with("spandrel.trace."));
        let sums: Vec<&str> = sums.map(|pair| pair.key.trim_start_matches("spandrel.trace.")).collect();
        let all = ["spans", "services", "errors", "duration_ms", "tokens.input", "tokens.output"];
        let expect = if span.parent_span_id.is_empty() { &all[..] } else { &[] };
        assert_eq!(sums, expect, "{}", span.name);
    }
    let root = spans.iter().find(|span| span.parent_span_id.is_empty()).expect("a root");
    let number = |key: &str| root.attributes.iter().find(|pair| pair.key == key)?.value.clone()?.value;
    assert_eq!(number("spandrel.trace.spans"), Some(any_value::Value::IntValue(6)));
    assert_eq!(number("spandrel.trace.tokens.input"), Some(any_value::Value::IntValue(50)));
}

fn spans_of(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request");
    let blocks = request.resource_spans.into_iter().flat_map(|block| block.scope_spans);
    blocks.flat_map(|block| block.spans).collect()
}
