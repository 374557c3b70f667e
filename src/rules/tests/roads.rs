//! A key has three roads to its attribute: the register of a key that rules name, a search for one that is worked out,
//! and the list taken apart. All of them lead to the same span, however oddly it is written.

use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::fixture::{frame, rules, shown};
use crate::rules::Context;
use crate::wire::Signal;
use crate::wire::fields::put_len_field;

/// `K` and `L` are keys.
const STATEMENTS: [&str; 14] = [
    "set(attributes[K], \"new\")",
    "set(attributes[K], 7) where attributes[L] == nil",
    "set(attributes[K], attributes[L])",
    "set(attributes[K], true) where attributes[L] >= 3",
    "set(attributes[K], nil)",
    "set(attributes[K], Concat([attributes[L], name, attributes[K]], \"-\"))",
    "set(attributes[K], \"is\") where IsMatch(attributes[L], \"^[a-c]+$\")",
    "set(name, attributes[K]) where attributes[K] != \"\" and not attributes[L] == 1",
    "replace_pattern(attributes[K], \"[a-m]\", \"x\")",
    "replace_match(attributes[K], \"a*\", \"glob\")",
    "delete_key(attributes, K)",
    "delete_matching_keys(attributes, \"^[kl]$\")",
    "keep_keys(attributes, [K, L, \"n\"])",
    "append(attributes[K], attributes[L])",
];
const KEYS: [&str; 5] = ["k", "l", "m", "n", "a.longer.key"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Road {
    Named,
    WorkedOut,
    TakenApart,
}

impl Road {
    /// The key as the statement has it.
    fn key(self, key: &str) -> String {
        if self == Self::WorkedOut { format!("trace_state[\"{key}\"]") } else { format!("\"{key}\"") }
    }
}

/// The body of a KeyValue, in one of the ways that a sender may write it.
fn key_value(key: &str, value: u8, oddly: u8) -> Vec<u8> {
    let mut any = Vec::new();
    match value % 6 {
        0 => put_len_field(1, b"abc", &mut any),
        1 => put_len_field(1, &[b'q'; 150], &mut any),
        2 => any.extend([3 << 3, value / 6]),
        3 => any.extend([2 << 3, 1]),
        4 => put_len_field(5, &[0x0a, 2, 3 << 3, 1], &mut any),
        _ => {}
    }
    let (mut out, mut keyed, mut valued) = (Vec::new(), Vec::new(), Vec::new());
    put_len_field(1, key.as_bytes(), &mut keyed);
    put_len_field(2, &any, &mut valued);
    match oddly {
        // The value first, a key that does not count, and the length of a value longer than it must be.
        0 => out.extend([valued, keyed].concat()),
        1 => {
            put_len_field(1, b"k", &mut out);
            out.extend([keyed, valued].concat());
        }
        2 if any.len() < 0x80 => {
            out.extend(keyed);
            out.extend([0x12, 0x80 | any.len() as u8, 0]);
            out.extend(any);
        }
        _ => out.extend([keyed, valued].concat()),
    }
    out
}

/// The span's attributes, of each key the last, and its name; how many statements matched and failed.
fn ruled(
    statements: &[(usize, usize, usize)],
    span: &[u8],
    road: Road,
) -> (Vec<String>, String, usize, usize) {
    let mut all: Vec<String> = statements
        .iter()
        .map(|&(nth, k, l)| STATEMENTS[nth].replace('K', &road.key(KEYS[k])).replace('L', &road.key(KEYS[l])))
        .collect();
    if road == Road::TakenApart {
        all.insert(0, "limit(attributes, 1000, [])".into());
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let outcome = rules(Some(Context::Span), &all).apply_item(Signal::Traces, span, frame());
    let after = Span::decode(outcome.edits.apply(span).as_slice()).expect("a span");
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in after.attributes {
        pairs.retain(|(key, _)| *key != pair.key);
        pairs.push((pair.key, shown(pair.value.as_ref())));
    }
    pairs.sort();
    let matched = outcome.matched.len() - usize::from(road == Road::TakenApart);
    let pairs = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    (pairs, after.name, matched, outcome.troubles.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn all_roads_to_a_key_lead_to_the_same_span(
        statements in proptest::collection::vec((0..STATEMENTS.len(), 0..KEYS.len(), 0..KEYS.len()), 1..12),
        pairs in proptest::collection::vec((0..KEYS.len(), 0_u8..30, 0_u8..12), 0..8),
    ) {
        let trace_state = KEYS.map(|key| format!("{key}={key}")).join(",");
        let mut span = Span { trace_state, name: "abc".into(), ..Span::default() }.encode_to_vec();
        for (key, value, oddly) in &pairs {
            put_len_field(9, &key_value(KEYS[*key], *value, *oddly), &mut span);
        }
        let named = ruled(&statements, &span, Road::Named);
        for road in [Road::WorkedOut, Road::TakenApart] {
            prop_assert_eq!(&ruled(&statements, &span, road), &named, "{:?}", road);
        }
    }
}
