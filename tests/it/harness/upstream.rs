//! A backend that records: OTLP/gRPC and OTLP/HTTP on one port, every request kept as it came.
//!
//! It takes whatever is sent and can be told to answer as bad backends do: refuse, refuse in part,
//! be slow, never answer, be gone. tonic and axum do the protocols, so that what is recorded was
//! understood by somebody else's server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use spandrel::wire::Signal;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::PATIENCE;
use super::platform::{self, Call};
use super::raw::Raw;
use super::read::Export;

/// Larger than anything a test sends.
const MESSAGE_MAX: usize = 256 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub signal: Signal,
    pub transport: Transport,
    pub path: String,
    pub headers: HeaderMap,
    /// The message, unframed and inflated, otherwise untouched.
    pub bytes: Bytes,
    pub export: Export,
    /// Whether it was answered with success: a refused request will be sent again.
    pub accepted: bool,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    Ok,
    /// Success, but this many items were not taken.
    Partial {
        rejected: i64,
        message: &'static str,
    },
    /// Failure: the code over gRPC, the status over HTTP, and when to come again (RetryInfo, `Retry-After`).
    Refuse {
        grpc: Code,
        http: u16,
        after: Option<Duration>,
    },
    /// Success, this much later.
    After(Duration),
    /// None, as long as the connection lasts.
    Never,
}

impl Answer {
    /// Overloaded or restarting: a caller must come again.
    pub fn unavailable() -> Self {
        Self::Refuse { grpc: Code::Unavailable, http: 503, after: None }
    }

    /// Never going to take it: a caller must not come again.
    pub fn bad_data() -> Self {
        Self::Refuse { grpc: Code::InvalidArgument, http: 400, after: None }
    }
}

/// The running backend. Gone when dropped.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
    /// Keeps the port while nobody listens there, which any client's socket could be given meanwhile.
    port: Option<TcpSocket>,
}

struct Shared {
    log: Mutex<Log>,
    /// How many requests were recorded: what waiting is done on.
    recorded: watch::Sender<usize>,
}

struct Log {
    requests: Vec<Arc<Received>>,
    /// The answers to the next requests, then `standing`.
    next: VecDeque<Answer>,
    standing: Answer,
    /// Further paths that signals are taken at over HTTP.
    paths: Vec<(String, Signal)>,
    /// What else was asked of it, where it is a platform.
    calls: Option<Vec<Call>>,
    /// What the next of these calls are answered with, before what the platform says.
    next_calls: VecDeque<Answer>,
}

impl Upstream {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Self {
        Self::start_as(None).await
    }

    /// The same as a platform: see `platform`.
    pub async fn platform() -> Self {
        Self::start_as(Some(Vec::new())).await
    }

    async fn start_as(calls: Option<Vec<Call>>) -> Self {
        let (requests, next, paths) = (Vec::new(), VecDeque::new(), Vec::new());
        let next_calls = VecDeque::new();
        let log = Log { requests, next, standing: Answer::Ok, paths, calls, next_calls };
        let shared = Arc::new(Shared { log: Mutex::new(log), recorded: watch::Sender::new(0) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let server = Some(tokio::spawn(serve(listener, shared.clone())));
        Self { address, shared, server, port: None }
    }

    /// For gRPC and for HTTP: both are served here.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers every request like this from now on.
    pub fn answer(&self, answer: Answer) {
        self.shared.log().standing = answer;
    }

    /// Answers the next requests like this, one after the other, before what stands.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.log().next.extend(answers);
    }

    /// Answers the next calls that are not OTLP like this, one after the other.
    pub fn answer_next_calls(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.log().next_calls.extend(answers);
    }

    /// Takes a signal at this path too, over HTTP.
    pub fn also_at(&self, path: &str, signal: Signal) {
        self.shared.log().paths.push((path.into(), signal));
    }

    /// Closes the port and every connection, as a crash does.
    pub async fn go_down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
            self.port = Some(keep(self.address).await);
        }
    }

    /// Listens again where it did before.
    pub async fn go_up(&mut self) {
        let port = self.port.take().expect("it is down");
        let listener = port.listen(1024).expect("a port that was kept");
        self.server = Some(tokio::spawn(serve(listener, self.shared.clone())));
    }

    /// Everything recorded, in order of arrival, refused requests too.
    pub fn requests(&self) -> Vec<Arc<Received>> {
        self.shared.log().requests.clone()
    }

    /// What it took, in order of arrival.
    pub fn accepted(&self) -> Vec<Arc<Received>> {
        self.requests().into_iter().filter(|request| request.accepted).collect()
    }

    /// What it took of one signal, decoded.
    pub fn exports(&self, signal: Signal) -> Vec<Export> {
        let of_signal = self.accepted().into_iter().filter(|request| request.signal == signal);
        of_signal.map(|request| request.export.clone()).collect()
    }

    /// What was asked of a platform beside OTLP, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log().calls.clone().unwrap_or_default()
    }

    /// Waits until this many calls were made of a platform whose path ends like this, and returns them.
    pub async fn await_calls(&self, path: &str, wanted: usize) -> Vec<Call> {
        let calls = || self.calls().into_iter().filter(|call| call.path.ends_with(path)).collect::<Vec<_>>();
        self.await_until(&format!("{wanted} calls to {path}"), |_| calls().len() >= wanted).await;
        calls()
    }

    /// Forgets what it has recorded.
    pub fn forget(&self) {
        self.shared.log().requests.clear();
        self.shared.log().calls.iter_mut().for_each(Vec::clear);
    }

    /// Waits until it has taken this many spans, and returns what it took.
    pub async fn await_spans(&self, wanted: usize) -> Vec<Arc<Received>> {
        self.await_items(Signal::Traces, wanted).await
    }

    /// Waits until it has taken this many items of a signal, and returns what it took of that signal.
    pub async fn await_items(&self, signal: Signal, wanted: usize) -> Vec<Arc<Received>> {
        let what = format!("{wanted} items of {}", signal.name());
        self.await_until(&what, |requests| {
            let taken = requests.iter().filter(|request| request.accepted && request.signal == signal);
            taken.map(|request| request.export.count()).sum::<usize>() >= wanted
        })
        .await
        .into_iter()
        .filter(|request| request.accepted && request.signal == signal)
        .collect()
    }

    /// Waits until what was recorded is as wanted, and returns all of it.
    pub async fn await_until(
        &self,
        what: &str,
        wanted: impl Fn(&[Arc<Received>]) -> bool,
    ) -> Vec<Arc<Received>> {
        self.await_within(PATIENCE, what, wanted).await
    }

    /// As `await_until`, with its own limit.
    pub async fn await_within(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&[Arc<Received>]) -> bool,
    ) -> Vec<Arc<Received>> {
        let mut recorded = self.shared.recorded.subscribe();
        let waiting = async {
            loop {
                recorded.borrow_and_update();
                let requests = self.requests();
                if wanted(&requests) {
                    return requests;
                }
                recorded.changed().await.expect("the sender lives as long as this");
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(requests) => requests,
            Err(_) => panic!("waited {limit:?} for {what}, but {}", self.summary()),
        }
    }

    /// One line a request, for the message of a failed test.
    pub fn summary(&self) -> String {
        let requests = self.requests();
        let mut text = format!("{} requests came:", requests.len());
        for request in requests.iter().take(50) {
            let (signal, count) = (request.signal.name(), request.export.count());
            let accepted = if request.accepted { "" } else { ", refused" };
            let _ = write!(text, "\n  {signal} over {:?}, {count} items{accepted}", request.transport);
        }
        text
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes a request and says how to answer it.
    fn record(&self, transport: Transport, signal: Signal, head: Head, bytes: Bytes) -> Answer {
        let decoded = Export::decode(signal, &bytes);
        let mut log = self.log();
        let answer = match (log.next.pop_front(), &decoded) {
            (_, Err(_)) => Answer::bad_data(),
            (_, Ok(export)) if log.calls.is_some() && !platform::takes(export) => Answer::bad_data(),
            (Some(next), Ok(_)) => next,
            (None, Ok(_)) => log.standing.clone(),
        };
        let accepted = matches!(answer, Answer::Ok | Answer::Partial { .. } | Answer::After(_));
        let export = decoded.unwrap_or_else(|fault| panic!("what came is no {signal:?} request: {fault}"));
        let Head { path, headers } = head;
        log.requests.push(Arc::new(Received { signal, transport, path, headers, bytes, export, accepted }));
        drop(log);
        self.recorded.send_modify(|count| *count += 1);
        answer
    }
}

struct Head {
    path: String,
    headers: HeaderMap,
}

/// Accepts until aborted; the connections go with it.
/// Binds a port without listening there. A program that another test is just starting has the listener that was closed
/// as well, until it is started.
pub async fn keep(address: SocketAddr) -> TcpSocket {
    let bound = async {
        loop {
            let port = TcpSocket::new_v4().expect("a socket");
            port.set_reuseaddr(true).expect("an option every system has");
            if port.bind(address).is_ok() {
                return port;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.expect("the port it listened at")
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let shared = shared.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| respond(request, shared.clone()));
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(
    request: Request<hyper::body::Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let head = Head { path: request.uri().path().to_owned(), headers: request.headers().clone() };
    Ok(if is_grpc { grpc(head, request, shared).await } else { plain(head, request, shared).await })
}

async fn grpc(head: Head, request: Request<hyper::body::Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == head.path) else {
        return Status::unimplemented(format!("no method {:?}", head.path)).into_http();
    };
    let mut head = Some(head);
    let service = tower::service_fn(move |request: tonic::Request<Bytes>| {
        let (shared, head) = (shared.clone(), head.take().expect("a unary service is called once"));
        async move {
            let answer = shared.record(Transport::Grpc, signal, head, request.into_inner());
            grpc_answer(answer).await.map(tonic::Response::new)
        }
    });
    tonic::server::Grpc::new(Raw)
        .max_decoding_message_size(MESSAGE_MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .unary(service, request)
        .await
        .map(Body::new)
}

async fn grpc_answer(answer: Answer) -> Result<Bytes, Status> {
    match answer {
        Answer::Ok => Ok(Bytes::new()),
        Answer::Partial { rejected, message } => Ok(partial(rejected, message)),
        Answer::After(delay) => {
            tokio::time::sleep(delay).await;
            Ok(Bytes::new())
        }
        Answer::Never => std::future::pending().await,
        Answer::Refuse { grpc, after, .. } => {
            let details = RpcStatus::new(grpc, "told to refuse", after).encode_to_vec();
            Err(Status::with_details(grpc, "told to refuse", details.into()))
        }
    }
}

async fn plain(head: Head, request: Request<hyper::body::Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let path = head.path.trim_start_matches("/api/public/otel");
    let usual = Signal::ALL.into_iter().find(|signal| signal.http_path() == path);
    if shared.log().calls.is_some() && !(path == Signal::Traces.http_path() && path != head.path) {
        return beyond(head, request, &shared).await;
    }
    let further = shared.log().paths.iter().find(|(known, _)| *known == head.path).map(|(_, signal)| *signal);
    let Some(signal) = usual.or(further) else { return empty(StatusCode::NOT_FOUND) };
    let Ok(body) = request.into_body().collect().await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Some(bytes) = inflate(&head.headers, body.to_bytes()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let is_platform = shared.log().calls.is_some();
    match shared.record(Transport::Http, signal, head, bytes) {
        Answer::Ok if is_platform => platform::taken(),
        Answer::Ok => message(Bytes::new()),
        Answer::Partial { rejected, message: text } => message(partial(rejected, text)),
        Answer::After(delay) => {
            tokio::time::sleep(delay).await;
            message(Bytes::new())
        }
        Answer::Never => std::future::pending().await,
        Answer::Refuse { http, after, grpc } => {
            let body = RpcStatus::new(grpc, "told to refuse", None).encode_to_vec();
            let mut response = message(body.into());
            *response.status_mut() = StatusCode::from_u16(http).expect("a test names a real status");
            if let Some(after) = after {
                response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().into());
            }
            response
        }
    }
}

/// What a platform answers that is not an export.
async fn beyond(head: Head, request: Request<hyper::body::Incoming>, shared: &Shared) -> Response<Body> {
    let Head { path, headers } = head;
    let (method, query) = (request.method().to_string(), request.uri().query().map(str::to_owned));
    let Ok(body) = request.into_body().collect().await else { return empty(StatusCode::BAD_REQUEST) };
    let call = Call { method, path, query, headers, body: body.to_bytes() };
    let answer = platform::answer(&call);
    let next = shared.log().next_calls.pop_front();
    shared.log().calls.iter_mut().for_each(|calls| calls.push(call.clone()));
    shared.recorded.send_modify(|count| *count += 1);
    match next {
        Some(Answer::Refuse { http, after, .. }) => refusal(http, after),
        _ => answer,
    }
}

fn refusal(status: u16, after: Option<Duration>) -> Response<Body> {
    let mut response = empty(StatusCode::from_u16(status).expect("a test names a real status"));
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().into());
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn message(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let kind = header::HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn inflate(headers: &HeaderMap, bytes: Bytes) -> Option<Bytes> {
    let mut plain = Vec::new();
    match headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None | Some(b"identity") => return Some(bytes),
        Some(b"gzip") => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).ok()?,
        Some(b"zstd") => zstd::stream::read::Decoder::new(&bytes[..]).ok()?.read_to_end(&mut plain).ok()?,
        Some(_) => return None,
    };
    Some(plain.into())
}

/// An `Export…ServiceResponse` with a `partial_success`: the same fields for every signal.
fn partial(rejected: i64, message: &str) -> Bytes {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: message.into() };
    ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec().into()
}

/// `google.rpc.Status`, as error details over gRPC and as the body over HTTP.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProtoDuration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RpcStatus {
    fn new(code: Code, message: &str, after: Option<Duration>) -> Self {
        let details = after.map(|after| {
            let delay = ProtoDuration { seconds: after.as_secs() as i64, nanos: after.subsec_nanos() as i32 };
            let value = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
            Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value }
        });
        Self { code: code as i32, message: message.into(), details: details.into_iter().collect() }
    }

    /// When to come again, if it says.
    pub fn retry_after(&self) -> Option<Duration> {
        let info = self.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
        Some(Duration::new(delay.seconds.try_into().ok()?, delay.nanos.try_into().ok()?))
    }
}
