//! Which span speaks for a trace, and what parents are mended so that a server takes it for the root.
//!
//! The wire has five kinds of claimant: a span without a parent; one marked `as_root`, whose ids were given
//! by hand, so that the parent it names may exist nowhere (a phantom) or in another process; one marked
//! `is_app_root`; one whose parent is eight zero bytes; and orphans, whose parent never came. They are told
//! apart here, once the trace leaves. For servers that know roots only by an absent parent or by a mark
//! (`Settings::mend`) the others are mended, and the parent they named is kept (`Mend`).
//!
//! The one surprise: what was cut short is left alone. Its parents may still come.

use super::Scope;
use super::order::Order;
use super::trace::{Marks, Record, Trace};
use crate::model::Reason;
use crate::semantics::claims::{Claims, Has};
use crate::semantics::roots::Mend;
use crate::wire::SpanId;

/// Where each span hangs, of a trace whose order was worked out.
#[derive(Debug)]
pub(super) struct Roots {
    /// The record that speaks for the trace.
    pub speaker: Option<u32>,
    /// Records to be mended, in the order of the records.
    pub mends: Vec<(u32, Mend)>,
}

impl Roots {
    /// `mend`: for a server that needs it.
    pub fn of(trace: &Trace, order: &Order, reason: Reason, mend: bool) -> Self {
        let had_its_time = matches!(reason, Reason::Complete | Reason::Idle);
        let mut speaker = speaker(trace, order);
        if !mend {
            return Self { speaker, mends: Vec::new() };
        }
        let known = trace.earlier.as_ref().and_then(|earlier| earlier.root());
        if speaker.is_none() && known.is_none() && had_its_time {
            speaker = order.ranked().first().copied();
        }
        let speaks = speaker.and_then(|at| trace.records.get(at as usize)).map(|record| record.id);
        let adopter = Adopter { trace, order, had_its_time, root: speaks.or(known) };
        let mends = (0..).zip(&trace.records);
        Self { speaker, mends: mends.filter_map(|(at, r)| Some((at, adopter.mend(at, r)?))).collect() }
    }
}

/// A span without a parent; else one that is marked; else, where each process's tree is a trace of its
/// own, the first. Not of a trace whose root has left before: that one speaks.
fn speaker(trace: &Trace, order: &Order) -> Option<u32> {
    let first = *order.ranked().first()?;
    let is_root = trace.records.get(first as usize).is_some_and(|record| record.parent.is_none());
    if is_root || trace.scope == Scope::Local {
        return Some(first);
    }
    if trace.has_root() {
        return None;
    }
    let tops = || order.ranked().iter().copied().filter(|&at| order.parent_of(at).is_none());
    let marked = |mark| tops().find(|&at| marks(trace, at).has(mark));
    marked(Has::AS_ROOT).or_else(|| marked(Has::APP_ROOT))
}

fn marks(trace: &Trace, at: u32) -> Has {
    match trace.records.get(at as usize) {
        Some(record) if record.marks.has(Marks::NOTED) => {
            record.has().unwrap_or_else(|| Claims::of(trace.body(record.place)).has)
        }
        _ => Has::NONE,
    }
}

/// Finds orphans a parent.
struct Adopter<'a> {
    trace: &'a Trace,
    order: &'a Order,
    had_its_time: bool,
    /// The trace's root, if one is known.
    root: Option<SpanId>,
}

impl Adopter<'_> {
    fn mend(&self, at: u32, record: &Record) -> Option<Mend> {
        if record.parent.is_none() {
            let zero = record.marks.has(Marks::ZERO_PARENT);
            return zero.then_some(Mend { parent: Some((SpanId::NONE, SpanId::NONE)), unmark: false });
        }
        let is_marked = || marks(self.trace, at).has(Has::AS_ROOT);
        let is_orphan = self.order.parent_of(at).is_none() && self.trace.needs(record).is_some();
        if !is_orphan {
            return is_marked().then_some(Mend { parent: None, unmark: true });
        }
        match self.root {
            Some(root) if root == record.id => self
                .had_its_time
                .then_some(Mend { parent: Some((record.parent, SpanId::NONE)), unmark: false }),
            // A late span's parent may be late too; one that was given by hand never comes.
            Some(root) if self.had_its_time || is_marked() => {
                Some(Mend { parent: Some((record.parent, root)), unmark: is_marked() })
            }
            _ => None,
        }
    }
}
