//! Watches a connection for silence: a request head that never ends, or nobody there any more.
//!
//! hyper's own header timeout also closes a kept-alive connection that is merely idle between two
//! exports, which loses a race against the next export of an SDK that sends every minute. So the two
//! are told apart here: a head begun must end soon, an idle connection may rest for long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Timeouts;
use super::ahead::Ahead;
use crate::model::Time;
use crate::model::stream::Stream;

/// What a connection of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection is doing. Written by its socket and its requests, read by [`Patience`].
#[derive(Debug, Default)]
pub struct Watch {
    /// Read so far. What tells the version is counted again when it is handed on: only whether it grows matters.
    bytes: AtomicU64,
    /// Its preface has come whole.
    http2: AtomicBool,
    in_flight: AtomicU32,
    ended: AtomicU64,
}

/// A request in flight; ends on drop, answered or not.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Watch);

impl Watch {
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self)
    }

    fn came(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Says when a connection lets its other requests be answered before it writes.
///
/// The scheduler runs what an answer wakes at once, which is the connection: every reply would be a write, a
/// packet and a wake-up of the caller of its own. Whoever gives way once writes what has been answered by then
/// together. Where nothing else is in flight, as always over HTTP/1, there is nothing to give way to.
#[derive(Debug)]
pub struct Turns {
    watch: Arc<Watch>,
    /// Requests answered, when it was last asked.
    answered: u64,
    gave_way: bool,
}

impl Turns {
    pub fn new(watch: Arc<Watch>) -> Self {
        Self { watch, answered: 0, gave_way: false }
    }

    /// Whether to let others run first: once after answers came, never twice in a row.
    pub fn gives_way(&mut self) -> bool {
        let answered = self.watch.ended.load(Relaxed);
        let fresh = answered != self.answered && self.watch.in_flight.load(Relaxed) > 0;
        self.answered = answered;
        self.gave_way = fresh && !self.gave_way;
        self.gave_way
    }
}

/// Decides when a connection has been silent for too long. Pure: told what time it is.
#[derive(Debug)]
pub struct Patience {
    watch: Arc<Watch>,
    timeouts: Timeouts,
    ended: u64,
    /// Bytes read when the last request was seen to have ended.
    bytes: u64,
    quiet_since: Time,
    head_since: Option<Time>,
}

impl Patience {
    pub fn new(watch: Arc<Watch>, timeouts: Timeouts, now: Time) -> Self {
        Self { watch, timeouts, ended: 0, bytes: 0, quiet_since: now, head_since: None }
    }

    /// When to give the connection up if nothing changes. `None` while a request is in flight.
    pub fn until(&mut self, now: Time) -> Option<Time> {
        if self.watch.in_flight.load(Relaxed) > 0 {
            return None;
        }
        let (ended, bytes) = (self.watch.ended.load(Relaxed), self.watch.bytes.load(Relaxed));
        if ended != self.ended {
            (self.ended, self.bytes) = (ended, bytes);
            (self.quiet_since, self.head_since) = (now, None);
        }
        // HTTP/2 has frames of its own between requests; after the preface only silence counts.
        let settled = self.watch.http2.load(Relaxed);
        if bytes > self.bytes && !settled {
            self.head_since.get_or_insert(now);
        } else {
            self.head_since = None;
        }
        let Timeouts { head, idle, .. } = self.timeouts;
        Some(self.head_since.map_or(self.quiet_since + idle, |since| since + head))
    }
}

/// A socket that tells a [`Watch`] what is read of it.
#[derive(Debug)]
pub struct Watched<S> {
    socket: S,
    ahead: Ahead,
    watch: Arc<Watch>,
}

impl<S> Watched<S> {
    pub fn new(socket: S, watch: Arc<Watch>) -> Self {
        Self { socket, ahead: Ahead::default(), watch }
    }
}

/// What a connection is served over.
pub type Line = Watched<Stream>;

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Whether the other end begins as HTTP/2 does. What was read to tell is still to be read.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Self { socket, ahead, watch } = self;
        let is_http2 = ready!(ahead.poll_begins(socket, cx, PREFACE, |came| watch.came(came)))?;
        watch.http2.store(is_http2, Relaxed);
        Poll::Ready(Ok(is_http2))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Self { socket, ahead, watch } = &mut *self;
        let polled = ahead.poll_read(socket, cx, buf, watch.http2.load(Relaxed));
        let came = buf.filled().len() - before;
        if came > 0 {
            watch.came(came);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn quiet(watch: &Arc<Watch>) -> Patience {
        Patience::new(watch.clone(), Timeouts::default(), at(0))
    }

    #[test]
    fn a_head_begun_must_end_within_ten_seconds_however_it_drips() {
        let watch = Arc::new(Watch::default());
        let mut patience = quiet(&watch);
        watch.came(8);
        assert_eq!(patience.until(at(1)), Some(at(11)));
        watch.came(3);
        assert_eq!(patience.until(at(9)), Some(at(11)));
    }

    #[test]
    fn an_idle_connection_rests_for_ten_minutes_after_its_last_request() {
        let watch = Arc::new(Watch::default());
        let mut patience = quiet(&watch);
        assert_eq!(patience.until(at(5)), Some(at(600)));
        watch.came(19);
        let request = watch.begin();
        assert_eq!(patience.until(at(6)), None);
        drop(request);
        assert_eq!(patience.until(at(7)), Some(at(607)));
        watch.came(1);
        assert_eq!(patience.until(at(60)), Some(at(70)));
    }

    #[test]
    fn answers_are_given_way_to_once_while_others_are_in_flight() {
        let watch = Arc::new(Watch::default());
        let mut turns = Turns::new(watch.clone());
        let other = watch.begin();
        let mut answer = || {
            drop(watch.begin());
            turns.gives_way()
        };
        assert_eq!([answer(), answer(), answer()], [true, false, true]);
        assert!(!turns.gives_way(), "nothing was answered since");
        drop(other);
        assert!(!turns.gives_way(), "nobody else is to be answered");
    }

    /// Reads of a line that came in these pieces: whether it is HTTP/2, and what is read of it afterwards.
    fn told(pieces: &[&[u8]], expect: Option<bool>) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let watch = Arc::new(Watch::default());
        let (mut near, far) = tokio::io::duplex(1024);
        let mut line = Watched::new(far, watch.clone());
        let mut patience = quiet(&watch);
        let mut polled = line.poll_is_http2(&mut cx);
        for piece in pieces {
            assert!(polled.is_pending(), "{pieces:?}: told too early");
            assert!(Pin::new(&mut near).poll_write(&mut cx, piece).is_ready());
            polled = line.poll_is_http2(&mut cx);
        }
        let is_http2 = match polled {
            Poll::Pending => None,
            Poll::Ready(told) => Some(told.unwrap()),
        };
        assert_eq!(is_http2, expect, "{pieces:?}");
        // A head that was begun must end; of frames only silence counts.
        let until = if is_http2 == Some(true) { at(600) } else { at(11) };
        assert_eq!(patience.until(at(1)), Some(until), "{pieces:?}");
        let mut room = [0; 1024];
        let mut buf = ReadBuf::new(&mut room);
        while Pin::new(&mut line).poll_read(&mut cx, &mut buf).is_ready() {}
        assert_eq!(buf.filled(), pieces.concat(), "every byte once and in order");
    }

    #[test]
    fn the_first_bytes_tell_what_a_connection_speaks_and_are_still_read() {
        told(&[b"P"], None);
        told(&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r"], None);
        told(&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n\0\0\0"], Some(true));
        told(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], Some(true));
        told(&[b"P", b"O"], Some(false));
        told(&[b"GET / HTTP/1.1\r\n\r\n"], Some(false));
        told(&[b"PRI * HTTP/2.1"], Some(false));
        let (near, far) = tokio::io::duplex(8);
        drop(near);
        let mut line = Watched::new(far, Arc::default());
        let polled = line.poll_is_http2(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(false))), "nobody is there");
    }
}
