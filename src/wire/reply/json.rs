//! Replies in JSON (the proto3 mapping: lowerCamelCase, int64 as text, `Any` with "@type").
//!
//! Names are read in either spelling and counts as number or text, since what an upstream meant matters
//! more here than what it should have written.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    BAD_REQUEST, DELAY_MAX, PARTIAL_MESSAGE_MAX, Partial, RETRY_INFO, STATUS_MESSAGE_MAX, Status,
    VIOLATION_TEXT_MAX, VIOLATIONS_MAX, cut, proto, rejected_name,
};
use crate::wire::Signal;
use crate::wire::json::response_to_protobuf;

/// The largest status taken apart: as a tree of values, which may be 30 times its text, because a status
/// may be half strange (a `code` in words, say) and still hold a delay worth reading. A larger one is left
/// unread, as one that can not be read.
const BODY_MAX: usize = 256 * 1024;

pub(super) fn success(signal: Signal, partial: Option<&Partial>) -> Bytes {
    let Some(partial) = partial else { return Bytes::from_static(b"{}") };
    let mut inner = Map::new();
    if partial.rejected > 0 {
        let count = partial.rejected.min(i64::MAX as u64);
        inner.insert(rejected_name(signal).into(), count.to_string().into());
    }
    if !partial.message.is_empty() {
        inner.insert("errorMessage".into(), cut(&partial.message, PARTIAL_MESSAGE_MAX).into());
    }
    json!({ "partialSuccess": inner }).to_string().into()
}

pub(super) fn status(status: &Status) -> Bytes {
    let mut out = Map::new();
    if status.code != 0 {
        out.insert("code".into(), status.code.into());
    }
    out.insert("message".into(), cut(&status.message, STATUS_MESSAGE_MAX).into());
    let mut details = Vec::new();
    if !status.violations.is_empty() {
        let list: Vec<Value> = status.violations.iter().take(VIOLATIONS_MAX).map(violation).collect();
        details.push(json!({ "@type": BAD_REQUEST, "fieldViolations": list }));
    }
    if let Some(delay) = status.retry_delay {
        details.push(json!({ "@type": RETRY_INFO, "retryDelay": duration_text(delay) }));
    }
    if !details.is_empty() {
        out.insert("details".into(), details.into());
    }
    Value::Object(out).to_string().into()
}

fn violation((field, description): &(String, String)) -> Value {
    json!({ "field": cut(field, VIOLATION_TEXT_MAX), "description": cut(description, VIOLATION_TEXT_MAX) })
}

/// `google.protobuf.Duration` in JSON: seconds with 0, 3, 6 or 9 decimals and an "s".
fn duration_text(delay: Duration) -> String {
    let (seconds, nanos) = (delay.as_secs(), delay.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        n if n % 1_000_000 == 0 => format!("{seconds}.{:03}s", n / 1_000_000),
        n if n % 1_000 == 0 => format!("{seconds}.{:06}s", n / 1_000),
        n => format!("{seconds}.{n:09}s"),
    }
}

/// Reads a response of any size the way requests are read: by table, without a tree of values.
pub(super) fn read_partial(signal: Signal, body: &[u8]) -> Option<Partial> {
    proto::read_partial(&response_to_protobuf(signal, body)?)
}

pub(super) fn read_status(body: &[u8]) -> Status {
    let Some(body) = parse(body) else { return Status::default() };
    let mut status = Status {
        code: body.get("code").and_then(count).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        message: text(body.get("message"), STATUS_MESSAGE_MAX),
        ..Status::default()
    };
    for detail in body.get("details").and_then(Value::as_array).into_iter().flatten() {
        match detail.get("@type").and_then(Value::as_str) {
            Some(BAD_REQUEST) => read_violations(detail, &mut status.violations),
            Some(RETRY_INFO) => {
                let delay = member(detail, "retryDelay", "retry_delay").and_then(Value::as_str);
                status.retry_delay = delay.map(read_duration);
            }
            _ => {}
        }
    }
    status
}

fn read_violations(detail: &Value, into: &mut Vec<(String, String)>) {
    let list = member(detail, "fieldViolations", "field_violations").and_then(Value::as_array);
    let room = VIOLATIONS_MAX.saturating_sub(into.len());
    into.extend(list.into_iter().flatten().take(room).map(|one| {
        (text(one.get("field"), VIOLATION_TEXT_MAX), text(one.get("description"), VIOLATION_TEXT_MAX))
    }));
}

/// Reads "1.5s". A negative or malformed delay is zero: "retry, and choose the delay yourself".
fn read_duration(text: &str) -> Duration {
    let seconds = text.strip_suffix('s').and_then(|t| t.parse::<f64>().ok());
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default().min(DELAY_MAX)
}

fn parse(body: &[u8]) -> Option<Value> {
    if body.len() > BODY_MAX { None } else { serde_json::from_slice(body).ok() }
}

fn member<'a>(of: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    of.get(camel).or_else(|| of.get(snake))
}

/// A count as a number or as text.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn text(value: Option<&Value>, max: usize) -> String {
    cut(value.and_then(Value::as_str).unwrap_or_default(), max).into_owned()
}
