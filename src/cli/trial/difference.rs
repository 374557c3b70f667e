//! Two readings of one message, told apart field by field.
//!
//! Both are written as OTLP/JSON, as everything that people read here is, and laid out flat: attributes by their
//! keys, other fields by their names.

use serde_json::Value;

use crate::wire::fields::put_len_field;
use crate::wire::{Signal, json};

/// Longer values are cut.
const SHOWN_MAX: usize = 100;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Resource,
    Scope,
    /// A span, log record or metric.
    Item,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub path: String,
    pub was: Option<String>,
    pub is: Option<String>,
}

/// The fields of `was` and `is` that differ, in the order of `was`, what is new behind them.
pub fn between(kind: Kind, signal: Signal, was: &[u8], is: &[u8]) -> Vec<Changed> {
    let (was, is) = (flat(kind, signal, was), flat(kind, signal, is));
    let find = |all: &[(String, String)], path: &str| {
        all.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone())
    };
    let gone = was.iter().map(|(path, value)| (path, Some(value.clone()), find(&is, path)));
    let new = is.iter().filter(|(path, _)| find(&was, path).is_none());
    let new = new.map(|(path, value)| (path, None, Some(value.clone())));
    let all = gone.chain(new).filter(|(_, was, is)| was != is);
    all.map(|(path, was, is)| Changed { path: path.clone(), was, is }).collect()
}

/// What a message is called, and by which id.
pub fn title(kind: Kind, signal: Signal, message: &[u8]) -> String {
    let all = flat(kind, signal, message);
    let find = |path: &str| all.iter().find(|(known, _)| known == path).map(|(_, value)| value.as_str());
    let what = match (kind, signal) {
        (Kind::Resource, _) => "resource",
        (Kind::Scope, _) => "scope",
        (_, Signal::Traces) => "span",
        (_, Signal::Logs) => "log",
        _ => "metric",
    };
    let names = ["name", "attributes.service.name", "eventName", "body", "timeUnixNano"];
    let name = names.into_iter().find_map(find).unwrap_or("without a name");
    match find("spanId").filter(|_| signal == Signal::Traces) {
        Some(id) => format!("{what} {name} {}", id.trim_matches('"')),
        None => format!("{what} {name}"),
    }
}

fn flat(kind: Kind, signal: Signal, message: &[u8]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Some(value) = as_json(kind, signal, message) {
        flatten(String::new(), &value, &mut out);
    }
    out
}

/// The message alone, out of a request that holds nothing else.
fn as_json(kind: Kind, signal: Signal, message: &[u8]) -> Option<Value> {
    let within = |number, inner: &[u8]| {
        let mut out = Vec::new();
        put_len_field(number, inner, &mut out);
        out
    };
    let block = match kind {
        Kind::Resource => within(1, message),
        Kind::Scope => within(2, &within(1, message)),
        Kind::Item => within(2, &within(2, message)),
    };
    let text = json::from_protobuf(signal, &within(1, &block));
    let request: Value = serde_json::from_slice(&text).ok()?;
    let first = |value: &Value| value.as_object()?.values().find(|v| v.is_array())?.get(0).cloned();
    let block = first(&request)?;
    match kind {
        Kind::Resource => block.get("resource").cloned(),
        Kind::Scope => first(&block)?.get("scope").cloned(),
        Kind::Item => first(&first(&block)?),
    }
}

fn flatten(path: String, value: &Value, out: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(all) => match plain(value) {
            Some(text) => out.push((path, text)),
            None => all.iter().for_each(|(key, inner)| flatten(below(key), inner, out)),
        },
        Value::Array(all) => {
            for (nth, inner) in all.iter().enumerate() {
                match (inner.get("key").and_then(Value::as_str), inner.get("value")) {
                    (Some(key), Some(value)) => flatten(below(key), value, out),
                    _ => flatten(format!("{path}[{nth}]"), inner, out),
                }
            }
        }
        other => out.push((path, short(&other.to_string()))),
    }
}

/// An AnyValue as people write it; `None` where it is none.
fn plain(value: &Value) -> Option<String> {
    let all = value.as_object().filter(|all| all.len() == 1)?;
    let (kind, inner) = all.iter().next()?;
    match (kind.as_str(), inner) {
        ("intValue", Value::String(digits)) => Some(digits.clone()),
        ("stringValue" | "boolValue" | "intValue" | "doubleValue" | "bytesValue", inner) => {
            Some(short(&inner.to_string()))
        }
        ("arrayValue", inner) => {
            let values = inner.get("values").and_then(Value::as_array);
            let all: Option<Vec<_>> = values.into_iter().flatten().map(plain).collect();
            Some(short(&format!("[{}]", all?.join(", "))))
        }
        _ => None,
    }
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
