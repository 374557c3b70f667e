//! Traces as people's services make them, and as they should not: several services, ids given by hand,
//! parents that exist nowhere, claims that contradict each other.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

pub const SERVICES: usize = 3;

/// What a span may claim of its trace.
const CLAIMS: [(&str, &str); 7] = [
    ("user.id", "ann"),
    ("user.id", "bob"),
    ("session.id", "s"),
    ("langfuse.trace.name", "named"),
    ("langfuse.trace.tags", "['a', 'b,c']"),
    ("langfuse.trace.metadata.k", "v"),
    ("langfuse.environment", "production"),
];

/// A span and the service it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    service: usize,
    span: Span,
}

prop_compose! {
    /// One trace: a tree with, at times, a parent that never comes.
    pub fn tree()(nodes in prop::collection::vec(
        (0..SERVICES, any::<prop::sample::Index>(), 0u8..10, prop::option::of(0..CLAIMS.len()), 0u64..5),
        1..20,
    )) -> Vec<Node> {
        let mut spans: Vec<Node> = Vec::new();
        for (at, (service, parent, kind, claim, start)) in nodes.into_iter().enumerate() {
            let above = if spans.is_empty() { None } else { Some(spans[parent.index(spans.len())].clone()) };
            let crosses = above.as_ref().is_some_and(|above| above.service != service);
            let parent_span_id = match (&above, kind) {
                (_, 0) => vec![0xfa, at as u8, 0, 0, 0, 0, 0, 1],
                (Some(above), _) => above.span.span_id.clone(),
                (None, _) => Vec::new(),
            };
            let marked = kind <= 1 && !parent_span_id.is_empty();
            let mut attributes: Vec<_> = claim.map(|at| text(CLAIMS[at])).into_iter().collect();
            if marked {
                attributes.push(pair("langfuse.internal.as_root", Value::BoolValue(true)));
            }
            spans.push(Node { service, span: Span {
                trace_id: vec![7; 16],
                span_id: vec![1, at as u8, 0, 0, 0, 0, 0, 1],
                parent_span_id,
                name: format!("op {at}"),
                kind: if crosses { 2 } else { 1 },
                flags: if crosses { 0x300 } else { 0x100 },
                start_time_unix_nano: 1_000 + start,
                end_time_unix_nano: 2_000,
                attributes,
                ..Span::default()
            }});
        }
        spans
    }
}

/// The spans of one service.
pub fn of_service(spans: &[Node], service: usize) -> Vec<Node> {
    spans.iter().filter(|node| node.service == service).cloned().collect()
}

/// An export of these spans, each service's in a block of its own.
pub fn body(spans: &[Node]) -> Vec<u8> {
    let block = |service: usize| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![text(("service.name", ["front", "orders", "agent"][service]))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: "lib".into(), ..Default::default() }),
            spans: of_service(spans, service).into_iter().map(|node| node.span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let mut request = ExportTraceServiceRequest { resource_spans: (0..SERVICES).map(block).collect() };
    request.resource_spans.retain(|block| !block.scope_spans[0].spans.is_empty());
    request.encode_to_vec()
}

fn text((key, value): (&str, &str)) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
