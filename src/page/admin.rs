//! The admin port: metrics, health, what the join holds, the latest traces, and the inspection API.
//!
//! HTTP/1.1 and h2c on one address; read only. What of it tells nothing of traces can have an address of its own,
//! for those who ask from outside. It knows the rest of the process through [`Sources`]
//! alone. Connections are bounded in number, request heads in time, answers by what they are made of.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus::{Encoder, TextEncoder};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_reflection::server as reflection;

use super::line::Line;
use super::links::Links;
use super::proto::DESCRIPTORS;
use super::{Summary, asked, inspection};
use crate::model::Stream;
use crate::semantics::ids;
use crate::telemetry::Meters;
use crate::watch::Watchers;

/// Connections open at once; more wait in the socket's own queue.
const CONNECTIONS_MAX: usize = 64;
/// For a request's head to arrive, and for an idle connection to say something.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For answers under way when the port closes.
const GRACE: Duration = Duration::from_secs(1);
/// Traces listed by `/traces` and `/tracez`.
const LISTED_MAX: usize = 100;

/// Answers `/livez` and `/readyz`: what was seen, either way.
pub type Health = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What the admin port shows. Closures, so that it knows nothing of who answers.
#[derive(Clone)]
pub struct Sources {
    pub meters: Arc<Meters>,
    pub watchers: Arc<Watchers>,
    /// Brings gauges up to date, before anything is read from them.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
    /// A span got through lately, or nothing waits. `Err` means: restart me.
    pub live: Health,
    /// Requests are taken. `Err` means: send them elsewhere.
    pub ready: Health,
    /// What the join holds and why, at most so many traces.
    pub held: Arc<dyn Fn(usize) -> serde_json::Value + Send + Sync>,
    /// From now on nothing is waited for: the end is near.
    pub flush: Arc<dyn Fn() + Send + Sync>,
    pub status: Arc<dyn Fn() -> StatusInfo + Send + Sync>,
    pub links: Links,
}

/// What metrics do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusInfo {
    pub uptime: Duration,
    pub listeners: Vec<String>,
    /// Name (the `upstream` label of metrics) and endpoint.
    pub upstreams: Vec<(String, String)>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("watchers", &self.watchers).finish_non_exhaustive()
    }
}

/// The admin address could not be had.
#[derive(Debug, Error)]
#[error("can't listen on {listen} for {what}: {cause}")]
pub struct BindError {
    /// `admin` or `probes`.
    pub what: &'static str,
    pub listen: SocketAddr,
    pub cause: std::io::Error,
}

/// The admin port, bound.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    shows: Shows,
}

/// What an address serves.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    All,
    /// Metrics and health.
    Probes,
}

impl Admin {
    /// Binds; port 0 takes a free one.
    pub async fn bind(listen: SocketAddr, shows: Shows) -> Result<Self, BindError> {
        let what = match shows {
            Shows::All => "admin",
            Shows::Probes => "probes",
        };
        let failed = |cause| BindError { what, listen, cause };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, shows })
    }

    /// The address it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends watches, gives answers under way a second, and returns.
    pub async fn serve(self, sources: Sources, stop: CancellationToken) {
        let router = match self.shows {
            Shows::All => routes(sources, &stop),
            Shows::Probes => probes().fallback(nothing).with_state(sources),
        };
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut open = JoinSet::new();
        while let Some((socket, permit)) = stop.run_until_cancelled(self.accept(&permits)).await {
            let (router, stop) = (router.clone(), stop.clone());
            open.spawn(async move {
                connection(socket, router, stop).await;
                drop(permit);
            });
            while open.try_join_next().is_some() {}
        }
        drop(self.listener);
        // What is not done by then is cut off when the set is dropped.
        let _ = tokio::time::timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    }

    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
    ) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
        // The semaphore is never closed, so there always is a permit in the end.
        let permit = permits.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => return (socket, permit),
                Err(cause) => {
                    // Out of file descriptors, mostly: trying at once would spin.
                    tracing::warn!(%cause, "can't take an admin connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(socket: TcpStream, router: Router, stop: CancellationToken) {
    let _ = socket.set_nodelay(true);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 << 10);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT).max_concurrent_streams(32);
    let socket = Stream::new(socket);
    let mut serving = pin!(server.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
    // How a caller ends its connection is its own affair.
    if stop.run_until_cancelled(serving.as_mut()).await.is_none() {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

/// What tells nothing of traces.
fn probes() -> Router<Sources> {
    Router::new().route("/metrics", get(metrics)).route("/livez", get(livez)).route("/readyz", get(readyz))
}

fn routes(sources: Sources, stop: &CancellationToken) -> Router {
    let inspection = inspection::service(sources.clone(), stop.clone());
    let router = probes()
        .route("/", get(index))
        .route("/flush", post(flush))
        .route("/tracez", get(tracez))
        .route("/traces", get(traces))
        .route("/traces/{id}", get(trace))
        .route("/id", get(asked::id))
        .route("/url/{trace_id}", get(asked::url))
        .route_service("/spandrel.v1.Inspection/{*method}", inspection);
    with_reflection(router).fallback(nothing).with_state(sources)
}

/// What is served over gRPC here, described to whoever looks with a tool; some ask by the old name only.
fn with_reflection<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let described = || reflection::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    match (described().build_v1(), described().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => router
            .route_service("/grpc.reflection.v1.ServerReflection/{*method}", v1)
            .route_service("/grpc.reflection.v1alpha.ServerReflection/{*method}", v1alpha),
        (Err(cause), _) | (_, Err(cause)) => {
            tracing::error!(%cause, "what was compiled in can not be read; no reflection on the admin port");
            router
        }
    }
}

const INDEX: &str = "\
spandrel admin

/metrics      Prometheus metrics
/livez        whether spans get through
/readyz       whether requests are taken
/tracez       what the join holds, and why
/flush        POST: hand on what is held, and from now on what comes, at once
/traces       the latest joined traces
/traces/{id}  one of them, with its spans and what they mean
/id?seed=…    the trace id that SDKs make of a seed; &observation for a span's
/url/{id}     where the UI shows a trace

spandrel.v1.Inspection is served here over gRPC, with reflection: see proto/, or run `spandrel tail`
";

async fn index() -> &'static str {
    INDEX
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "nothing here; / lists what there is\n").into_response()
}

async fn metrics(State(sources): State<Sources>) -> Response {
    (sources.refresh)();
    sources.watchers.refresh();
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&sources.meters.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
    }
}

async fn livez(State(sources): State<Sources>) -> Response {
    health(&sources.live)
}

async fn readyz(State(sources): State<Sources>) -> Response {
    health(&sources.ready)
}

fn health(ask: &Health) -> Response {
    let (code, mut body) = match ask() {
        Ok(seen) => (StatusCode::OK, seen),
        Err(seen) => (StatusCode::SERVICE_UNAVAILABLE, seen),
    };
    body.push('\n');
    (code, body).into_response()
}

async fn flush(State(sources): State<Sources>) -> &'static str {
    (sources.flush)();
    "from now on what comes is handed on at once\n"
}

/// Lanes are waited for, and one of them may share this thread.
async fn tracez(State(sources): State<Sources>) -> Response {
    off_the_runtime(move || json(&(sources.held)(LISTED_MAX))).await
}

/// An array, newest first, without spans. A trace that left in parts stands once.
async fn traces(State(sources): State<Sources>) -> Response {
    off_the_runtime(move || {
        let latest = sources.watchers.latest(LISTED_MAX);
        let read: Vec<Summary> = latest.iter().filter_map(|parts| Summary::read_parts(parts)).collect();
        json(&read.iter().map(Line::overview).collect::<Vec<_>>())
    })
    .await
}

/// One trace whole: late spans are in it, though they left later.
async fn trace(State(sources): State<Sources>, Path(id): Path<String>) -> Response {
    let id = match ids::parse_trace_id(&id.to_ascii_lowercase()) {
        Ok(id) => id,
        Err(none) => return (StatusCode::BAD_REQUEST, format!("{none}\n")).into_response(),
    };
    off_the_runtime(move || match Summary::read_parts(&sources.watchers.parts(id)) {
        Some(whole) => json(&Line::of(&whole)),
        None => {
            let hint = "no such trace is kept: it has not left the join, newer ones took its place, or \
                        none are kept (see `recent`)\n";
            (StatusCode::NOT_FOUND, hint).into_response()
        }
    })
    .await
}

/// Reading traces takes milliseconds: not on a thread that serves callers.
async fn off_the_runtime(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
    }
}
