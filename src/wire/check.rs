//! Checks a message against its table, to the last field at every depth, without allocating.
//!
//! What passes here is accepted by every protobuf reader downstream: a known field with the wrong wire
//! type or invalid UTF-8 would make some of them refuse the whole batch (conformance P09, P12).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::fields::{self, Field, Payload};
use super::schema::{ANY_VALUE, KEY_VALUE, Kind, Table};
use super::{Fault, plain, utf8, varint};

/// A fault and the field it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub fault: Fault,
    /// Address of the field's first byte, to be compared with those of its surroundings. 0 when there
    /// is no such field.
    address: usize,
}

impl Broken {
    /// `field` begins with the broken field.
    #[cold]
    pub fn at(fault: Fault, field: &[u8]) -> Self {
        Self { fault, address: field.as_ptr().addr() }
    }

    /// An id that is missing or all zero.
    #[cold]
    pub fn absent(fault: Fault) -> Self {
        Self { fault, address: 0 }
    }
}

/// Whether this process has met a string that is given as an index into a dictionary. Only profiles have
/// one, so elsewhere it stands for nothing (conformance G15). The one thing a walk remembers: that someone
/// sends it is worth saying once a process, and not worth an argument through every check.
static STRINDEX_SEEN: AtomicBool = AtomicBool::new(false);

/// Whether any request so far named a string by its index where there is no dictionary.
pub fn strindex_seen() -> bool {
    STRINDEX_SEEN.load(Relaxed)
}

/// Checks all fields of `rest`. `levels` is how many AnyValues may nest inside.
pub fn message(mut rest: &[u8], table: &Table, levels: u32) -> Result<(), Broken> {
    while !rest.is_empty() {
        field(&mut rest, table, levels)?;
    }
    Ok(())
}

/// Checks a data point, whose field begins `raw`. Without a time it belongs nowhere (conformance D08);
/// in every kind of point the time is field 3.
#[inline]
pub fn data_point(mut point: &[u8], raw: &[u8], table: &Table, levels: u32) -> Result<(), Broken> {
    let mut time = 0;
    while !point.is_empty() {
        let field = field(&mut point, table, levels)?;
        if let (3, Payload::Fixed64(nanos)) = (field.number, field.payload) {
            time = nanos;
        }
    }
    if time == 0 { Err(Broken::at(Fault::PointTime, raw)) } else { Ok(()) }
}

/// Takes one field off the front of `rest` and checks it.
#[inline(always)]
pub fn field<'a>(rest: &mut &'a [u8], table: &Table, levels: u32) -> Result<Field<'a>, Broken> {
    let start = *rest;
    let field = fields::read(rest).map_err(|fault| Broken::at(fault, start))?;
    payload(field, start, table, levels)?;
    Ok(field)
}

/// Checks what a field carries. `start` begins with the field, to say where a fault is.
#[inline(always)]
pub fn payload(field: Field<'_>, start: &[u8], table: &Table, levels: u32) -> Result<(), Broken> {
    let fault = match (table.kind(field.number), field.payload) {
        (Kind::Str, Payload::Len(text)) => {
            if utf8::is_valid(text) {
                return Ok(());
            }
            Fault::Utf8
        }
        (Kind::KeyValue, Payload::Len(body)) => {
            return if levels > 0 && plain::key_value(body) {
                Ok(())
            } else {
                message(body, &KEY_VALUE, levels)
            };
        }
        (Kind::Message(table), Payload::Len(body)) => return message(body, table, levels),
        (Kind::Any, Payload::Len(body)) => match levels.checked_sub(1) {
            Some(levels) => return message(body, &ANY_VALUE, levels),
            None => Fault::Depth,
        },
        (Kind::Unknown, _)
        | (Kind::Varint | Kind::Varints, Payload::Varint(_))
        | (Kind::Fixed64 | Kind::Fixed64s, Payload::Fixed64(_))
        | (Kind::Fixed32, Payload::Fixed32(_))
        | (Kind::Bytes, Payload::Len(_)) => return Ok(()),
        (Kind::Strindex, Payload::Varint(_)) => {
            STRINDEX_SEEN.store(true, Relaxed);
            return Ok(());
        }
        (Kind::Id(len, fault), Payload::Len(id)) => {
            if id.len() == len || id.is_empty() {
                return Ok(());
            }
            fault
        }
        (Kind::Fixed64s, Payload::Len(packed)) => {
            if packed.len() % 8 == 0 {
                return Ok(());
            }
            Fault::Truncated
        }
        (Kind::Varints, Payload::Len(packed)) => match packed_varints(packed) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        },
        _ => Fault::WireType,
    };
    Err(Broken::at(fault, start))
}

fn packed_varints(mut rest: &[u8]) -> Result<(), Fault> {
    while !rest.is_empty() {
        varint::read(&mut rest)?;
    }
    Ok(())
}

/// Appends the way from `message` to what is broken inside it, in field names:
/// `.attributes[3].value.string_value`. The cold path of a refusal; reads no more than it must.
pub fn name_path(mut message: &[u8], broken: Broken, mut table: &Table, path: &mut String) {
    match broken {
        Broken { fault: Fault::TraceId, address: 0 } => path.push_str(".trace_id"),
        Broken { fault: Fault::SpanId, address: 0 } => path.push_str(".span_id"),
        Broken { address, .. } => {
            while let Some(inner) = name_step(message, address, table, path) {
                (message, table) = inner;
            }
        }
    }
}

/// Names the field of `message` that `address` is in; the message in it when the way goes on there.
fn name_step<'a>(
    message: &'a [u8],
    address: usize,
    table: &Table,
    path: &mut String,
) -> Option<(&'a [u8], &'static Table)> {
    use std::fmt::Write;
    let mut seen = [0u32; 32];
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest.as_ptr().addr();
        let number = u32::try_from(varint::read(&mut &*rest).ok()? >> 3).ok()?;
        let nth = seen.get_mut(number as usize).map_or(0, |n| std::mem::replace(n, n.saturating_add(1)));
        let field = fields::read(&mut rest);
        if field.is_ok() && address >= rest.as_ptr().addr() {
            continue;
        }
        let def = table.def(number)?;
        let _ = write!(path, ".{}", def.name);
        if def.repeated {
            let _ = write!(path, "[{nth}]");
        }
        return match (field.ok()?.payload, def.kind) {
            (Payload::Len(inner), Kind::Message(table)) if address > start => Some((inner, table)),
            (Payload::Len(inner), Kind::KeyValue) if address > start => Some((inner, &KEY_VALUE)),
            (Payload::Len(inner), Kind::Any) if address > start => Some((inner, &ANY_VALUE)),
            _ => None,
        };
    }
    None
}
