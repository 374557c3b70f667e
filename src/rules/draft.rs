//! One message and what has been written to it so far, without copying it.
//!
//! Reading looks at what was written first, then at the bytes. A KeyValue list is only taken apart when
//! something is written to it. [`Draft::patch`] says at the end what has to become of the bytes.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::map::Map;
use super::value::Value;
use super::wholes::Wholes;
use crate::wire::attr;
use crate::wire::fields::{Fields, Payload, put_len_field};
use crate::wire::patch::{Fate, Patch};
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
    base: &'a [u8],
    scalars: SmallVec<[(Place, Raw<'a>); 2]>,
    maps: SmallVec<[(u32, Map<'a>); 1]>,
    /// The AnyValue field that was written to: a log record's body.
    any: Option<(u32, Value<'a>)>,
    pub whole: Wholes<'a>,
}

impl<'a> Draft<'a> {
    pub fn of(base: &'a [u8]) -> Self {
        Self { base, scalars: SmallVec::new(), maps: SmallVec::new(), any: None, whole: Wholes::default() }
    }

    /// The message as it came.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    pub fn read(&self, place: Place) -> Raw<'a> {
        if let Some((_, raw)) = self.scalars.iter().find(|(written, _)| *written == place) {
            return raw.clone();
        }
        if let Some(raw) = self.whole.read(place) {
            return raw;
        }
        let last = |message, number| {
            let fields = Fields::of(message).filter(move |field| field.number == number);
            fields.last().map_or(Raw::Absent, |field| match field.payload {
                Payload::Varint(number) => Raw::Varint(number),
                Payload::Fixed64(bits) => Raw::Fixed64(bits),
                Payload::Fixed32(bits) => Raw::Fixed32(bits),
                Payload::Len(body) => Raw::Len(Cow::Borrowed(body)),
                Payload::Group => Raw::Absent,
            })
        };
        if place.within == 0 {
            return last(self.base, place.field);
        }
        // Several messages merge: the last one that says something counts.
        let said = attr::messages(self.base, place.field).map(|message| last(message, place.within));
        said.filter(|raw| *raw != Raw::Absent).last().unwrap_or(Raw::Absent)
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
        let mut bodies = attr::messages(self.base, field);
        match (bodies.next(), bodies.next()) {
            (first, None) if written.is_empty() => Cow::Borrowed(first.unwrap_or_default()),
            _ => {
                let bodies = attr::messages(self.base, field).chain([written.as_slice()]);
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

    /// The value of `key` in the KeyValue list at `field`.
    pub fn entry(&self, field: u32, key: &str) -> Value<'a> {
        if let Some((_, map)) = self.maps.iter().find(|(written, _)| *written == field) {
            return map.get(key).cloned().unwrap_or_default();
        }
        let of_key = |kv: &&[u8]| attr::Attr::key_of(kv) == key.as_bytes();
        attr::messages(self.base, field).filter(of_key).last().map_or(Value::Nil, Value::of_entry)
    }

    /// The whole KeyValue list at `field`.
    pub fn map(&self, field: u32) -> Map<'a> {
        let written = self.maps.iter().find(|(written, _)| *written == field);
        written.map_or_else(|| Map::of(self.base, field), |(_, map)| map.clone())
    }

    /// The same, to be written to.
    pub fn map_mut(&mut self, field: u32) -> &mut Map<'a> {
        let at = self.maps.iter().position(|(written, _)| *written == field).unwrap_or_else(|| {
            self.maps.push((field, Map::of(self.base, field)));
            self.maps.len() - 1
        });
        &mut self.maps[at].1
    }

    /// The AnyValue at `field`.
    pub fn any(&self, field: u32) -> Value<'a> {
        match &self.any {
            Some((written, value)) if *written == field => value.clone(),
            _ => attr::messages(self.base, field).last().map_or(Value::Nil, Value::Any),
        }
    }

    pub fn any_mut(&mut self, field: u32) -> &mut Value<'a> {
        let value = self.any(field);
        &mut self.any.insert((field, value)).1
    }

    /// What has to become of the message. Entries whose keys `stays` names are left as they came.
    ///
    /// # Errors
    /// The name of a written value that OTLP has no place for.
    pub fn patch(&self, stays: impl Fn(&str) -> bool) -> Result<Patch, &'static str> {
        let mut patch = Patch::default();
        for (place, raw) in &self.scalars {
            self.patch_scalar(*place, raw, &mut patch);
        }
        self.maps.iter().try_for_each(|(field, map)| map.patch(*field, self.base, &stays, &mut patch))?;
        for (field, fields) in self.whole.all() {
            let mut put = Some(fields.to_vec());
            let occurrences = Fields::of(self.base).filter(|found| found.number == field).count() as u32;
            for nth in 0..occurrences {
                patch.decide(field, nth, put.take().map_or(Fate::Cut, Fate::Put));
            }
            patch.tail().extend(put.unwrap_or_default());
        }
        if let Some((field, value)) = &self.any {
            let mut body = Vec::new();
            value.put(&mut body)?;
            self.patch_scalar(Place::at(*field), &Raw::Len(body.into()), &mut patch);
        }
        Ok(patch)
    }

    /// The last occurrence says the new value: of several it is the one that counts.
    fn patch_scalar(&self, place: Place, raw: &Raw<'_>, patch: &mut Patch) {
        let occurrences =
            |message, number| Fields::of(message).filter(|field| field.number == number).count() as u32;
        let mut new = Vec::new();
        let outer = occurrences(self.base, place.field);
        if place.within == 0 {
            raw.put(place.field, &mut new);
            match (outer.checked_sub(1), raw) {
                (None, _) => patch.tail().extend(new),
                (Some(_), Raw::Absent) => {
                    (0..outer).for_each(|nth| patch.decide(place.field, nth, Fate::Cut))
                }
                (Some(last), _) => patch.decide(place.field, last, Fate::Put(new)),
            }
            return;
        }
        raw.put(place.within, &mut new);
        match outer.checked_sub(1) {
            // A second field of a message that is not there yet comes as a second message: they merge.
            None => put_len_field(place.field, &new, patch.tail()),
            Some(last) => {
                let message = attr::messages(self.base, place.field).last().unwrap_or_default();
                let patch = patch.within(place.field, last);
                match occurrences(message, place.within).checked_sub(1) {
                    Some(last) => patch.decide(place.within, last, Fate::Put(new)),
                    None => patch.tail().extend(new),
                }
            }
        }
    }
}
