//! How the program starts, shows what it holds when nobody else wants it, and stops.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;

use crate::harness::known_set::{LABELS, hex};
use crate::harness::read::{ENVIRONMENT, Export, RELEASE, assert_labelled, text};
use crate::harness::{Client, Proxy, Start, Upstream, made};

#[tokio::test]
async fn f32_a_port_that_is_taken_is_named_and_ends_it() {
    let first = Proxy::with("").await;
    let taken = first.grpc();
    let config = format!("receive: {{grpc: \"{taken}\", http: \"127.0.0.1:0\"}}\nadmin: \"127.0.0.1:0\"\n");
    let (code, said) = Proxy::fails(Start { config, ..Start::default() }).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&taken.to_string()), "it does not say which: {said}");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_named_and_ends_it() {
    let config = "upstream: http://127.0.0.1:1\njoin: {quite: 50ms}\n".into();
    let (code, said) = Proxy::fails(Start { config, ..Start::default() }).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("quite") && said.contains("quiet"), "no key and no hint: {said}");
}

#[tokio::test]
async fn exporting_to_itself_is_refused_at_the_start() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("receive: {{grpc: \"{free}\", http: \"127.0.0.1:0\"}}\nupstream: http://{free}\n");
    let (code, said) = Proxy::fails(Start { config, ..Start::default() }).await;
    assert_ne!(code, 0);
    assert!(said.contains(&free.to_string()), "{said}");
}

/// Labels from the variables of the process, as a container has them.
#[tokio::test]
async fn three_variables_are_a_whole_configuration() {
    let upstream = Upstream::start().await;
    let variables = [
        ("SPANDREL_UPSTREAM", upstream.endpoint()),
        ("SPANDREL_ENVIRONMENT", "from-a-variable".into()),
        ("GITHUB_SHA", "0123abc".into()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let proxy = Proxy::start(Start { variables, ..Start::default() }).await;
    let sent = Export::Traces(made::request(made::trace(1, 2)));
    proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
    let came = upstream.await_spans(2).await;
    let resource = &came[0].export.resources()[0];
    assert_eq!(text(&resource.attributes, ENVIRONMENT), Some("from-a-variable"));
    assert_eq!(text(&resource.attributes, RELEASE), Some("0123abc"));
}

#[tokio::test]
async fn without_an_upstream_joined_traces_are_written_a_line_each() {
    let proxy = Proxy::with(format!("join: {{idle: 500ms}}\n{LABELS}")).await;
    let spans = made::trace(7, 3);
    // The child before its parent, each in a request of its own.
    for span in spans.iter().rev() {
        let body = made::request(vec![span.clone()]).encode_to_vec();
        proxy.http_client().http(Signal::Traces, body).await.assert_taken();
    }
    let line = proxy.await_stdout("a joined trace", |line| line.contains("trace_id")).await;
    let trace: Value = serde_json::from_str(&line).expect("one JSON object a line");
    assert_eq!(trace["trace_id"], hex(&made::trace_id(7)));
    assert_eq!(trace["span_count"], 3);
    assert_eq!(trace["requests"], 3);
    assert_eq!((&trace["environment"], &trace["release"]), (&"test".into(), &"r-42".into()));
    let names: Vec<&Value> = trace["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
    assert_eq!(names, ["GET /orders", "SELECT orders 1", "SELECT orders 2"]);
    assert!(proxy.stop().await.success());
}

/// What was taken and is still held goes out before the process ends, complete or not.
#[tokio::test]
async fn a_stop_empties_the_join_first() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 25s, hold: 60s}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let mut spans = made::trace(1, 4);
    // Its parent never comes.
    spans.remove(0);
    proxy.client().grpc(Signal::Traces, made::request(spans).encode_to_vec()).await.assert_taken();
    let admin = Client::to(proxy.admin());
    let held = admin.get("/tracez").await;
    assert!(held.text().contains(&hex(&made::trace_id(1))), "/tracez does not show it: {}", held.text());
    assert!(upstream.requests().is_empty());
    assert!(proxy.stop().await.success());
    let came = upstream.accepted();
    assert_eq!(came.len(), 1, "{}", upstream.summary());
    assert_labelled(&came[0].export);
    assert_eq!(came[0].export.count(), 3);
}

/// A whole trace whose shape is known is not kept waiting: the idle time is for what is not known.
/// A shape is known after 128 traces.
#[tokio::test]
async fn once_a_shape_is_known_its_traces_leave_at_once() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 2s, hold: 60s}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let leaf = |number| {
        let mut spans = made::trace(number, 2);
        spans[1].kind = SpanKind::Internal as i32;
        made::request(spans).encode_to_vec()
    };
    for number in 0..150 {
        proxy.client().grpc(Signal::Traces, leaf(number)).await.assert_taken();
    }
    upstream.await_spans(300).await;
    let began = tokio::time::Instant::now();
    proxy.client().grpc(Signal::Traces, leaf(150)).await.assert_taken();
    upstream.await_spans(302).await;
    let took = began.elapsed();
    assert!(took.as_millis() < 1500, "it took {took:?}, as long as for a shape never seen");
    proxy
        .await_metrics("a complete trace", |metrics| {
            metrics.sum("spandrel_join_left_traces_total", &[("reason", "complete")]) >= 1
        })
        .await;
}
