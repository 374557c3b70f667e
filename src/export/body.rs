//! A request's bytes as they go out: many pieces, one frame, no joining.
//!
//! The surprise: the pieces are one `Buf`, not one body frame each. HTTP/2 makes a DATA frame of every
//! body frame, and a receiver that finds the whole message in one frame need not copy it together.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::line::Outgoing;
use crate::wire::Sealed;

/// Bytes in pieces, read from the front. Cloning shares them all at once: every attempt sends a clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    /// What stands before them.
    prefix: Bytes,
    body: Sealed,
    /// The first piece not yet wholly read, and how much of it is.
    at: usize,
    read: usize,
    left: usize,
}

impl Pieces {
    pub fn new(body: impl Into<Sealed>) -> Self {
        let body = body.into();
        Self { left: body.len(), body, ..Self::default() }
    }

    /// The same bytes behind a prefix.
    pub fn behind(&self, prefix: Bytes) -> Self {
        debug_assert!(self.prefix.is_empty(), "there is one prefix");
        Self { left: self.left + prefix.len(), prefix, ..self.clone() }
    }

    pub fn len(&self) -> usize {
        self.left
    }

    /// What is still to be read, piece by piece.
    pub fn unread(&self) -> impl Iterator<Item = &[u8]> {
        let (first, rest) = match self.body.pieces().get(self.at..) {
            Some([first, rest @ ..]) => (first.get(self.read..).unwrap_or_default(), rest),
            _ => (&[][..], &[][..]),
        };
        let prefix = Some(&*self.prefix).filter(|prefix| !prefix.is_empty());
        let first = Some(first).filter(|first| !first.is_empty());
        prefix.into_iter().chain(first).chain(rest.iter().map(|piece| &**piece))
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.unread().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(self.unread()).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.left = self.left.saturating_sub(count);
        let step = count.min(self.prefix.len());
        self.prefix.advance(step);
        count -= step;
        while let Some(piece) = self.body.pieces().get(self.at) {
            let step = count.min(piece.len() - self.read);
            self.read += step;
            count -= step;
            if self.read < piece.len() {
                return;
            }
            (self.at, self.read) = (self.at + 1, 0);
        }
    }
}

/// The body of one call: all the pieces as one frame, then the end.
#[derive(Debug)]
pub(super) struct Whole(Option<Pieces>);

impl From<Pieces> for Whole {
    fn from(pieces: Pieces) -> Self {
        Self((pieces.len() > 0).then_some(pieces))
    }
}

impl Outgoing for Whole {
    fn pieces(&self) -> Pieces {
        self.0.clone().unwrap_or_default()
    }
}

impl Body for Whole {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        Poll::Ready(self.0.take().map(|pieces| Ok(Frame::data(pieces))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |pieces| pieces.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[&'static str]) -> Pieces {
        Pieces::new(parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect::<Vec<_>>())
    }

    #[test]
    fn reads_across_pieces_in_any_step() {
        for step in 1..12 {
            let whole = pieces(&["", "llo", " ", "world"]).behind(Bytes::from_static(b"he"));
            let (mut left, mut read) = (whole.clone(), Vec::new());
            while left.has_remaining() {
                let now = step.min(left.chunk().len());
                read.extend_from_slice(&left.chunk()[..now]);
                left.advance(now);
            }
            assert_eq!((&*read, whole.len()), (&b"hello world"[..], 11), "in steps of {step}");
        }
    }

    #[test]
    fn advancing_over_several_pieces_leaves_the_rest() {
        let mut left = pieces(&["he", "llo", " world"]);
        left.advance(7);
        assert_eq!(left.chunk(), b"orld");
        assert_eq!(left.remaining(), 4);
        assert_eq!(left.behind(Bytes::from_static(b"w")).copy_to_bytes(5), "world");
    }

    #[test]
    fn offers_all_pieces_to_one_write() {
        let whole = pieces(&["he", "llo", " world"]).behind(Bytes::from_static(b"5:"));
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(whole.chunks_vectored(&mut slices), 4);
        assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), whole.len());
    }

    #[test]
    fn nothing_is_no_frame() {
        assert!(Whole::from(pieces(&[""])).is_end_stream());
    }
}
