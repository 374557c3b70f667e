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

/// The next rings, soonest first. Nearly every alarm is set for now, or for one quiet time from now, later than all
/// such before: those stand in two queues, and only the others need a heap.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    at_once: VecDeque<(Time, Ticket)>,
    queue: VecDeque<(Time, Ticket)>,
    heap: BinaryHeap<Reverse<(Time, Ticket)>>,
}

impl Alarms {
    pub fn set(&mut self, now: Time, at: Time, ticket: Ticket) {
        let follows = |queue: &VecDeque<(Time, _)>| queue.back().is_none_or(|(last, _)| *last <= at);
        if at <= now && follows(&self.at_once) {
            self.at_once.push_back((at, ticket));
        } else if at.since(now) <= SOON && follows(&self.queue) {
            self.queue.push_back((at, ticket));
        } else {
            self.heap.push(Reverse((at, ticket)));
        }
    }

    /// The next alarm due by `now`.
    pub fn due(&mut self, now: Time) -> Option<(Time, Ticket)> {
        let next = self.next().filter(|next| *next <= now)?;
        for queue in [&mut self.at_once, &mut self.queue] {
            if queue.front().is_some_and(|(at, _)| *at == next) {
                return queue.pop_front();
            }
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    /// Alarms due by `now` that stand in the queues: nearly all there are.
    pub fn upcoming(&self, now: Time) -> impl Iterator<Item = Ticket> {
        let due = move |(at, _): &&(Time, Ticket)| *at <= now;
        let queued = self.at_once.iter().take_while(due).chain(self.queue.iter().take_while(due));
        queued.map(|(_, ticket)| *ticket)
    }

    pub fn next(&self) -> Option<Time> {
        let queued = [self.at_once.front(), self.queue.front()].into_iter().flatten().map(|(at, _)| *at);
        let others = self.heap.peek().map(|Reverse((at, _))| *at);
        queued.chain(others).min()
    }

    /// Clears out alarms that `counts` does not know, once they are most of all.
    pub fn tidy(&mut self, open: usize, counts: impl Fn(Time, Ticket) -> bool) {
        if self.at_once.len() + self.queue.len() + self.heap.len() > CLEAR_MIN + 4 * open {
            self.at_once.retain(|(at, ticket)| counts(*at, *ticket));
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
        // One far off among near ones, one set sooner than those before it, and two that are to ring at once.
        for at in [50, 60, 6_000, 60, 55, 0, 70, 0] {
            alarms.set(Time::from_millis(0), Time::from_millis(at), ticket);
        }
        assert_eq!(alarms.upcoming(Time::from_millis(0)).count(), 2);
        let at_once: Vec<_> = std::iter::from_fn(|| alarms.due(Time::from_millis(0))).collect();
        assert_eq!(at_once, [(Time(0), ticket); 2]);
        assert_eq!(alarms.due(Time::from_millis(49)), None);
        let rung: Vec<_> = std::iter::from_fn(|| alarms.due(Time::from_millis(9_000))).collect();
        assert_eq!(
            rung.iter().map(|(at, _)| at.0 / 1_000_000).collect::<Vec<_>>(),
            [50, 55, 60, 60, 70, 6_000]
        );
        assert_eq!(alarms.next(), None);
    }
}
