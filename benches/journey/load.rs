//! The load: OTLP requests of a fixed shape with fresh ids, sent as fast as they are taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use spandrel::wire::Signal;
use tokio::net::TcpStream;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// How spans are spread over requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 100 spans of one service, each 10 a trace.
    Flat,
    /// The same, 10 spans a request.
    Small,
    /// Traces of 12 spans over 3 services, 4 spans each; 25 traces a request.
    Services,
}

/// Spans of one trace in `Shape::Services`.
pub const TRACE_SPANS: usize = 12;
const SERVICE_SPANS: usize = 4;
const CONNECTIONS: usize = 4;
const STREAMS: usize = 8;
/// Refused callers are told to wait a second or more; this is less, and long enough for a queue to drain.
const REFUSED_NAP: Duration = Duration::from_millis(100);

/// An encoded request and where its ids stand.
struct Template {
    bytes: Vec<u8>,
    /// (offset, trace number in the request)
    traces: Vec<(usize, u16)>,
    /// (offset, span number in the trace); parents stand here too.
    spans: Vec<(usize, u16, u16)>,
}

pub struct Load {
    transport: Transport,
    shape: Shape,
    templates: Arc<Vec<Template>>,
    next: Arc<AtomicU64>,
    /// Requests told to come again later.
    pub refused: Arc<AtomicU64>,
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn number(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::IntValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Markers that no other bytes of a template contain, replaced before sending.
fn trace_mark(trace: u16) -> Vec<u8> {
    [&[0xfe; 12][..], &trace.to_be_bytes(), &[0xfd, 0xfc]].concat()
}

fn span_mark(trace: u16, span: u16) -> Vec<u8> {
    [&[0xfb, 0xfa, 0xf9, 0xf8][..], &trace.to_be_bytes(), &span.to_be_bytes()].concat()
}

/// One span of about 380 bytes.
fn span(trace: u16, number_in_trace: u16, parent: Option<u16>, name: &str, kind: i32) -> Span {
    Span {
        trace_id: trace_mark(trace),
        span_id: span_mark(trace, number_in_trace),
        parent_span_id: parent.map(|p| span_mark(trace, p)).unwrap_or_default(),
        name: name.to_owned(),
        kind,
        flags: 0x101,
        start_time_unix_nano: 1_795_347_879_000_000_000 + u64::from(number_in_trace) * 1_000_000,
        end_time_unix_nano: 1_795_347_879_500_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.full", "https://orders.internal.example.com/v1/orders/8812"),
            text("server.address", "orders.internal.example.com"),
            number("server.port", 443),
            number("http.response.status_code", 200),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "okhttp/4.12.0"),
            text("thread.name", "http-nio-8080-exec-7"),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn request(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            text("service.name", service),
            text("service.instance.id", "4ac425da-186f-48d4-b205-a1bbd6109338"),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.version", "1.57.0"),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "io.opentelemetry.http".to_owned(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

impl Template {
    fn of(bytes: Vec<u8>) -> Self {
        let (mut traces, mut spans) = (Vec::new(), Vec::new());
        let two = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let mut at = 0;
        while at + 16 <= bytes.len() {
            if bytes[at..].starts_with(&[0xfe; 12]) {
                traces.push((at, two(at + 12)));
                at += 16;
            } else if bytes[at..].starts_with(&[0xfb, 0xfa, 0xf9, 0xf8]) {
                spans.push((at, two(at + 4), two(at + 6)));
                at += 8;
            } else {
                at += 1;
            }
        }
        Self { bytes, traces, spans }
    }

    /// A copy with the ids of round `round`, behind a gRPC prefix when `framed`.
    fn fresh(&self, round: u64, framed: bool) -> Bytes {
        let lead = if framed { 5 } else { 0 };
        let mut out = Vec::with_capacity(lead + self.bytes.len());
        if framed {
            out.push(0);
            out.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap().to_be_bytes());
        }
        out.extend_from_slice(&self.bytes);
        for &(at, trace) in &self.traces {
            let id = mix(round << 16 | u64::from(trace));
            out[lead + at..][..8].copy_from_slice(&id.to_be_bytes());
            out[lead + at + 8..][..8].copy_from_slice(&mix(id).to_be_bytes());
        }
        for &(at, trace, span) in &self.spans {
            let id = mix((round << 16 | u64::from(trace)).wrapping_mul(31).wrapping_add(u64::from(span)));
            out[lead + at..][..8].copy_from_slice(&id.to_be_bytes());
        }
        out.into()
    }
}

/// SplitMix64: distinct numbers in, distinct and random-looking numbers out.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n ^ (n >> 31)) | 1
}

fn flat(spans: u16) -> Vec<Template> {
    let one = |n: u16| span(n / 10, n % 10, (!n.is_multiple_of(10)).then_some(0), "GET /v1/orders/{id}", 3);
    vec![Template::of(request("orders", (0..spans).map(one).collect()))]
}

/// Three requests, one a service, of the same 25 traces: SERVER, two INTERNAL, and a CLIENT that calls on.
fn services() -> Vec<Template> {
    let service = |n: u16, name: &str| {
        let spans = (0..25).flat_map(|trace| {
            let first = n * SERVICE_SPANS as u16;
            let parent = (n > 0).then(|| first - 1);
            [
                span(trace, first, parent, "POST /checkout", 2),
                span(trace, first + 1, Some(first), "load basket", 1),
                span(trace, first + 2, Some(first), "price basket", 1),
                span(trace, first + 3, Some(first), if n < 2 { "POST" } else { "SELECT orders" }, 3),
            ]
        });
        Template::of(request(name, spans.collect()))
    };
    vec![service(0, "shop-gateway"), service(1, "orders"), service(2, "stock")]
}

impl Load {
    pub fn new(transport: Transport, shape: Shape) -> Self {
        let templates = match shape {
            Shape::Flat => flat(100),
            Shape::Small => flat(10),
            Shape::Services => services(),
        };
        Self {
            transport,
            shape,
            templates: Arc::new(templates),
            next: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Requests of a full measurement.
    pub fn requests(&self) -> u64 {
        let spans: u64 = std::env::var("SPANS").ok().and_then(|s| s.parse().ok()).unwrap_or(1_500_000);
        match self.shape {
            Shape::Flat => spans / 100,
            Shape::Small => spans / 50,
            // Whole rounds of three.
            Shape::Services => spans / 300 * 3,
        }
    }

    /// Sends `requests` and returns the spans in those that were answered OK; refused ones are sent again.
    pub async fn run(&self, to: SocketAddr, requests: u64) -> u64 {
        let rounds = self.templates.len() as u64;
        let first = self.next.fetch_add(requests, Ordering::Relaxed);
        let (turn, sent) = (Arc::new(AtomicU64::new(first)), Arc::new(AtomicU64::new(0)));
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (templates, turn, sent) = (self.templates.clone(), turn.clone(), sent.clone());
                let refused = self.refused.clone();
                let transport = self.transport;
                tokio::spawn(async move {
                    let one = async |caller: &mut Caller| loop {
                        let n = turn.fetch_add(1, Ordering::Relaxed);
                        if n >= first + requests {
                            return;
                        }
                        let template = &templates[(n % rounds) as usize];
                        let body = template.fresh(n / rounds, transport == Transport::Grpc);
                        while !caller.send(body.clone()).await {
                            refused.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(REFUSED_NAP).await;
                        }
                        sent.fetch_add(template.traces.len() as u64, Ordering::Relaxed);
                    };
                    match transport {
                        Transport::Grpc => {
                            let caller = Caller::grpc(to).await;
                            let mut callers: Vec<_> = (0..STREAMS).map(|_| caller.clone()).collect();
                            futures_join(callers.iter_mut().map(one).collect()).await;
                        }
                        Transport::Http => {
                            let mut callers = [Caller::http(to).await, Caller::http(to).await];
                            futures_join(callers.iter_mut().map(one).collect()).await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        sent.load(Ordering::Relaxed)
    }

    /// Connects until somebody listens, and sends until the first OK.
    pub async fn first_ok(&self, to: SocketAddr) {
        while TcpStream::connect(to).await.is_err() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let mut caller = Caller::grpc(to).await;
        while !caller.send(self.templates[0].fresh(0, true)).await {}
    }
}

/// Polls all of them on this task.
async fn futures_join<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|f| Some(Box::pin(f))).collect();
    std::future::poll_fn(|cx| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|f| f.as_mut().poll(cx).is_ready()) {
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// One connection's sending side.
enum Caller {
    Grpc(http2::SendRequest<Full<Bytes>>, SocketAddr),
    Http(http1::SendRequest<Full<Bytes>>, SocketAddr),
}

impl Caller {
    async fn grpc(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(8 << 20);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Grpc(sender, to)
    }

    async fn http(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http(sender, to)
    }

    fn clone(&self) -> Self {
        match self {
            Self::Grpc(sender, to) => Self::Grpc(sender.clone(), *to),
            Self::Http(..) => unreachable!("an HTTP/1.1 connection has one sender"),
        }
    }

    /// Whether the request was accepted whole.
    async fn send(&mut self, body: Bytes) -> bool {
        let reply = match self {
            Self::Grpc(sender, to) => {
                let request = Request::post(format!("http://{to}{}", Signal::Traces.grpc_path()))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                sender.ready().await.unwrap();
                sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap()
            }
            Self::Http(sender, to) => {
                let request = Request::post(Signal::Traces.http_path())
                    .header("host", to.to_string())
                    .header("content-type", "application/x-protobuf");
                sender.ready().await.unwrap();
                sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap()
            }
        };
        accepted(reply).await
    }
}

async fn accepted(reply: Response<Incoming>) -> bool {
    let (head, body) = reply.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().and_then(|t| t.get("grpc-status")).or(head.headers.get("grpc-status"));
    head.status == 200 && trailers.is_none_or(|status| status == "0")
}
