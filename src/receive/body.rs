//! Reads a request body, paying for every byte before holding it and waiting for none for ever.
//!
//! The surprise: a body that arrives in one piece is never copied; the piece is the body.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream};
use http::Request;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::refusal::Refusal;
use crate::model::{Clock, Time};
use crate::queue::Reservation;

/// A request's body as it comes.
#[derive(Debug)]
pub enum Coming {
    Http1(Incoming),
    /// `left`: the bytes still to come, where they were announced.
    Http2 {
        stream: RecvStream,
        left: Option<u64>,
    },
}

impl Coming {
    /// The body of a request of HTTP/2, whose machinery sees to it that no other length comes than the announced.
    pub fn in_frames(request: Request<RecvStream>) -> Request<Self> {
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        request.map(|stream| Self::Http2 {
            left: if stream.is_end_stream() { Some(0) } else { announced },
            stream,
        })
    }
}

/// A body that does not come to its end.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Broken {
    Http1(hyper::Error),
    Http2(h2::Error),
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Coming::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Broken::Http1),
            Coming::Http2 { stream, left } => poll_stream(stream, left, cx).map_err(Broken::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Coming::Http1(body) => body.is_end_stream(),
            Coming::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Coming::Http1(body) => body.size_hint(),
            Coming::Http2 { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// The next frame of a stream of HTTP/2, or its end; for its sender there is as much room for more at once.
fn poll_stream(
    stream: &mut RecvStream,
    left: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    let next = match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            let _ = stream.flow_control().release_capacity(data.len());
            *left = left.map(|left| left.saturating_sub(data.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Some(Err(error)) => Err(error),
        None => ready!(stream.poll_trailers(cx)),
    };
    Poll::Ready(match next {
        Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
        // Who has got its reply may say that it sends no more (RFC 9113, 8.1).
        Err(error) if error.reason() == Some(Reason::NO_ERROR) => None,
        Err(error) => Some(Err(error)),
    })
}

/// The data of one request, with a deadline.
#[derive(Debug)]
pub struct Reader<B = Coming> {
    body: B,
    clock: Clock,
    deadline: Time,
    /// The longest silence.
    silence: Duration,
}

impl<B: Body<Data = Bytes, Error: fmt::Display> + Unpin> Reader<B> {
    pub fn new(body: B, clock: Clock, deadline: Time, silence: Duration) -> Self {
        Self { body, clock, deadline, silence }
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Bytes announced by `content-length`, if it was sent.
    pub fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece that is not empty; `None` at the end of the body. Trailers are dropped.
    pub async fn data(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            // Mostly it is here: then there is nothing to time.
            let frame = match self.at_once().await {
                Some(frame) => frame,
                None => {
                    let patience = self.deadline.since(self.clock.now()).min(self.silence);
                    let frame = tokio::time::timeout(patience, self.body.frame()).await;
                    frame.map_err(|_| Refusal::Slow)?
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(cause)) => return Err(Refusal::Broken(cause.to_string())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => {}
                },
            }
        }
    }

    /// The next frame, or the end, if it has come; `None` when it has to be waited for.
    async fn at_once(&mut self) -> Option<Option<Result<Frame<Bytes>, B::Error>>> {
        poll_fn(|cx| match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// The body itself, for whoever wants to drain it.
    pub fn into_body(self) -> B {
        self.body
    }
}

/// Bytes that came so far, in one buffer once there is more than one piece.
#[derive(Debug)]
pub struct Gathered {
    whole: Bytes,
    buffer: BytesMut,
}

impl Gathered {
    pub fn new() -> Self {
        Self { whole: Bytes::new(), buffer: BytesMut::new() }
    }

    pub fn len(&self) -> usize {
        self.whole.len() + self.buffer.len()
    }

    /// Adds a piece. `room` is what the whole is expected to need, and has been paid for.
    pub fn push(&mut self, piece: Bytes, room: usize) {
        if self.len() == 0 {
            self.whole = piece;
            return;
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(room.max(self.whole.len() + piece.len()));
            self.buffer.extend_from_slice(&std::mem::take(&mut self.whole));
        }
        self.buffer.extend_from_slice(&piece);
    }

    /// Takes `n` bytes off the front, if they are there.
    pub fn take_front<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut front = [0; N];
        let from: &mut dyn Buf = if self.buffer.is_empty() { &mut self.whole } else { &mut self.buffer };
        (from.remaining() >= N).then(|| from.copy_to_slice(&mut front))?;
        Some(front)
    }

    pub fn finish(self) -> Bytes {
        if self.buffer.is_empty() { self.whole } else { self.buffer.freeze() }
    }
}

/// Makes `paid` cover `wanted` bytes, ahead of need so that growth is rare.
///
/// # Errors
/// `false` when the budget has no room for them.
pub fn pay_for(paid: &mut Reservation, wanted: usize) -> bool {
    let have = paid.bytes();
    if wanted <= have {
        return true;
    }
    let generous = wanted.max(have.saturating_mul(2)).max(64 * 1024);
    paid.try_grow(generous - have) || paid.try_grow(wanted - have)
}

/// Bytes of a refused body that are read and thrown away, so that its sender gets to the reply.
pub const DRAIN_MAX: usize = 256 << 20;
/// A body this small is read to its end on HTTP/2 too.
pub const SMALL_BODY: usize = 64 << 10;
const DRAIN_FOR: Duration = Duration::from_secs(5);

/// Reads a body to its end, or at most so many bytes, and keeps nothing.
pub async fn drain(mut body: Coming, most: usize) {
    let all = async {
        let mut left = most;
        while let Some(Ok(frame)) = body.frame().await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(len) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Out of time is as good an end as any.
    let _ = tokio::time::timeout(DRAIN_FOR, all).await;
}
