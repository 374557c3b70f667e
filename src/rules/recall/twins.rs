//! Items that are just like one before, but for what no rule looks at.
//!
//! Spans of one kind mostly differ in their ids and times alone. Such an item is told by one comparison, without a look
//! at its fields, and goes out as the one before did, with what is its own in its place. What nobody reads may be
//! another, but no longer or shorter: so each field stands where it stood.

use std::ops::Range;

use smallvec::SmallVec;

use super::lessons::Order;
use super::odds::Odds;
use super::shapes::{Field, RESOURCE, SCOPE};
use super::{SHORT, field_of};
use crate::rules::engine::Outcome;
use crate::rules::frame::Frame;
use crate::rules::hash::same;

/// Known at once; the next takes the place of the eldest.
const TWINS_MAX: usize = 64;
/// Stretches with no more than this between them are copied as one.
const GAP_MAX: usize = 8;

#[derive(Debug, Default)]
pub struct Twins {
    all: Vec<Twin>,
    /// The one that was found last: the next item is mostly of its kind.
    last: usize,
    eldest: usize,
    odds: Odds,
}

/// An item, and what became of it.
#[derive(Debug)]
struct Twin {
    item: Box<[u8]>,
    /// The bits of it that another has to have too.
    mask: Box<[u8]>,
    /// What is around it, where somebody reads that.
    resource: Option<Box<[u8]>>,
    scope: Option<Box<[u8]>>,
    /// As it goes out; `None`: as it came.
    written: Option<Box<[u8]>>,
    /// What is each item's own, and where it stands in what goes out.
    own: SmallVec<[(Range<usize>, usize); 4]>,
    matched: SmallVec<[u32; 8]>,
}

/// An item, what is read of it, and what became of it.
pub struct Model<'m> {
    pub item: &'m [u8],
    pub frame: &'m Frame<'m>,
    pub fields: &'m [Field],
    /// Places among the fields, and around them.
    pub reads: &'m [u32],
    pub changes: &'m [(Order, &'m [u8])],
    pub outcome: &'m Outcome,
}

impl Twins {
    /// What becomes of an item that is like one that is known.
    #[inline]
    pub fn outcome(&mut self, item: &[u8], frame: &Frame<'_>) -> Option<Outcome> {
        if self.all.is_empty() || !self.odds.are_good() {
            return None;
        }
        let is = |twin: &Twin| twin.is(item, frame);
        let found = match self.all.get(self.last) {
            Some(twin) if is(twin) => Some(self.last),
            _ => self.all.iter().position(is),
        };
        self.odds.note(found.is_some());
        self.last = found?;
        self.all.get(self.last).map(|twin| twin.outcome(item))
    }

    /// Keeps an item that is like none that is known; `kept` changes by what that takes.
    pub fn learn(&mut self, model: &Model<'_>, kept: &mut usize) {
        if self.odds.are_resting() || model.item.len() > SHORT {
            return;
        }
        let twin = Twin::of(model);
        *kept += twin.bytes();
        if self.all.len() < TWINS_MAX {
            return self.all.push(twin);
        }
        if let Some(eldest) = self.all.get_mut(self.eldest) {
            *kept = kept.saturating_sub(eldest.bytes());
            *eldest = twin;
        }
        self.eldest = (self.eldest + 1) % TWINS_MAX;
    }
}

impl Twin {
    #[cold]
    fn of(model: &Model<'_>) -> Self {
        let Model { item, frame, fields, reads, changes, outcome } = *model;
        let (mut mask, mut own) = (vec![0xff; item.len()], SmallVec::<[(Range<usize>, usize); 4]>::new());
        let mut changed = 0;
        for (place, field) in (0..).zip(fields).filter(|(place, _)| !reads.contains(place)) {
            let free = field.carried();
            mask.get_mut(free.clone()).unwrap_or_default().fill(0);
            let (before, behind) =
                changes.split_at(changes.partition_point(|(order, _)| field_of(*order) < place));
            if behind.first().is_some_and(|(order, _)| field_of(*order) == place) {
                continue;
            }
            let gone =
                |order| fields.get(field_of(order) as usize).map_or(0, |field| field.slot.range().len());
            let cut: usize = before.iter().map(|(order, _)| gone(*order)).sum();
            let put: usize = before.iter().map(|(_, new)| new.len()).sum();
            match own.last_mut() {
                Some((last, _)) if before.len() == changed && free.start - last.end <= GAP_MAX => {
                    last.end = free.end;
                }
                _ => own.push((free.clone(), free.start + put - cut)),
            }
            changed = before.len();
        }
        let around = |place, bytes: &[u8]| reads.contains(&place).then(|| bytes.into());
        Self {
            item: item.into(),
            mask: mask.into(),
            resource: around(RESOURCE, frame.resource),
            scope: around(SCOPE, frame.scope),
            written: (!outcome.edits.is_empty()).then(|| outcome.edits.apply(item).into()),
            own,
            matched: outcome.matched.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let len = |bytes: &Option<Box<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        size_of::<Self>() + 2 * self.item.len() + len(&self.resource) + len(&self.scope) + len(&self.written)
    }

    #[inline]
    fn is(&self, item: &[u8], frame: &Frame<'_>) -> bool {
        let around = |known: &Option<Box<[u8]>>, now| known.as_ref().is_none_or(|known| same(known, now));
        self.item.len() == item.len()
            && alike(item, &self.item, &self.mask)
            && around(&self.resource, frame.resource)
            && around(&self.scope, frame.scope)
    }

    #[inline]
    fn outcome(&self, item: &[u8]) -> Outcome {
        let mut outcome = Outcome { matched: SmallVec::from_slice(&self.matched), ..Outcome::default() };
        if let Some(written) = &self.written {
            outcome.edits.reserve(1, written.len());
            outcome.edits.put(0..item.len(), |out| {
                out.extend_from_slice(written);
                for (own, at) in &self.own {
                    let (place, own) = (out.get_mut(*at..*at + own.len()), item.get(own.clone()));
                    if let (Some(place), Some(own)) = (place, own) {
                        place.copy_from_slice(own);
                    }
                }
            });
        }
        outcome
    }
}

/// Whether two texts of one length have the same in all bits of `mask`, sixteen bytes at a time.
#[inline]
fn alike(left: &[u8], right: &[u8], mask: &[u8]) -> bool {
    let differ = |left: &[u8; 16], right: &[u8; 16], mask: &[u8; 16]| {
        let [left, right, mask] = [left, right, mask].map(|bytes| u128::from_le_bytes(*bytes));
        (left ^ right) & mask != 0
    };
    let ((lefts, rest), (rights, _), (masks, _)) =
        (left.as_chunks(), right.as_chunks(), mask.as_chunks::<16>());
    let mut whole = lefts.iter().zip(rights).zip(masks);
    if whole.any(|((left, right), mask)| differ(left, right, mask)) {
        return false;
    }
    match (left.last_chunk(), right.last_chunk(), mask.last_chunk()) {
        _ if rest.is_empty() => true,
        // Some of them for the second time.
        (Some(left), Some(right), Some(mask)) => !differ(left, right, mask),
        _ => left.iter().zip(right).zip(mask).all(|((left, right), mask)| (left ^ right) & mask == 0),
    }
}
