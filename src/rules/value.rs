//! What an expression has as its value: borrowed from the item or the program wherever it can be.
//!
//! An attribute's value is not decoded until somebody looks into it ([`Value::Any`], opened one level at a
//! time by [`Value::open`]), so what is only moved stays bit for bit what it was.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::map::{Entry, Map, utf8};
use super::messages::{self, Form};
use super::render;
use crate::wire::attr::{self, Attr};
use crate::wire::fields::{len_field_len, put_len_field, put_len_prefix};

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Unix nanoseconds: 1677 to 2262.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    List(Vec<Value<'a>>),
    Map(Map<'a>),
    /// The body of an AnyValue, unread.
    Any(&'a [u8]),
    /// The body of another message, unread: an event, a link. Opened, it is a map.
    Message(Form, &'a [u8]),
}

/// Levels of lists and maps that are looked into; what lies deeper reads as nil. Items have been checked
/// for less, so only what rules make comes near it.
pub const LEVELS_MAX: u32 = 64;

/// Tag and length take this much at most.
const PREFIX_MAX: usize = 15;

/// Levels of lists and maps that receivers take, ours too (`wire::Limits`): more is not written.
pub const WRITTEN_MAX: u32 = 30;

const A_TIME: &str = "a time (store `UnixNano(…)` or `FormatTime(…)` of it)";
const A_DURATION: &str = "a duration (store `Nanoseconds(…)` or `Seconds(…)` of it)";
const TOO_DEEP: &str = "a value nested deeper than 30 levels";

/// Whether the lists and maps of an AnyValue nest at most so deep.
fn is_flat(any_value: &[u8], levels: u32) -> bool {
    match attr::Value::of(any_value) {
        attr::Value::Array(body) => {
            levels > 0 && attr::messages(body, 1).all(|element| is_flat(element, levels - 1))
        }
        attr::Value::Map(body) => {
            levels > 0
                && attr::messages(body, 1).all(|pair| attr::messages(pair, 2).all(|v| is_flat(v, levels - 1)))
        }
        _ => true,
    }
}

impl<'a> Value<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Value::Str(text.into())
    }

    /// A string out of a message; what is not UTF-8 (a walked item has none) is replaced, never trusted.
    pub fn of_utf8(bytes: &'a [u8]) -> Self {
        Value::Str(utf8(bytes))
    }

    /// The value with its outermost level read: never [`Value::Any`] or [`Value::Message`].
    pub fn open(self) -> Self {
        match self {
            // As strings are written.
            Value::Any([0x0a, len @ ..0x80, text @ ..]) if text.len() == usize::from(*len) => {
                Self::of_utf8(text)
            }
            Value::Any(body) => Self::read(attr::Value::of(body)),
            Value::Message(form, body) => Value::Map(messages::read(form, body)),
            value => value,
        }
    }

    /// The value of a KeyValue, unread where it is written as everybody writes it.
    pub fn of_entry(key_value: &'a [u8]) -> Self {
        if let Some(body) = attr::Attr::body_of(key_value) {
            return Value::Any(body);
        }
        let mut bodies = attr::messages(key_value, 2);
        match (bodies.next(), bodies.next()) {
            (Some(body), None) => Value::Any(body),
            // Several merge, as protobuf has it.
            _ => Self::read(Attr::of(key_value).value),
        }
    }

    pub(super) fn read(value: attr::Value<'a>) -> Self {
        match value {
            attr::Value::Empty => Value::Nil,
            attr::Value::Str(text) => Self::of_utf8(text),
            attr::Value::Bool(truth) => Value::Bool(truth),
            attr::Value::Int(number) => Value::Int(number),
            attr::Value::Double(number) => Value::Double(number),
            attr::Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            attr::Value::Array(body) => Value::List(attr::messages(body, 1).map(Value::Any).collect()),
            attr::Value::Map(body) => Value::Map(Map::of(body, 1)),
        }
    }

    /// The same value, borrowing strings instead of copying them.
    pub fn borrowed(&'a self) -> Value<'a> {
        match self {
            Value::Str(text) => Value::Str(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::List(all) => Value::List(all.iter().map(Value::borrowed).collect()),
            Value::Map(map) => Value::Map(map.borrowed()),
            value => value.clone(),
        }
    }

    /// A single value as OTLP has it.
    fn plain(&self) -> Option<attr::Value<'_>> {
        Some(match self {
            Value::Nil => attr::Value::Empty,
            Value::Bool(truth) => attr::Value::Bool(*truth),
            Value::Int(number) => attr::Value::Int(*number),
            Value::Double(number) => attr::Value::Double(*number),
            Value::Str(text) => attr::Value::Str(text.as_bytes()),
            Value::Bytes(bytes) => attr::Value::Bytes(bytes),
            _ => return None,
        })
    }

    /// What it is, for messages: `a string`.
    pub fn what(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Double(_) => "a float",
            Value::Str(_) => "a string",
            Value::Bytes(_) => "bytes",
            Value::Time(_) => "a time",
            Value::Duration(_) => "a duration",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Any(_) => "a value",
            Value::Message(form, _) => form.what(),
        }
    }

    /// Appends the body of an AnyValue that says this.
    ///
    /// # Errors
    /// Times and durations have no place in OTLP; the name of what has none is given.
    pub fn put(&self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.put_at(0, out)
    }

    pub(super) fn put_at(&self, level: u32, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Value::Any(body) => out.extend_from_slice(body),
            Value::Message(..) => return self.clone().open().put_at(level, out),
            Value::Time(_) => return Err(A_TIME),
            Value::Duration(_) => return Err(A_DURATION),
            Value::List(_) | Value::Map(_) if level >= WRITTEN_MAX => return Err(TOO_DEEP),
            Value::List(all) => {
                let (mut body, mut one) = (Vec::new(), Vec::new());
                for value in all {
                    one.clear();
                    value.put_at(level + 1, &mut one)?;
                    put_len_field(1, &one, &mut body);
                }
                attr::Value::Array(&body).put(out);
            }
            Value::Map(map) => {
                let mut body = Vec::new();
                map.entries().iter().try_for_each(|entry| entry.put(1, level + 1, &mut body))?;
                attr::Value::Map(&body).put(out);
            }
            single => single.plain().unwrap_or(attr::Value::Empty).put(out),
        }
        Ok(())
    }

    /// Whether OTLP has a place for it, so many levels inside an attribute.
    ///
    /// # Errors
    /// As [`Value::put`], and when the whole would nest deeper than receivers take.
    #[inline]
    pub fn fits_in(&self, level: u32) -> Result<(), &'static str> {
        match self {
            Value::Str(_) | Value::Bool(_) | Value::Int(_) | Value::Double(_) => Ok(()),
            value => value.nests_in(level),
        }
    }

    fn nests_in(&self, level: u32) -> Result<(), &'static str> {
        match self {
            Value::Time(_) => Err(A_TIME),
            Value::Duration(_) => Err(A_DURATION),
            // What stays on its level is as deep as it came.
            Value::Any(body) if level > 0 && !is_flat(body, WRITTEN_MAX.saturating_sub(level)) => {
                Err(TOO_DEEP)
            }
            Value::List(_) | Value::Map(_) if level >= WRITTEN_MAX => Err(TOO_DEEP),
            Value::List(all) => all.iter().try_for_each(|one| one.fits_in(level + 1)),
            Value::Map(map) => map.entries().iter().try_for_each(|entry| entry.value.fits_in(level + 1)),
            Value::Message(..) => self.clone().open().fits_in(level),
            _ => Ok(()),
        }
    }

    /// As a string, the way OTLP values are shown: nothing for nil, base64 for bytes, JSON for lists and maps.
    pub fn to_text(&self) -> String {
        match self.borrowed().open() {
            Value::Str(text) => text.into_owned(),
            Value::Nil => String::new(),
            Value::Bytes(bytes) => render::base64(&bytes),
            value => render::json(&value),
        }
    }
}

impl Entry<'_> {
    /// Appends the whole entry as field `field`.
    ///
    /// # Errors
    /// As [`Value::put`].
    pub(super) fn put(&self, field: u32, level: u32, out: &mut Vec<u8>) -> Result<(), &'static str> {
        put_entry(&self.key, &self.value, field, level, out)
    }
}

/// Appends a whole KeyValue as field `field`.
///
/// # Errors
/// As [`Value::put`].
pub fn put_entry(
    key: &str,
    value: &Value<'_>,
    field: u32,
    level: u32,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut head = SmallVec::<[u8; 64]>::new();
    put_len_prefix(1, key.len(), &mut head);
    head.extend_from_slice(key.as_bytes());
    put_behind(&head, value, field, level, out)
}

/// The same behind `head`, a key as KeyValues begin with it.
///
/// # Errors
/// As [`Value::put`].
pub fn put_behind(
    head: &[u8],
    value: &Value<'_>,
    field: u32,
    level: u32,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let begin = |len: usize, out: &mut Vec<u8>| {
        if let (tag @ ..=0x7f, len @ ..=0x7f, body @ ..=0x7f) = (field << 3 | 2, len, head.len() + 2 + len) {
            out.extend_from_slice(&[tag as u8, body as u8]);
            out.extend_from_slice(head);
            return out.extend_from_slice(&[2 << 3 | 2, len as u8]);
        }
        let body = head.len() + len_field_len(2, len);
        out.reserve(body + PREFIX_MAX);
        put_len_prefix(field, body, out);
        out.extend_from_slice(head);
        put_len_prefix(2, len, out);
    };
    match (value.plain(), value) {
        (Some(value), _) => {
            begin(value.put_len(), out);
            value.put(out);
        }
        (None, Value::Any(body)) => {
            begin(body.len(), out);
            out.extend_from_slice(body);
        }
        (None, value) => {
            let mut body = Vec::new();
            value.put_at(level, &mut body)?;
            begin(body.len(), out);
            out.extend_from_slice(&body);
        }
    }
    Ok(())
}

impl Value<'_> {
    /// The same value, borrowing from nobody.
    pub fn into_owned(self) -> Value<'static> {
        self.owned_at(0)
    }

    fn owned_at(self, level: u32) -> Value<'static> {
        match self.open() {
            _ if level > LEVELS_MAX => Value::Nil,
            Value::Nil | Value::Any(_) | Value::Message(..) => Value::Nil,
            Value::Bool(truth) => Value::Bool(truth),
            Value::Int(number) => Value::Int(number),
            Value::Double(number) => Value::Double(number),
            Value::Str(text) => Value::text(text.into_owned()),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::Time(nanos) => Value::Time(nanos),
            Value::Duration(nanos) => Value::Duration(nanos),
            Value::List(all) => Value::List(all.into_iter().map(|one| one.owned_at(level + 1)).collect()),
            Value::Map(map) => {
                let pairs = map.into_detached().into_iter();
                let owned = |e: Entry<'_>| (Cow::Owned(e.key.into_owned()), e.value.owned_at(level + 1));
                Value::Map(pairs.map(owned).collect())
            }
        }
    }
}
