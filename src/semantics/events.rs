//! GenAI content that instrumentations send as log records, written as the span events it once was.
//!
//! OpenTelemetry's conventions have prompts and answers as events of the Logs signal, each naming its span
//! (`gen_ai.{system,user,assistant,tool}.message`, `gen_ai.choice`, and now
//! `gen_ai.client.inference.operation.details`). Backends that have no logs look for them among the span's own
//! events, with what the record's body holds as the event's attributes. Time and name are kept; severity is
//! not, since a span's event has none.
//!
//! The one surprise: a body that is no map has no keys to be attributes of. It goes under `body`.

use bytes::Bytes;

use super::score::RESPONSE_ID;
use crate::wire::attr::{self, Attr, Value, messages};
use crate::wire::fields::{put_len_field, put_len_prefix};
use crate::wire::record::RecordView;
use crate::wire::varint;

/// `Span.events`.
pub const SPAN_EVENTS: u32 = 11;
/// `Span.Event.attributes`.
const ATTRIBUTES: u32 = 3;
/// Where a body stands that is no map.
const BODY: &[u8] = b"body";
/// Events in the order of a conversation, for those of one instant.
const ORDER: [&[u8]; 4] =
    [b"gen_ai.system.message", b"gen_ai.user.message", b"gen_ai.assistant.message", b"gen_ai.tool.message"];
/// Events of a call that has ended: whoever sends them sends nothing more of it.
const LAST: [&[u8]; 2] = [b"gen_ai.choice", b"gen_ai.client.inference.operation.details"];
/// Room in front of an event for its tag and the length of what is shorter than 4 GiB.
const PREFIX_MAX: usize = 6;

/// The event a log record stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The whole field of the span, tag and length included.
    pub field: Bytes,
    /// Unix nanoseconds.
    pub time: u64,
    /// Its place among events of one time.
    pub rank: u8,
}

impl Event {
    const LAST: u8 = u8::MAX;

    /// Reads the body of a LogRecord message. What it holds is copied once.
    pub fn of(record: &[u8]) -> Self {
        let view = RecordView(record);
        let (time, name) = (view.time(), view.event_name());
        let mut out = Vec::with_capacity(PREFIX_MAX + record.len());
        out.resize(PREFIX_MAX, 0);
        // time_unix_nano, fixed64.
        out.push(1 << 3 | 1);
        out.extend_from_slice(&time.to_le_bytes());
        put_len_field(2, name, &mut out);
        put_attributes(&view, &mut out);
        let dropped = view.dropped();
        if dropped > 0 {
            out.push(4 << 3);
            varint::put(dropped, &mut out);
        }
        Self { field: with_prefix(out), time, rank: rank(name) }
    }

    /// The response it is about, where it says so.
    pub fn response_id(&self) -> Option<&[u8]> {
        let own = messages(&self.field, SPAN_EVENTS).next()?;
        match attr::find(own, ATTRIBUTES, RESPONSE_ID.as_bytes())? {
            Value::Str(id) => Some(id),
            _ => None,
        }
    }

    /// It is the last of its span, or one of the last.
    pub fn is_last(&self) -> bool {
        self.rank == Self::LAST
    }
}

fn rank(name: &[u8]) -> u8 {
    if LAST.contains(&name) {
        return Event::LAST;
    }
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len()) as u8
}

/// Writes tag and length right in front of the message, for which room was left.
fn with_prefix(mut message: Vec<u8>) -> Bytes {
    let mut prefix = Vec::with_capacity(PREFIX_MAX);
    put_len_prefix(SPAN_EVENTS, message.len() - PREFIX_MAX, &mut prefix);
    let begin = PREFIX_MAX.saturating_sub(prefix.len());
    message.splice(begin..PREFIX_MAX, prefix);
    Bytes::from(message).slice(begin..)
}

/// What the body holds, then the record's own attributes; keys are unique (conformance A9), the body's win.
fn put_attributes(view: &RecordView<'_>, out: &mut Vec<u8>) {
    let body = view.body();
    match body {
        Value::Empty => {}
        Value::Map(map) => messages(map, 1).for_each(|entry| put_len_field(ATTRIBUTES, entry, out)),
        other => Attr { key: BODY, value: other }.put(ATTRIBUTES, out),
    }
    let holds = |key: &[u8]| match body {
        Value::Empty => false,
        Value::Map(map) => messages(map, 1).any(|entry| Attr::key_of(entry) == key),
        _ => key == BODY,
    };
    view.attributes().filter(|attr| !holds(attr.key)).for_each(|attr| attr.put(ATTRIBUTES, out));
}

/// Whether a span has this very event of its own: it came through another of us, or its instrumentation says
/// everything twice.
pub fn has(span: &[u8], field: &[u8]) -> bool {
    let own = messages(field, SPAN_EVENTS).next().unwrap_or_default();
    messages(span, SPAN_EVENTS).any(|event| event == own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList, any_value::Value as Any};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    fn text(text: &str) -> AnyValue {
        AnyValue { value: Some(Any::StringValue(text.into())) }
    }

    fn pair(key: &str, value: AnyValue) -> KeyValue {
        KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
    }

    fn map(values: Vec<KeyValue>) -> AnyValue {
        AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) }
    }

    fn check(record: &LogRecord, expect: &[KeyValue]) -> Event {
        let event = Event::of(&record.encode_to_vec());
        let span = Span::decode(event.field.clone()).unwrap();
        assert_eq!(span.events[0].attributes, expect);
        assert_eq!(span.events[0].name, record.event_name);
        assert_eq!(span.events[0].time_unix_nano, record.time_unix_nano);
        assert!(has(&event.field, &event.field));
        event
    }

    fn record(name: &str, body: Option<AnyValue>) -> LogRecord {
        LogRecord { event_name: name.into(), time_unix_nano: 5, body, ..LogRecord::default() }
    }

    #[test]
    fn what_the_body_holds_becomes_the_events_attributes_before_the_records_own() {
        let message = map(vec![pair("role", text("assistant")), pair("content", text("hi"))]);
        let body = vec![pair("index", text("0")), pair("message", message)];
        let own = pair("gen_ai.system", text("openai"));
        let choice = LogRecord {
            attributes: vec![own.clone(), pair("index", text("9"))],
            ..record("gen_ai.choice", Some(map(body.clone())))
        };
        let event = check(&choice, &[body[0].clone(), body[1].clone(), own]);
        assert!(event.is_last());
    }

    #[test]
    fn a_body_that_is_no_map_goes_under_its_own_name() {
        let event =
            check(&record("gen_ai.user.message", Some(text("hello"))), &[pair("body", text("hello"))]);
        assert!(!event.is_last());
        check(&record("gen_ai.user.message", None), &[]);
    }

    #[test]
    fn an_old_records_name_stands_in_its_attributes_and_does_not_stay_there() {
        let named = LogRecord {
            attributes: vec![pair("event.name", text("gen_ai.tool.message")), pair("k", text("v"))],
            dropped_attributes_count: 2,
            ..record("", None)
        };
        let event = Event::of(&named.encode_to_vec());
        let span = Span::decode(event.field.clone()).unwrap();
        assert_eq!(span.events[0].name, "gen_ai.tool.message");
        assert_eq!(span.events[0].attributes, [pair("k", text("v"))]);
        assert_eq!(span.events[0].dropped_attributes_count, 2);
    }

    #[test]
    fn events_of_one_time_stand_as_in_a_conversation() {
        let names = ["gen_ai.system.message", "gen_ai.user.message", "gen_ai.new", "gen_ai.choice"];
        let ranks = names.map(|name| Event::of(&record(name, None).encode_to_vec()).rank);
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    }

    #[test]
    fn an_event_is_the_spans_own_only_if_nothing_in_it_differs() {
        let one = Event::of(&record("gen_ai.choice", Some(text("a"))).encode_to_vec());
        let other = Event::of(&record("gen_ai.choice", Some(text("b"))).encode_to_vec());
        assert!(has(&[&one.field[..], &other.field[..]].concat(), &other.field));
        assert!(!has(&one.field, &other.field) && !has(b"", &one.field));
    }
}
