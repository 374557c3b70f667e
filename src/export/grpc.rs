//! OTLP/gRPC, the client side: one unary call without a gRPC library between us and the bytes.
//!
//! The frame's five bytes go in front of the pieces; nothing is joined. It never asks for a compressed
//! reply, and reads one all the same.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, header};
use http_body::Body;
use percent_encoding::percent_decode;

use super::body::Pieces;
use super::broken::Broken;
use super::classify::{self, Code, Verdict};
use super::http::retry_after;
use super::read::{self, Inflated, REPLY_MAX, Unread};
use crate::wire::Signal;
use crate::wire::reply::{Encoding, Status, read_partial, read_status};

/// Flag and length before the message (gRPC over HTTP/2, Length-Prefixed-Message).
const PREFIX: usize = 5;
/// `grpc-status-details-bin` beyond this, encoded, is not read.
const DETAILS_MAX: usize = 8 << 10;

/// A message as a frame. `None` when it is longer than a frame can say.
pub(super) fn frame(message: &Pieces, compressed: bool) -> Option<Pieces> {
    let len = u32::try_from(message.len()).ok()?;
    let mut prefix = BytesMut::with_capacity(PREFIX);
    prefix.extend_from_slice(&[u8::from(compressed)]);
    prefix.extend_from_slice(&len.to_be_bytes());
    Some(message.behind(prefix.freeze()))
}

/// What a reply means. `now` is wall time in Unix seconds, for dates in a proxy's reply. `Err` is a reply
/// that broke off.
pub(super) async fn verdict<B>(signal: Signal, reply: Response<B>, now: u64) -> Result<Verdict, Broken>
where
    B: Body<Data = Bytes, Error: Into<Broken>> + Unpin,
{
    let (head, body) = reply.into_parts();
    if head.headers.contains_key("grpc-status") {
        return Ok(of_status(signal, &head.headers, &[], now));
    }
    if !is_grpc(&head.headers) {
        let words = read::words_of(&read::beginning(body, read::FAILURE_MAX).await);
        let message = format!("HTTP {} and not gRPC: {words}", head.status.as_u16());
        let after = retry_after(&head.headers, now);
        return Ok(classify::grpc(Code::of_http(head.status), after, 0, message));
    }
    let (body, trailers) = match read::whole(body, REPLY_MAX + PREFIX).await {
        Ok(read) => read,
        Err(Unread::TooLarge) => return Ok(read::too_large()),
        Err(Unread::Cut(broken)) => return Err(broken),
    };
    let Some(trailers) = trailers.filter(|trailers| trailers.contains_key("grpc-status")) else {
        return Err(Broken::short("the reply ended without `grpc-status`"));
    };
    match message(&head.headers, body) {
        Some(message) => Ok(of_status(signal, &trailers, &message, now)),
        None => Ok(read::too_large()),
    }
}

fn of_status(signal: Signal, headers: &HeaderMap, message: &[u8], now: u64) -> Verdict {
    let code = Code::read(headers.get("grpc-status").map_or(b"", |value| value.as_bytes()));
    if code == Code::Ok {
        let partial = read_partial(signal, Encoding::Protobuf, message).unwrap_or_default();
        return classify::grpc(code, None, partial.rejected, read::words(&partial.message));
    }
    let details = details(headers);
    let words = headers.get("grpc-message").map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
    let words = words.as_deref().filter(|words| !words.is_empty()).unwrap_or(&details.message);
    let delay = details.retry_delay.or_else(|| retry_after(headers, now));
    classify::grpc(code, delay, 0, read::words(&format!("{code:?}: {words}")))
}

/// The `google.rpc.Status` of a failure; empty when there is none, or none we would read.
fn details(headers: &HeaderMap) -> Status {
    use base64::Engine;
    use base64::engine::DecodePaddingMode::Indifferent;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    // gRPC senders may pad or not, receivers must take both.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent),
    );
    let value = headers.get("grpc-status-details-bin").map(|value| value.as_bytes());
    let value = value.filter(|value| value.len() <= DETAILS_MAX);
    value
        .and_then(|value| LENIENT.decode(value).ok())
        .map(|bytes| read_status(Encoding::Protobuf, &bytes))
        .unwrap_or_default()
}

/// The first message of a body. `None`: inflated it is larger than we read. One that can not be read is
/// as good as empty: the status said what became of the batch (conformance HC8).
fn message(headers: &HeaderMap, body: Bytes) -> Option<Bytes> {
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX>() else {
        return Some(Bytes::new());
    };
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > rest.len() {
        return Some(Bytes::new());
    }
    let message = body.slice(PREFIX..PREFIX + len);
    let encoding = headers.get("grpc-encoding").map(|value| value.as_bytes()).filter(|_| flag == 1);
    match read::inflate(encoding, message, REPLY_MAX) {
        (message, Inflated::Whole | Inflated::Unreadable) => Some(message),
        (_, Inflated::TooLarge) => None,
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/grpc"))
}
