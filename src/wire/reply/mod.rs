//! Replies: `Export*ServiceResponse` and `google.rpc.Status`, written and read, in protobuf and JSON.
//!
//! All four signals answer with the same field numbers, so one writer and one reader serve them. What is
//! written is cut to sizes that fit a gRPC trailer (conformance G04, G05: the text is cut, never the
//! count). What is read comes from strangers: it is bounded, it never fails, and what can not be read is
//! left empty, because an answer that says "delivered" in a way we do not understand is still delivered
//! (conformance HC8).

mod json;
mod proto;

use std::time::Duration;

use bytes::Bytes;

use super::Signal;

/// The longest `Status.message`, in bytes. It travels in a gRPC trailer twice (percent-encoded, and base64
/// inside `grpc-status-details-bin`), and common peers stop reading headers at 8 KiB.
pub const STATUS_MESSAGE_MAX: usize = 1024;
/// The longest `partial_success.error_message`, in bytes.
pub const PARTIAL_MESSAGE_MAX: usize = 4096;
/// The most BadRequest.field_violations written or read.
pub const VIOLATIONS_MAX: usize = 5;
/// The longest field name or description of one violation, in bytes.
pub const VIOLATION_TEXT_MAX: usize = 256;

/// The longest delay that is read: what google.protobuf.Duration allows, 10,000 years. Whoever waits has a
/// cap of their own.
const DELAY_MAX: Duration = Duration::from_secs(315_576_000_000);

const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The two OTLP/HTTP encodings; gRPC bodies are `Protobuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// `partial_success`: how many items were rejected, and why. None rejected with a message is a warning on
/// a request taken whole (conformance G11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    pub rejected: u64,
    pub message: String,
}

impl Partial {
    fn says_nothing(&self) -> bool {
        self.rejected == 0 && self.message.is_empty()
    }
}

/// A `google.rpc.Status` with the details OTLP names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A `google.rpc.Code`.
    pub code: u32,
    pub message: String,
    /// RetryInfo.retry_delay. A delay of zero is kept: it says "retryable" (conformance GC2, GC3).
    pub retry_delay: Option<Duration>,
    /// BadRequest.field_violations as (field, description).
    pub violations: Vec<(String, String)>,
}

/// The body of a 200 / OK. `partial` unset, or saying nothing, means full success: 0 bytes, or `{}`
/// (conformance G08). A message over [`PARTIAL_MESSAGE_MAX`] is cut.
pub fn success(signal: Signal, encoding: Encoding, partial: Option<&Partial>) -> Bytes {
    let partial = partial.filter(|p| !p.says_nothing());
    match encoding {
        Encoding::Protobuf => proto::success(partial),
        Encoding::Json => json::success(signal, partial),
    }
}

/// The body of every 4xx and 5xx, and (protobuf) of `grpc-status-details-bin`. Texts and lists are cut to
/// the sizes named above.
pub fn status(encoding: Encoding, status: &Status) -> Bytes {
    match encoding {
        Encoding::Protobuf => proto::status(status),
        Encoding::Json => json::status(status),
    }
}

/// [`success`] in at most `max` bytes: the text is cut as far as that takes, the count never (conformance
/// G04, G05). `None`: not even the count alone fits (G06).
pub fn success_within(
    signal: Signal,
    encoding: Encoding,
    partial: Option<&Partial>,
    max: usize,
) -> Option<Bytes> {
    let with = |text: &str| {
        let rejected = partial.map_or(0, |partial| partial.rejected);
        success(signal, encoding, Some(&Partial { rejected, message: text.to_owned() }))
    };
    let message = partial.map_or("", |partial| partial.message.as_str());
    shrunk(message, PARTIAL_MESSAGE_MAX, max, with)
}

/// [`status`] in at most `max` bytes: without its violations, its text cut, then empty, which says no more
/// than the status line does.
pub fn status_within(encoding: Encoding, whole: &Status, max: usize) -> Bytes {
    let written = status(encoding, whole);
    if written.len() <= max {
        return written;
    }
    let bare = Status { violations: Vec::new(), ..whole.clone() };
    let with = |text: &str| status(encoding, &Status { message: text.to_owned(), ..bare.clone() });
    let cut = shrunk(&whole.message, STATUS_MESSAGE_MAX, max, with);
    cut.unwrap_or_else(|| match encoding {
        Encoding::Protobuf => Bytes::new(),
        Encoding::Json => Bytes::from_static(b"{}"),
    })
}

/// What `with` makes of as much of `text` as fits into `max` bytes; `None` when nothing of it does.
fn shrunk(text: &str, text_max: usize, max: usize, with: impl Fn(&str) -> Bytes) -> Option<Bytes> {
    let mut keep = text.len().min(text_max);
    loop {
        let written = with(&cut(text, keep));
        match written.len().checked_sub(max) {
            None | Some(0) => return Some(written),
            Some(_) if keep == 0 => return None,
            // What is over is one byte or, escaped in JSON, a sixth of one for each byte of the text.
            Some(over) => keep = keep.saturating_sub(over.div_ceil(6)),
        }
    }
}

/// Reads an upstream's 200 / OK body. `None`: full success, also when the body says nothing (conformance
/// G12) or can not be read (HC8).
pub fn read_partial(signal: Signal, encoding: Encoding, body: &[u8]) -> Option<Partial> {
    let partial = match encoding {
        Encoding::Protobuf => proto::read_partial(body),
        Encoding::Json => json::read_partial(signal, body),
    };
    partial.filter(|p| !p.says_nothing())
}

/// Reads a `google.rpc.Status`, bounded; unreadable parts are left empty.
pub fn read_status(encoding: Encoding, body: &[u8]) -> Status {
    match encoding {
        Encoding::Protobuf => proto::read_status(body),
        Encoding::Json => json::read_status(body),
    }
}

/// The JSON name of the count in `partial_success`; in protobuf it is field 1 for every signal.
const fn rejected_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
        Signal::Profiles => "rejectedProfiles",
    }
}

/// At most `max` bytes of `text`, whole characters, with a sign that there was more where it fits.
fn cut(text: &str, max: usize) -> std::borrow::Cow<'_, str> {
    const MORE: &str = "…";
    if text.len() <= max {
        return text.into();
    }
    if max < MORE.len() {
        return "".into();
    }
    let mut end = max - MORE.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut kept = text.get(..end).unwrap_or_default().to_owned();
    kept.push_str(MORE);
    kept.into()
}

#[cfg(test)]
mod tests;
