//! Each editor with a statement and what the span's attributes are after it.

use super::fixture::{rules, run, shown_map, span};
use crate::rules::Context;

const BEFORE: &str =
    r#"{http.method:"GET",http.status_code:404,tags:["a","b","c"],nested:{x:1,y:{z:"deep"}},empty:""}"#;

#[track_caller]
fn check(statement: &str, expect: &str) {
    let after = run(&rules(Some(Context::Span), &[statement]), &span());
    assert_eq!(shown_map(&after.attributes), expect, "{statement}");
}

/// Only some keys, to keep the tables short.
#[track_caller]
fn check_key(statements: &[&str], key: &str, expect: &str) {
    let after = run(&rules(Some(Context::Span), statements), &span());
    let value = after.attributes.iter().find(|kv| kv.key == key).and_then(|kv| kv.value.as_ref());
    assert_eq!(super::fixture::shown(value), expect, "{statements:?}");
}

#[test]
fn set_writes_what_is_there_and_leaves_nil_out() {
    check_key(&[r#"set(attributes["new"], 1)"#], "new", "1");
    check_key(&[r#"set(attributes["http.method"], "PUT")"#], "http.method", "\"PUT\"");
    check_key(&[r#"set(attributes["http.method"], attributes["none"])"#], "http.method", "\"GET\"");
    check_key(&[r#"set(attributes["nested"]["y"]["z"], [1])"#], "nested", "{x:1,y:{z:[1]}}");
    check_key(
        &[r#"set(attributes["nested"]["w"]["v"], true)"#],
        "nested",
        r#"{x:1,y:{z:"deep"},w:{v:true}}"#,
    );
    check_key(&[r#"set(attributes["tags"][1], "B")"#], "tags", r#"["a","B","c"]"#);
    check_key(&[r#"set(attributes["l"][1], "x")"#], "l", r#"[nil,"x"]"#);
    check_key(&[r#"set(attributes[Concat(["http", "x"], ".")], name)"#], "http.x", "\"GET /user/17\"");
    check("set(attributes, {\"only\": nested})".replace("nested", "1").as_str(), "{only:1}");
}

#[test]
fn later_statements_see_what_earlier_ones_wrote() {
    check_key(&[r#"set(attributes["a"], 1)"#, r#"set(attributes["a"], attributes["a"] + 1)"#], "a", "2");
    check_key(&[r#"set(name, "x")"#, r#"set(attributes["a"], name)"#], "a", "\"x\"");
    check_key(
        &[
            r#"delete_key(attributes, "http.method")"#,
            r#"set(attributes["a"], attributes["http.method"] == nil)"#,
        ]
        .map(|s| s.replace(r#"attributes["http.method"] == nil"#, r#"IsEmpty(attributes["http.method"])"#))
        .each_ref()
        .map(String::as_str),
        "a",
        "true",
    );
    check_key(
        &[r#"set(cache["x"], ParseJSON("{\"k\":1}"))"#, r#"set(attributes["a"], cache["x"]["k"])"#],
        "a",
        "1.0",
    );
}

#[test]
fn lists_grow_and_shrink() {
    check_key(&[r#"append(attributes["tags"], "d")"#], "tags", r#"["a","b","c","d"]"#);
    check_key(
        &[r#"append(attributes["http.method"], values = ["x", 1])"#],
        "http.method",
        r#"["GET","x",1]"#,
    );
    check_key(&[r#"append(attributes["new"], "d")"#], "new", r#"["d"]"#);
    check_key(&[r#"delete_index(attributes["tags"], 0)"#], "tags", r#"["b","c"]"#);
    check_key(&[r#"delete_index(attributes["tags"], 0, 2)"#], "tags", r#"["c"]"#);
    check_key(&[r#"delete_index(attributes["tags"], Len(attributes["tags"]) - 1)"#], "tags", r#"["a","b"]"#);
    check_key(
        &[r#"delete_index(attributes["tags"], Index(attributes["tags"], "b"))"#],
        "tags",
        r#"["a","c"]"#,
    );
    check_key(&[r#"delete_index(attributes["tags"], 1, 1)"#], "tags", r#"["a","b","c"]"#);
}

#[test]
fn keys_go_and_stay() {
    check(
        r#"delete_key(attributes, "nested")"#,
        r#"{http.method:"GET",http.status_code:404,tags:["a","b","c"],empty:""}"#,
    );
    check(r#"delete_key(attributes, "none")"#, BEFORE);
    check(r#"delete_key(attributes["nested"], "y")"#, &BEFORE.replace(r#"{x:1,y:{z:"deep"}}"#, "{x:1}"));
    check(
        r#"delete_matching_keys(attributes, "(?i)^HTTP\\.")"#,
        r#"{tags:["a","b","c"],nested:{x:1,y:{z:"deep"}},empty:""}"#,
    );
    check(r#"keep_keys(attributes, ["http.method", "none"])"#, r#"{http.method:"GET"}"#);
    check(r#"keep_matching_keys(attributes, "^e")"#, r#"{empty:""}"#);
    check(r#"limit(attributes, 2, ["empty"])"#, r#"{http.method:"GET",empty:""}"#);
    check(r#"limit(attributes, 9, [])"#, BEFORE);
    check(r#"rename(attributes, "http.method", "method")"#, &BEFORE.replace("http.method", "method"));
    check(r#"rename(attributes, "empty", "http.method")"#, BEFORE);
}

#[test]
fn maps_are_reshaped() {
    check(
        "flatten(attributes)",
        r#"{http.method:"GET",http.status_code:404,tags.0:"a",tags.1:"b",tags.2:"c",nested.x:1,nested.y.z:"deep",empty:""}"#,
    );
    check(
        r#"flatten(attributes["nested"], "p", 0)"#,
        &BEFORE.replace(r#"{x:1,y:{z:"deep"}}"#, r#"{p.x:1,p.y:{z:"deep"}}"#),
    );
    check(
        "flatten(attributes, depth=1, resolveConflicts=true)",
        r#"{http.method:"GET",http.status_code:404,tags:"a",tags.0:"b",tags.1:"c",nested.x:1,nested.y:{z:"deep"},empty:""}"#,
    );
    check(
        r#"merge_maps(attributes["nested"], {"x": 2, "n": 3}, "upsert")"#,
        &BEFORE.replace(r#"{x:1,y:{z:"deep"}}"#, r#"{x:2,y:{z:"deep"},n:3}"#),
    );
    check(
        r#"merge_maps(attributes["nested"], {"x": 2, "n": 3}, "insert")"#,
        &BEFORE.replace(r#"{x:1,y:{z:"deep"}}"#, r#"{x:1,y:{z:"deep"},n:3}"#),
    );
    check(
        r#"merge_maps(attributes["nested"], {"x": 2, "n": 3}, "update")"#,
        &BEFORE.replace(r#"{x:1,y"#, "{x:2,y"),
    );
    check(
        "stringify_all(attributes)",
        r#"{http.method:"GET",http.status_code:"404",tags:"[\"a\",\"b\",\"c\"]",nested:"{\"x\":1,\"y\":{\"z\":\"deep\"}}",empty:""}"#,
    );
    check("truncate_all(attributes, 2)", &BEFORE.replace("GET", "GE"));
    check(r#"truncate_all(attributes, 2, truncation_marker = "~")"#, &BEFORE.replace("GET", "G~"));
    check_key(&[r#"set(attributes["u"], "aüb")"#, "truncate_all(attributes, 2)"], "u", "\"a\"");
}

#[test]
fn texts_are_replaced_in_part_and_whole() {
    let name = |statement: &str| run(&rules(Some(Context::Span), &[statement]), &span()).name;
    assert_eq!(name(r#"replace_pattern(name, "\\d+", "{id}")"#), "GET /user/{id}");
    assert_eq!(name(r#"replace_pattern(name, "/user/(\\d+)", "/u/$1/x")"#), "GET /u/17/x");
    assert_eq!(name(r#"replace_pattern(name, "(?P<n>\\d+)", "${n}0$$")"#), "GET /user/170$");
    assert_eq!(
        name(r#"replace_pattern(name, "\\d+", "$0", SHA1, "h:%s")"#),
        "GET /user/h:bd307a3ec329e10a2cff8fb87480823da114f8f4"
            .replace("bd307a3ec329e10a2cff8fb87480823da114f8f4", &sha1("17"))
    );
    assert_eq!(name(r#"replace_match(name, "GET /user/*", "GET /user/{id}")"#), "GET /user/{id}");
    assert_eq!(name(r#"replace_match(name, "/user/*", "x")"#), "GET /user/17");
    check(r#"replace_all_patterns(attributes, "value", "E", "e")"#, &BEFORE.replace("GET", "GeT"));
    check(
        r#"replace_all_patterns(attributes, "key", "^http\\.(.*)$", "web.$1")"#,
        &BEFORE.replace("http.", "web."),
    );
    check(r#"replace_all_matches(attributes, "G*", "got")"#, &BEFORE.replace("GET", "got"));
}

fn sha1(text: &str) -> String {
    let quoted = super::fixture::value_of(&format!("SHA1(\"{text}\")"));
    quoted.trim_matches('"').to_owned()
}

#[test]
fn ours_mask_and_decide() {
    check_key(
        &[r#"set(attributes["m"], "{\"to\":\"a@b.example\"}")"#, r#"mask(attributes, "email")"#],
        "m",
        r#""{\"to\":\"***\"}""#,
    );
    check_key(
        &[r#"set(attributes["m"], ["a@b.example", 1])"#, r#"mask(attributes["m"], "email", "?")"#],
        "m",
        r#"["?",1]"#,
    );
    check(r#"mask(attributes, "secrets")"#, BEFORE);
    let name = |statement: &str| run(&rules(Some(Context::Span), &[statement]), &span()).name;
    assert_eq!(name(r#"mask(name, "\\d+")"#), "GET /user/***");
    let state = run(&rules(None, &["sample(1.0) where span.kind == SPAN_KIND_SERVER"]), &span()).trace_state;
    assert_eq!(state, "ot=th:0,a=1,b=2");
}
