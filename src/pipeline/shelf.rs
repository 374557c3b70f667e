//! Between a lane and the outboxes: every upstream gets every batch of its signals, or what rules route to it, and
//! none waits for another.
//!
//! With one upstream a batch that finds its outbox full waits here, the lane stops taking requests,
//! and callers are told to try later. With several, the full one loses that batch, counted, because
//! the others must not wait for it. What no upstream takes never comes here: the edge refuses it.

use std::collections::VecDeque;
use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

use crate::model::Destination;
use crate::queue::{Batch, Outbox};
use crate::telemetry::Meters;
use crate::wire::{Signal, Signals};

/// An upstream as a lane sees it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The `upstream` label of metrics.
    pub name: String,
    pub signals: Signals,
    /// It is given what no rule routes.
    pub default: bool,
    pub outbox: Arc<Outbox>,
}

/// The outlets whose books a signal is in: those that take it. Log records that nobody takes are let in only
/// as events of spans, so they are in the books of whoever takes those.
pub fn settling(outlets: &[Outlet], signal: Signal) -> impl Iterator<Item = &Outlet> {
    let takes = |signal| move |outlet: &&Outlet| outlet.signals.has(signal);
    let nobody = !outlets.iter().any(|outlet| outlet.signals.has(signal));
    let by = if nobody && signal == Signal::Logs { Signal::Traces } else { signal };
    outlets.iter().filter(takes(by))
}

/// One outbox, what it loses, and what needs no sending.
#[derive(Debug)]
struct Slot {
    signals: Signals,
    outbox: Arc<Outbox>,
    elsewhere: [IntCounter; 4],
    no_route: [IntCounter; 4],
    full: [IntCounter; 4],
    shutdown: [IntCounter; 4],
    copies: IntCounter,
    name: String,
}

/// Closed batches on their way to the outboxes.
#[derive(Debug)]
pub struct Shelf {
    slots: Vec<Slot>,
    /// By signal: who takes it, and who of them is given what no rule routes.
    takers: [Destination; 4],
    usual: [Destination; 4],
    waiting: VecDeque<Arc<Batch>>,
    lost: IntCounterVec,
}

impl Shelf {
    /// One outbox for each upstream.
    pub fn new(outlets: &[Outlet], meters: &Meters) -> Self {
        let slots = outlets
            .iter()
            .map(|Outlet { name, signals, outbox, .. }| {
                let lost = |reason: &str| {
                    Signal::ALL
                        .map(|signal| meters.lost_items.with_label_values(&[signal.name(), name, reason]))
                };
                let copies = meters.delivered_items.with_label_values(&[Signal::Traces.name(), name]);
                Slot {
                    signals: *signals,
                    outbox: outbox.clone(),
                    elsewhere: lost("routed_elsewhere"),
                    no_route: lost("no_route"),
                    full: lost("queue_full"),
                    shutdown: lost("shutdown"),
                    copies,
                    name: name.clone(),
                }
            })
            .collect();
        let of = |signal, given: fn(&Outlet) -> bool| -> Destination {
            let all = outlets.iter().enumerate();
            all.filter(|(_, outlet)| outlet.signals.has(signal) && given(outlet))
                .map(|(nth, _)| nth)
                .collect()
        };
        Self {
            slots,
            takers: Signal::ALL.map(|signal| of(signal, |_| true)),
            usual: Signal::ALL.map(|signal| of(signal, |outlet| outlet.default)),
            waiting: VecDeque::new(),
            lost: meters.lost_items.clone(),
        }
    }

    /// Whether anybody takes a signal.
    pub fn takes(&self, signal: Signal) -> bool {
        self.slots.iter().any(|slot| slot.signals.has(signal))
    }

    /// The upstreams of these names, in their places here. Rules may know others: they are read again while we
    /// run, and upstreams are not.
    pub fn named<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Destination {
        let named = |slot: &Slot| names.clone().any(|name| name == slot.name);
        self.slots.iter().enumerate().filter(|(_, slot)| named(slot)).map(|(nth, _)| nth).collect()
    }

    /// Where something of a signal goes that rules route: to those of them that take the signal. What is not
    /// routed, or only to others, goes where everything goes.
    pub fn way(&self, signal: Signal, routed: Option<Destination>) -> Destination {
        let named = routed.unwrap_or_default() & self.takers[signal as usize];
        if named.is_nowhere() { self.usual[signal as usize] } else { named }
    }

    /// Gives a batch to every outbox that it goes to; for the others of its signal it is lost by the user's wish.
    pub fn put(&mut self, batch: Batch) {
        let (signal, logs) = (batch.signal as usize, Signal::Logs as usize);
        for (nth, slot) in self.slots.iter().enumerate() {
            if slot.signals.has(batch.signal) && !batch.to.has(nth) {
                let lost = if batch.to.is_nowhere() { &slot.no_route } else { &slot.elsewhere };
                lost[signal].inc_by(batch.items);
                lost[logs].inc_by(batch.notes);
            }
        }
        if batch.to.is_nowhere() {
            return;
        }
        let batch = Arc::new(batch);
        if let [_] = self.slots.as_slice() {
            return self.waiting.push_back(batch);
        }
        for (_, slot) in self.slots.iter().enumerate().filter(|(nth, _)| batch.to.has(*nth)) {
            if let Err(batch) = slot.outbox.offer(batch.clone()) {
                slot.full[signal].inc_by(batch.items);
                slot.full[logs].inc_by(batch.notes);
            }
        }
    }

    /// Copies of spans that were handed over before: settled for every upstream, and not sent again.
    pub fn settle_copies(&self, copies: u64) {
        self.of_traces().for_each(|slot| slot.copies.inc_by(copies));
    }

    /// Items that the user wants nobody to be given: lost for every upstream of their signal.
    pub fn lose(&self, signal: Signal, reason: &str, items: u64) {
        for slot in self.slots.iter().filter(|slot| items > 0 && slot.signals.has(signal)) {
            self.lost.with_label_values(&[signal.name(), &slot.name, reason]).inc_by(items);
        }
    }

    /// Log records that were to go with spans and will not: lost for every upstream of traces.
    pub fn lose_notes(&self, reason: &str, notes: u64) {
        for slot in self.of_traces().filter(|_| notes > 0) {
            self.lost.with_label_values(&[Signal::Logs.name(), &slot.name, reason]).inc_by(notes);
        }
    }

    /// Tries again with what waits.
    pub fn retry(&mut self) {
        let [only] = self.slots.as_slice() else { return };
        while let Some(batch) = self.waiting.pop_front() {
            if let Err(batch) = only.outbox.offer(batch) {
                return self.waiting.push_front(batch);
            }
        }
    }

    /// Something waits for room: take no more requests.
    pub fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// At least one upstream of traces keeps up, so that letting go of some frees memory.
    pub fn flows(&self) -> bool {
        self.of_traces().any(|slot| slot.outbox.is_empty())
    }

    fn of_traces(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.signals.has(Signal::Traces))
    }

    /// What still waits is lost: the process ends.
    pub fn give_up(&mut self) {
        for batch in self.waiting.drain(..) {
            // Only a lone upstream is waited for, and it takes whatever was let in.
            for slot in &self.slots {
                slot.shutdown[batch.signal as usize].inc_by(batch.items);
                slot.shutdown[Signal::Logs as usize].inc_by(batch.notes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Origin, Time};
    use crate::queue::Budget;
    use crate::wire::Sealed;

    /// Upstreams that take these signals, and whether they are defaults; each has room for so many batches.
    fn shelf(upstreams: &[(Signals, bool)], room: usize) -> (Shelf, Vec<Outlet>, Meters) {
        let meters = Meters::new();
        let outlet = |(nth, (signals, default)): (usize, &(Signals, bool))| Outlet {
            name: format!("u{nth}"),
            signals: *signals,
            default: *default,
            outbox: Outbox::new(room, usize::MAX),
        };
        let outlets: Vec<_> = upstreams.iter().enumerate().map(outlet).collect();
        (Shelf::new(&outlets, &meters), outlets, meters)
    }

    fn batch(signal: Signal, to: Destination, items: u64) -> Batch {
        let reservation = Budget::new(usize::MAX).reserve(0);
        let (origin, body) = (Origin::anonymous(), Sealed::default());
        Batch { signal, origin, to, body, items, notes: 0, opened: Time::default(), reservation }
    }

    fn only(signal: Signal) -> Signals {
        [signal].into_iter().collect()
    }

    #[test]
    fn what_is_routed_goes_to_those_that_take_it_and_else_where_everything_goes() {
        let upstreams = [(Signals::ALL, true), (only(Signal::Logs), false), (only(Signal::Traces), false)];
        let (shelf, ..) = shelf(&upstreams, 1);
        let to = |places: &[usize]| places.iter().copied().collect::<Destination>();
        assert_eq!(shelf.way(Signal::Logs, None), to(&[0]));
        assert_eq!(shelf.way(Signal::Logs, Some(to(&[1, 2]))), to(&[1]));
        assert_eq!(shelf.way(Signal::Metrics, Some(to(&[1, 2]))), to(&[0]), "neither takes metrics");
        assert_eq!(shelf.named(["u2", "new", "u0"].into_iter()), to(&[0, 2]));
    }

    proptest! {
        /// Of each upstream that takes its signal: what came is waiting for it or lost, by a reason.
        #[test]
        fn the_books_of_every_upstream_close(
            upstreams in proptest::collection::vec((proptest::collection::vec(0_usize..4, 0..4), any::<bool>()), 1..5),
            batches in proptest::collection::vec((0_usize..4, proptest::option::of(proptest::collection::vec(0_usize..6, 0..3)), 1_u64..50), 0..20),
        ) {
            let signals = |list: &Vec<usize>| list.iter().map(|nth| Signal::ALL[*nth]).collect();
            let upstreams: Vec<_> = upstreams.iter().map(|(list, default)| (signals(list), *default)).collect();
            let (mut shelf, outlets, meters) = shelf(&upstreams, 5);
            let mut received = [0; 4];
            for (signal, routed, items) in batches {
                let signal = Signal::ALL[signal];
                let way = shelf.way(signal, routed.map(|places| places.into_iter().collect()));
                if shelf.takes(signal) {
                    received[signal as usize] += items;
                    shelf.put(batch(signal, way, items));
                }
            }
            shelf.retry();
            shelf.give_up();
            let mut waiting = vec![[0; 4]; outlets.len()];
            for (waiting, outlet) in waiting.iter_mut().zip(&outlets) {
                while let Some(batch) = outlet.outbox.try_take() {
                    waiting[batch.signal as usize] += batch.items;
                }
            }
            for (waiting, outlet) in waiting.iter().zip(&outlets) {
                for signal in Signal::ALL.into_iter().filter(|signal| outlet.signals.has(*signal)) {
                    let reasons = ["no_route", "routed_elsewhere", "queue_full", "shutdown"];
                    let of = |reason: &str| {
                        meters.lost_items.with_label_values(&[signal.name(), &outlet.name, reason]).get()
                    };
                    let lost: u64 = reasons.into_iter().map(of).sum();
                    prop_assert_eq!(waiting[signal as usize] + lost, received[signal as usize]);
                }
            }
        }
    }
}
