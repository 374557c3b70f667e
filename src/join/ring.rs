//! A queue in chunks of equal size, for what is remembered in order and forgotten in order.
//!
//! A queue in one buffer doubles by being copied: for a moment there is three times as much as is held, and
//! all of it is memory that the kernel has to find and clear, which costs more than using it. Here nothing
//! is ever copied, and what is no longer needed goes back chunk by chunk.

use std::collections::VecDeque;
use std::vec::IntoIter;

/// Items in a chunk.
const CHUNK: usize = 128;

/// What is pushed goes into the last chunk; what is popped comes out of a chunk that is taken apart, after which
/// follow full ones and the last.
#[derive(Debug)]
pub(super) struct Ring<T> {
    first: IntoIter<T>,
    chunks: VecDeque<Vec<T>>,
    len: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { first: IntoIter::default(), chunks: VecDeque::new(), len: 0 }
    }
}

impl<T> Ring<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes it takes once `more` items were pushed.
    pub fn bytes_with(&self, more: usize) -> usize {
        let room = self.chunks.back().map_or(0, |last| CHUNK - last.len());
        let first = usize::from(self.first.len() > 0);
        let further = more.saturating_sub(room).div_ceil(CHUNK);
        (first + self.chunks.len() + further) * CHUNK * size_of::<T>()
    }

    pub fn push(&mut self, item: T) {
        self.len += 1;
        self.roomy().push(item);
    }

    /// Pushes all of them.
    pub fn extend(&mut self, mut items: impl ExactSizeIterator<Item = T>) {
        while items.len() > 0 {
            let last = self.roomy();
            let some = items.len().min(CHUNK - last.len());
            last.extend(items.by_ref().take(some));
            self.len += some;
        }
    }

    /// The last chunk, with room for at least one more.
    fn roomy(&mut self) -> &mut Vec<T> {
        if self.chunks.back().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        let last = self.chunks.len() - 1;
        &mut self.chunks[last]
    }

    pub fn first(&self) -> Option<&T> {
        self.first.as_slice().first().or_else(|| self.chunks.front()?.first())
    }

    pub fn last_mut(&mut self) -> Option<&mut T> {
        match self.chunks.back_mut() {
            Some(last) => last.last_mut(),
            None => self.first.as_mut_slice().last_mut(),
        }
    }

    pub fn pop(&mut self) -> Option<T> {
        self.begin_next();
        let item = self.first.next()?;
        self.len -= 1;
        self.give_back();
        Some(item)
    }

    /// Pops so many, or all there are.
    pub fn drop_first(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            self.begin_next();
            let some = left.min(self.first.len());
            self.first.by_ref().take(some).for_each(drop);
            left -= some;
            self.give_back();
        }
    }

    /// Takes the next chunk apart, if the one before is used up.
    fn begin_next(&mut self) {
        if self.first.len() == 0
            && let Some(next) = self.chunks.pop_front()
        {
            self.first = next.into_iter();
        }
    }

    /// What was used up goes back to the allocator.
    fn give_back(&mut self) {
        if self.first.len() == 0 {
            self.first = IntoIter::default();
        }
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(self.first.len()) {
            None => self.first.as_slice().get(at),
            Some(behind) => self.chunks.get(behind / CHUNK)?.get(behind % CHUNK),
        }
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match at.checked_sub(self.first.len()) {
            None => self.first.as_mut_slice().get_mut(at),
            Some(behind) => self.chunks.get_mut(behind / CHUNK)?.get_mut(behind % CHUNK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_is_found_by_its_place() {
        let (mut ring, mut plain) = (Ring::default(), VecDeque::new());
        for round in 0..10 * CHUNK {
            // Grows, and shrinks again.
            let pushes = if round < 6 * CHUNK { 2 } else { 0 };
            for nth in 0..pushes {
                ring.push(round * 2 + nth);
                plain.push_back(round * 2 + nth);
            }
            if round % 100 == 0 {
                let some = plain.len() / 3;
                ring.drop_first(some);
                plain.drain(..some);
            }
            assert_eq!(ring.pop(), plain.pop_front());
            assert_eq!((ring.len(), ring.first()), (plain.len(), plain.front()));
            for at in [0, 1, CHUNK - 1, CHUNK, plain.len().saturating_sub(1), plain.len()] {
                assert_eq!(ring.get(at), plain.get(at), "{at} of {}", plain.len());
                assert_eq!(ring.get_mut(at), plain.get_mut(at));
            }
        }
    }

    #[test]
    fn many_are_pushed_as_they_would_be_one_by_one() {
        let (mut ring, mut pushed) = (Ring::default(), Ring::default());
        for count in [1, 0, CHUNK - 1, 2, 3 * CHUNK, CHUNK - 2, 5] {
            ring.extend(0..count);
            (0..count).for_each(|n| pushed.push(n));
            assert_eq!((ring.len(), ring.bytes_with(1)), (pushed.len(), pushed.bytes_with(1)));
        }
        while let Some(item) = pushed.pop() {
            assert_eq!(ring.pop(), Some(item));
        }
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn its_bytes_are_known_before_it_grows() {
        let mut ring = Ring::default();
        for count in [1, CHUNK - 1, 1, 3 * CHUNK, 7] {
            let expect = ring.bytes_with(count);
            (0..count).for_each(|n| ring.push(n));
            assert_eq!(ring.bytes_with(0), expect);
        }
        while ring.pop().is_some() {}
        assert_eq!(ring.bytes_with(0), 0);
    }
}
