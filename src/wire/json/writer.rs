//! Protobuf into one buffer, lengths filled in behind.
//!
//! A length stands before its message but is known after it. Room for the usual length is left and filled
//! in when the message closes; where the guess was wrong the body moves by a byte or two. A message is
//! moved once per level above it at worst, and levels are bounded.

use crate::wire::{fields::Fields, varint};

/// Where an open record's length is due.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    room: usize,
}

#[inline]
pub(super) fn put_tag(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    let tag = number << 3 | wire_type;
    if tag < 0x80 { out.push(tag as u8) } else { varint::put(u64::from(tag), out) }
}

/// Leaves `room` bytes for a length.
#[inline]
pub(super) fn open(room: usize, out: &mut Vec<u8>) -> Mark {
    let at = out.len();
    out.resize(at + room, 0);
    Mark { at, room }
}

/// Fills in the length of what was written since `mark`.
#[inline]
pub(super) fn close(mark: Mark, out: &mut Vec<u8>) {
    let body = mark.at + mark.room;
    let len = out.len().saturating_sub(body);
    if mark.room == 1 && len < 0x80 {
        if let Some(room) = out.get_mut(mark.at) {
            *room = len as u8;
        }
        return;
    }
    let needed = varint::len(len as u64);
    if needed != mark.room {
        if needed > mark.room {
            out.resize(out.len() + needed - mark.room, 0);
        }
        out.copy_within(body..body + len, mark.at + needed);
        out.truncate(mark.at + needed + len);
    }
    fill(out.get_mut(mark.at..mark.at + needed).unwrap_or_default(), len);
}

fn fill(room: &mut [u8], mut len: usize) {
    let last = room.len().saturating_sub(1);
    for (i, byte) in room.iter_mut().enumerate() {
        *byte = (len & 0x7f) as u8 | if i == last { 0 } else { 0x80 };
        len >>= 7;
    }
}

/// Takes the records of the fields `drop` names out of the message that began at `start`.
/// Returns the bytes that were gone through: the caller bounds how often this may happen.
#[cold]
pub(super) fn remove(start: usize, drop: impl Fn(u32) -> bool, out: &mut Vec<u8>) -> usize {
    let message = out.split_off(start);
    let mut fields = Fields::of(&message);
    while let Some((field, raw)) = fields.next_raw() {
        if !drop(field.number) {
            out.extend_from_slice(raw);
        }
    }
    message.len()
}
