//! The Node SDK with each of its three exporters.

use crate::harness::known_set::travels;
use crate::harness::sdk::{self, Program};

#[tokio::test]
async fn as_json() {
    travels(&mut emit().await, "http/json", "http/protobuf").await;
}

#[tokio::test]
async fn over_http() {
    travels(&mut emit().await, "http/protobuf", "grpc").await;
}

#[tokio::test]
async fn over_grpc() {
    travels(&mut emit().await, "grpc", "grpc").await;
}

/// All three signals: left alone, the SDK exports traces only.
async fn emit() -> Program {
    let mut program = sdk::node("emit.js").await;
    program.env("OTEL_METRICS_EXPORTER", "otlp").env("OTEL_LOGS_EXPORTER", "otlp");
    program
}
