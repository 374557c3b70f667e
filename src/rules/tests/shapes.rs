//! The statements that stand in most configurations, in both ways of writing them.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use super::fixture::{frame, log, rules, run, shown, shown_map, span};
use crate::rules::Context;
use crate::wire::Signal;

#[track_caller]
fn span_name(statement: &str, expect: &str) {
    assert_eq!(run(&rules(None, &[statement]), &span()).name, expect, "{statement}");
}

#[track_caller]
fn span_key(statement: &str, key: &str, expect: &str) {
    let after = run(&rules(None, &[statement]), &span());
    let value = after.attributes.iter().find(|kv| kv.key == key).and_then(|kv| kv.value.as_ref());
    assert_eq!(shown(value), expect, "{statement}");
}

#[test]
fn spans_as_everybody_edits_them() {
    span_key(r#"set(span.attributes["env"], "prod")"#, "env", "\"prod\"");
    span_key(
        r#"set(span.attributes["e"], true) where span.attributes["http.status_code"] >= 400"#,
        "e",
        "true",
    );
    span_key(
        r#"set(span.attributes["x"], span.attributes["http.method"]) where span.attributes["x"] == nil"#,
        "x",
        "\"GET\"",
    );
    span_key(r#"delete_key(span.attributes, "http.method")"#, "http.method", "nil");
    span_key(r#"delete_matching_keys(span.attributes, "^http\\..*")"#, "http.status_code", "nil");
    span_key(r#"keep_keys(span.attributes, ["http.method"])"#, "tags", "nil");
    span_key(r#"set(span.attributes["d"], Milliseconds(span.end_time - span.start_time))"#, "d", "1500");
    span_key(r#"set(span.attributes["s"], String(span.attributes["http.status_code"]))"#, "s", "\"404\"");
    span_key(r#"replace_match(span.attributes["http.method"], "G*", "READ")"#, "http.method", "\"READ\"");
    span_key(r#"set(span.attributes["hash"], SHA256(span.name)) where IsString(span.name)"#, "none", "nil");
    span_name(r#"replace_pattern(span.name, "/user/\\d+", "/user/{id}")"#, "GET /user/{id}");
    span_name(
        r#"set(span.name, Concat([span.attributes["http.method"], "x"], " ")) where IsMatch(span.name, "^GET ")"#,
        "GET x",
    );
    span_name(
        r#"set(span.name, "slow") where span.end_time_unix_nano - span.start_time_unix_nano > 1000000000"#,
        "slow",
    );
    let after = run(
        &rules(
            None,
            &["set(span.status.code, STATUS_CODE_OK) where span.attributes[\"http.status_code\"] == 404"],
        ),
        &span(),
    );
    assert_eq!(after.status.map(|status| status.code), Some(1));
    let limited =
        run(&rules(None, &["limit(span.attributes, 2, [])", "truncate_all(span.attributes, 1)"]), &span());
    assert_eq!(shown_map(&limited.attributes), r#"{http.method:"G",http.status_code:404}"#);
}

#[test]
fn logs_as_everybody_parses_them() {
    let record = |statements: &[&str]| {
        let rules = rules(Some(Context::Log), statements);
        let bytes = log().encode_to_vec();
        let outcome = rules.apply_item(Signal::Logs, &bytes, frame());
        assert_eq!(outcome.troubles, [], "{statements:?}");
        LogRecord::decode(outcome.edits.apply(&bytes).as_slice()).unwrap()
    };
    let merged = record(&[
        "merge_maps(cache, ParseJSON(body), \"upsert\") where IsMatch(body, \"^\\\\{\")",
        "set(attributes[\"user.name\"], cache[\"user\"])",
        "keep_keys(attributes, [\"user.name\"])",
    ]);
    assert_eq!(shown_map(&merged.attributes), r#"{user.name:"ann"}"#);
    let flat = record(&[
        "merge_maps(attributes, ParseJSON(body), \"insert\")",
        "keep_matching_keys(attributes, \"^(user|id)$\")",
    ]);
    assert_eq!(shown_map(&flat.attributes), r#"{user:"ann",id:7.0}"#);
    let level = record(&["set(severity_number, SEVERITY_NUMBER_ERROR) where IsMatch(body, \"(?i)ann\")"]);
    assert_eq!(level.severity_number, 17);
    let extracted = record(&[
        "merge_maps(attributes, ExtractPatterns(body, \"\\\"id\\\":(?P<id>\\\\d+)\"), \"upsert\")",
        "keep_keys(attributes, [\"id\"])",
    ]);
    assert_eq!(shown_map(&extracted.attributes), r#"{id:"7"}"#);
    let masked = record(&["replace_all_patterns(attributes, \"value\", \"two\", \"***\")"]);
    assert!(shown_map(&masked.attributes).contains("*** words"));
}
