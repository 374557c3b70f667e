//! Replies in protobuf, field by field: too small for generated types, and read more leniently than they
//! would. Refuses nothing; the surprise is that reading stops quietly at the first byte it can not follow
//! and keeps what came before.

use std::time::Duration;

use bytes::Bytes;

use super::{
    BAD_REQUEST, DELAY_MAX, PARTIAL_MESSAGE_MAX, Partial, RETRY_INFO, STATUS_MESSAGE_MAX, Status,
    VIOLATION_TEXT_MAX, VIOLATIONS_MAX, cut,
};
use crate::wire::fields::{Field, Fields, Payload, put_len_field};
use crate::wire::varint;

/// `Export*ServiceResponse { partial_success = 1 { rejected_* = 1, error_message = 2 } }`.
pub(super) fn success(partial: Option<&Partial>) -> Bytes {
    let Some(partial) = partial else { return Bytes::new() };
    let mut inner = Vec::with_capacity(partial.message.len().min(PARTIAL_MESSAGE_MAX) + 16);
    put_number(1, partial.rejected.min(i64::MAX as u64), &mut inner);
    put_text(2, &cut(&partial.message, PARTIAL_MESSAGE_MAX), &mut inner);
    let mut out = Vec::with_capacity(inner.len() + 4);
    put_len_field(1, &inner, &mut out);
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
        put_len_field(1, &one, &mut out);
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
    put_len_field(1, &inner, &mut out);
    out
}

pub(super) fn read_partial(body: &[u8]) -> Option<Partial> {
    let mut found = None;
    for inner in Fields::of(body).filter_map(|f| bytes(&f, 1)) {
        let partial: &mut Partial = found.get_or_insert_default();
        for field in Fields::of(inner) {
            if let Some(n) = number(&field, 1) {
                // The count is an int64; a negative one is nonsense and counts nothing.
                partial.rejected = u64::try_from(n as i64).unwrap_or(0);
            } else if let Some(text) = bytes(&field, 2) {
                partial.message = read_text(text, PARTIAL_MESSAGE_MAX);
            }
        }
    }
    found
}

pub(super) fn read_status(body: &[u8]) -> Status {
    let mut status = Status::default();
    for field in Fields::of(body) {
        if let Some(n) = number(&field, 1) {
            status.code = n as u32;
        } else if let Some(text) = bytes(&field, 2) {
            status.message = read_text(text, STATUS_MESSAGE_MAX);
        } else if let Some(any) = bytes(&field, 3) {
            read_detail(any, &mut status);
        }
    }
    status
}

fn read_detail(any: &[u8], status: &mut Status) {
    let (mut kind, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(any) {
        kind = bytes(&field, 1).unwrap_or(kind);
        value = bytes(&field, 2).unwrap_or(value);
    }
    if kind == BAD_REQUEST.as_bytes() {
        for violation in Fields::of(value).filter_map(|f| bytes(&f, 1)) {
            if status.violations.len() == VIOLATIONS_MAX {
                return;
            }
            let (mut field, mut description) = (String::new(), String::new());
            for part in Fields::of(violation) {
                if let Some(text) = bytes(&part, 1) {
                    field = read_text(text, VIOLATION_TEXT_MAX);
                } else if let Some(text) = bytes(&part, 2) {
                    description = read_text(text, VIOLATION_TEXT_MAX);
                }
            }
            status.violations.push((field, description));
        }
    } else if kind == RETRY_INFO.as_bytes() {
        status.retry_delay = Fields::of(value).filter_map(|f| bytes(&f, 1)).last().map(read_duration);
    }
}

/// A negative or malformed Duration reads as zero: "retry, and choose the delay yourself".
fn read_duration(body: &[u8]) -> Duration {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(body) {
        seconds = number(&field, 1).map_or(seconds, |n| n as i64);
        nanos = number(&field, 2).map_or(nanos, |n| n as i32);
    }
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos.min(999_999_999)).min(DELAY_MAX),
        _ => Duration::ZERO,
    }
}

fn read_text(bytes: &[u8], max: usize) -> String {
    // A little more than is kept, so that a long text is still seen to be too long.
    let head = bytes.get(..max + 4).unwrap_or(bytes);
    cut(&String::from_utf8_lossy(head), max).into_owned()
}

fn number(field: &Field<'_>, number: u32) -> Option<u64> {
    match field.payload {
        Payload::Varint(n) if field.number == number => Some(n),
        _ => None,
    }
}

fn bytes<'a>(field: &Field<'a>, number: u32) -> Option<&'a [u8]> {
    match field.payload {
        Payload::Len(b) if field.number == number => Some(b),
        _ => None,
    }
}

/// Proto3: zero is absent.
fn put_number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        varint::put(u64::from(field << 3), out);
        varint::put(value, out);
    }
}

fn put_text(field: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put_len_field(field, text.as_bytes(), out);
    }
}

fn put_any(kind: &str, value: &[u8], out: &mut Vec<u8>) {
    let mut any = Vec::with_capacity(kind.len() + value.len() + 8);
    put_text(1, kind, &mut any);
    put_len_field(2, value, &mut any);
    put_len_field(3, &any, out);
}
