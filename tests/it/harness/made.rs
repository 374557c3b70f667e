//! Requests made up for a purpose, where what is sent matters more than who sent it.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::read::attribute;

/// A trace of one service: a root and its children, about 380 bytes a span. `number` makes its ids.
pub fn trace(number: u64, spans: usize) -> Vec<Span> {
    let span = |index: usize| Span {
        trace_id: trace_id(number),
        span_id: span_id(number, index),
        parent_span_id: if index == 0 { Vec::new() } else { span_id(number, 0) },
        name: if index == 0 { "GET /orders".into() } else { format!("SELECT orders {}", index % 7) },
        kind: if index == 0 { SpanKind::Server } else { SpanKind::Client } as i32,
        start_time_unix_nano: 1_800_000_000_000_000_000 + index as u64,
        end_time_unix_nano: 1_800_000_000_500_000_000 + index as u64,
        attributes: vec![
            attribute("http.request.method", "GET"),
            attribute("url.full", "http://orders.internal.example/orders/42?page=3&size=50"),
            attribute("db.query.text", "SELECT id, total, state FROM orders WHERE customer = $1 LIMIT 50"),
            attribute("server.address", "orders.internal.example"),
        ],
        flags: 0x101,
        ..Span::default()
    };
    (0..spans).map(span).collect()
}

/// One request of as many log records, numbered from `first`, all of one service.
pub fn logs(first: u64, count: u64) -> ExportLogsServiceRequest {
    let record = |number: u64| LogRecord {
        time_unix_nano: 1_800_000_000_000_000_000 + number,
        severity_number: 9,
        body: Some(AnyValue { value: Some(Any::StringValue(format!("order {number} was paid"))) }),
        attributes: vec![attribute("order.state", "paid")],
        trace_id: trace_id(number),
        span_id: span_id(number, 0),
        ..LogRecord::default()
    };
    let log_records = (first..first + count).map(record).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
    let block = ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![block] }
}

/// One request of one sum with as many data points, numbered from `first`, all of one service.
pub fn metrics(first: u64, count: u64) -> ExportMetricsServiceRequest {
    let point = |number: u64| NumberDataPoint {
        time_unix_nano: 1_800_000_000_000_000_000 + number,
        value: Some(number_data_point::Value::AsInt(number as i64)),
        attributes: vec![attribute("order.state", "paid")],
        ..NumberDataPoint::default()
    };
    let data_points = (first..first + count).map(point).collect();
    let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
    let metric = Metric { name: "orders".into(), data: Some(Data::Sum(sum)), ..Metric::default() };
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope()), metrics: vec![metric], ..ScopeMetrics::default() }];
    let block = ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![block] }
}

fn resource() -> Resource {
    Resource { attributes: vec![attribute("service.name", "orders")], ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "made".into(), ..InstrumentationScope::default() }
}

/// One request of these spans, all of one service.
pub fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let block = ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![block] }
}

pub fn trace_id(number: u64) -> Vec<u8> {
    [&0x5bad_cafe_u64.to_be_bytes()[..], &(number + 1).to_be_bytes()[..]].concat()
}

pub fn span_id(number: u64, index: usize) -> Vec<u8> {
    ((number + 1) << 32 | (index as u64 + 1)).to_be_bytes().to_vec()
}
