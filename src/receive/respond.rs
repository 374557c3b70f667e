//! Replies: what a caller is told, on either transport. What a refusal means is in `refusal.rs`.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::refusal::Refusal;
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

/// A request taken, wholly or in part: always 200 / OK (conformance HS09).
pub fn accepted(caller: Caller, signal: Signal, partial: Option<&Partial>) -> Response<Reply> {
    match caller {
        Caller::Grpc => grpc_message(reply::success(signal, Encoding::Protobuf, partial)),
        Caller::Http(encoding) => http(StatusCode::OK, encoding, reply::success(signal, encoding, partial)),
    }
}

/// One gRPC message and OK.
pub fn grpc_message(message: Bytes) -> Response<Reply> {
    let mut framed = Vec::with_capacity(5 + message.len());
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&message);
    let data = if message.is_empty() { Bytes::from_static(&[0; 5]) } else { framed.into() };
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, ZERO)]);
    let mut response = Response::new(Reply { data, trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A request not taken.
pub fn refused(caller: Caller, refusal: &Refusal) -> Response<Reply> {
    match caller {
        Caller::Grpc => grpc_refused(refusal),
        Caller::Http(encoding) => http_refused(encoding, refusal),
    }
}

/// Trailers alone: status, text, and the details OTLP names.
fn grpc_refused(refusal: &Refusal) -> Response<Reply> {
    let status = refusal.status();
    let details = BASE64_STANDARD_NO_PAD.encode(reply::status(Encoding::Protobuf, &status));
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
    if matches!(refusal, Refusal::Coding(_)) {
        headers.insert(GRPC_ACCEPT_ENCODING, CODINGS);
    }
    response
}

fn http_refused(encoding: Encoding, refusal: &Refusal) -> Response<Reply> {
    let mut response = http(refusal.http(), encoding, reply::status(encoding, &refusal.status()));
    let headers = response.headers_mut();
    if let Some(after) = refusal.retry_after() {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        Refusal::Method(_) => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        Refusal::Coding(_) => drop(headers.insert(ACCEPT_ENCODING, CODINGS)),
        // What is left of the body is not worth waiting for.
        Refusal::Slow => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
        _ => {}
    }
    response
}

fn http(status: StatusCode, encoding: Encoding, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply { data: body, trailers: None });
    *response.status_mut() = status;
    let media_type = match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    };
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// A reply's body: one piece and, over gRPC, trailers. Nothing is boxed.
#[derive(Debug)]
pub struct Reply {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Reply {
    fn empty() -> Self {
        Self { data: Bytes::new(), trailers: None }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}
