//! Sends one request as an SDK would: a connection, a call, an answer that must be OK.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use super::play::{Export, Way};
use crate::cli::channel::Channel;
use crate::model::{Stream, background};
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
    let socket = Stream::new(TcpStream::connect(to).await.map_err(said)?);
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(said)?;
    background(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(Signal::Traces.http_path())
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::new(Bytes::from(body)))
        .map_err(said)?;
    let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
    let answer = body.collect().await.map_err(said)?.to_bytes();
    match head.status {
        StatusCode::OK => Ok(()),
        status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer))),
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
