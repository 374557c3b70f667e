//! Items and how to look at them. prost is the oracle on both sides.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use prost::Message;

use crate::rules::{Context, Frame, Group, Outcome, Rules};
use crate::wire::Signal;

pub fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub fn text(text: &str) -> AnyValue {
    any(Any::StringValue(text.into()))
}

pub fn int(number: i64) -> AnyValue {
    any(Any::IntValue(number))
}

pub fn list(values: Vec<AnyValue>) -> AnyValue {
    any(Any::ArrayValue(ArrayValue { values }))
}

pub fn map(pairs: &[(&str, AnyValue)]) -> AnyValue {
    any(Any::KvlistValue(KeyValueList { values: attributes(pairs) }))
}

pub fn attributes(pairs: &[(&str, AnyValue)]) -> Vec<KeyValue> {
    let one = |(key, value): &(&str, AnyValue)| KeyValue {
        key: (*key).into(),
        value: Some(value.clone()),
        ..Default::default()
    };
    pairs.iter().map(one).collect()
}

/// The value in a short notation: JSON with single words for what JSON has not.
pub fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => "nil".into(),
        Some(Any::StringValue(text)) => format!("{text:?}"),
        Some(Any::BoolValue(truth)) => truth.to_string(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => format!("{number:?}"),
        Some(Any::BytesValue(bytes)) => bytes.iter().fold("0x".into(), |all, b| format!("{all}{b:02x}")),
        Some(Any::ArrayValue(list)) => {
            let all: Vec<_> = list.values.iter().map(|one| shown(Some(one))).collect();
            format!("[{}]", all.join(","))
        }
        Some(Any::KvlistValue(map)) => shown_map(&map.values),
        other => format!("{other:?}"),
    }
}

pub fn shown_map(pairs: &[KeyValue]) -> String {
    let all: Vec<_> = pairs.iter().map(|kv| format!("{}:{}", kv.key, shown(kv.value.as_ref()))).collect();
    format!("{{{}}}", all.join(","))
}

pub fn group(context: Option<Context>, statements: &[&str]) -> Group {
    Group { context, statements: statements.iter().map(|s| (*s).to_owned()).collect(), ..Group::default() }
}

#[track_caller]
pub fn rules(context: Option<Context>, statements: &[&str]) -> Rules {
    rules_of(&[group(context, statements)])
}

#[track_caller]
pub fn rules_of(groups: &[Group]) -> Rules {
    match Rules::compile(groups) {
        Ok(rules) => rules,
        Err(mistakes) => {
            let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            panic!("{}", told.join("\n"))
        }
    }
}

/// 2026-11-25T14:51:21.123456789Z.
pub const NOW: i64 = 1_795_618_281_123_456_789;

pub fn frame<'a>() -> Frame<'a> {
    Frame { now: NOW, random: 7, ..Frame::default() }
}

/// The span after the rules; panics on trouble.
#[track_caller]
pub fn run(rules: &Rules, span: &Span) -> Span {
    let bytes = span.encode_to_vec();
    let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
    assert_eq!(outcome.troubles, [], "{outcome:?}");
    let after = outcome.edits.apply(&bytes);
    // When it comes again, too.
    let mut recalling = rules.recalling(Signal::Traces);
    for _ in 0..3 {
        assert_eq!(recalling.apply_item(&bytes, frame()).edits.apply(&bytes), after);
    }
    Span::decode(after.as_slice()).expect("a span")
}

pub fn span() -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        parent_span_id: vec![9; 8],
        trace_state: "a=1,b=2".into(),
        name: "GET /user/17".into(),
        kind: 2,
        start_time_unix_nano: NOW as u64,
        end_time_unix_nano: NOW as u64 + 1_500_000_000,
        attributes: attributes(&[
            ("http.method", text("GET")),
            ("http.status_code", int(404)),
            ("tags", list(vec![text("a"), text("b"), text("c")])),
            ("nested", map(&[("x", int(1)), ("y", map(&[("z", text("deep"))]))])),
            ("empty", text("")),
        ]),
        events: vec![
            span::Event {
                name: "first".into(),
                attributes: attributes(&[("n", int(1))]),
                ..Default::default()
            },
            span::Event { name: "second".into(), time_unix_nano: 5, ..Default::default() },
        ],
        ..Default::default()
    }
}

pub fn log() -> LogRecord {
    LogRecord {
        time_unix_nano: NOW as u64,
        severity_number: 9,
        severity_text: "INFO".into(),
        body: Some(text(r#"{"user":"ann","id":7,"ok":true,"tags":["x",null]}"#)),
        attributes: attributes(&[
            ("line", text("k1=v1 k2='two words'")),
            ("price", any(Any::DoubleValue(1.5))),
            ("ip", text("10.1.2.3")),
            ("raw", any(Any::BytesValue(vec![1, 255]))),
            ("list", list(vec![int(3), int(1), int(2)])),
            ("map", map(&[("b", int(2)), ("a", text("x y"))])),
            ("name", text("my_metric-name")),
        ]),
        trace_id: (1..=16).collect(),
        ..Default::default()
    }
}

/// What `expression` gives on [`log`]; what stands in its way where it gives nothing.
pub fn value_of(expression: &str) -> String {
    let statement = format!("set(attributes[\"out\"], {expression})");
    let rules = match Rules::compile(&[group(Some(Context::Log), &[&statement])]) {
        Ok(rules) => rules,
        Err(mistakes) => return format!("mistake: {}", mistakes[0].text),
    };
    let bytes = log().encode_to_vec();
    let outcome: Outcome = rules.apply_item(Signal::Logs, &bytes, frame());
    if let Some((_, trouble)) = outcome.troubles.first() {
        return format!("trouble: {trouble}");
    }
    let log = LogRecord::decode(outcome.edits.apply(&bytes).as_slice()).expect("a record");
    let out = log.attributes.iter().find(|kv| kv.key == "out");
    shown(out.and_then(|kv| kv.value.as_ref()))
}

/// What `work` gives, and how long it took.
#[expect(clippy::disallowed_methods, reason = "that it ends soon is what is tested")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let began = std::time::Instant::now();
    (work(), began.elapsed())
}

/// Each expression with what it gives, as [`value_of`] says it.
#[track_caller]
pub fn check_values(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(expression, expect)| (expression, expect, value_of(expression)))
        .filter(|(_, expect, got)| *expect != got)
        .map(|(expression, expect, got)| format!("{expression}\n  expected {expect}\n  got      {got}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
