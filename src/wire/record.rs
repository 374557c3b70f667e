//! The fields of one log record, read on demand.
//!
//! The one surprise: an event's name may stand in a field of its own (OTLP 1.6) or, as SDKs wrote it before,
//! in an attribute. The field is believed first.

use super::TraceId;
use super::attr::{self, Attr, Value};
use super::fields::{Fields, Payload};
use super::noted::EVENT_NAME;

/// The field number of a record's attributes.
pub const ATTRIBUTES: u32 = 6;

/// A borrowed reading of a LogRecord message's body. Every call scans the record once; of repeated fields
/// the last counts.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a>(pub &'a [u8]);

impl<'a> RecordView<'a> {
    /// Unix nanoseconds: when it happened, else when it was seen, else 0.
    pub fn time(&self) -> u64 {
        let (mut happened, mut seen) = (0, 0);
        for field in Fields::of(self.0) {
            match (field.number, field.payload) {
                (1, Payload::Fixed64(time)) => happened = time,
                (11, Payload::Fixed64(time)) => seen = time,
                _ => {}
            }
        }
        if happened == 0 { seen } else { happened }
    }

    /// The trace it belongs to, if it says.
    pub fn trace(&self) -> Option<TraceId> {
        let last = attr::messages(self.0, 9).last()?;
        last.try_into().ok().map(TraceId).filter(|trace| !trace.is_none())
    }

    /// What the event is called; empty for a plain record.
    pub fn event_name(&self) -> &'a [u8] {
        if let Some(name) = attr::messages(self.0, 12).last().filter(|name| !name.is_empty()) {
            return name;
        }
        match attr::find(self.0, ATTRIBUTES, EVENT_NAME.as_bytes()) {
            Some(Value::Str(name)) => name,
            _ => &[],
        }
    }

    pub fn body(&self) -> Value<'a> {
        attr::messages(self.0, 5).fold(Value::Empty, |value, body| value.updated(body))
    }

    /// Its own attributes, without the name of its event.
    pub fn attributes(&self) -> impl Iterator<Item = Attr<'a>> {
        attr::attributes(self.0, ATTRIBUTES).filter(|attr| attr.key != EVENT_NAME.as_bytes())
    }

    /// Attributes its SDK dropped.
    pub fn dropped(&self) -> u64 {
        let last = Fields::of(self.0).filter(|field| field.number == 7).last();
        match last.map(|field| field.payload) {
            Some(Payload::Varint(dropped)) => dropped,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use prost::Message;

    fn text(text: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(Any::StringValue(text.into())) })
    }

    #[test]
    fn every_field_reads_as_prost_wrote_it() {
        let named =
            |key: &str| KeyValue { key: key.into(), value: text("gen_ai.choice"), ..KeyValue::default() };
        let mut record = LogRecord {
            observed_time_unix_nano: 7,
            body: text("hello"),
            attributes: vec![named(EVENT_NAME), named("k")],
            dropped_attributes_count: 3,
            ..LogRecord::default()
        };
        let bytes = record.encode_to_vec();
        let view = RecordView(&bytes);
        assert_eq!((view.time(), view.event_name(), view.dropped()), (7, &b"gen_ai.choice"[..], 3));
        assert_eq!(view.body(), Value::Str(b"hello"));
        assert_eq!(view.attributes().map(|attr| attr.key).collect::<Vec<_>>(), [b"k"]);
        (record.time_unix_nano, record.event_name) = (5, "gen_ai.user.message".into());
        let bytes = record.encode_to_vec();
        let view = RecordView(&bytes);
        assert_eq!((view.time(), view.event_name()), (5, &b"gen_ai.user.message"[..]));
    }

    #[test]
    fn an_empty_record_reads_as_defaults() {
        let view = RecordView(&[]);
        assert_eq!((view.time(), view.event_name(), view.body()), (0, &b""[..], Value::Empty));
    }
}
