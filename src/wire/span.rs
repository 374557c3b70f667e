//! The fields of one span that the index does not keep, read on demand.

use super::attr::{self, Attr};
use super::fields::{Fields, Payload};

/// The field number of a span's attributes, for [`attr::find`].
pub const ATTRIBUTES: u32 = 9;

/// A borrowed reading of a Span message's body. Every call scans the span once; of repeated fields the
/// last counts.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a>(pub &'a [u8]);

/// `Span.Status.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Unset,
    Ok,
    Error,
}

impl<'a> SpanView<'a> {
    pub fn name(&self) -> &'a [u8] {
        attr::messages(self.0, 5).last().unwrap_or_default()
    }

    /// `SpanKind` as its number; 0 (unspecified) also for numbers no byte holds.
    pub fn kind(&self) -> u8 {
        let kind =
            self.last(6, |payload| if let Payload::Varint(kind) = payload { Some(kind) } else { None });
        kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or(0)
    }

    /// Unix nanoseconds.
    pub fn start(&self) -> u64 {
        self.fixed64(7)
    }

    /// Unix nanoseconds; 0 when the span has not ended.
    pub fn end(&self) -> u64 {
        self.fixed64(8)
    }

    /// The code and the message that goes with it; Unset for codes OTLP does not define.
    pub fn status(&self) -> (Status, &'a [u8]) {
        let fields = attr::messages(self.0, 15).flat_map(Fields::of);
        fields.fold((Status::Unset, &[]), |(code, message), field| match (field.number, field.payload) {
            (2, Payload::Len(text)) => (code, text),
            (3, Payload::Varint(1)) => (Status::Ok, message),
            (3, Payload::Varint(2)) => (Status::Error, message),
            (3, Payload::Varint(_)) => (Status::Unset, message),
            _ => (code, message),
        })
    }

    pub fn attributes(&self) -> impl Iterator<Item = Attr<'a>> {
        attr::attributes(self.0, ATTRIBUTES)
    }

    fn fixed64(&self, number: u32) -> u64 {
        self.last(number, |payload| if let Payload::Fixed64(v) = payload { Some(v) } else { None })
            .unwrap_or(0)
    }

    fn last<T>(&self, number: u32, read: impl Fn(Payload<'a>) -> Option<T>) -> Option<T> {
        Fields::of(self.0)
            .filter(|field| field.number == number)
            .filter_map(|field| read(field.payload))
            .last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1 as otlp;
    use prost::Message;

    #[test]
    fn every_field_reads_as_prost_wrote_it() {
        let span = otlp::Span {
            name: "GET /pay".into(),
            kind: 2,
            start_time_unix_nano: 1,
            end_time_unix_nano: u64::MAX,
            status: Some(otlp::Status { code: 2, message: "declined".into() }),
            ..Default::default()
        };
        let bytes = span.encode_to_vec();
        let view = SpanView(&bytes);
        assert_eq!((view.name(), view.kind()), (&b"GET /pay"[..], 2));
        assert_eq!((view.start(), view.end()), (1, u64::MAX));
        assert_eq!(view.status(), (Status::Error, &b"declined"[..]));
    }

    #[test]
    fn an_empty_span_reads_as_defaults() {
        let view = SpanView(&[]);
        assert_eq!((view.name(), view.kind(), view.start(), view.end()), (&b""[..], 0, 0, 0));
        assert_eq!(view.status(), (Status::Unset, &b""[..]));
    }

    #[test]
    fn repeated_status_messages_merge() {
        // code ERROR, then a second Status with a message alone.
        let bytes = [0x7a, 2, 0x18, 2, 0x7a, 3, 0x12, 1, b'x'];
        assert_eq!(SpanView(&bytes).status(), (Status::Error, &b"x"[..]));
    }
}
