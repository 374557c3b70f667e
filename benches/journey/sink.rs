//! The sink: an OTLP server that counts what arrives and answers OK.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use spandrel::wire::{self, Detail, Limits, Signal};
use tokio::sync::Notify;

use crate::load::{TRACE_SPANS, Transport};

/// What has arrived.
#[derive(Clone, Default)]
pub struct Seen {
    pub spans: u64,
    pub requests: u64,
    pub resources: u64,
    pub unlabelled: u64,
    /// Traces all of whose spans came in one request.
    pub whole: u64,
}

#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    arrived: Arc<Notify>,
}

impl Sink {
    pub async fn start(transport: Transport) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink =
            Self { address: listener.local_addr().unwrap(), seen: Arc::default(), arrived: Arc::default() };
        let inner = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = inner.clone();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let sink = sink.clone();
                        async move { Ok::<_, Infallible>(sink.answer(request, transport).await) }
                    });
                    let io = TokioIo::new(stream);
                    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    server
                        .http2()
                        .max_frame_size(1 << 20)
                        .initial_stream_window_size(4 << 20)
                        .initial_connection_window_size(16 << 20);
                    let _ = server.serve_connection(io, service).await;
                });
            }
        });
        sink
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        transport: Transport,
    ) -> Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let grpc = matches!(transport, Transport::Grpc);
        self.count(&body[if grpc { 5 } else { 0 }..]);
        if !grpc {
            let reply = Response::builder().header("content-type", "application/x-protobuf");
            return reply.body(Full::new(Bytes::new()).boxed_unsync()).unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
        Response::builder()
            .header("content-type", "application/grpc")
            .body(StreamBody::new(tokio_stream::iter(frames)).boxed_unsync())
            .unwrap()
    }

    fn count(&self, body: &[u8]) {
        let index = wire::walk(Signal::Traces, body, Detail::Spans, &Limits::default()).unwrap();
        let unlabelled = index.resources.iter().filter(|r| {
            let block = r.block.of(body);
            !contains(block, b"deployment.environment.name") || !contains(block, b"service.version")
        });
        let mut sizes: HashMap<_, usize> = HashMap::new();
        index.spans.iter().for_each(|s| *sizes.entry(s.trace).or_default() += 1);
        let mut seen = self.seen.lock().unwrap();
        seen.spans += index.items;
        seen.requests += 1;
        seen.resources += index.resources.len() as u64;
        seen.unlabelled += unlabelled.count() as u64;
        seen.whole += sizes.values().filter(|&&n| n == TRACE_SPANS).count() as u64;
        drop(seen);
        self.arrived.notify_waiters();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    pub fn reset(&self) {
        *self.seen.lock().unwrap() = Seen::default();
    }

    /// Until `spans` have arrived since the last reset, or `limit` has passed.
    pub async fn wait_for(&self, spans: u64, limit: Duration) {
        let _ = tokio::time::timeout(limit, async {
            loop {
                let arrived = self.arrived.notified();
                if self.seen().spans >= spans {
                    return;
                }
                arrived.await;
            }
        })
        .await;
    }
}

/// Looks only at a block's beginning: its resource stands first.
fn contains(block: &[u8], needle: &[u8]) -> bool {
    block[..block.len().min(1024)].windows(needle.len()).any(|w| w == needle)
}
