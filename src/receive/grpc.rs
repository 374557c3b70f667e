//! gRPC unary calls on plain HTTP/2: five bytes of framing around one message, and a health check.
//!
//! Ends at a [`Parcel`]: everything after the frame is in `admit.rs`. A message that arrives in one
//! DATA frame is not copied. A second message, or bytes after the first, are an error (conformance
//! GS11), so nothing is admitted before the caller's side of the stream has ended.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body::Body;

use super::admit::{Gate, Parcel};
use super::body::{Gathered, Reader};
use super::inflate::Coding;
use super::refusal::{Refusal, quoted};
use crate::queue::Reservation;
use crate::wire::Signal;
use crate::wire::reply::Encoding;

static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Service "Health", method "Check" (`grpc.health.v1`).
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// A health check names a service; nothing longer does.
const HEALTH_MAX: usize = 1024;
/// HealthCheckResponse { status: SERVING }.
const SERVING: &[u8] = &[0x08, 0x01];

/// What a gRPC path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Export(Signal),
    HealthCheck,
}

impl Method {
    pub fn of(path: &str) -> Option<Self> {
        let export = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path).map(Method::Export);
        export.or_else(|| (path == HEALTH_CHECK).then_some(Method::HealthCheck))
    }
}

/// Whether a content type is gRPC's with protobuf inside. Other `application/grpc…` are not ours.
pub fn is_ours(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let (media_type, _parameters) = super::http::media_type(content_type);
    match media_type.split_at_checked(GRPC.len()) {
        Some((front, rest)) => {
            front.eq_ignore_ascii_case(GRPC) && (rest.is_empty() || rest.eq_ignore_ascii_case(b"+proto"))
        }
        None => false,
    }
}

/// Reads the one message of an export call.
pub async fn parcel(
    gate: &Gate,
    signal: Signal,
    parts: &Parts,
    body: &mut Reader,
) -> Result<Parcel, Refusal> {
    let coding = coding(&parts.headers)?;
    let message = message(gate, body, gate.request_max).await?;
    let coding = match (message.compressed, coding) {
        (false, _) => Coding::Identity,
        (true, Coding::Identity) => return Err(Refusal::NoCoding),
        (true, coding) => coding,
    };
    let (encoding, deadline) = (Encoding::Protobuf, body.deadline());
    Ok(Parcel { signal, encoding, coding, body: message.bytes, paid: message.paid, deadline })
}

/// Answers `Health/Check`: we serve as a whole, and each of the services somebody takes the data of.
pub async fn health(gate: &Gate, body: &mut Reader) -> Result<Bytes, Refusal> {
    let message = message(gate, body, HEALTH_MAX).await?;
    let service = service_name(&message.bytes);
    let is_ours = |signal: Signal| {
        signal.grpc_path().strip_prefix('/').and_then(|p| p.strip_suffix("/Export")).map(str::as_bytes)
            == Some(service)
    };
    if service.is_empty() || Signal::ALL.into_iter().any(|signal| is_ours(signal) && gate.takes(signal)) {
        return Ok(Bytes::from_static(SERVING));
    }
    Err(Refusal::UnknownService(quoted(&String::from_utf8_lossy(service))))
}

/// `HealthCheckRequest.service`: field 1, the only one. Anything else reads as no name.
fn service_name(message: &[u8]) -> &[u8] {
    match message {
        [0x0a, len, name @ ..] if usize::from(*len) == name.len() && *len < 0x80 => name,
        _ => &[],
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let Some(name) = headers.get(&ENCODING) else { return Ok(Coding::Identity) };
    Coding::of(name.as_bytes())
        .ok_or_else(|| Refusal::Coding(quoted(&String::from_utf8_lossy(name.as_bytes()))))
}

/// `grpc-timeout`: up to eight digits and a unit. One that can not be read sets no deadline.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(&TIMEOUT)?.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = digits.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(n * 3600),
        b'M' => Duration::from_secs(n * 60),
        b'S' => Duration::from_secs(n),
        b'm' => Duration::from_millis(n),
        b'u' => Duration::from_micros(n),
        b'n' => Duration::from_nanos(n),
        _ => return None,
    })
}

/// One message, taken out of its frame.
#[derive(Debug)]
pub struct Message {
    pub compressed: bool,
    pub bytes: Bytes,
    pub paid: Reservation,
}

/// Reads the frame of a unary call to its end: there is one, and nothing behind it.
pub async fn message<B>(gate: &Gate, body: &mut Reader<B>, max: usize) -> Result<Message, Refusal>
where
    B: Body<Data = Bytes, Error: fmt::Display> + Unpin,
{
    let mut data = Gathered::new();
    let (flag, len) = loop {
        let piece = body.data().await?.ok_or(Refusal::Framing("the stream ended before a message"))?;
        data.push(piece, 0);
        if let Some([flag, len @ ..]) = data.take_front::<5>() {
            break (flag, u32::from_be_bytes(len) as usize);
        }
    };
    if flag > 1 {
        return Err(Refusal::Framing("its first byte is neither 0 nor 1"));
    }
    if len > max {
        return Err(Refusal::TooLarge { what: "on the wire", max });
    }
    let paid = gate.reserve(len as u64)?;
    while data.len() < len {
        let piece = body.data().await?.ok_or(Refusal::Framing("the stream ended inside the message"))?;
        data.push(piece, len);
    }
    if data.len() > len || body.data().await?.is_some() {
        return Err(Refusal::Framing("more bytes follow the one message of a unary call"));
    }
    Ok(Message { compressed: flag == 1, bytes: data.finish(), paid })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Clock;

    /// What a body in these pieces reads as: the flag and the message, or the refusal's name.
    fn read(pieces: &[&[u8]]) -> Result<(bool, Bytes), &'static str> {
        let gate = Gate::alone(1 << 20, 1 << 16);
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let clock = Clock::new();
        let deadline = clock.now() + Duration::from_secs(60);
        let silence = Duration::from_secs(30);
        let frames = StreamBody::new(tokio_stream::iter(frames));
        let mut body = Reader::new(frames, clock, deadline, silence);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(message(&gate, &mut body, gate.request_max));
        let outcome = outcome.map(|m| {
            assert_eq!(m.paid.bytes(), m.bytes.len());
            (m.compressed, m.bytes)
        });
        assert_eq!(gate.budget().used(), 0, "all is given back");
        outcome.map_err(|refusal| refusal.outcome())
    }

    proptest! {
        #[test]
        fn how_a_message_is_cut_into_frames_changes_nothing(
            flag in 0u8..2,
            message in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0usize..305, 0..6),
        ) {
            let len = u32::try_from(message.len()).unwrap().to_be_bytes();
            let whole = [&[flag], len.as_slice(), &message].concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), Ok((flag == 1, Bytes::from(message))));
            let more = [pieces.as_slice(), &[&[0]]].concat();
            prop_assert_eq!(read(&more), Err("framing"), "one byte more is an error");
            if let Some((last, front)) = whole.split_last() {
                let _ = last;
                prop_assert_eq!(read(&[front]), Err("framing"), "one byte less is an error");
            }
        }

        #[test]
        fn no_bytes_are_too_strange(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            if let Err(outcome) = read(&pieces) {
                prop_assert!(["framing", "too_large"].contains(&outcome), "{}", outcome);
            }
        }
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let read = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            timeout(&HeaderMap::from_iter([(TIMEOUT.clone(), value)]))
        };
        assert_eq!(read("10S"), Some(Duration::from_secs(10)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(read("5m"), Some(Duration::from_millis(5)));
        for text in ["", "S", "10", "1s", "-1S", "123456789S"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
