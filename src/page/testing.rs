//! Traces for the tests of this module.

use std::sync::Arc;

use bytes::Bytes;

use super::admin::{Sources, StatusInfo};
use super::links::Links;
use crate::model::Repairs;
use crate::telemetry::Meters;
use crate::watch::{JoinedTrace, Watchers};
use crate::wire::TraceId;

#[path = "../watch/testing.rs"]
mod one;

pub use one::trace_of;

/// The captured trace over three services (Python, Node, Python), its exports in one request.
pub fn captured() -> JoinedTrace {
    let body = [
        include_bytes!("../../tests/data/captures/xservice.http01.pb").as_slice(),
        include_bytes!("../../tests/data/captures/xservice.grpc01.pb"),
        include_bytes!("../../tests/data/captures/xservice.http02.pb"),
    ];
    let id = u128::from_str_radix("e74af16a04dc117a5df19dbb56d10845", 16).unwrap();
    let repairs = Repairs { duplicates: 1, labelled: 2, ..Repairs::default() };
    let trace = TraceId(id.to_be_bytes());
    JoinedTrace { trace, spans: 6, repairs, body: Bytes::from(body.concat()), ..trace_of(0, 0) }
}

/// A trace written by hand, in OTLP/JSON's words: `(id, parent, name, start ms, end ms)`, id 0 for none.
pub fn written(spans: &[(u64, u64, &str, u64, u64)]) -> JoinedTrace {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let id = |n: u64| if n == 0 { Vec::new() } else { n.to_be_bytes().to_vec() };
    let span = |&(own, parent, name, start, end): &(u64, u64, &str, u64, u64)| Span {
        trace_id: vec![7; 16],
        span_id: id(own),
        parent_span_id: id(parent),
        name: name.to_owned(),
        kind: 1,
        start_time_unix_nano: start * 1_000_000,
        end_time_unix_nano: end * 1_000_000,
        ..Span::default()
    };
    let scope = ScopeSpans { spans: spans.iter().map(span).collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    let body = ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec();
    let spans = u32::try_from(spans.len()).unwrap();
    JoinedTrace { trace: TraceId([7; 16]), spans, body: Bytes::from(body), ..trace_of(0, 0) }
}

/// A trace of one call of a model by the service `shop` in the environment `test`.
pub fn called(model: &str, input: i64, output: i64, usd: &str) -> JoinedTrace {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let pair = |key: &str, value: Value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let text = |text: &str| Value::StringValue(text.to_owned());
    let resource =
        vec![pair("service.name", text("shop")), pair("deployment.environment.name", text("test"))];
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![1; 8],
        name: "chat".to_owned(),
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 3_000_000_000,
        attributes: vec![
            pair("gen_ai.operation.name", text("chat")),
            pair("gen_ai.request.model", text(model)),
            pair("gen_ai.usage.input_tokens", Value::IntValue(input)),
            pair("gen_ai.usage.output_tokens", Value::IntValue(output)),
            pair("langfuse.observation.cost_details", text(&format!("{{\"total\": {usd}}}"))),
            pair("langfuse.observation.input", text(r#"{"question": "how much?"}"#)),
            pair("user.id", text("ann")),
            pair("session.id", text("s-1")),
            pair("langfuse.trace.tags", text("a,b")),
        ],
        ..Span::default()
    };
    let block = ResourceSpans {
        resource: Some(Resource { attributes: resource, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let body = ExportTraceServiceRequest { resource_spans: vec![block] }.encode_to_vec();
    JoinedTrace { trace: TraceId([7; 16]), spans: 1, body: Bytes::from(body), ..trace_of(0, 0) }
}

/// An admin port's sources that show `watchers` and little else.
pub fn sources(watchers: &Arc<Watchers>) -> Sources {
    Sources {
        flush: Arc::new(|| {}),
        meters: Arc::new(Meters::new()),
        watchers: watchers.clone(),
        refresh: Arc::new(|| ()),
        live: Arc::new(|| Ok("fine".to_owned())),
        ready: Arc::new(|| Ok("fine".to_owned())),
        held: Arc::new(|_| serde_json::Value::Null),
        status: Arc::new(StatusInfo::default),
        links: Links::default(),
    }
}
