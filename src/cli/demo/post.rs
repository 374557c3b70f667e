//! Sends one request as an SDK would: a connection, a call, an answer that must be OK.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use super::play::{Export, Way};
use crate::cli::channel::Channel;
use crate::wire::{Signal, json};

/// A request of the play is some kilobytes.
const REQUEST_MAX: usize = 1 << 20;
const ANSWER_MAX: u64 = 64 << 10;

/// Sends `export` to `to`, in its service's way.
///
/// # Errors
/// What went wrong, for people.
pub async fn post(to: SocketAddr, export: &Export) -> Result<(), String> {
    let text = export.json.to_string().into_bytes();
    let protobuf = || json::to_protobuf(Signal::Traces, &text, REQUEST_MAX).map_err(|e| e.to_string());
    match export.service.way() {
        Way::Grpc => grpc(to, &protobuf()?).await,
        Way::Protobuf => http1(to, "application/x-protobuf", &protobuf()?).await,
        Way::Json => http1(to, "application/json", &text).await,
    }
}

/// By hand, as little as it is (RFC 9112).
async fn http1(to: SocketAddr, content_type: &str, body: &[u8]) -> Result<(), String> {
    let mut socket = TcpStream::connect(to).await.map_err(said)?;
    let (path, length) = (Signal::Traces.http_path(), body.len());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body].concat()).await.map_err(said)?;
    let mut answer = Vec::new();
    socket.take(ANSWER_MAX).read_to_end(&mut answer).await.map_err(said)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once(' ') {
        Some((_, status)) if status.starts_with("200 ") => Ok(()),
        _ => Err(answer.into_owned()),
    }
}

async fn grpc(to: SocketAddr, message: &[u8]) -> Result<(), String> {
    let path = Signal::Traces.grpc_path();
    let uri = format!("http://{to}{path}").parse().map_err(said)?;
    let mut channel = Channel::connect(&uri).await.map_err(said)?;
    // Uncompressed, its length, itself (gRPC over HTTP/2, "Length-Prefixed-Message").
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).map_err(said)?);
    framed.put_slice(message);
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Body::new(Full::<Bytes>::new(framed.freeze())))
        .map_err(said)?;
    let call = channel.ready().await.map_err(said)?.call(request);
    let (head, body) = call.await.map_err(said)?.into_parts();
    let trailers = body.collect().await.map_err(said)?.trailers().cloned().unwrap_or_default();
    let of = |headers: &HeaderMap, name: &str| headers.get(name).map(|v| v.as_bytes().to_vec());
    // An answer without a message carries its status in the headers.
    let status = of(&trailers, "grpc-status").or_else(|| of(&head.headers, "grpc-status"));
    match status.as_deref() {
        Some(b"0") => Ok(()),
        status => Err(format!("grpc-status {}", String::from_utf8_lossy(status.unwrap_or(b"missing")))),
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
