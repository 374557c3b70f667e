//! Reads a request body, paying for every byte before holding it and waiting for none for ever.
//!
//! The surprise: a body that arrives in one piece is never copied; the piece is the body.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::refusal::Refusal;
use crate::model::{Clock, Time};
use crate::queue::Reservation;

/// The data of one request, with a deadline.
#[derive(Debug)]
pub struct Reader<B = Incoming> {
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
pub async fn drain(mut body: Incoming, most: usize) {
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
