//! Why a request is not taken: one table says what every refusal means, on either transport.
//!
//! The table keeps to what clients do with a code (conformance GC1, HC2): what may succeed later is
//! UNAVAILABLE / 503 and nothing else is; what never will is none of the codes they retry. So a body
//! that came too slowly is 503, not 408 or DEADLINE_EXCEEDED.

use std::time::Duration;

use http::{HeaderValue, StatusCode, Version};

use crate::model::relay::Unreached;
use crate::wire::json::JsonError;
use crate::wire::reply::Status;
use crate::wire::{Malformed, Signal};

/// Bytes of a text of the caller's that we repeat to it.
const QUOTE_MAX: usize = 200;

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "nothing is served at {0:?}; this is Spandrel, an OpenTelemetry receiver: POST to /v1/traces, \
         /v1/metrics, /v1/logs or /v1development/profiles, or call Export over gRPC"
    )]
    Path(String),
    #[error(
        "no upstream here takes {}; name them in `upstreams.NAME.signals` of the one that shall, or set \
         OTEL_EXPORTER_OTLP_{}_ENDPOINT where the upstreams come from such variables",
        .0.name(), .0.name().to_uppercase()
    )]
    NotTaken(Signal),
    #[error(
        "this request has been through {hops} Spandrels: there is a loop, an upstream on the way leads back \
         here; look at the `upstreams` of each"
    )]
    Loop { hops: u32 },
    #[error(
        "{why}; send `authorization: Bearer …` or `Basic …` with a credential of receive.auth, or the same in \
         `proxy-authorization` when `authorization` is for the upstream"
    )]
    Unauthenticated { why: &'static str, challenge: HeaderValue },
    #[error("pages of {0:?} may not send here; name the origin in receive.cors if they may")]
    Origin(String),
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
    #[error(
        "the request was taken, but a reply that says what of it was refused is larger than {max} bytes; \
         raise receive.max_response"
    )]
    ReplyTooLarge { max: usize },
    #[error("an error inside this program; it has been logged")]
    Internal,
    #[error("{}", unreached(.0))]
    Unreached(Unreached),
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
    pub const DEADLINE_EXCEEDED: u8 = 4;
    pub const NOT_FOUND: u8 = 5;
    pub const PERMISSION_DENIED: u8 = 7;
    pub const RESOURCE_EXHAUSTED: u8 = 8;
    pub const FAILED_PRECONDITION: u8 = 9;
    pub const UNIMPLEMENTED: u8 = 12;
    pub const INTERNAL: u8 = 13;
    pub const UNAVAILABLE: u8 = 14;
    pub const UNAUTHENTICATED: u8 = 16;
}

impl Refusal {
    /// The HTTP status.
    pub fn http(&self) -> StatusCode {
        self.verdict().http
    }

    fn verdict(&self) -> Verdict {
        use StatusCode as S;
        let (outcome, code, http) = match self {
            Refusal::Path(_) => ("unknown_path", code::UNIMPLEMENTED, S::NOT_FOUND),
            Refusal::NotTaken(_) => ("not_taken", code::UNIMPLEMENTED, S::NOT_FOUND),
            Refusal::Loop { .. } => ("loop", code::FAILED_PRECONDITION, S::LOOP_DETECTED),
            Refusal::Unauthenticated { .. } => ("unauthenticated", code::UNAUTHENTICATED, S::UNAUTHORIZED),
            Refusal::Origin(_) => ("origin", code::PERMISSION_DENIED, S::FORBIDDEN),
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
            Refusal::ReplyTooLarge { .. } => {
                ("reply_too_large", code::RESOURCE_EXHAUSTED, S::INTERNAL_SERVER_ERROR)
            }
            Refusal::Internal => ("internal", code::INTERNAL, S::INTERNAL_SERVER_ERROR),
            Refusal::Unreached(Unreached::Busy) => ("relay_busy", code::UNAVAILABLE, S::SERVICE_UNAVAILABLE),
            Refusal::Unreached(Unreached::Unreachable(_)) => {
                ("unreachable", code::UNAVAILABLE, S::BAD_GATEWAY)
            }
            Refusal::Unreached(Unreached::Silent(_)) => {
                ("silent", code::DEADLINE_EXCEEDED, S::GATEWAY_TIMEOUT)
            }
            Refusal::UnknownService(_) => ("unknown_service", code::NOT_FOUND, S::NOT_FOUND),
        };
        Verdict { outcome, code, http }
    }

    /// The `outcome` label of our metrics.
    pub fn outcome(&self) -> &'static str {
        self.verdict().outcome
    }

    /// The refusal as every caller can read it (conformance HS10, HS12, GS05, GS06).
    pub fn status(&self) -> Status {
        let violations = match self {
            Refusal::Malformed(m) => vec![(m.path.clone(), format!("{} (at byte {})", m.fault, m.at))],
            Refusal::Json(j) => {
                vec![(j.path.clone(), format!("{} (line {}, column {})", j.what, j.line, j.column))]
            }
            Refusal::Corrupt { coding, why } => vec![("body".to_owned(), format!("as {coding}: {why}"))],
            Refusal::Framing(why) => vec![("message".to_owned(), (*why).to_owned())],
            _ => Vec::new(),
        };
        let retry_delay = self.retry_after();
        Status { code: self.verdict().code.into(), message: self.to_string(), retry_delay, violations }
    }

    /// When to send again, if that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Busy { after, .. } => Some(*after),
            Refusal::Slow | Refusal::Unreached(Unreached::Busy) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// What a caller is told whose request, which is not OTLP, got no reply.
fn unreached(why: &Unreached) -> String {
    match why {
        Unreached::Busy => {
            "as many requests as may be are on their way to the platform; send again".to_owned()
        }
        Unreached::Unreachable(why) => format!(
            "Spandrel can not hand this request on: {why}; is the address in `upstream` right, and can it be \
             reached from here?"
        ),
        Unreached::Silent(limit) => {
            format!(
                "the platform behind Spandrel did not reply within {limit:?}; it may have acted all the same"
            )
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
