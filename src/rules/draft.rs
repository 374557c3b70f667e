//! One message and what has been written to it so far, without copying it.
//!
//! Where its fields stand is found out once. Reading looks at what was written first, then there. A KeyValue
//! list is only taken apart when something is written to it. [`Draft::patch`] says at the end what has to become of
//! the bytes.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::compare::Single;
use super::map::{Map, utf8};
use super::slots::{LEN, Nests, Slot, print_of, slots};
use super::value::{Value, put_entry};
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
                    patch.try_put(last.unwrap_or(end..end), |out| put_entry(key, value, *field, 0, out))?;
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
                patch.put(end..end, |out| put_len_field(place.field, &new, out));
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
    patch.put(gone, |out| raw.put(number, out));
}
