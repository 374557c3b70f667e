//! What is remembered of earlier items changes nothing but time: items that look like each other get, byte by byte,
//! what each gets by itself.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::prelude::*;
use prost::Message;

use super::fixture::{attributes, frame, int, rules_of, text};
use crate::rules::{Context, ErrorMode, Frame, Group, Outcome, Recalling, Rules, TraceFacts};
use crate::wire::Signal;
use crate::wire::fields::put_len_field;

/// `{K}` and `{L}` are keys.
const STATEMENTS: [&str; 34] = [
    "set(attributes[\"{K}\"], \"new\")",
    "set(attributes[\"{K}\"], 7) where attributes[\"{L}\"] == nil",
    "set(attributes[\"{K}\"], attributes[\"{L}\"])",
    "set(attributes[\"{K}\"], true) where attributes[\"{L}\"] >= 3",
    "set(attributes[\"{K}\"], Concat([attributes[\"{L}\"], name, attributes[\"{K}\"]], \"-\"))",
    "set(attributes[\"{K}\"], \"is\") where IsMatch(attributes[\"{L}\"], \"^[a-c]+$\")",
    "set(name, attributes[\"{K}\"]) where attributes[\"{K}\"] != \"\" and not attributes[\"{L}\"] == 1",
    "set(name, Concat([name, attributes[\"{K}\"]], \"/\")) where kind == SPAN_KIND_CLIENT",
    "replace_pattern(attributes[\"{K}\"], \"[a-m]\", \"x\")",
    "replace_pattern(name, \"[0-9]+\", \"{id}\")",
    "replace_match(attributes[\"{K}\"], \"a*\", \"glob\")",
    "mask(attributes[\"{K}\"], \"[0-9]{3}\")",
    "delete_key(attributes, \"{K}\")",
    "delete_matching_keys(attributes, \"^[{K}{L}]\")",
    "keep_matching_keys(attributes, \"[klm]\")",
    "set(status.code, STATUS_CODE_ERROR) where attributes[\"{K}\"] >= 5",
    "set(status.message, attributes[\"{K}\"])",
    "set(kind, SPAN_KIND_SERVER) where name == \"abc\"",
    "set(trace_state[\"{K}\"], attributes[\"{L}\"])",
    "set(flags, 1) where attributes[\"{K}\"] != nil",
    "set(dropped_attributes_count, 3) where IsRootSpan()",
    "set(attributes[\"{K}\"], resource.attributes[\"{L}\"])",
    "set(attributes[\"{K}\"], instrumentation_scope.name)",
    "set(attributes[\"{K}\"], trace.span_count) where attributes[\"{L}\"] == nil",
    "set(attributes[\"{K}\"], UUID()) where attributes[\"{L}\"] == \"a1\"",
    "set(attributes[\"{K}\"], UnixNano(Now()))",
    "set(attributes[\"{K}\"], Filter([1, 2], (_, v) => v > 1))",
    "set(end_time_unix_nano, start_time_unix_nano) where attributes[\"{K}\"] < 4",
    "set(attributes[\"{K}\"], Int(attributes[\"{L}\"])) where attributes[\"{L}\"] != nil",
    // These fail now and then.
    "set(kind, attributes[\"{K}\"])",
    "set(attributes[\"{K}\"], attributes[\"{L}\"] / attributes[\"{K}\"])",
    // These decide.
    "drop() where attributes[\"{K}\"] == \"a1\"",
    "sample(0.5) where attributes[\"{K}\"] == 3",
    "route(\"a\") where attributes[\"{K}\"] == \"a2\"",
];
const KEYS: [&str; 6] = ["k", "l", "m", "n", "a.longer.key", "other"];

/// Statements and keys, how they are grouped, and what happens when they fail.
type Program = (Vec<(usize, usize, usize)>, usize, bool);

fn compiled((statements, grouped, propagates): &Program) -> Rules {
    let text = |&(nth, k, l): &(usize, usize, usize)| {
        let key = |nth: usize| KEYS.get(nth).copied().unwrap_or_default();
        STATEMENTS.get(nth).copied().unwrap_or_default().replace("{K}", key(k)).replace("{L}", key(l))
    };
    let group = |(nth, some): (usize, &[(usize, usize, usize)])| Group {
        context: Some(Context::Span),
        error_mode: if *propagates { ErrorMode::Propagate } else { ErrorMode::Ignore },
        conditions: if nth % 3 == 2 { vec!["attributes[\"m\"] != \"a3\"".into()] } else { Vec::new() },
        statements: some.iter().map(text).collect(),
        ..Group::default()
    };
    rules_of(&statements.chunks(*grouped).enumerate().map(group).collect::<Vec<_>>())
}

/// A span of one of a few shapes, most of whose values come again.
fn span((shape, values, oddly): &(u8, [u8; 6], u8), nth: usize) -> Vec<u8> {
    let value = |n: &u8| match n % 8 {
        0 => int(i64::from(n / 8)),
        1 => text(&format!("fresh-{nth}-{n}")),
        2 => text("abc"),
        // Such an item is planned in pieces.
        3 if *n > 220 => text(&"a".repeat(4200)),
        _ => text(&format!("a{}", n / 8 % 4)),
    };
    let here = |(at, _): &(usize, _)| shape >> at & 1 == 1;
    let pairs: Vec<_> =
        KEYS.iter().zip(values).enumerate().filter(here).map(|(_, (key, n))| (*key, value(n))).collect();
    let mut span = Span {
        trace_id: vec![if oddly % 5 == 4 { 0 } else { nth as u8 | 1 }; 16],
        span_id: vec![1; 8],
        parent_span_id: if shape & 64 == 0 { Vec::new() } else { vec![2; 8] },
        name: ["abc", "", "GET /user/17"].get(usize::from(values[0] % 3)).copied().unwrap_or_default().into(),
        kind: i32::from(values[1] % 4),
        start_time_unix_nano: nth as u64,
        attributes: attributes(&pairs),
        status: (shape & 128 == 0).then(|| Status { code: i32::from(values[2] % 2), ..Status::default() }),
        flags: u32::from(values[3] % 2) << 8,
        ..Span::default()
    }
    .encode_to_vec();
    match oddly {
        // A key for the second time; a name for the second time; an attribute whose value stands first; a tail.
        0 => put_len_field(9, b"\x0a\x01k\x12\x03\x0a\x01a", &mut span),
        1 => put_len_field(5, b"second", &mut span),
        2 => put_len_field(9, b"\x12\x03\x0a\x01a\x0a\x01k", &mut span),
        3 => put_len_field(15, b"\x18\x02", &mut span),
        4 => span.extend(b"\x0a\x7f"),
        _ => {}
    }
    span
}

/// All that is said of an item, and its bytes afterwards.
fn told(outcome: &Outcome, item: &[u8]) -> String {
    let Outcome { edits, dropped, sampled_out, threshold, parts_dropped, route, matched, troubles } = outcome;
    let left = if *dropped { Vec::new() } else { edits.apply(item) };
    assert_eq!(edits.applied_len(item.len()), edits.apply(item).len());
    let decided = (dropped, sampled_out, threshold, parts_dropped, route, edits.is_empty());
    format!("{decided:?} {matched:?} {troubles:?} {left:x?}")
}

/// Runs both ways on each item; the rules' names are hashed well, or so that nearly all meet.
fn check(rules: &Rules, signal: Signal, items: &[Vec<u8>], joined: bool, weak: bool) {
    let mut recalling = if weak { Recalling::weak(rules, signal) } else { rules.recalling(signal) };
    let facts = TraceFacts { span_count: 3, ..TraceFacts::default() };
    let resources = ["a1", "b"].map(|value| {
        Resource { attributes: attributes(&[("l", text(value))]), ..Resource::default() }.encode_to_vec()
    });
    let scope = InstrumentationScope { name: "scope".into(), ..Default::default() }.encode_to_vec();
    for (nth, item) in items.iter().enumerate() {
        let resource = if nth % 7 == 0 { &resources[0] } else { &resources[1] };
        let trace = joined.then_some(&facts);
        let frame = Frame { resource, scope: &scope, trace, random: nth as u128, now: nth as i64, ..frame() };
        let (long, short) = (rules.apply_item(signal, item, frame), recalling.apply_item(item, frame));
        assert_eq!(told(&short, item), told(&long, item), "item {nth}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn what_is_remembered_makes_the_same_of_every_span(
        statements in proptest::collection::vec((0..STATEMENTS.len(), 0..KEYS.len(), 0..KEYS.len()), 1..12),
        (grouped, propagates, joined, weak) in (1_usize..5, any::<bool>(), any::<bool>(), any::<bool>()),
        shapes in proptest::collection::vec(any::<u8>(), 1..4),
        spans in proptest::collection::vec((any::<u8>(), any::<[u8; 6]>(), 0_u8..60), 1..40),
    ) {
        let rules = compiled(&(statements, grouped, propagates));
        let of = |(nth, (shape, values, oddly)): (usize, &(u8, [u8; 6], u8))| {
            span(&(shapes[usize::from(*shape) % shapes.len()], *values, *oddly), nth)
        };
        let once: Vec<_> = spans.iter().enumerate().map(of).collect();
        // The third time all is known that is to be known.
        check(&rules, Signal::Traces, &[once.clone(), once.clone(), once].concat(), joined, weak);
    }
}

#[test]
fn what_is_remembered_makes_the_same_of_log_records_and_more_than_can_be_kept() {
    let statements = [
        "set(attributes[\"k\"], Concat([severity_text, attributes[\"l\"]], \"-\"))",
        "set(severity_text, \"WARN\") where severity_number >= 13 and IsMatch(body, \"a\")",
        "replace_pattern(attributes[\"l\"], \"[0-9]\", \"n\")",
    ];
    let rules = super::fixture::rules(Some(Context::Log), &statements);
    let record = |n: usize| {
        let pairs = [("l", text(&"7".repeat(n % 400))), (KEYS[n % 5], int(n as i64))];
        let (severity_number, body) =
            (n as i32 % 20, Some(text(if n.is_multiple_of(3) { "abc" } else { "x" })));
        let record =
            LogRecord { severity_number, body, attributes: attributes(&pairs), ..Default::default() };
        record.encode_to_vec()
    };
    let some: Vec<_> = (0..20_000).map(|n| record(n / 3 % 4000)).collect();
    check(&rules, Signal::Logs, &some, false, false);
}
