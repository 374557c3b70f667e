//! Lanes: workers behind bounded lock-free queues. A trace always lands in the same lane.

use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};
use thiserror::Error;

use super::inbox::{Inbox, Inlet, inbox};
use super::{Admitted, pace};
use crate::join::HeldTrace;
use crate::wire::{Index, Signal, TraceId};

/// The lane the request needs is full, or gone: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the queue is full")]
pub struct Busy;

/// More than there are threads that offer.
const OFFERS_AT_ONCE: usize = 64;
/// Requests waiting for a lane above which it is behind: some milliseconds' work, and twice what wakes it.
const BEHIND: usize = 2 * pace::MANY;

/// What a lane is asked to do.
#[derive(Debug)]
pub enum Work {
    Take(Arc<Admitted>),
    /// Take what belongs to spans of yours; the rest is another lane's.
    Note(Arc<Admitted>),
    /// Say what you hold, at most this many traces.
    Show(usize, Sender<Vec<HeldTrace>>),
    /// Let go of everything and end.
    Drain,
}

/// The sending side of all lanes.
#[derive(Clone, Debug)]
pub struct Lanes {
    inlets: Arc<[Inlet]>,
}

impl Lanes {
    /// `count` lanes with room for `depth` requests each, and what they take them from.
    pub fn new(count: usize, depth: usize) -> (Self, Vec<Inbox>) {
        let (inlets, inboxes) = (0..count.max(1)).map(|_| inbox(depth)).unzip::<_, _, Vec<_>, Vec<_>>();
        (Self { inlets: inlets.into() }, inboxes)
    }

    /// The lane that owns a trace. The low half of a trace id is the random one (W3C Trace Context
    /// level 2, "random-trace-id").
    pub fn of(trace: TraceId, lanes: usize) -> usize {
        let low = u64::from_be_bytes(trace.0[8..].try_into().unwrap_or_default());
        usize::try_from(low % lanes.max(1) as u64).unwrap_or(0)
    }

    /// Offers a request to every lane that owns one of its traces; never blocks. Logs go to one lane, and
    /// what of them belongs to spans to the lanes of those.
    ///
    /// # Errors
    /// [`Busy`] when one of them is full. Lanes that had taken it keep it: the caller will send it
    /// again, and the join collapses what came twice.
    pub fn offer(&self, request: Admitted) -> Result<(), Busy> {
        let lanes = self.inlets.len();
        let paid = &request.reservation;
        let size = (request.body.len(), pace::is_large(paid.bytes(), paid.budget().limit(), lanes));
        let request = Arc::new(request);
        if lanes == 1 {
            return self.give(0, Work::Take(request), size);
        }
        let Index { spans, notes, .. } = &request.index;
        if request.signal == Signal::Traces && !spans.is_empty() {
            let wanted = self.owners(spans.iter().map(|span| span.trace));
            return self.give_all(&wanted, |_| Work::Take(request.clone()), size);
        }
        // Nothing to keep together: spread by the clock.
        let any = usize::try_from(request.offered.0 % lanes as u64).unwrap_or(0);
        if notes.is_empty() {
            return self.give(any, Work::Take(request), size);
        }
        let mut wanted = self.owners(notes.iter().map(|note| note.trace));
        wanted[any] = true;
        let work = |lane| match lane == any {
            true => Work::Take(request.clone()),
            false => Work::Note(request.clone()),
        };
        self.give_all(&wanted, work, size)
    }

    /// By lane, whether it owns one of these traces.
    fn owners(&self, traces: impl Iterator<Item = TraceId>) -> Vec<bool> {
        let lanes = self.inlets.len();
        let mut wanted = vec![false; lanes];
        traces.for_each(|trace| wanted[Self::of(trace, lanes)] = true);
        wanted
    }

    /// Gives to all lanes that are wanted, or, if one of them is nearly full, to none.
    fn give_all(
        &self,
        wanted: &[bool],
        work: impl Fn(usize) -> Work,
        size: (usize, bool),
    ) -> Result<(), Busy> {
        let mut wanted = (0..wanted.len()).filter(|&lane| wanted[lane]);
        if wanted.clone().any(|lane| self.is_nearly_full(lane)) {
            return Err(Busy);
        }
        wanted.try_for_each(|lane| self.give(lane, work(lane), size))
    }

    /// Every lane is full: whatever comes now will be refused, so it need not be read.
    pub fn is_full(&self) -> bool {
        self.inlets.iter().all(Inlet::is_full)
    }

    /// More wait than the lanes will have done in a moment.
    pub fn are_behind(&self) -> bool {
        self.len() >= BEHIND * self.inlets.len()
    }

    /// Looks at every lane before giving to any, with room for the offers other threads make meanwhile.
    fn is_nearly_full(&self, lane: usize) -> bool {
        self.inlets[lane].room() <= OFFERS_AT_ONCE
    }

    /// What has so many bytes, and whether that is too large to wait unseen.
    fn give(&self, lane: usize, work: Work, (bytes, large): (usize, bool)) -> Result<(), Busy> {
        self.inlets[lane].offer(work, bytes, large)
    }

    /// Asks every lane what it holds; blocks until all have answered, so never call it on a lane or
    /// an async worker. A lane that is gone or full says nothing.
    pub fn held(&self, limit: usize) -> Vec<HeldTrace> {
        let (reply, answers) = bounded(self.inlets.len());
        self.inlets.iter().for_each(|lane| {
            let _ = lane.offer(Work::Show(limit, reply.clone()), 0, true);
        });
        drop(reply);
        answers.iter().flatten().take(limit).collect()
    }

    /// Tells every lane to let go and end, after what it was given before. Blocks while one is full.
    pub fn drain(&self) {
        self.inlets.iter().for_each(|lane| lane.end_with(Work::Drain));
    }

    /// Requests waiting in all lanes.
    pub fn len(&self) -> usize {
        self.inlets.iter().map(Inlet::waiting).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Time};
    use crate::queue::Budget;
    use crate::wire::index::NoteEntry;
    use crate::wire::{Rope, SpanId};

    fn request(signal: Signal, offered: u64) -> Admitted {
        let body = Rope::default().into_bytes();
        let reservation = Budget::new(0).reserve(0);
        let (origin, index) = (Origin::anonymous(), Index::default());
        Admitted { signal, origin, body, index, offered: Time(offered), reservation }
    }

    #[test]
    fn a_full_lane_says_so_at_once() {
        let (lanes, _queues) = Lanes::new(1, 1);
        assert_eq!(lanes.offer(request(Signal::Logs, 0)), Ok(()));
        assert!(lanes.is_full(), "known before the next request is read");
        assert_eq!(lanes.offer(request(Signal::Logs, 0)), Err(Busy));
        assert_eq!(lanes.len(), 1);
    }

    #[test]
    fn lanes_are_behind_long_before_they_are_full() {
        let (lanes, _queues) = Lanes::new(1, 4 * BEHIND);
        (0..BEHIND as u64).for_each(|n| {
            assert!(!lanes.are_behind());
            lanes.offer(request(Signal::Logs, n)).unwrap();
        });
        assert!(lanes.are_behind() && !lanes.is_full());
    }

    #[test]
    fn a_lane_that_is_gone_is_busy() {
        let (lanes, queues) = Lanes::new(1, 1);
        drop(queues);
        assert_eq!(lanes.offer(request(Signal::Logs, 0)), Err(Busy));
    }

    #[test]
    fn what_has_no_trace_is_spread_over_the_lanes() {
        let (lanes, queues) = Lanes::new(2, 8);
        (0..4).for_each(|n| lanes.offer(request(Signal::Metrics, n)).unwrap());
        let waiting = |queue: &Inbox| std::iter::from_fn(|| queue.take().ok()).count();
        assert_eq!(queues.iter().map(waiting).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn what_belongs_to_spans_goes_to_their_lanes_too_and_is_passed_on_by_one() {
        let (lanes, queues) = Lanes::new(3, 100);
        let mut logs = request(Signal::Logs, 0);
        let note = |low| {
            let trace = TraceId([&[7; 8][..], &u64::to_be_bytes(low)].concat().try_into().unwrap());
            NoteEntry { trace, span: SpanId([1; 8]), body: Default::default() }
        };
        logs.index.notes = [3, 4, 7].map(note).to_vec();
        lanes.offer(logs).unwrap();
        let did = |queue: &Inbox| {
            std::iter::from_fn(|| queue.take().ok()).map(|work| matches!(work, Work::Take(_))).collect()
        };
        let given: Vec<Vec<bool>> = queues.iter().map(did).collect();
        assert_eq!(given, [vec![true], vec![false], vec![]], "traces 4 and 7 are those of lane 1");
    }

    #[test]
    fn a_trace_always_lands_in_the_same_lane() {
        let mut id = [7; 16];
        for low in 0..=255 {
            id[15] = low;
            let lane = Lanes::of(TraceId(id), 3);
            assert!(lane < 3);
            assert_eq!(lane, Lanes::of(TraceId(id), 3));
        }
    }
}
