//! Reads small requests many at a time, and before large ones no more than their heads.
//!
//! HTTP/2's machinery reads eight kilobytes at once, unless it knows that a larger frame is coming. Of exports of a few
//! spans that is one or two, so that half of what they cost the system is reading them. While every such read comes
//! back full and no large frame is asked for, as much as there is is read here, and handed on from memory. A large
//! frame is always read into its own place: to copy it would cost more than a read. Behind one, another is likely, and
//! only as much is read as its heads take: of eight kilobytes most would be its own, and copied to its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Asked for at least so much, somebody waits for a large frame.
const LARGE: usize = 16 * 1024;
/// Small reads that come back full, one after the other, before more is read.
const FULL_READS: u32 = 8;
/// What is read then, and held until it is asked for, which is at once.
const AHEAD: usize = 64 * 1024;
/// What a request's heads take, its body's frame included, where their names have been told before. If it is more, or no
/// large frame comes, that is one read more for the large frame before.
const HEADS: usize = 256;

/// What was read of a connection and not yet asked for.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: BytesMut,
    full_reads: u32,
    /// A large frame has just been read to its end.
    large_ended: bool,
}

impl Ahead {
    /// Reads what `socket` has, or what of it was read before. `in_frames`: it speaks HTTP/2.
    pub fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        in_frames: bool,
    ) -> Poll<io::Result<()>> {
        let asked = buf.remaining();
        if self.bytes.is_empty() {
            if in_frames && self.large_ended && (HEADS..LARGE).contains(&asked) {
                let mut heads = [0; HEADS];
                let mut heads = ReadBuf::new(&mut heads);
                ready!(Pin::new(socket).poll_read(cx, &mut heads))?;
                buf.put_slice(heads.filled());
                self.large_ended = false;
                return Poll::Ready(Ok(()));
            }
            if !self.is_due(asked) {
                let before = buf.filled().len();
                ready!(Pin::new(socket).poll_read(cx, buf))?;
                self.learn(asked, buf.filled().len() - before);
                return Poll::Ready(Ok(()));
            }
            // Held no longer than it is needed: a connection at rest has no buffer.
            let mut bytes = BytesMut::with_capacity(AHEAD);
            ready!(poll_read_buf(Pin::new(socket), cx, &mut bytes))?;
            self.bytes = bytes;
        }
        let some = asked.min(self.bytes.len());
        if let Some(some) = self.bytes.get(..some) {
            buf.put_slice(some);
        }
        self.bytes.advance(some);
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
        self.learn(asked, some);
        Poll::Ready(Ok(()))
    }

    /// Whether the connection begins so. What is read to tell is held; `came` is told how much that is.
    pub fn poll_begins<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        with: &[u8],
        came: impl Fn(usize),
    ) -> Poll<io::Result<bool>> {
        loop {
            let wanted = with.len().saturating_sub(self.bytes.len());
            if wanted == 0 || !with.starts_with(&self.bytes) {
                return Poll::Ready(Ok(self.bytes.starts_with(with)));
            }
            self.bytes.reserve(wanted);
            match ready!(poll_read_buf(Pin::new(&mut *socket), cx, &mut self.bytes))? {
                0 => return Poll::Ready(Ok(false)),
                some => came(some),
            }
        }
    }

    fn is_due(&self, asked: usize) -> bool {
        asked < LARGE && self.full_reads >= FULL_READS
    }

    /// A read that was not full says nothing: it is the end of what had come.
    fn learn(&mut self, asked: usize, read: usize) {
        self.large_ended = asked >= LARGE && read == asked;
        if asked >= LARGE {
            self.full_reads = 0;
        } else if read == asked {
            self.full_reads = self.full_reads.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Has so many bytes, all of them here, and counts how often it is read.
    struct Socket {
        left: Vec<u8>,
        reads: usize,
    }

    impl AsyncRead for Socket {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.left.is_empty() {
                return Poll::Pending;
            }
            let some = buf.remaining().min(self.left.len());
            buf.put_slice(&self.left.drain(..some).collect::<Vec<_>>());
            self.reads += 1;
            Poll::Ready(Ok(()))
        }
    }

    /// Reads of a socket that has so many bytes, asked for in these sizes over and over until all are here.
    fn check(has: usize, asks: &[usize], in_frames: bool, expect: usize) {
        let bytes: Vec<u8> = (0..has).map(|at| (at % 251) as u8).collect();
        let (mut socket, mut ahead) = (Socket { left: bytes.clone(), reads: 0 }, Ahead::default());
        let (mut read, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
        for ask in asks.iter().cycle() {
            let mut room = vec![0; *ask];
            let mut buf = ReadBuf::new(&mut room);
            if ahead.poll_read(&mut socket, &mut cx, &mut buf, in_frames).is_pending() {
                break;
            }
            read.extend_from_slice(buf.filled());
        }
        assert!(read == bytes, "every byte once and in order");
        assert_eq!(socket.reads, expect, "{has} bytes in steps of {asks:?}");
        assert_eq!(ahead.bytes.capacity(), 0, "nothing is held at rest");
    }

    #[test]
    fn what_comes_in_small_reads_is_soon_read_ahead() {
        const KIB: usize = 1024;
        for in_frames in [false, true] {
            check(64 * KIB, &[8 * KIB], in_frames, 8);
            check((64 + 640) * KIB, &[8 * KIB], in_frames, 8 + 10);
            check((64 + 64) * KIB + 1, &[8 * KIB], in_frames, 8 + 2);
        }
    }

    #[test]
    fn a_connection_of_large_frames_is_never_read_ahead() {
        const KIB: usize = 1024;
        check(400 * KIB, &[8 * KIB, 32 * KIB], false, 20);
    }

    #[test]
    fn behind_a_large_frame_no_more_is_read_than_the_heads_of_the_next() {
        const KIB: usize = 1024;
        let large = 32 * KIB;
        check(8 * KIB + large + 9 * (HEADS + large), &[8 * KIB, large], true, 20);
        check(large + 100, &[large, 8 * KIB], true, 2);
        // Small ones that come behind it are read as ever, but for the first.
        check(large + HEADS + 16 * KIB, &[large, 8 * KIB, 8 * KIB, 8 * KIB], true, 4);
        // Whoever asks for less than heads gets what it asks for.
        check(large + 100, &[large, 50], true, 3);
    }
}
