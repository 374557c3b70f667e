//! Counts each span's children: how many are here, how many from other processes, how late they came.
//!
//! A process is its resource: equal resource bytes are one process, which is as near as the wire lets
//! us come. Replicas that call each other mostly differ in host, pod or instance id.

use std::rc::Rc;
use std::time::Duration;

use super::habit::Tally;
use super::ledger::{Gone, Role};
use super::order::Order;
use super::shapes::Shapes;
use super::trace::{Record, Trace};
use crate::model::{Reason, Time};

/// One tally for each record of a trace; kept between traces.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    each: Vec<Tally>,
    recalled: Option<Recalled>,
    /// The trace was found to be just like all of its shapes.
    pub usual: bool,
}

/// Those of a trace just like this one, but for how late its spans were, and what its spans are remembered as.
type Recalled = (Rc<[Tally]>, Rc<[Role]>);

/// Of traces that are just like all others one in so many is learned from: they say nothing new.
const USUAL_SHARE: u64 = 8;

impl Tallies {
    /// Counts the children of every span, with the parents `order` has linked.
    pub fn count(&mut self, trace: &Trace, order: &Order) {
        (self.usual, self.recalled) = (false, None);
        self.each.clear();
        self.each.resize(trace.records.len(), Tally::default());
        for (child, at) in trace.records.iter().zip(0..) {
            let Some(parent) = order.parent_of(at).filter(|&parent| parent != at) else { continue };
            let Some(span) = trace.records.get(parent as usize) else { continue };
            let Some(tally) = self.each.get_mut(parent as usize) else { continue };
            let remote = child.block != span.block && resource(trace, child) != resource(trace, span);
            tally.all += 1;
            tally.remote += u32::from(remote);
            if let Some(lag) = lag(span, child) {
                tally.lag = tally.lag.max(Some(lag));
                tally.local_late |= !remote;
            }
        }
    }

    /// Takes those of a trace that was just like the one to be looked at.
    pub fn recall(&mut self, tallies: &Rc<[Tally]>, roles: &Rc<[Role]>) {
        (self.usual, self.recalled) = (true, Some((tallies.clone(), roles.clone())));
    }

    pub fn were_recalled(&self) -> bool {
        self.recalled.is_some()
    }

    pub fn of(&self, at: u32) -> Tally {
        self.all().get(at as usize).copied().unwrap_or_default()
    }

    pub fn all(&self) -> &[Tally] {
        self.recalled.as_ref().map_or(&self.each, |(tallies, _)| tallies)
    }

    /// Gives back what an unusually large trace needed.
    pub fn trim(&mut self) {
        if self.each.capacity() > super::order::KEEP_MAX {
            self.each = Vec::new();
        }
    }
}

/// How long after its parent a span came, if in a later request. Times are kept in whole milliseconds: a later one is
/// never taken for none.
pub(super) fn lag(parent: &Record, child: &Record) -> Option<Duration> {
    let after = child.after_ms.saturating_sub(parent.after_ms);
    (child.request > parent.request).then(|| Duration::from_millis(u64::from(after) + 1))
}

fn resource(trace: &Trace, record: &Record) -> u64 {
    trace.blocks.get(record.block as usize).map_or(0, |(resource, _)| resource.id)
}

/// A trace that had its time leaves: every span's habit is seen once more. One that was cut short
/// says nothing of what would have come.
pub(super) fn learn(
    shapes: &mut Shapes,
    now: Time,
    trace: &Trace,
    (tallies, order): (&mut Tallies, &Order),
    reason: Reason,
) {
    let nth = shapes.next_trace(now);
    let told = !tallies.usual || nth.is_multiple_of(USUAL_SHARE);
    if !told || !matches!(reason, Reason::Complete | Reason::Idle) {
        return;
    }
    if tallies.were_recalled() {
        // How late its own spans were.
        tallies.count(trace, order);
    }
    for (record, at) in trace.records.iter().zip(0..) {
        shapes.observe(record.shape, &tallies.of(at));
    }
}

/// A span whose parent had left by itself is that parent's late child: its shape is corrected.
pub(super) fn settle_late(shapes: &mut Shapes, trace: &mut Trace) {
    let Some(mut earlier) = trace.earlier.take() else { return };
    if earlier.had_its_time() {
        for record in &trace.records {
            if let Some(parent) = earlier.gone_mut(record.parent) {
                let tally = late_child(parent, trace, record);
                shapes.correct(parent.1.shape, &tally);
            }
        }
    }
    trace.earlier = Some(earlier);
}

/// The spans that leave now, as they are remembered.
pub(super) fn gone(trace: &Trace) -> impl ExactSizeIterator<Item = Gone> {
    // As `arrived`, to the millisecond.
    let first = Gone::instant(trace.first);
    trace.records.iter().map(move |record| {
        let arrived = first.wrapping_add(record.after_ms);
        Gone::new(record.id, arrived, resource(trace, record), record.place.len as usize)
    })
}

/// What they are remembered as.
pub(super) fn roles(trace: &Trace, tallies: &Tallies) -> Rc<[Role]> {
    if let Some((_, roles)) = &tallies.recalled {
        return roles.clone();
    }
    let records = trace.records.iter().zip(0..);
    records
        .map(|(record, at)| {
            let Tally { all, remote, .. } = tallies.of(at);
            Role::new(record.shape, (all, remote))
        })
        .collect()
}

/// One more child for a span that has left.
fn late_child((parent, role): &mut (Gone, Role), trace: &Trace, child: &Record) -> Tally {
    let remote = !parent.is_of(resource(trace, child));
    role.all = role.all.saturating_add(1);
    role.remote = role.remote.saturating_add(u8::from(remote));
    Tally {
        all: role.all.into(),
        remote: role.remote.into(),
        lag: Some(parent.lag_at(arrived(trace, child))),
        local_late: !remote,
    }
}

fn arrived(trace: &Trace, record: &Record) -> Time {
    trace.first + Duration::from_millis(record.after_ms.into())
}
