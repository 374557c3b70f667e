//! HTTP/2, by the machinery of its frames alone.
//!
//! hyper would serve it, as it serves HTTP/1 here; but around each reply it asks six times, under a lock, whether
//! there is room for it and whether anybody still waits. A reply to an export is one small piece and its trailers: it
//! is handed over as it is. Of the 49,300 instructions that an export of ten spans took, 2,500 were that.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response};
use http_body::Body;

use super::body::Coming;
use super::conn::Conn;
use super::respond::Reply;
use super::watch::Line;

/// One connection.
pub struct Frames {
    conn: Arc<Conn>,
    state: State,
}

/// Boxed: a connection that speaks HTTP/1 need not be as large.
enum State {
    Greeting(Box<Handshake<Line, Bytes>>),
    Open(Box<Connection<Line, Bytes>>),
    /// Told to end before a request could have come.
    Ended,
}

impl Frames {
    pub fn new(line: Line, conn: Arc<Conn>) -> Self {
        Self { conn, state: State::Greeting(Box::new(limits().handshake(line))) }
    }

    /// Takes requests and moves their bytes, until the connection has ended. Each is answered on a task of its own.
    ///
    /// # Errors
    /// The other end broke the protocol, or is gone.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match &mut self.state {
                State::Greeting(greeting) => {
                    let connection = ready!(Pin::new(&mut **greeting).poll(cx))?;
                    self.state = State::Open(Box::new(connection));
                }
                State::Open(connection) => {
                    let Some(accepted) = ready!(connection.poll_accept(cx)) else {
                        return Poll::Ready(Ok(()));
                    };
                    let (request, respond) = accepted?;
                    // Boxed: on its way to its task it is moved five times, with all that an export may need.
                    tokio::spawn(Box::pin(answer(self.conn.clone(), request, respond)));
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes no more requests, and ends when those it has are answered.
    pub fn finish(&mut self) {
        match &mut self.state {
            State::Open(connection) => connection.graceful_shutdown(),
            State::Greeting(_) | State::Ended => self.state = State::Ended,
        }
    }
}

/// Every limit of the protocol, stated (faults F34, F35). No pings: the kernel knows of peers that are gone, and asking
/// it costs nothing for each frame.
fn limits() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(256)
        .max_header_list_size(16 * 1024)
        // A request of a hundred spans arrives in one piece (38 KB), not in three.
        .max_frame_size(1 << 20)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .max_send_buffer_size(64 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(1024));
    builder
}

/// Answers one request, unless its caller takes it back before.
async fn answer(conn: Arc<Conn>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut answering = pin!(conn.answer(Coming::in_frames(request)));
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Ok(response)),
        Poll::Pending => respond.poll_reset(cx).map(|gone| Err(why(gone))),
    });
    let sent = match answered.await {
        Ok(response) => send(response, &mut respond).await,
        Err(gone) => Err(gone),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "not answered");
    }
}

/// Hands a response over: at once if it is one piece.
async fn send(response: Response<Reply>, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let (mut head, body) = response.into_parts();
    let is_all = body.is_end_stream();
    if !is_all && let Some(len) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(len));
    }
    let sent = respond.send_response(Response::from_parts(head, ()), is_all);
    let mut stream = sent.inspect_err(|_| respond.send_reset(Reason::INTERNAL_ERROR))?;
    if is_all {
        return Ok(());
    }
    match body {
        Reply::Piece { data, trailers: None } => stream.send_data(data, true),
        Reply::Piece { data, trailers: Some(trailers) } => {
            stream.send_data(data, false)?;
            stream.send_trailers(trailers)
        }
        Reply::Stream(body) => pipe(body, stream).await,
    }
}

/// Hands a body over as it comes, no faster than the other end takes it.
async fn pipe(mut body: tonic::body::Body, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    loop {
        let next = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(gone) => Poll::Ready(Err(why(gone))),
            Poll::Pending => Pin::new(&mut body).poll_frame(cx).map(Ok),
        });
        let frame = match next.await? {
            None => return stream.send_data(Bytes::new(), true),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::debug!(%error, "a reply ended early");
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
        };
        match frame.into_data() {
            Ok(data) => {
                if !data.is_empty() {
                    has_room(&mut stream).await?;
                }
                let is_last = body.is_end_stream();
                stream.send_data(data, is_last)?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    stream.reserve_capacity(0);
                    return stream.send_trailers(trailers);
                }
            }
        }
    }
}

/// Why nobody waits any more.
fn why(gone: Result<Reason, h2::Error>) -> h2::Error {
    gone.map_or_else(|error| error, h2::Error::from)
}

/// Waits until the other end takes some of what is next.
async fn has_room(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap_or(Err(Reason::CANCEL.into()))?;
    }
    Ok(())
}
