//! The Go SDK.

use crate::harness::known_set::travels;
use crate::harness::sdk;

#[tokio::test]
async fn over_grpc() {
    travels(&mut sdk::go().await, "grpc", "grpc").await;
}

#[tokio::test]
async fn over_grpc_with_gzip() {
    let mut program = sdk::go().await;
    travels(program.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), "grpc", "http/protobuf").await;
}
