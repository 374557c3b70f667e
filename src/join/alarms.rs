//! When to look at which trace again.
//!
//! Every open trace has one alarm that counts. An arrival does not move it: when it rings too early
//! the trace is asked, says when it wants to be asked again, and the alarm is set anew. So a span
//! costs nothing here, and a trace a handful of heap operations in its life.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::table::Ticket;
use crate::model::Time;

/// Alarms that no longer count are cleared out above this many, when most are such.
const CLEAR_MIN: usize = 1024;
/// What rings later must not stand at the queue's end: all that follow would be sooner.
const SOON: Duration = Duration::from_millis(250);

/// The next rings, soonest first. Nearly every alarm is set for one quiet time from now, later than all
/// such before: those stand in a queue, and only the others need a heap.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    queue: VecDeque<(Time, Ticket)>,
    heap: BinaryHeap<Reverse<(Time, Ticket)>>,
}

impl Alarms {
    pub fn set(&mut self, now: Time, at: Time, ticket: Ticket) {
        let follows = self.queue.back().is_none_or(|(last, _)| *last <= at);
        if follows && at.since(now) <= SOON {
            self.queue.push_back((at, ticket));
        } else {
            self.heap.push(Reverse((at, ticket)));
        }
    }

    /// The next alarm due by `now`.
    pub fn due(&mut self, now: Time) -> Option<(Time, Ticket)> {
        let next = self.next().filter(|next| *next <= now)?;
        match self.queue.front() {
            Some((at, _)) if *at == next => self.queue.pop_front(),
            _ => self.heap.pop().map(|Reverse(alarm)| alarm),
        }
    }

    /// Alarms due by `now` that stand in the queue, soonest first: nearly all there are.
    pub fn upcoming(&self, now: Time) -> impl Iterator<Item = Ticket> {
        self.queue.iter().take_while(move |(at, _)| *at <= now).map(|(_, ticket)| *ticket)
    }

    pub fn next(&self) -> Option<Time> {
        let queued = self.queue.front().map(|(at, _)| *at);
        let others = self.heap.peek().map(|Reverse((at, _))| *at);
        queued.into_iter().chain(others).min()
    }

    /// Clears out alarms that `counts` does not know, once they are most of all.
    pub fn tidy(&mut self, open: usize, counts: impl Fn(Time, Ticket) -> bool) {
        if self.queue.len() + self.heap.len() > CLEAR_MIN + 4 * open {
            self.queue.retain(|(at, ticket)| counts(*at, *ticket));
            self.heap.retain(|Reverse((at, ticket))| counts(*at, *ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::table::Table;

    #[test]
    fn alarms_ring_soonest_first_in_whatever_order_they_were_set() {
        let ticket = Table::new(ahash::RandomState::new()).ticket(0);
        let mut alarms = Alarms::default();
        // One far off among near ones, and one set sooner than those before it.
        for at in [50, 60, 6_000, 60, 55, 70] {
            alarms.set(Time::from_millis(0), Time::from_millis(at), ticket);
        }
        assert_eq!(alarms.due(Time::from_millis(49)), None);
        let rung: Vec<_> = std::iter::from_fn(|| alarms.due(Time::from_millis(9_000))).collect();
        assert_eq!(
            rung.iter().map(|(at, _)| at.0 / 1_000_000).collect::<Vec<_>>(),
            [50, 55, 60, 60, 70, 6_000]
        );
        assert_eq!(alarms.next(), None);
    }
}
