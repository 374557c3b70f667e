//! `route`: what goes where, asked of two recording upstreams; and each one's books close.

use std::collections::BTreeSet;

use prost::Message;
use spandrel::wire::Signal;

use crate::harness::read::{Export, attribute};
use crate::harness::{Proxy, Upstream, made};

const FAST: &str = "join: {idle: 300ms, quiet: 20ms}\nbatch: {age: 10ms}\n";

/// A program with the upstreams `usual` and `eu`, which is given only what is routed to it.
async fn started(more: &str, rules: &[&str]) -> (Upstream, Upstream, Proxy) {
    let (usual, eu) = (Upstream::start().await, Upstream::start().await);
    let list: String = rules.iter().map(|rule| format!("  - '{rule}'\n")).collect();
    let config = format!(
        "upstreams:\n  usual: {{endpoint: \"{}\"}}\n  eu: {{endpoint: \"{}\", default: false}}\n{more}rules:\n{list}",
        usual.endpoint(),
        eu.endpoint()
    );
    (usual, eu, Proxy::with(config).await)
}

async fn send(proxy: &Proxy, export: Export) {
    proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
}

/// `(trace, span)` ids in short, as `made` numbers them.
fn spans(upstream: &Upstream) -> BTreeSet<(u8, u8)> {
    let spans = upstream.exports(Signal::Traces);
    spans.iter().flat_map(Export::spans).map(|span| (span.trace_id[15] - 1, span.span_id[7] - 1)).collect()
}

async fn lost(proxy: &Proxy, signal: Signal, upstream: &str, reason: &str) -> u64 {
    let labels = [("signal", signal.name()), ("upstream", upstream), ("reason", reason)];
    proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &labels)
}

#[tokio::test]
async fn a_trace_goes_whole_where_its_root_is_sent_and_its_late_spans_follow() {
    let rule = r#"route("eu") where root.attributes["region"] == "eu""#;
    let (usual, eu, proxy) = started(FAST, &[rule]).await;
    let (mut first, second) = (made::trace(1, 4), made::trace(2, 3));
    first[0].attributes.push(attribute("region", "eu"));
    let late = first.split_off(3);
    send(&proxy, Export::Traces(made::request([first, second].concat()))).await;
    eu.await_spans(3).await;
    usual.await_spans(3).await;
    // It has no root with it now, and no attribute that says where.
    send(&proxy, Export::Traces(made::request(late))).await;
    eu.await_spans(4).await;
    assert_eq!(spans(&eu), (0..4).map(|span| (1, span)).collect());
    assert_eq!(spans(&usual), (0..3).map(|span| (2, span)).collect());
    for (upstream, delivered, elsewhere) in [("usual", 3, 4), ("eu", 4, 3)] {
        let ledger = proxy.await_settled(Signal::Traces, upstream).await;
        let counted = lost(&proxy, Signal::Traces, upstream, "routed_elsewhere").await;
        assert_eq!((ledger.received, ledger.delivered, counted), (7, delivered, elsewhere), "{upstream}");
    }
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn one_span_that_is_routed_takes_its_trace_along_and_several_names_are_all_given_it() {
    let rules = [
        r#"route("eu", "usual") where span.name == "SELECT orders 1""#,
        r#"set(span.attributes["seen"], true)"#,
    ];
    let (usual, eu, proxy) = started(FAST, &rules).await;
    send(&proxy, Export::Traces(made::request([made::trace(1, 3), made::trace(2, 1)].concat()))).await;
    eu.await_spans(3).await;
    usual.await_spans(4).await;
    assert_eq!(spans(&eu), (0..3).map(|span| (1, span)).collect());
    assert_eq!(spans(&usual), [(1, 0), (1, 1), (1, 2), (2, 0)].into_iter().collect());
    proxy.await_settled(Signal::Traces, "eu").await;
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn records_and_metrics_of_one_block_part() {
    let rules = [
        r#"route("eu") where log.time_unix_nano - 1800000000000000000 < 2"#,
        r#"drop() where log.body == "order 3 was paid""#,
        r#"route("eu") where metric.name == "orders""#,
    ];
    let (usual, eu, proxy) = started(FAST, &rules).await;
    send(&proxy, Export::Logs(made::logs(0, 5))).await;
    send(&proxy, Export::Metrics(made::metrics(0, 6))).await;
    eu.await_items(Signal::Logs, 2).await;
    usual.await_items(Signal::Logs, 2).await;
    eu.await_items(Signal::Metrics, 6).await;
    for (signal, upstream, delivered, elsewhere, dropped) in [
        (Signal::Logs, "usual", 2, 2, 1),
        (Signal::Logs, "eu", 2, 2, 1),
        (Signal::Metrics, "usual", 0, 6, 0),
        (Signal::Metrics, "eu", 6, 0, 0),
    ] {
        let ledger = proxy.await_settled(signal, upstream).await;
        let counted = lost(&proxy, signal, upstream, "routed_elsewhere").await;
        assert_eq!((ledger.delivered, counted), (delivered, elsewhere), "{signal:?} {upstream}");
        assert_eq!(ledger.lost, elsewhere + dropped, "{signal:?} {upstream}");
    }
    let bodies = |upstream: &Upstream| {
        let exports = upstream.exports(Signal::Logs);
        exports
            .iter()
            .map(|export| String::from_utf8_lossy(&export.encode()).into_owned())
            .collect::<String>()
    };
    assert!(bodies(&eu).contains("order 0") && bodies(&eu).contains("order 1"));
    assert!(bodies(&usual).contains("order 2") && bodies(&usual).contains("order 4"));
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn a_resource_is_routed_with_all_that_is_in_it() {
    let rule = r#"route("eu") where resource.attributes["service.name"] == "orders""#;
    let (usual, eu, proxy) = started("join: {scope: off}\n", &[rule]).await;
    send(&proxy, Export::Traces(made::request(made::trace(1, 3)))).await;
    send(&proxy, Export::Logs(made::logs(0, 5))).await;
    let mut others = made::request(made::trace(2, 2));
    others.resource_spans[0].resource = None;
    proxy.client().grpc(Signal::Traces, others.encode_to_vec()).await.assert_taken();
    eu.await_spans(3).await;
    eu.await_items(Signal::Logs, 5).await;
    usual.await_spans(2).await;
    assert!(usual.exports(Signal::Logs).is_empty());
    for upstream in ["usual", "eu"] {
        proxy.await_settled(Signal::Traces, upstream).await;
        proxy.await_settled(Signal::Logs, upstream).await;
    }
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn without_a_default_what_nobody_routes_is_lost_and_counted() {
    let upstream = Upstream::start().await;
    let config = format!(
        "upstreams: {{eu: {{endpoint: \"{}\", default: false}}}}\n{FAST}rules:\n  - route(\"eu\") where span.kind == SPAN_KIND_SERVER and trace.span_count == 2\n",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    send(&proxy, Export::Traces(made::request([made::trace(1, 2), made::trace(2, 3)].concat()))).await;
    upstream.await_spans(2).await;
    let ledger = proxy.await_settled(Signal::Traces, "eu").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (5, 2, 3));
    assert_eq!(lost(&proxy, Signal::Traces, "eu", "no_route").await, 3);
    assert_eq!(spans(&upstream), [(1, 0), (1, 1)].into_iter().collect());
    assert!(proxy.stop().await.success());
}
