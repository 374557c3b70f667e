//! Bytes in pieces: what is small is copied into shared chunks, what is large stays a slice.
//!
//! Small parts that follow each other in one buffer are one large part. Whether more will follow is known only later, so
//! the last of them wait as a [`Run`], neither copied nor shared. Some runs wait side by side: where the spans of a trace
//! came in several requests, each of these goes on with the next trace.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::index::Range;

/// At or above this size a slice is kept as it is; below, copying is cheaper than one more piece.
const KEEP_SLICE_MIN: usize = 16 * 1024;
/// The same of a part of an item that is itself a slice, and of what another rope has laid down: it is held anyway.
pub const KEEP_PART_MIN: usize = 4 * 1024;
/// Small pieces gather in chunks of this size.
const CHUNK: usize = 64 * 1024;
/// A run is shared only if it is at least this part of its buffer, so that what is kept stays in proportion to what
/// is counted.
const RUN_SHARE: usize = 4;
/// Runs that wait for more, at most,
const RUNS_MAX: usize = 8;
/// and what their buffers measure: all of them are kept meanwhile, and nobody pays for that.
const RUN_WHOLE_MAX: usize = 256 * 1024;

/// After so many runs of one part that were copied, the next part is copied at once, unless it follows on one of the
/// last: where nothing lies side by side, waiting for more of it costs more than the copy.
const ALONE: u8 = 8;
/// So many of the last ones.
const ENDED: usize = 4;

/// A sequence of byte pieces with a known total length.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    /// Come behind the tail, one behind the other.
    runs: Vec<Run>,
    /// What their buffers measure.
    kept: usize,
    /// Which of them the last part was added to.
    last: usize,
    /// Runs of one part, lately, that were copied.
    alone: u8,
    /// Where the last parts ended that were copied at once. Addresses are only compared: where another buffer lies there
    /// by now, a part waits for one that follows, as any may.
    ended: [usize; ENDED],
    len: usize,
}

/// What lies side by side in one buffer.
#[derive(Clone, Debug)]
struct Run {
    whole: Bytes,
    from: usize,
    to: usize,
    parts: u32,
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
        self.settle();
        self.copy(bytes);
        self.len += bytes.len();
    }

    /// Appends both by copying, side by side.
    pub fn put_both(&mut self, first: &[u8], second: &[u8]) {
        self.settle();
        self.make_room(first.len() + second.len());
        self.tail.extend_from_slice(first);
        self.tail.extend_from_slice(second);
        self.len += first.len() + second.len();
    }

    /// Appends `lead` and the part of `whole` at `at`, which begins behind a `lead` of its own whenever there is just
    /// room for one behind the part before it: so do the items of a message. Parts in a row are copied or shared
    /// together, and so come before others that were put between them. Rows that are not at their end keep their
    /// buffers, of a quarter of a mebibyte at most, until [`Rope::settle`].
    pub fn put_next(&mut self, whole: &Bytes, at: Range, lead: &[u8]) {
        let (from, to) = (at.at as usize, at.at as usize + at.len as usize);
        self.len += lead.len() + to - from;
        let buffer = whole.as_ptr() as usize;
        if let Some(begins) = from.checked_sub(lead.len()) {
            if let Some(nth) = self.run_to(buffer, begins) {
                let run = &mut self.runs[nth];
                run.to = to;
                run.parts += 1;
                self.last = nth;
                return;
            }
            let is_small = to - from < KEEP_SLICE_MIN;
            let is_alone = is_small && self.alone >= ALONE && !self.ended.contains(&(buffer + begins));
            if !is_alone && whole.get(begins..).is_some_and(|bytes| bytes.starts_with(lead)) {
                return self.wait(Run { whole: whole.clone(), from: begins, to, parts: 1 });
            }
        }
        self.settle();
        self.ended.copy_within(1.., 0);
        self.ended[ENDED - 1] = buffer + to;
        self.copy(lead);
        self.copy(at.of(whole));
    }

    /// The run that has come so far in this buffer: mostly the one of the last part, or the one behind that.
    fn run_to(&self, buffer: usize, to: usize) -> Option<usize> {
        let is_it = |run: &Run| run.to == to && run.whole.as_ptr() as usize == buffer;
        let mut likely = [self.last, self.last + 1].into_iter();
        let found = likely.find(|&nth| self.runs.get(nth).is_some_and(is_it));
        found.or_else(|| self.runs.iter().position(is_it))
    }

    fn wait(&mut self, run: Run) {
        self.kept += run.whole.len();
        self.runs.push(run);
        while self.runs.len() > RUNS_MAX || self.kept > RUN_WHOLE_MAX {
            let first = self.runs.remove(0);
            self.kept -= first.whole.len();
            self.lay(first);
        }
        self.last = self.runs.len().saturating_sub(1);
    }

    /// Waits no longer for more of a row.
    pub fn settle(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let mut runs = std::mem::take(&mut self.runs);
        runs.drain(..).for_each(|run| self.lay(run));
        (self.runs, self.kept) = (runs, 0);
    }

    fn lay(&mut self, Run { whole, from, to, parts }: Run) {
        let Some(bytes) = whole.get(from..to) else { return };
        self.alone = if parts == 1 { self.alone.saturating_add(1) } else { 0 };
        if bytes.len() < KEEP_SLICE_MIN || bytes.len() < whole.len() / RUN_SHARE {
            return self.copy(bytes);
        }
        self.seal_tail();
        self.pieces.push(whole.slice_ref(bytes));
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.tail.extend_from_slice(bytes);
    }

    fn make_room(&mut self, bytes: usize) {
        if self.tail.len() + bytes > self.tail.capacity() {
            self.seal_tail();
            // Doubling from small, so that a batch of one span does not hold a whole chunk.
            self.tail.reserve(self.len.clamp(1024, CHUNK).max(bytes));
        }
    }

    /// Appends without copying when the slice is large enough to be worth a piece of its own.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        self.put_or_keep(bytes, KEEP_SLICE_MIN);
    }

    fn put_or_keep(&mut self, bytes: Bytes, keep_min: usize) {
        if bytes.len() < keep_min {
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

    /// Appends a part of an item that is a slice of `whole`; shares it when it is of some size.
    pub fn put_part_of_item(&mut self, whole: &Bytes, part: &[u8]) {
        if part.len() < KEEP_PART_MIN {
            return self.put(part);
        }
        self.put_or_keep(whole.slice_ref(part), KEEP_PART_MIN);
    }

    /// Appends another rope, sharing its pieces. Only the outer ones may be small and have small neighbours here:
    /// between two others a piece stays one.
    pub fn append(&mut self, other: Rope) {
        let mut pieces = other.into_pieces().into_iter();
        let (first, last) = (pieces.next(), pieces.next_back());
        first.into_iter().for_each(|piece| self.put_or_keep(piece, KEEP_PART_MIN));
        if !pieces.as_slice().is_empty() {
            self.seal();
            self.len += pieces.as_slice().iter().map(Bytes::len).sum::<usize>();
            self.pieces.extend(pieces);
        }
        last.into_iter().for_each(|piece| self.put_or_keep(piece, KEEP_PART_MIN));
    }

    /// Makes every byte a piece.
    fn seal(&mut self) {
        self.settle();
        self.seal_tail();
    }

    fn seal_tail(&mut self) {
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
        joined(&self.into_pieces())
    }
}

/// A rope that nothing is added to any more. Clones share all its pieces at once, so each of them is counted but once,
/// however many send them however often.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    pieces: Arc<[Bytes]>,
    len: usize,
}

impl Sealed {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, in order; none is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// One contiguous buffer; free of copies when there is one piece.
    pub fn to_bytes(&self) -> Bytes {
        joined(&self.pieces)
    }
}

impl From<Rope> for Sealed {
    fn from(rope: Rope) -> Self {
        rope.into_pieces().into()
    }
}

impl From<Vec<Bytes>> for Sealed {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self { len: pieces.iter().map(Bytes::len).sum(), pieces: pieces.into() }
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of this length, each behind its tag and length.
    fn items(len: usize, count: usize) -> Bytes {
        let item: Vec<_> = [0x12, len as u8].into_iter().chain((0..len).map(|at| at as u8)).collect();
        item.repeat(count).into()
    }

    /// Puts items of a buffer of so many, in this order; what comes out in how many pieces.
    fn check(count: usize, order: impl IntoIterator<Item = usize>, pieces: usize) {
        let (whole, mut rope, mut expect) = (items(100, count), Rope::default(), Vec::new());
        for nth in order {
            let at = Range { at: nth as u32 * 102 + 2, len: 100 };
            rope.put_next(&whole, at, &[0x12, 100]);
            expect.extend_from_slice(&whole[nth * 102..][..102]);
        }
        assert_eq!(rope.len(), expect.len());
        let made = rope.into_pieces();
        assert_eq!((made.len(), made.concat()), (pieces, expect));
    }

    #[test]
    fn items_in_a_row_are_one_piece_and_others_are_copied() {
        check(400, 0..400, 1);
        check(400, 100..400, 1);
        check(4, [3, 1, 2], 1);
        // Copied, shared, copied.
        check(400, [5].into_iter().chain(10..300).chain([2]), 3);
        // Many that lie alone, in two chunks, and then a row, whose first is taken for one more of them.
        check(400, (0..20).rev().chain(50..300).chain([350]), 4);
    }

    #[test]
    fn rows_that_take_turns_are_one_piece_each_and_in_the_order_they_began() {
        let requests = [(); 4].map(|()| items(100, 250));
        let mut rope = Rope::default();
        for nth in 0..250 {
            let at = Range { at: nth * 102 + 2, len: 100 };
            requests.iter().for_each(|request| rope.put_next(request, at, &[0x12, 100]));
        }
        assert_eq!(rope.into_pieces(), requests);
    }

    #[test]
    fn of_rows_that_take_turns_few_wait_and_none_is_lost() {
        let requests: Vec<_> = (0..=RUNS_MAX).map(|_| items(100, 8)).collect();
        let mut rope = Rope::default();
        for nth in 0..8 {
            let at = Range { at: nth * 102 + 2, len: 100 };
            requests.iter().for_each(|request| rope.put_next(request, at, &[0x12, 100]));
        }
        let waiting = requests.iter().filter(|request| !request.is_unique()).count();
        assert!(waiting <= RUNS_MAX, "{waiting} wait");
        let all = rope.len();
        assert_eq!((all, rope.into_bytes()), (9 * 8 * 102, items(100, 9 * 8)));
    }

    #[test]
    fn parts_of_items_are_shared_where_they_are_of_some_size() {
        let whole = Bytes::from(vec![7; KEEP_SLICE_MIN]);
        let (mut inner, mut rope) = (Rope::default(), Rope::default());
        for len in [10, KEEP_PART_MIN, KEEP_PART_MIN - 1] {
            inner.put(b"lead");
            inner.put_part_of_item(&whole, &whole[..len]);
        }
        rope.put(b"head");
        rope.append(inner);
        let pieces = rope.into_pieces();
        let shared = |piece: &&Bytes| whole.as_ptr_range().contains(&piece.as_ptr());
        assert_eq!(pieces.iter().filter(shared).count(), 1);
        assert_eq!(pieces.concat().len(), 4 + 3 * 4 + 10 + 2 * KEEP_PART_MIN - 1);
    }

    #[test]
    fn only_the_outer_pieces_of_another_rope_are_copied() {
        let whole = Bytes::from(vec![7; 2 * KEEP_PART_MIN]);
        let (mut inner, mut rope) = (Rope::default(), Rope::default());
        inner.put(b"lead");
        for part in whole.chunks(KEEP_PART_MIN) {
            inner.put_part_of_item(&whole, part);
            inner.put(b"tail");
        }
        inner.seal();
        let between = inner.pieces[2].as_ptr();
        rope.put(b"head");
        rope.append(inner);
        rope.put(b"end");
        let (len, pieces) = (rope.len(), rope.into_pieces());
        let lens: Vec<_> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(lens, [8, KEEP_PART_MIN, 4, KEEP_PART_MIN, 7]);
        assert_eq!((len, pieces[2].as_ptr()), (lens.iter().sum(), between));
        assert!(pieces[0] == "headlead" && pieces[4] == "tailend");
    }

    #[test]
    fn a_run_that_waits_keeps_no_large_buffer() {
        let put_one = |count| {
            let (whole, mut rope) = (items(100, count), Rope::default());
            rope.put_next(&whole, Range { at: 2, len: 100 }, &[0x12, 100]);
            (whole.is_unique(), rope.into_pieces().concat().len())
        };
        assert_eq!(
            (put_one(RUN_WHOLE_MAX / 102), put_one(RUN_WHOLE_MAX / 102 + 1)),
            ((false, 102), (true, 102))
        );
    }

    #[test]
    fn a_small_run_of_a_large_buffer_does_not_keep_it() {
        let (whole, mut rope) = (items(100, 4_000), Rope::default());
        (0..300).for_each(|nth| rope.put_next(&whole, Range { at: nth * 102 + 2, len: 100 }, &[0x12, 100]));
        assert_eq!(rope.len(), 300 * 102);
        let kept = whole.as_ptr_range();
        assert!(rope.into_pieces().iter().all(|piece| !kept.contains(&piece.as_ptr())));
    }

    #[test]
    fn what_is_sealed_is_what_was_laid_down_and_clones_share_it() {
        let mut rope = Rope::default();
        rope.put(b"head");
        rope.put_bytes(vec![7; KEEP_SLICE_MIN].into());
        let sealed = Sealed::from(rope);
        assert_eq!((sealed.pieces().len(), sealed.len()), (2, 4 + KEEP_SLICE_MIN));
        assert_eq!(sealed.to_bytes(), [&b"head"[..], &[7; KEEP_SLICE_MIN]].concat());
        assert_eq!(sealed.clone().pieces().as_ptr(), sealed.pieces().as_ptr());
        let whole = Bytes::from_static(b"whole");
        assert_eq!(Sealed::from(vec![whole.clone(), Bytes::new()]).to_bytes().as_ptr(), whole.as_ptr());
        assert!(Sealed::from(Rope::default()).is_empty());
    }

    #[test]
    fn an_item_with_another_prefix_than_ours_is_copied_behind_ours() {
        let (whole, mut rope) = (Bytes::from_static(b"\x12\x82\x00ab\x12\x02cd"), Rope::default());
        rope.put_next(&whole, Range { at: 3, len: 2 }, &[0x12, 2]);
        rope.put_next(&whole, Range { at: 7, len: 2 }, &[0x12, 2]);
        rope.put(b"e");
        assert_eq!(rope.into_bytes(), &b"\x12\x02ab\x12\x02cde"[..]);
    }
}
