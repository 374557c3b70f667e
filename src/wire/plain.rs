//! The shapes every SDK writes, recognised at a glance: tags and lengths of one byte, scalar attributes.
//!
//! Nothing is refused here. What has another shape, good or bad, is left for the tables to judge
//! (`check`): they decide, this only spares asking them. Measured: 2,870 -> 1,340 instructions a span.

use super::index::SpanEntry;
use super::noted::{self, Noted};
use super::{SpanId, TraceId, utf8, varint};

/// The tag of a Span's attributes.
pub const ATTRIBUTE: u8 = 0x4a;

/// A Span as every SDK writes it: ids, perhaps a trace state, name, kind and times in front, in the order of their
/// numbers. Whether the name is text and what stands behind the times has not been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout<'a> {
    pub trace: TraceId,
    pub span: SpanId,
    pub parent: Option<SpanId>,
    /// Its name and kind, from the tag of the one to that of the start.
    pub head: &'a [u8],
    pub name: &'a [u8],
    pub kind: u8,
    pub start: u64,
    pub ended: bool,
    pub tail: &'a [u8],
}

impl<'a> Layout<'a> {
    #[inline(always)]
    pub fn of(span: &'a [u8]) -> Option<Self> {
        let (ids, mut rest) = span.split_first_chunk::<28>()?;
        if !ids.starts_with(&[0x0a, 16]) || ids[18..20] != [0x12, 8] {
            return None;
        }
        if let [0x1a, len @ 0..=0x7f, tail @ ..] = rest {
            let (state, tail) = tail.split_at_checked(usize::from(*len))?;
            rest = utf8::is_ascii(state).then_some(tail)?;
        }
        let mut parent = None;
        if let Some((&[0x22, 8, ref id @ ..], tail)) = rest.split_first_chunk::<10>() {
            (parent, rest) = (Some(SpanId(*id)), tail);
        }
        let [0x2a, len @ 1..=0x7f, ..] = rest else { return None };
        let (head, times) = rest.split_at_checked(2 + usize::from(*len) + 3)?;
        let (name, [0x30, kind @ 0..=0x7f, 0x39]) = head.get(2..)?.split_last_chunk()? else { return None };
        let (&[a, b, c, d, e, f, g, h, 0x41, ref end @ ..], tail) = times.split_first_chunk::<17>()? else {
            return None;
        };
        Some(Self {
            trace: TraceId(*ids[2..18].first_chunk()?),
            span: SpanId(*ids[20..].first_chunk()?),
            parent,
            head,
            name,
            kind: *kind,
            start: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            ended: *end != [0; 8],
            tail,
        })
    }
}

/// Takes status and flags of a Span off the front, in their usual shapes. Says whether there were any; else nothing has
/// changed.
#[inline(always)]
pub fn span_end(rest: &mut &[u8], entry: &mut SpanEntry) -> bool {
    let mut left = match *rest {
        [0x7a, 0, tail @ ..] => tail,
        [0x7a, 2, 0x18, 0..=0x7f, tail @ ..] => tail,
        rest => rest,
    };
    if let [0x85, 0x01, a, b, c, d, tail @ ..] = left {
        entry.flags = u32::from_le_bytes([*a, *b, *c, *d]);
        left = tail;
    }
    let some = left.len() < rest.len();
    *rest = left;
    some
}

/// Takes the attributes of a Span off the front as far as they are plain; at least one, or nothing has changed.
#[inline(always)]
pub fn attributes(rest: &mut &[u8], noted: &mut Noted) -> bool {
    let before = rest.len();
    while let Some((attribute, tail)) = attribute(rest) {
        noted.add(noted::of_plain(attribute));
        *rest = tail;
    }
    rest.len() < before
}

/// Splits off a plain attribute of a Span.
#[inline(always)]
fn attribute(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (attribute, tail) = match rest {
        [ATTRIBUTE, len @ 0..=0x7f, tail @ ..] => tail.split_at_checked(usize::from(*len))?,
        _ => len_field(rest, ATTRIBUTE)?,
    };
    key_value(attribute).then_some((attribute, tail))
}

/// Whether a KeyValue is a key and a scalar in the one way encoders write it. Nine in ten fields of a
/// request are in such attributes; every other shape, good or bad, is for the tables to judge.
#[inline(always)]
pub fn key_value(key_value: &[u8]) -> bool {
    short_text(key_value) || number(key_value) || wide_text(key_value)
}

/// Whether a KeyValue is a key and a text, both ASCII, with lengths of one byte: what most attributes are.
#[inline(always)]
fn short_text(key_value: &[u8]) -> bool {
    let [0x0a, key_len, rest @ ..] = key_value else { return false };
    let Some(value) = rest.get(usize::from(*key_len)..) else { return false };
    let (Some(head), Ok(len @ 0..=0x7f)) = (value.first_chunk::<4>(), u32::try_from(value.len())) else {
        return false;
    };
    // Both tags and both lengths of the value in one comparison. That the key's length is of one byte is seen with
    // the text, of which no byte may have its high bit set.
    let expect = len.wrapping_mul(1 << 8 | 1 << 24).wrapping_sub(TEXT_LENS).wrapping_add(TEXT_TAGS);
    u32::from_le_bytes(*head) == expect && utf8::is_ascii(key_value)
}

/// Of `12 ?? 0a ??`, by how much the value and its text are shorter than the whole; and the tags.
const TEXT_LENS: u32 = u32::from_le_bytes([0, 2, 0, 4]);
const TEXT_TAGS: u32 = u32::from_le_bytes([0x12, 0, 0x0a, 0]);

/// Whether it is an ASCII key and a number or a boolean, with lengths of one byte.
#[inline(always)]
fn number(key_value: &[u8]) -> bool {
    let [0x0a, key_len @ 0..=0x7f, rest @ ..] = key_value else { return false };
    let Some((key, [0x12, value_len, value @ ..])) = rest.split_at_checked(usize::from(*key_len)) else {
        return false;
    };
    let is_number = match value {
        [0x10 | 0x18, number @ ..] => is_varint(number),
        [0x21, double @ ..] => double.len() == 8,
        _ => false,
    };
    is_number && value.len() == usize::from(*value_len) && utf8::is_ascii(key)
}

/// One varint and nothing else.
#[inline(always)]
fn is_varint(mut bytes: &[u8]) -> bool {
    varint::read(&mut bytes).is_ok() && bytes.is_empty()
}

/// Text with lengths over 127, or in other scripts.
#[inline(never)]
fn wide_text(key_value: &[u8]) -> bool {
    let Some((key, value_field)) = len_field(key_value, 0x0a) else { return false };
    let Some((value, [])) = len_field(value_field, 0x12) else { return false };
    matches!(len_field(value, 0x0a), Some((text, [])) if utf8::is_valid(text)) && utf8::is_valid(key)
}

/// Splits off a length-delimited field that begins with `tag`.
#[inline(always)]
fn len_field(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let len = varint::read(&mut rest).ok()?;
    if *first == tag { rest.split_at_checked(usize::try_from(len).ok()?) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attr::{Attr, Value};
    use crate::wire::check;
    use crate::wire::schema::KEY_VALUE;

    fn samples() -> Vec<Vec<u8>> {
        let long = "x".repeat(200);
        let values = [
            Value::Str(b"POST"),
            Value::Str("über".as_bytes()),
            Value::Str(long.as_bytes()),
            Value::Int(8443),
            Value::Int(-1),
            Value::Bool(true),
            Value::Double(0.1),
        ];
        let body = |value| {
            let mut field = Vec::new();
            Attr { key: b"http.request.method", value }.put(1, &mut field);
            len_field(&field, 0x0a).unwrap().0.to_vec()
        };
        values.into_iter().map(body).collect()
    }

    #[test]
    fn scalar_attributes_are_recognised() {
        samples().iter().for_each(|sample| assert!(key_value(sample), "{sample:02x?}"));
        assert!(short_text(&samples()[0]) && !short_text(&samples()[1]) && !short_text(&samples()[2]));
    }

    /// The glance may only ever spare the tables a yes.
    #[test]
    fn what_is_recognised_the_tables_accept() {
        for sample in samples() {
            for at in 0..sample.len() {
                for byte in 0..=255 {
                    let mut changed = sample.clone();
                    changed[at] = byte;
                    let accepted = check::message(&changed, &KEY_VALUE, 30).is_ok();
                    assert!(accepted || !key_value(&changed) && !short_text(&changed), "{changed:02x?}");
                    assert!(
                        !key_value(&changed[..at]) || check::message(&changed[..at], &KEY_VALUE, 30).is_ok()
                    );
                }
            }
        }
    }
}
