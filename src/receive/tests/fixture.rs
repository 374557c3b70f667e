//! An edge in this process, requests for it, and what it let through.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::model::{Clock, Relay};
use crate::queue::lanes::Work;
use crate::queue::{Admitted, Budget, Inbox, Lanes};
use crate::receive::{Inner, Listen, Settings, bind, serve};
use crate::telemetry::Meters;
use crate::wire::Signal;
use crate::wire::reply::{Encoding, Status, read_status};

pub const MIB: usize = 1 << 20;

type Reply = hyper::Result<http::Response<hyper::body::Incoming>>;

/// How an edge under test differs from the usual.
pub struct With {
    pub memory: usize,
    pub request_max: usize,
    pub depth: usize,
    pub connections: usize,
    pub join: bool,
    pub relay: Option<Arc<dyn Relay>>,
    /// What else is set.
    pub settings: Settings,
}

impl Default for With {
    fn default() -> Self {
        let settings = Settings::default();
        let (memory, request_max) = (256 * MIB, 64 * MIB);
        Self { memory, request_max, depth: 64, connections: 64, join: true, relay: None, settings }
    }
}

/// A running edge with two listeners.
pub struct Edge {
    pub addresses: [SocketAddr; 2],
    pub lane: Inbox,
    pub budget: Arc<Budget>,
    pub meters: Arc<Meters>,
    pub stop: CancellationToken,
    pub served: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

impl Edge {
    pub async fn start() -> Self {
        Self::with(With::default()).await
    }

    pub async fn with(with: With) -> Self {
        let any = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let settings = Settings {
            listen: vec![any.clone(), any],
            request_max: with.request_max,
            connections_max: with.connections,
            join: with.join,
            ..with.settings
        };
        let (lanes, mut inboxes) = Lanes::new(1, with.depth);
        let (budget, meters) = (Budget::new(with.memory), Arc::new(Meters::new()));
        let inner = Inner {
            lanes,
            budget: budget.clone(),
            meters: meters.clone(),
            clock: Clock::new(),
            relay: with.relay,
            noting: Arc::default(),
        };
        let bound = bind(&settings).await.unwrap();
        let addresses: Vec<_> = bound
            .addresses()
            .map(|listen| match listen {
                Listen::Tcp(address) => *address,
                Listen::Unix(path) => panic!("not asked for: {path:?}"),
            })
            .collect();
        let addresses = [addresses[0], addresses[1]];
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(bound, settings, inner, stop.clone()));
        let lane = inboxes.remove(0);
        Self { addresses, lane, budget, meters, _stop: stop.clone().drop_guard(), stop, served }
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// What was let through, in order.
    pub fn taken(&self) -> Vec<Arc<Admitted>> {
        let admitted = |work| match work {
            Work::Take(admitted) => Some(admitted),
            Work::Note(_) | Work::Show(..) | Work::Drain => None,
        };
        std::iter::from_fn(|| self.lane.take().ok()).filter_map(admitted).collect()
    }

    /// The value of `name{labels}` now.
    pub fn count(&self, line: &str) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.meters.registry.gather()).unwrap();
        text.lines().find_map(|l| l.strip_prefix(line)).map_or(0, |v| v.trim().parse().unwrap())
    }

    /// Sends one HTTP/1.1 request on a connection of its own.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send("POST", path, headers, body).await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let socket = TcpStream::connect(self.address()).await.unwrap();
        let (mut sender, conn) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(conn);
        Answer::of(sender.send_request(request(method, path, headers, body)).await.unwrap()).await
    }

    /// The same over HTTP/2 with prior knowledge.
    pub async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
        let socket = TcpStream::connect(self.address()).await.unwrap();
        let io = TokioIo::new(socket);
        let (sender, conn) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(conn);
        sender
    }

    /// Sends an OTLP/HTTP request over HTTP/2 whose body comes as it likes; the reply is awaited.
    pub async fn http2_with<B>(&self, body: B) -> impl Future<Output = Reply> + Unpin + use<B>
    where
        B: http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
    {
        let socket = TcpStream::connect(self.address()).await.unwrap();
        let (io, executor) = (TokioIo::new(socket), TokioExecutor::new());
        let body = http_body_util::BodyExt::boxed_unsync(body);
        let (mut sender, conn) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(conn);
        let request = http::Request::post("http://edge/v1/traces")
            .header("content-type", "application/x-protobuf")
            .body(body)
            .unwrap();
        Box::pin(sender.send_request(request))
    }

    /// Calls Export with a body that is framed already, or is not.
    pub async fn framed(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
        all.extend_from_slice(headers);
        let request = request("POST", Signal::Traces.grpc_path(), &all, body);
        Answer::of(self.http2().await.send_request(request).await.unwrap()).await
    }

    /// Writes bytes, reads all that comes until the edge closes or `until` was read.
    pub async fn raw(&self, bytes: &[u8], until: &str) -> String {
        let mut socket = TcpStream::connect(self.address()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains(until) && socket.read_buf(&mut came).await.unwrap() > 0
        {
        }
        String::from_utf8_lossy(&came).into_owned()
    }
}

pub fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> http::Request<Full<Bytes>> {
    let uri = format!("http://edge{path}");
    let builder = http::Request::builder().method(method).uri(uri).header("host", "edge");
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Full::new(body.into())).unwrap()
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    pub trailers: http::HeaderMap,
}

impl Answer {
    pub async fn of(response: http::Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self { status: parts.status.as_u16(), headers: parts.headers, body: collected.to_bytes(), trailers }
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.get(name).or_else(|| self.trailers.get(name));
        found.map_or("", |value| value.to_str().unwrap())
    }

    /// The `google.rpc.Status` of an HTTP error, in the encoding the reply claims.
    pub fn error(&self) -> Status {
        match self.header("content-type") {
            "application/json" => read_status(Encoding::Json, &self.body),
            "application/x-protobuf" => read_status(Encoding::Protobuf, &self.body),
            other => panic!("an error of type {other:?}"),
        }
    }

    /// The `google.rpc.Status` of a gRPC error.
    pub fn grpc_error(&self) -> Status {
        use base64::Engine;
        let details = base64::prelude::BASE64_STANDARD_NO_PAD.decode(self.header("grpc-status-details-bin"));
        read_status(Encoding::Protobuf, &details.unwrap())
    }
}

/// A span that is as it should be; `number` makes its ids.
pub fn span(number: u64) -> Span {
    Span {
        trace_id: [&[7; 8], number.to_be_bytes().as_slice()].concat(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "GET /cart".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

pub fn spans(count: u64) -> ExportTraceServiceRequest {
    of_spans((0..count).map(span).collect())
}

pub fn of_spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// One gRPC message with its five bytes in front.
pub fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], len.as_slice(), message].concat()
}

pub fn traces() -> Vec<u8> {
    spans(1).encode_to_vec()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
