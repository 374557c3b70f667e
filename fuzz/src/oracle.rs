//! prost as the oracle: what it makes of a request, and whether we make the same.
//!
//! Where the two differ, we are the stricter ones, and each difference is in [`stricter`]: prost knows
//! nothing of ids, and tolerates deeper nesting than some readers downstream.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use spandrel::wire::attr::Value;
use spandrel::wire::block;
use spandrel::wire::fields::Fields;
use spandrel::wire::span::SpanView;
use spandrel::wire::splice::Edit;
use spandrel::wire::walk::keep_good;
use spandrel::wire::{Detail, Fault, Index, Limits, Signal, walk};

pub fn walked(signal: Signal, body: &[u8]) -> Index {
    walk(signal, body, Detail::Spans, &Limits::default()).expect("it can be followed")
}

/// Items by prost's count; `None` when it refuses the request.
pub fn items_by_prost(signal: Signal, body: &[u8]) -> Option<u64> {
    let count = match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).ok()?;
            request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(body).ok()?;
            let scopes = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics);
            scopes.flat_map(|s| &s.metrics).map(|m| m.data.as_ref().map_or(0, points)).sum()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).ok()?;
            request
                .resource_logs
                .iter()
                .flat_map(|r| &r.scope_logs)
                .map(|s| s.log_records.len())
                .sum::<usize>()
        }
        Signal::Profiles => unreachable!("profiles are not looked into"),
    };
    Some(count as u64)
}

fn points(data: &Data) -> usize {
    match data {
        Data::Gauge(data) => data.data_points.len(),
        Data::Sum(data) => data.data_points.len(),
        Data::Histogram(data) => data.data_points.len(),
        Data::ExponentialHistogram(data) => data.data_points.len(),
        Data::Summary(data) => data.data_points.len(),
    }
}

/// What prost makes of a request, without the blocks that hold no spans.
pub fn decoded(body: &[u8]) -> Vec<ResourceSpans> {
    let mut blocks = ExportTraceServiceRequest::decode(body).unwrap().resource_spans;
    blocks.iter_mut().for_each(|block| block.scope_spans.retain(|scope| !scope.spans.is_empty()));
    blocks.retain(|block| !block.scope_spans.is_empty());
    blocks
}

/// The index of an accepted request says of every span what prost says.
pub fn index_agrees(body: &[u8]) {
    let index = walked(Signal::Traces, body);
    assert_eq!(index.refused.items, 0, "{:?}", index.refused.named);
    let blocks = decoded(body);
    let mut entries = index.spans.iter();
    let mut scope_at = 0;
    assert_eq!(index.resources.len(), blocks.len());
    for (at, (entry, block)) in index.resources.iter().zip(&blocks).enumerate() {
        let resource = block::first_body(body, &index, &entry.head);
        // As bytes: a NaN is not equal to itself, its encoding is.
        let resource = Resource::decode(&*resource).unwrap().encode_to_vec();
        assert_eq!(resource, block.resource.clone().unwrap_or_default().encode_to_vec());
        assert_eq!(entry.items as usize, block.scope_spans.iter().map(|s| s.spans.len()).sum::<usize>());
        for scope in &block.scope_spans {
            assert_eq!(index.scopes[scope_at].resource as usize, at);
            for span in &scope.spans {
                let entry = entries.next().unwrap();
                assert_eq!(entry.scope as usize, scope_at);
                span_agrees(entry, body, span);
            }
            scope_at += 1;
        }
    }
    assert!(entries.next().is_none());
    assert_eq!(index.items, index.spans.len() as u64);
}

fn span_agrees(entry: &walk::SpanEntry, body: &[u8], span: &Span) {
    assert_eq!((&entry.trace.0[..], &entry.span.0[..]), (&span.trace_id[..], &span.span_id[..]));
    let parent = if span.parent_span_id.is_empty() { &[0; 8] } else { &span.parent_span_id[..] };
    assert_eq!(&entry.parent.0[..], parent);
    assert_eq!(entry.zero_parent, span.parent_span_id == [0; 8]);
    assert_eq!((entry.name.of(body), entry.flags), (span.name.as_bytes(), span.flags));
    // A kind that is none reads as unspecified.
    assert!(i32::from(entry.kind) == span.kind || entry.kind == 0, "{} is not {}", entry.kind, span.kind);
    assert_eq!(entry.start, span.start_time_unix_nano);
    assert_eq!(entry.ended, span.end_time_unix_nano != 0);
    let view = SpanView(entry.body.of(body));
    assert_eq!((view.name(), view.end()), (span.name.as_bytes(), span.end_time_unix_nano));
    assert_eq!(view.status().1, span.status.as_ref().map_or(&b""[..], |s| s.message.as_bytes()));
    for (read, expect) in view.attributes().zip(&span.attributes) {
        assert_eq!(read.key, expect.key.as_bytes());
        value_agrees(read.value, expect.value.as_ref());
    }
    assert_eq!(view.attributes().count(), span.attributes.len());
}

fn value_agrees(read: Value<'_>, expect: Option<&AnyValue>) {
    use any_value::Value as Prost;
    match (read, expect.and_then(|any| any.value.as_ref())) {
        (Value::Empty, None) => {}
        (Value::Str(read), Some(Prost::StringValue(text))) => assert_eq!(read, text.as_bytes()),
        (Value::Bool(read), Some(Prost::BoolValue(truth))) => assert_eq!(read, *truth),
        (Value::Int(read), Some(Prost::IntValue(number))) => assert_eq!(read, *number),
        (Value::Double(read), Some(Prost::DoubleValue(number))) => {
            assert_eq!(read.to_bits(), number.to_bits())
        }
        (Value::Bytes(read), Some(Prost::BytesValue(bytes))) => assert_eq!(read, bytes),
        (read @ Value::Array(_), Some(Prost::ArrayValue(array))) => {
            assert_eq!(read.elements().count(), array.values.len());
            read.elements().zip(&array.values).for_each(|(read, any)| value_agrees(read, Some(any)));
        }
        (read @ Value::Map(_), Some(Prost::KvlistValue(map))) => {
            assert_eq!(read.entries().count(), map.values.len());
            read.entries()
                .zip(&map.values)
                .for_each(|(read, kv)| value_agrees(read.value, kv.value.as_ref()));
        }
        (read, expect) => panic!("{read:?} is not {expect:?}"),
    }
}

/// Faults for which we refuse what prost accepts, and why.
fn stricter(fault: Fault) -> bool {
    match fault {
        // pdata refuses the whole request for a wrong length (P13); no backend can place a zero id.
        Fault::TraceId | Fault::SpanId | Fault::ParentId | Fault::LinkId => true,
        // 30 levels of AnyValue are 97 messages; others stop at 100 (P11), groups count too.
        Fault::Depth | Fault::Group => true,
        // The data model says that consumers should (D08); prost knows nothing of it.
        Fault::PointTime => true,
        Fault::Truncated | Fault::Varint | Fault::Tag | Fault::WireType | Fault::Utf8 => false,
        Fault::IndexSize | Fault::Length => false,
    }
}

/// Accept and refuse agree with prost; what is kept of anything, prost decodes and we accept.
pub fn verdict_agrees(signal: Signal, body: &[u8]) {
    let prost = items_by_prost(signal, body);
    match walk(signal, body, Detail::Spans, &Limits::default()) {
        Err(malformed) => {
            assert!(prost.is_none() || stricter(malformed.fault), "{malformed}");
            assert!(keep_good(signal, body, &Limits::default()).is_err());
        }
        Ok(index) if index.refused.items == 0 => {
            // A metric whose data stands twice counts both here; the last counts in prost.
            assert!(
                prost.is_some_and(|items| items == index.items || signal == Signal::Metrics),
                "{prost:?}"
            );
        }
        Ok(index) => {
            let all_named = index.refused.named.len() as u64 == index.refused.items;
            let ours_alone = index.refused.named.iter().any(|(_, fault)| stricter(*fault));
            assert!(prost.is_none() || ours_alone || !all_named, "{:?}", index.refused);
            let kept = keep_good(signal, body, &Limits::default()).unwrap();
            assert!(kept.len() < body.len());
            assert_eq!(walked(signal, &kept).refused.items, 0);
            assert_eq!(walked(signal, &kept).items, index.items);
            assert!(items_by_prost(signal, &kept).is_some());
        }
    }
}

pub fn edit_decoded(attributes: &mut Vec<KeyValue>, edits: &[Edit<'_>]) {
    let all = std::mem::take(attributes);
    for (at, attribute) in all.iter().enumerate() {
        if all[at + 1..].iter().all(|later| later.key != attribute.key) {
            attributes.push(attribute.clone());
        }
    }
    // Edited attributes stand in the order in which their keys were first added.
    let mut added: Vec<KeyValue> = Vec::new();
    for edit in edits {
        let Value::Int(number) = edit.value else { unreachable!() };
        let value = Some(AnyValue { value: Some(any_value::Value::IntValue(number)) });
        let new = KeyValue { key: edit.key.to_owned(), value, ..Default::default() };
        if let Some(earlier) = added.iter_mut().find(|earlier| earlier.key == edit.key) {
            if edit.overwrite {
                *earlier = new;
            }
        } else if attributes.iter().all(|attribute| attribute.key != edit.key) {
            added.push(new);
        } else if edit.overwrite {
            attributes.retain(|attribute| attribute.key != edit.key);
            added.push(new);
        }
    }
    attributes.extend(added);
}

pub fn all_but_attributes(resource: &[u8]) -> Vec<u8> {
    let mut fields = Fields::of(resource);
    let mut others = Vec::new();
    while let Some((field, raw)) = fields.next_raw() {
        if field.number != 1 {
            others.extend_from_slice(raw);
        }
    }
    others
}
