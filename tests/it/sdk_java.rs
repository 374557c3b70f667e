//! The Java SDK, and the Java agent on a service that knows nothing of telemetry.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::harness::known_set::{LABELS, travels};
use crate::harness::read::{assert_labelled, text};
use crate::harness::{Client, Proxy, Upstream, sdk};

#[tokio::test]
async fn over_grpc() {
    travels(&mut sdk::java("Emit").await, "grpc", "grpc").await;
}

#[tokio::test]
async fn over_http() {
    travels(&mut sdk::java("Emit").await, "http/protobuf", "http/protobuf").await;
}

#[tokio::test]
async fn over_http_with_gzip_in_chunks() {
    let mut program = sdk::java("Emit").await;
    travels(program.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), "http/protobuf", "grpc").await;
}

#[tokio::test]
async fn the_agent_on_an_unmodified_service() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let mut program = sdk::java_agent("Service").await;
    program.env("OTEL_SERVICE_NAME", "orders").env("OTEL_BSP_SCHEDULE_DELAY", "300");
    // The agent's own default: http/protobuf.
    program.env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", proxy.http()));
    let mut service = program.serve();
    let port: u16 = service.line().await.parse().expect("a port");
    for _ in 0..3 {
        assert_eq!(Client::to(([127, 0, 0, 1], port).into()).get("/").await.text(), "java");
    }
    let came = upstream.await_spans(3).await;
    for request in &came {
        assert_labelled(&request.export);
        for resource in request.export.resources() {
            assert_eq!(text(&resource.attributes, "service.name"), Some("orders"));
            assert_eq!(
                text(&resource.attributes, "telemetry.distro.name"),
                Some("opentelemetry-java-instrumentation")
            );
        }
        for span in request.export.spans() {
            assert_eq!((span.name.as_str(), span.kind()), ("GET /", SpanKind::Server));
        }
    }
    service.stop().await;
}
