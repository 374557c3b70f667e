//! One connection of a caller, and what it is told.
//!
//! Every reply is read to its end: a status that is not OK, or a `partial_success` that counts rejected items, is
//! an answer like any other and never passed over.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use spandrel::wire::Signal;
use spandrel::wire::reply::{Encoding, read_partial};
use tokio::net::TcpStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// What a caller was told.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// UNAVAILABLE or 503: come again.
    Later,
    /// Anything else, in words.
    Refused(String),
}

/// The sending side of a connection.
pub struct Caller {
    to: SocketAddr,
    signal: Signal,
    gzip: bool,
    sender: Sender,
}

enum Sender {
    Grpc(http2::SendRequest<Full<Bytes>>),
    Http(http1::SendRequest<Full<Bytes>>),
}

impl Caller {
    pub async fn new(transport: Transport, signal: Signal, gzip: bool, to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let sender = match transport {
            Transport::Grpc => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(1 << 20).initial_connection_window_size(8 << 20);
                let (sender, connection) = builder.handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Grpc(sender)
            }
            Transport::Http => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http(sender)
            }
        };
        Self { to, signal, gzip, sender }
    }

    /// Another caller on the same connection; of HTTP/1.1 there is none.
    pub fn another(&self) -> Option<Self> {
        match &self.sender {
            Sender::Grpc(sender) => Some(Self { sender: Sender::Grpc(sender.clone()), ..*self }),
            Sender::Http(_) => None,
        }
    }

    pub async fn send(&mut self, body: Bytes) -> Answer {
        let (to, gzip) = (self.to, self.gzip);
        let reply = match &mut self.sender {
            Sender::Grpc(sender) => {
                let mut request = Request::post(format!("http://{to}{}", self.signal.grpc_path()))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                if gzip {
                    request = request.header("grpc-encoding", "gzip");
                }
                sender.ready().await.unwrap();
                sender.send_request(request.body(Full::new(body)).unwrap()).await
            }
            Sender::Http(sender) => {
                let mut request = Request::post(self.signal.http_path())
                    .header("host", to.to_string())
                    .header("content-type", "application/x-protobuf");
                if gzip {
                    request = request.header("content-encoding", "gzip");
                }
                sender.ready().await.unwrap();
                sender.send_request(request.body(Full::new(body)).unwrap()).await
            }
        };
        match reply {
            Ok(reply) => answer(self.signal, reply).await,
            Err(error) => Answer::Refused(error.to_string()),
        }
    }
}

async fn answer(signal: Signal, reply: Response<Incoming>) -> Answer {
    let (head, body) = reply.into_parts();
    let body = match body.collect().await {
        Ok(body) => body,
        Err(error) => return Answer::Refused(error.to_string()),
    };
    let trailers = body.trailers().cloned().unwrap_or_default();
    let said = |name: &str| trailers.get(name).or(head.headers.get(name)).and_then(|v| v.to_str().ok());
    let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    match (head.status.as_u16(), said("grpc-status")) {
        (200, Some("14")) | (503, _) => return Answer::Later,
        (200, Some("0")) => {}
        (200, None) if !is_grpc => {}
        (status, grpc) => {
            let message = said("grpc-message").unwrap_or_default();
            return Answer::Refused(format!("status {status}, gRPC {grpc:?}: {message}"));
        }
    }
    let body = body.to_bytes();
    let message = if is_grpc { body.get(5..).unwrap_or_default() } else { &body };
    match read_partial(signal, Encoding::Protobuf, message) {
        Some(partial) if partial.rejected > 0 => {
            Answer::Refused(format!("{} items refused: {}", partial.rejected, partial.message))
        }
        _ => Answer::Taken,
    }
}
