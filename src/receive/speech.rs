//! A connection's HTTP: which of the two it is, its first bytes tell.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::body::Coming;
use super::conn::Conn;
use super::frames::Frames;
use super::respond::Reply;
use super::watch::Line;

/// One connection, from its first byte to its last.
pub struct Speech(State);

enum State {
    New(Option<(Line, Arc<Conn>)>),
    /// Boxed: a connection that speaks HTTP/2 need not be as large.
    Http1(Pin<Box<http1::Connection<TokioIo<Line>, Answerer>>>),
    Http2(Frames),
}

impl Speech {
    pub fn new(line: Line, conn: Arc<Conn>) -> Self {
        Self(State::New(Some((line, conn))))
    }

    /// Answers requests until the connection has ended.
    ///
    /// # Errors
    /// The other end broke the protocol, or is gone.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        loop {
            match &mut self.0 {
                State::New(new) => {
                    let Some((line, _)) = new else { return Poll::Ready(Ok(())) };
                    let is_http2 = ready!(line.poll_is_http2(cx))?;
                    let Some((line, conn)) = new.take() else { return Poll::Ready(Ok(())) };
                    self.0 = if is_http2 {
                        State::Http2(Frames::new(line, conn))
                    } else {
                        State::Http1(Box::pin(http1().serve_connection(TokioIo::new(line), Answerer(conn))))
                    };
                }
                State::Http1(http) => return http.as_mut().poll(cx).map_err(Into::into),
                State::Http2(frames) => return frames.poll(cx).map_err(Into::into),
            }
        }
    }

    /// Takes no more requests, and ends when those it has are answered (GOAWAY, `connection: close`).
    pub fn finish(&mut self) {
        match &mut self.0 {
            State::New(new) => *new = None,
            State::Http1(http) => http.as_mut().graceful_shutdown(),
            State::Http2(frames) => frames.finish(),
        }
    }
}

/// HTTP/1 and every limit of it.
fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Watch` does this without closing connections that only rest.
        .header_read_timeout(None)
        .max_buf_size(256 * 1024)
        .max_headers(100);
    builder
}

/// What hyper calls for each request.
struct Answerer(Arc<Conn>);

impl Service<Request<Incoming>> for Answerer {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Reply>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let conn = self.0.clone();
        Box::pin(async move { Ok(conn.answer(request.map(Coming::Http1)).await) })
    }
}
