//! Protobuf as OTLP/JSON: for upstreams that want it, and for people.
//!
//! Each message is gone through once to find where its fields begin and end, then written in table order,
//! since JSON wants the elements of an array together while protobuf does not. Repeated records of a
//! single message are merged, of anything else the last one counts (conformance P04, P05, P01). Refuses
//! nothing: bytes that can not be followed end the message they are in, unknown fields are left out.

use super::schema::{Field, Kind, Message, Rule};
use super::{LEVELS_MAX, binary, number, text};
use crate::wire::fields::{Fields, Payload};
use crate::wire::varint;

pub(super) fn transcode(request: &'static Message, body: &[u8]) -> Vec<u8> {
    // Names and quotes make JSON two to three times the size of protobuf.
    let mut out = Vec::with_capacity(body.len().saturating_mul(5) / 2 + 2);
    put_message(request, body, 0, &mut out);
    out
}

/// Where the records of one field are: `first` begins with the first of them and ends with the message,
/// `until` bytes of it reach to the end of the last.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    first: &'a [u8],
    until: usize,
    records: usize,
    last: Option<Payload<'a>>,
}

pub(super) const SLOTS_MAX: usize = 16;

fn put_message(schema: &'static Message, body: &[u8], level: u32, out: &mut Vec<u8>) {
    let mut places = [Place::default(); SLOTS_MAX];
    let chosen = find(schema, body, &mut places);
    out.push(b'{');
    for (slot, (place, field)) in places.iter().zip(schema.fields).enumerate() {
        if place.records == 0 || (field.rule == Rule::OneOf && chosen != Some(slot)) {
            continue;
        }
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        put_field(field, place, level, out);
    }
    out.push(b'}');
}

/// One pass over the message: where each known field is. Returns the slot its `oneof` settled on.
fn find<'a>(schema: &'static Message, body: &'a [u8], places: &mut [Place<'a>; SLOTS_MAX]) -> Option<usize> {
    let mut fields = Fields::of(body);
    let mut chosen = None;
    loop {
        let before = fields.rest();
        let Some(field) = fields.next() else { return chosen };
        let Some((slot, known)) = schema.slot_of(field.number) else { continue };
        let Some(place) = places.get_mut(slot) else { continue };
        if !fits(known, field.payload) {
            continue;
        }
        if known.rule == Rule::OneOf && chosen.replace(slot) != Some(slot) {
            // A sibling stood in between: what was here before it is gone.
            *place = Place::default();
        }
        if place.records == 0 {
            place.first = before;
        }
        place.records += 1;
        place.until = place.first.len().saturating_sub(fields.rest().len());
        place.last = Some(field.payload);
    }
}

/// Whether the wire type is one the field may have; packed and single are both legal (conformance P10).
fn fits(field: &Field, payload: Payload<'_>) -> bool {
    let packed = field.rule == Rule::Repeated && field.kind.packs();
    match payload {
        Payload::Varint(_) => field.kind.wire_type() == 0,
        Payload::Fixed64(_) => field.kind.wire_type() == 1,
        Payload::Fixed32(_) => field.kind.wire_type() == 5,
        Payload::Len(_) => packed || field.kind.wire_type() == 2,
        Payload::Group => false,
    }
}

fn put_field(field: &'static Field, place: &Place<'_>, level: u32, out: &mut Vec<u8>) {
    if field.rule == Rule::Repeated {
        return put_array(field, place, level, out);
    }
    match (field.kind, place.last) {
        (Kind::Message(schema), _) if place.records > 1 => {
            let bodies: Vec<&[u8]> = records(field, place).filter_map(body_of).collect();
            put_nested(schema, &bodies.concat(), level, out);
        }
        (kind, Some(payload)) => put_value(kind, payload, level, out),
        (_, None) => out.extend_from_slice(b"null"),
    }
}

/// The records of `field`, from its first to its last.
fn records<'a>(field: &'static Field, place: &Place<'a>) -> impl Iterator<Item = Payload<'a>> {
    let stretch = place.first.get(..place.until).unwrap_or_default();
    Fields::of(stretch).filter(|f| f.number == field.number && fits(field, f.payload)).map(|f| f.payload)
}

fn body_of(payload: Payload<'_>) -> Option<&[u8]> {
    if let Payload::Len(body) = payload { Some(body) } else { None }
}

fn put_array(field: &'static Field, place: &Place<'_>, level: u32, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut element = |payload| {
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
        put_value(field.kind, payload, level, out);
    };
    for record in records(field, place) {
        match record {
            Payload::Len(packed) if field.kind.packs() => unpack(field.kind, packed, &mut element),
            single => element(single),
        }
    }
    out.push(b']');
}

/// Hands out the numbers of a packed record.
fn unpack<'a>(kind: Kind, mut packed: &'a [u8], mut each: impl FnMut(Payload<'a>)) {
    match kind.wire_type() {
        0 => {
            while let Ok(value) = varint::read(&mut packed) {
                each(Payload::Varint(value));
            }
        }
        1 => packed.as_chunks().0.iter().for_each(|b| each(Payload::Fixed64(u64::from_le_bytes(*b)))),
        _ => packed.as_chunks().0.iter().for_each(|b| each(Payload::Fixed32(u32::from_le_bytes(*b)))),
    }
}

fn put_nested(schema: &'static Message, body: &[u8], level: u32, out: &mut Vec<u8>) {
    let level = level + u32::from(schema.level);
    if level > LEVELS_MAX {
        out.extend_from_slice(b"{}");
    } else {
        put_message(schema, body, level, out);
    }
}

fn put_value(kind: Kind, payload: Payload<'_>, level: u32, out: &mut Vec<u8>) {
    match (kind, payload) {
        (Kind::Message(schema), Payload::Len(body)) => put_nested(schema, body, level, out),
        (Kind::Str, Payload::Len(value)) => text::put_string(value, out),
        (Kind::Id, Payload::Len(id)) => quoted(out, |out| binary::put_hex(id, out)),
        (Kind::Bytes, Payload::Len(value)) => quoted(out, |out| binary::put_base64(value, out)),
        (Kind::Bool, Payload::Varint(value)) => {
            out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
        }
        (Kind::Sint32, Payload::Varint(value)) => {
            let zigzag = value as u32;
            put_display((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32), out);
        }
        (Kind::Uint32, Payload::Varint(value)) => put_display(value as u32, out),
        (Kind::Uint64, Payload::Varint(value)) | (Kind::Fixed64, Payload::Fixed64(value)) => {
            quoted(out, |out| put_display(value, out));
        }
        (Kind::Int64, Payload::Varint(value)) | (Kind::Sfixed64, Payload::Fixed64(value)) => {
            quoted(out, |out| put_display(value as i64, out));
        }
        (Kind::Double, Payload::Fixed64(bits)) => number::put_double(f64::from_bits(bits), out),
        (Kind::Fixed32, Payload::Fixed32(value)) => put_display(value, out),
        // int32 and enums; the upper half of the varint is the sign.
        (_, Payload::Varint(value)) => put_display(value as i32, out),
        // `fits` lets no other pair through.
        _ => out.extend_from_slice(b"null"),
    }
}

fn quoted(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    put(out);
    out.push(b'"');
}

fn put_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
}
