//! A lane: takes requests from its queue and carries them through the journey, on a thread of its own or beside
//! other work.
//!
//! A panic here would be our bug; it loses what the lane had in hand, which is counted, and the lane
//! begins anew with nothing in hand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::TryRecvError;

use super::journey::Journey;
use super::live::Live;
use super::shelf::{self, Outlet};
use crate::follow::Followed;
use crate::model::{Clock, Time};
use crate::queue::lanes::Work;
use crate::queue::pace::{Pace, Rest};
use crate::queue::{Inbox, Lanes};
use crate::telemetry::Meters;
use crate::wire::Signal;

/// How long to wait for a full outbox before trying again.
const FULL_NAP: Duration = Duration::from_millis(5);
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

/// What a lane is given.
#[derive(Debug)]
pub struct Lane {
    pub number: usize,
    pub lanes: usize,
    pub inbox: Inbox,
    pub clock: Clock,
    pub pulse: Pulse,
    /// What may change between two turns.
    pub live: Arc<Followed<Live>>,
    /// Set when the end is near: nothing is waited for any more, and requests are still taken.
    pub eager: Arc<AtomicBool>,
    /// Set when the drain's time is over: what waits is lost.
    pub give_up: Arc<AtomicBool>,
    pub meters: Arc<Meters>,
    /// For counting what a panic loses.
    pub outlets: Vec<Outlet>,
}

/// The lane has been told to end.
struct End;

/// What a lane does between two turns.
#[derive(Debug)]
enum Pause {
    /// Nothing: more waits.
    None,
    /// It waits for a full outbox.
    Full,
    Rest(Rest),
}

impl Lane {
    /// Runs on this thread until told to drain. `fresh` makes a journey with nothing in hand.
    pub fn run(self, fresh: impl Fn() -> Journey) {
        let mut shift = Shift::new(self, fresh);
        while let Some(pause) = shift.turn() {
            match pause {
                Pause::None => {}
                Pause::Full => std::thread::sleep(FULL_NAP),
                Pause::Rest(rest) => shift.lane.inbox.sleep(rest),
            }
        }
    }

    /// The same beside whatever else this thread does. What it is given is then still in this processor's cache, and
    /// nobody has to be woken; the rest of the thread waits while it takes a turn.
    pub async fn run_beside(self, fresh: impl Fn() -> Journey) {
        let mut shift = Shift::new(self, fresh);
        while let Some(pause) = shift.turn() {
            match pause {
                Pause::None => tokio::task::yield_now().await,
                Pause::Full => tokio::time::sleep(FULL_NAP).await,
                Pause::Rest(rest) => shift.lane.inbox.rest(rest).await,
            }
        }
    }
}

/// A lane at work.
struct Shift<F> {
    lane: Lane,
    fresh: F,
    journey: Journey,
    pace: Pace,
    /// Requests taken since it last learned of its pace.
    taken: usize,
    /// It has been told to end.
    ends: bool,
}

impl<F: Fn() -> Journey> Shift<F> {
    fn new(lane: Lane, fresh: F) -> Self {
        let (journey, pace) = (fresh(), Pace::new(lane.clock.now()));
        Self { lane, fresh, journey, pace, taken: 0, ends: false }
    }

    /// Does what there is to do, unless the lane has ended.
    fn turn(&mut self) -> Option<Pause> {
        let turn = catch_unwind(AssertUnwindSafe(|| if self.ends { self.end() } else { Some(self.work()) }));
        turn.unwrap_or_else(|_| {
            tracing::error!(lane = self.lane.number, "a lane panicked; what it held is lost and counted");
            self.lane.count_lost(&self.journey, "lane_panic");
            let fresh = (self.fresh)();
            let panicked = std::mem::replace(&mut self.journey, fresh);
            // Closed batches are whole and no longer in hand: they still go out.
            self.journey.shelf = panicked.shelf;
            Some(Pause::None)
        })
    }

    /// Takes what waits and lets go what is due. While an outbox is full nothing is taken.
    fn work(&mut self) -> Pause {
        let (lane, journey, pace) = (&self.lane, &mut self.journey, &mut self.pace);
        if !journey.shelf.is_full() {
            journey.keep_up(&lane.live);
            match lane.burst(journey) {
                Ok(more) => self.taken += more,
                Err(End) => {
                    self.ends = true;
                    return Pause::None;
                }
            }
        }
        let now = lane.clock.now();
        lane.pulse.beat(now);
        // Offered before `now` and still to be taken: nothing, or who knows what.
        let idle = lane.inbox.is_empty();
        let mut next = now;
        if idle {
            journey.saw_all(now);
            pace.learn(now, std::mem::take(&mut self.taken));
            next = now + pace.nap();
        }
        if lane.eager.load(Ordering::Relaxed) {
            journey.flush(now);
        } else {
            journey.advance(now, next);
        }
        match idle {
            _ if journey.shelf.is_full() => Pause::Full,
            true => Pause::Rest(pace.rest(lane.clock.now(), journey.next_due())),
            false => Pause::None,
        }
    }

    /// Lets everything go, waiting for room in the outboxes until told to give up.
    fn end(&mut self) -> Option<Pause> {
        let (lane, journey) = (&self.lane, &mut self.journey);
        while let Ok(work) = lane.inbox.take() {
            // Told to end twice is told to end.
            let _ = lane.step(lane.clock.now(), work, journey);
        }
        // Tries again, too, with what waits.
        journey.drain(lane.clock.now());
        if journey.shelf.is_full() && !lane.give_up.load(Ordering::Acquire) {
            return Some(Pause::Full);
        }
        journey.shelf.give_up();
        None
    }
}

impl Lane {
    /// Does what waits, but not so much at once that what is due waits long. Returns how many it took.
    // Most of the program is called from here: it is there once, not in each way to run a lane.
    #[inline(never)]
    fn burst(&self, journey: &mut Journey) -> Result<usize, End> {
        let (mut taken, mut items, now) = (0, 0, self.clock.now());
        while taken < BURST && items < BURST_ITEMS {
            // Taken from the queue one by one: what is taken must be done.
            let work = match self.inbox.take() {
                Ok(work) => work,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(End),
            };
            taken += 1;
            if let Work::Take(request) | Work::Note(request) = &work {
                items += request.index.items;
            }
            self.step(now, work, journey)?;
        }
        Ok(taken)
    }

    fn step(&self, now: Time, work: Work, journey: &mut Journey) -> Result<(), End> {
        let mine = |trace| self.lanes == 1 || Lanes::of(trace, self.lanes) == self.number;
        match work {
            Work::Take(request) => journey.take(now, &request, mine),
            Work::Note(request) => journey.note(&request, mine),
            // Whoever asked may be gone.
            Work::Show(limit, reply) => drop(reply.try_send(journey.show(now, limit))),
            Work::Drain => return Err(End),
        }
        Ok(())
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
    use crate::queue::inbox::inbox;
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
        Admitted { signal: Signal::Traces, origin, body: body.into(), index, offered: Time(0), reservation }
    }

    /// A request that no walk makes: its spans name scopes that are not there, which the join asserts.
    fn broken(budget: &Arc<Budget>, traces: &[u8]) -> Admitted {
        let mut request = request(budget, traces);
        request.index.scopes.clear();
        request
    }

    /// What the first of so many lanes delivers and loses of a request, one it breaks on, and one more, on a thread
    /// of its own or `beside` other work.
    fn check((lanes, beside): (usize, bool), requests: [&[u8]; 3], delivered: u64, lost: u64) {
        let (budget, meters, clock) = (Budget::new(1 << 20), Arc::new(Meters::new()), Clock::new());
        let outbox = Outbox::new(10, usize::MAX);
        let outlets = vec![Outlet {
            name: "up".to_owned(),
            signals: Signals::ALL,
            default: true,
            outbox: outbox.clone(),
        }];
        let [first, second, third] = requests;
        let (inlet, inbox) = inbox(4);
        for request in [request(&budget, first), broken(&budget, second), request(&budget, third)] {
            inlet.offer(Work::Take(Arc::new(request)), 0, false).unwrap();
        }
        inlet.end_with(Work::Drain);
        let (pulse, give_up) = (Pulse::new(clock.now()), Arc::default());
        let lane = Lane {
            number: 0,
            lanes,
            inbox,
            clock,
            pulse,
            live: Arc::new(Followed::fixed(Live::default())),
            give_up,
            eager: Arc::default(),
            meters: meters.clone(),
            outlets: outlets.clone(),
        };
        let fresh = || plain(&budget, &meters, &outlets);
        if beside {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(lane.run_beside(fresh));
        } else {
            lane.run(fresh);
        }
        let sent: u64 = std::iter::from_fn(|| outbox.try_take()).map(|batch| batch.items).sum();
        let counted = meters.lost_items.with_label_values(&["traces", "up", "lane_panic"]).get();
        assert_eq!((sent, counted), (delivered, lost));
        assert_eq!(budget.used(), 0, "all memory is paid back");
    }

    #[test]
    #[cfg_attr(not(debug_assertions), ignore = "what it breaks is only asserted in debug builds")]
    fn f46_what_a_lane_held_and_was_taking_when_it_panicked_is_counted_and_it_begins_anew() {
        for beside in [false, true] {
            check((1, beside), [&[1, 1, 1], &[2, 3, 4, 5], &[6, 6]], 2, 3 + 4);
        }
        // Of two lanes each loses, and counts, what is its own: the even ones are the first's.
        check((2, false), [&[2, 1, 4], &[1, 2, 3, 4, 6], &[3, 6]], 1, 2 + 3);
    }
}
