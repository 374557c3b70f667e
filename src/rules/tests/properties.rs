//! What holds for every input: nothing panics, and what no rule names stays bit for bit.

use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::fixture::{attributes, frame, int, rules, span, text};
use crate::rules::{Context, Rules};
use crate::wire::Signal;

/// One of everything, in each context.
fn everything() -> Vec<(Signal, Rules)> {
    let maps = [
        "set(attributes[\"a\"][\"b\"], 1)",
        "merge_maps(attributes, {\"k\": [1, {\"l\": nil}]}, \"upsert\")",
        "replace_all_patterns(attributes, \"value\", \"[a-z]+\", \"x$0\")",
        "truncate_all(attributes, 7)",
        "mask(attributes, \"secrets\")",
        "set(cache[\"all\"], attributes)",
        "stringify_all(attributes)",
        "flatten(attributes)",
        "delete_matching_keys(attributes, \"^x\")",
        "limit(attributes, 3, [])",
        "set(attributes[\"n\"], Len(cache[\"all\"]))",
    ];
    let spans =
        ["set(name, \"n\")", "set(status.message, name)", "set(trace_state[\"k\"], \"v\")", "set(kind, 1)"];
    let logs =
        ["set(body, ParseJSON(body))", "set(body[\"x\"][\"y\"], body.string)", "set(severity_number, 1)"];
    let metrics = ["set(name, unit)", "set(is_monotonic, true)", "set(aggregation_temporality, 1)"];
    let points = ["set(value_double, 1.5)", "set(attributes[\"c\"], count)", "set(flags, 1)"];
    let of = |context, own: &[&str]| rules(Some(context), &[own, &maps].concat());
    vec![
        (Signal::Traces, of(Context::Span, &spans)),
        (Signal::Traces, of(Context::SpanEvent, &["set(name, span.name)", "set(time_unix_nano, 1)"])),
        (Signal::Logs, of(Context::Log, &logs)),
        (Signal::Metrics, rules(Some(Context::Metric), &metrics)),
        (Signal::Metrics, of(Context::DataPoint, &points)),
    ]
}

/// Statements on a span and the one field each may change.
const STATEMENTS: [(u32, &str); 12] = [
    (3, "set(trace_state[\"k\"], \"v\")"),
    (4, "set(parent_span_id, SpanID(0x0102030405060708))"),
    (5, "replace_pattern(name, \"[a-z]\", \"x\")"),
    (6, "set(kind, SPAN_KIND_CLIENT) where kind != SPAN_KIND_CLIENT"),
    (7, "set(start_time_unix_nano, end_time_unix_nano)"),
    (8, "set(end_time_unix_nano, 5)"),
    (9, "set(attributes[\"new\"], Concat([name, \"x\"], \"-\"))"),
    (9, "truncate_all(attributes, 3)"),
    (9, "delete_matching_keys(attributes, \".\")"),
    (10, "set(dropped_attributes_count, 9)"),
    (15, "set(status.message, \"gone\")"),
    (15, "set(status.code, STATUS_CODE_ERROR)"),
];

proptest! {
    #[test]
    fn no_bytes_make_a_rule_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..400,
    ) {
        let mut broken = span().encode_to_vec();
        let at = at.min(broken.len());
        broken.splice(at..(at + noise.len()).min(broken.len()), noise.iter().copied());
        for (signal, rules) in everything() {
            for bytes in [&noise, &broken] {
                let outcome = rules.apply_item(signal, bytes, frame());
                let _ = outcome.edits.apply(bytes);
            }
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "set(", "delete_key(", "replace_pattern(", "mask(", "span.", "attributes", "[\"k\"]", "name", ", ", ")",
            " where ", "==", " and ", "not ", "\"a(\"", "\"b\"", "1", "Concat(", "Time(", "ParseInt(", "SHA256",
            "[", "]", "{", "}", "nil", "+", "/", "0", "resource.", "cache", "ExtractGrokPatterns(", "\"%{IP}\"",
        ]), 0..16)
    ) {
        let text = words.concat();
        for context in [None, Some(Context::Span)] {
            let _ = Rules::compile(&[super::fixture::group(context, &[&text])]).map_err(|mistakes| {
                mistakes.iter().for_each(|mistake| drop(mistake.to_string()));
            });
        }
    }

    /// Any list of statements, each about one field, on a span that has all of them: the fields no statement names
    /// are the very same bytes, in their order.
    #[test]
    fn any_statements_leave_the_fields_they_do_not_name_bit_for_bit(
        picked in proptest::collection::vec(0..STATEMENTS.len(), 0..8),
        unknown in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        use crate::wire::fields::Fields;
        let mut bytes = span().encode_to_vec();
        crate::wire::fields::put_len_field(99, &unknown, &mut bytes);
        let statements: Vec<&str> = picked.iter().map(|at| STATEMENTS[*at].1).collect();
        let named: Vec<u32> = picked.iter().map(|at| STATEMENTS[*at].0).collect();
        let rules = rules(Some(Context::Span), &statements);
        let after = rules.apply_item(Signal::Traces, &bytes, frame()).edits.apply(&bytes);
        let others = |message: &[u8]| {
            let (mut fields, mut all) = (Fields::of(message), Vec::new());
            while let Some((field, raw)) = fields.next_raw() {
                if !named.contains(&field.number) {
                    all.push(raw.to_vec());
                }
            }
            all
        };
        prop_assert_eq!(others(&after), others(&bytes), "{:?}", statements);
    }

    #[test]
    fn what_is_not_named_stays_bit_for_bit(
        name in "[a-z]{0,200}",
        values in proptest::collection::vec(("[a-z]{1,8}", any::<i64>()), 0..8),
        unknown in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let pairs: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), int(*value))).collect();
        let before = Span { name, attributes: attributes(&pairs), ..span() };
        let mut bytes = before.encode_to_vec();
        // A field nobody knows, and a length that is longer than it must be.
        crate::wire::fields::put_len_field(99, &unknown, &mut bytes);
        bytes.extend([0x8a, 0x01, 0x80, 0x00]);
        let rules = rules(Some(Context::Span), &["set(attributes[\"NEW\"], \"x\")", "delete_key(attributes, \"NONE\")"]);
        let after = rules.apply_item(Signal::Traces, &bytes, frame()).edits.apply(&bytes);
        let mut unique: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() == pairs.len() {
            prop_assert_eq!(&after[..bytes.len()], &bytes[..], "all that was there is still there");
            let mut new = Vec::new();
            let attr = crate::wire::attr::Attr { key: b"NEW", value: crate::wire::attr::Value::Str(b"x") };
            attr.put(9, &mut new);
            prop_assert_eq!(&after[bytes.len()..], &new[..]);
        }
        let mut expect = Span { attributes: Vec::new(), ..before };
        let mut got = Span::decode(&after[..]).unwrap();
        got.attributes.clear();
        expect.attributes.clear();
        prop_assert_eq!(got, expect);
    }
}

#[test]
fn an_item_that_no_rule_changes_has_no_edits() {
    let rules = rules(
        Some(Context::Span),
        &[
            "set(name, \"x\") where kind == 5",
            "delete_key(attributes, \"none\")",
            "keep_matching_keys(attributes, \".\")",
            "replace_all_patterns(attributes, \"value\", \"none\", \"x\")",
            "truncate_all(attributes, 1000)",
            "set(attributes[\"a\"], attributes[\"none\"])",
            "mask(attributes, \"secrets\")",
        ],
    );
    let bytes = span().encode_to_vec();
    let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
    assert!(outcome.edits.is_empty(), "{:?}", outcome.edits);
}

#[test]
fn large_inputs_and_patterns_that_explode_elsewhere_end() {
    let long = "a".repeat(1 << 20);
    let before = Span { attributes: attributes(&[("x", text(&long))]), ..span() };
    let bytes = before.encode_to_vec();
    let rules = rules(
        Some(Context::Span),
        &[
            "set(name, \"hit\") where IsMatch(attributes[\"x\"], \"^(a+)+$\")",
            "replace_pattern(attributes[\"x\"], \"a\", \"0123456789\")",
            "set(name, \"miss\") where IsMatch(attributes[\"x\"], \"(a|aa)+b\")",
        ],
    );
    let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
    assert_eq!(outcome.troubles.len(), 1, "{:?}", outcome.troubles);
    assert!(outcome.troubles[0].1.to_string().contains("longer than"));
    assert_eq!(outcome.matched.as_slice(), [0]);
}

#[test]
fn many_keys_are_taken_away_in_linear_time() {
    let keys: Vec<String> = (0..50_000).map(|nth| format!("key.{nth}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), int(1))).collect();
    let before = Span { attributes: attributes(&pairs), ..span() };
    let rules =
        rules(Some(Context::Span), &["keep_keys(attributes, [\"key.7\"])", "set(attributes[\"key.8\"], 2)"]);
    let after = super::fixture::run(&rules, &before);
    assert_eq!(super::fixture::shown_map(&after.attributes), "{key.7:1,key.8:2}");
}
