//! The end of every item: delivered, refused with a reason, or lost with a reason. Exactly once.
//!
//! The surprise: a [`Claim`] that is dropped counts its items as lost. So a call that was aborted, and a
//! bug that unwinds, still settle what they held.

use std::sync::{Arc, OnceLock};

use prometheus::IntCounter;

use super::appetite::Remedy;
use super::classify::Refusal;
use crate::queue::Batch;
use crate::telemetry::Meters;
use crate::wire::Signal;

/// How a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Delivered { rejected: u64, message: String },
    Refused { reason: Refusal, message: String },
    Lost(Loss),
}

/// Why items were given up; names the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Not accepted within `retry.give_up`.
    GaveUp,
    /// The process ended first.
    Shutdown,
    /// Larger than `request_max`: never sent (conformance C01).
    TooLarge,
    /// A bug of ours.
    Fault,
}

impl Loss {
    pub const fn name(self) -> &'static str {
        match self {
            Loss::GaveUp => "gave_up",
            Loss::Shutdown => "shutdown",
            Loss::TooLarge => "too_large",
            Loss::Fault => "fault",
        }
    }
}

/// The counters of one upstream.
#[derive(Debug)]
pub(super) struct Books {
    meters: Arc<Meters>,
    upstream: String,
    /// By `Signal as usize`. Failures are looked up each time: they are rare, and a series that never
    /// moved should not be exposed.
    good: [OnceLock<Good>; 4],
}

#[derive(Debug)]
struct Good {
    items: IntCounter,
    sends: IntCounter,
}

impl Books {
    pub fn new(meters: Arc<Meters>, upstream: String) -> Self {
        Self { meters, upstream, good: Default::default() }
    }

    /// Takes a batch's items on: from here they are settled whatever happens.
    pub fn claim(&self, batch: &Batch) -> Claim<'_> {
        Claim { books: self, signal: batch.signal, left: batch.items, notes: batch.notes }
    }

    /// One call was made.
    pub fn sent(&self, signal: Signal, outcome: &str) {
        match self.good(signal) {
            Some(good) if outcome == "ok" => good.sends.inc(),
            _ => self.meters.sends.with_label_values(&[signal.name(), &self.upstream, outcome]).inc(),
        }
    }

    /// A batch was divided.
    pub fn divided(&self, signal: Signal, remedy: Remedy) {
        self.meters.divided.with_label_values(&[signal.name(), &self.upstream, remedy.name()]).inc();
    }

    fn delivered(&self, signal: Signal, items: u64) {
        if let Some(good) = self.good(signal) {
            good.items.inc_by(items);
        }
    }

    fn refused(&self, signal: Signal, reason: &str, items: u64) {
        let labels = [signal.name(), &self.upstream, reason];
        self.meters.upstream_refused_items.with_label_values(&labels).inc_by(items);
    }

    fn lost(&self, signal: Signal, loss: Loss, items: u64) {
        let labels = [signal.name(), &self.upstream, loss.name()];
        self.meters.lost_items.with_label_values(&labels).inc_by(items);
    }

    fn good(&self, signal: Signal) -> Option<&Good> {
        let labels = [signal.name(), &self.upstream];
        let good = self.good.get(signal as usize)?;
        Some(good.get_or_init(|| Good {
            items: self.meters.delivered_items.with_label_values(&labels),
            sends: self.meters.sends.with_label_values(&[signal.name(), &self.upstream, "ok"]),
        }))
    }
}

/// Items that are not settled yet.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    books: &'a Books,
    signal: Signal,
    left: u64,
    /// Log records among the events of its spans.
    notes: u64,
}

impl Claim<'_> {
    /// Hands what is left, items and log records, to somebody else to settle.
    pub fn give_back(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.left), std::mem::take(&mut self.notes))
    }

    /// Settles some of the items.
    pub fn settle(&mut self, items: u64, ended: &Ended) {
        let (books, signal, items) = (self.books, self.signal, items.min(self.left));
        if self.notes > 0 {
            self.settle_notes(items, ended);
        }
        self.left -= items;
        match ended {
            Ended::Delivered { rejected, .. } => {
                // An upstream can not reject more than it was sent, whatever it says.
                let rejected = items.min(*rejected);
                books.delivered(signal, items - rejected);
                if rejected > 0 {
                    books.refused(signal, "partial_success", rejected);
                }
            }
            Ended::Refused { reason, .. } => books.refused(signal, reason.name(), items),
            Ended::Lost(loss) => books.lost(signal, *loss, items),
        }
    }
}

impl Claim<'_> {
    /// The log records of `items` that end: their share, since nobody knows which spans are in a part of a
    /// batch, or which of them an upstream rejected. All are settled once all items are.
    fn settle_notes(&mut self, items: u64, ended: &Ended) {
        let share = u128::from(self.notes) * u128::from(items) / u128::from(self.left.max(1));
        let notes = u64::try_from(share).unwrap_or(self.notes);
        self.notes -= notes;
        match ended {
            _ if notes == 0 => {}
            Ended::Delivered { .. } => self.books.delivered(Signal::Logs, notes),
            Ended::Refused { reason, .. } => self.books.refused(Signal::Logs, reason.name(), notes),
            Ended::Lost(loss) => self.books.lost(Signal::Logs, *loss, notes),
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.left > 0 {
            let loss = if std::thread::panicking() { Loss::Fault } else { Loss::Shutdown };
            if self.notes > 0 {
                self.books.lost(Signal::Logs, loss, self.notes);
            }
            self.books.lost(self.signal, loss, self.left);
        }
    }
}
