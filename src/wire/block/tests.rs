use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::*;
use crate::wire::fields::put_len_field;
use crate::wire::{Detail, Limits, Signal, walk};

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

fn resource(pairs: &[(&str, &str)]) -> Resource {
    Resource { attributes: pairs.iter().map(|(k, v)| attribute(k, v)).collect(), ..Default::default() }
}

fn span(name: &str) -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: name.into(), ..Default::default() }
}

fn block(resource: Resource, spans: Vec<Span>) -> ResourceSpans {
    let scope = InstrumentationScope { name: "lib".into(), ..Default::default() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, schema_url: "scope-url".into() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], schema_url: "url".into() }
}

fn request(block: ResourceSpans) -> Bytes {
    ExportTraceServiceRequest { resource_spans: vec![block] }.encode_to_vec().into()
}

fn decode(rope: Rope) -> ExportTraceServiceRequest {
    assert_eq!(rope.len(), rope.clone().into_bytes().len());
    ExportTraceServiceRequest::decode(rope.into_bytes()).unwrap()
}

#[test]
fn a_block_taken_apart_and_written_again_is_the_same() {
    let body = request(block(resource(&[("a", "1")]), vec![span("x"), span(&"y".repeat(40_000))]));
    let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default()).unwrap();
    let mut items = Rope::default();
    for entry in &index.spans {
        put_item_part(&body, entry.body.of(&body), &mut items);
    }
    let scope = ScopeBlock { head: BlockHead::of(&body, &index, &index.scopes[0].head), items };
    let head = BlockHead::of(&body, &index, &index.resources[0].head);
    let mut out = Rope::default();
    write_resource_block(&head, vec![scope], &mut out);
    assert_eq!(decode(out), ExportTraceServiceRequest::decode(body).unwrap());
}

#[test]
fn several_resources_fold_to_one() {
    let mut raw = Vec::new();
    put_len_field(3, b"url", &mut raw);
    put_len_field(1, &resource(&[("a", "1")]).encode_to_vec(), &mut raw);
    put_len_field(2, &block(resource(&[]), vec![span("x")]).scope_spans[0].encode_to_vec(), &mut raw);
    put_len_field(1, &resource(&[("b", "2")]).encode_to_vec(), &mut raw);
    let mut body = Vec::new();
    put_len_field(1, &raw, &mut body);
    let body = Bytes::from(body);
    let index = walk(Signal::Traces, &body, Detail::Blocks, &Limits::default()).unwrap();
    let entry = index.resources[0];

    let folded = first_body(&body, &index, &entry.head);
    assert_eq!(Resource::decode(&*folded).unwrap(), resource(&[("a", "1"), ("b", "2")]));
    let head = BlockHead::of(&body, &index, &entry.head);
    assert_eq!(head.first_body(), &*folded);
    assert_eq!(&head.rest[..], b"\x1a\x03url");

    let mut out = Rope::default();
    put_block_with(&body, entry.block, &folded, &mut out);
    assert_eq!(decode(out.clone()), ExportTraceServiceRequest::decode(body).unwrap());
    let out = out.into_bytes();
    let again = walk(Signal::Traces, &out, Detail::Blocks, &Limits::default()).unwrap();
    assert_eq!(again.resources[0].head.first, (0, 1));
}

#[test]
fn a_missing_resource_is_put_first_and_an_empty_one_is_not_invented() {
    let mut bare = block(resource(&[]), vec![span("x")]);
    bare.resource = None;
    let body = request(bare.clone());
    let index = walk(Signal::Traces, &body, Detail::Blocks, &Limits::default()).unwrap();
    let entry = index.resources[0];

    let mut out = Rope::default();
    put_block_with(&body, entry.block, &[], &mut out);
    assert_eq!(out.into_bytes(), body);

    let mut out = Rope::default();
    put_block_with(&body, entry.block, &resource(&[("a", "1")]).encode_to_vec(), &mut out);
    bare.resource = Some(resource(&[("a", "1")]));
    assert_eq!(decode(out).resource_spans, [bare]);
}

#[test]
fn a_large_block_is_shared_not_copied() {
    let body = request(block(resource(&[("a", "1")]), vec![span(&"y".repeat(100_000))]));
    let index = walk(Signal::Traces, &body, Detail::Blocks, &Limits::default()).unwrap();
    let mut out = Rope::default();
    put_block_with(&body, index.resources[0].block, b"", &mut out);
    let within = body.as_ptr_range();
    assert!(out.into_pieces().iter().any(|piece| within.contains(&piece.as_ptr())));
}
