//! The played upstream: OTLP/gRPC and OTLP/HTTP on one port, everything kept exactly as it came,
//! answers by script.
//!
//! A script belongs to a mark, a word in the data, so that several checks can share one upstream and
//! one client: a request is answered by the script of the first mark found in it, and with success
//! when there is none.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::{self, PROTOBUF};
use crate::check::{Otherwise, does_not};
use crate::harness::upstream::{Any, ProtoDuration, RetryInfo, RpcStatus, keep};

/// How long what was sent may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Grpc,
    Http,
}

impl Transport {
    pub const BOTH: [Transport; 2] = [Transport::Grpc, Transport::Http];
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub transport: Transport,
    pub path: String,
    pub headers: HeaderMap,
    /// The body as on the wire; over gRPC the message without its frame.
    pub wire: Bytes,
    /// The same, inflated.
    pub plain: Bytes,
    pub at: Instant,
    /// Counts connections from 0.
    pub connection: u64,
}

impl Arrived {
    pub fn has(&self, mark: &str) -> bool {
        contains(&self.plain, mark.as_bytes())
    }
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Success and no more.
    Taken,
    /// This, whatever it is.
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
        trailers: Vec<(&'static str, String)>,
    },
    /// The connection is closed instead, with all that goes on in it.
    Cut,
    /// Nothing, as long as the connection lasts.
    Never,
}

impl Answer {
    /// A gRPC failure, with RetryInfo if a delay is given.
    pub fn grpc(code: i32, after: Option<Duration>) -> Self {
        let delay = |after: Duration| ProtoDuration {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanos: after.subsec_nanos().cast_signed(),
        };
        let details = after.map(|after| Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: RetryInfo { retry_delay: Some(delay(after)) }.encode_to_vec(),
        });
        let mut headers =
            vec![("content-type", "application/grpc".into()), ("grpc-status", code.to_string())];
        if details.is_some() {
            use base64::Engine;
            let details = details.into_iter().collect();
            let status = RpcStatus { code, message: "told to refuse".into(), details };
            let text = base64::prelude::BASE64_STANDARD_NO_PAD.encode(status.encode_to_vec());
            headers.push(("grpc-status-details-bin", text));
        }
        Self::Reply { status: 200, headers, body: Bytes::new(), trailers: Vec::new() }
    }

    /// An HTTP failure with a `google.rpc.Status`.
    pub fn http(status: u16) -> Self {
        Self::http_with(status, Vec::new(), 2)
    }

    /// An HTTP failure with these headers, and this code in its `google.rpc.Status`.
    pub fn http_with(status: u16, more: Vec<(&'static str, String)>, code: i32) -> Self {
        let body = RpcStatus { code, message: "told to refuse".into(), details: Vec::new() };
        let mut headers = vec![("content-type", PROTOBUF.to_owned())];
        headers.extend(more);
        Self::Reply { status, headers, body: body.encode_to_vec().into(), trailers: Vec::new() }
    }

    /// Overloaded: to be tried again.
    pub fn later(transport: Transport) -> Self {
        match transport {
            Transport::Grpc => Self::grpc(14, None),
            Transport::Http => Self::http(503),
        }
    }

    /// Success with this message as the reply.
    pub fn message(transport: Transport, message: &[u8]) -> Self {
        let (kind, body, trailers) = match transport {
            Transport::Grpc => {
                ("application/grpc", call::frame(0, message), vec![("grpc-status", "0".into())])
            }
            Transport::Http => (PROTOBUF, Bytes::copy_from_slice(message), Vec::new()),
        };
        Self::Reply { status: 200, headers: vec![("content-type", kind.into())], body, trailers }
    }
}

/// The running upstream. Gone when dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    door: Mutex<Option<Door>>,
}

#[derive(Debug)]
enum Door {
    Open(JoinHandle<()>),
    /// Keeps the port, which any client's socket could be given meanwhile.
    Shut(TcpSocket),
}

#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    /// How many requests came: what waiting is done on.
    count: watch::Sender<usize>,
    connections: AtomicU64,
}

#[derive(Debug, Default)]
struct Log {
    arrived: Vec<Arc<Arrived>>,
    scripts: HashMap<(String, Transport), VecDeque<Answer>>,
}

impl Backend {
    pub async fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("an address to play the upstream at");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            count: watch::Sender::new(0),
            connections: AtomicU64::new(0),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, door: Mutex::new(Some(Door::Open(server))) }
    }

    pub async fn anywhere() -> Self {
        Self::listen((std::net::Ipv4Addr::LOCALHOST, 0).into()).await
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the port and every connection.
    pub async fn down(&self) {
        let Some(Door::Open(server)) = self.door().take() else { panic!("it is down already") };
        server.abort();
        let _ = server.await;
        *self.door() = Some(Door::Shut(keep(self.address).await));
    }

    /// Listens again where it did before.
    pub async fn up(&self) {
        let Some(Door::Shut(port)) = self.door().take() else { panic!("it is up already") };
        let listener = port.listen(1024).expect("a port that was kept");
        *self.door() = Some(Door::Open(tokio::spawn(serve(listener, self.shared.clone()))));
    }

    fn door(&self) -> MutexGuard<'_, Option<Door>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers requests with this mark like this, one after the other, and then with success.
    pub fn script(&self, mark: &str, transport: Transport, answers: impl IntoIterator<Item = Answer>) {
        self.shared.log().scripts.insert((mark.into(), transport), answers.into_iter().collect());
    }

    /// What came with this mark so far.
    pub fn marked(&self, mark: &str) -> Vec<Arc<Arrived>> {
        let all = self.shared.log().arrived.clone();
        all.into_iter().filter(|request| request.has(mark)).collect()
    }

    /// The same over one transport.
    pub fn marked_over(&self, mark: &str, transport: Transport) -> Vec<Arc<Arrived>> {
        self.marked(mark).into_iter().filter(|request| request.transport == transport).collect()
    }

    /// Waits until something with this mark has come.
    pub async fn arrives(&self, mark: &str) -> Result<Arc<Arrived>, Otherwise> {
        let what = format!("{mark} to arrive");
        self.until(&what, |backend| backend.marked(mark).into_iter().next()).await
    }

    /// Waits until this many requests with this mark have come over this transport, for each as long as for
    /// the first.
    pub async fn arrive(
        &self,
        mark: &str,
        transport: Transport,
        times: usize,
    ) -> Result<Vec<Arc<Arrived>>, Otherwise> {
        let mut came = Vec::new();
        for time in 1..=times {
            let what = format!("{mark} to arrive over {transport:?} for the {time}. time");
            let enough = |backend: &Self| {
                let came = backend.marked_over(mark, transport);
                (came.len() >= time).then_some(came)
            };
            came = self.until(&what, enough).await?;
        }
        Ok(came)
    }

    /// Waits until what came gives an answer.
    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&Self) -> Option<T>) -> Result<T, Otherwise> {
        let mut count = self.shared.count.subscribe();
        let waiting = async {
            loop {
                count.borrow_and_update();
                if let Some(found) = wanted(self) {
                    return found;
                }
                let _ = count.changed().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.map_err(|_| does_not(format!("waited {PATIENCE:?} for {what}")))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(Door::Open(server)) = self.door().take() {
            server.abort();
        }
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request and says how to answer it.
    fn keep(&self, arrived: Arrived) -> Answer {
        let mut log = self.log();
        let transport = arrived.transport;
        let mut scripts = log.scripts.iter_mut().filter(|((_, of), _)| *of == transport);
        let script = scripts.find(|((mark, _), _)| arrived.has(mark));
        let answer = script.and_then(|(_, script)| script.pop_front()).unwrap_or(Answer::Taken);
        log.arrived.push(Arc::new(arrived));
        drop(log);
        self.count.send_modify(|count| *count += 1);
        answer
    }
}

/// Accepts until aborted; the connections go with it.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let shared = shared.clone();
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(async move {
            let cut = CancellationToken::new();
            let token = cut.clone();
            let service = service_fn(move |request| respond(request, number, shared.clone(), token.clone()));
            let builder = auto::Builder::new(TokioExecutor::new());
            let served = builder.serve_connection(TokioIo::new(socket), service);
            let _ = cut.run_until_cancelled(served).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// An error closes the connection.
async fn respond(
    request: Request<Incoming>,
    connection: u64,
    shared: Arc<Shared>,
    cut: CancellationToken,
) -> Result<Response<Body>, &'static str> {
    let (head, body) = request.into_parts();
    let kind = head.headers.get("content-type").map(HeaderValue::as_bytes).unwrap_or_default();
    let transport = if kind.starts_with(b"application/grpc") { Transport::Grpc } else { Transport::Http };
    let body = body.collect().await.map_err(|_| "the body broke off")?.to_bytes();
    let (wire, coding) = match transport {
        Transport::Http => (body, head.headers.get("content-encoding")),
        Transport::Grpc if body.len() < 5 => return Err("no frame"),
        Transport::Grpc => {
            let coding = head.headers.get("grpc-encoding").filter(|_| body[0] == 1);
            (body.slice(5..), coding)
        }
    };
    let plain = inflate(coding.map(HeaderValue::as_bytes), &wire).ok_or("it does not inflate")?;
    let arrived = Arrived {
        transport,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        wire,
        plain,
        at: Instant::now(),
        connection,
    };
    match shared.keep(arrived) {
        Answer::Taken => Ok(reply(Answer::message(transport, b""))),
        Answer::Cut => {
            cut.cancel();
            // Over HTTP/2 an error would be a reset stream, which says something; a cut says nothing.
            std::future::pending().await
        }
        Answer::Never => std::future::pending().await,
        answer @ Answer::Reply { .. } => Ok(reply(answer)),
    }
}

fn reply(answer: Answer) -> Response<Body> {
    let Answer::Reply { status, headers, body, trailers } = answer else { unreachable!("only replies come") };
    let trailers: Vec<_> = trailers.into_iter().map(parsed).collect();
    let body = Full::new(body);
    let body = match trailers.is_empty() {
        true => BodyExt::boxed(body),
        false => BodyExt::boxed(body.with_trailers(async { Some(Ok(trailers.into_iter().collect())) })),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a script names a real status");
    response.headers_mut().extend(headers.into_iter().map(parsed));
    response
}

fn parsed((name, value): (&'static str, String)) -> (http::HeaderName, HeaderValue) {
    (http::HeaderName::from_static(name), HeaderValue::try_from(value).expect("a script's header"))
}

fn inflate(coding: Option<&[u8]>, wire: &Bytes) -> Option<Bytes> {
    let mut plain = Vec::new();
    match coding {
        None | Some(b"identity") => return Some(wire.clone()),
        Some(b"gzip") => flate2::read::MultiGzDecoder::new(&wire[..]).read_to_end(&mut plain).ok()?,
        Some(b"zstd") => zstd::stream::read::Decoder::new(&wire[..]).ok()?.read_to_end(&mut plain).ok()?,
        Some(_) => return None,
    };
    Some(plain.into())
}

/// Whether these bytes are somewhere in those.
pub fn contains(all: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let mut all = all;
    while let Some(at) = all.iter().position(|byte| byte == first) {
        all = &all[at + 1..];
        if all.starts_with(rest) {
            return true;
        }
    }
    false
}
