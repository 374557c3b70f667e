//! Protobuf requests out of random bytes, led by the tables: fields in any order and scattered, single
//! messages in pieces, scalars repeated, packed or not. All legal, none of it what an SDK would write.

use crate::wire::fields::put_len_field;
use crate::wire::json::schema::{Field, Kind, Message, Rule};
use crate::wire::json::writer::put_tag;
use crate::wire::varint;

/// Decisions, taken from random bytes; all zero once they are used up.
pub(super) struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(byte) % n
    }

    fn number(&mut self) -> u64 {
        let edges = [0, 1, 127, 128, u64::MAX, 1 << 63, i64::MAX as u64, 1_544_712_660_000_000_000];
        match self.below(10) {
            edge @ 0..8 => edges[edge],
            _ => (0..8).fold(0, |n, _| n << 8 | self.below(256) as u64),
        }
    }
}

pub(super) fn message(schema: &'static Message, levels: usize, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..choices.below(7) {
        let field = &schema.fields[choices.below(schema.fields.len())];
        if levels > 0 || !matches!(field.kind, Kind::Message(_)) {
            record(field, levels, choices, &mut out);
        }
    }
    out
}

fn record(field: &'static Field, levels: usize, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let mut value = Vec::new();
    let packed = field.rule == Rule::Repeated && field.kind.packs() && choices.below(3) > 0;
    for _ in 0..if packed { choices.below(4) } else { 1 } {
        put_value(field.kind, levels, choices, &mut value);
    }
    if packed || field.kind.wire_type() == 2 {
        put_len_field(field.number, &value, out);
    } else {
        put_tag(field.number, field.kind.wire_type(), out);
        out.extend_from_slice(&value);
    }
}

fn put_value(kind: Kind, levels: usize, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let number = choices.number();
    match kind {
        Kind::Message(schema) => out.extend(message(schema, levels - 1, choices)),
        Kind::Str => out.extend(
            ["", "a", "\u{0}\"\\\n", "ü😀", "plain text of more than eight bytes"][choices.below(5)].bytes(),
        ),
        Kind::Bytes | Kind::Id => out.extend((0..choices.below(20)).map(|i| i as u8 ^ number as u8)),
        Kind::Bool => out.push((number & 1) as u8),
        Kind::Double => {
            let doubles = [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310, f64::MAX];
            out.extend(doubles[choices.below(8)].to_le_bytes());
        }
        Kind::Fixed64 | Kind::Sfixed64 => out.extend(number.to_le_bytes()),
        Kind::Fixed32 => out.extend((number as u32).to_le_bytes()),
        Kind::Uint32 | Kind::Sint32 => varint::put(u64::from(number as u32), out),
        Kind::Int32 | Kind::Enum(_) => varint::put(i64::from(number as i32) as u64, out),
        Kind::Int64 | Kind::Uint64 => varint::put(number, out),
    }
}
