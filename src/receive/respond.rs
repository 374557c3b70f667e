//! Replies: what a caller is told, on either transport. What a refusal means is in `refusal.rs`.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::refusal::Refusal;
use crate::model::Clock;
use crate::model::relay::leave_what_stays;
use crate::wire::Signal;
use crate::wire::reply::{self, Encoding, Partial};

/// What we can undo, in the words of `accept-encoding` and `grpc-accept-encoding`.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd, deflate, identity");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Shorter replies gain nothing from gzip.
const GZIP_MIN: usize = 256;
const ZERO: HeaderValue = HeaderValue::from_static("0");
/// What `grpc-message` may not carry as it is (gRPC over HTTP/2, "Percent-Byte-Unencoded").
const NOT_IN_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');
/// How the caller speaks to us, hence how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Grpc,
    Http(Encoding),
}

impl Caller {
    /// The `transport` label of our metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Caller::Grpc => "grpc",
            Caller::Http(Encoding::Protobuf) => "http_protobuf",
            Caller::Http(Encoding::Json) => "http_json",
        }
    }
}

/// How one caller's replies are written.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    pub caller: Caller,
    /// The request's, which may ask for gzip (conformance HS08).
    pub headers: &'a HeaderMap,
    /// Bytes of a reply before compression (conformance G04).
    pub max: usize,
}

/// A request taken, wholly or in part: always 200 / OK (conformance HS09). `None`: no reply that says how
/// many items were refused fits the limit (conformance G06).
pub fn accepted(manner: Manner<'_>, signal: Signal, partial: Option<&Partial>) -> Option<Response<Reply>> {
    let encoding = match manner.caller {
        Caller::Grpc => Encoding::Protobuf,
        Caller::Http(encoding) => encoding,
    };
    let body = reply::success_within(signal, encoding, partial, manner.max)?;
    Some(match manner.caller {
        Caller::Grpc => grpc_message(body),
        Caller::Http(encoding) => http(StatusCode::OK, encoding, body, manner.headers),
    })
}

/// One gRPC message and OK.
pub fn grpc_message(message: Bytes) -> Response<Reply> {
    let mut framed = Vec::with_capacity(5 + message.len());
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&message);
    let data = if message.is_empty() { Bytes::from_static(&[0; 5]) } else { framed.into() };
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, ZERO)]);
    let mut response = Response::new(Reply::Piece { data, trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A request not taken.
pub fn refused(manner: Manner<'_>, refusal: &Refusal) -> Response<Reply> {
    match manner.caller {
        Caller::Grpc => grpc_refused(refusal, manner.max),
        Caller::Http(encoding) => http_refused(encoding, refusal, manner),
    }
}

/// Trailers alone: status, text, and the details OTLP names.
fn grpc_refused(refusal: &Refusal, max: usize) -> Response<Reply> {
    let status = refusal.status();
    let details = BASE64_STANDARD_NO_PAD.encode(reply::status_within(Encoding::Protobuf, &status, max));
    let message = utf8_percent_encode(&status.message, NOT_IN_MESSAGE).to_string();
    let mut response = Response::new(Reply::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code));
    // Both are ASCII without controls by construction; if not, the code alone still says enough.
    let texts = [(GRPC_MESSAGE, message), (GRPC_DETAILS, details)];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    match refusal {
        Refusal::Coding(_) => drop(headers.insert(GRPC_ACCEPT_ENCODING, CODINGS)),
        Refusal::Unauthenticated { challenge, .. } => {
            drop(headers.insert(WWW_AUTHENTICATE, challenge.clone()));
        }
        _ => {}
    }
    response
}

fn http_refused(encoding: Encoding, refusal: &Refusal, manner: Manner<'_>) -> Response<Reply> {
    let body = reply::status_within(encoding, &refusal.status(), manner.max);
    let mut response = http(refusal.http(), encoding, body, manner.headers);
    let headers = response.headers_mut();
    if let Some(after) = refusal.retry_after() {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        Refusal::Method(_) => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        Refusal::Coding(_) => drop(headers.insert(ACCEPT_ENCODING, CODINGS)),
        Refusal::Unauthenticated { challenge, .. } => {
            drop(headers.insert(WWW_AUTHENTICATE, challenge.clone()));
        }
        // What is left of the body is not worth waiting for.
        Refusal::Slow => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
        _ => {}
    }
    response
}

/// `asked` are the headers of the request.
fn http(status: StatusCode, encoding: Encoding, body: Bytes, asked: &HeaderMap) -> Response<Reply> {
    let coded = if body.len() >= GZIP_MIN && takes_gzip(asked) { gzipped(&body) } else { None };
    let coding = coded.is_some();
    let mut response = Response::new(Reply::Piece { data: coded.unwrap_or(body), trailers: None });
    *response.status_mut() = status;
    if coding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let media_type = match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    };
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Makes a response that is not gRPC's one of HTTP/2, where that is what its caller speaks. Over HTTP/1 hyper says when it
/// was made (RFC 9110, 6.6.1), and over HTTP/2 nobody but us; and what a server beyond said of its connection, or we
/// of ours, ends here (RFC 9113, 8.2.2).
pub fn over_http2(response: &mut Response<Reply>, version: Version, clock: Clock) {
    if version != Version::HTTP_2 {
        return;
    }
    let headers = response.headers_mut();
    leave_what_stays(headers);
    let now = || UNIX_EPOCH + Duration::from_nanos(clock.unix_nanos());
    if !headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(now()))
    {
        headers.insert(DATE, now);
    }
}

/// A response without a body.
pub fn nothing(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = status;
    response
}

/// One gzip member; `None` should that ever fail.
fn gzipped(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len()), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether `accept-encoding` names gzip, and not as what is not wanted (RFC 9110, 12.5.3). `*` is not taken
/// for a wish.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = named.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        gzip && weight.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}

/// A reply's body. Exports are answered by one piece and, over gRPC, trailers: nothing of that is boxed.
#[derive(Debug)]
pub enum Reply {
    /// All of it is here.
    Piece { data: Bytes, trailers: Option<HeaderMap> },
    /// A reply that goes on.
    Stream(tonic::body::Body),
}

impl Reply {
    fn empty() -> Self {
        Self::Piece { data: Bytes::new(), trailers: None }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Reply::Piece { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Reply::Piece { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Reply::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Piece { data, trailers } => data.is_empty() && trailers.is_none(),
            Reply::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // What ends in trailers is gRPC, whose messages say their length themselves: no `content-length`.
            Reply::Piece { trailers: Some(_), .. } => SizeHint::default(),
            Reply::Piece { data, .. } => SizeHint::with_exact(data.len() as u64),
            Reply::Stream(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hs08_gzip_is_for_those_who_ask_for_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for asked in ["gzip", "GZIP", "deflate, gzip;q=0.5", "gzip ; Q=1.0, br"] {
            assert!(takes(asked), "{asked}");
        }
        for not_asked in ["", "identity", "gzip;q=0", "gzip;q=0.000", "x-gzip2", "*", "gzip;q=much"] {
            assert!(!takes(not_asked), "{not_asked}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
