//! Sends one request as an SDK would: a connection, a call, an answer that must be OK.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::play::{Export, Way};
use crate::wire::{Signal, json};

/// A request of the play is some kilobytes.
const REQUEST_MAX: usize = 1 << 20;

/// Sends `export` to `to`, in its service's way.
///
/// # Errors
/// What went wrong, for people.
pub async fn post(to: SocketAddr, export: &Export) -> Result<(), String> {
    let text = export.json.to_string().into_bytes();
    let protobuf = || json::to_protobuf(Signal::Traces, &text, REQUEST_MAX).map_err(|e| e.to_string());
    match export.service.way() {
        Way::Grpc => grpc(to, &protobuf()?).await,
        Way::Protobuf => http1(to, "application/x-protobuf", protobuf()?).await,
        Way::Json => http1(to, "application/json", text).await,
    }
}

async fn http1(to: SocketAddr, content_type: &str, body: Vec<u8>) -> Result<(), String> {
    let socket = TcpStream::connect(to).await.map_err(said)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(said)?;
    tokio::spawn(connection);
    let request = request(to, Signal::Traces.http_path(), content_type, body.into())?;
    let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
    let answer = body.collect().await.map_err(said)?.to_bytes();
    match head.status {
        StatusCode::OK => Ok(()),
        status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer))),
    }
}

async fn grpc(to: SocketAddr, message: &[u8]) -> Result<(), String> {
    let socket = TcpStream::connect(to).await.map_err(said)?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.map_err(said)?;
    tokio::spawn(connection);
    // Uncompressed, its length, itself (gRPC over HTTP/2, "Length-Prefixed-Message").
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).map_err(said)?);
    framed.put_slice(message);
    let request = request(to, Signal::Traces.grpc_path(), "application/grpc", framed.freeze())?;
    let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
    let trailers = body.collect().await.map_err(said)?.trailers().cloned().unwrap_or_default();
    let of = |headers: &HeaderMap, name: &str| headers.get(name).map(|v| v.as_bytes().to_vec());
    // An answer without a message carries its status in the headers.
    let status = of(&trailers, "grpc-status").or_else(|| of(&head.headers, "grpc-status"));
    match status.as_deref() {
        Some(b"0") => Ok(()),
        status => Err(format!("grpc-status {}", String::from_utf8_lossy(status.unwrap_or(b"missing")))),
    }
}

fn request(
    to: SocketAddr,
    path: &str,
    content_type: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{to}{path}"))
        .header(http::header::HOST, to.to_string())
        .header(http::header::CONTENT_TYPE, content_type)
        .header(http::header::TE, "trailers")
        .body(Full::new(body))
        .map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
