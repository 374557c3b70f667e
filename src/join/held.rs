//! What the join holds, and why, for whoever looks.

use std::time::Duration;

use super::Settings;
use super::notes::Notes;
use super::order::Order;
use super::shapes::Shapes;
use super::tally::Tallies;
use super::trace::Trace;
use super::whole::{self, Judge};
use crate::model::Time;
use crate::wire::{SpanId, TraceId};

/// A trace that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTrace {
    pub trace: TraceId,
    pub spans: usize,
    /// Bytes it is charged for.
    pub bytes: usize,
    /// Since its first span came.
    pub age: Duration,
    /// Since its last span came.
    pub quiet: Duration,
    /// Spans without a parent.
    pub roots: u32,
    /// Spans whose parent is named but not here.
    pub missing_parents: usize,
    pub waits_for: WaitsFor,
}

/// What keeps a trace from leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing but a moment's silence.
    Quiet,
    /// Its root.
    Root,
    /// A span that others name as their parent.
    Parent(SpanId),
    /// A child that spans like this one have got later before.
    Child { of: SpanId, service: String, name: String },
    /// Log records of this span, as spans like it had before.
    Records { of: SpanId },
    /// Spans like this one are not known well enough to say that no child will come.
    Learning { of: SpanId },
}

impl WaitsFor {
    /// One word, for a label or a column.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Root => "root",
            Self::Parent(_) => "parent",
            Self::Child { .. } => "child",
            Self::Records { .. } => "records",
            Self::Learning { .. } => "learning",
        }
    }
}

pub(super) fn see(
    trace: &Trace,
    now: Time,
    settings: &Settings,
    (shapes, notes): (&Shapes, &Notes),
) -> HeldTrace {
    HeldTrace {
        trace: trace.id,
        spans: trace.records.len(),
        bytes: trace.charged,
        age: now.since(trace.first),
        quiet: now.since(trace.last),
        roots: trace.roots,
        missing_parents: trace.without_parent().count(),
        waits_for: waits_for(trace, now, settings, (shapes, notes)),
    }
}

/// The first reason that would still stand if all before it were gone.
fn waits_for(trace: &Trace, now: Time, settings: &Settings, (shapes, notes): (&Shapes, &Notes)) -> WaitsFor {
    if let Some(span) = trace.without_parent().next() {
        return WaitsFor::Parent(span.parent);
    }
    if !trace.has_root() {
        return WaitsFor::Root;
    }
    let (mut order, mut tallies) = (Order::default(), Tallies::default());
    order.link(trace);
    let mut judge = Judge { settings, shapes, notes, order: &mut order, tallies: &mut tallies };
    if now < trace.last + whole::quiet_for(trace, settings) {
        return WaitsFor::Quiet;
    }
    let child = judge.expected(trace).max_by_key(|(_, until)| *until).filter(|(_, until)| *until > now);
    let Some((span, _)) = child else {
        return judge.without_notes(trace).map_or(WaitsFor::Quiet, |span| WaitsFor::Records { of: span.id });
    };
    let of = span.id;
    match shapes.info(span.shape).filter(|info| !info.learning) {
        Some(info) => WaitsFor::Child { of, service: info.service.to_owned(), name: info.name.to_owned() },
        None => WaitsFor::Learning { of },
    }
}
