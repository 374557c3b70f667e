//! `wire` against prost: on generated, roughened, broken and captured requests both must agree.
//!
//! What agreeing means stands in `fuzz/src/oracle.rs`, with the differences there are and why.

mod made;

use bytes::Bytes;
use made::{Kind, Maker};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use proptest::prelude::*;
use prost::Message;
use spandrel::wire::attr::{self, Value};
use spandrel::wire::block::{self, BlockHead, ScopeBlock};
use spandrel::wire::fields::put_len_field;
use spandrel::wire::span::SpanView;
use spandrel::wire::splice::{self, Edit};
use spandrel::wire::walk::keep_good;
use spandrel::wire::{Detail, Limits, Rope, Signal, walk};

use crate::fuzz::properties::oracle::{
    all_but_attributes, decoded, edit_decoded, index_agrees, items_by_prost, verdict_agrees, walked,
};

const JOINED: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

fn any_signal() -> impl Strategy<Value = Signal> {
    prop::sample::select(&JOINED[..])
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
