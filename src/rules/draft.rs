//! One message and what has been written to it so far, without copying it.
//!
//! Where its fields stand is found out once (`index`). Reading looks at what was written first, then there; of
//! KeyValue lists so do `entries`. [`Draft::patch`] says at the end what has to become of the bytes.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::compare::Single;
use super::entries::{Entries, Which};
use super::index::Index;
use super::map::Map;
use super::names::{Names, Number};
use super::registers::Register;
use super::slots::{LEN, Nests, Slot, slots};
use super::value::Value;
use super::wholes::Wholes;
use crate::wire::attr;
use crate::wire::fields::put_len_field;
use crate::wire::patch::Patch;
use crate::wire::varint;

/// A field: its number, or the number of a message and of a field in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub field: u32,
    /// 0 for the field itself.
    pub within: u32,
}

impl Place {
    pub const fn at(field: u32) -> Self {
        Self { field, within: 0 }
    }
}

/// What a singular field carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw<'a> {
    Absent,
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Len(Cow<'a, [u8]>),
}

impl Raw<'_> {
    pub fn put(&self, field: u32, out: &mut Vec<u8>) {
        let tag = |wire_type, out: &mut Vec<u8>| varint::put(u64::from(field) << 3 | wire_type, out);
        match self {
            Raw::Absent => {}
            Raw::Varint(number) => {
                tag(0, out);
                varint::put(*number, out);
            }
            Raw::Fixed64(bits) => {
                tag(1, out);
                out.extend_from_slice(&bits.to_le_bytes());
            }
            Raw::Fixed32(bits) => {
                tag(5, out);
                out.extend_from_slice(&bits.to_le_bytes());
            }
            Raw::Len(body) => put_len_field(field, body, out),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Draft<'a> {
    index: Index<'a>,
    entries: Entries<'a>,
    scalars: SmallVec<[(Place, Raw<'a>); 2]>,
    /// The AnyValue field that was written to: a log record's body.
    any: Option<(u32, Value<'a>)>,
    pub whole: Wholes<'a>,
}

impl<'a> Draft<'a> {
    /// Of a message of the kind in which these keys are named.
    pub fn of(base: &'a [u8], names: &'a Names) -> Self {
        let (index, entries) = (Index::of(base), Entries::of(names));
        let mut draft =
            Self { index, entries, scalars: SmallVec::new(), any: None, whole: Wholes::default() };
        draft.index.fill();
        draft.entries.fill(&draft.index);
        draft
    }

    /// Of a message that somebody has gone through.
    #[inline(always)]
    pub fn known(
        index: Index<'a>,
        names: &'a Names,
        named: impl Iterator<Item = (Number, Register<'a>)>,
    ) -> Self {
        let entries = Entries::known(names, named);
        Self { index, entries, scalars: SmallVec::new(), any: None, whole: Wholes::default() }
    }

    /// It was written to field by field and key by key.
    pub fn is_simple(&self) -> bool {
        self.any.is_none() && self.whole.all().next().is_none() && self.entries.are_simple()
    }

    /// How many fields and how many keys were written.
    pub fn written(&self) -> (usize, usize) {
        (self.scalars.len(), self.entries.len())
    }

    /// What comes behind the message, in that order: whether it is a key, and its place among what was written.
    pub fn behind(&self) -> impl Iterator<Item = (bool, usize)> {
        let is_new = |(_, (place, raw)): &(usize, &(Place, Raw<'a>))| match place.within {
            0 => *raw != Raw::Absent && self.index.last_of(place.field).is_none(),
            _ => self.messages(place.field).next().is_none(),
        };
        let fields = self.scalars.iter().enumerate().filter(is_new).map(|(nth, _)| (false, nth));
        fields.chain(self.entries.behind(&self.index).map(|nth| (true, nth)))
    }

    /// The message as it came.
    pub fn base(&self) -> &'a [u8] {
        self.index.base()
    }

    pub fn read(&self, place: Place) -> Raw<'a> {
        if let Some((_, raw)) = self.scalars.iter().find(|(written, _)| *written == place) {
            return raw.clone();
        }
        if let Some(raw) = self.whole.read(place) {
            return raw;
        }
        if place.within == 0 {
            return self.index.last_of(place.field).map_or(Raw::Absent, |slot| slot.raw(self.base()));
        }
        // Several messages merge: the last one that says something counts.
        let within = |message| {
            let said = slots(message).filter(|slot| slot.number() == place.within).last();
            said.map(|slot| slot.raw(message)).filter(|raw| *raw != Raw::Absent)
        };
        self.index.bodies(place.field).rev().find_map(within).unwrap_or(Raw::Absent)
    }

    /// The message at `field`, with what was written to it; several are one, as protobuf has it.
    pub fn merged(&self, field: u32) -> Cow<'a, [u8]> {
        if let Some(fields) = self.whole.get(field) {
            return Cow::Owned(attr::messages(fields, field).collect::<Vec<_>>().concat());
        }
        let mut written = Vec::new();
        self.scalars
            .iter()
            .filter(|(place, _)| place.field == field)
            .for_each(|(place, raw)| raw.put(place.within, &mut written));
        let mut bodies = attr::messages(self.base(), field);
        match (bodies.next(), bodies.next()) {
            (first, None) if written.is_empty() => Cow::Borrowed(first.unwrap_or_default()),
            _ => {
                let bodies = attr::messages(self.base(), field).chain([written.as_slice()]);
                Cow::Owned(bodies.collect::<Vec<_>>().concat())
            }
        }
    }

    /// Replaces all of `field` by `fields`, whole fields of that number, which read as `value`.
    pub fn replace(&mut self, field: u32, fields: Vec<u8>, value: Option<Value<'a>>) {
        self.scalars.retain(|(place, _)| place.field != field);
        self.whole.put(field, fields, value);
    }

    pub fn write(&mut self, place: Place, raw: Raw<'a>) {
        if self.whole.merge(place, &raw) {
            return;
        }
        match self.scalars.iter_mut().find(|(written, _)| *written == place) {
            Some((_, old)) => *old = raw,
            None => self.scalars.push((place, raw)),
        }
    }

    /// A string or number field as it is compared; what is not there, or not what it should be, has to be read.
    #[inline]
    pub fn peek(&self, place: Place, is: impl Fn(Single<'_>) -> bool) -> Single<'_> {
        let seen = match self.scalars.iter().find(|(written, _)| *written == place) {
            Some((_, Raw::Len(text))) => Single::Str(text),
            Some((_, Raw::Varint(number))) => Single::Int(number.cast_signed()),
            Some(_) => Single::Parts,
            None => match self.index.last_of(place.field).filter(|_| place.within == 0) {
                Some(slot) if slot.tag & 7 == LEN => Single::Str(slot.body(self.base())),
                slot => {
                    let number = slot.and_then(|slot| slot.varint(self.base()));
                    number.map_or(Single::Parts, |number| Single::Int(number.cast_signed()))
                }
            },
        };
        if is(seen) { seen } else { Single::Parts }
    }

    /// The value of a key of a KeyValue list, as it is compared.
    #[inline]
    pub fn peek_entry(&self, which: Which<'_>) -> Single<'_> {
        self.entries.peek(&self.index, which)
    }

    /// The value of a key of a KeyValue list.
    pub fn entry(&self, which: Which<'_>) -> Value<'a> {
        self.entries.value(&self.index, which)
    }

    /// Writes `key` in the KeyValue list at `field`; no value takes it away.
    pub fn write_entry(&mut self, field: u32, key: Cow<'a, str>, value: Option<Value<'a>>) {
        self.entries.write(&self.index, field, key, value);
    }

    /// The same for a key that has a number.
    pub fn write_named(&mut self, number: Number, value: Option<Value<'a>>) {
        self.entries.write_named(&self.index, number, value);
    }

    /// The whole KeyValue list at `field`.
    pub fn map(&self, field: u32) -> Map<'a> {
        self.entries.map(&self.index, field)
    }

    /// The same, to be written to.
    pub fn map_mut(&mut self, field: u32) -> &mut Map<'a> {
        self.entries.map_mut(&self.index, field)
    }

    /// Takes `key` out of the KeyValue list at `field`, if it is there.
    pub fn remove_entry(&mut self, field: u32, key: Cow<'a, str>) {
        self.entries.remove(&self.index, field, key);
    }

    /// Takes the keys that `is` wants out of the KeyValue list at `field`.
    pub fn remove_entries(&mut self, field: u32, is: impl Fn(&[u8]) -> bool) {
        self.entries.remove_all(&self.index, field, is);
    }

    /// The AnyValue at `field`.
    pub fn any(&self, field: u32) -> Value<'a> {
        match &self.any {
            Some((written, value)) if *written == field => value.clone(),
            _ => self.index.bodies(field).next_back().map_or(Value::Nil, Value::Any),
        }
    }

    pub fn write_any(&mut self, field: u32, value: Value<'a>) {
        self.any = Some((field, value));
    }

    /// Where the messages at `field` stand.
    pub fn messages(&self, field: u32) -> impl DoubleEndedIterator<Item = &Slot> {
        self.index.messages(field)
    }

    /// What has to become of the message. Entries whose keys `stays` names are left as they came; what changes
    /// inside its messages is added to `nests`.
    ///
    /// # Errors
    /// The name of a written value that OTLP has no place for.
    pub fn patch(&self, stays: impl Fn(&str) -> bool, nests: &mut Nests<'a>) -> Result<Patch, &'static str> {
        let mut patch = Patch::default();
        if self.scalars.len() + self.entries.len() > 1 {
            patch.reserve(self.entries.len() + 4, 64 * self.entries.len() + 64);
        }
        for (place, raw) in &self.scalars {
            self.patch_scalar(*place, raw, &mut patch, nests);
        }
        self.entries.patch(&self.index, stays, &mut patch)?;
        for (field, fields) in self.whole.all() {
            let end = self.base().len();
            let mut known = self.index.of_number(field).map(Slot::range);
            let first = known.next().unwrap_or(end..end);
            patch.put(first, |out| out.extend_from_slice(fields));
            known.for_each(|range| patch.cut(range));
        }
        if let Some((field, value)) = &self.any {
            let mut body = Vec::new();
            value.put(&mut body)?;
            self.patch_scalar(Place::at(*field), &Raw::Len(body.into()), &mut patch, nests);
        }
        Ok(patch)
    }

    /// The last occurrence says the new value: of several it is the one that counts.
    fn patch_scalar(&self, place: Place, raw: &Raw<'_>, patch: &mut Patch, nests: &mut Nests<'a>) {
        let end = self.base().len();
        if place.within == 0 {
            return match raw {
                Raw::Absent => self.index.of_number(place.field).for_each(|slot| patch.cut(slot.range())),
                _ => {
                    let last = self.index.last_of(place.field).map_or(end..end, Slot::range);
                    patch.put(last, |out| raw.put(place.field, out));
                }
            };
        }
        match self.messages(place.field).next_back() {
            Some(slot) => {
                let message = slot.body(self.base());
                rewrite(message, place.within, raw, nests.of(slot, message));
            }
            // A second field of a message that is not there yet comes as a second message: they merge.
            None => {
                let mut new = Vec::new();
                raw.put(place.within, &mut new);
                patch.put(end..end, |out| put_len_field(place.field, &new, out));
            }
        }
    }
}

/// Says what `raw` says, in the place of the last field `number`.
fn rewrite(message: &[u8], number: u32, raw: &Raw<'_>, patch: &mut Patch) {
    let known = slots(message).filter(|slot| slot.number() == number).map(|slot| slot.range());
    match raw {
        Raw::Absent => known.for_each(|range| patch.cut(range)),
        _ => {
            let end = message.len();
            patch.put(known.last().unwrap_or(end..end), |out| raw.put(number, out));
        }
    }
}
