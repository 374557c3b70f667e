//! Replies in protobuf, field by field: too small for generated types, and read more leniently than they
//! would. Refuses nothing; the surprise is that reading stops quietly at the first byte it can not follow
//! and keeps what came before.

use std::time::Duration;

use bytes::Bytes;

use super::{
    BAD_REQUEST, PARTIAL_MESSAGE_MAX, Partial, RETRY_INFO, STATUS_MESSAGE_MAX, Status, VIOLATION_TEXT_MAX,
    VIOLATIONS_MAX, cut,
};

/// `Export*ServiceResponse { partial_success = 1 { rejected_* = 1, error_message = 2 } }`.
pub(super) fn success(partial: Option<&Partial>) -> Bytes {
    let Some(partial) = partial else { return Bytes::new() };
    let mut inner = Vec::with_capacity(partial.message.len().min(PARTIAL_MESSAGE_MAX) + 16);
    put_number(1, partial.rejected.min(i64::MAX as u64), &mut inner);
    put_text(2, &cut(&partial.message, PARTIAL_MESSAGE_MAX), &mut inner);
    let mut out = Vec::with_capacity(inner.len() + 4);
    put_bytes(1, &inner, &mut out);
    out.into()
}

/// `google.rpc.Status { code = 1, message = 2, details = 3 { type_url = 1, value = 2 } }`.
pub(super) fn status(status: &Status) -> Bytes {
    let mut out = Vec::with_capacity(64 + status.message.len().min(STATUS_MESSAGE_MAX));
    put_number(1, u64::from(status.code), &mut out);
    put_text(2, &cut(&status.message, STATUS_MESSAGE_MAX), &mut out);
    if !status.violations.is_empty() {
        put_any(BAD_REQUEST, &bad_request(&status.violations), &mut out);
    }
    if let Some(delay) = status.retry_delay {
        put_any(RETRY_INFO, &retry_info(delay), &mut out);
    }
    out.into()
}

/// `BadRequest { field_violations = 1 { field = 1, description = 2 } }`.
fn bad_request(violations: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, description) in violations.iter().take(VIOLATIONS_MAX) {
        let mut one = Vec::new();
        put_text(1, &cut(field, VIOLATION_TEXT_MAX), &mut one);
        put_text(2, &cut(description, VIOLATION_TEXT_MAX), &mut one);
        put_bytes(1, &one, &mut out);
    }
    out
}

/// `RetryInfo { retry_delay = 1 { seconds = 1, nanos = 2 } }`. The Duration is written even when it is
/// zero: its presence is the message.
fn retry_info(delay: Duration) -> Vec<u8> {
    let mut inner = Vec::new();
    put_number(1, delay.as_secs().min(i64::MAX as u64), &mut inner);
    put_number(2, u64::from(delay.subsec_nanos()), &mut inner);
    let mut out = Vec::new();
    put_bytes(1, &inner, &mut out);
    out
}

pub(super) fn read_partial(body: &[u8]) -> Option<Partial> {
    let mut found = None;
    for inner in Fields(body).filter_map(|f| f.bytes(1)) {
        let partial: &mut Partial = found.get_or_insert_default();
        for field in Fields(inner) {
            if let Some(n) = field.number(1) {
                // The count is an int64; a negative one is nonsense and counts nothing.
                partial.rejected = u64::try_from(n as i64).unwrap_or(0);
            } else if let Some(text) = field.bytes(2) {
                partial.message = read_text(text, PARTIAL_MESSAGE_MAX);
            }
        }
    }
    found
}

pub(super) fn read_status(body: &[u8]) -> Status {
    let mut status = Status::default();
    for field in Fields(body) {
        if let Some(n) = field.number(1) {
            status.code = n as u32;
        } else if let Some(text) = field.bytes(2) {
            status.message = read_text(text, STATUS_MESSAGE_MAX);
        } else if let Some(any) = field.bytes(3) {
            read_detail(any, &mut status);
        }
    }
    status
}

fn read_detail(any: &[u8], status: &mut Status) {
    let (mut kind, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields(any) {
        kind = field.bytes(1).unwrap_or(kind);
        value = field.bytes(2).unwrap_or(value);
    }
    if kind == BAD_REQUEST.as_bytes() {
        for violation in Fields(value).filter_map(|f| f.bytes(1)) {
            if status.violations.len() == VIOLATIONS_MAX {
                return;
            }
            let (mut field, mut description) = (String::new(), String::new());
            for part in Fields(violation) {
                if let Some(text) = part.bytes(1) {
                    field = read_text(text, VIOLATION_TEXT_MAX);
                } else if let Some(text) = part.bytes(2) {
                    description = read_text(text, VIOLATION_TEXT_MAX);
                }
            }
            status.violations.push((field, description));
        }
    } else if kind == RETRY_INFO.as_bytes() {
        status.retry_delay = Fields(value).filter_map(|f| f.bytes(1)).last().map(read_duration);
    }
}

/// A negative or malformed Duration reads as zero: "retry, and choose the delay yourself".
fn read_duration(body: &[u8]) -> Duration {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(body) {
        seconds = field.number(1).map_or(seconds, |n| n as i64);
        nanos = field.number(2).map_or(nanos, |n| n as i32);
    }
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos.min(999_999_999)),
        _ => Duration::ZERO,
    }
}

fn read_text(bytes: &[u8], max: usize) -> String {
    // A little more than is kept, so that a long text is still seen to be too long.
    let head = bytes.get(..max + 4).unwrap_or(bytes);
    cut(&String::from_utf8_lossy(head), max).into_owned()
}

/// The fields of a message, until its end or the first byte that can not be followed.
struct Fields<'a>(&'a [u8]);

struct Field<'a> {
    number: u32,
    value: Raw<'a>,
}

enum Raw<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// fixed32 and fixed64: no field of a reply has them.
    Other,
}

impl<'a> Field<'a> {
    fn number(&self, number: u32) -> Option<u64> {
        match self.value {
            Raw::Varint(n) if self.number == number => Some(n),
            _ => None,
        }
    }

    fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        match self.value {
            Raw::Bytes(b) if self.number == number => Some(b),
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => self.take(8).map(|_| Raw::Other)?,
            2 => {
                let len = self.varint()?;
                Raw::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Raw::Other)?,
            _ => return None,
        };
        Some(Field { number, value })
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Proto3: zero is absent.
fn put_number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        put_varint(u64::from(field << 3), out);
        put_varint(value, out);
    }
}

fn put_text(field: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put_bytes(field, text.as_bytes(), out);
    }
}

fn put_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field << 3 | 2), out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_any(kind: &str, value: &[u8], out: &mut Vec<u8>) {
    let mut any = Vec::with_capacity(kind.len() + value.len() + 8);
    put_text(1, kind, &mut any);
    put_bytes(2, value, &mut any);
    put_bytes(3, &any, out);
}
