//! The sink: an OTLP server that counts what arrives and answers OK.
//!
//! It reads every body that it answers: items, resource blocks, labels, and which traces came whole in one request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use regex::bytes::Regex;
use spandrel::wire::block::first_body;
use spandrel::wire::index::ResourceEntry;
use spandrel::wire::{self, Detail, Limits, Signal, TraceId};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::common::{Content, ENVIRONMENT, RELEASE, SESSION};
use crate::load::now;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub signal: Signal,
    /// Spans of a whole trace; 0: nobody asks.
    pub trace_spans: usize,
    /// When each trace came.
    pub arrivals: bool,
    /// How many spans say the session that a root says.
    pub stamps: bool,
    /// Items a second that are taken; none: all.
    pub pace: Option<u64>,
}

impl Wanted {
    /// What there is to see of such requests.
    pub fn of(content: Content) -> Self {
        Self {
            signal: content.signal(),
            trace_spans: content.trace_spans(),
            arrivals: false,
            stamps: content == Content::Llm,
            pace: None,
        }
    }
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub items: u64,
    pub requests: u64,
    /// Resource blocks, and those without both labels.
    pub resources: u64,
    pub unlabelled: u64,
    /// Traces all of whose spans came in one request.
    pub whole: u64,
    pub stamped: u64,
    pub arrivals: HashMap<TraceId, Instant>,
}

pub struct Sink {
    address: SocketAddr,
    wanted: Wanted,
    seen: Mutex<Seen>,
    arrived: Notify,
    /// Until when what is taken takes, at its pace.
    busy_until: Mutex<Option<Instant>>,
    hurried: AtomicBool,
}

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Sink {
    pub async fn start(wanted: Wanted) -> Arc<Self> {
        Self::start_at("127.0.0.1:0".parse().unwrap(), wanted).await
    }

    pub async fn start_at(address: SocketAddr, wanted: Wanted) -> Arc<Self> {
        let listener = TcpListener::bind(address).await.unwrap();
        let sink = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            wanted,
            seen: Mutex::default(),
            arrived: Notify::new(),
            busy_until: Mutex::default(),
            hurried: false.into(),
        });
        tokio::spawn(sink.clone().serve(listener));
        sink
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let sink = self.clone();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let sink = sink.clone();
                    async move { Ok::<_, Infallible>(sink.answer(request).await) }
                });
                let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                server
                    .http2()
                    .max_frame_size(1 << 20)
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(16 << 20);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let said = |name: &str, value: &str| head.headers.get(name).is_some_and(|v| v == value);
        let grpc = said("content-type", "application/grpc");
        // A caller that breaks off will send it again.
        let Ok(body) = body.collect().await else { return ok(grpc) };
        let body = body.to_bytes();
        let (gzip, message) = match (grpc, body.first()) {
            (true, flag) => (flag == Some(&1), body.slice(5.min(body.len())..)),
            (false, _) => (said("content-encoding", "gzip"), body),
        };
        let message = if gzip { inflated(&message) } else { message };
        let items = self.count(&message);
        self.keep_pace(items).await;
        ok(grpc)
    }

    /// Counts a body, and says how many items it held.
    fn count(&self, body: &[u8]) -> u64 {
        let index = wire::walk(self.wanted.signal, body, Detail::Spans, &Limits::default()).unwrap();
        let resource = |entry: &ResourceEntry| first_body(body, &index, &entry.head);
        let unlabelled = index.resources.iter().filter(|entry| !is_labelled(&resource(entry)));
        let mut sizes: HashMap<TraceId, usize> = HashMap::new();
        if self.wanted.trace_spans > 0 {
            index.spans.iter().for_each(|span| *sizes.entry(span.trace).or_default() += 1);
        }
        let whole = sizes.iter().filter(|(_, spans)| **spans == self.wanted.trace_spans);
        let stamped = if self.wanted.stamps { SAYS_SESSION.find_iter(body).count() } else { 0 };
        let mut seen = self.seen.lock().unwrap();
        seen.items += index.items;
        seen.requests += 1;
        seen.resources += index.resources.len() as u64;
        seen.unlabelled += unlabelled.count() as u64;
        seen.stamped += stamped as u64;
        seen.whole += whole.clone().count() as u64;
        if self.wanted.arrivals {
            let now = now();
            seen.arrivals.extend(whole.map(|(trace, _)| (*trace, now)));
        }
        drop(seen);
        self.arrived.notify_waiters();
        index.items
    }

    /// A slow upstream takes its time for everything it takes, one after the other.
    async fn keep_pace(&self, items: u64) {
        let Some(pace) = self.wanted.pace else { return };
        if self.hurried.load(Ordering::Relaxed) {
            return;
        }
        let done = {
            let mut busy = self.busy_until.lock().unwrap();
            let from = busy.map_or_else(now, |until| until.max(now()));
            let done = from + Duration::from_secs_f64(items as f64 / pace as f64);
            *busy = Some(done);
            done
        };
        tokio::time::sleep_until(done.into()).await;
    }

    /// No pace any more.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::Relaxed);
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

    fn items(&self) -> u64 {
        self.seen.lock().unwrap().items
    }

    /// Until so many items have arrived since the last reset, or nothing has for `silence`.
    pub async fn wait_for(&self, items: u64, silence: Duration) {
        while self.items() < items {
            let arrived = self.arrived.notified();
            if self.items() < items && tokio::time::timeout(silence, arrived).await.is_err() {
                return;
            }
        }
    }
}

static SAYS_SESSION: LazyLock<Regex> = LazyLock::new(|| Regex::new(SESSION).unwrap());
static SAYS_ENVIRONMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(ENVIRONMENT).unwrap());
static SAYS_RELEASE: LazyLock<Regex> = LazyLock::new(|| Regex::new(RELEASE).unwrap());

fn is_labelled(resource: &[u8]) -> bool {
    SAYS_ENVIRONMENT.is_match(resource) && SAYS_RELEASE.is_match(resource)
}

fn inflated(body: &[u8]) -> Bytes {
    let mut out = Vec::new();
    MultiGzDecoder::new(body).read_to_end(&mut out).unwrap();
    out.into()
}

fn ok(grpc: bool) -> Reply {
    if !grpc {
        let reply = Response::builder().header("content-type", "application/x-protobuf");
        return reply.body(Full::new(Bytes::new()).boxed_unsync()).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    let reply = Response::builder().header("content-type", "application/grpc");
    reply.body(StreamBody::new(tokio_stream::iter(frames)).boxed_unsync()).unwrap()
}
