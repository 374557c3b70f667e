//! Where the fields of one message stand, found out in one pass.

use smallvec::SmallVec;

use super::slots::{Slot, slots};
use crate::wire::attr::Attr;

/// Field numbers whose last field is found without a search.
const DIRECT: usize = 17;

/// Of the low numbers: one more than the place of the last field that has it.
pub type Last = [u32; DIRECT];

#[derive(Clone, Debug)]
pub struct Index<'a> {
    base: &'a [u8],
    /// All fields, in their order.
    fields: SmallVec<[Slot; 24]>,
    last: Last,
}

impl<'a> Index<'a> {
    /// Of a message that is still to be gone through.
    pub fn of(base: &'a [u8]) -> Self {
        Self { base, fields: SmallVec::new(), last: [0; DIRECT] }
    }

    pub fn fill(&mut self) {
        let last = &mut self.last;
        self.fields.extend((1..).zip(slots(self.base)).map(|(behind, slot)| {
            note(last, behind, slot);
            slot
        }));
    }

    /// Of a message that somebody has gone through.
    #[inline(always)]
    pub fn known(base: &'a [u8], fields: impl Iterator<Item = Slot>, last: Last) -> Self {
        Self { base, fields: fields.collect(), last }
    }

    pub fn last_places(fields: impl Iterator<Item = Slot>) -> Last {
        let mut last = [0; DIRECT];
        (1..).zip(fields).for_each(|(behind, slot)| note(&mut last, behind, slot));
        last
    }

    /// The message as it came.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    #[inline]
    pub fn at(&self, place: u32) -> Option<&Slot> {
        self.fields.get(place as usize)
    }

    pub fn of_number(&self, number: u32) -> impl DoubleEndedIterator<Item = &Slot> {
        self.fields.iter().filter(move |slot| slot.number() == number)
    }

    /// The last field of a number.
    #[inline]
    pub fn last_of(&self, number: u32) -> Option<&Slot> {
        match self.last.get(number as usize) {
            Some(last) => self.at(last.checked_sub(1)?),
            None => self.of_number(number).next_back(),
        }
    }

    /// All fields, by their places.
    pub fn all(&self) -> &[Slot] {
        &self.fields
    }

    /// Where the messages at `field` stand.
    pub fn messages(&self, field: u32) -> impl DoubleEndedIterator<Item = &Slot> {
        self.fields.iter().filter(move |slot| slot.is_message(field))
    }

    /// Their bodies.
    pub fn bodies(&self, field: u32) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.messages(field).map(|slot| slot.body(self.base))
    }

    /// The KeyValues of `key` in the list at `field`.
    pub fn key_values(&self, field: u32, key: &str) -> impl DoubleEndedIterator<Item = &Slot> {
        self.messages(field).filter(move |slot| Attr::key_of(slot.body(self.base)) == key.as_bytes())
    }
}

/// The field at the place before `behind` is the last of its number so far.
#[inline(always)]
fn note(last: &mut Last, behind: u32, slot: Slot) {
    if let Some(last) = last.get_mut(slot.number() as usize) {
        *last = behind;
    }
}
