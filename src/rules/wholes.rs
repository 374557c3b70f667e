//! Fields of a message of which everything was replaced at once: lists of events, a status, bucket counts.
//!
//! Such a field is kept as the bytes it will be. A part of it that is written later (`status.code`) is
//! appended as a message of its own: protobuf merges the two.

use std::borrow::Cow;

use super::draft::{Place, Raw};
use super::value::Value;
use crate::wire::attr;
use crate::wire::fields::{Fields, Payload, put_len_field};

#[derive(Clone, Debug, Default)]
pub struct Wholes<'a>(Vec<Whole<'a>>);

#[derive(Clone, Debug)]
struct Whole<'a> {
    field: u32,
    /// Whole fields, all of this number.
    fields: Vec<u8>,
    /// What was written, for those who read it: what came from the item is still what it was.
    value: Option<Value<'a>>,
}

impl<'a> Wholes<'a> {
    /// What `field` was replaced by.
    pub fn get(&self, field: u32) -> Option<&[u8]> {
        self.find(field).map(|whole| whole.fields.as_slice())
    }

    pub fn value(&self, field: u32) -> Option<Value<'a>> {
        self.find(field)?.value.clone()
    }

    fn find(&self, field: u32) -> Option<&Whole<'a>> {
        self.0.iter().find(|whole| whole.field == field)
    }

    pub fn put(&mut self, field: u32, fields: Vec<u8>, value: Option<Value<'a>>) {
        self.0.retain(|whole| whole.field != field);
        self.0.push(Whole { field, fields, value });
    }

    /// Every field with what it was replaced by.
    pub fn all(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.0.iter().map(|whole| (whole.field, whole.fields.as_slice()))
    }

    /// What stands at `place`, if its field was replaced.
    pub fn read(&self, place: Place) -> Option<Raw<'a>> {
        let fields = self.get(place.field)?;
        if place.within == 0 {
            return Some(last(fields, place.field));
        }
        let said = attr::messages(fields, place.field).map(|message| last(message, place.within));
        Some(said.filter(|raw| *raw != Raw::Absent).last().unwrap_or(Raw::Absent))
    }

    /// Writes a part of a field that was replaced; says whether it was.
    pub fn merge(&mut self, place: Place, raw: &Raw<'_>) -> bool {
        let Some(whole) = self.0.iter_mut().find(|whole| whole.field == place.field) else { return false };
        let mut part = Vec::new();
        raw.put(place.within, &mut part);
        put_len_field(place.field, &part, &mut whole.fields);
        whole.value = None;
        true
    }
}

fn last<'a>(message: &[u8], number: u32) -> Raw<'a> {
    let of_number = Fields::of(message).filter(|field| field.number == number);
    of_number.last().map_or(Raw::Absent, |field| match field.payload {
        Payload::Varint(number) => Raw::Varint(number),
        Payload::Fixed64(bits) => Raw::Fixed64(bits),
        Payload::Fixed32(bits) => Raw::Fixed32(bits),
        Payload::Len(body) => Raw::Len(Cow::Owned(body.to_vec())),
        Payload::Group => Raw::Absent,
    })
}
