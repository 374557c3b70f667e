use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use super::*;
use crate::wire::fields::put_len_field;

/// A message from its fields.
fn of(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|(number, value)| put_len_field(*number, value, &mut out));
    out
}

fn span(more: &[u8]) -> Vec<u8> {
    [&of(&[(1, &[7; 16]), (2, &[8; 8]), (5, b"name")]), more].concat()
}

fn request(spans: &[Vec<u8>]) -> Vec<u8> {
    let scope: Vec<_> = spans.iter().map(|span| (2, span.as_slice())).collect();
    of(&[(1, &of(&[(2, &of(&scope))]))])
}

fn spans(body: &[u8]) -> Index {
    walk(Signal::Traces, body, Detail::Spans, &Limits::default()).unwrap()
}

/// A request with one odd span between two good ones: only it is refused, and so named.
fn refuses(odd: Vec<u8>, fault: Fault, path: &str) {
    let (good, other) = (span(b""), span(b"\x30\x02"));
    let body = request(&[good.clone(), odd, other.clone()]);
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items), (2, 1), "{path}");
    let path = format!("resource_spans[0].scope_spans[0].spans[1]{path}");
    assert_eq!(index.refused.named, [(path, fault)]);
    let kept = keep_good(Signal::Traces, &body, &Limits::default()).unwrap();
    assert_eq!(kept, request(&[good, other]));
}

fn accepts(odd: Vec<u8>) -> Index {
    let index = spans(&request(&[odd]));
    assert_eq!((index.items, index.refused.items), (1, 0), "{:?}", index.refused);
    index
}

fn malformed(body: &[u8], fault: Fault, at: usize, path: &str) {
    let error = walk(Signal::Traces, body, Detail::Spans, &Limits::default()).unwrap_err();
    assert_eq!((error.fault, error.at, error.path.as_str()), (fault, at, path));
}

/// `levels` AnyValues in each other, the innermost a string; the body of the outermost.
fn nested(levels: u32) -> Vec<u8> {
    (1..levels).fold(of(&[(1, b"deep")]), |inner, _| of(&[(6, &of(&[(1, &of(&[(1, b"k"), (2, &inner)]))]))]))
}

fn attribute(value: &[u8]) -> Vec<u8> {
    of(&[(9, &of(&[(1, b"key"), (2, value)]))])
}

#[test]
fn a_span_is_indexed() {
    let parent = [9; 8];
    let body = request(&[span(
        &[
            &of(&[(4, &parent)])[..],
            b"\x30\x03\x39\x02\0\0\0\0\0\0\0\x41\x01\0\0\0\0\0\0\0\x85\x01\0\x03\0\0",
        ]
        .concat(),
    )]);
    let index = spans(&body);
    let entry = index.spans[0];
    assert_eq!((entry.trace.0, entry.span.0, entry.parent.0), ([7; 16], [8; 8], parent));
    assert_eq!((entry.name.of(&body), entry.kind, entry.flags), (&b"name"[..], 3, 0x300));
    assert!(entry.ended && !entry.zero_parent);
    assert_eq!(entry.start, 2);
    assert_eq!(entry.body.of(&body), &body[6..]);
    assert!(size_of::<SpanEntry>() <= 80);
}

#[test]
fn ids_must_be_whole_and_not_zero() {
    refuses(of(&[(1, &[7; 5]), (2, &[8; 8])]), Fault::TraceId, ".trace_id");
    refuses(of(&[(2, &[8; 8])]), Fault::TraceId, ".trace_id");
    refuses(of(&[(1, &[0; 16]), (2, &[8; 8])]), Fault::TraceId, ".trace_id");
    refuses(of(&[(1, &[7; 16])]), Fault::SpanId, ".span_id");
    refuses(of(&[(1, &[7; 16]), (2, &[0; 8])]), Fault::SpanId, ".span_id");
    refuses(of(&[(1, &[7; 16]), (2, &[8; 9])]), Fault::SpanId, ".span_id");
    refuses(span(&of(&[(4, &[1; 7])])), Fault::ParentId, ".parent_span_id");
    refuses(span(&of(&[(13, &of(&[(1, &[1; 8]), (2, &[1; 8])]))])), Fault::LinkId, ".links[0].trace_id");
    refuses(span(&of(&[(13, &[]), (13, &of(&[(2, &[1; 16])]))])), Fault::LinkId, ".links[1].span_id");
    refuses(vec![], Fault::TraceId, ".trace_id");
}

#[test]
fn an_all_zero_parent_is_a_root_and_noted() {
    let entry = accepts(span(&of(&[(4, &[0; 8])]))).spans[0];
    assert!(entry.parent.is_none() && entry.zero_parent);
    let entry = accepts(span(&of(&[(4, &[])]))).spans[0];
    assert!(entry.parent.is_none() && !entry.zero_parent);
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let body = request(&[span(&of(&[(1, &[5; 16]), (2, &[6; 8]), (5, b"last"), (4, &[1; 8]), (4, &[])]))]);
    let index = spans(&body);
    let entry = index.spans[0];
    assert_eq!((entry.trace.0, entry.span.0, entry.name.of(&body)), ([5; 16], [6; 8], &b"last"[..]));
    assert!(entry.parent.is_none() && !entry.zero_parent);
}

#[test]
fn text_must_be_utf8_at_every_depth() {
    refuses(span(&of(&[(5, b"\xff")])), Fault::Utf8, ".name");
    refuses(span(&of(&[(3, b"\xff")])), Fault::Utf8, ".trace_state");
    refuses(span(&attribute(&of(&[(1, b"\xff")]))), Fault::Utf8, ".attributes[0].value.string_value");
    let two = [attribute(b""), of(&[(9, &of(&[(1, b"\xff")]))])].concat();
    refuses(span(&two), Fault::Utf8, ".attributes[1].key");
    refuses(span(&of(&[(11, &of(&[(2, b"\xc3")]))])), Fault::Utf8, ".events[0].name");
    refuses(span(&of(&[(15, &of(&[(2, b"\xc3")]))])), Fault::Utf8, ".status.message");
    accepts(span(&attribute(&of(&[(7, b"\xff")]))));
}

#[test]
fn known_fields_must_have_their_wire_type() {
    refuses(span(b"\x28\x01"), Fault::WireType, ".name");
    refuses(span(b"\x32\x00"), Fault::WireType, ".kind");
    refuses(span(b"\x4b\x4c"), Fault::WireType, ".attributes[0]");
    refuses(
        span(&attribute(b"\x21\0\0\0\0\0\0\0\0\x29\0\0\0\0\0\0\0\0")),
        Fault::WireType,
        ".attributes[0].value.array_value",
    );
}

#[test]
fn broken_bytes_inside_a_span_cost_that_span() {
    refuses(span(b"\x4a\x05\x0a"), Fault::Truncated, ".attributes[0]");
    refuses(span(b"\x4a\x02\x0a\x01"), Fault::Truncated, ".attributes[0].key");
    refuses(span(b"\x07"), Fault::Tag, "");
    refuses(span(b"\x0c"), Fault::Group, ".trace_id");
    refuses(span(b"\x30\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), Fault::Varint, ".kind");
}

#[test]
fn values_nest_thirty_levels_and_no_deeper() {
    accepts(span(&attribute(&nested(30))));
    let body = request(&[span(&attribute(&nested(31)))]);
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items), (0, 1));
    assert_eq!(index.refused.named[0].1, Fault::Depth);
}

#[test]
fn a_million_levels_are_refused_without_stack_or_time() {
    // Written from the inside out, backwards: each array and value level is two tags and two lengths.
    let mut reversed = vec![];
    for _ in 0..1_000_000 {
        for tag in [0x0a, 0x2a] {
            let mut prefix = vec![tag];
            crate::wire::varint::put(reversed.len() as u64, &mut prefix);
            reversed.extend(prefix.into_iter().rev());
        }
    }
    reversed.reverse();
    let index = spans(&request(&[span(&attribute(&reversed))]));
    assert_eq!((index.items, index.refused.named[0].1), (0, Fault::Depth));
}

#[test]
fn unknown_fields_pass_at_every_level() {
    let unknown = [&b"\x9b\x3f\x08\x01\x9c\x3f"[..], b"\xfa\xff\xff\xff\x0f\x01x", b"\x88\x01\x05"].concat();
    let span = span(&[&unknown[..], &attribute(&unknown)].concat());
    let scope = [&unknown[..], &of(&[(2, &span), (1, &unknown)])].concat();
    let block = [&unknown[..], &of(&[(1, &unknown), (2, &scope)]), &unknown].concat();
    let body = [&unknown[..], &of(&[(1, &block)]), &unknown].concat();
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items), (1, 0));
    let rest = |head: Head| {
        let pieces = &index.pieces[head.rest.0 as usize..head.rest.1 as usize];
        pieces.iter().flat_map(|piece| piece.of(&body).to_vec()).collect::<Vec<u8>>()
    };
    assert_eq!(rest(index.resources[0].head), [unknown.clone(), unknown.clone()].concat());
    assert_eq!(rest(index.scopes[0].head), unknown);
    assert_eq!(keep_good(Signal::Traces, &body, &Limits::default()).unwrap(), body);
}

#[test]
fn a_faulty_scope_or_resource_takes_the_items_below_it() {
    let good = of(&[(2, &span(b""))]);
    let bad_scope = [&of(&[(2, &span(b"")), (2, b"")])[..], &of(&[(1, &of(&[(1, b"\xff")]))])].concat();
    let body = of(&[(1, &of(&[(2, &good), (2, &bad_scope)]))]);
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items, index.scopes.len(), index.spans.len()), (1, 2, 1, 1));
    let named: Vec<_> = index.refused.named.iter().map(|(path, fault)| (path.as_str(), *fault)).collect();
    let second = ("resource_spans[0].scope_spans[1].scope.name", Fault::Utf8);
    assert_eq!(named, [("resource_spans[0].scope_spans[1].spans[1].trace_id", Fault::TraceId), second]);
    let kept = keep_good(Signal::Traces, &body, &Limits::default()).unwrap();
    assert_eq!(kept, of(&[(1, &of(&[(2, &good)]))]));

    // The resource stands after its scopes.
    let bad = of(&[(2, &good), (1, &of(&[(1, &of(&[(1, b"\xff")]))]))]);
    let body = of(&[(1, &bad), (1, &of(&[(2, &good)]))]);
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items, index.resources.len()), (1, 1, 1));
    assert_eq!(index.refused.named[0].0, "resource_spans[0].resource.attributes[0].key");
    assert_eq!((index.scopes[0].resource, index.spans[0].scope), (0, 0));
    assert_eq!(keep_good(Signal::Traces, &body, &Limits::default()).unwrap(), of(&[(1, &of(&[(2, &good)]))]));
}

#[test]
fn a_faulty_block_without_items_still_counts() {
    let body = of(&[(1, &of(&[(1, b"\x08\x01"), (2, &of(&[(2, &span(b""))]))])), (1, &of(&[(3, b"\xff")]))]);
    assert_eq!(spans(&body).refused.items, 2);
    assert!(keep_good(Signal::Traces, &body, &Limits::default()).unwrap().is_empty());
}

#[test]
fn empty_blocks_make_no_entries() {
    let body = of(&[(1, b""), (1, &of(&[(1, b""), (2, b""), (2, &of(&[(3, b"url")]))]))]);
    let index = spans(&body);
    assert_eq!((index.items, index.refused.items, index.heap_bytes()), (0, 0, 0));
    assert!(keep_good(Signal::Traces, &body, &Limits::default()).unwrap().is_empty());
}

#[test]
fn outer_structure_that_can_not_be_followed_is_malformed() {
    malformed(b"\x0a\x05\x12", Fault::Truncated, 0, "request");
    malformed(b"\x08\x05", Fault::WireType, 0, "request");
    malformed(b"\x0a\x02\x12\x01", Fault::Truncated, 2, "resource_spans[0]");
    malformed(b"\x0a\x00\x0a\x04\x12\x02\x12\x05", Fault::Truncated, 6, "resource_spans[1].scope_spans[0]");
    malformed(b"\x0a\x01\x0c", Fault::Group, 2, "resource_spans[0]");
    malformed(b"\x07", Fault::Tag, 0, "request");
}

#[test]
fn the_index_stays_within_its_bytes() {
    let body = request(&vec![span(b""); 1000]);
    let walk = |index_bytes| walk(Signal::Traces, &body, Detail::Spans, &Limits { depth: 30, index_bytes });
    let full = walk(1 << 20).unwrap();
    assert_eq!(full.spans.len(), 1000);
    assert!(full.heap_bytes() < 1000 * size_of::<SpanEntry>() * 3 / 2, "{}", full.heap_bytes());
    assert_eq!(walk(1000).unwrap_err().fault, Fault::IndexSize);
    let least = 1000 * size_of::<SpanEntry>() + 1000;
    assert!(walk(least).unwrap().heap_bytes() <= least);
}

fn point(more: &[u8]) -> Vec<u8> {
    [&b"\x19\x01\0\0\0\0\0\0\0"[..], more].concat()
}

fn metrics(metrics: &[Vec<u8>]) -> Vec<u8> {
    let scope: Vec<_> = metrics.iter().map(|metric| (2, metric.as_slice())).collect();
    of(&[(1, &of(&[(2, &of(&scope))]))])
}

fn walk_metrics(body: &[u8]) -> Index {
    walk(Signal::Metrics, body, Detail::Blocks, &Limits::default()).unwrap()
}

#[test]
fn data_points_are_refused_one_by_one() {
    let bad = point(&of(&[(7, &of(&[(1, b"\xff")]))]));
    let gauge = |points: &[&[u8]]| {
        let points: Vec<_> = points.iter().map(|point| (1, *point)).collect();
        of(&[(1, b"queue.length"), (5, &of(&points))])
    };
    let good = point(b"");
    let body = metrics(&[gauge(&[&good, &bad, &good]), gauge(&[&bad]), gauge(&[])]);
    let index = walk_metrics(&body);
    assert_eq!((index.items, index.refused.items), (2, 2));
    let path = "resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[1].attributes[0].key";
    assert_eq!(index.refused.named[0], (path.to_owned(), Fault::Utf8));
    let kept = keep_good(Signal::Metrics, &body, &Limits::default()).unwrap();
    assert_eq!(kept, metrics(&[gauge(&[&good, &good]), gauge(&[])]));
}

#[test]
fn a_fault_outside_its_points_takes_the_whole_metric() {
    let good = of(&[(7, &of(&[(1, &point(b"")), (1, &point(b""))]))]);
    let unnamed = [&of(&[(1, b"\xff")])[..], &good].concat();
    let temporal = of(&[(7, &[&of(&[(1, &point(b""))])[..], b"\x12\x00"].concat())]);
    let empty = of(&[(3, b"\xff")]);
    let cut_off = [&good[..], b"\x0a\x05"].concat();
    let body = metrics(&[unnamed, good.clone(), temporal, empty, cut_off]);
    let index = walk_metrics(&body);
    assert_eq!((index.items, index.refused.items), (2, 2 + 1 + 1 + 2));
    let named: Vec<_> =
        index.refused.named.iter().map(|(path, _)| path.rsplit_once("metrics[").unwrap().1).collect();
    assert_eq!(named, ["0].name", "2].sum.aggregation_temporality", "3].unit", "4].name"]);
    assert_eq!(keep_good(Signal::Metrics, &body, &Limits::default()).unwrap(), metrics(&[good]));
}

#[test]
fn buckets_may_be_packed_or_not_but_not_torn() {
    let histogram = |point: &[u8]| metrics(&[of(&[(9, &of(&[(1, &self::point(point))]))])]);
    let check = |point: &[u8], refused| assert_eq!(walk_metrics(&histogram(point)).refused.items, refused);
    check(&of(&[(6, &[0; 16]), (7, &[0; 8])]), 0);
    check(b"\x31\0\0\0\0\0\0\0\0\x31\0\0\0\0\0\0\0\0", 0);
    check(&of(&[(6, &[0; 15])]), 1);
    let exponential = |point: &[u8]| metrics(&[of(&[(10, &of(&[(1, &self::point(point))]))])]);
    let check = |point: &[u8], refused| assert_eq!(walk_metrics(&exponential(point)).refused.items, refused);
    check(&of(&[(8, &of(&[(2, b"\x01\x80\x01")]))]), 0);
    check(&of(&[(8, b"\x10\x01\x10\x02")]), 0);
    check(&of(&[(8, &of(&[(2, b"\x01\x80")]))]), 1);
}

#[test]
fn a_log_record_with_an_invalid_trace_id_goes_on() {
    let log = |record: &[u8]| {
        let body = of(&[(1, &of(&[(2, &of(&[(2, record)]))]))]);
        let index = walk(Signal::Logs, &body, Detail::Spans, &Limits::default()).unwrap();
        (index.items, index.refused)
    };
    assert_eq!(log(&of(&[(9, &[1; 5]), (10, &[0; 8])])).0, 1);
    assert_eq!(log(b"").0, 1);
    let (items, refused) = log(&of(&[(5, &of(&[(1, b"\xff")]))]));
    let path = "resource_logs[0].scope_logs[0].log_records[0].body.string_value";
    assert_eq!((items, refused.named), (0, vec![(path.to_owned(), Fault::Utf8)]));
}

#[test]
fn log_records_that_belong_to_spans_are_indexed_and_no_others() {
    let (trace, span) = (&[1; 16][..], &[2; 8][..]);
    let named = |name: &[u8]| of(&[(9, trace), (10, span), (12, name)]);
    let attribute = of(&[(1, b"event.name"), (2, &of(&[(1, b"gen_ai.choice")]))]);
    let old = of(&[(6, &attribute), (9, trace), (10, span)]);
    let records = [
        named(b"gen_ai.user.message"),
        named(b"click"),
        old,
        of(&[(12, b"gen_ai.choice")]),
        of(&[(9, trace), (10, &[0; 8]), (12, b"gen_ai.choice")]),
        of(&[(9, trace), (10, &[2; 7]), (12, b"gen_ai.choice")]),
    ];
    let fields: Vec<(u32, &[u8])> = records.iter().map(|record| (2, record.as_slice())).collect();
    let (good, bad) = (of(&fields), of(&[(2, &records[0]), (1, &of(&[(1, b"\xff")]))]));
    let body = of(&[(1, &of(&[(2, &good)])), (1, &of(&[(2, &bad)]))]);
    let index = walk(Signal::Logs, &body, Detail::Spans, &Limits::default()).unwrap();
    assert_eq!((index.items, index.refused.items), (6, 1));
    let notes: Vec<&[u8]> = index.notes.iter().map(|note| note.body.of(&body)).collect();
    assert_eq!(notes, [&records[0][..], &records[2]]);
    assert!(index.notes.iter().all(|note| note.trace.0 == [1; 16] && note.span.0 == [2; 8]));
    let blocks = walk(Signal::Logs, &body, Detail::Blocks, &Limits::default()).unwrap();
    assert_eq!((blocks.items, blocks.notes.len()), (6, 0));
}

#[test]
fn profiles_are_counted_and_not_looked_into() {
    let body = of(&[(1, &of(&[(2, &of(&[(2, b"\xff\xff"), (2, b"")])), (1, b"\xff")])), (2, b"dictionary")]);
    let index = walk(Signal::Profiles, &body, Detail::Blocks, &Limits::default()).unwrap();
    assert_eq!((index.items, index.refused.items, index.resources[0].items), (2, 0, 2));
}

#[test]
fn d08_a_data_point_without_a_time_is_refused_alone() {
    let timed = point(b"");
    for (data, field) in
        [("gauge", 5), ("sum", 7), ("histogram", 9), ("exponential_histogram", 10), ("summary", 11)]
    {
        let zero = b"\x19\0\0\0\0\0\0\0\0".as_slice();
        for untimed in [zero, b"".as_slice()] {
            let body = metrics(&[of(&[(field, &of(&[(1, &timed), (1, untimed)]))])]);
            let index = walk_metrics(&body);
            let path = format!("resource_metrics[0].scope_metrics[0].metrics[0].{data}.data_points[1]");
            assert_eq!((index.items, index.refused.named.as_slice()), (1, &[(path, Fault::PointTime)][..]));
            let kept = keep_good(Signal::Metrics, &body, &Limits::default()).unwrap();
            assert_eq!(kept, metrics(&[of(&[(field, &of(&[(1, &timed)]))])]));
        }
    }
}

#[test]
fn g15_a_string_by_index_is_taken_and_remembered() {
    let by_index = of(&[(9, &[0x18, 5]), (9, &of(&[(1, b"key"), (2, &[0x40, 7])]))]);
    assert_eq!(accepts(span(&by_index)).items, 1);
    assert!(crate::wire::strindex_seen());
}

/// What may stand behind the times of a span: attributes in all shapes, good and bad, and what ends a span; but also,
/// once more, what stands in front of them.
const TAILS: [&[u8]; 15] = [
    b"\x4a\x1d\x0a\x0bhttp.method\x12\x0e\x0a\x0cPOST or GET.",
    b"\x4a\x1d\x0a\x0bhttp.method\x12\x0e\x0a\x0cPOST or PUT.",
    b"\x4a\x0c\x0a\x07user.id\x12\x01\x18",
    b"\x4a\x0e\x0a\x07user.id\x12\x03\x0a\x01x",
    b"\x4a\x09\x0a\x03int\x12\x02\x18\x01",
    b"\x4a\x0a\x0a\x02ar\x12\x04\x2a\x02\x0a\x00",
    b"\x4a\x08\x0a\x01k\x12\x03\x0a\x01\xff",
    "\x4a\x0b\x0a\x01k\x12\x06\x0a\x04über".as_bytes(),
    b"\x7a\x02\x18\x01",
    b"\x85\x01\x01\x03\x00\x00",
    b"\x0a\x101111222233334444",
    b"\x2a\x05other",
    b"\x30\x05",
    b"\x22\x08parent-2",
    b"\x41\0\0\0\0\0\0\0\0",
];

/// A span in the layout all SDKs write.
fn laid_out(id: u8, trace_state: &[u8], parent: bool, name: &[u8], tail: &[u8]) -> Vec<u8> {
    let front = of(&[(1, &[id; 16]), (2, &[id; 8])]);
    let state = if trace_state.is_empty() { Vec::new() } else { of(&[(3, trace_state)]) };
    let parent = if parent { of(&[(4, &[id ^ 1; 8])]) } else { Vec::new() };
    let times = [b"\x30\x03\x39", &[id; 8][..], b"\x41", &[id / 2; 8]].concat();
    [front, state, parent, of(&[(5, name)]), times, tail.to_vec()].concat()
}

const NAMES: [&[u8]; 4] = [b"GET", b"PUT", "größe".as_bytes(), b"GE\xff"];
const STATES: [&[u8]; 4] = [b"", b"", b"es=s:1", b"es=\xff"];

proptest::proptest! {
    /// What stood in a span before is a shortcut and nothing else.
    #[test]
    fn a_span_is_read_among_others_as_by_itself(
        tails in proptest::collection::vec(proptest::collection::vec(0_usize..TAILS.len(), 0..3), 3),
        all in proptest::collection::vec((0_u8..3, 0_usize..4, 0_usize..4, 0_usize..3), 1..12),
    ) {
        let bodies: Vec<Vec<u8>> = all.iter().map(|(id, state, name, tail)| {
            let tail: Vec<&[u8]> = tails[*tail].iter().map(|nth| TAILS[*nth]).collect();
            laid_out(*id, STATES[*state], id % 2 == 0, NAMES[*name], &tail.concat())
        }).collect();
        let request_of = |bodies: &[Vec<u8>]| {
            let body = request(bodies);
            (spans(&body), body)
        };
        let together = request_of(&bodies);
        let alone: Vec<_> = bodies.iter().map(|body| request_of(std::slice::from_ref(body))).collect();
        let seen = |(index, body): &(Index, Vec<u8>)| -> Vec<_> {
            let own = |entry: &SpanEntry| {
                let said = SpanEntry { body: Range::default(), name: Range::default(), ..*entry };
                format!("{:?} {said:?}", entry.name.of(body))
            };
            index.spans.iter().map(own).collect()
        };
        proptest::prop_assert_eq!(seen(&together), alone.iter().flat_map(seen).collect::<Vec<_>>());
        let refused: Vec<u64> = alone.iter().map(|(index, _)| index.refused.items).collect();
        proptest::prop_assert_eq!(together.0.refused.items, refused.iter().sum::<u64>());
        let is_bad = |body: &Vec<u8>| {
            let span = otlp::Span::decode(&body[..]);
            span.map_or(true, |span| span.trace_id == [0; 16] || span.span_id == [0; 8])
        };
        proptest::prop_assert_eq!(refused, bodies.iter().map(|body| is_bad(body).into()).collect::<Vec<u64>>());
    }
}
