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
use super::{SHORT, field_of, gone};
use crate::rules::engine::Outcome;
use crate::rules::frame::Frame;
use crate::rules::hash::same;

/// Known at once; the next takes the place of the eldest.
const TWINS_MAX: usize = 64;
/// Stretches with no more than this between them are copied as one.
const GAP_MAX: usize = 8;
/// Bytes that are compared at once.
const AT_ONCE: usize = 64;

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
            let cut: usize = before.iter().map(|(order, _)| gone(*order, fields, item.len()).len()).sum();
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
        let lists = size_of_val(self.own.as_slice()) + size_of_val(self.matched.as_slice());
        let around = len(&self.resource) + len(&self.scope);
        size_of::<Self>() + 2 * self.item.len() + around + len(&self.written) + lists
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

/// Whether two texts of one length have the same in all bits of `mask`: a stretch of them at a time, without a look at
/// each byte.
#[inline]
fn alike(left: &[u8], right: &[u8], mask: &[u8]) -> bool {
    let differ = |((left, right), mask): ((&[u8; AT_ONCE], &[u8; AT_ONCE]), &[u8; AT_ONCE])| {
        let bits = left.iter().zip(right).zip(mask).map(|((left, right), mask)| (left ^ right) & mask);
        bits.fold(0, |all, bits| all | bits) != 0
    };
    let ((lefts, rest), (rights, _), (masks, _)) = (left.as_chunks(), right.as_chunks(), mask.as_chunks());
    if lefts.iter().zip(rights).zip(masks).any(differ) {
        return false;
    }
    match (left.last_chunk(), right.last_chunk(), mask.last_chunk()) {
        _ if rest.is_empty() => true,
        // Some of them for the second time.
        (Some(left), Some(right), Some(mask)) => !differ(((left, right), mask)),
        _ => left.iter().zip(right).zip(mask).all(|((left, right), mask)| (left ^ right) & mask == 0),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    use super::*;
    use crate::rules::recall::Recall;
    use crate::rules::recall::shapes::Shapes;
    use crate::rules::tests::fixture::{frame, rules};
    use crate::rules::{Context, Rules};
    use crate::wire::Signal;

    fn span(name: &str, id: u8) -> Vec<u8> {
        let (trace_id, name) = (vec![id; 16], name.to_owned());
        Span { trace_id, span_id: vec![id; 8], name, end_time_unix_nano: 9, ..Span::default() }
            .encode_to_vec()
    }

    fn renaming() -> Rules {
        rules(Some(Context::Span), &["replace_pattern(name, \"[0-9]+\", \"{id}\")"])
    }

    fn once(recall: &mut Recall, rules: &Rules, item: &[u8]) -> Vec<u8> {
        let outcome =
            recall.outcome(rules, &rules.divisions[0], item, frame()).expect("a span as SDKs write it");
        outcome.edits.apply(item)
    }

    #[test]
    fn one_like_another_is_told_without_a_look_at_its_fields_and_keeps_what_is_its_own() {
        let (rules, mut recall) = (renaming(), Recall::default());
        (0..3).for_each(|id| _ = once(&mut recall, &rules, &span("GET /17", id)));
        recall.shapes = Shapes::default();
        let kept = recall.kept;
        assert_eq!(once(&mut recall, &rules, &span("GET /17", 9)), span("GET /{id}", 9));
        assert_eq!(recall.kept, kept, "its fields were looked at");
        assert_eq!(once(&mut recall, &rules, &span("GET /18", 9)), span("GET /{id}", 9));
        assert!(recall.kept > kept, "what rules look at was taken for another's");
    }

    #[test]
    fn no_more_are_known_than_there_is_room_for() {
        let (rules, mut recall) = (renaming(), Recall::default());
        for n in 0..2000_u32 {
            let name = format!("GET /{}", n / 8);
            let expect =
                rules.apply_item(Signal::Traces, &span(&name, 1), frame()).edits.apply(&span(&name, 1));
            assert_eq!(once(&mut recall, &rules, &span(&name, 1)), expect);
            let all = &recall.twins.all;
            assert!(all.len() <= TWINS_MAX && all.iter().map(Twin::bytes).sum::<usize>() <= recall.kept);
        }
        assert_eq!(recall.twins.all.len(), TWINS_MAX);
    }

    #[test]
    fn every_bit_that_is_masked_counts_and_no_other() {
        let text: Vec<u8> = (0..200).collect();
        for len in [0, 1, 63, 64, 65, 128, 200] {
            let (one, mut mask) = (&text[..len], vec![0xff; len]);
            for at in 0..len {
                let mut other = one.to_vec();
                other[at] ^= 1 << (at % 8);
                assert!(!alike(&other, one, &mask));
                mask[at] = 0;
                assert!(alike(&other, one, &mask));
                mask[at] = 0xff;
            }
        }
    }
}
