//! Bytes in pieces: what is small is copied into shared chunks, what is large stays a slice.

use bytes::{Bytes, BytesMut};

/// At or above this size a slice is kept as it is; below, copying is cheaper than one more piece.
const KEEP_SLICE_MIN: usize = 16 * 1024;
/// Small pieces gather in chunks of this size.
const CHUNK: usize = 64 * 1024;

/// A sequence of byte pieces with a known total length.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Rope {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends by copying.
    pub fn put(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends both by copying, side by side.
    pub fn put_both(&mut self, first: &[u8], second: &[u8]) {
        self.make_room(first.len() + second.len());
        self.tail.extend_from_slice(first);
        self.tail.extend_from_slice(second);
        self.len += first.len() + second.len();
    }

    fn make_room(&mut self, bytes: usize) {
        if self.tail.len() + bytes > self.tail.capacity() {
            self.seal();
            // Doubling from small, so that a batch of one span does not hold a whole chunk.
            self.tail.reserve(self.len.clamp(1024, CHUNK).max(bytes));
        }
    }

    /// Appends without copying when the slice is large enough to be worth a piece of its own.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < KEEP_SLICE_MIN {
            return self.put(&bytes);
        }
        self.seal();
        self.len += bytes.len();
        self.pieces.push(bytes);
    }

    /// Appends `part`, a slice of `whole`; shares it when it is large enough.
    pub fn put_part(&mut self, whole: &Bytes, part: &[u8]) {
        if part.len() < KEEP_SLICE_MIN {
            return self.put(part);
        }
        self.put_bytes(whole.slice_ref(part));
    }

    /// Appends another rope, sharing its pieces.
    pub fn append(&mut self, other: Rope) {
        for piece in other.into_pieces() {
            self.put_bytes(piece);
        }
    }

    /// Makes every byte a shared piece, so that clones copy nothing.
    pub fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
    }

    pub fn into_pieces(mut self) -> Vec<Bytes> {
        self.seal();
        self.pieces
    }

    /// One contiguous buffer; free of copies when there is one piece.
    pub fn into_bytes(self) -> Bytes {
        let len = self.len;
        let mut pieces = self.into_pieces();
        if pieces.len() == 1 {
            return pieces.swap_remove(0);
        }
        let mut whole = BytesMut::with_capacity(len);
        pieces.iter().for_each(|p| whole.extend_from_slice(p));
        whole.freeze()
    }
}
