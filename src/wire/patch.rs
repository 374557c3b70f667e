//! A plan of what becomes of single fields of a message, carried out in one copy.
//!
//! A field is named by its number and which of that number's occurrences it is. What the plan does not
//! name is copied bit for bit, in its place: unknown fields, over-long lengths, the order of fields. The one
//! surprise: a plan may hold plans for the messages inside, whose lengths it rewrites.

use smallvec::SmallVec;

use super::fields::{Fields, Payload, put_len_field};

/// What becomes of one occurrence of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Cut,
    /// Replaced by these bytes: whole fields, tags included.
    Put(Vec<u8>),
}

/// What becomes of the fields of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// By field number and occurrence, sorted.
    fates: Vec<(u32, u32, Fate)>,
    /// Plans for messages inside, by field number and occurrence, sorted.
    inner: Vec<(u32, u32, Patch)>,
    /// Whole fields to append.
    tail: Vec<u8>,
}

impl Patch {
    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.fates.is_empty()
            && self.tail.is_empty()
            && self.inner.iter().all(|(_, _, patch)| patch.is_empty())
    }

    /// Decides about occurrence `nth` (from 0) of field `number`; a later word replaces an earlier one.
    pub fn decide(&mut self, number: u32, nth: u32, fate: Fate) {
        match self.position(number, nth) {
            Ok(at) => {
                if let Some(decided) = self.fates.get_mut(at) {
                    decided.2 = fate;
                }
            }
            Err(at) => self.fates.insert(at, (number, nth, fate)),
        }
    }

    /// The plan for the message at occurrence `nth` of field `number`.
    pub fn within(&mut self, number: u32, nth: u32) -> &mut Patch {
        let at = self.inner_position(number, nth).unwrap_or_else(|at| {
            self.inner.insert(at, (number, nth, Patch::default()));
            at
        });
        &mut self.inner[at].2
    }

    /// Whole fields that go behind all others.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// `message` as planned.
    pub fn apply(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + self.tail.len() + 64);
        self.write(message, &mut out);
        out
    }

    fn position(&self, number: u32, nth: u32) -> Result<usize, usize> {
        self.fates.binary_search_by_key(&(number, nth), |(number, nth, _)| (*number, *nth))
    }

    fn inner_position(&self, number: u32, nth: u32) -> Result<usize, usize> {
        self.inner.binary_search_by_key(&(number, nth), |(number, nth, _)| (*number, *nth))
    }

    fn write(&self, message: &[u8], out: &mut Vec<u8>) {
        let mut seen: SmallVec<[(u32, u32); 4]> = SmallVec::new();
        let mut fields = Fields::of(message);
        while let Some((field, raw)) = fields.next_raw() {
            let Some(nth) = self.occurrence(field.number, &mut seen) else {
                out.extend_from_slice(raw);
                continue;
            };
            let fate = self.position(field.number, nth).ok().and_then(|at| self.fates.get(at));
            let within = self.inner_position(field.number, nth).ok().and_then(|at| self.inner.get(at));
            match (fate, within, field.payload) {
                (Some((_, _, Fate::Cut)), ..) => {}
                (Some((_, _, Fate::Put(new))), ..) => out.extend_from_slice(new),
                (None, Some((_, _, patch)), Payload::Len(inner)) if !patch.is_empty() => {
                    put_len_field(field.number, &patch.apply(inner), out);
                }
                _ => out.extend_from_slice(raw),
            }
        }
        out.extend_from_slice(fields.rest());
        out.extend_from_slice(&self.tail);
    }

    /// Which occurrence of `number` this is; `None` for numbers the plan does not name.
    fn occurrence(&self, number: u32, seen: &mut SmallVec<[(u32, u32); 4]>) -> Option<u32> {
        if let Some((_, count)) = seen.iter_mut().find(|(known, _)| *known == number) {
            *count += 1;
            return Some(*count);
        }
        let planned = self.fates.iter().any(|(named, _, _)| *named == number)
            || self.inner.iter().any(|(named, _, _)| *named == number);
        planned.then(|| {
            seen.push((number, 0));
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, body)| put_len_field(*number, body, &mut out));
        out
    }

    #[test]
    fn what_is_not_named_stays_bit_for_bit() {
        // An over-long length, a group, a fixed field, and bytes that are no field at the end.
        let odd = [0x0a, 0x81, 0x00, b'x', 0x0b, 0x0c, 0x25, 7, 0, 0, 0, 0xff];
        assert_eq!(Patch::default().apply(&odd), odd);
        let mut patch = Patch::default();
        patch.decide(4, 0, Fate::Cut);
        assert_eq!(patch.apply(&odd), [0x0a, 0x81, 0x00, b'x', 0x0b, 0x0c, 0xff]);
    }

    #[test]
    fn occurrences_are_told_apart() {
        let before = message(&[(1, b"a"), (2, b"x"), (1, b"b"), (1, b"c")]);
        let mut patch = Patch::default();
        patch.decide(1, 2, Fate::Cut);
        patch.decide(1, 1, Fate::Put(message(&[(1, b"B"), (9, b"new")])));
        patch.tail().extend(message(&[(1, b"d")]));
        let after = message(&[(1, b"a"), (2, b"x"), (1, b"B"), (9, b"new"), (1, b"d")]);
        assert_eq!(patch.apply(&before), after);
    }

    #[test]
    fn a_message_inside_gets_its_new_length() {
        let inner = message(&[(3, &[7; 130]), (4, b"keep")]);
        let before = message(&[(2, &inner), (2, &inner)]);
        let mut patch = Patch::default();
        patch.within(2, 1).decide(3, 0, Fate::Cut);
        assert!(patch.within(2, 0).is_empty());
        assert_eq!(patch.apply(&before), message(&[(2, &inner), (2, &message(&[(4, b"keep")]))]));
    }
}
