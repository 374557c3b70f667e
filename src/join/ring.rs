//! A queue in chunks of equal size, for what is remembered in order and forgotten in order.
//!
//! A queue in one buffer doubles by being copied: for a moment there is three times as much as is held, and
//! all of it is memory that the kernel has to find and clear, which costs more than using it. Here nothing
//! is ever copied, and what is no longer needed goes back chunk by chunk.

use std::collections::VecDeque;

/// Items in a chunk.
const CHUNK: usize = 128;

/// All chunks but the first and the last are full.
#[derive(Debug)]
pub(super) struct Ring<T> {
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0 }
    }
}

impl<T> Ring<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes it takes once `more` items were pushed.
    pub fn bytes_with(&self, more: usize) -> usize {
        let room = self.chunks.back().map_or(0, |last| CHUNK - last.len());
        (self.chunks.len() + more.saturating_sub(room).div_ceil(CHUNK)) * CHUNK * size_of::<T>()
    }

    pub fn push(&mut self, item: T) {
        self.len += 1;
        if let Some(last) = self.chunks.back_mut().filter(|last| last.len() < CHUNK) {
            return last.push_back(item);
        }
        let mut chunk = VecDeque::with_capacity(CHUNK);
        chunk.push_back(item);
        self.chunks.push_back(chunk);
    }

    /// Pushes all of them.
    pub fn extend(&mut self, mut items: impl ExactSizeIterator<Item = T>) {
        while items.len() > 0 {
            let some = match self.chunks.back_mut().filter(|last| last.len() < CHUNK) {
                Some(last) => {
                    let some = items.len().min(CHUNK - last.len());
                    last.extend(items.by_ref().take(some));
                    some
                }
                None => {
                    self.chunks.push_back(VecDeque::with_capacity(CHUNK));
                    0
                }
            };
            self.len += some;
        }
    }

    pub fn first(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.back_mut()?.back_mut()
    }

    pub fn pop(&mut self) -> Option<T> {
        let chunk = self.chunks.front_mut()?;
        let item = chunk.pop_front()?;
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        self.len -= 1;
        Some(item)
    }

    /// Pops so many, or all there are.
    pub fn drop_first(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            let some = left.min(chunk.len());
            chunk.drain(..some);
            left -= some;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        let (chunk, at) = self.place(at)?;
        self.chunks.get(chunk)?.get(at)
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let (chunk, at) = self.place(at)?;
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    /// The chunk an item is in, and where.
    fn place(&self, at: usize) -> Option<(usize, usize)> {
        let first = self.chunks.front()?.len();
        Some(match at.checked_sub(first) {
            None => (0, at),
            Some(behind) => (1 + behind / CHUNK, behind % CHUNK),
        })
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
