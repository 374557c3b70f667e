//! When to look at which trace again.
//!
//! Every open trace has one alarm that counts. An arrival does not move it: when it rings too early
//! the trace is asked, says when it wants to be asked again, and the alarm is set anew. So a span
//! costs nothing here, and a trace a handful of heap operations in its life.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::Ticket;
use crate::model::Time;

/// Alarms that no longer count are cleared out above this many, when most are such.
const CLEAR_MIN: usize = 1024;

/// The next rings, soonest first.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(Time, Ticket)>>,
}

impl Alarms {
    pub fn set(&mut self, at: Time, ticket: Ticket) {
        self.heap.push(Reverse((at, ticket)));
    }

    /// The next alarm due by `now`.
    pub fn due(&mut self, now: Time) -> Option<(Time, Ticket)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Clears out alarms that `counts` does not know, once they are most of the heap.
    pub fn tidy(&mut self, open: usize, counts: impl Fn(Time, Ticket) -> bool) {
        if self.heap.len() > CLEAR_MIN + 4 * open {
            self.heap.retain(|Reverse((at, ticket))| counts(*at, *ticket));
        }
    }
}
