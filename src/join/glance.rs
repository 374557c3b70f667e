//! Looks at what is about to be needed, many things at once.
//!
//! A busy lane holds more than the processor's caches do: by the time a trace's next spans come, or it has to
//! leave, it is far away, and most of what a span costs is waiting for it. Waiting for one after the other
//! takes as long as each; reads that do not depend on each other are waited for together. So the traces of a
//! request, and the next traces whose alarms ring, are read first and worked on then.
//!
//! It decides nothing. The one surprise: what was read is added up and kept, though nobody asks for it,
//! because a compiler leaves out what is read for nothing.

use std::rc::Rc;

use super::Settings;
use super::alarms::Alarms;
use super::leaving;
use super::ledger::Ledger;
use super::table::Table;
use super::trace::{Marks, Record, Trace};
use super::whole;
use crate::model::Time;
use crate::wire::TraceId;

/// Runs of a request looked at together: what their traces need stays well within a processor's own cache.
pub(super) const RUNS: usize = 128;
/// Spans of a trace that leaves, looked at together.
const SPANS: usize = 128;
/// Traces that leave, looked at together.
const TRACES: usize = 16;

/// Bytes a processor's cache holds together.
const LINE: usize = 64;
/// So much of a span is looked at: it is about to be copied.
const LINES_MAX: usize = 16;

/// What is in view.
#[derive(Debug, Default)]
pub(super) struct Glance {
    /// Places of the traces being looked at, of each run one if its trace is open.
    slots: Vec<Option<u32>>,
    /// Alarms looked at that have not rung yet.
    fresh: usize,
    seen: u64,
}

impl Glance {
    /// Looks at the traces with these ids, which get spans.
    pub fn at_arrivals(&mut self, table: &Table, ledger: &Ledger, ids: impl Iterator<Item = TraceId>) {
        self.slots.clear();
        let mut seen = 0;
        for id in ids {
            let slot = table.seat(id);
            self.slots.push(slot);
            if slot.is_none() {
                seen += ledger.glance(id);
            }
        }
        let traces = self.slots.iter().flatten().filter_map(|&slot| table.get(slot));
        self.seen = self.seen.wrapping_add(seen).wrapping_add(traces.map(grows).sum());
    }

    /// Where the trace of the `nth` arrival was, if it was open.
    pub fn slot(&self, nth: usize) -> Option<u32> {
        *self.slots.get(nth)?
    }

    /// An alarm is about to ring: looks at the traces of the next ones, unless it has. Those silent for
    /// long enough are going to leave.
    pub fn at_departures(
        &mut self,
        table: &Table,
        ledger: &Ledger,
        alarms: &Alarms,
        (now, settings): (Time, &Settings),
    ) {
        if self.fresh > 0 {
            self.fresh -= 1;
            return;
        }
        self.slots.clear();
        let upcoming = alarms.upcoming(now).take(TRACES);
        self.slots.extend(upcoming.inspect(|_| self.fresh += 1).map(|ticket| table.here(ticket)));
        self.fresh = self.fresh.saturating_sub(1);
        let traces = || self.slots.iter().flatten().filter_map(|&slot| table.get(slot));
        // First what leads to the rest.
        let mut seen: u64 = traces().map(grows).sum();
        let mut before: Option<&Trace> = None;
        for trace in traces().filter(|trace| trace.last + whole::quiet_for(trace, settings) <= now) {
            seen += ledger.glance(trace.id);
            // Spans that lie in their requests go out from there, unread, unless more is to be said on them, or they
            // lie there one by one, not in a row with those of the trace before: such small parts are copied after all.
            let stamped = settings.context && trace.marks.has(Marks::NOTED);
            let one_by_one = trace.records.len() < 2 * trace.pins.len();
            let in_a_row = before.replace(trace).is_some_and(|before| before.is_followed_by(trace));
            let copied = stamped || (one_by_one && !in_a_row) || trace.pins.is_empty();
            // Asked at once, since it looks whole, its own records are still here.
            if copied || !trace.looks_whole {
                seen += u64::from(table.seat(trace.id).is_some()) + leaves(trace, copied);
            }
        }
        self.seen = self.seen.wrapping_add(seen);
    }
}

/// Reads what is written when a trace gets spans.
fn grows(trace: &Trace) -> u64 {
    let lists = trace.ids.len() + trace.pins.len() + trace.blocks.len() + trace.origins.len();
    let blocks = trace.blocks.first().map_or(0, |(resource, _)| Rc::strong_count(resource));
    let end = trace.records.last().map_or(0, |record| record.after_ms);
    trace.last_request + u64::from(end) + (lists + blocks + trace.charged) as u64
}

/// Reads what is read when a trace leaves: its records and, if they are copied, its spans.
fn leaves(trace: &Trace, copied: bool) -> u64 {
    let record = |record: &Record| {
        let shared = record.place.len >= leaving::SHARED_MIN && !record.marks.has(Marks::CLAIMS);
        let most = if copied && !shared { LINES_MAX } else { 0 };
        let lines = trace.body(record.place).iter().step_by(LINE).take(most);
        u64::from(record.after_ms) + lines.map(|byte| u64::from(*byte)).sum::<u64>()
    };
    trace.records.iter().take(SPANS).map(record).sum()
}
