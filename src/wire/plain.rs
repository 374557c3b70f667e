//! The shapes every SDK writes, recognised at a glance: tags and lengths of one byte, scalar attributes.
//!
//! Nothing is refused here. What has another shape, good or bad, is left for the tables to judge
//! (`check`): they decide, this only spares asking them. Measured: 2,870 -> 1,230 instructions a span.

use super::index::SpanEntry;
use super::{SpanId, noted, utf8, varint};

/// Takes a field off the front of a Span, if it is in its usual shape, and notes what the index keeps.
/// Otherwise nothing has changed. `levels` as in [`super::check::message`].
#[inline(always)]
pub fn span_field<'a>(rest: &mut &'a [u8], entry: &mut SpanEntry, name: &mut &'a [u8], levels: u32) -> bool {
    let behind = match *rest {
        [0x4a, ..] => match len_field(rest, 0x4a) {
            Some((attribute, tail)) if levels > 0 && key_value(attribute) => {
                entry.noted |= noted::begins_plain(attribute);
                tail
            }
            _ => return false,
        },
        [0x0a, 16, tail @ ..] => match tail.split_first_chunk() {
            Some((id, tail)) => {
                entry.trace.0 = *id;
                tail
            }
            None => return false,
        },
        [0x12, 8, tail @ ..] => match tail.split_first_chunk() {
            Some((id, tail)) => {
                entry.span.0 = *id;
                tail
            }
            None => return false,
        },
        [0x22, 8, tail @ ..] => match tail.split_first_chunk() {
            Some((id, tail)) => {
                entry.set_parent(SpanId(*id), true);
                tail
            }
            None => return false,
        },
        [0x2a, ..] => match len_field(rest, 0x2a) {
            Some((text, tail)) if utf8::is_ascii(text) => {
                *name = text;
                tail
            }
            _ => return false,
        },
        [0x30, kind @ 0..=0x7f, tail @ ..] => {
            entry.kind = *kind;
            tail
        }
        [0x39, tail @ ..] => match tail.split_first_chunk() {
            Some((time, tail)) => {
                entry.start = u64::from_le_bytes(*time);
                tail
            }
            None => return false,
        },
        [0x41, tail @ ..] => match tail.split_first_chunk::<8>() {
            Some((time, tail)) => {
                entry.ended = *time != [0; 8];
                tail
            }
            None => return false,
        },
        [0x7a, 0, tail @ ..] => tail,
        [0x7a, 2, 0x18, 0..=0x7f, tail @ ..] => tail,
        [0x85, 0x01, a, b, c, d, tail @ ..] => {
            entry.flags = u32::from_le_bytes([*a, *b, *c, *d]);
            tail
        }
        _ => return false,
    };
    *rest = behind;
    true
}

/// Whether a KeyValue is a key and a scalar in the one way encoders write it. Nine in ten fields of a
/// request are in such attributes; every other shape, good or bad, is for the tables to judge.
#[inline(always)]
pub fn key_value(key_value: &[u8]) -> bool {
    let [0x0a, key_len @ 0..=0x7f, rest @ ..] = key_value else { return wide_text(key_value) };
    let Some((key, [0x12, value_len, value @ ..])) = rest.split_at_checked(usize::from(*key_len)) else {
        return false;
    };
    if value.len() != usize::from(*value_len) {
        return wide_text(key_value);
    }
    let text = match value {
        // One look for key and text: without any high bit the lengths are of one byte, too.
        [0x0a, text_len, text @ ..] if text.len() == usize::from(*text_len) => key_value,
        [0x10 | 0x18, number @ ..] if is_varint(number) => key,
        [0x21, double @ ..] if double.len() == 8 => key,
        _ => return wide_text(key_value),
    };
    utf8::is_ascii(text) || wide_text(key_value)
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
                    assert!(accepted || !key_value(&changed), "{changed:02x?}");
                    assert!(
                        !key_value(&changed[..at]) || check::message(&changed[..at], &KEY_VALUE, 30).is_ok()
                    );
                }
            }
        }
    }
}
