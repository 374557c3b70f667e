//! What a lane counts: handles to its metrics, looked up once.

use prometheus::local::LocalHistogram;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::join::{Leaving, Unplaced};
use crate::model::{Reason, Time};
use crate::queue::batcher::Closed;
use crate::telemetry::Meters;
use crate::wire::Signal;

/// One lane's handles.
#[derive(Debug)]
pub struct LaneMeters {
    left: [IntCounter; 6],
    left_spans: [IntCounter; 6],
    duplicates: IntCounter,
    orphans: IntCounter,
    zero_parents: IntCounter,
    cycles: IntCounter,
    disputed: IntCounter,
    left_out: IntCounter,
    mended: IntCounter,
    pub split: IntCounter,
    notes: IntCounterVec,
    /// Of each trace; told to everyone once a turn.
    quiet: LocalHistogram,
    spans: LocalHistogram,
    closed: IntCounterVec,
    held_bytes: IntGauge,
    held_traces: IntGauge,
    /// What this lane added to the gauges all lanes share.
    said: (i64, i64),
}

impl LaneMeters {
    pub fn new(meters: &Meters) -> Self {
        let odd = |kind: &str| meters.oddities.with_label_values(&[kind]);
        Self {
            left: Reason::ALL.map(|reason| meters.left.with_label_values(&[reason.name()])),
            left_spans: Reason::ALL.map(|reason| meters.left_spans.with_label_values(&[reason.name()])),
            duplicates: meters.duplicates.with_label_values::<&str>(&[]),
            orphans: odd("orphan"),
            zero_parents: odd("zero_parent"),
            cycles: odd("cycle"),
            disputed: meters.claims.with_label_values(&["disputed"]),
            left_out: meters.claims.with_label_values(&["left_out"]),
            mended: meters.mended.with_label_values::<&str>(&[]),
            split: meters.split.with_label_values::<&str>(&[]),
            notes: meters.notes.clone(),
            quiet: meters.hold_seconds.local(),
            spans: meters.trace_spans.local(),
            closed: meters.batches.clone(),
            held_bytes: meters.held_bytes.clone(),
            held_traces: meters.held_traces.clone(),
            said: (0, 0),
        }
    }

    /// Counts a trace that leaves.
    pub fn left(&self, trace: &Leaving, now: Time) {
        let spans = trace.span_count();
        self.left[trace.reason as usize].inc();
        self.left_spans[trace.reason as usize].inc_by(spans as u64);
        let repairs = [
            (&self.duplicates, trace.repairs.duplicates),
            (&self.orphans, trace.repairs.orphans),
            (&self.zero_parents, trace.repairs.zero_parents),
            (&self.cycles, trace.repairs.cycles),
            (&self.disputed, trace.context.said.as_ref().map_or(0, |said| said.disputed)),
            (&self.left_out, trace.context.said.as_ref().map_or(0, |said| said.left_out)),
            (&self.mended, trace.mended() as u32),
        ];
        for (counter, count) in repairs.into_iter().filter(|(_, count)| *count > 0) {
            counter.inc_by(count.into());
        }
        self.quiet.observe(now.since(trace.last_arrival).as_secs_f64());
        self.spans.observe(spans as f64);
        self.note("attached", trace.event_count() as u64);
        self.note("copy", u64::from(trace.note_copies));
    }

    /// Counts log records that go with no span.
    pub fn unplaced(&self, unplaced: Unplaced) {
        self.note("late", unplaced.late);
        self.note("no_span", unplaced.no_span);
        self.note("no_room", unplaced.no_room);
    }

    fn note(&self, outcome: &str, notes: u64) {
        if notes > 0 {
            self.notes.with_label_values(&[outcome]).inc_by(notes);
        }
    }

    /// Counts copies of spans whose trace had left.
    pub fn copies(&self, copies: u64) {
        self.duplicates.inc_by(copies);
    }

    pub fn closed(&self, signal: Signal, why: Closed) {
        self.closed.with_label_values(&[signal.name(), why.name()]).inc();
    }

    /// Says what this lane's join holds, and what it saw of traces that left.
    pub fn holding(&mut self, bytes: usize, traces: usize) {
        self.quiet.flush();
        self.spans.flush();
        let now = (i64::try_from(bytes).unwrap_or(i64::MAX), i64::try_from(traces).unwrap_or(i64::MAX));
        self.held_bytes.add(now.0 - self.said.0);
        self.held_traces.add(now.1 - self.said.1);
        self.said = now;
    }
}

impl Drop for LaneMeters {
    /// A lane that ends, or begins anew, holds nothing.
    fn drop(&mut self) {
        self.holding(0, 0);
    }
}
