//! `wire` against prost: on generated, roughened, broken and captured requests both must agree.
//!
//! Where they differ, we are the stricter ones, and each difference is in [`stricter`]: prost knows
//! nothing of ids, and tolerates deeper nesting than some readers downstream.

mod made;

use bytes::Bytes;
use made::{Kind, Maker};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use proptest::prelude::*;
use prost::Message;
use spandrel::wire::attr::{self, Value};
use spandrel::wire::block::{self, BlockHead, ScopeBlock};
use spandrel::wire::fields::{Fields, put_len_field};
use spandrel::wire::span::SpanView;
use spandrel::wire::splice::{self, Edit};
use spandrel::wire::walk::keep_good;
use spandrel::wire::{Detail, Fault, Index, Limits, Rope, Signal, walk};

const JOINED: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

fn any_signal() -> impl Strategy<Value = Signal> {
    prop::sample::select(&JOINED[..])
}

fn walked(signal: Signal, body: &[u8]) -> Index {
    walk(signal, body, Detail::Spans, &Limits::default()).unwrap()
}

/// Items by prost's count; `None` when it refuses the request.
fn items_by_prost(signal: Signal, body: &[u8]) -> Option<u64> {
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
fn decoded(body: &[u8]) -> Vec<ResourceSpans> {
    let mut blocks = ExportTraceServiceRequest::decode(body).unwrap().resource_spans;
    blocks.iter_mut().for_each(|block| block.scope_spans.retain(|scope| !scope.spans.is_empty()));
    blocks.retain(|block| !block.scope_spans.is_empty());
    blocks
}

/// The index of an accepted request says of every span what prost says.
fn index_agrees(body: &[u8]) {
    let index = walked(Signal::Traces, body);
    assert_eq!(index.refused.items, 0, "{:?}", index.refused.named);
    let blocks = decoded(body);
    let mut entries = index.spans.iter();
    let mut scope_at = 0;
    assert_eq!(index.resources.len(), blocks.len());
    for (at, (entry, block)) in index.resources.iter().zip(&blocks).enumerate() {
        let resource = block::first_body(body, &index, &entry.head);
        assert_eq!(Resource::decode(&*resource).unwrap(), block.resource.clone().unwrap_or_default());
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
    assert_eq!((i32::from(entry.kind), entry.start), (span.kind, span.start_time_unix_nano));
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
fn verdict_agrees(signal: Signal, body: &[u8]) {
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

/// Anything at all is read without a panic.
fn nothing_panics(body: &[u8]) {
    let shared = Bytes::copy_from_slice(body);
    for signal in Signal::ALL {
        let _ = keep_good(signal, body, &Limits { depth: u32::MAX, index_bytes: 1 << 16 });
        if let Ok(index) = walk(signal, body, Detail::Spans, &Limits::default()) {
            for entry in &index.resources {
                let mut out = Rope::default();
                block::put_block_with(&shared, entry.block, b"", &mut out);
            }
        }
    }
    let edit = Edit { key: "key.1", value: Value::Int(1), overwrite: true };
    for field in [1, 3, 9] {
        attr::attributes(body, field).for_each(|attr| {
            let _ = (attr.value.text(), attr.value.elements().count(), attr.value.entries().count());
        });
        splice::attributes(body, field, std::slice::from_ref(&edit));
    }
    let view = SpanView(body);
    let _ = (view.name(), view.kind(), view.start(), view.end(), view.status());
}

/// A block of items, some of which carry a fault.
fn faulty(maker: &mut Maker, signal: Signal) -> (Vec<u8>, bool) {
    let item = maker.item(signal);
    let mut item = maker.rough(&item, Kind::Item(signal));
    let bad = maker.chance(30);
    if bad {
        match maker.below(3) {
            0 => put_len_field(if signal == Signal::Metrics { 1 } else { 3 }, b"not \xff text", &mut item),
            1 => item.extend([0x0a, 0x7f, 1]),
            _ => item.extend([0x85, 0x01]),
        }
    }
    (item, !bad)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn good_requests_are_accepted_and_counted(seed: u64, signal in any_signal()) {
        let mut maker = Maker::new(seed);
        let plain = maker.request(signal);
        let body = maker.rough(&plain, Kind::Request(signal));
        let index = walked(signal, &body);
        prop_assert_eq!(index.refused.named, vec![]);
        prop_assert_eq!(Some(index.items), items_by_prost(signal, &plain));
        prop_assert_eq!(items_by_prost(signal, &body), items_by_prost(signal, &plain));
    }

    #[test]
    fn the_index_says_what_prost_says(seed: u64) {
        let mut maker = Maker::new(seed);
        let plain = maker.request(Signal::Traces);
        index_agrees(&plain);
        index_agrees(&maker.rough(&plain, Kind::Request(Signal::Traces)));
    }

    #[test]
    fn keep_good_keeps_exactly_the_good(seed: u64, signal in any_signal()) {
        let mut maker = Maker::new(seed);
        let (mut all, mut good) = (Vec::new(), Vec::new());
        for _ in 0..maker.below(4) {
            let mut block = (Vec::new(), Vec::new());
            for _ in 0..maker.below(4) {
                let mut scope = (Vec::new(), Vec::new());
                for _ in 0..maker.below(6) {
                    let (item, is_good) = faulty(&mut maker, signal);
                    put_len_field(2, &item, &mut scope.0);
                    if is_good {
                        put_len_field(2, &item, &mut scope.1);
                    }
                }
                let tail = (3, maker.text());
                put_len_field(tail.0, tail.1.as_bytes(), &mut scope.0);
                put_len_field(tail.0, tail.1.as_bytes(), &mut scope.1);
                put_len_field(2, &scope.0, &mut block.0);
                if items_of_scope(signal, &scope.1) > 0 {
                    put_len_field(2, &scope.1, &mut block.1);
                }
            }
            put_len_field(1, &block.0, &mut all);
            if !block.1.is_empty() {
                put_len_field(1, &block.1, &mut good);
            }
        }
        let expect = walked(signal, &all);
        let kept = keep_good(signal, &all, &Limits::default()).unwrap();
        prop_assert_eq!(walked(signal, &kept).items, expect.items);
        prop_assert_eq!(kept, good);
    }

    #[test]
    fn verdicts_agree_on_mutated_requests(
        seed: u64,
        signal in any_signal(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let mut maker = Maker::new(seed);
        let plain = maker.request(signal);
        let mut body = maker.rough(&plain, Kind::Request(signal));
        for (at, byte, how) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body[at] ^= 1 << (byte % 8),
                2 => drop(body.remove(at)),
                _ => body.truncate(at),
            }
        }
        verdict_agrees(signal, &body);
        nothing_panics(&body);
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), signal in any_signal()) {
        nothing_panics(&body);
        verdict_agrees(signal, &body);
    }

    #[test]
    fn a_splice_is_decode_edit_encode(seed: u64, wanted in prop::collection::vec((0..8u8, any::<bool>()), 0..5)) {
        let mut maker = Maker::new(seed);
        let plain = maker.resource().encode_to_vec();
        let before = maker.rough(&plain, Kind::Resource);
        let keys: Vec<_> = wanted.iter().map(|(key, _)| format!("key.{key}")).collect();
        let edits: Vec<_> = keys
            .iter()
            .zip(&wanted)
            .map(|(key, (n, overwrite))| Edit { key, value: Value::Int(i64::from(*n)), overwrite: *overwrite })
            .collect();
        let after = splice::attributes(&before, 1, &edits);

        let mut expect = Resource::decode(&*before).unwrap();
        edit_decoded(&mut expect.attributes, &edits);
        prop_assert_eq!(Resource::decode(&*after).unwrap(), expect);
        prop_assert_eq!(all_but_attributes(&after), all_but_attributes(&before));
    }

    #[test]
    fn split_and_merged_requests_are_prosts(seed: u64) {
        let mut maker = Maker::new(seed);
        let plain = maker.request(Signal::Traces);
        let body = Bytes::from(maker.rough(&plain, Kind::Request(Signal::Traces)));
        let (even, odd) = (rebuilt(&body, |nth| nth % 2 == 0), rebuilt(&body, |nth| nth % 2 == 1));

        prop_assert_eq!(decoded(&rebuilt(&body, |_| true)), decoded(&body));
        let keep = |parity: usize| {
            let mut nth = 0;
            let mut blocks = decoded(&body);
            let mut keeps = |_: &Span| { nth += 1; (nth - 1) % 2 == parity };
            let scopes = |block: &mut ResourceSpans| {
                block.scope_spans.iter_mut().for_each(|scope| scope.spans.retain(&mut keeps));
            };
            blocks.iter_mut().for_each(scopes);
            ExportTraceServiceRequest { resource_spans: blocks }.encode_to_vec()
        };
        prop_assert_eq!(decoded(&even), decoded(&keep(0)));
        prop_assert_eq!(decoded(&odd), decoded(&keep(1)));
        // Concatenation is a merge (P15).
        let both = [&even[..], &odd].concat();
        prop_assert_eq!(decoded(&both), [decoded(&even), decoded(&odd)].concat());
        index_agrees(&both);
    }
}

fn items_of_scope(signal: Signal, scope: &[u8]) -> u64 {
    let (mut block, mut body) = (Vec::new(), Vec::new());
    put_len_field(2, scope, &mut block);
    put_len_field(1, &block, &mut body);
    items_by_prost(signal, &body).unwrap()
}

fn edit_decoded(attributes: &mut Vec<KeyValue>, edits: &[Edit<'_>]) {
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

fn all_but_attributes(resource: &[u8]) -> Vec<u8> {
    let mut fields = Fields::of(resource);
    let mut others = Vec::new();
    while let Some((field, raw)) = fields.next_raw() {
        if field.number != 1 {
            others.extend_from_slice(raw);
        }
    }
    others
}

/// The request written again from its index, with the spans whose ordinal is wanted.
fn rebuilt(body: &Bytes, wanted: impl Fn(usize) -> bool) -> Bytes {
    let index = walked(Signal::Traces, body);
    let mut out = Rope::default();
    for (at, resource) in index.resources.iter().enumerate() {
        let mut scopes = Vec::new();
        for (scope_at, scope) in
            index.scopes.iter().enumerate().filter(|(_, scope)| scope.resource as usize == at)
        {
            let mut items = Rope::default();
            let spans = index.spans.iter().enumerate();
            for (_, span) in spans.filter(|(nth, span)| span.scope as usize == scope_at && wanted(*nth)) {
                block::put_item(span.body.of(body), &mut items);
            }
            scopes.push(ScopeBlock { head: BlockHead::of(body, &index, &scope.head), items });
        }
        block::write_resource_block(&BlockHead::of(body, &index, &resource.head), scopes, &mut out);
    }
    out.into_bytes()
}

#[test]
fn every_captured_request_is_accepted_and_read_as_prost_reads_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(stem) = path.to_str().and_then(|path| path.strip_suffix(".pb")) else { continue };
        let body = std::fs::read(&path).unwrap();
        let headers: serde_json::Value =
            serde_json::from_slice(&std::fs::read(format!("{stem}.headers.json")).unwrap()).unwrap();
        let logs = headers["path"].as_str().unwrap().contains("logs");
        let signal = if logs { Signal::Logs } else { Signal::Traces };
        let index = walked(signal, &body);
        assert_eq!((Some(index.items), index.refused.items), (items_by_prost(signal, &body), 0), "{stem}");
        if signal == Signal::Traces {
            index_agrees(&body);
            assert_eq!(decoded(&rebuilt(&body.clone().into(), |_| true)), decoded(&body), "{stem}");
        }
        assert_eq!(keep_good(signal, &body, &Limits::default()).unwrap(), body, "{stem}");
        seen += 1;
    }
    assert!(seen >= 40, "{seen} captures");
}

/// A request of one scope block that holds `count` empty items (F38).
fn empties(count: usize) -> Vec<u8> {
    let items = [0x12, 0x00].repeat(count);
    let (mut block, mut body) = (Vec::new(), Vec::new());
    put_len_field(2, &items, &mut block);
    drop(items);
    put_len_field(1, &block, &mut body);
    body
}

#[test]
fn millions_of_empty_spans_take_no_memory() {
    let body = empties(3_000_000);
    let index = walked(Signal::Traces, &body);
    assert_eq!((index.items, index.refused.items, index.heap_bytes()), (0, 3_000_000, 0));
    assert_eq!(index.refused.named.len(), walk::Refused::NAMED_MAX);
    assert!(
        keep_good(Signal::Traces, &body, &Limits { index_bytes: 1024, ..Limits::default() })
            .unwrap()
            .is_empty()
    );
    let logs = walk(Signal::Logs, &body, Detail::Blocks, &Limits::default()).unwrap();
    assert_eq!(logs.items, 3_000_000);
    assert!(logs.heap_bytes() < 1024);
}
