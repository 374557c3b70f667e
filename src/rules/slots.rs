//! Where the fields of a message stand, and plans for the messages among them.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::draft::Raw;
use crate::wire::fields::{Fields, Payload};
use crate::wire::patch::Patch;

/// The wire type of messages, strings and bytes.
pub const LEN: u32 = 2;

/// Where a field stands in its message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Its number and wire type.
    pub tag: u32,
    start: u32,
    /// What it carries stands from here to the end.
    body: u32,
    end: u32,
}

impl Slot {
    pub fn number(&self) -> u32 {
        self.tag >> 3
    }

    pub fn is_message(&self, number: u32) -> bool {
        self.tag == number << 3 | LEN
    }

    /// The plan for the message that stands here, `body`, becomes a part of the plan for the one around it.
    pub fn nest(&self, body: &[u8], inner: Patch, patch: &mut Patch) {
        patch.nest(self.number(), self.range(), body, inner);
    }

    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where what it carries begins.
    #[inline]
    pub fn body_at(&self) -> u32 {
        self.body
    }

    #[inline]
    pub fn end(&self) -> u32 {
        self.end
    }

    #[inline]
    pub fn body<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.body as usize..self.end as usize).unwrap_or_default()
    }

    /// What a varint field says; `None`: something else stands here.
    pub fn varint(&self, message: &[u8]) -> Option<u64> {
        match message.get(self.range())? {
            [_, value @ ..0x80] if self.tag & 7 == 0 => Some(u64::from(*value)),
            _ => match self.raw(message) {
                Raw::Varint(number) => Some(number),
                _ => None,
            },
        }
    }

    pub fn raw<'a>(&self, message: &'a [u8]) -> Raw<'a> {
        let field = Fields::of(message.get(self.range()).unwrap_or_default()).next();
        field.map_or(Raw::Absent, |field| match field.payload {
            Payload::Varint(number) => Raw::Varint(number),
            Payload::Fixed64(bits) => Raw::Fixed64(bits),
            Payload::Fixed32(bits) => Raw::Fixed32(bits),
            Payload::Len(body) => Raw::Len(Cow::Borrowed(body)),
            Payload::Group => Raw::Absent,
        })
    }
}

/// What tells most keys apart: their length and last letters. Never zero.
#[inline]
pub fn print_of(key: &[u8]) -> u32 {
    let len = key.len() as u32;
    match key.last_chunk::<4>() {
        Some(end) => u32::from_le_bytes(*end).rotate_left(len) | 1,
        None => key.iter().fold(len, |print, byte| print << 8 | u32::from(*byte)) | 1,
    }
}

/// The fields of a message; those beyond four gigabytes are not seen.
pub fn slots(message: &[u8]) -> Slots<'_> {
    Slots { rest: message, at: 0 }
}

#[derive(Clone, Debug)]
pub struct Slots<'a> {
    /// What has not been read yet, and where it begins.
    rest: &'a [u8],
    at: u32,
}

impl Iterator for Slots<'_> {
    type Item = Slot;

    #[inline(always)]
    fn next(&mut self) -> Option<Slot> {
        let rest = self.rest;
        // One byte of tag and one or two of length: nearly every field.
        let (tag, head, len) = match *rest {
            [tag @ 8..0x80, len @ ..0x80, ..] if tag & 7 == 2 => (u32::from(tag), 2, usize::from(len)),
            [tag @ 8..0x80, low, high @ ..0x80, ..] if tag & 7 == 2 => {
                (u32::from(tag), 3, usize::from(low & 0x7f) | usize::from(high) << 7)
            }
            [tag @ 8..0x80, ..0x80, ..] if tag & 7 == 0 => (u32::from(tag), 2, 0),
            [tag @ 8..0x80, ..] if tag & 7 == 1 => (u32::from(tag), 1, 8),
            // A span's flags.
            [low @ 0x80..=0xff, high @ 1..0x80, ..] if low & 7 == 5 => {
                (u32::from(low & 0x7f) | u32::from(high) << 7, 2, 4)
            }
            _ => self.measured(rest)?,
        };
        let (field, rest) = rest.split_at_checked(head + len)?;
        self.rest = rest;
        let start = self.at;
        self.at = start.checked_add(u32::try_from(field.len()).ok()?)?;
        Some(Slot { tag, start, body: start + head as u32, end: self.at })
    }
}

impl Slots<'_> {
    /// Tag, bytes before what is carried, and bytes of that, of a field written as few are.
    #[cold]
    fn measured(&self, rest: &[u8]) -> Option<(u32, usize, usize)> {
        let (field, raw) = Fields::of(rest).next_raw()?;
        let (wire_type, len) = match field.payload {
            Payload::Varint(_) => (0, 0),
            Payload::Fixed64(_) => (1, 8),
            Payload::Len(body) => (LEN, body.len()),
            Payload::Group => (3, 0),
            Payload::Fixed32(_) => (5, 4),
        };
        Some((field.number << 3 | wire_type, raw.len() - len, len))
    }
}

/// Plans for messages inside a message, gathered before they become part of its own.
#[derive(Debug, Default)]
pub struct Nests<'a>(SmallVec<[(Slot, &'a [u8], Patch); 1]>);

impl<'a> Nests<'a> {
    /// The plan for the message at `slot`, whose body is `body`.
    pub fn of(&mut self, slot: &Slot, body: &'a [u8]) -> &mut Patch {
        // Asked in the order of the message, mostly: the last is looked at first.
        let at = self.0.iter().rposition(|(known, ..)| known == slot).unwrap_or_else(|| {
            self.0.push((*slot, body, Patch::default()));
            self.0.len() - 1
        });
        &mut self.0[at].2
    }

    pub fn settle(self, patch: &mut Patch) {
        for (slot, body, inner) in self.0 {
            slot.nest(body, inner, patch);
        }
    }
}
