//! A journey of its own, fed by hand.

use std::sync::Arc;
use std::time::Duration;

use crate::join::{self, Join, Scope};
use crate::model::{Clock, Origin, Time};
use crate::pipeline::journey::Journey;
use crate::pipeline::ruler::Ruler;
use crate::pipeline::shelf::{Outlet, Shelf};
use crate::pipeline::tally::LaneMeters;
use crate::queue::batcher::{self, Batcher};
use crate::queue::{Admitted, Budget, Outbox};
use crate::rules::memo::Memo;
use crate::rules::{labels, particulars, stamp};
use crate::semantics::Dialect;
use crate::telemetry::Meters;
use crate::watch::Watchers;
use crate::wire::{Detail, Limits, Signal, Signals, walk};

/// After this much silence every trace has left.
const LATER: Time = Time::from_millis(120_000);

/// A lane that speaks to a Langfuse server, or a sidecar's in front of it.
pub struct Lane {
    journey: Journey,
    budget: Arc<Budget>,
    outbox: Arc<Outbox>,
}

impl Lane {
    pub fn gateway() -> Self {
        let join = join::Settings { context: true, named: true, mend: true, ..join::Settings::default() };
        let labels = labels::Settings { environment: Some("fallback".into()), ..labels::Settings::default() };
        let properties = stamp::Settings::all(Dialect::Langfuse);
        Self::new(join, labels, stamp::Settings { dialect: Dialect::Langfuse, properties })
    }

    pub fn sidecar() -> Self {
        let join = join::Settings { scope: Scope::Local, ..join::Settings::default() };
        Self::new(join, labels::Settings::default(), stamp::Settings::default())
    }

    fn new(join: join::Settings, labels: labels::Settings, stamps: stamp::Settings) -> Self {
        let (budget, meters) = (Budget::new(64 << 20), Arc::new(Meters::new()));
        let outbox = Outbox::new(64, usize::MAX);
        let outlet =
            Outlet { name: "test".into(), signals: Signals::ALL, default: true, outbox: outbox.clone() };
        let journey = Journey {
            join: Some(Join::new(join, 1)),
            labels: Memo::new(labels, 1 << 20),
            stamps,
            ..plain(&budget, &meters, &[outlet])
        };
        Self { journey, budget, outbox }
    }

    /// One that only joins, and whose batches stay open for this long.
    pub fn joining(join: join::Settings, age: Duration) -> Self {
        let mut lane = Self::new(join, labels::Settings::default(), stamp::Settings::default());
        let batches = batcher::Settings { age, ..batcher::Settings::default() };
        lane.journey.batcher = Batcher::new(batches, lane.budget.clone());
        lane
    }

    /// Takes one request.
    pub fn give(mut self, body: Vec<u8>) -> Self {
        self.take(Time::default(), Time::default(), body);
        self
    }

    /// Takes, when it is `now`, a request that was offered at this time.
    pub fn take(&mut self, now: Time, offered: Time, body: Vec<u8>) {
        let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default()).expect("a good request");
        assert_eq!(index.refused.items, 0);
        let request = Admitted {
            signal: Signal::Traces,
            origin: Origin::anonymous(),
            body: body.into(),
            index,
            offered,
            reservation: self.budget.reserve(0),
        };
        self.journey.take(now, &request, |_| true);
    }

    /// Does what is due `now`, and would be before `next`; `idle`: nothing waits to be taken.
    pub fn turn(&mut self, now: Time, next: Time, idle: bool) -> Vec<Vec<u8>> {
        if idle {
            self.journey.saw_all(now);
        }
        self.journey.advance(now, next);
        self.sent()
    }

    /// Lets silence and then an end come; what went out, batch by batch.
    pub fn drain(mut self) -> Vec<Vec<u8>> {
        let mut sent = self.turn(LATER, LATER, true);
        self.journey.drain(LATER);
        assert_eq!(self.journey.in_hand, [0; 4]);
        sent.extend(self.sent());
        sent
    }

    /// What has gone out since it was last asked.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.outbox.try_take()).map(|batch| batch.body.to_bytes().to_vec()).collect()
    }
}

/// A journey that joins, and writes nothing.
pub fn plain(budget: &Arc<Budget>, meters: &Arc<Meters>, outlets: &[Outlet]) -> Journey {
    Journey {
        join: Some(Join::new(join::Settings::default(), 1)),
        labels: Memo::new(labels::Settings::default(), 1 << 16),
        rules: Ruler::new(Arc::default(), Clock::new(), Arc::default(), meters),
        stamps: stamp::Settings::default(),
        particulars: particulars::Settings::default(),
        batcher: Batcher::new(batcher::Settings::default(), budget.clone()),
        held: budget.reserve(0),
        shelf: Shelf::new(outlets, meters),
        scoring: None,
        watchers: Watchers::new(meters.clone(), 0),
        clock: Clock::new(),
        version: 0,
        meters: LaneMeters::new(meters),
        seen: Time::default(),
        in_hand: [0; 4],
    }
}
