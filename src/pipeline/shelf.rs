//! Between a lane and the outboxes: every upstream gets every batch of its signals, and none waits for another.
//!
//! With one upstream a batch that finds its outbox full waits here, the lane stops taking requests,
//! and callers are told to try later. With several, the full one loses that batch, counted, because
//! the others must not wait for it. What no upstream takes never comes here: the edge refuses it.

use std::collections::VecDeque;
use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

use crate::queue::{Batch, Outbox};
use crate::telemetry::Meters;
use crate::wire::{Signal, Signals};

/// An upstream as a lane sees it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The `upstream` label of metrics.
    pub name: String,
    pub signals: Signals,
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
    full: [IntCounter; 4],
    shutdown: [IntCounter; 4],
    copies: IntCounter,
    name: String,
}

/// Closed batches on their way to the outboxes.
#[derive(Debug)]
pub struct Shelf {
    slots: Vec<Slot>,
    waiting: VecDeque<Arc<Batch>>,
    lost: IntCounterVec,
}

impl Shelf {
    /// One outbox for each upstream.
    pub fn new(outlets: &[Outlet], meters: &Meters) -> Self {
        let slots = outlets
            .iter()
            .map(|Outlet { name, signals, outbox }| {
                let lost = |reason: &str| {
                    Signal::ALL
                        .map(|signal| meters.lost_items.with_label_values(&[signal.name(), name, reason]))
                };
                let copies = meters.delivered_items.with_label_values(&[Signal::Traces.name(), name]);
                let (full, shutdown) = (lost("queue_full"), lost("shutdown"));
                Slot { signals: *signals, outbox: outbox.clone(), full, shutdown, copies, name: name.clone() }
            })
            .collect();
        Self { slots, waiting: VecDeque::new(), lost: meters.lost_items.clone() }
    }

    /// Whether anybody takes a signal.
    pub fn takes(&self, signal: Signal) -> bool {
        self.slots.iter().any(|slot| slot.signals.has(signal))
    }

    /// Gives a batch to every outbox that takes its signal.
    pub fn put(&mut self, batch: Batch) {
        let batch = Arc::new(batch);
        if let [_] = self.slots.as_slice() {
            return self.waiting.push_back(batch);
        }
        for slot in self.slots.iter().filter(|slot| slot.signals.has(batch.signal)) {
            if let Err(batch) = slot.outbox.offer(batch.clone()) {
                slot.full[batch.signal as usize].inc_by(batch.items);
                slot.full[Signal::Logs as usize].inc_by(batch.notes);
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
