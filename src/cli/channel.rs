//! A gRPC connection to a running instance, for the commands that ask one.
//!
//! Plain HTTP/2 to one address, once: it resolves anew, balances and reconnects nowhere. Who wants another
//! connection makes another channel.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::Service;

use crate::model::relay::Streamed;
use crate::model::{Stream, background};

/// For a connection to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How often somebody who says nothing is asked whether they are there.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Calls go out over one connection, as many at once as the other side takes.
#[derive(Clone, Debug)]
pub struct Channel(SendRequest<Streamed>);

impl Channel {
    /// Connects to the host and port of `to`.
    ///
    /// # Errors
    /// What the system or HTTP/2 says.
    pub async fn connect(to: &Uri) -> std::io::Result<Self> {
        tokio::time::timeout(CONNECT_MAX, Self::open(to)).await?
    }

    async fn open(to: &Uri) -> std::io::Result<Self> {
        let authority = to.authority().map_or("", |authority| authority.as_str());
        let socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        let socket = Stream::new(socket);
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_while_idle(true);
        let handshake = builder.handshake(TokioIo::new(socket)).await;
        let (sender, connection) = handshake.map_err(std::io::Error::other)?;
        // What it ends with, whoever called is told.
        background(connection);
        Ok(Self(sender))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request.map(|body| body.map_err(Into::into).boxed_unsync())))
    }
}
