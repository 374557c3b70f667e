//! The captured trace of three services comes out the same in whatever order its parts arrive,
//! and however many instances it passes.
//!
//! Its root says environment and release; one service has a release of its own, one has neither.
//! The configuration says something else, which must not win over the root.

use bytes::Bytes;
use http::HeaderMap;
use spandrel::wire::Signal;
use tokio::task::JoinSet;

use crate::harness::read::{ENVIRONMENT, Export, RELEASE, assert_preserved, list, text};
use crate::harness::{Client, Metrics, Proxy, Upstream, captures};

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const SPANS: usize = 6;
const FALLBACK: &str = "environment: fallback\nrelease: fallback\n";

#[tokio::test]
async fn every_order_at_one_instance_and_through_sidecars_gives_the_same() {
    assert_right(&the_same_in_every_order("").await);
}

/// On today's servers this trace is wrong in all six orders: its name and input are the child's, its
/// environment is the wrong service's, and the plain service's spans have no user.
#[tokio::test]
async fn what_the_trace_means_is_the_same_and_right_on_every_span() {
    let output = the_same_in_every_order("dialect: interactiveai\n").await;
    let output = Export::decode(Signal::Traces, &output).unwrap();
    for span in output.spans() {
        let said = |key: &str| text(&span.attributes, key);
        assert_eq!(said("langfuse.trace.name"), Some("orders-query"), "{}", span.name);
        assert_eq!(said("user.id"), Some("user-123"), "{}", span.name);
        assert_eq!(said("session.id"), Some("session-abc"), "{}", span.name);
        assert_eq!(said("langfuse.trace.metadata.source"), Some("web-app"), "{}", span.name);
        assert_eq!(list(&span.attributes, "langfuse.trace.tags"), ["production", "weather"], "{}", span.name);
        // One root: the child that its SDK marked as one hangs where it belongs, and says no more of itself.
        assert!(!span.attributes.iter().any(|pair| pair.key == "langfuse.internal.as_root"), "{}", span.name);
        assert_eq!(span.parent_span_id.is_empty(), span.name == "handle_request");
    }
    for resource in output.resources() {
        assert_eq!(text(&resource.attributes, "langfuse.environment"), Some("production"));
        assert_eq!(text(&resource.attributes, "langfuse.release"), Some("4f1c2d3"));
    }
    let root = output.spans().into_iter().find(|span| span.parent_span_id.is_empty()).unwrap();
    assert_eq!(text(&root.attributes, "langfuse.observation.input"), Some(r#"{"q": "orders?"}"#));
    assert_eq!(text(&root.attributes, "langfuse.observation.output"), Some("ok"));
}

/// The trace as it goes out, having come in each order at one instance and through sidecars.
async fn the_same_in_every_order(more: &'static str) -> Bytes {
    let mut runs = JoinSet::new();
    for order in ORDERS {
        runs.spawn(async move { ("one instance", order, at_one_instance(order, more).await) });
        runs.spawn(async move { ("three sidecars", order, through_sidecars(order, more).await) });
    }
    let outputs = runs.join_all().await;
    let (_, _, expected) = &outputs[0];
    for (shape, order, output) in &outputs {
        let decoded = Export::decode(Signal::Traces, output).unwrap();
        assert_eq!(decoded, Export::decode(Signal::Traces, expected).unwrap(), "{shape}, {order:?}");
        assert_eq!(output, expected, "{shape}, {order:?}: it reads the same, but the bytes differ");
    }
    expected.clone()
}

async fn at_one_instance(order: [usize; 3], more: &str) -> Bytes {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(gateway(&upstream) + more).await;
    for part in order {
        send(&proxy, part).await;
    }
    output(&upstream).await
}

/// Each service behind its own sidecar; the gateway gets the parts in this order.
///
/// A sidecar that has just started knows no shape and waits its idle time: a short one here.
async fn through_sidecars(order: [usize; 3], more: &str) -> Bytes {
    let upstream = Upstream::start().await;
    let gateway = Proxy::with(gateway(&upstream) + more).await;
    let config = format!("upstream: http://{}\njoin: {{scope: local, idle: 300ms}}\n", gateway.grpc());
    let sidecars =
        tokio::join!(Proxy::with(config.clone()), Proxy::with(config.clone()), Proxy::with(config.clone()));
    let sidecars = [sidecars.0, sidecars.1, sidecars.2];
    let mut arrived = 0;
    for (part, sidecar) in order.into_iter().zip(&sidecars) {
        arrived += send(sidecar, part).await;
        let what = format!("{arrived} spans at the gateway");
        let received = |metrics: &Metrics| metrics.ledger(Signal::Traces, "default").received >= arrived;
        gateway.await_metrics(&what, received).await;
    }
    output(&upstream).await
}

/// The idle time is long enough for the parts to meet on a busy machine, short enough for a test.
fn gateway(upstream: &Upstream) -> String {
    format!("upstream: {}\njoin: {{idle: 6s}}\n{FALLBACK}", upstream.endpoint())
}

/// Sends one captured part with its own headers, and says how many spans it has.
async fn send(proxy: &Proxy, part: usize) -> u64 {
    let body = parts().swap_remove(part);
    let spans = Export::decode(Signal::Traces, &body).unwrap().count();
    let client = Client::to(proxy.http());
    // The first part is a plain OpenTelemetry service's, the others the InteractiveAI SDK's.
    let reply = if part == 0 {
        client.grpc(Signal::Traces, body).await
    } else {
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("authorization", "Basic cGstbGYtZmFrZTpzay1sZi1mYWtl"),
            ("x-interactiveai-sdk-name", "python"),
            ("x-interactiveai-sdk-version", "1.1.9"),
            ("x-interactiveai-public-key", "pk-lf-fake"),
        ];
        client.post("/api/public/otel/v1/traces", &headers, body).await
    };
    reply.assert_taken();
    spans as u64
}

fn parts() -> Vec<Vec<u8>> {
    let parts: Vec<_> = captures(".pb")
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("xservice.")))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(parts.len(), 3);
    parts
}

/// The one request the trace came in, with the headers of those who had some.
async fn output(upstream: &Upstream) -> Bytes {
    let came = upstream.await_spans(SPANS).await;
    assert_eq!(came.len(), 1, "one request for one trace; {}", upstream.summary());
    let headers: &HeaderMap = &came[0].headers;
    assert_eq!(headers["authorization"], "Basic cGstbGYtZmFrZTpzay1sZi1mYWtl");
    assert_eq!(headers["x-interactiveai-public-key"], "pk-lf-fake");
    came[0].bytes.clone()
}

/// Nothing lost or changed, and the labels are the root's where a service has none of its own.
fn assert_right(output: &Bytes) {
    let output = Export::decode(Signal::Traces, output).unwrap();
    let sent: Vec<Export> =
        parts().iter().map(|part| Export::decode(Signal::Traces, part).unwrap()).collect();
    assert_preserved(&sent, std::slice::from_ref(&output));
    let mut labels: Vec<[String; 3]> = output
        .resources()
        .iter()
        .map(|resource| {
            let label = |key: &str| text(&resource.attributes, key).unwrap_or("absent").to_owned();
            [label("service.name"), label(ENVIRONMENT), label(RELEASE)]
        })
        .collect();
    labels.sort();
    let expected = [
        ["agent-worker", "production", "4f1c2d3"],
        ["orders-db", "production", "3.0.1"],
        ["py-gateway", "production", "4f1c2d3"],
    ];
    assert_eq!(labels, expected);
}
