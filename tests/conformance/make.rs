//! Requests made for a line: well-formed ones from the generated types, others byte by byte.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use spandrel::wire::Signal;

use crate::harness::read::attribute;

/// The three signals whose items are looked at one by one.
pub const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];
/// 2025-11-24, a time that no peer finds too old or too new to be true.
pub const NOW: u64 = 1_763_942_400_000_000_000;

/// A root span of a new trace.
pub fn span(mark: &str) -> Span {
    Span {
        trace_id: id(16),
        span_id: id(8),
        name: mark.into(),
        kind: 2,
        start_time_unix_nano: NOW,
        end_time_unix_nano: NOW + 1_000_000,
        ..Span::default()
    }
}

/// Random bytes that are not all zero.
pub fn id(len: usize) -> Vec<u8> {
    (0..len).map(|_| rand::random_range(1..=255)).collect()
}

pub fn resource(mark: &str) -> Resource {
    Resource { attributes: vec![attribute("service.name", mark)], ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "conformance".into(), ..InstrumentationScope::default() }
}

/// One request of these spans.
pub fn traces(mark: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let block = ResourceSpans { resource: Some(resource(mark)), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![block] }
}

/// One request of one span.
pub fn one(mark: &str) -> ExportTraceServiceRequest {
    traces(mark, vec![span(mark)])
}

pub fn logs(mark: &str, count: usize) -> ExportLogsServiceRequest {
    let record = |number| LogRecord {
        time_unix_nano: NOW + number,
        severity_number: 9,
        body: Some(text(mark)),
        ..LogRecord::default()
    };
    let log_records = (0..count as u64).map(record).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
    let block = ResourceLogs { resource: Some(resource(mark)), scope_logs, ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![block] }
}

/// A gauge of as many points.
pub fn metrics(mark: &str, count: usize) -> ExportMetricsServiceRequest {
    let point = |number| NumberDataPoint {
        time_unix_nano: NOW + number,
        value: Some(number_data_point::Value::AsInt(7)),
        ..NumberDataPoint::default()
    };
    let data_points = (0..count as u64).map(point).collect();
    metric(mark, Data::Gauge(Gauge { data_points }))
}

pub fn metric(mark: &str, data: Data) -> ExportMetricsServiceRequest {
    let metrics = vec![Metric { name: mark.into(), data: Some(data), ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let block =
        ResourceMetrics { resource: Some(resource(mark)), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![block] }
}

/// One good request of a signal, of one item, as protobuf.
pub fn good(signal: Signal, mark: &str) -> Vec<u8> {
    match signal {
        Signal::Traces => one(mark).encode_to_vec(),
        Signal::Metrics => metrics(mark, 1).encode_to_vec(),
        Signal::Logs => logs(mark, 1).encode_to_vec(),
        Signal::Profiles => panic!("profiles are made by the line about them"),
    }
}

/// One span as OTLP/JSON, with these members beside its ids, name and times.
pub fn json_span(mark: &str, more: &str) -> String {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (trace, span) = (hex(id(16)), hex(id(8)));
    json_traces(
        mark,
        &format!(
            r#"{{"traceId":"{trace}","spanId":"{span}","name":"{mark}","kind":2,"startTimeUnixNano":"{NOW}","endTimeUnixNano":"{NOW}"{more}}}"#
        ),
    )
}

/// One request of these spans as OTLP/JSON.
pub fn json_traces(mark: &str, spans: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{mark}"}}}}]}},"scopeSpans":[{{"scope":{{"name":"conformance"}},"spans":[{spans}]}}]}}]}}"#
    )
}

/// One log record as OTLP/JSON, with these members beside its time and body.
pub fn json_log(mark: &str, more: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{mark}"}}}}]}},"scopeLogs":[{{"scope":{{}},"logRecords":[{{"timeUnixNano":"{NOW}","body":{{"stringValue":"{mark}"}}{more}}}]}}]}}]}}"#
    )
}

pub fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

/// A length-delimited field.
pub fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(body.len() + 12);
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(body.len() as u64, &mut field);
    field.extend_from_slice(body);
    field
}

/// A varint field.
pub fn number(number: u32, value: u64) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::Varint, &mut field);
    encode_varint(value, &mut field);
    field
}

/// One request of spans that are bytes, all of one resource and scope.
pub fn traces_of(mark: &str, spans: &[Vec<u8>]) -> Vec<u8> {
    let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    let block = [field(1, &resource(mark).encode_to_vec()), field(2, &spans)].concat();
    field(1, &block)
}

/// A good span with these bytes after its fields.
pub fn span_and(mark: &str, more: &[u8]) -> Vec<u8> {
    [span(mark).encode_to_vec(), more.to_vec()].concat()
}

/// A good request that is `len` bytes longer than it need be, in a field of the request that nobody knows.
pub fn padded(signal: Signal, mark: &str, len: usize) -> Vec<u8> {
    [good(signal, mark), field(1000, &vec![0; len])].concat()
}
