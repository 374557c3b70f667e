//! A lane: one thread that takes requests from its queue and carries them through the journey.
//!
//! A panic here would be our bug; it loses what the lane had in hand, which is counted, and the lane
//! begins anew with nothing in hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::journey::Journey;
use super::shelf::{self, Outlet};
use crate::model::{Clock, Time};
use crate::queue::Lanes;
use crate::queue::lanes::Work;
use crate::telemetry::Meters;
use crate::wire::Signal;

/// Longest sleep, so that a lane looks at the budget now and then.
const NAP: Duration = Duration::from_millis(250);
/// How long to wait for a full outbox before trying again.
const FULL_NAP: Duration = Duration::from_millis(5);
/// How long a lane that was just busy lets requests gather. Whoever offers one need not wake it, and what it
/// works on at once it waits for once; of the moment a trace is held it is a hundredth.
const GATHER: Duration = Duration::from_micros(500);
/// Requests taken before looking at what is due, and at what the join holds by then.
const BURST: usize = 64;
/// Items in them: a span of its own trace can take twenty times its bytes in the join.
const BURST_ITEMS: u64 = 8 * 1024;

/// When a lane last came round: proof that the journey moves, whatever the upstreams do.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub fn new(now: Time) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    fn beat(&self, now: Time) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    pub fn last(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

/// What a lane's thread is given.
#[derive(Debug)]
pub struct Lane {
    pub number: usize,
    pub lanes: usize,
    pub work: Receiver<Work>,
    pub clock: Clock,
    pub pulse: Pulse,
    /// Set when the end is near: nothing is waited for any more, and requests are still taken.
    pub eager: Arc<AtomicBool>,
    /// Set when the drain's time is over: what waits is lost.
    pub give_up: Arc<AtomicBool>,
    pub meters: Arc<Meters>,
    /// For counting what a panic loses.
    pub outlets: Vec<Outlet>,
}

/// Whether the thread goes on.
enum Next {
    Go,
    End,
}

impl Lane {
    /// Runs until told to drain. `fresh` makes a journey with nothing in hand.
    pub fn run(self, fresh: impl Fn() -> Journey) {
        let mut journey = fresh();
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.work(&mut journey))) {
                Ok(()) => return,
                Err(_) => {
                    tracing::error!(lane = self.number, "a lane panicked; what it held is lost and counted");
                    self.count_lost(&journey, "lane_panic");
                    // Closed batches are whole and no longer in hand: they still go out.
                    journey = Journey { shelf: journey.shelf, ..fresh() };
                }
            }
        }
    }

    fn work(&self, journey: &mut Journey) {
        loop {
            let now = self.clock.now();
            self.pulse.beat(now);
            if self.eager.load(Ordering::Relaxed) {
                journey.flush(now);
            } else {
                journey.advance(now);
            }
            if let Next::End = self.turn(now, journey) {
                return self.end(journey);
            }
        }
    }

    /// Waits for work, or until something is due, and does a burst of it.
    fn turn(&self, now: Time, journey: &mut Journey) -> Next {
        if journey.shelf.is_full() {
            std::thread::sleep(FULL_NAP);
            return Next::Go;
        }
        let wait = journey.next_due().map_or(NAP, |due| due.since(now).min(NAP));
        let first = match self.work.recv_timeout(wait) {
            Ok(work) => work,
            Err(RecvTimeoutError::Timeout) => return Next::Go,
            Err(RecvTimeoutError::Disconnected) => return Next::End,
        };
        // Taken from the queue one by one: what is taken must be done.
        let mut items = 0;
        for work in std::iter::once(first).chain(self.work.try_iter().take(BURST)) {
            if let Work::Take(request) | Work::Note(request) = &work {
                items += request.index.items;
            }
            if let Next::End = self.step(work, journey) {
                return Next::End;
            }
            if items >= BURST_ITEMS {
                break;
            }
        }
        if self.work.is_empty() {
            std::thread::sleep(GATHER);
        }
        Next::Go
    }

    fn step(&self, work: Work, journey: &mut Journey) -> Next {
        let now = self.clock.now();
        let mine = |trace| self.lanes == 1 || Lanes::of(trace, self.lanes) == self.number;
        match work {
            Work::Take(request) => {
                journey.take(now, &request, mine);
                Next::Go
            }
            Work::Note(request) => {
                journey.note(now, &request, mine);
                Next::Go
            }
            Work::Show(limit, reply) => {
                // Whoever asked may be gone.
                let _ = reply.try_send(journey.show(now, limit));
                Next::Go
            }
            Work::Drain => Next::End,
        }
    }

    /// Lets everything go, waiting for room in the outboxes until told to give up.
    fn end(&self, journey: &mut Journey) {
        for work in self.work.try_iter() {
            self.step(work, journey);
        }
        journey.drain(self.clock.now());
        while journey.shelf.is_full() && !self.give_up.load(Ordering::Acquire) {
            std::thread::sleep(FULL_NAP);
            journey.shelf.retry();
        }
        journey.shelf.give_up();
    }

    fn count_lost(&self, journey: &Journey, reason: &str) {
        for (signal, items) in Signal::ALL.iter().zip(journey.in_hand) {
            for Outlet { name, .. } in shelf::settling(&self.outlets, *signal) {
                self.meters.lost_items.with_label_values(&[signal.name(), name, reason]).inc_by(items);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::super::tests::lane::plain;
    use super::*;
    use crate::model::Origin;
    use crate::queue::{Admitted, Budget, Outbox};
    use crate::wire::{Detail, Limits, Signals, walk};

    /// A request of the spans of one trace for each of these numbers.
    fn request(budget: &Arc<Budget>, traces: &[u8]) -> Admitted {
        let span = |(at, trace): (usize, &u8)| Span {
            trace_id: vec![*trace; 16],
            span_id: (at as u64 + 1).to_be_bytes().to_vec(),
            ..Span::default()
        };
        let spans = traces.iter().enumerate().map(span).collect();
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default()).unwrap();
        let (origin, reservation) = (Origin::anonymous(), budget.reserve(body.len()));
        Admitted { signal: Signal::Traces, origin, body: body.into(), index, arrived: Time(0), reservation }
    }

    /// A request that no walk makes: its spans name scopes that are not there, which the join asserts.
    fn broken(budget: &Arc<Budget>, traces: &[u8]) -> Admitted {
        let mut request = request(budget, traces);
        request.index.scopes.clear();
        request
    }

    /// What the first of so many lanes delivers and loses of a request, one it breaks on, and one more.
    fn check(lanes: usize, requests: [&[u8]; 3], delivered: u64, lost: u64) {
        let (budget, meters, clock) = (Budget::new(1 << 20), Arc::new(Meters::new()), Clock::new());
        let outbox = Outbox::new(10, usize::MAX);
        let outlets = vec![Outlet {
            name: "up".to_owned(),
            signals: Signals::ALL,
            default: true,
            outbox: outbox.clone(),
        }];
        let [first, second, third] = requests;
        let (give, work) = crossbeam_channel::unbounded();
        for request in [request(&budget, first), broken(&budget, second), request(&budget, third)] {
            give.send(Work::Take(Arc::new(request))).unwrap();
        }
        give.send(Work::Drain).unwrap();
        let (pulse, give_up) = (Pulse::new(clock.now()), Arc::default());
        let lane = Lane {
            number: 0,
            lanes,
            work,
            clock,
            pulse,
            give_up,
            eager: Arc::default(),
            meters: meters.clone(),
            outlets: outlets.clone(),
        };
        lane.run(|| plain(&budget, &meters, &outlets));
        let sent: u64 = std::iter::from_fn(|| outbox.try_take()).map(|batch| batch.items).sum();
        let counted = meters.lost_items.with_label_values(&["traces", "up", "lane_panic"]).get();
        assert_eq!((sent, counted), (delivered, lost));
        assert_eq!(budget.used(), 0, "all memory is paid back");
    }

    #[test]
    #[cfg_attr(not(debug_assertions), ignore = "what it breaks is only asserted in debug builds")]
    fn f46_what_a_lane_held_and_was_taking_when_it_panicked_is_counted_and_it_begins_anew() {
        check(1, [&[1, 1, 1], &[2, 3, 4, 5], &[6, 6]], 2, 3 + 4);
        // Of two lanes each loses, and counts, what is its own: the even ones are the first's.
        check(2, [&[2, 1, 4], &[1, 2, 3, 4, 6], &[3, 6]], 1, 2 + 3);
    }
}
