//! What senders should not be able to do: items made to cost. Each has a defined result, and soon.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use super::fixture::{attributes, check_values, frame, int, list, map, rules, text, timed};
use crate::rules::Context;
use crate::wire::Signal;

/// Far more than any of these takes, even unoptimized on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The troubles of statements about a record with this body and these attributes, and what it has become.
#[track_caller]
fn run(body: AnyValue, pairs: &[(&str, AnyValue)], statements: &[&str]) -> (Vec<String>, LogRecord) {
    let log = LogRecord { body: Some(body), attributes: attributes(pairs), ..Default::default() };
    let bytes = log.encode_to_vec();
    let rules = rules(Some(Context::Log), statements);
    let ((outcome, after), took) = timed(|| {
        let outcome = rules.apply_item(Signal::Logs, &bytes, frame());
        let after = outcome.edits.apply(&bytes);
        (outcome, after)
    });
    assert!(took < SOON, "{statements:?} took {took:?}");
    let troubles = outcome.troubles.iter().map(|(_, trouble)| trouble.to_string());
    (troubles.collect(), LogRecord::decode(after.as_slice()).expect("still a record"))
}

const LONG: usize = 1 << 20;

#[test]
fn strings_of_a_megabyte_cost_a_moment() {
    let long = "a".repeat(LONG);
    for statement in [
        r#"set(attributes["x"], "hit") where IsMatch(body, "^(a+)+$")"#,
        r#"set(attributes["x"], "hit") where not IsMatch(body, "(a|aa)+b|(a*)*c")"#,
        r#"set(attributes["x"], Len(ExtractPatterns(body, "(?P<all>(a|a?)+)")))"#,
        r#"set(attributes["x"], ToSnakeCase(body))"#,
        r#"set(attributes["x"], Len(Split(body, "")))"#,
        r#"set(attributes["x"], SHA256(body))"#,
        r#"set(attributes["x"], Hex(body))"#,
        r#"replace_pattern(body, "a", "b")"#,
        r#"replace_match(body, "*a*a*a*a*b*", "x")"#,
        r#"mask(body, "secrets")"#,
        r#"set(attributes["x"], URL(body)["url.path"])"#,
        r#"set(attributes["x"], UserAgent(body)["user_agent.name"])"#,
        r#"set(attributes["x"], ParseSimplifiedXML(body))"#,
        r#"set(attributes["x"], Len(ParseCSV(body, "one")))"#,
    ] {
        assert_eq!(run(text(&long), &[], &[statement]).0, [""; 0], "{statement}");
    }
}

#[test]
fn results_that_would_grow_too_long_are_troubles() {
    let long = "a".repeat(LONG);
    for (statement, told) in [
        (r#"replace_pattern(body, "a", "0123456789")"#, "longer than"),
        (r#"set(body, Concat([body, body, body, body, body], ""))"#, "longer than"),
        (r#"set(attributes["x"], Format("%s%s%s%s%s", [body, body, body, body, body]))"#, ""),
        (r#"set(attributes["x"], ParseKeyValue(body))"#, "aaaaaaaa…"),
        (r#"set(attributes["x"], IsInCIDR(body, ["10.0.0.0/8"]))"#, "aaaaaaaa…"),
        (r#"set(attributes["x"], ParseJSON(body))"#, "not JSON"),
        (r#"set(attributes["x"], Time(body, "%Y"))"#, "is not a time"),
    ] {
        let (troubles, _) = run(text(&long), &[], &[statement]);
        if told.is_empty() {
            continue;
        }
        assert!(troubles.len() == 1 && troubles[0].contains(told), "{statement}: {troubles:?}");
        assert!(troubles[0].len() < 1200, "{statement} quotes {} bytes", troubles[0].len());
    }
}

#[test]
fn a_secret_goes_even_where_its_mask_would_be_too_long() {
    let (troubles, after) = run(text(&"a".repeat(LONG)), &[], &[r#"mask(body, "[a]", "0123456789")"#]);
    assert_eq!((troubles, super::fixture::shown(after.body.as_ref())), (vec![], "\"0123456789\"".into()));
}

#[test]
fn many_keys_cost_a_moment() {
    let many: Vec<(String, AnyValue)> = (0..50_000).map(|n| (format!("k{n}"), int(n))).collect();
    let pairs: Vec<(&str, AnyValue)> =
        many.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let names = list(many.iter().map(|(key, _)| text(key)).collect());
    let with_names = [("names", names)];
    for statement in [
        r#"merge_maps(attributes, body, "upsert")"#,
        r#"merge_maps(body, body, "update")"#,
        r#"set(attributes["x"], "same") where body == body"#,
        r#"keep_keys(body, attributes["names"])"#,
        r#"limit(body, 60000, attributes["names"])"#,
        r#"flatten(body)"#,
        r#"set(attributes["x"], Len(MapKeys(body, (k, _) => Concat(["x", k], ""))))"#,
        r#"replace_all_patterns(body, "key", "k", "key")"#,
    ] {
        assert_eq!(run(map(&pairs), &with_names, &[statement]).0, [""; 0], "{statement}");
    }
    let line: String = (0..50_000).map(|n| format!("k{n}=v ")).collect();
    assert_eq!(run(text(&line), &[], &[r#"set(body, ParseKeyValue(body))"#]).0, [""; 0]);
}

/// A value in so many maps.
fn nested(levels: usize) -> AnyValue {
    (0..levels).fold(int(1), |value, _| map(&[("k", value)]))
}

#[test]
fn deep_values_are_read_moved_and_not_made_deeper() {
    let deep = [("deep", nested(30))];
    let fine = r#"set(attributes["copy"], attributes["deep"])"#;
    assert_eq!(run(int(1), &deep, &[fine]).0, [""; 0]);
    assert_eq!(run(int(1), &deep, &[r#"set(attributes["s"], String(attributes["deep"]))"#]).0, [""; 0]);
    assert_eq!(
        run(int(1), &deep, &[r#"set(attributes["same"], 1) where attributes["deep"] == attributes["deep"]"#])
            .0
            .len(),
        0
    );
    let too_deep = "OTLP has no place for a value nested deeper than 30 levels";
    for statement in [
        r#"set(attributes["x"], [attributes["deep"]])"#,
        r#"set(attributes["a"]["b"], attributes["deep"])"#,
        r#"set(body, {"a": attributes["deep"]})"#,
        r#"append(attributes["list"], attributes["deep"])"#,
        r#"merge_maps(attributes["map"], {"a": attributes["deep"]}, "upsert")"#,
        r#"set(attributes["x"], ParseJSON(Concat(["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"], "")))"#,
    ] {
        let statements = [r#"set(attributes["map"], {})"#, statement, r#"set(attributes["next"], 1)"#];
        let (troubles, after) = run(int(1), &deep, &statements);
        assert!(troubles.len() == 1 && troubles[0].ends_with(too_deep), "{statement}: {troubles:?}");
        // The statements around it are carried out.
        assert!(after.attributes.iter().any(|kv| kv.key == "next"), "{statement}");
    }
    let many = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let (troubles, _) = run(text(&many), &[], &[r#"set(body, ParseJSON(body))"#]);
    assert_eq!(troubles, ["ParseJSON: JSON nested deeper than 64 levels"]);
}

#[test]
fn long_keys_of_deep_maps_are_not_multiplied() {
    let key = "k".repeat(100_000);
    let inner: Vec<(String, AnyValue)> = (0..1000).map(|n| (n.to_string(), int(n))).collect();
    let inner: Vec<(&str, AnyValue)> =
        inner.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let (troubles, after) = run(map(&[(&key, map(&inner))]), &[], &["flatten(body)"]);
    assert_eq!(troubles, ["flatten: the keys would be longer than 4194304 bytes"]);
    assert_eq!(after.body, Some(map(&[(&key, map(&inner))])));
}

#[test]
fn times_have_no_place_however_they_come() {
    let place = "OTLP has no place for a time (store `UnixNano(…)` or `FormatTime(…)` of it)";
    for statement in [
        r#"append(attributes["list"], Now())"#,
        r#"set(attributes["x"], {"t": Now()})"#,
        r#"set(attributes, {"t": Now()})"#,
        r#"merge_maps(attributes, {"t": Now()}, "upsert")"#,
        r#"set(attributes["x"], MapEach([1], (_, _) => Now()))"#,
    ] {
        let (troubles, after) = run(int(1), &[("a", int(1))], &[r#"set(attributes["b"], 2)"#, statement]);
        assert!(troubles.len() == 1 && troubles[0].ends_with(place), "{statement}: {troubles:?}");
        assert_eq!(after.attributes, attributes(&[("a", int(1)), ("b", int(2))]), "{statement}");
    }
    // The cache is no part of the item.
    let cached = [
        r#"set(cache["t"], Now())"#,
        r#"merge_maps(cache, {"u": Now()}, "upsert")"#,
        r#"set(body, UnixNano(cache["u"]))"#,
    ];
    assert_eq!(run(int(1), &[], &cached).0, [""; 0]);
}

#[test]
fn what_has_no_result_is_told() {
    check_values(&[
        ("1 / dropped_attributes_count", "trouble: division by zero"),
        (r#"attributes["price"] / 0.0"#, "trouble: division by zero"),
        (r#"attributes["name"] + 1"#, "trouble: a string and an integer do not calculate with `+`"),
        (r#"attributes["none"] * 2"#, "trouble: nil and an integer do not calculate with `*`"),
        (r#"attributes["none"]["deeper"]["still"]"#, "nil"),
        (r#"attributes["name"]["x"]"#, "trouble: a string can not be looked into by the key `x`"),
        (r#"attributes["list"]["x"]"#, "trouble: a list can not be looked into by the key `x`"),
        (r#"attributes["map"][0]"#, "trouble: a map can not be looked into by the index 0"),
        (r#"attributes["list"][-1]"#, "trouble: index -1 is outside a list of 3"),
        (
            r#"attributes[attributes["list"]]"#,
            "trouble: wanted a string or an integer as the key, found a list",
        ),
        (r#"Len(attributes["none"])"#, "trouble: Len: wanted a string, a list or a map, found nil"),
        (
            r#"Substring(attributes["name"], 5, 9223372036854775807)"#,
            "trouble: Substring: 9223372036854775807 bytes from 5 are not in a string of 14",
        ),
        (r#"time - Duration("2562047h") - Duration("2562047h")"#, "trouble: a time outside 1677 to 2262"),
    ]);
}

#[test]
fn a_statement_that_fails_leaves_a_body_bit_for_bit_however_it_is_written() {
    // An AnyValue of bytes, behind a field that nobody knows.
    let record = [&[0x2a, 6][..], &[0x78, 1], &[0x3a, 2, 0xff, 0xfe]].concat();
    let rules = rules(Some(Context::Log), &[r#"set(log.body["k"], 1)"#, r#"set(log.body[0]["k"], 1)"#]);
    let outcome = rules.apply_item(Signal::Logs, &record, frame());
    assert_eq!(outcome.troubles.len(), 2, "{outcome:?}");
    assert!(outcome.edits.is_empty(), "{outcome:?}");
}
