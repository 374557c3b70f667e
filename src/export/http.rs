//! OTLP/HTTP, the client side: what a reply means.
//!
//! The status decides; bodies are read for the count in `partial_success` and for words to log. A 2xx
//! whose body says nothing we understand is still a 2xx (conformance HC8).

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::Body;

use super::broken::Broken;
use super::classify::{self, Verdict};
use super::read::{self, FAILURE_MAX, Inflated, REPLY_MAX, Unread};
use crate::wire::Signal;
use crate::wire::reply::{Encoding, read_partial, read_status};

/// What a reply means. `asked` is the encoding of the request, `now` wall time in Unix seconds. `Err` is
/// a reply that broke off.
pub(super) async fn verdict<B>(
    signal: Signal,
    asked: Encoding,
    reply: Response<B>,
    now: u64,
) -> Result<Verdict, Broken>
where
    B: Body<Data = Bytes, Error: Into<Broken>> + Unpin,
{
    let (head, body) = reply.into_parts();
    let encoding = spoken(&head.headers);
    if !head.status.is_success() {
        let body = read::beginning(body, FAILURE_MAX).await;
        let message = format!("HTTP {}: {}", head.status.as_u16(), failure(encoding, &head.headers, body));
        let after = retry_after(&head.headers, now);
        return Ok(classify::http(head.status, after, 0, read::words(&message)));
    }
    let body = match read::whole(body, REPLY_MAX).await {
        Ok((body, _)) => body,
        Err(Unread::TooLarge) => return Ok(read::too_large()),
        Err(Unread::Cut(broken)) => return Err(broken),
    };
    Ok(match read::inflate(read::content_encoding(&head.headers), body, REPLY_MAX) {
        (_, Inflated::TooLarge) => read::too_large(),
        (body, Inflated::Whole | Inflated::Unreadable) => {
            let partial = read_partial(signal, encoding.unwrap_or(asked), &body).unwrap_or_default();
            classify::http(head.status, None, partial.rejected, read::words(&partial.message))
        }
    })
}

/// The words of a failure: a `google.rpc.Status` where its type says so, else its beginning as text.
fn failure(encoding: Option<Encoding>, headers: &HeaderMap, body: bytes::Bytes) -> String {
    let (body, _) = read::inflate(read::content_encoding(headers), body, FAILURE_MAX);
    let location = headers.get(header::LOCATION).map(|to| format!("to {}", read::words_of(to.as_bytes())));
    let said = encoding.map(|encoding| read_status(encoding, &body).message);
    location.or(said.filter(|said| !said.is_empty())).unwrap_or_else(|| match encoding {
        Some(Encoding::Protobuf) => String::new(),
        Some(Encoding::Json) | None => read::words_of(&body),
    })
}

/// The OTLP encoding a reply says it has, parameters and case aside.
fn spoken(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    [("application/x-protobuf", Encoding::Protobuf), ("application/json", Encoding::Json)]
        .into_iter()
        .find_map(|(name, encoding)| kind.eq_ignore_ascii_case(name).then_some(encoding))
}

/// `Retry-After`, as seconds or as a date (RFC 9110); a date that has passed is no wait. What is neither
/// is ignored; how much is too much is for `retry` to say.
pub(super) fn retry_after(headers: &HeaderMap, now: u64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(date.saturating_sub(Duration::from_secs(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn hc3_retry_after_as_seconds_date_past_absurd_and_garbage() {
        // 2026-11-23 12:00:00 UTC
        const NOW: u64 = 1_795_435_200;
        let check = |value: &str, expect: Option<u64>| {
            let headers =
                HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(retry_after(&headers, NOW).map(|wait| wait.as_secs()), expect, "`{value}`");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("99999999999999999999999", Some(u64::MAX));
        check("Mon, 23 Nov 2026 12:00:30 GMT", Some(30));
        check("Mon, 23 Nov 2026 11:00:00 GMT", Some(0));
        check("-1", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
        assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
    }
}
