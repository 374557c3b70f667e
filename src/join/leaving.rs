//! A trace on its way out: its spans as ranges of its own chunks, in blocks, with what it says of itself.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::Scope;
use super::heads::Head;
use super::ledger::Farewell;
use super::order::Order;
use super::trace::{self, Place, Record, Trace};
use crate::model::{Origin, Reason, Repairs, TenantKey, Time};
use crate::semantics::{SPAN_ATTRIBUTES, facts};
use crate::wire::TraceId;

/// Facts about a trace, as its own spans state them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    pub environment: Option<Rc<str>>,
    pub release: Option<Rc<str>>,
}

/// A trace (or one late part of it) on its way out. Blocks and spans are in an order that depends
/// on the spans alone, never on how they arrived; parents stand before their children.
///
/// It holds at least one span. What settles with it: its spans, `repairs.duplicates`.
#[derive(Debug)]
pub struct Leaving {
    pub trace: TraceId,
    /// Whose headers it travels with: the root span's, else the least of those seen that has any.
    pub origin: Arc<Origin>,
    pub reason: Reason,
    pub first_arrival: Time,
    pub last_arrival: Time,
    /// Requests its spans came in.
    pub requests: u32,
    pub repairs: Repairs,
    /// What the trace says of itself, or said before (the ledger).
    pub context: Context,
    pub blocks: Vec<LeavingBlock>,
    /// Bytes it was charged for while held.
    pub held_bytes: usize,
    places: Vec<Place>,
    held: Box<Trace>,
}

/// Spans of one resource and one scope. Their bytes: [`Leaving::spans`].
#[derive(Clone, Debug)]
pub struct LeavingBlock {
    pub resource: Rc<Head>,
    pub scope: Rc<Head>,
    from: u32,
    to: u32,
}

impl LeavingBlock {
    /// Spans in it, at least one.
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.to == self.from
    }
}

/// The body of a Span message (no tag, no length).
#[derive(Clone, Debug)]
pub enum SpanBytes<'a> {
    /// Small: copy it.
    Copied(&'a [u8]),
    /// Large, a slice of the request it came in: worth sharing.
    Shared(Bytes),
}

/// From here on sharing a span's bytes costs less than copying them.
const SHARED_MIN: u32 = 16 * 1024;

impl std::ops::Deref for SpanBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Leaving {
    /// The spans of one of its blocks, in order.
    pub fn spans(&self, block: &LeavingBlock) -> impl ExactSizeIterator<Item = SpanBytes<'_>> {
        let held = &*self.held;
        let places = self.places.get(block.from as usize..block.to as usize).unwrap_or_default();
        places.iter().map(|&place| {
            let bytes = held.body(place);
            match place.pin().and_then(|pin| held.pins.get(pin)) {
                Some(pin) if place.len >= SHARED_MIN => SpanBytes::Shared(pin.request.slice_ref(bytes)),
                _ => SpanBytes::Copied(bytes),
            }
        })
    }

    /// Spans in all blocks. `repairs.duplicates` more were taken and settle with them.
    pub fn span_count(&self) -> usize {
        self.places.len()
    }

    /// Bytes of all spans.
    pub fn span_bytes(&self) -> usize {
        self.places.iter().map(|place| place.len as usize).sum()
    }

    /// What it was held in.
    pub(super) fn trace(&self) -> &Trace {
        &self.held
    }

    pub(super) fn into_trace(self) -> Box<Trace> {
        self.held
    }
}

/// Takes a trace apart, in the order worked out for it; with what is to be remembered of it.
pub(super) fn let_go(
    trace: Box<Trace>,
    order: &Order,
    reason: Reason,
    release_key: &str,
) -> (Leaving, Farewell) {
    let first = order.ranked().first().and_then(|&at| trace.records.get(at as usize));
    let root = first.filter(|r| r.parent.is_none() || trace.scope == Scope::Local);
    let context = context(&trace, root, release_key);
    let origin = origin(&trace, root);
    let repairs = Repairs {
        orphans: order.orphans,
        cycles: order.cycles,
        zero_parents: count(trace.records.iter().filter(|r| r.marks.has(trace::Marks::ZERO_PARENT))),
        ..trace.repairs
    };
    let root_known = trace.roots > 0 || trace.earlier.as_ref().is_some_and(|e| e.farewell.root_known);
    let farewell = Farewell { context: context.clone(), origin: origin.clone(), reason, root_known };
    let (blocks, places) = blocks(&trace, order);
    let leaving = Leaving {
        trace: trace.id,
        origin,
        reason,
        first_arrival: trace.first,
        last_arrival: trace.last,
        requests: trace.requests,
        repairs,
        context,
        blocks,
        held_bytes: trace.charged,
        places,
        held: trace,
    };
    (leaving, farewell)
}

fn count<'a>(records: impl Iterator<Item = &'a Record>) -> u32 {
    u32::try_from(records.count()).unwrap_or(u32::MAX)
}

/// Spans in the order of their ranks, gathered by block; blocks in the order of their first span.
fn blocks(trace: &Trace, order: &Order) -> (Vec<LeavingBlock>, Vec<Place>) {
    const UNSEEN: u32 = u32::MAX;
    let mut rank_of: SmallVec<[u32; 8]> = smallvec![UNSEEN; trace.blocks.len()];
    let mut blocks: Vec<LeavingBlock> = Vec::with_capacity(trace.blocks.len());
    let records = || order.ranked().iter().filter_map(|&at| trace.records.get(at as usize));
    for record in records() {
        let Some(rank) = rank_of.get_mut(record.block as usize) else { continue };
        if *rank == UNSEEN
            && let Some((resource, scope)) = trace.blocks.get(record.block as usize)
        {
            *rank = blocks.len() as u32;
            blocks.push(LeavingBlock { resource: resource.clone(), scope: scope.clone(), from: 0, to: 0 });
        }
        if let Some(block) = blocks.get_mut(*rank as usize) {
            block.to += 1;
        }
    }
    let mut at = 0;
    for block in &mut blocks {
        let count = block.to;
        (block.from, block.to) = (at, at);
        at += count;
    }
    let mut places = vec![Place::default(); at as usize];
    for record in records() {
        let rank = rank_of.get(record.block as usize).copied().unwrap_or(UNSEEN);
        if let Some(block) = blocks.get_mut(rank as usize)
            && let Some(place) = places.get_mut(block.to as usize)
        {
            *place = record.place;
            block.to += 1;
        }
    }
    (blocks, places)
}

/// What the root says, itself before its resource; else what the trace said before.
fn context(trace: &Trace, root: Option<&Record>, release_key: &str) -> Context {
    let own = root.map(|root| own_context(trace, root, release_key)).unwrap_or_default();
    let before = trace.earlier.as_ref().map(|earlier| &earlier.farewell.context);
    Context {
        environment: own.environment.or_else(|| before?.environment.clone()),
        release: own.release.or_else(|| before?.release.clone()),
    }
}

fn own_context(trace: &Trace, root: &Record, release_key: &str) -> Context {
    let Some((resource, _)) = trace.blocks.get(root.block as usize) else { return Context::default() };
    let (span, resource) = (facts(trace.body(root.place), SPAN_ATTRIBUTES, release_key), resource.facts());
    Context {
        environment: best(span.environment, &resource.environment),
        release: best(span.release, &resource.release),
    }
}

/// `semantics::best`, sharing the resource's text where the span says nothing new.
fn best<const N: usize>(span: [Option<&str>; N], resource: &[Option<Rc<str>>; N]) -> Option<Rc<str>> {
    span.into_iter().zip(resource).find_map(|(span, resource)| match (span, resource) {
        (Some(said), Some(known)) if said == &**known => Some(known.clone()),
        (Some(said), _) => Some(Rc::from(said)),
        (None, known) => known.clone(),
    })
}

/// The root's request's, if it has headers; else what the trace left with before; else the least named.
fn origin(trace: &Trace, root: Option<&Record>) -> Arc<Origin> {
    let named = |origin: &&Arc<Origin>| origin.key != 0;
    let roots = root.and_then(|root| trace.origins.get(usize::from(root.origin))).filter(named);
    let before = trace.earlier.as_ref().map(|earlier| &earlier.farewell.origin).filter(named);
    let least = || trace.origins.iter().filter(|o| o.tenant != TenantKey::ANONYMOUS).filter(named).min();
    let any = || trace.origins.iter().filter(named).min();
    roots.or(before).or_else(least).or_else(any).cloned().unwrap_or_else(Origin::anonymous)
}
