//! Traces that are just like one that left before: the same shapes in the same tree, come in the same way.
//!
//! A service does the same again and again. Who is whose parent, what each span is to have, and in what order all
//! leave was worked out for the first such trace; of the next it only has to be seen that it is one. That is looked at
//! span by span, nothing is taken on trust: a trace is let go as a pattern says only where working it out would say the
//! same (`tests/patterns.rs` holds the two against each other). Where siblings began in another order, that alone is
//! worked out.
//!
//! Only of usual traces, which have nothing late, orphaned or in a ring. Bounded: [`PLACES`] patterns of traces that
//! are small. Where hardly two traces are alike, few are learned.

use std::rc::Rc;
use std::time::Duration;

use super::habit::Tally;
use super::ledger::Role;
use super::order::{Order, Worked};
use super::shapes::{ShapeId, Shapes};
use super::tally::{self, Tallies};
use super::trace::{Record, Trace};

/// A power of two.
const PLACES: usize = 64;
/// Traces one after the other that were like none, after which one in so many is learned.
const DOUBT: u32 = 64;
/// A span without a parent, and one whose parent is named and is not to come.
const NONE: u32 = u32::MAX;
const AWAY: u32 = u32::MAX - 1;

/// The patterns of one join.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// By what their spans are; empty until the first is learned.
    places: Vec<Option<Pattern>>,
    /// A bit for each number of spans that a usual trace had.
    sizes: u64,
    /// Traces since one was like another.
    missed: u32,
    bytes: usize,
}

/// A trace that left, as others may leave.
#[derive(Debug)]
pub(super) struct Pattern {
    spans: Vec<Span>,
    /// Of each block the first one that is of the same process.
    processes: Vec<u32>,
    /// Siblings that stand next to each other: the first is to begin first.
    neighbours: Vec<(u32, u32)>,
    /// Spans that came in a later request than their parents.
    late: Vec<Late>,
    /// [`Shapes::changes`] when it was learned.
    changes: u64,
    pub worked: Rc<Worked>,
    pub tallies: Rc<[Tally]>,
    pub roles: Rc<[Role]>,
}

/// What a span is to be, in the order of arrival.
#[derive(Debug)]
struct Span {
    shape: ShapeId,
    /// The record that is its parent, [`NONE`] or [`AWAY`].
    parent: u32,
    block: u32,
    request: u32,
}

#[derive(Debug)]
struct Late {
    parent: u32,
    child: u32,
    /// No later than any before.
    most: Duration,
}

impl Patterns {
    /// Heap bytes taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Only when traces are asked.
    #[cfg(test)]
    pub fn unlearned(&self) -> Self {
        Self { sizes: self.sizes, ..Self::default() }
    }

    /// Whether a usual trace had so many spans.
    pub fn had_one_of(&self, spans: usize) -> bool {
        spans < u64::BITS as usize && self.sizes & 1 << spans != 0
    }

    /// The pattern a trace is just like, if what is usual has not changed since it was learned.
    pub fn find(&mut self, trace: &Trace, changes: u64) -> Option<&Pattern> {
        if self.places.is_empty() || !may_be_like_another(trace) {
            return None;
        }
        let pattern = self.places.get(place_of(trace))?.as_ref();
        let found = pattern.filter(|pattern| pattern.changes == changes && pattern.fits(trace));
        self.missed = if found.is_some() { 0 } else { self.missed.saturating_add(1) };
        found
    }

    /// Learns what a usual trace, whose order has just been worked out, is like.
    pub fn learn(&mut self, trace: &Trace, order: &Order, tallies: &Tallies, shapes: &Shapes) {
        if !may_be_like_another(trace) || order.cycles > 0 {
            return;
        }
        self.sizes |= 1 << trace.records.len();
        let is_doubted = self.missed >= DOUBT && !self.missed.is_multiple_of(DOUBT);
        if is_doubted {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
            self.bytes = PLACES * size_of::<Option<Pattern>>();
        }
        let Some(pattern) = Pattern::of(trace, order, tallies, shapes) else { return };
        self.bytes += pattern.bytes();
        if let Some(place) = self.places.get_mut(place_of(trace))
            && let Some(old) = place.replace(pattern)
        {
            self.bytes -= old.bytes();
        }
    }
}

/// One of which nothing left before, and which is small.
fn may_be_like_another(trace: &Trace) -> bool {
    trace.steady && trace.earlier.is_none() && !trace.is_large()
}

/// Where its pattern is kept.
fn place_of(trace: &Trace) -> usize {
    let mix = |key: u64, record: &Record| {
        let own = u64::from(record.shape.number()) | u64::from(record.request) << 32;
        (key.rotate_left(5) ^ own).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    (trace.records.iter().fold(0, mix) >> 32) as usize % PLACES
}

impl Pattern {
    /// `None` where a shape is no longer usual.
    fn of(trace: &Trace, order: &Order, tallies: &Tallies, shapes: &Shapes) -> Option<Self> {
        let spans = trace.records.iter().zip(0..).map(|(record, at)| Span {
            shape: record.shape,
            parent: order.parent_of(at).unwrap_or(if record.parent.is_none() { NONE } else { AWAY }),
            block: record.block,
            request: record.request,
        });
        let spans: Vec<_> = spans.collect();
        let mut late = Vec::new();
        for (span, child) in spans.iter().zip(0..) {
            let (Some(parent), Some(record)) =
                (trace.records.get(span.parent as usize), trace.records.get(child as usize))
            else {
                continue;
            };
            if tally::lag(parent, record).is_some() {
                late.push(Late { parent: span.parent, child, most: shapes.usual_lag(parent.shape)? });
            }
        }
        Some(Self {
            spans,
            processes: processes(trace).collect(),
            neighbours: order.neighbours(&trace.records),
            late,
            changes: shapes.changes(),
            worked: Rc::new(order.keep()),
            tallies: tallies.all().into(),
            roles: tally::roles(trace, tallies),
        })
    }

    /// Whether the same tree and the same tallies would be worked out of this trace.
    fn fits(&self, trace: &Trace) -> bool {
        let records = &trace.records;
        let record = |at: u32| records.get(at as usize);
        let is_span = |(span, record): (&Span, &Record)| {
            let is_parent = match span.parent {
                NONE => record.parent.is_none(),
                AWAY => {
                    !record.parent.is_none()
                        && trace.find(record.parent).is_none()
                        && trace.needs(record).is_none()
                }
                at => trace.ids.get(at as usize) == Some(&record.parent),
            };
            is_parent
                && (span.shape, span.block, span.request) == (record.shape, record.block, record.request)
        };
        let in_time = |late: &Late| match (record(late.parent), record(late.child)) {
            (Some(parent), Some(child)) => tally::lag(parent, child) <= Some(late.most),
            _ => false,
        };
        self.spans.len() == records.len()
            && self.spans.iter().zip(records).all(is_span)
            && self.processes.iter().copied().eq(processes(trace))
            && self.late.iter().all(in_time)
    }

    /// Whether a trace it fits leaves in the same order, too.
    pub fn is_in_order(&self, trace: &Trace) -> bool {
        let rank = |at: u32| trace.records.get(at as usize).map(|record| (record.start, record.id));
        self.neighbours.iter().all(|&(one, next)| rank(one) < rank(next))
    }

    fn bytes(&self) -> usize {
        /// Of a span in what was worked out, and its tally.
        const WORKED: usize = 3 * size_of::<u32>() + size_of::<Tally>() + size_of::<Role>();
        self.spans.len() * (size_of::<Span>() + WORKED + size_of::<(u32, u32)>() + size_of::<Late>())
            + self.processes.len() * 4 * size_of::<u32>()
    }
}

/// Of each block of a trace the first that is of the same process.
fn processes(trace: &Trace) -> impl Iterator<Item = u32> {
    trace.blocks.iter().map(|(process, _)| {
        let first = trace.blocks.iter().position(|(other, _)| other.id == process.id);
        first.map_or(NONE, |first| first as u32)
    })
}
