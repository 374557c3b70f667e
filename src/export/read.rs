//! Reading what an upstream says, without trusting it: never more than a bound, inflated or not.

use std::borrow::Cow;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Body;
use http_body_util::BodyExt;

use super::broken::Broken;
use super::classify::{self, Verdict};

/// The largest reply read, on the wire and inflated (OTLP specification, response limit; conformance C02).
pub(super) const REPLY_MAX: usize = 4 << 20;
/// Of a failure only the beginning is read: its status has said what matters.
pub(super) const FAILURE_MAX: usize = 16 << 10;
/// The most of an upstream's words that is logged.
const WORDS_MAX: usize = 300;
/// A zstd window beyond this is refused: 8 MiB, what the format's RFC 8878 asks decoders to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a reply could not be read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Cut(Broken),
}

/// What is said of a reply longer than we read.
pub(super) fn too_large() -> Verdict {
    classify::reply_too_large(format!("the reply is larger than {REPLY_MAX} bytes"))
}

/// The whole body and its trailers, if it is no longer than `max`.
pub(super) async fn whole<B>(mut body: B, max: usize) -> Result<(Bytes, Option<HeaderMap>), Unread>
where
    B: Body<Data = Bytes, Error: Into<Broken>> + Unpin,
{
    let mut read = Gathered::default();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|cause| Unread::Cut(cause.into()))?.into_data() {
            Ok(data) if read.len() + data.len() > max => return Err(Unread::TooLarge),
            Ok(data) => read.put(data),
            Err(frame) => return Ok((read.done(), frame.into_trailers().ok())),
        }
    }
    Ok((read.done(), None))
}

/// The first `max` bytes of a body; what can not be read is left out.
pub(super) async fn beginning(mut body: impl Body<Data = Bytes> + Unpin, max: usize) -> Bytes {
    let mut read = Gathered::default();
    while read.len() < max {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { break };
        read.put(data.slice(..data.len().min(max - read.len())));
    }
    read.done()
}

/// Keeps a lone frame as it came.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    rest: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn put(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
        } else {
            self.rest.extend_from_slice(&data);
        }
    }

    fn done(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut all = BytesMut::with_capacity(self.len());
        all.extend_from_slice(&self.first);
        all.extend_from_slice(&self.rest);
        all.freeze()
    }
}

/// A body that can not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    Whole,
    TooLarge,
    Unreadable,
}

/// Undoes `Content-Encoding`. We ask for none, but a reply may have one all the same.
pub(super) fn inflate(encoding: Option<&[u8]>, body: Bytes, max: usize) -> (Bytes, Inflated) {
    let limit = max as u64 + 1;
    let mut out = Vec::new();
    let result = match encoding.unwrap_or(b"identity") {
        b"identity" | b"" => return (body, Inflated::Whole),
        b"gzip" | b"x-gzip" => flate2::read::MultiGzDecoder::new(&*body).take(limit).read_to_end(&mut out),
        b"zstd" => zstd::stream::read::Decoder::with_buffer(&*body)
            .and_then(|mut decoder| decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map(|()| decoder))
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut out)),
        _ => return (Bytes::new(), Inflated::Unreadable),
    };
    match result {
        Ok(_) if out.len() > max => (Bytes::new(), Inflated::TooLarge),
        Ok(_) => (out.into(), Inflated::Whole),
        Err(_) => (Bytes::new(), Inflated::Unreadable),
    }
}

/// The `Content-Encoding` header, as it came.
pub(super) fn content_encoding(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii())
}

/// An upstream's words made fit for a log line: short, one line, printable.
pub(super) fn words(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect();
    line.trim().to_owned()
}

/// As [`words`], of bytes that may not be text.
pub(super) fn words_of(bytes: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(bytes.get(..WORDS_MAX * 4).unwrap_or(bytes));
    words(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap().into()
    }

    #[test]
    fn inflates_what_it_knows_and_says_what_it_does_not() {
        let check = |encoding: Option<&[u8]>, body: Bytes, expect: (&[u8], Inflated)| {
            let (bytes, outcome) = inflate(encoding, body, 100);
            assert_eq!((&*bytes, outcome), expect, "{encoding:?}");
        };
        check(None, Bytes::from_static(b"plain"), (b"plain", Inflated::Whole));
        check(Some(b"gzip"), gzip(b"hello"), (b"hello", Inflated::Whole));
        check(Some(b"zstd"), zstd::encode_all(&b"hello"[..], 1).unwrap().into(), (b"hello", Inflated::Whole));
        check(Some(b"br"), Bytes::from_static(b"?"), (b"", Inflated::Unreadable));
        check(Some(b"gzip"), Bytes::from_static(b"not gzip"), (b"", Inflated::Unreadable));
        check(Some(b"gzip"), gzip(&[0; 101]), (b"", Inflated::TooLarge));
        check(Some(b"zstd"), zstd::encode_all(&[0; 101][..], 1).unwrap().into(), (b"", Inflated::TooLarge));
    }

    #[test]
    fn words_are_one_short_line() {
        assert_eq!(words(" two\nlines\u{7} "), "two lines");
        assert_eq!(words(&"x".repeat(5000)).len(), WORDS_MAX);
        assert_eq!(words_of(b"\xff\xfe bad"), "\u{fffd}\u{fffd} bad");
    }
}
