//! OTLP/HTTP: paths, methods, media types and codings. Ends at a [`Parcel`].
//!
//! Only the two OTLP media types are accepted: a browser can not send them to a loopback port without
//! asking first, and we never say yes (conformance HS19).

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method};

use super::admit::{Gate, Parcel};
use super::body::{Gathered, Reader, pay_for};
use super::inflate::Coding;
use super::refusal::{Refusal, quoted};
use crate::wire::Signal;
use crate::wire::reply::Encoding;

/// Where some backends' SDKs expect their API to begin.
const ALIAS: &str = "/api/public/otel";

/// The signal a path is for: the OTLP defaults, the same under [`ALIAS`], and where else spans come.
pub fn signal(path: &str, traces_at: Option<&str>) -> Option<Signal> {
    if traces_at == Some(path) {
        return Some(Signal::Traces);
    }
    let path = match path.strip_prefix(ALIAS) {
        Some(rest) if rest != Signal::Profiles.http_path() => rest,
        _ => path,
    };
    Signal::ALL.into_iter().find(|signal| signal.http_path() == path)
}

/// A media type without its parameters, and the parameters.
pub fn media_type(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len());
    let (media_type, parameters) = value.split_at(end);
    (media_type.trim_ascii(), parameters)
}

fn encoding_named(value: &HeaderValue) -> Option<Encoding> {
    let (name, _) = media_type(value.as_bytes());
    if name.eq_ignore_ascii_case(b"application/x-protobuf") {
        return Some(Encoding::Protobuf);
    }
    name.eq_ignore_ascii_case(b"application/json").then_some(Encoding::Json)
}

/// The encoding replies are in (conformance HS05): the request's. Without one, what `accept` names;
/// else JSON for a request that has no body to have a type, because that is a person looking.
pub fn reply_encoding(parts: &Parts) -> Encoding {
    let named = |name| parts.headers.get(name).and_then(encoding_named);
    let bodiless = parts.method == Method::GET || parts.method == Method::HEAD;
    let default = if bodiless { Encoding::Json } else { Encoding::Protobuf };
    named(CONTENT_TYPE).or_else(|| named(ACCEPT)).unwrap_or(default)
}

/// Reads the body of an export request.
pub async fn parcel(
    gate: &Gate,
    signal: Signal,
    parts: &Parts,
    body: &mut Reader,
) -> Result<Parcel, Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::Method(quoted(parts.method.as_str())));
    }
    let encoding = encoding(&parts.headers)?;
    let coding = coding(&parts.headers)?;
    let announced = body.announced();
    let mut paid = gate.reserve(announced.unwrap_or(0))?;
    let mut data = Gathered::new();
    while let Some(piece) = body.data().await? {
        let len = data.len() + piece.len();
        if len > gate.request_max {
            return Err(gate.too_large("on the wire"));
        }
        if !pay_for(&mut paid, len) {
            return Err(gate.no_budget());
        }
        data.push(piece, paid.bytes());
    }
    let deadline = body.deadline();
    Ok(Parcel { signal, encoding, coding, body: data.finish(), paid, deadline })
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    headers.get(CONTENT_TYPE).and_then(encoding_named).ok_or_else(|| not_a_media_type(headers))
}

/// Says which type came, and (in its text) which are taken.
pub fn not_a_media_type(headers: &HeaderMap) -> Refusal {
    Refusal::MediaType(match headers.get(CONTENT_TYPE) {
        Some(value) => format!("{:?}", quoted(&String::from_utf8_lossy(value.as_bytes()))),
        None => "(none)".to_owned(),
    })
}

/// `content-encoding`. Several codings, one over the other, are not supported.
fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = codings.next().map_or(Some(Coding::Identity), |value| Coding::of(value.as_bytes()));
    match (coding, codings.next()) {
        (Some(coding), None) => Ok(coding),
        _ => {
            let named =
                headers.get_all(CONTENT_ENCODING).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
            Err(Refusal::Coding(quoted(&named.collect::<Vec<_>>().join(", "))))
        }
    }
}
