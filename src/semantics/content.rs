//! Input, output, parameters and metadata: what people said and models answered, borrowed, never copied.
//!
//! A content serialises as the JSON it means: text that is JSON as JSON, other text as a string, flattened
//! and event messages as objects. It is on one line however the sender broke it.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use super::convention::{On, Property};
use super::observation::{Found, Observation, Said};
use crate::wire::attr::{self, Attr, Value};

/// A borrowed reading of a payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// One attribute's value.
    Value(Value<'a>),
    /// Several attributes of one family, names without what they share, in the order they came:
    /// `0.message.role`, …
    Parts(Vec<(&'a str, Value<'a>)>),
    /// Span events, one message each.
    Messages(Vec<Message<'a>>),
}

/// One message that stands in an event of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Message<'a> {
    /// `gen_ai.user.message`, `gen_ai.choice`, …
    pub name: &'a str,
    /// The body of the Span.Event message.
    event: &'a [u8],
}

/// The field number of an event's attributes.
const EVENT_ATTRIBUTES: u32 = 3;
/// The event that holds a whole call, in the attributes that spans have.
const DETAILS: &str = "gen_ai.client.inference.operation.details";

impl<'a> Content<'a> {
    /// The best that stands for `property`.
    pub(super) fn of(observation: &Observation<'a>, property: Property) -> Option<Self> {
        let best = observation
            .best(property, |found| Some(*found).filter(|found| says_something(found, property)))?;
        let alike = observation
            .found(property)
            .filter(|found| found.place.rank == best.place.rank && says_something(found, property));
        match best.place.on {
            On::Family => {
                Some(Self::Parts(alike.filter_map(|found| Some((found.name(), found.value()?))).collect()))
            }
            On::Event if best.key == DETAILS => {
                alike.filter_map(|found| details(found, property)).last().map(Self::Value)
            }
            On::Event => Some(Self::Messages(
                alike
                    .filter_map(|found| match found.said {
                        Said::Event(event) => Some(Message { name: found.key, event }),
                        Said::Value(_) => None,
                    })
                    .collect(),
            )),
            On::Span | On::SpanOrResource | On::Resource => best.value().map(Self::Value),
        }
    }

    /// Bytes it takes on the wire, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => size(*value),
            Self::Parts(parts) => parts.iter().map(|(name, value)| name.len() + size(*value)).sum(),
            Self::Messages(messages) => messages.iter().map(|message| message.event.len()).sum(),
        }
    }

    /// The text, of a string.
    pub fn text(&self) -> Option<&'a str> {
        if let Self::Value(value) = self { value.text() } else { None }
    }
}

/// The model's name is no parameter, and an empty string no payload.
fn says_something(found: &Found<'_>, property: Property) -> bool {
    match found.said {
        Said::Value(Value::Empty | Value::Str(b"")) => false,
        Said::Value(_) => property != Property::ModelParameters || found.key != "gen_ai.request.model",
        Said::Event(_) => found.key != DETAILS || details(found, property).is_some(),
    }
}

fn details<'a>(found: &Found<'a>, property: Property) -> Option<Value<'a>> {
    let Said::Event(event) = found.said else { return None };
    let key: &[u8] = match property {
        Property::Input => b"gen_ai.input.messages",
        Property::Output => b"gen_ai.output.messages",
        _ => return None,
    };
    attr::find(event, EVENT_ATTRIBUTES, key).filter(|value| *value != Value::Empty)
}

impl<'a> Message<'a> {
    pub fn attributes(&self) -> impl Iterator<Item = Attr<'a>> {
        attr::attributes(self.event, EVENT_ATTRIBUTES)
    }
}

fn size(value: Value<'_>) -> usize {
    match value {
        Value::Str(body) | Value::Array(body) | Value::Map(body) | Value::Bytes(body) => body.len(),
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 8,
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => Json(*value).serialize(out),
            Self::Parts(parts) => out.collect_map(parts.iter().map(|(name, value)| (name, Json(*value)))),
            Self::Messages(messages) => out.collect_seq(messages),
        }
    }
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("event", self.name)?;
        for attr in self.attributes() {
            map.serialize_entry(&String::from_utf8_lossy(attr.key), &Json(attr.value))?;
        }
        map.end()
    }
}

/// An attribute's value as the JSON it means.
pub struct Json<'a>(pub Value<'a>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Empty => out.serialize_none(),
            Value::Str(text) => serialize_text(text, out),
            Value::Bool(truth) => out.serialize_bool(truth),
            Value::Int(number) => out.serialize_i64(number),
            Value::Double(number) => out.serialize_f64(number),
            Value::Array(_) => {
                let mut list = out.serialize_seq(None)?;
                for element in self.0.elements() {
                    list.serialize_element(&Json(element))?;
                }
                list.end()
            }
            Value::Map(_) => {
                let mut map = out.serialize_map(None)?;
                for entry in self.0.entries() {
                    map.serialize_entry(&String::from_utf8_lossy(entry.key), &Json(entry.value))?;
                }
                map.end()
            }
            Value::Bytes(bytes) => {
                use base64::Engine as _;
                out.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
            }
        }
    }
}

/// Objects, arrays and quoted strings in a string are JSON; `42` and `true` stay the text they are.
fn serialize_text<S: Serializer>(text: &[u8], out: S) -> Result<S::Ok, S::Error> {
    let text = String::from_utf8_lossy(text);
    if text.trim_start().starts_with(['{', '[', '"'])
        && let Ok(raw) = serde_json::from_str::<&RawValue>(&text)
    {
        if !raw.get().contains(['\n', '\r']) {
            return raw.serialize(out);
        }
        // Broken over lines: written anew. What nests too deeply for that stays a string.
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(raw.get()) {
            return value.serialize(out);
        }
    }
    out.serialize_str(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value<'_>, expect: &str) {
        assert_eq!(serde_json::to_string(&Json(value)).unwrap(), expect);
    }

    #[test]
    fn text_that_is_json_is_shown_as_json_on_one_line() {
        check(Value::Str(br#"{"a": [1, 2.50]}"#), r#"{"a": [1, 2.50]}"#);
        check(Value::Str(b"{\n \"a\": 1\n}"), r#"{"a":1}"#);
        check(Value::Str(br#""web-app""#), r#""web-app""#);
        check(Value::Str(b"{broken"), r#""{broken""#);
        check(Value::Str(b"42"), r#""42""#);
        check(Value::Str(b"a\xff"), "\"a\u{fffd}\"");
        check(Value::Double(f64::NAN), "null");
        check(Value::Bytes(&[1, 2]), r#""AQI=""#);
    }

    #[test]
    fn json_that_nests_without_end_is_no_danger() {
        let deep = "[".repeat(100_000) + "\n" + &"]".repeat(100_000);
        let shown = serde_json::to_string(&Json(Value::Str(deep.as_bytes()))).unwrap();
        assert!(!shown.contains('\n'));
    }
}
