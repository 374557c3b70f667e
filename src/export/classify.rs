//! The one table from what came back to what becomes of the batch.
//!
//! Only here is it decided whose fault a failure is and whether trying again helps (OTLP specification,
//! "Failures", and its tables of retryable gRPC and HTTP codes; conformance GC1, GC2, HC2). The words of a
//! reply are for people: they do not change the verdict (HC7), but for one case. gRPC has no code for a
//! message that is too large, so the libraries use RESOURCE_EXHAUSTED or OUT_OF_RANGE and say so in words.
//!
//! The surprise: 500, 408 and gRPC INTERNAL are *not* tried again. The specification says so, and an
//! upstream that means "later" has codes to say it.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use http::StatusCode;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken, but for `rejected` items (OTLP `partial_success`).
    Delivered { rejected: u64, message: String },
    /// Not taken this time.
    Retry(Again),
    /// Not taken, now or ever.
    Refused { reason: Refusal, message: String },
}

/// A failure that another attempt may mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub trouble: Trouble,
    /// Whom it concerns, and so who waits.
    pub whom: Whom,
    /// What the upstream asked for (RetryInfo, `Retry-After`).
    pub after: Option<Duration>,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The upstream as a whole: every sender waits, one knocks.
    Upstream,
    /// This batch, or its tenant: the other senders go on.
    Batch,
    /// A connection that had served before and was closed under the call, as idle timeouts do: another
    /// connection may work at once.
    Connection,
    /// Nobody: the upstream says it did not look at the call (GOAWAY, REFUSED_STREAM), or it never left.
    Nobody,
}

/// Why an attempt failed for now; names the `outcome` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection: refused, unresolved, unreachable.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended without a whole reply.
    Cut,
    /// No reply in time.
    Timeout,
    /// The upstream can not take anything now.
    Unavailable,
    /// The upstream takes no more from this caller for now.
    Throttled,
    /// The call was given up by somebody on the way.
    Aborted,
}

impl Trouble {
    pub const fn name(self) -> &'static str {
        match self {
            Trouble::Connect => "connect",
            Trouble::Tls => "tls",
            Trouble::Cut => "cut",
            Trouble::Timeout => "timeout",
            Trouble::Unavailable => "unavailable",
            Trouble::Throttled => "throttled",
            Trouble::Aborted => "aborted",
        }
    }
}

/// Why an upstream does not want a batch; names the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Invalid,
    TooLarge,
    Unauthenticated,
    Forbidden,
    NotFound,
    /// The method, the encoding or the signal is not supported.
    Unsupported,
    Conflict,
    Precondition,
    /// gRPC RESOURCE_EXHAUSTED without RetryInfo: a quota, or a size the specification gives no other code.
    Exhausted,
    /// 3xx: not followed, because credentials would travel to wherever it points.
    Redirected,
    Internal,
    Unknown,
    /// The reply is larger than we are willing to read.
    ReplyTooLarge,
}

impl Refusal {
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Invalid => "invalid",
            Refusal::TooLarge => "too_large",
            Refusal::Unauthenticated => "unauthenticated",
            Refusal::Forbidden => "forbidden",
            Refusal::NotFound => "not_found",
            Refusal::Unsupported => "unsupported",
            Refusal::Conflict => "conflict",
            Refusal::Precondition => "precondition",
            Refusal::Exhausted => "exhausted",
            Refusal::Redirected => "redirected",
            Refusal::Internal => "internal",
            Refusal::Unknown => "unknown",
            Refusal::ReplyTooLarge => "reply_too_large",
        }
    }

    /// What an operator can do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Refusal::Invalid => "the upstream finds the data malformed; its message says what",
            Refusal::TooLarge | Refusal::Exhausted => "lower `batch.bytes`, or raise the upstream's limit",
            Refusal::Unauthenticated | Refusal::Forbidden => "check `headers` and the caller's credentials",
            Refusal::NotFound => "check the path in `endpoint`; the signal's path is appended to it",
            Refusal::Unsupported => "check `protocol`, `compression` and whether it takes this signal",
            Refusal::Redirected => "set `endpoint` to where it redirects",
            Refusal::ReplyTooLarge => "is `endpoint` an OTLP upstream?",
            Refusal::Conflict | Refusal::Precondition | Refusal::Internal | Refusal::Unknown => {
                "see the upstream's own log"
            }
        }
    }
}

/// The gRPC status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    const ALL: [Code; 17] = [
        Code::Ok,
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    /// Reads `grpc-status`. What is not a code is UNKNOWN, as gRPC says.
    pub fn read(text: &[u8]) -> Self {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
        number.and_then(|number| Self::ALL.get(number).copied()).unwrap_or(Code::Unknown)
    }

    /// The code of a reply that has no `grpc-status`, from its HTTP status: a proxy answered
    /// (gRPC, "HTTP to gRPC Status Code Mapping").
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

/// The verdict of a gRPC status. `delay` is RetryInfo's, `rejected` of a `partial_success`.
pub(super) fn grpc(code: Code, delay: Option<Duration>, rejected: u64, message: String) -> Verdict {
    match code {
        Code::Ok => Verdict::Delivered { rejected, message },
        Code::Unavailable => again(Trouble::Unavailable, Whom::Upstream, delay, message),
        Code::ResourceExhausted if delay.is_some() => again(Trouble::Throttled, Whom::Batch, delay, message),
        Code::ResourceExhausted | Code::OutOfRange if speaks_of_size(&message) => {
            refused(Refusal::TooLarge, message)
        }
        Code::ResourceExhausted => refused(Refusal::Exhausted, message),
        Code::DeadlineExceeded => again(Trouble::Timeout, Whom::Batch, delay, message),
        Code::Cancelled | Code::Aborted | Code::OutOfRange | Code::DataLoss => {
            again(Trouble::Aborted, Whom::Batch, delay, message)
        }
        Code::InvalidArgument => refused(Refusal::Invalid, message),
        Code::Unauthenticated => refused(Refusal::Unauthenticated, message),
        Code::PermissionDenied => refused(Refusal::Forbidden, message),
        Code::NotFound => refused(Refusal::NotFound, message),
        Code::Unimplemented => refused(Refusal::Unsupported, message),
        Code::AlreadyExists => refused(Refusal::Conflict, message),
        Code::FailedPrecondition => refused(Refusal::Precondition, message),
        Code::Internal => refused(Refusal::Internal, message),
        Code::Unknown => refused(Refusal::Unknown, message),
    }
}

/// The verdict of an HTTP status. `after` is `Retry-After`'s, `rejected` of a `partial_success`.
pub(super) fn http(status: StatusCode, after: Option<Duration>, rejected: u64, message: String) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Delivered { rejected, message },
        429 => again(Trouble::Throttled, Whom::Batch, after, message),
        502..=504 => again(Trouble::Unavailable, Whom::Upstream, after, message),
        300..=399 => refused(Refusal::Redirected, message),
        400 | 422 => refused(Refusal::Invalid, message),
        401 | 407 => refused(Refusal::Unauthenticated, message),
        403 => refused(Refusal::Forbidden, message),
        404 | 410 => refused(Refusal::NotFound, message),
        405 | 406 | 415 | 501 => refused(Refusal::Unsupported, message),
        409 => refused(Refusal::Conflict, message),
        412 | 417 | 428 => refused(Refusal::Precondition, message),
        413 => refused(Refusal::TooLarge, message),
        500 => refused(Refusal::Internal, message),
        _ => refused(Refusal::Unknown, message),
    }
}

/// A connection that ended without a whole reply. On one that had `served` before, another one may help
/// at once; on a fresh one the upstream itself is in trouble.
pub(super) fn cut(served: bool, message: String) -> Verdict {
    again(Trouble::Cut, if served { Whom::Connection } else { Whom::Upstream }, None, message)
}

/// The call ended alone, its connection did not: it may be this batch.
pub(super) fn call_cut(message: String) -> Verdict {
    again(Trouble::Cut, Whom::Batch, None, message)
}

/// The upstream did not look at the call.
pub(super) fn unheard(message: String) -> Verdict {
    again(Trouble::Cut, Whom::Nobody, None, message)
}

/// No reply in time: perhaps this batch is slow to take, so only it waits.
pub(super) fn timed_out(limit: Duration) -> Verdict {
    again(Trouble::Timeout, Whom::Batch, None, format!("no reply within {limit:?}"))
}

/// No connection at all.
pub(super) fn unreachable(trouble: Trouble, message: String) -> Verdict {
    again(trouble, Whom::Upstream, None, message)
}

/// A reply larger than we read is not asked for again (conformance C02).
pub(super) fn reply_too_large(message: String) -> Verdict {
    refused(Refusal::ReplyTooLarge, message)
}

/// Whether a gRPC library's words mean the size of the message: `received message larger than max`,
/// `decoded message length too large`, `gRPC message exceeds maximum size` and the like.
fn speaks_of_size(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["larger than", "too large", "too big", "exceeds max", "exceeds the max"]
        .iter()
        .any(|s| words.contains(s))
}

fn again(trouble: Trouble, whom: Whom, after: Option<Duration>, message: String) -> Verdict {
    Verdict::Retry(Again { trouble, whom, after, message })
}

fn refused(reason: Refusal, message: String) -> Verdict {
    Verdict::Refused { reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict in one word.
    fn word(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Delivered { .. } => "delivered",
            Verdict::Retry(again) => again.trouble.name(),
            Verdict::Refused { reason, .. } => reason.name(),
        }
    }

    #[test]
    fn gc1_gc2_every_grpc_code_without_and_with_retry_info() {
        let table = [
            ("0", "delivered", "delivered"),
            ("1", "aborted", "aborted"),
            ("2", "unknown", "unknown"),
            ("3", "invalid", "invalid"),
            ("4", "timeout", "timeout"),
            ("5", "not_found", "not_found"),
            ("6", "conflict", "conflict"),
            ("7", "forbidden", "forbidden"),
            ("8", "exhausted", "throttled"),
            ("9", "precondition", "precondition"),
            ("10", "aborted", "aborted"),
            ("11", "aborted", "aborted"),
            ("12", "unsupported", "unsupported"),
            ("13", "internal", "internal"),
            ("14", "unavailable", "unavailable"),
            ("15", "aborted", "aborted"),
            ("16", "unauthenticated", "unauthenticated"),
            ("17", "unknown", "unknown"),
            ("-1", "unknown", "unknown"),
            ("", "unknown", "unknown"),
            ("OK", "unknown", "unknown"),
        ];
        for (code, without, with) in table {
            let verdict = |delay| word(grpc(Code::read(code.as_bytes()), delay, 0, String::new()));
            assert_eq!(verdict(None), without, "grpc-status {code}");
            assert_eq!(verdict(Some(Duration::ZERO)), with, "grpc-status {code} with RetryInfo");
        }
    }

    #[test]
    fn hc2_only_four_http_statuses_are_tried_again() {
        for status in 100..=999 {
            let verdict = http(StatusCode::from_u16(status).unwrap(), None, 0, String::new());
            let retried = matches!(verdict, Verdict::Retry(_));
            assert_eq!(retried, [429, 502, 503, 504].contains(&status), "{status}");
            let delivered = matches!(verdict, Verdict::Delivered { .. });
            assert_eq!(delivered, (200..300).contains(&status), "{status}");
        }
    }

    #[test]
    fn a_proxy_without_grpc_status_is_read_by_its_http_status() {
        for (status, expect) in [
            (503, "unavailable"),
            (429, "unavailable"),
            (401, "unauthenticated"),
            (404, "unsupported"),
            (200, "unknown"),
        ] {
            let code = Code::of_http(StatusCode::from_u16(status).unwrap());
            assert_eq!(word(grpc(code, None, 0, String::new())), expect, "{status}");
        }
    }

    #[test]
    fn a_throttled_tenant_does_not_stop_the_others() {
        let Verdict::Retry(again) = http(StatusCode::TOO_MANY_REQUESTS, None, 0, String::new()) else {
            panic!()
        };
        assert_eq!(again.whom, Whom::Batch);
    }
}
