//! Lambdas and the converters that run them, from what OTTL's documentation says of them.

use super::fixture::{check_values, frame, group, rules, timed, value_of};
use crate::rules::{Context, Rules};
use crate::wire::Signal;

#[test]
fn predicates_are_asked_of_every_element() {
    check_values(&[
        (r#"All(attributes["list"], (_, v) => v > 0)"#, "true"),
        (r#"All(attributes["list"], (i, v) => v > 1 and i < 9)"#, "false"),
        (r#"All(attributes["map"], (k, _) => Len(k) == 1)"#, "true"),
        (r#"All([], (_, v) => v == "prod")"#, "true"),
        (r#"Any(attributes["list"], (_, v) => v == 2)"#, "true"),
        (r#"Any(attributes["map"], (k, v) => HasPrefix(k, "b") and v == 3)"#, "false"),
        (r#"Any({}, (k, _) => true)"#, "false"),
        (r#"Filter(attributes["list"], (_, v) => v != 1)"#, "[3,2]"),
        (r#"Filter(attributes["list"], (i, _) => i == 0)"#, "[3]"),
        (r#"Filter(attributes["map"], (_, v) => IsString(v))"#, r#"{a:"x y"}"#),
        (r#"Filter(attributes["map"], (k, _) => k == "none")"#, "{}"),
        (r#"Find(attributes["list"], (_, v) => v < 3)"#, "1"),
        (r#"Find(attributes["list"], (_, v) => v > 3)"#, "nil"),
        (r#"Find(attributes["map"], (_, v) => v == 2, (k, _) => k)"#, "\"b\""),
        (r#"Find(attributes["map"], (k, _) => k == "b", mapper=(_, v) => String(v))"#, "\"2\""),
    ]);
}

#[test]
fn elements_are_changed_and_folded() {
    check_values(&[
        (r#"MapEach(attributes["list"], (_, v) => v * 2)"#, "[6,2,4]"),
        (
            r#"MapEach(attributes["list"], (i, v) => {"i": i, "v": [v]})"#,
            "[{i:0,v:[3]},{i:1,v:[1]},{i:2,v:[2]}]",
        ),
        (r#"MapEach(attributes["map"], (k, v) => Concat([k, v], "="))"#, r#"{b:"b=2",a:"a=x y"}"#),
        (r#"MapEach([], (_, v) => v)"#, "[]"),
        (r#"MapKeys(attributes["map"], (k, _) => Concat(["http.", k], ""))"#, r#"{http.b:2,http.a:"x y"}"#),
        (r#"MapKeys({"a": 1, "b": 2}, (_, _) => "same")"#, "{same:2}"),
        (r#"Reduce(attributes["list"], 0, (sum, _, v) => sum + v)"#, "6"),
        (r#"Reduce({"a": 1, "b": 2}, "", (all, k, v) => Concat([all, k, "=", v, ";"], ""))"#, "\"a=1;b=2;\""),
        (r#"Reduce([], "seed", (sum, _, v) => sum)"#, "\"seed\""),
        (r#"When(() => IsMap(attributes["map"]), "map", "none")"#, "\"map\""),
        (r#"When(() => severity_number > 9, "bad", severity_text)"#, "\"INFO\""),
        // What is not chosen is not worked out.
        (r#"When(() => false, 1 / dropped_attributes_count, 2)"#, "2"),
    ]);
}

#[test]
fn parameters_hide_paths_and_outer_ones_stay_seen() {
    check_values(&[
        (r#"MapEach([1, 2], (_, body) => body + 1)"#, "[2,3]"),
        (r#"MapEach([1, 2], (log, _) => log)"#, "[0,1]"),
        (r#"Filter([1, 2, 3], (_, v) => Any([2, 3], (_, w) => v == w))"#, "[2,3]"),
        (r#"MapEach([1, 2], (_, v) => Reduce([10, 20], v, (v, _, w) => v + w))"#, "[31,32]"),
        (r#"MapEach([{"a": ["x", "y"]}], (_, v) => v["a"][1])"#, "[\"y\"]"),
        (r#"MapEach([1, 2], (i, v) => attributes["list"][i])"#, "[3,1]"),
        (r#"MapEach([1], (_, v) => When(() => v == 1, "one", "other"))"#, "[\"one\"]"),
    ]);
}

#[test]
fn what_a_lambda_can_not_do_is_a_trouble() {
    check_values(&[
        (r#"Filter(body, (_, v) => true)"#, "trouble: Filter: wanted a list or a map, found a string"),
        (
            r#"Filter(attributes["list"], (_, v) => v)"#,
            "trouble: Filter: wanted a boolean from the lambda, found an integer",
        ),
        (
            r#"MapKeys(attributes["map"], (_, v) => v)"#,
            "trouble: MapKeys: wanted a string from the lambda, found an integer",
        ),
        (r#"MapEach(attributes["list"], (_, v) => v / 0)"#, "trouble: MapEach: division by zero"),
        (r#"Any([1], (_, v) => v == 1)["x"]"#, "mistake: `Any` gives a boolean, which has no parts"),
    ]);
}

#[test]
fn mistakes_in_lambdas_are_told_beforehand() {
    check_values(&[
        (
            r#"Filter([1], (v) => v > 0)"#,
            "mistake: `predicate` of `Filter` has 2 parameters, not 1; name those it does not need `_`",
        ),
        (r#"When((v) => v, 1, 2)"#, "mistake: `condition` of `When` has 0 parameters, not 1"),
        (
            r#"Filter([1], "x")"#,
            "mistake: `predicate` of `Filter` is a lambda, like `(key, value) => …`, not a string",
        ),
        (r#"Filter([1], (v, v) => v)"#, "mistake: two parameters are called `v`"),
        (
            r#"Filter([1], (_, _) => _ == 1)"#,
            "mistake: `_` is the parameter that is not looked at; give it a name",
        ),
        (
            r#"Filter([1], (_, v) => v.name == "x")"#,
            "mistake: `.` leads nowhere from a parameter; write `v[\"name\"]`",
        ),
        (r#"Filter([1], (_, v) => "x")"#, "mistake: `predicate` of `Filter` gives a boolean, not a string"),
        (r#"Filter([1], (_, nil) => true)"#, "mistake: expected a parameter's name, found `nil`"),
        (
            r#"Len((_, v) => v)"#,
            "mistake: a lambda is no value; it stands where a function runs it, like `Filter(tags, (_, v) => v != \"\")`",
        ),
        (r#"MapEach([1], (_, v) => bod)"#, "mistake: `log` has no `bod`; did you mean `body`?"),
    ]);
}

#[test]
fn a_context_is_not_inferred_from_a_parameter() {
    let named =
        rules(None, &[r#"set(log.attributes["x"], Filter(log.attributes, (span, _) => span == "a"))"#]);
    assert!(named.has(Signal::Logs) && !named.has(Signal::Traces));
    // A predicate may be all of a condition.
    let asked = rules(
        None,
        &[r#"drop() where not All(span.attributes, (k, _) => k != "tags") or Any([], (_, _) => true)"#],
    );
    use prost::Message;
    let bytes = super::fixture::span().encode_to_vec();
    assert!(asked.apply_item(Signal::Traces, &bytes, frame()).dropped);
    let aimless = Rules::compile(&[group(None, &[r#"set(x, Any([1], (span, _) => span == 1))"#])]);
    assert!(aimless.is_err());
}

/// A list of so many numbers in the body, and what becomes of it.
fn on_a_long_list(count: usize, statement: &str) -> (Vec<String>, std::time::Duration) {
    use prost::Message;
    let values = (0..count as i64).map(super::fixture::int).collect();
    let log = opentelemetry_proto::tonic::logs::v1::LogRecord {
        body: Some(super::fixture::list(values)),
        ..Default::default()
    };
    let bytes = log.encode_to_vec();
    let rules = rules(Some(Context::Log), &[statement]);
    let (outcome, took) = timed(|| rules.apply_item(Signal::Logs, &bytes, frame()));
    (outcome.troubles.iter().map(|(_, trouble)| trouble.to_string()).collect(), took)
}

#[test]
fn a_lambda_over_a_long_list_ends() {
    let plain = r#"set(attributes["x"], Filter(body, (_, v) => v > 5))"#;
    assert_eq!(on_a_long_list(100_000, plain).0, [""; 0]);
    for (statement, told) in [
        // Every element looks at all others.
        (
            r#"set(attributes["x"], Filter(body, (_, v) => Any(body, (_, w) => w == -1)))"#,
            "lambdas and whole messages",
        ),
        // Every step copies what all before it made.
        (
            r#"set(attributes["x"], Reduce(body, "", (all, _, v) => Concat([all, "0123456789"], "")))"#,
            "lambdas and whole messages",
        ),
        (
            r#"set(attributes["x"], Reduce(body, [], (all, _, v) => [all, all]))"#,
            "lambdas and whole messages",
        ),
        (r#"set(attributes["x"], Reduce(body, [], (all, _, v) => [all]))"#, "nested deeper than 64 levels"),
    ] {
        let (troubles, took) = on_a_long_list(50_000, statement);
        assert!(troubles.len() == 1 && troubles[0].contains(told), "{statement}: {troubles:?}");
        assert!(took.as_secs() < 20, "{statement} took {took:?}");
    }
    assert_eq!(value_of("MapEach([1], (_, v) => v)"), "[1]");
}
