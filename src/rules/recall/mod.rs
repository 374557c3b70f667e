//! What rules made of earlier items, for those that say the same.
//!
//! Items of one service repeat: the same keys in the same order (`shapes`), most of the same values. A program is
//! divided into parts that have nothing to do with each other (`division`, by what `reach` tells of each statement);
//! what a part made of a shape and of the values that it reads is kept (`lessons`) and laid down again. Parts that read
//! what is new each time are carried out each time (`run`), by the same interpreter, all in one go. Where all of it is
//! known, the whole item is kept as well, and one just like it is not even gone through (`twins`).
//!
//! What is looked for is compared byte by byte, not by its hash alone. Whatever does not fit (an attribute written
//! as nobody writes it, a statement that drops the item or fails) is left to the long way, which does not differ in
//! anything but time. The surprise: it is kept in the rules themselves, once for each thread that is at work with
//! them, and goes when they go.

mod division;
mod lessons;
mod odds;
mod reach;
mod run;
mod shapes;
mod twins;

pub use division::Division;

use std::ops::Range;

use smallvec::SmallVec;

use self::lessons::{Learnt, Lesson, Order};
use self::odds::Odds;
use self::run::{Ground, Planned};
use self::shapes::{Field, Group, Shape, Shapes};
use self::twins::{Model, Twins};
use super::engine::{Outcome, Rules};
use super::frame::Frame;
use super::hash::Hash;
use crate::wire::Signal;
use crate::wire::patch::Patch;

/// Bytes that are kept, for each thread and kind of item; beyond that all is forgotten and learnt anew.
const KEPT_MAX: usize = 1 << 20;
/// Items that are longer are not copied but for what changes.
const SHORT: usize = 4096;

/// The changes of an item, in their order, each with the bytes that come there.
type Changes<'l> = SmallVec<[(Order, &'l [u8]); 16]>;

#[derive(Debug, Default)]
pub struct Recall {
    hash: Hash,
    twins: Twins,
    shapes: Shapes,
    /// Whether what comes has shapes that are known.
    odds: Odds,
    /// Bytes held.
    kept: usize,
}

/// Rules at work with what is remembered.
#[derive(Debug)]
pub struct Recalling<'r> {
    rules: &'r Rules,
    signal: Signal,
    recall: Option<(&'r Division, Recall)>,
}

impl<'r> Recalling<'r> {
    pub fn of(rules: &'r Rules, signal: Signal, division: Option<&'r Division>) -> Self {
        Self { rules, signal, recall: division.map(|division| (division, division.borrow())) }
    }

    /// What becomes of an item's body, as [`Rules::apply_item`] says it.
    pub fn apply_item<'a>(&mut self, item: &'a [u8], frame: Frame<'a>) -> Outcome
    where
        'r: 'a,
    {
        let known = self.recall.as_mut();
        let known = known.and_then(|(division, recall)| recall.outcome(self.rules, division, item, frame));
        known.unwrap_or_else(|| self.rules.apply_item(self.signal, item, frame))
    }
}

#[cfg(test)]
impl<'r> Recalling<'r> {
    /// With hashes under which nearly everything meets.
    pub fn weak(rules: &'r Rules, signal: Signal) -> Self {
        let mut weak = rules.recalling(signal);
        weak.recall.iter_mut().for_each(|(_, recall)| {
            recall.hash = Hash::weak();
        });
        weak
    }
}

impl Drop for Recalling<'_> {
    fn drop(&mut self) {
        if let Some((division, recall)) = self.recall.take() {
            division.give_back(recall);
        }
    }
}

impl Recall {
    /// What becomes of an item; `None`: that is not to be said in the short way.
    fn outcome<'a>(
        &mut self,
        rules: &'a Rules,
        division: &'a Division,
        item: &'a [u8],
        frame: Frame<'a>,
    ) -> Option<Outcome> {
        if let Some(outcome) = self.twins.outcome(item, &frame) {
            return Some(outcome);
        }
        if !self.odds.are_good() {
            return None;
        }
        if self.kept > KEPT_MAX {
            *self = Self { hash: self.hash, odds: self.odds, ..Self::default() };
        }
        let Self { hash, twins, shapes, odds, kept } = self;
        let before = *kept;
        let of_item = shapes.of(item, division, rules.names.of(division.context), kept);
        odds.note(of_item.is_some() && *kept == before);
        let (fields, Shape { outline, reads, groups, odd: false }) = of_item? else { return None };
        let ground = Ground { rules, division, item, fields, outline, frame: &frame };
        let (mut known, mut live) = (SmallVec::<[&Learnt; 16]>::new(), SmallVec::<[usize; 16]>::new());
        let value = |place| match place {
            shapes::RESOURCE => frame.resource,
            shapes::SCOPE => frame.scope,
            place => fields.get(place as usize).map_or(&[][..], |field| field.value(item)),
        };
        for Group { units, lessons } in groups {
            match lessons.about(value, hash, kept, || ground.run(units, |ran| Lesson::of(ran, fields))) {
                Some(Lesson::Learnt(learnt)) => known.push(learnt),
                Some(Lesson::Decides) => return None,
                _ => units.iter().for_each(|unit| live.push(*unit)),
            }
        }
        let (mut outcome, mut planned) = (Outcome::default(), Planned::default());
        let all_known = live.is_empty();
        if !all_known {
            live.sort_unstable();
            (outcome, planned) = match ground.run(&live, |ran| ran.finished(fields))? {
                (outcome, Some(planned)) => (outcome, planned),
                (stopped, None) => return Some(stopped),
            };
        }
        let mut changes = Changes::new();
        for learnt in known {
            learnt.changes().for_each(|change| changes.push(change));
            learnt.matched.iter().for_each(|number| outcome.matched.push(*number));
        }
        planned.changes().for_each(|change| changes.push(change));
        changes.sort_by_key(|(order, _)| *order);
        outcome.matched.sort_unstable();
        write(&changes, fields, item, &mut outcome.edits);
        if all_known {
            let (frame, changes, outcome) = (&frame, changes.as_slice(), &outcome);
            twins.learn(&Model { item, frame, fields, reads, changes, outcome }, kept);
        }
        Some(outcome)
    }
}

/// The place of the field that is changed.
fn field_of(order: Order) -> u32 {
    (order >> 32) as u32
}

/// Where it stands in an item that ends there.
fn gone(order: Order, fields: &[Field], end: usize) -> Range<usize> {
    fields.get(field_of(order) as usize).map_or(end..end, |field| field.slot.range())
}

/// Plans the changes of an item. A short one is laid down at once.
fn write(changes: &[(Order, &[u8])], fields: &[Field], item: &[u8], edits: &mut Patch) {
    let end = item.len();
    let gone = |order| gone(order, fields, end);
    let new = changes.iter().map(|(_, new)| new.len()).sum::<usize>();
    if changes.is_empty() {
        return;
    }
    if end > SHORT {
        edits.reserve(changes.len(), new);
        return changes
            .iter()
            .for_each(|(order, new)| edits.put(gone(*order), |out| out.extend_from_slice(new)));
    }
    edits.reserve(1, end + new);
    edits.put(0..end, |out| {
        let mut copied = 0;
        for (order, new) in changes {
            let gone = gone(*order);
            if copied < gone.start {
                out.extend_from_slice(item.get(copied..gone.start).unwrap_or_default());
            }
            out.extend_from_slice(new);
            copied = gone.end;
        }
        out.extend_from_slice(item.get(copied..).unwrap_or_default());
    });
}
