//! One message and what has been written to it so far, without copying it.
//!
//! Where its fields stand is found out once. Reading looks at what was written first, then there. A KeyValue
//! list is only taken apart when something is written to it. [`Draft::patch`] says at the end what has to become of
//! the bytes.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::compare::Single;
use super::map::{Map, utf8};
use super::value::{Value, put_entry};
use crate::wire::attr;
use crate::wire::fields::{Fields, Payload, put_len_field};
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
    fn put(&self, field: u32, out: &mut Vec<u8>) {
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

/// An entry of the KeyValue list at `field` that was written to.
#[derive(Clone, Debug)]
struct Written<'a> {
    field: u32,
    key: Cow<'a, str>,
    /// `None`: it is gone.
    value: Option<Value<'a>>,
}

/// Entries written to one by one. More, and the list is taken apart: what is written is searched for in order.
const WRITTEN_MAX: usize = 24;
/// Field numbers whose fields are found without a search.
const DIRECT: usize = 17;

#[derive(Clone, Debug)]
pub struct Draft<'a> {
    base: &'a [u8],
    /// Its fields, in their order.
    fields: SmallVec<[Slot; 24]>,
    /// Of the low field numbers, the fields from the first of it to its last.
    spread: [(u32, u32); DIRECT],
    scalars: SmallVec<[(Place, Raw<'a>); 2]>,
    /// Entries of KeyValue lists that are not taken apart.
    entries: Vec<Written<'a>>,
    /// KeyValue lists that are.
    maps: SmallVec<[(u32, Map<'a>); 1]>,
    /// The AnyValue field that was written to: a log record's body.
    any: Option<(u32, Value<'a>)>,
}

impl<'a> Draft<'a> {
    pub fn of(base: &'a [u8]) -> Self {
        let mut spread = [(0, 0); DIRECT];
        let mut fields = SmallVec::new();
        for slot in slots(base) {
            if let Some((first, end)) = spread.get_mut(slot.number() as usize) {
                let at = fields.len() as u32;
                *first = if *end == 0 { at } else { *first };
                *end = at + 1;
            }
            fields.push(slot);
        }
        let (scalars, maps) = (SmallVec::new(), SmallVec::new());
        Self { base, fields, spread, scalars, entries: Vec::new(), maps, any: None }
    }

    /// The message as it came.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    pub fn read(&self, place: Place) -> Raw<'a> {
        if let Some((_, raw)) = self.scalars.iter().find(|(written, _)| *written == place) {
            return raw.clone();
        }
        if place.within == 0 {
            return self.last_of(place.field).map_or(Raw::Absent, |slot| slot.raw(self.base));
        }
        // Several messages merge: the last one that says something counts.
        let within = |message| {
            let said = slots(message).filter(|slot| slot.number() == place.within).last();
            said.map(|slot| slot.raw(message)).filter(|raw| *raw != Raw::Absent)
        };
        self.bodies(place.field).rev().find_map(within).unwrap_or(Raw::Absent)
    }

    pub fn write(&mut self, place: Place, raw: Raw<'a>) {
        match self.scalars.iter_mut().find(|(written, _)| *written == place) {
            Some((_, old)) => *old = raw,
            None => self.scalars.push((place, raw)),
        }
    }

    /// A string or number field as it is compared; absent ones have their default.
    pub fn peek(&self, place: Place) -> Option<Single<'_>> {
        if let Some((_, raw)) = self.scalars.iter().find(|(written, _)| *written == place) {
            return match raw {
                Raw::Len(text) => Some(Single::Str(text)),
                Raw::Varint(number) => Some(Single::Int(number.cast_signed())),
                _ => None,
            };
        }
        let slot = self.last_of(place.field).filter(|_| place.within == 0)?;
        if slot.tag & 7 == LEN {
            return Some(Single::Str(slot.body(self.base)));
        }
        match slot.raw(self.base) {
            Raw::Varint(number) => Some(Single::Int(number.cast_signed())),
            _ => None,
        }
    }

    /// The last field of a number.
    fn last_of(&self, number: u32) -> Option<&Slot> {
        self.around(number).iter().rfind(|slot| slot.number() == number)
    }

    /// The fields among which those of a number stand.
    fn around(&self, number: u32) -> &[Slot] {
        match self.spread.get(number as usize) {
            Some((first, end)) => self.fields.get(*first as usize..*end as usize).unwrap_or_default(),
            None => &self.fields,
        }
    }

    /// The value of `key` in the KeyValue list at `field`, as it is compared.
    pub fn peek_entry(&self, field: u32, key: &str) -> Single<'_> {
        if let Some(map) = self.taken_apart(field) {
            return map.get(key).map_or(Single::Nil, Single::of);
        }
        if let Some(written) = self.written(field, key) {
            return written.value.as_ref().map_or(Single::Nil, Single::of);
        }
        match self.key_value(field, key) {
            Some(key_value) => match attr::Attr::body_of(key_value) {
                Some(body) => Single::of_any(body),
                None => Single::of_read(attr::Attr::of(key_value).value),
            },
            None => Single::Nil,
        }
    }

    /// The value of `key` in the KeyValue list at `field`.
    pub fn entry(&self, field: u32, key: &str) -> Value<'a> {
        if let Some(map) = self.taken_apart(field) {
            return map.get(key).cloned().unwrap_or_default();
        }
        match self.written(field, key) {
            Some(written) => written.value.clone().unwrap_or_default(),
            None => self.key_value(field, key).map_or(Value::Nil, Value::of_entry),
        }
    }

    fn taken_apart(&self, field: u32) -> Option<&Map<'a>> {
        self.maps.iter().find(|(written, _)| *written == field).map(|(_, map)| map)
    }

    fn written(&self, field: u32, key: &str) -> Option<&Written<'a>> {
        self.entries.iter().find(|written| written.field == field && written.key == key)
    }

    /// The KeyValues of `key`; the last one counts.
    fn key_values(&self, field: u32, key: &str) -> impl DoubleEndedIterator<Item = &Slot> {
        let (tag, print) = (field << 3 | LEN, print_of(key.as_bytes()));
        let may_be = move |slot: &&Slot| slot.tag == tag && (slot.print == print || slot.print == 0);
        let is = move |slot: &&Slot| attr::Attr::key_of(slot.body(self.base)) == key.as_bytes();
        self.around(field).iter().filter(may_be).filter(is)
    }

    /// The last of them.
    fn key_value(&self, field: u32, key: &str) -> Option<&'a [u8]> {
        self.key_values(field, key).next_back().map(|slot| slot.body(self.base))
    }

    /// Writes `key` in the KeyValue list at `field`; no value takes it away.
    pub fn write_entry(&mut self, field: u32, key: Cow<'a, str>, value: Option<Value<'a>>) {
        if let Some((_, map)) = self.maps.iter_mut().find(|(written, _)| *written == field) {
            return match value {
                Some(value) => map.set(key, value),
                None => map.remove(&key),
            };
        }
        match self.entries.iter_mut().find(|written| written.field == field && written.key == key) {
            Some(written) => written.value = value,
            None => {
                if self.entries.is_empty() {
                    self.entries.reserve(8);
                }
                self.entries.push(Written { field, key, value });
            }
        }
        if self.entries.len() > WRITTEN_MAX {
            self.map_mut(field);
        }
    }

    /// The whole KeyValue list at `field`.
    pub fn map(&self, field: u32) -> Map<'a> {
        if let Some(map) = self.taken_apart(field) {
            return map.clone();
        }
        let mut map = Map::of_entries(self.bodies(field));
        for written in self.entries.iter().filter(|written| written.field == field) {
            match &written.value {
                Some(value) => map.set(written.key.clone(), value.clone()),
                None => map.remove(&written.key),
            }
        }
        map
    }

    /// The same, to be written to.
    pub fn map_mut(&mut self, field: u32) -> &mut Map<'a> {
        let at = self.maps.iter().position(|(written, _)| *written == field).unwrap_or_else(|| {
            self.maps.push((field, self.map(field)));
            self.entries.retain(|written| written.field != field);
            self.maps.len() - 1
        });
        &mut self.maps[at].1
    }

    /// Whether anything can be deleted under `key`.
    pub fn has_key(&self, field: u32, key: &str) -> bool {
        self.taken_apart(field).is_some()
            || self.written(field, key).is_some()
            || self.key_values(field, key).next().is_some()
    }

    /// Keys of the KeyValue list at `field` that `is` wants, without taking it apart.
    pub fn keys(&self, field: u32, is: impl Fn(&[u8]) -> bool) -> SmallVec<[Cow<'a, str>; 2]> {
        let wanted = |key: &&Cow<'a, str>| is(key.as_bytes());
        if let Some(map) = self.taken_apart(field) {
            return map.entries().iter().map(|entry| &entry.key).filter(wanted).cloned().collect();
        }
        let mut keys = SmallVec::new();
        let written = self.entries.iter().filter(|written| written.field == field && written.value.is_some());
        keys.extend(written.map(|written| &written.key).filter(wanted).cloned());
        for key in self.bodies(field).map(attr::Attr::key_of).filter(|key| is(key)) {
            // What was taken away is so already.
            keys.push(utf8(key));
        }
        keys
    }

    /// The AnyValue at `field`.
    pub fn any(&self, field: u32) -> Value<'a> {
        match &self.any {
            Some((written, value)) if *written == field => value.clone(),
            _ => self.bodies(field).next_back().map_or(Value::Nil, Value::Any),
        }
    }

    pub fn any_mut(&mut self, field: u32) -> &mut Value<'a> {
        let value = self.any(field);
        &mut self.any.insert((field, value)).1
    }

    /// The messages at `field`.
    pub fn bodies(&self, field: u32) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.messages(field).map(|slot| slot.body(self.base))
    }

    /// Where the messages at `field` stand.
    pub fn messages(&self, field: u32) -> impl DoubleEndedIterator<Item = &Slot> {
        self.around(field).iter().filter(move |slot| slot.is_message(field))
    }

    /// What has to become of the message. Entries whose keys `stays` names are left as they came; what changes
    /// inside its messages is added to `nests`.
    ///
    /// # Errors
    /// The name of a written value that OTLP has no place for.
    pub fn patch(&self, stays: impl Fn(&str) -> bool, nests: &mut Nests) -> Result<Patch, &'static str> {
        let mut patch = Patch::default();
        if self.scalars.len() + self.entries.len() > 1 {
            patch.reserve(self.entries.len() + 4, 48 * self.entries.len() + 64);
        }
        for (place, raw) in &self.scalars {
            self.patch_scalar(*place, raw, &mut patch, nests);
        }
        for Written { field, key, value } in self.entries.iter().filter(|written| !stays(&written.key)) {
            let mut known = self.key_values(*field, key);
            let last = known.next_back().map(Slot::range);
            // Of a key that stands twice the last counted.
            known.for_each(|slot| patch.cut(slot.range()));
            match (value, last) {
                (Some(value), last) => {
                    let end = self.base.len();
                    patch.put(last.unwrap_or(end..end), |out| put_entry(key, value, *field, 0, out))?;
                }
                (None, Some(last)) => patch.cut(last),
                (None, None) => {}
            }
        }
        for (field, map) in &self.maps {
            let known = self.messages(*field).map(|slot| (slot.range(), slot.body(self.base)));
            map.patch(*field, known, self.base.len(), &stays, &mut patch)?;
        }
        if let Some((field, value)) = &self.any {
            let mut body = Vec::new();
            value.put(&mut body)?;
            self.patch_scalar(Place::at(*field), &Raw::Len(body.into()), &mut patch, nests);
        }
        Ok(patch)
    }

    /// The last occurrence says the new value: of several it is the one that counts.
    fn patch_scalar(&self, place: Place, raw: &Raw<'_>, patch: &mut Patch, nests: &mut Nests) {
        if place.within == 0 {
            return rewrite(&self.fields, self.base.len(), place.field, raw, patch);
        }
        match self.messages(place.field).next_back() {
            Some(slot) => {
                let (message, nest) = (slot.body(self.base), nests.of(slot));
                let fields: SmallVec<[Slot; 8]> = slots(message).collect();
                rewrite(&fields, message.len(), place.within, raw, nest);
            }
            // A second field of a message that is not there yet comes as a second message: they merge.
            None => {
                let mut new = Vec::new();
                raw.put(place.within, &mut new);
                let end = self.base.len();
                let _ = patch.put(end..end, |out| Ok::<_, ()>(put_len_field(place.field, &new, out)));
            }
        }
    }
}

/// Says what `raw` says, in the place of the last field `number`.
fn rewrite(fields: &[Slot], end: usize, number: u32, raw: &Raw<'_>, patch: &mut Patch) {
    let mut known = fields.iter().filter(|slot| slot.number() == number);
    let gone = match raw {
        Raw::Absent => return known.for_each(|slot| patch.cut(slot.range())),
        _ => known.next_back().map_or(end..end, Slot::range),
    };
    let _ = patch.put(gone, |out| Ok::<_, ()>(raw.put(number, out)));
}

/// The wire type of messages, strings and bytes.
const LEN: u32 = 2;

/// Where a field stands in its message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Its number and wire type.
    tag: u32,
    /// Of a KeyValue, what tells most keys apart; zero where it is not written as everybody writes it.
    print: u32,
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

    /// Becomes a part of the plan for the message this stands in.
    pub fn nest(&self, inner: &Patch, patch: &mut Patch) {
        patch.nest(self.number(), self.range(), (self.end - self.body) as usize, inner);
    }

    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn body<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(self.body as usize..self.end as usize).unwrap_or_default()
    }

    fn raw<'a>(&self, message: &'a [u8]) -> Raw<'a> {
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
fn print_of(key: &[u8]) -> u32 {
    let len = key.len() as u32;
    match key.last_chunk::<4>() {
        Some(end) => u32::from_le_bytes(*end).rotate_left(len) | 1,
        None => key.iter().fold(len, |print, byte| print << 8 | u32::from(*byte)) | 1,
    }
}

/// The fields of a message; those beyond four gigabytes are not seen.
pub fn slots(message: &[u8]) -> Slots<'_> {
    Slots { message, at: 0 }
}

#[derive(Clone, Debug)]
pub struct Slots<'a> {
    message: &'a [u8],
    at: usize,
}

impl Iterator for Slots<'_> {
    type Item = Slot;

    #[inline]
    fn next(&mut self) -> Option<Slot> {
        let rest = self.message.get(self.at..)?;
        // One byte of tag and one or two of length: nearly every field.
        let (tag, head, len) = match *rest {
            [tag @ 8..0x80, len @ ..0x80, ..] if tag & 7 == 2 => (u32::from(tag), 2, usize::from(len)),
            [tag @ 8..0x80, low, high @ ..0x80, ..] if tag & 7 == 2 => {
                (u32::from(tag), 3, usize::from(low & 0x7f) | usize::from(high) << 7)
            }
            [tag @ 8..0x80, ..] if tag & 7 == 1 => (u32::from(tag), 1, 8),
            _ => self.measured(rest)?,
        };
        let (start, body) = (self.at, self.at + head);
        let carried = self.message.get(body..body + len)?;
        self.at = body + len;
        let key = if tag & 7 == LEN { attr::Attr::usual(carried) } else { None };
        let end = u32::try_from(self.at).ok()?;
        let print = key.map_or(0, |(key, _)| print_of(key));
        Some(Slot { tag, print, start: start as u32, body: body as u32, end })
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
pub struct Nests(SmallVec<[(Slot, Patch); 1]>);

impl Nests {
    /// The plan for the message at `slot`.
    pub fn of(&mut self, slot: &Slot) -> &mut Patch {
        // Asked in the order of the message, mostly: the last is looked at first.
        let at = self.0.iter().rposition(|(known, _)| known == slot).unwrap_or_else(|| {
            self.0.push((*slot, Patch::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    pub fn settle(self, patch: &mut Patch) {
        for (slot, inner) in &self.0 {
            slot.nest(inner, patch);
        }
    }
}
