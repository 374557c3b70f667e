//! A batch on its way in one request or several: what is still to be sent, and when dividing ends.
//!
//! A request refused as invalid is halved, both halves are sent, and so on: with one bad trace among a
//! thousand some twenty calls more, and only the bad one is refused. The price is bounded three ways. A
//! batch costs at most [`CALLS_MAX`] calls more; what is refused then is refused whole. It goes breadth first, and when two levels, half of it and
//! the halves of that, were refused without exception, the upstream does not mind one trace but all of it.
//! And `appetite` remembers that.
//!
//! Pure: it is told how calls ended, and says what comes next.

use std::collections::VecDeque;

use super::appetite::Remedy;
use crate::wire::divide::Part;

/// Calls a batch may cost beyond the first, looking for what is bad in it.
const CALLS_MAX: u32 = 64;
/// The whole, two halves and four quarters: refused all, there is no use in going on.
const HOPELESS: u32 = 7;

/// What is still to be sent of one batch.
#[derive(Debug)]
pub(super) struct Division {
    waiting: VecDeque<Part>,
    calls_left: u32,
    refused: u32,
    taken: u32,
    /// What the batch was divided for first, if it was, and how long it was then.
    why: Option<(Remedy, usize)>,
}

impl Division {
    pub fn of(whole: Part) -> Self {
        Self { waiting: VecDeque::from([whole]), calls_left: CALLS_MAX, refused: 0, taken: 0, why: None }
    }

    /// The next request to send.
    pub fn next(&mut self) -> Option<Part> {
        self.waiting.pop_front()
    }

    /// One was taken.
    pub fn taken(&mut self) {
        self.taken += 1;
    }

    /// One was refused. Whether it may be divided for `remedy`.
    pub fn refused(&mut self, remedy: Option<Remedy>) -> bool {
        self.refused += 1;
        match remedy {
            None => false,
            Some(Remedy::Shrink) => true,
            Some(Remedy::FindTheBad) => self.calls_left >= 2 && !self.is_hopeless(),
        }
    }

    /// Sends `parts` instead of what they were part of, `len` bytes long. Returns whether they are the
    /// batch's first.
    pub fn put(&mut self, remedy: Remedy, len: usize, parts: Vec<Part>) -> bool {
        match remedy {
            Remedy::FindTheBad => {
                self.calls_left = self.calls_left.saturating_sub(2);
                self.waiting.extend(parts);
            }
            Remedy::Shrink => self.put_first(parts),
        }
        let is_first = self.why.is_none();
        self.why.get_or_insert((remedy, len));
        is_first
    }

    /// Sends `parts` next, in order: they were known not to be taken as one.
    pub fn put_first(&mut self, parts: Vec<Part>) {
        parts.into_iter().rev().for_each(|part| self.waiting.push_front(part));
    }

    /// All that is left can be given up: the upstream takes none of it.
    pub fn is_hopeless(&self) -> bool {
        self.taken == 0 && self.refused >= HOPELESS
    }

    /// What the division showed, once nothing waits.
    pub fn lesson(&self) -> Option<Lesson> {
        let (remedy, len) = self.why?;
        match remedy {
            _ if self.taken == 0 && self.refused > 0 => Some(Lesson::TakesNothing),
            // Every part of what was called invalid was taken: some say 400 for a size.
            Remedy::FindTheBad if self.refused == 1 => Some(Lesson::WasTooLarge(len)),
            _ => None,
        }
    }
}

/// What a division taught about an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    TakesNothing,
    WasTooLarge(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A part that stands for `items` items; its body does not matter here.
    fn part(items: u64) -> Part {
        Part { items, ..Part::default() }
    }

    /// Plays an upstream that refuses requests holding one of the `bad` items of `0..items`.
    fn play(items: u64, bad: &[u64]) -> (u64, u64, Division) {
        let mut division = Division::of(part(items));
        // Parts are told apart by where they begin; breadth first keeps them in step with this queue.
        let mut begins = VecDeque::from([0]);
        let (mut calls, mut lost) = (0, 0);
        while let Some(sent) = division.next() {
            let begin = begins.pop_front().unwrap();
            calls += 1;
            if !bad.iter().any(|bad| (begin..begin + sent.items).contains(bad)) {
                division.taken();
                continue;
            }
            let may = division.refused(Some(Remedy::FindTheBad));
            if may && sent.items > 1 {
                let half = sent.items / 2;
                division.put(Remedy::FindTheBad, 0, vec![part(half), part(sent.items - half)]);
                begins.extend([begin, begin + half]);
                continue;
            }
            lost += sent.items;
            if division.is_hopeless() {
                while let Some(rest) = division.next() {
                    lost += rest.items;
                }
            }
        }
        (calls, lost, division)
    }

    #[test]
    fn f17_one_bad_among_a_thousand_is_found_in_twenty_calls() {
        for bad in [0, 500, 999] {
            let (calls, lost, _) = play(1000, &[bad]);
            assert_eq!(lost, 1);
            assert!(calls <= 21, "{calls} calls");
        }
    }

    #[test]
    fn f17_an_upstream_that_refuses_everything_costs_six_calls_more() {
        let all: Vec<u64> = (0..1000).collect();
        let (calls, lost, division) = play(1000, &all);
        assert_eq!((calls, lost), (7, 1000));
        assert_eq!(division.lesson(), Some(Lesson::TakesNothing));
    }

    #[test]
    fn what_was_taken_in_halves_was_too_large() {
        let mut division = Division::of(part(2));
        division.next();
        assert!(division.refused(Some(Remedy::FindTheBad)));
        assert!(division.put(Remedy::FindTheBad, 77, vec![part(1), part(1)]));
        division.taken();
        division.taken();
        assert_eq!(division.lesson(), Some(Lesson::WasTooLarge(77)));
    }

    #[test]
    fn a_batch_taken_whole_teaches_nothing() {
        let mut division = Division::of(part(2));
        division.next();
        division.taken();
        assert_eq!(division.lesson(), None);
    }

    proptest! {
        #[test]
        fn no_upstream_makes_a_batch_cost_more_than_the_bound(
            items in 1u64..5000, bad in proptest::collection::vec(0u64..5000, 0..200),
        ) {
            let bad: Vec<u64> = bad.into_iter().filter(|bad| *bad < items).collect();
            let (calls, lost, _) = play(items, &bad);
            prop_assert!(calls <= 1 + u64::from(CALLS_MAX));
            prop_assert!(lost >= bad.iter().collect::<std::collections::HashSet<_>>().len() as u64);
        }
    }
}
