//! Replies: what a caller is told, on either transport. One table says it for every refusal.
//!
//! The table keeps to what clients do with a code (conformance GC1, HC2): what may succeed later is
//! UNAVAILABLE / 503 and nothing else is; what never will is none of the codes they retry. So a body
//! that came too slowly is 503, not 408 or DEADLINE_EXCEEDED.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::wire::json::JsonError;
use crate::wire::reply::{self, Encoding, Partial, Status};
use crate::wire::{Malformed, Signal};

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
/// Bytes of a text of the caller's that we repeat to it.
const QUOTE_MAX: usize = 200;

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

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "nothing is served at {0:?}; this is Spandrel, an OpenTelemetry receiver: POST to /v1/traces, \
         /v1/metrics, /v1/logs or /v1development/profiles, or call Export over gRPC"
    )]
    Path(String),
    #[error("method {0} is not allowed here; POST an export request")]
    Method(String),
    #[error(
        "content-type {0} is not accepted; send application/x-protobuf, application/json, or \
         application/grpc over HTTP/2"
    )]
    MediaType(String),
    #[error("gRPC needs HTTP/2; this connection speaks {0:?}")]
    HttpVersion(Version),
    #[error("encoding {0:?} is not supported; send gzip, zstd, deflate or identity")]
    Coding(String),
    #[error("the message is flagged as compressed, but no grpc-encoding says how")]
    NoCoding,
    #[error("the request is larger than {max} bytes {what}; send smaller batches")]
    TooLarge { what: &'static str, max: usize },
    #[error("the gRPC message can not be read: {0}")]
    Framing(&'static str),
    #[error("the {coding} body can not be inflated: {why}")]
    Corrupt { coding: &'static str, why: &'static str },
    #[error("the request can not be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("the JSON request can not be read: {0}")]
    Json(#[from] JsonError),
    #[error("the body broke off: {}", quoted(.0))]
    Broken(String),
    #[error("the body came too slowly; send it again")]
    Slow,
    #[error("{what}; send again in {after:?}")]
    Busy { what: &'static str, after: Duration },
    #[error("an error inside this program; it has been logged")]
    Internal,
    #[error("unknown service {0:?}")]
    UnknownService(String),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    /// The `outcome` label of our metrics.
    outcome: &'static str,
    /// A `google.rpc.Code`.
    code: u8,
    http: StatusCode,
}

mod code {
    pub const INVALID_ARGUMENT: u8 = 3;
    pub const NOT_FOUND: u8 = 5;
    pub const RESOURCE_EXHAUSTED: u8 = 8;
    pub const UNIMPLEMENTED: u8 = 12;
    pub const INTERNAL: u8 = 13;
    pub const UNAVAILABLE: u8 = 14;
}

impl Refusal {
    fn verdict(&self) -> Verdict {
        use StatusCode as S;
        let (outcome, code, http) = match self {
            Refusal::Path(_) => ("unknown_path", code::UNIMPLEMENTED, S::NOT_FOUND),
            Refusal::Method(_) => ("method", code::UNIMPLEMENTED, S::METHOD_NOT_ALLOWED),
            Refusal::MediaType(_) => ("media_type", code::INVALID_ARGUMENT, S::UNSUPPORTED_MEDIA_TYPE),
            Refusal::HttpVersion(_) => ("http_version", code::UNIMPLEMENTED, S::HTTP_VERSION_NOT_SUPPORTED),
            Refusal::Coding(_) => ("encoding", code::UNIMPLEMENTED, S::UNSUPPORTED_MEDIA_TYPE),
            Refusal::NoCoding => ("encoding", code::INTERNAL, S::BAD_REQUEST),
            Refusal::TooLarge { .. } => ("too_large", code::RESOURCE_EXHAUSTED, S::PAYLOAD_TOO_LARGE),
            Refusal::Framing(_) => ("framing", code::INVALID_ARGUMENT, S::BAD_REQUEST),
            Refusal::Corrupt { .. } => ("corrupt", code::INVALID_ARGUMENT, S::BAD_REQUEST),
            Refusal::Malformed(_) | Refusal::Json(_) => ("malformed", code::INVALID_ARGUMENT, S::BAD_REQUEST),
            Refusal::Broken(_) => ("broken_off", code::INVALID_ARGUMENT, S::BAD_REQUEST),
            Refusal::Slow => ("slow", code::UNAVAILABLE, S::SERVICE_UNAVAILABLE),
            Refusal::Busy { .. } => ("busy", code::UNAVAILABLE, S::SERVICE_UNAVAILABLE),
            Refusal::Internal => ("internal", code::INTERNAL, S::INTERNAL_SERVER_ERROR),
            Refusal::UnknownService(_) => ("unknown_service", code::NOT_FOUND, S::NOT_FOUND),
        };
        Verdict { outcome, code, http }
    }

    /// The `outcome` label of our metrics.
    pub fn outcome(&self) -> &'static str {
        self.verdict().outcome
    }

    /// The refusal as every caller can read it (conformance HS10, HS12, GS05, GS06).
    fn status(&self) -> Status {
        let violations = match self {
            Refusal::Malformed(m) => vec![(m.path.clone(), format!("{} (at byte {})", m.fault, m.at))],
            Refusal::Json(j) => {
                vec![(j.path.clone(), format!("{} (line {}, column {})", j.what, j.line, j.column))]
            }
            _ => Vec::new(),
        };
        let retry_delay = self.retry_after();
        Status { code: self.verdict().code.into(), message: self.to_string(), retry_delay, violations }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Busy { after, .. } => Some(*after),
            Refusal::Slow => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// A text of the caller's, short enough to repeat.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
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
    let mut response = http(refusal.verdict().http, encoding, reply::status(encoding, &refusal.status()));
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
