//! An upstream whose every answer the test decides.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Version,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    /// The message in a gRPC frame, and its flag.
    pub fn message(&self) -> (u8, Bytes) {
        let len = u32::from_be_bytes(self.body[1..5].try_into().unwrap()) as usize;
        assert_eq!(len, self.body.len() - 5, "one frame, nothing after it");
        (self.body[0], self.body.slice(5..))
    }
}

pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the upstream does with a request.
pub enum Answer {
    Reply(Response<Body>),
    /// Replies this much later.
    Later(Duration, Response<Body>),
    /// Never answers.
    Silence,
    /// Closes the connection instead.
    Cut,
}

pub struct Server {
    pub port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// Requests on one connection before it is closed in good order; 0: any number.
    goodbye_after: AtomicUsize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers the n-th request (from 0) as `script` says.
    pub async fn start(script: impl FnMut(usize, &Seen) -> Answer + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub fn on(listener: TcpListener, script: impl FnMut(usize, &Seen) -> Answer + Send + 'static) -> Self {
        Self::behind(listener, None, script)
    }

    /// As [`Server::on`], with TLS in front.
    pub fn behind(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        script: impl FnMut(usize, &Seen) -> Answer + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared: Arc<Shared> = Arc::default();
        let (state, script) = (shared.clone(), Arc::new(Mutex::new(script)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, script, tls) = (state.clone(), script.clone(), tls.clone());
                state.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    match tls {
                        None => serve(socket, state, script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                serve(stream, state, script).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, shared, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Every connection ends in good order (GOAWAY) once it has had this many requests.
    pub fn say_goodbye_after(&self, requests: usize) {
        self.shared.goodbye_after.store(requests, Ordering::SeqCst);
    }
}

/// What a request does to its connection.
enum Sign {
    Cut,
    Goodbye,
}

async fn serve<S, F>(socket: S, state: Arc<Shared>, script: Arc<Mutex<F>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: FnMut(usize, &Seen) -> Answer + Send + 'static,
{
    let (sign, mut signs) = mpsc::unbounded_channel();
    let here = Arc::new(AtomicUsize::new(0));
    let answer = service_fn(move |request: Request<Incoming>| {
        let (state, script, sign, here) = (state.clone(), script.clone(), sign.clone(), here.clone());
        async move {
            if here.fetch_add(1, Ordering::SeqCst) + 1 == state.goodbye_after.load(Ordering::SeqCst) {
                let _ = sign.send(Sign::Goodbye);
            }
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else { return std::future::pending().await };
            let (uri, body) = (head.uri, body.to_bytes());
            let seen = Seen { version: head.version, uri, headers: head.headers, body };
            let answer = {
                let mut all = state.seen.lock().unwrap();
                all.push(seen.clone());
                (script.lock().unwrap())(all.len() - 1, &seen)
            };
            match answer {
                Answer::Reply(reply) => Ok::<_, Infallible>(reply),
                Answer::Later(delay, reply) => {
                    tokio::time::sleep(delay).await;
                    Ok(reply)
                }
                Answer::Silence => std::future::pending().await,
                Answer::Cut => {
                    let _ = sign.send(Sign::Cut);
                    std::future::pending().await
                }
            }
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), answer));
    loop {
        tokio::select! {
            _ = &mut connection => return,
            sign = signs.recv() => match sign {
                Some(Sign::Goodbye) => connection.as_mut().graceful_shutdown(),
                Some(Sign::Cut) | None => return,
            },
        }
    }
}

pub fn http(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut reply = Response::new(Full::new(body.into()).boxed_unsync());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        reply.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    Answer::Reply(reply)
}

/// A gRPC reply: a message, if any, and trailers.
pub fn grpc(message: Option<&[u8]>, trailers: &[(&str, &str)]) -> Answer {
    let framed = message.map(|message| {
        let mut framed = vec![0];
        framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
        framed.extend_from_slice(message);
        framed
    });
    grpc_frame(framed.unwrap_or_default().into(), &[], trailers)
}

/// A gRPC reply of these very bytes.
pub fn grpc_frame(bytes: Bytes, headers: &[(&str, &str)], trailers: &[(&str, &str)]) -> Answer {
    let named = |pairs: &[(&str, &str)]| -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap()));
        pairs.collect()
    };
    let trailers = named(trailers);
    let body = Full::new(bytes).with_trailers(async move { Some(Ok(trailers)) });
    let mut reply = Response::new(body.boxed_unsync());
    *reply.headers_mut() = named(headers);
    reply.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    Answer::Reply(reply)
}

pub fn grpc_ok() -> Answer {
    grpc(Some(&[]), &[("grpc-status", "0")])
}

/// A reply with this head whose body never ends.
pub fn endless(content_type: &str) -> Answer {
    let chunk = Bytes::from(vec![0; 64 << 10]);
    let frames = tokio_stream::iter(std::iter::repeat_with(move || Ok(Frame::data(chunk.clone()))));
    let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
    reply.headers_mut().insert("content-type", content_type.parse().unwrap());
    Answer::Reply(reply)
}
