//! Calls with every byte in hand: HTTP/1.1 as text over a socket, HTTP/2 and gRPC as h2 frames.
//!
//! No client library decides here what is sent: most lines are about requests that a good client
//! never makes.

use std::io::Write as _;
use std::net::SocketAddr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use prost::Message;
use spandrel::wire::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::check::{Otherwise, does_not};
use crate::harness::upstream::{Any, RpcStatus};

pub const PROTOBUF: &str = "application/x-protobuf";
pub const JSON: &str = "application/json";

/// A whole HTTP reply.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `google.rpc.Status` an error's body holds, in the encoding its content type names. Of the details of
    /// one in JSON only the names are read.
    pub fn error(&self) -> Option<RpcStatus> {
        let kind = self.header("content-type");
        if kind.starts_with(PROTOBUF) {
            return RpcStatus::decode(self.body.clone()).ok();
        }
        let json: serde_json::Value =
            kind.starts_with(JSON).then(|| serde_json::from_slice(&self.body).ok())??;
        let message = json.get("message").and_then(|text| text.as_str()).unwrap_or_default().to_owned();
        let code = json.get("code").and_then(serde_json::Value::as_i64).unwrap_or_default();
        let details = json.get("details").and_then(|all| all.as_array()).into_iter().flatten();
        let named = details.filter_map(|any| any.get("@type")?.as_str());
        let details = named.map(|name| Any { type_url: name.to_owned(), value: Vec::new() }).collect();
        Some(RpcStatus { code: i32::try_from(code).ok()?, message, details })
    }
}

/// The outcome of a gRPC call.
#[derive(Clone, Debug)]
pub struct GrpcReply {
    /// HTTP's status, nearly always 200.
    pub http: u16,
    /// `grpc-status`; `None` when the stream ended without one.
    pub code: Option<i32>,
    pub message: String,
    /// What `grpc-status-details-bin` holds.
    pub details: Option<RpcStatus>,
    pub headers: HeaderMap,
    /// The one message of a success, without its frame.
    pub body: Bytes,
}

/// gRPC's codes by number, for messages.
pub const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl GrpcReply {
    /// The code by name, or what came instead of one.
    pub fn code_name(&self) -> String {
        let code = self.code.and_then(|code| CODES.get(usize::try_from(code).ok()?));
        code.map_or_else(|| format!("no grpc-status (HTTP {})", self.http), |name| (*name).to_owned())
    }

    pub fn is(&self, name: &str) -> bool {
        self.code_name() == name
    }

    /// The names of the details' messages.
    pub fn details_named(&self, name: &str) -> bool {
        let details = self.details.iter().flat_map(|status| &status.details);
        details.into_iter().any(|any| any.type_url.ends_with(name))
    }
}

/// One gRPC message in its frame.
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut framed = vec![flag];
    framed.extend_from_slice(&u32::try_from(message.len()).expect("a test's message").to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// One gzip member.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("a vector takes all")
}

/// An export over gRPC, plain.
pub async fn export(to: SocketAddr, signal: Signal, message: &[u8]) -> Result<GrpcReply, Otherwise> {
    grpc(to, signal.grpc_path(), &[], frame(0, message)).await
}

/// A gRPC call whose DATA is exactly `body`.
pub async fn grpc(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<GrpcReply, Otherwise> {
    let mut all = vec![("te", "trailers")];
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        all.push(("content-type", "application/grpc"));
    }
    all.extend(headers);
    Ok(judged(http2(to, path, &all, body).await?))
}

/// Reads a reply as gRPC's.
pub fn judged(reply: Reply) -> GrpcReply {
    let find = |name: &str| reply.trailers.get(name).or_else(|| reply.headers.get(name));
    let text = |name: &str| find(name).and_then(|value| value.to_str().ok());
    let either = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&STANDARD, either);
    let details = text("grpc-status-details-bin").and_then(|text| base64.decode(text).ok());
    let message = percent_encoding::percent_decode_str(text("grpc-message").unwrap_or_default());
    let body = match reply.body.len() {
        0..5 => Bytes::new(),
        _ => reply.body.slice(5..),
    };
    GrpcReply {
        http: reply.status,
        code: text("grpc-status").and_then(|code| code.parse().ok()),
        message: message.decode_utf8_lossy().into_owned(),
        details: details.and_then(|bytes| RpcStatus::decode(&bytes[..]).ok()),
        headers: reply.headers.clone(),
        body,
    }
}

/// An HTTP/2 connection by prior knowledge.
pub async fn http2_connection(to: SocketAddr) -> Result<h2::client::SendRequest<Bytes>, Otherwise> {
    let socket = connect(to).await?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(8 << 20).initial_connection_window_size(8 << 20);
    let (sender, connection) =
        builder.handshake(socket).await.map_err(|fault| does_not(format!("no HTTP/2: {fault}")))?;
    tokio::spawn(connection);
    sender.ready().await.map_err(|fault| does_not(format!("the HTTP/2 connection ended: {fault}")))
}

/// The head of a POST over HTTP/2.
pub fn head(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(Method::POST).uri(format!("http://{to}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a test writes a valid head")
}

/// One POST over a new HTTP/2 connection.
pub async fn http2(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Reply, Otherwise> {
    let mut sender = http2_connection(to).await?;
    let ended = |fault: h2::Error| does_not(format!("the stream ended: {fault}"));
    let (response, mut stream) = sender.send_request(head(to, path, headers), false).map_err(ended)?;
    // A peer that refuses early resets what is still to come: its reply is what counts.
    let _ = stream.send_data(body.into(), true);
    finish(response).await
}

/// The whole reply of one HTTP/2 stream.
pub async fn finish(response: h2::client::ResponseFuture) -> Result<Reply, Otherwise> {
    let ended = |fault: h2::Error| does_not(format!("the stream ended: {fault}"));
    let (head, mut body) = response.await.map_err(ended)?.into_parts();
    let mut data = BytesMut::new();
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                let _ = body.flow_control().release_capacity(piece.len());
                data.extend_from_slice(&piece);
            }
            // After an early reply a server may reset the stream; what it said stands.
            Err(_) if head.headers.contains_key("grpc-status") => break,
            Err(fault) => return Err(ended(fault)),
        }
    }
    let trailers = body.trailers().await.ok().flatten().unwrap_or_default();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: data.freeze(), trailers })
}

pub async fn connect(to: SocketAddr) -> Result<TcpStream, Otherwise> {
    let socket = TcpStream::connect(to).await.map_err(|fault| does_not(format!("{to}: {fault}")))?;
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

/// An HTTP/1.1 connection, written to as text.
pub async fn http1(to: SocketAddr) -> Result<(Replies, OwnedWriteHalf), Otherwise> {
    let (reader, writer) = connect(to).await?.into_split();
    Ok((Replies(BufReader::new(reader)), writer))
}

/// What comes back on an HTTP/1.1 connection.
pub struct Replies(BufReader<OwnedReadHalf>);

impl Replies {
    /// Reads one reply, an interim one (1xx) too.
    pub async fn next(&mut self) -> Result<Reply, Otherwise> {
        let mut reply = Reply::default();
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        reply.status = status.ok_or_else(|| does_not(format!("not HTTP: {first:?}")))?;
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            let name = HeaderName::from_bytes(name.as_bytes());
            let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) else { continue };
            reply.headers.append(name, value);
        }
        if reply.status >= 200 {
            reply.body = self.body(&reply).await?;
        }
        Ok(reply)
    }

    async fn body(&mut self, reply: &Reply) -> Result<Bytes, Otherwise> {
        let mut body = Vec::new();
        let cut = |fault: std::io::Error| does_not(format!("the reply broke off: {fault}"));
        if reply.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            loop {
                let line = self.line().await?;
                let len = usize::from_str_radix(line.trim(), 16).map_err(|_| does_not("no chunk"))?;
                let mut chunk = vec![0; len + 2];
                self.0.read_exact(&mut chunk).await.map_err(cut)?;
                body.extend_from_slice(&chunk[..len]);
                if len == 0 {
                    break;
                }
            }
        } else if let Ok(len) = reply.header("content-length").parse() {
            body = vec![0; len];
            self.0.read_exact(&mut body).await.map_err(cut)?;
        } else if reply.status != 204 {
            self.0.read_to_end(&mut body).await.map_err(cut)?;
        }
        Ok(body.into())
    }

    async fn line(&mut self) -> Result<String, Otherwise> {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line).await;
        match read {
            Ok(0) => Err(does_not("the connection was closed without a reply")),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(fault) => Err(does_not(format!("no reply: {fault}"))),
        }
    }
}

/// An export over OTLP/HTTP in this content type.
pub async fn post(
    to: SocketAddr,
    path: &str,
    kind: &str,
    body: impl Into<Bytes>,
) -> Result<Reply, Otherwise> {
    request(to, "POST", path, &[("content-type", kind)], body).await
}

/// One request over a new HTTP/1.1 connection. Writing and reading go on at once, because a peer may
/// answer before it has heard everything.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Reply, Otherwise> {
    let body = body.into();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let (mut replies, mut writer) = http1(to).await?;
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(format!("{head}\r\n").as_bytes()).await;
        let _ = writer.write_all(&body).await;
        writer
    });
    let reply = replies.next().await;
    writing.abort();
    reply
}
