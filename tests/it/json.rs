//! OTLP/JSON on captured requests of real SDKs, and on one request of each signal as the specification's
//! examples look, with prost as the judge.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;
use spandrel::wire::json::{Options, from_protobuf, to_protobuf, to_protobuf_with};

use crate::harness::captures;

const ROOMY: usize = 64 << 20;

#[derive(Debug, PartialEq)]
enum Request {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

fn decode(signal: Signal, body: &[u8]) -> Request {
    match signal {
        Signal::Traces => Request::Traces(Message::decode(body).unwrap()),
        Signal::Metrics => Request::Metrics(Message::decode(body).unwrap()),
        Signal::Logs => Request::Logs(Message::decode(body).unwrap()),
        Signal::Profiles => panic!("no captures of profiles"),
    }
}

/// Each captured request: its name, its bytes, and what a foreign decoder wrote of it. That decoder's JSON
/// has enum names, which OTLP/JSON has not, so reading it takes the lenient mode.
fn captured() -> Vec<(String, Signal, Vec<u8>, Vec<u8>)> {
    let read = |path: std::path::PathBuf| {
        let body = std::fs::read(&path).unwrap();
        let decoded = std::fs::read(path.with_extension("json")).unwrap();
        let root: Value = serde_json::from_slice(&decoded).unwrap();
        let signal = match root.as_object().and_then(|o| o.keys().next()).map(String::as_str) {
            Some("resourceSpans") => Signal::Traces,
            Some("resourceMetrics") => Signal::Metrics,
            Some("resourceLogs") => Signal::Logs,
            other => panic!("{path:?} holds {other:?}"),
        };
        (path.display().to_string(), signal, body, decoded)
    };
    captures(".pb").into_iter().map(read).collect()
}

#[test]
fn captured_requests_survive_as_json_and_back() {
    for (name, signal, body, _) in captured() {
        let json = from_protobuf(signal, &body);
        let back = to_protobuf(signal, &json, ROOMY).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(decode(signal, &back), decode(signal, &body), "{name}");
    }
}

#[test]
fn captured_requests_read_the_same_from_a_foreign_decoders_json() {
    for (name, signal, body, decoded) in captured() {
        let lenient = Options { lenient: true };
        let read =
            to_protobuf_with(signal, &decoded, ROOMY, lenient).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(decode(signal, &read), decode(signal, &body), "{name}");
    }
}

/// The parts of J12 that may differ in spelling: hex case, numbers as numbers or text, `5` or `5.0`.
fn normal(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            if name.ends_with("Id") {
                *value = value.as_str().unwrap().to_lowercase().into();
            }
            normal(value);
        }),
        Value::Array(elements) => elements.iter_mut().for_each(normal),
        Value::Number(number) => *value = number.as_f64().unwrap().into(),
        Value::String(text) => {
            if let Ok(number) = text.parse::<f64>() {
                *value = number.into();
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[test]
fn a_request_of_each_signal_comes_back_as_the_same_json() {
    for (signal, json) in [(Signal::Traces, TRACES), (Signal::Metrics, METRICS), (Signal::Logs, LOGS)] {
        let body = to_protobuf(signal, json.as_bytes(), ROOMY).unwrap();
        let mut back: Value = serde_json::from_slice(&from_protobuf(signal, &body)).unwrap();
        let mut sent: Value = serde_json::from_str(json).unwrap();
        normal(&mut back);
        normal(&mut sent);
        assert_eq!(back, sent);
    }
}

const TRACES: &str = r#"{
  "resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]},
    "scopeSpans": [{
      "scope": {"name": "shop", "version": "1.0.0", "attributes": [{"key": "a", "value": {"boolValue": true}}]},
      "spans": [{
        "traceId": "A1B2C3D4E5F60718293A4B5C6D7E8F90", "spanId": "0FEDCBA987654321", "parentSpanId": "1122334455667788",
        "name": "POST /pay", "kind": 2, "flags": 257, "traceState": "ot=th:8",
        "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000500000002",
        "attributes": [
          {"key": "amount", "value": {"doubleValue": 12.5}},
          {"key": "items", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}, {"bytesValue": "AQID"}]}}},
          {"key": "empty", "value": {}}
        ],
        "events": [{"timeUnixNano": "1700000000000000009", "name": "retry"}],
        "links": [{"traceId": "A1B2C3D4E5F60718293A4B5C6D7E8F90", "spanId": "0FEDCBA987654321"}],
        "status": {"code": 2, "message": "declined"}
      }],
      "schemaUrl": "https://opentelemetry.io/schemas/1.30.0"
    }]
  }]
}"#;

const METRICS: &str = r#"{
  "resourceMetrics": [{
    "scopeMetrics": [{
      "metrics": [
        {"name": "paid", "unit": "1", "description": "Payments", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
          "dataPoints": [{"asInt": "-3", "timeUnixNano": "17", "startTimeUnixNano": "16"}, {"asDouble": 5}]}},
        {"name": "open", "gauge": {"dataPoints": [{"asDouble": "NaN", "timeUnixNano": "17"}]}},
        {"name": "lag", "histogram": {"aggregationTemporality": 1, "dataPoints": [{"count": "2", "sum": 2, "min": 0, "max": 2,
          "bucketCounts": ["1", "1"], "explicitBounds": [1], "exemplars": [{"asDouble": 2, "spanId": "0FEDCBA987654321",
          "traceId": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}]}]}},
        {"name": "fine lag", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [{"count": "3", "scale": -1,
          "zeroCount": "1", "zeroThreshold": 0.5, "positive": {"offset": -4, "bucketCounts": ["0", "2"]}, "negative": {}}]}},
        {"name": "old", "summary": {"dataPoints": [{"count": "1", "sum": 4, "quantileValues": [{"quantile": 0.5, "value": 4}]}]}}
      ]
    }]
  }]
}"#;

const LOGS: &str = r#"{
  "resourceLogs": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}], "droppedAttributesCount": 1,
      "entityRefs": [{"type": "service", "idKeys": ["service.name"]}]},
    "scopeLogs": [{
      "logRecords": [{
        "timeUnixNano": "1700000000000000001", "observedTimeUnixNano": "1700000000000000002",
        "severityNumber": 10, "severityText": "Information", "eventName": "browser.page_view",
        "traceId": "A1B2C3D4E5F60718293A4B5C6D7E8F90", "spanId": "0FEDCBA987654321", "flags": 1,
        "body": {"kvlistValue": {"values": [{"key": "url", "value": {"stringValue": "/pay"}}]}},
        "attributes": [{"key": "n", "value": {"intValue": "10"}}]
      }]
    }]
  }]
}"#;
