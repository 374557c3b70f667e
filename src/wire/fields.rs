//! The fields of one message, one after another, never past its end.
//!
//! Groups are skipped as one field: proto3 has none, so they can only be unknown fields. Everything
//! else the wire format allows is read; everything it forbids is a [`Fault`] (conformance P07, P08).

use super::{Fault, varint};

/// Nested groups allowed inside an unknown group. Readers downstream stop at 100 message levels;
/// the deepest attribute uses 97 of them (conformance P11).
const GROUP_LEVELS_MAX: u32 = 3;

/// What a field carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    /// Strings, bytes, messages, packed scalars: without the length in front.
    Len(&'a [u8]),
    Group,
    Fixed32(u32),
}

/// One field: its number (1 to 2^29-1) and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    pub payload: Payload<'a>,
}

/// Takes one field off the front of `rest`, which must not be empty.
///
/// # Errors
/// Any structural [`Fault`]; `rest` then stands somewhere inside the broken field.
#[inline(always)]
pub fn read<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Fault> {
    let (number, wire_type) = read_tag(rest)?;
    let payload = read_payload(rest, number, wire_type, GROUP_LEVELS_MAX)?;
    Ok(Field { number, payload })
}

#[inline(always)]
fn read_tag(rest: &mut &[u8]) -> Result<(u32, u32), Fault> {
    // Field numbers 1 to 15: one byte, nothing left to check.
    if let [tag @ 8..=0x7f, tail @ ..] = *rest {
        *rest = tail;
        return Ok((u32::from(tag >> 3), u32::from(tag & 7)));
    }
    let tag = u32::try_from(varint::read(rest)?).map_err(|_| Fault::Tag)?;
    if tag < 8 {
        return Err(Fault::Tag);
    }
    Ok((tag >> 3, tag & 7))
}

#[inline(always)]
fn read_payload<'a>(
    rest: &mut &'a [u8],
    number: u32,
    wire_type: u32,
    group_levels: u32,
) -> Result<Payload<'a>, Fault> {
    Ok(match wire_type {
        0 => Payload::Varint(varint::read(rest)?),
        1 => Payload::Fixed64(u64::from_le_bytes(take(rest)?)),
        2 => {
            let len = usize::try_from(varint::read(rest)?).map_err(|_| Fault::Truncated)?;
            let (value, tail) = rest.split_at_checked(len).ok_or(Fault::Truncated)?;
            *rest = tail;
            Payload::Len(value)
        }
        3 => {
            skip_group(rest, number, group_levels)?;
            Payload::Group
        }
        4 => return Err(Fault::Group),
        5 => Payload::Fixed32(u32::from_le_bytes(take(rest)?)),
        _ => return Err(Fault::Tag),
    })
}

#[inline(always)]
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (value, tail) = rest.split_first_chunk().ok_or(Fault::Truncated)?;
    *rest = tail;
    Ok(*value)
}

#[cold]
fn skip_group(rest: &mut &[u8], number: u32, levels: u32) -> Result<(), Fault> {
    let levels = levels.checked_sub(1).ok_or(Fault::Group)?;
    loop {
        let (inner, wire_type) = read_tag(rest)?;
        match wire_type {
            3 => skip_group(rest, inner, levels)?,
            4 if inner == number => return Ok(()),
            _ => {
                read_payload(rest, inner, wire_type, levels)?;
            }
        }
    }
}

/// The bytes between two readings of the same message: `rest` before and after a field.
#[inline]
pub fn between<'a>(before: &'a [u8], after: &[u8]) -> &'a [u8] {
    before.len().checked_sub(after.len()).and_then(|len| before.get(..len)).unwrap_or_default()
}

/// The fields of a message that has been walked before. Bytes that can not be read end it.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field together with its bytes, tag and length included.
    #[inline]
    pub fn next_raw(&mut self) -> Option<(Field<'a>, &'a [u8])> {
        let before = self.rest;
        let field = self.next()?;
        Some((field, between(before, self.rest)))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut rest = self.rest;
        let field = read(&mut rest).ok()?;
        self.rest = rest;
        Some(field)
    }
}

/// The tag and length that stand before `len` bytes of a string, bytes or message field.
#[inline]
pub fn put_len_prefix(number: u32, len: usize, out: &mut impl Extend<u8>) {
    if number < 16 && len < 0x80 {
        return out.extend([(number << 3 | 2) as u8, len as u8]);
    }
    varint::put(u64::from(number) << 3 | 2, out);
    varint::put(len as u64, out);
}

/// A whole string, bytes or message field.
#[inline]
pub fn put_len_field(number: u32, value: &[u8], out: &mut Vec<u8>) {
    if number < 16 && value.len() < 0x80 {
        out.extend_from_slice(&[(number << 3 | 2) as u8, value.len() as u8]);
    } else {
        put_len_prefix(number, value.len(), out);
    }
    out.extend_from_slice(value);
}

/// Bytes such a field takes, tag and length included.
pub const fn len_field_len(number: u32, value_len: usize) -> usize {
    varint::len((number as u64) << 3) + varint::len(value_len as u64) + value_len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut bytes: &[u8], expect: Result<Field<'_>, Fault>) {
        assert_eq!(read(&mut bytes), expect);
    }

    #[test]
    fn each_wire_type_reads() {
        check(&[0x08, 0x96, 0x01], Ok(Field { number: 1, payload: Payload::Varint(150) }));
        check(&[0x11, 1, 0, 0, 0, 0, 0, 0, 0], Ok(Field { number: 2, payload: Payload::Fixed64(1) }));
        check(&[0x1a, 2, b'h', b'i', 9], Ok(Field { number: 3, payload: Payload::Len(b"hi") }));
        check(&[0x25, 7, 0, 0, 0], Ok(Field { number: 4, payload: Payload::Fixed32(7) }));
        // Group 5 with a varint and an empty group 6 inside.
        check(&[0x2b, 0x08, 1, 0x33, 0x34, 0x2c], Ok(Field { number: 5, payload: Payload::Group }));
        let top = &[0xf8, 0xff, 0xff, 0xff, 0x0f, 0][..];
        check(top, Ok(Field { number: (1 << 29) - 1, payload: Payload::Varint(0) }));
    }

    #[test]
    fn what_the_wire_format_forbids_is_refused() {
        check(&[0x00, 0], Err(Fault::Tag)); // field 0
        check(&[0x0e, 0], Err(Fault::Tag)); // wire type 6
        check(&[0x0f, 0], Err(Fault::Tag)); // wire type 7
        check(&[0x88, 0x80, 0x80, 0x80, 0x10, 0], Err(Fault::Tag)); // tag over 32 bits
        check(&[0x0c], Err(Fault::Group)); // an end without a start
        check(&[0x0b, 0x14], Err(Fault::Group)); // the wrong end
        check(&[0x0b, 0x08, 1], Err(Fault::Truncated)); // no end
        check(&[0x0b, 0x0b, 0x0b, 0x0b, 0x0c, 0x0c, 0x0c, 0x0c], Err(Fault::Group)); // too deep
        check(&[0x0a, 3, 1, 2], Err(Fault::Truncated)); // longer than its parent
        check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Err(Fault::Truncated));
        check(&[0x0d, 1, 2, 3], Err(Fault::Truncated));
        check(&[0x08], Err(Fault::Truncated));
    }

    #[test]
    fn raw_fields_add_up_to_the_message() {
        let message = [0x08, 1, 0x12, 2, b'h', b'i', 0x0b, 0x0c, 0x25, 7, 0, 0, 0];
        let mut fields = Fields::of(&message);
        let mut raw = Vec::new();
        while let Some((_, bytes)) = fields.next_raw() {
            raw.extend_from_slice(bytes);
        }
        assert_eq!(raw, message);
        assert!(fields.rest().is_empty());
    }

    #[test]
    fn prefix_lengths_agree_with_what_is_written() {
        for (number, len) in [(1, 0), (15, 127), (16, 128), (2048, 16_384)] {
            let mut out = Vec::new();
            put_len_field(number, &vec![0; len], &mut out);
            assert_eq!(out.len(), len_field_len(number, len));
        }
    }
}
