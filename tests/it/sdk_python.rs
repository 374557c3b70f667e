//! The Python SDKs, OpenTelemetry's and InteractiveAI's, as their users run them.

use std::collections::BTreeMap;

use spandrel::wire::Signal;

use crate::harness::known_set::{LABELS, hex, travels};
use crate::harness::read::{ENVIRONMENT, Export, RELEASE, text};
use crate::harness::{Proxy, Upstream, sdk};

#[tokio::test]
async fn over_grpc() {
    travels(&mut sdk::python("emit.py").await, "grpc", "grpc").await;
}

#[tokio::test]
async fn over_http() {
    travels(&mut sdk::python("emit.py").await, "http/protobuf", "http/protobuf").await;
}

#[tokio::test]
async fn over_grpc_with_gzip() {
    let mut program = sdk::python("emit.py").await;
    travels(program.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), "grpc", "http/protobuf").await;
}

#[tokio::test]
async fn over_http_with_gzip() {
    let mut program = sdk::python("emit.py").await;
    travels(program.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), "http/protobuf", "grpc").await;
}

/// Every kind of example of the InteractiveAI SDK: each span comes with all it had, under its own
/// path, with its keys, and labelled with what the SDK itself was told, not with our configuration.
#[tokio::test]
async fn every_example_of_the_interactiveai_sdk() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let mut program = sdk::python("examples.py").await;
    let told = program.env("INTERACTIVEAI_BASE_URL", &format!("http://{}", proxy.http())).run().await;
    let told = told["spans"].as_array().expect("a list of spans");
    let came = upstream.await_spans(told.len()).await;

    let mut attributes = BTreeMap::new();
    for request in &came {
        assert_eq!(request.headers["authorization"], "Basic cGstbGYtZmFrZTpzay1sZi1mYWtl");
        assert_eq!(request.headers["x-interactiveai-public-key"], "pk-lf-fake");
        for span in request.export.spans() {
            let ids = [&span.trace_id, &span.span_id, &span.parent_span_id].map(|id| hex(id));
            let earlier = attributes.insert((span.name, ids), span.attributes.len() as u64);
            assert_eq!(earlier, None, "a span came twice");
        }
        for resource in request.export.resources() {
            assert_eq!(text(&resource.attributes, ENVIRONMENT), Some("staging"));
            assert_eq!(text(&resource.attributes, RELEASE), Some("v2.1.0-rc1"));
        }
    }
    let said = |span: &serde_json::Value, field: &str| span[field].as_str().expect("a text").to_owned();
    let sent = told.iter().map(|span| {
        let ids = ["trace", "span", "parent"].map(|field| said(span, field));
        ((said(span, "name"), ids), span["attributes"].as_u64().expect("a number"))
    });
    assert_eq!(attributes, sent.collect());
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    let exported = came.iter().map(|request| Export::count(&request.export)).sum::<usize>() as u64;
    assert_eq!((ledger.received, ledger.delivered), (exported, exported));
}
