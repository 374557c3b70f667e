//! Bodies on their way through: each has to keep moving, and a reply's end sets its connection free.
//!
//! The surprise: hyper does not poll a body again that says it is at its end, so that end is looked for when the
//! body is dropped, too.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::super::line::{Line, Live};
use crate::model::relay::{BoxError, Streamed};

/// What a reply holds until its end: its connection, and its place among those on their way.
#[derive(Debug)]
pub struct Lent {
    pub line: Arc<Line<Streamed>>,
    pub live: Live<Streamed>,
    pub _room: OwnedSemaphorePermit,
}

/// A body that breaks off when nothing comes for too long.
#[derive(Debug)]
pub struct Paced<B: Body> {
    body: B,
    silence: Duration,
    alarm: Pin<Box<Sleep>>,
    ended: bool,
    lent: Option<Lent>,
}

impl<B: Body> Paced<B> {
    pub fn new(body: B, silence: Duration) -> Self {
        Self { body, silence, alarm: Box::pin(sleep(silence)), ended: false, lent: None }
    }

    pub fn of_reply(body: B, silence: Duration, lent: Lent) -> Self {
        let mut paced = Self::new(body, silence);
        paced.lent = Some(lent);
        paced
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.alarm.as_mut().poll(cx));
            return Poll::Ready(Some(Err(format!("nothing came for {:?}", this.silence).into())));
        };
        this.alarm.as_mut().reset(Instant::now() + this.silence);
        this.ended = frame.is_none();
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Paced<B> {
    fn drop(&mut self) {
        let whole = self.ended || self.body.is_end_stream();
        // A connection with the rest of a reply on it is of no use to anybody.
        if let Some(Lent { line, live, .. }) = self.lent.take().filter(|_| whole) {
            line.give_back_now(live);
        }
    }
}
