//! Any reply of an upstream, over gRPC and over HTTP: its status decides, its words only inform, and what is
//! kept of it is short. A pause is only what the reply asked for.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use spandrel::export::probe::{self, Read};
use spandrel::wire::Signal;
use spandrel::wire::reply::Encoding;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime needs no more"));

/// 2026-11-23 12:00:00 UTC.
const NOW: u64 = 1_795_435_200;
/// The longest message of a verdict: some words of ours and a bounded number of theirs, of 4 bytes each.
const MESSAGE_MAX: usize = 300 * 4;

/// A reply as the bytes describe it: status, which headers there are, their values line by line, the body.
pub fn check(input: &[u8]) {
    let &[status, which, cut, ref rest @ ..] = input else { return };
    let status = StatusCode::from_u16(200 + u16::from(status) * 2).unwrap_or(StatusCode::OK);
    let mut lines = rest.splitn(5, |byte| *byte == b'\n');
    let values: [&[u8]; 4] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let body = lines.next().unwrap_or_default();

    let names = ["grpc-message", "grpc-status-details-bin", "retry-after"];
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().zip(&values[1..]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let coding = ["identity", "gzip", "zstd", "br"][usize::from(which) % 4];
    let in_trailers = which & 4 != 0;
    let code = HeaderValue::from_bytes(values[0]).ok();
    let signal = Signal::ALL[usize::from(which >> 3) % 4];
    let asked = if which & 0x20 == 0 { Encoding::Protobuf } else { Encoding::Json };

    over_grpc(signal, &headers, code, in_trailers, coding, pieces(body, cut));
    over_http(signal, asked, status, &headers, coding, pieces(body, cut));
}

fn over_grpc(
    signal: Signal,
    headers: &HeaderMap,
    code: Option<HeaderValue>,
    in_trailers: bool,
    coding: &'static str,
    mut frames: Vec<Frame<Bytes>>,
) {
    let mut said = headers.clone();
    if let Some(code) = &code {
        said.insert("grpc-status", code.clone());
    }
    let mut reply =
        Response::builder().header("content-type", "application/grpc").header("grpc-encoding", coding);
    match in_trailers {
        true => frames.push(Frame::trailers(said)),
        false => reply.headers_mut().expect("they are valid").extend(said),
    }
    let read = RUNTIME.block_on(probe::grpc(signal, reply.body(frames).expect("it is valid"), NOW));
    let code = code.as_ref().map(|code| code.as_bytes());
    match &read {
        Read::Delivered { .. } => assert!(code.is_some_and(|code| number(code) == Some(0)), "{read:?}"),
        Read::Retry { .. } => assert!(
            code.and_then(number).is_some_and(|code| [1, 4, 8, 10, 11, 14, 15].contains(&code)),
            "{read:?}"
        ),
        Read::Cut(_) => assert!(code.is_none(), "{read:?}"),
        Read::Refused { .. } => {}
    }
    is_bounded(&read, headers);
}

fn over_http(
    signal: Signal,
    asked: Encoding,
    status: StatusCode,
    headers: &HeaderMap,
    coding: &'static str,
    frames: Vec<Frame<Bytes>>,
) {
    let kind = if asked == Encoding::Json { "application/json" } else { "application/x-protobuf" };
    let mut reply = Response::builder().status(status).header("content-type", kind);
    reply = reply.header("content-encoding", coding);
    reply.headers_mut().expect("they are valid").extend(headers.clone());
    let read = RUNTIME.block_on(probe::http(signal, asked, reply.body(frames).expect("it is valid"), NOW));
    match &read {
        Read::Delivered { .. } => assert!(status.is_success()),
        Read::Retry { .. } => assert!([429, 502, 503, 504].contains(&status.as_u16()), "{status}"),
        Read::Refused { reason, .. } => assert!(!status.is_success() || *reason == "reply_too_large"),
        Read::Cut(why) => panic!("nothing broke off: {why}"),
    }
    is_bounded(&read, headers);
}

fn is_bounded(read: &Read, headers: &HeaderMap) {
    let (Read::Delivered { message, .. } | Read::Retry { message, .. } | Read::Refused { message, .. }) =
        read
    else {
        return;
    };
    assert!(message.len() <= MESSAGE_MAX && !message.chars().any(char::is_control), "{message:?}");
    if let Read::Retry { after: Some(_), .. } = read {
        assert!(headers.contains_key("retry-after") || headers.contains_key("grpc-status-details-bin"));
    }
}

fn number(code: &[u8]) -> Option<u32> {
    std::str::from_utf8(code).ok()?.parse().ok()
}

fn pieces(body: &[u8], cut: u8) -> Vec<Frame<Bytes>> {
    let size = if cut == 0 { body.len().max(1) } else { usize::from(cut) };
    body.chunks(size).map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect()
}
