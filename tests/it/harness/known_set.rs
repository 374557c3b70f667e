//! The known set: what the `emit` program of every language sends, and how to tell that all of it came.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use spandrel::wire::Signal;

use super::read::{Export, assert_labelled, text};
use super::sdk::Program;
use super::{Proxy, Upstream};

/// `checkout`, `reserve`, `charge`, `notify`, `poll` and twenty steps, in two traces.
pub const SPANS: usize = 25;
pub const LOGS: usize = 3;

/// Waits until what a program says it sent has come to the upstream, and checks that it is that and
/// nothing else: every span with its ids and parent, what it says about itself, logs and metrics.
pub async fn assert_came(told: &Value, upstream: &Upstream) {
    upstream.await_spans(SPANS).await;
    upstream.await_items(Signal::Logs, LOGS).await;
    let wanted: BTreeSet<&str> = texts(&told["metrics"]).collect();
    upstream
        .await_until("the known metrics", |_| {
            wanted.iter().all(|name| metric_names(upstream).contains(*name))
        })
        .await;
    assert_spans(told, &upstream.exports(Signal::Traces));
    assert_logs(told, &upstream.exports(Signal::Logs));
}

fn assert_spans(told: &Value, came: &[Export]) {
    let spans: Vec<Span> = came.iter().flat_map(Export::spans).collect();
    let mut got: Vec<[String; 4]> = spans.iter().map(identity).collect();
    let field = |span: &Value, name: &str| span[name].as_str().expect("a text").to_owned();
    let mut sent: Vec<[String; 4]> = told["spans"]
        .as_array()
        .expect("a list of spans")
        .iter()
        .map(|span| ["name", "trace", "span", "parent"].map(|name| field(span, name)))
        .collect();
    got.sort();
    sent.sort();
    assert_eq!(sent.len(), SPANS);
    assert_eq!(got, sent);

    let named = |name: &str| spans.iter().find(|span| span.name == name).expect("just compared");
    let (checkout, charge, poll) = (named("checkout"), named("charge"), named("poll"));
    assert_eq!(checkout.kind(), SpanKind::Server);
    assert_eq!(text(&checkout.attributes, "note"), Some("naïve café ☕ 数据"));
    for (key, is_right) in [
        ("count", (|it| matches!(it, Any::IntValue(42 | 9_007_199_254_740_993))) as fn(&Any) -> bool),
        ("ratio", |it| *it == Any::DoubleValue(2.5)),
        ("paid", |it| *it == Any::BoolValue(true)),
        ("items", |it| matches!(it, Any::ArrayValue(list) if list.values.len() == 2)),
    ] {
        let attribute = checkout.attributes.iter().find(|attribute| attribute.key == key);
        let value = attribute.and_then(|it| it.value.as_ref()?.value.as_ref());
        assert!(value.is_some_and(is_right), "{key:?} came as {value:?}");
    }
    let status = charge.status.as_ref().expect("it failed");
    assert_eq!((status.code, status.message.as_str()), (2, "card declined"));
    assert_eq!(charge.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["exception"]);
    assert_eq!(named("reserve").events[0].name, "reserved");
    assert_eq!(named("notify").links[0].span_id, charge.span_id);
    assert_eq!(poll.links[0].trace_id, checkout.trace_id);
    assert_eq!(text(&poll.links[0].attributes, "why"), Some("follows"));
}

fn assert_logs(told: &Value, came: &[Export]) {
    let mut got = Vec::new();
    for export in came {
        let Export::Logs(request) = export else { unreachable!("asked for logs") };
        let scopes = request.resource_logs.iter().flat_map(|block| &block.scope_logs);
        for record in scopes.flat_map(|scope| &scope.log_records) {
            let body = record.body.as_ref().and_then(|body| body.value.as_ref());
            let Some(Any::StringValue(body)) = body else { panic!("a log without text: {record:?}") };
            got.push((body.clone(), !record.span_id.is_empty()));
        }
    }
    got.sort();
    let mut sent: Vec<(String, bool)> =
        texts(&told["logs"]).map(|body| (body.to_owned(), body != "no span here")).collect();
    sent.sort();
    assert_eq!(got, sent);
}

fn metric_names(upstream: &Upstream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for export in upstream.exports(Signal::Metrics) {
        let Export::Metrics(request) = export else { unreachable!("asked for metrics") };
        let scopes = request.resource_metrics.iter().flat_map(|block| &block.scope_metrics);
        names.extend(scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.name.clone()));
    }
    names
}

fn identity(span: &Span) -> [String; 4] {
    [span.name.clone(), hex(&span.trace_id), hex(&span.span_id), hex(&span.parent_span_id)]
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text"))
}

/// What the program under test is configured with where a test has no wish of its own.
pub const LABELS: &str = "environment: test\nrelease: r-42\n";

/// Runs a program that emits the known set at the program under test, and checks that all of it
/// came to the upstream, labelled, and that the metrics say the same.
pub async fn travels(program: &mut Program, protocol: &str, upstream_protocol: &str) {
    let upstream = Upstream::start().await;
    let config = format!(
        "upstreams: {{default: {{endpoint: \"{}\", protocol: {upstream_protocol}}}}}\n{LABELS}",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    let port = if protocol == "grpc" { proxy.grpc() } else { proxy.http() };
    let told = program.exporting(&format!("http://{port}"), protocol).run().await;
    assert_came(&told, &upstream).await;
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        let ledger = proxy.await_settled(signal, "default").await;
        let exports = upstream.exports(signal);
        let came = exports.iter().map(Export::count).sum::<usize>() as u64;
        assert_eq!((ledger.received, ledger.delivered), (came, came), "{}: {ledger:?}", signal.name());
        exports.iter().for_each(assert_labelled);
    }
    assert!(proxy.stop().await.success());
}
