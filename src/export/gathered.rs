//! Writes of all the pieces of a batch, not of as many as HTTP's machinery hands on.
//!
//! hyper gives a connection at most 64 pieces with one call; a mebibyte of calls to a model has 250, and each call to
//! the system wakes whoever reads. So a connection is told what goes out on it next, and a write whose pieces are the
//! beginning of that is made with those that follow, too. What was written before it was asked for is said to be
//! written when it is: a writer is always asked for what it has not said to have written, in order.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::Pieces;

/// Pieces of one write; Linux takes 1,024. A batch of large spans has two for each of at least four kibibytes.
const PIECES_MAX: usize = 512;

/// What goes out next on a connection: the body of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Upcoming(Arc<Mutex<Pieces>>);

impl Upcoming {
    /// In place of what was to go out before.
    pub fn is(&self, pieces: Pieces) {
        *self.lock() = pieces;
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that writes what it is asked to and what it knows to come behind that.
#[derive(Debug)]
pub(super) struct Gathered<S> {
    io: S,
    upcoming: Upcoming,
    /// Bytes written that nobody has asked for yet.
    ahead: usize,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    pub fn new(io: S, upcoming: Upcoming) -> Self {
        Self { io, upcoming, ahead: 0 }
    }

    /// Writes `asked`, or some of it, or more than it: how many bytes.
    fn poll_gather(&mut self, cx: &mut Context<'_>, asked: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut upcoming = self.upcoming.lock();
        let Some(heads) = heads(asked, &upcoming) else {
            return Pin::new(&mut self.io).poll_write_vectored(cx, asked);
        };
        let rest = upcoming.unread().skip(asked.len() - heads).map(IoSlice::new);
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let all = slices.iter_mut().zip(asked.iter().copied().chain(rest));
        let count = all.map(|(slice, next)| *slice = next).count();
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count]))?;
        let heads = asked[..heads].iter().map(|slice| slice.len()).sum();
        upcoming.advance(written.saturating_sub(heads));
        Poll::Ready(Ok(written))
    }
}

/// How many slices stand before those that are the next of `upcoming`, where all the others are.
fn heads(asked: &[IoSlice<'_>], upcoming: &Pieces) -> Option<usize> {
    let first = upcoming.unread().next()?;
    let heads = asked.iter().position(|slice| is_same(slice, first))?;
    asked[heads..].iter().zip(upcoming.unread()).all(|(slice, piece)| is_same(slice, piece)).then_some(heads)
}

/// The same bytes in the same place.
fn is_same(slice: &[u8], piece: &[u8]) -> bool {
    std::ptr::eq(slice, piece)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ahead == 0 {
            self.ahead = ready!(self.poll_gather(cx, bufs))?;
        }
        let said = self.ahead.min(bufs.iter().map(|slice| slice.len()).sum());
        self.ahead -= said;
        Poll::Ready(Ok(said))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    /// What hyper hands on with one call.
    const HANDED: usize = 64;

    /// Takes so many bytes with each write.
    struct Socket {
        takes: usize,
        taken: Vec<u8>,
        writes: usize,
    }

    impl AsyncWrite for Socket {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let (before, takes) = (self.taken.len(), self.takes);
            self.taken.extend(bufs.iter().flat_map(|slice| slice.iter().copied()).take(takes));
            self.writes += 1;
            Poll::Ready(Ok(self.taken.len() - before))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes a head and then a body as hyper does: as many pieces as it hands on, again and again.
    fn send(io: &mut Gathered<Socket>, mut head: &[u8], mut body: Pieces) {
        let mut cx = Context::from_waker(Waker::noop());
        while !head.is_empty() || body.has_remaining() {
            let mut slices = [IoSlice::new(&[]); HANDED];
            let before = usize::from(!head.is_empty());
            slices[0] = IoSlice::new(head);
            let count = before + body.chunks_vectored(&mut slices[before..]);
            let Poll::Ready(Ok(written)) = Pin::new(&mut *io).poll_write_vectored(&mut cx, &slices[..count])
            else {
                panic!("the socket always takes some");
            };
            assert!(written <= slices[..count].iter().map(|slice| slice.len()).sum(), "no more than asked");
            let of_head = written.min(head.len());
            head = &head[of_head..];
            body.advance(written - of_head);
        }
    }

    /// Pieces of which many are the same bytes in the same place, as a stamp in each of many spans is.
    fn batch(count: usize) -> Pieces {
        let (stamp, texts) = (Bytes::from_static(b"stamp"), Bytes::from((0..=255).collect::<Vec<u8>>()));
        let piece = |nth: usize| if nth.is_multiple_of(2) { stamp.clone() } else { texts.slice(nth % 100..) };
        Pieces::new((0..count).map(piece).collect::<Vec<_>>())
    }

    fn bytes(mut pieces: Pieces) -> Bytes {
        pieces.copy_to_bytes(pieces.remaining())
    }

    /// Two requests over one connection, each of so many pieces, told beforehand or not, to a socket that takes so many
    /// bytes at once: in how many writes.
    fn check(count: usize, told: bool, takes: usize) -> usize {
        let upcoming = Upcoming::default();
        let mut io = Gathered::new(Socket { takes, taken: Vec::new(), writes: 0 }, upcoming.clone());
        let mut expect = Vec::new();
        for head in [&b"POST / HTTP/1.1"[..], b"again"] {
            let body = batch(count);
            if told {
                upcoming.is(body.clone());
            }
            send(&mut io, head, body.clone());
            assert!(bytes(upcoming.lock().clone()).is_empty(), "nothing of it is to come");
            expect.extend_from_slice(head);
            expect.extend_from_slice(&bytes(body));
        }
        assert!(io.io.taken == expect, "{count} pieces in steps of {takes}: every byte once and in order");
        assert_eq!(io.ahead, 0);
        io.io.writes
    }

    #[test]
    fn what_is_told_goes_out_with_one_write_though_it_is_asked_for_in_several() {
        assert_eq!([check(300, true, usize::MAX), check(300, false, usize::MAX)], [2, 10]);
        assert_eq!(check(10, true, usize::MAX), 2);
        // All that one write takes, and the rest.
        assert_eq!(check(PIECES_MAX + 10, true, usize::MAX), 4);
    }

    #[test]
    fn a_socket_that_takes_little_gets_every_byte_once_and_in_order() {
        for takes in [1, 2, 7, 100, 1_000, 9_999] {
            check(300, true, takes);
            check(300, false, takes);
        }
    }

    #[test]
    fn what_is_not_what_was_told_is_written_as_it_is_asked_for() {
        let upcoming = Upcoming::default();
        let mut io = Gathered::new(Socket { takes: 1_000, taken: Vec::new(), writes: 0 }, upcoming.clone());
        upcoming.is(batch(300));
        let other = Pieces::new(vec![Bytes::from_static(b"other"); 300]);
        send(&mut io, b"head", other.clone());
        assert_eq!(io.io.taken, [b"head", &*bytes(other)].concat());
    }
}
