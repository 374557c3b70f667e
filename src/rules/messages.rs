//! Messages inside an item, as maps: events, links, the status, points, exemplars, buckets.
//!
//! Keys are the names that paths have for the same fields. A field that is not there reads as protobuf's
//! default, or as nil where the message tells the two apart. What nobody looked into is written back bit for
//! bit; a map is written anew, and a key that is no field of the message is a trouble.

use super::map::Map;
use super::points::Kind;
use super::trouble::Trouble;
use super::value::Value;
use crate::wire::attr;
use crate::wire::fields::{Fields, Payload, put_len_field};
use crate::wire::varint;

/// Which message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Event,
    Link,
    Status,
    Number,
    Histogram,
    Exponential,
    Summary,
    Exemplar,
    Buckets,
    Quantile,
}

/// What a field of a message holds.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    /// A varint of 32 bits without a sign.
    Count,
    Zigzag,
    Fixed32,
    Fixed64,
    Double,
    /// As the two above, nil where it is not there.
    MaybeFixed64,
    MaybeDouble,
    /// An id of so many bytes.
    Id(usize),
    Attributes,
    One(Form),
    Many(Form),
    Numbers(Numbers),
}

/// Lists of numbers, packed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    Fixed,
    Double,
    Varint,
}

type Field = (&'static str, u32, Holds);

const START: Field = ("start_time_unix_nano", 2, Holds::Fixed64);
const TIME: Field = ("time_unix_nano", 3, Holds::Fixed64);
const COUNT: Field = ("count", 4, Holds::Fixed64);
const SUM: Field = ("sum", 5, Holds::MaybeDouble);

impl Form {
    /// The data points of a kind of metric.
    pub const fn of_points(kind: Kind) -> Self {
        match kind {
            Kind::Gauge | Kind::Sum => Self::Number,
            Kind::Histogram => Self::Histogram,
            Kind::Exponential => Self::Exponential,
            Kind::Summary => Self::Summary,
        }
    }

    /// For messages: `an event`.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Event => "an event",
            Self::Link => "a link",
            Self::Status => "a status",
            Self::Number => "a number point",
            Self::Histogram => "a histogram point",
            Self::Exponential => "an exponential histogram point",
            Self::Summary => "a summary point",
            Self::Exemplar => "an exemplar",
            Self::Buckets => "buckets",
            Self::Quantile => "a quantile value",
        }
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Self::Event => &[
                ("time_unix_nano", 1, Holds::Fixed64),
                ("name", 2, Holds::Text),
                ("attributes", 3, Holds::Attributes),
                ("dropped_attributes_count", 4, Holds::Count),
            ],
            Self::Link => &[
                ("trace_id", 1, Holds::Id(16)),
                ("span_id", 2, Holds::Id(8)),
                ("trace_state", 3, Holds::Text),
                ("attributes", 4, Holds::Attributes),
                ("dropped_attributes_count", 5, Holds::Count),
                ("flags", 6, Holds::Fixed32),
            ],
            Self::Status => &[("code", 3, Holds::Count), ("message", 2, Holds::Text)],
            Self::Number => &[
                ("attributes", 7, Holds::Attributes),
                START,
                TIME,
                ("value_double", 4, Holds::MaybeDouble),
                ("value_int", 6, Holds::MaybeFixed64),
                ("exemplars", 5, Holds::Many(Form::Exemplar)),
                ("flags", 8, Holds::Count),
            ],
            Self::Histogram => &[
                ("attributes", 9, Holds::Attributes),
                START,
                TIME,
                COUNT,
                SUM,
                ("bucket_counts", 6, Holds::Numbers(Numbers::Fixed)),
                ("explicit_bounds", 7, Holds::Numbers(Numbers::Double)),
                ("exemplars", 8, Holds::Many(Form::Exemplar)),
                ("flags", 10, Holds::Count),
                ("min", 11, Holds::MaybeDouble),
                ("max", 12, Holds::MaybeDouble),
            ],
            Self::Exponential => &[
                ("attributes", 1, Holds::Attributes),
                START,
                TIME,
                COUNT,
                SUM,
                ("scale", 6, Holds::Zigzag),
                ("zero_count", 7, Holds::Fixed64),
                ("positive", 8, Holds::One(Form::Buckets)),
                ("negative", 9, Holds::One(Form::Buckets)),
                ("flags", 10, Holds::Count),
                ("exemplars", 11, Holds::Many(Form::Exemplar)),
                ("min", 12, Holds::MaybeDouble),
                ("max", 13, Holds::MaybeDouble),
                ("zero_threshold", 14, Holds::Double),
            ],
            Self::Summary => &[
                ("attributes", 7, Holds::Attributes),
                START,
                TIME,
                COUNT,
                ("sum", 5, Holds::Double),
                ("quantile_values", 6, Holds::Many(Form::Quantile)),
                ("flags", 8, Holds::Count),
            ],
            Self::Exemplar => &[
                ("filtered_attributes", 7, Holds::Attributes),
                ("time_unix_nano", 2, Holds::Fixed64),
                ("double_value", 3, Holds::MaybeDouble),
                ("int_value", 6, Holds::MaybeFixed64),
                ("span_id", 4, Holds::Id(8)),
                ("trace_id", 5, Holds::Id(16)),
            ],
            Self::Buckets => {
                &[("offset", 1, Holds::Zigzag), ("bucket_counts", 2, Holds::Numbers(Numbers::Varint))]
            }
            Self::Quantile => &[("quantile", 1, Holds::Double), ("value", 2, Holds::Double)],
        }
    }
}

/// A message as a map of its fields.
pub fn read(form: Form, body: &[u8]) -> Map<'_> {
    Map::of_fields(form.fields().iter().map(|(name, number, holds)| (*name, field(body, *number, *holds))))
}

fn field(body: &[u8], number: u32, holds: Holds) -> Value<'_> {
    let last = || Fields::of(body).filter(|field| field.number == number).last().map(|field| field.payload);
    let bits = || match last() {
        Some(Payload::Varint(bits) | Payload::Fixed64(bits)) => Some(bits),
        Some(Payload::Fixed32(bits)) => Some(u64::from(bits)),
        _ => None,
    };
    let double = |bits| Value::Double(f64::from_bits(bits));
    match holds {
        Holds::Text => match last() {
            Some(Payload::Len(text)) => Value::of_utf8(text),
            _ => Value::text(""),
        },
        Holds::Count | Holds::Fixed32 | Holds::Fixed64 => Value::Int(bits().unwrap_or(0).cast_signed()),
        Holds::Zigzag => {
            let raw = bits().unwrap_or(0);
            Value::Int((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
        }
        Holds::Double => double(bits().unwrap_or(0)),
        Holds::MaybeFixed64 => bits().map_or(Value::Nil, |bits| Value::Int(bits.cast_signed())),
        Holds::MaybeDouble => bits().map_or(Value::Nil, double),
        Holds::Id(len) => Value::Bytes(match last() {
            Some(Payload::Len(id)) if id.len() == len => id.into(),
            _ => vec![0; len].into(),
        }),
        Holds::Attributes => Value::Map(Map::of(body, number)),
        Holds::One(form) => Value::Message(form, attr::messages(body, number).last().unwrap_or_default()),
        Holds::Many(form) => all(body, number, form),
        Holds::Numbers(numbers) => numbers.read(body, number),
    }
}

/// The messages at `number` of `body`.
pub fn all(body: &[u8], number: u32, form: Form) -> Value<'_> {
    Value::List(attr::messages(body, number).map(|message| Value::Message(form, message)).collect())
}

/// Appends field `number` holding a message that says what `value` does.
///
/// # Errors
/// When it is no such message, or one of its parts is not what the field holds.
pub fn put(form: Form, value: Value<'_>, number: u32, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let body = match value {
        Value::Message(own, body) if own == form => {
            put_len_field(number, body, out);
            return Ok(());
        }
        other => encoded(form, other)?,
    };
    put_len_field(number, &body, out);
    Ok(())
}

/// Appends field `number` once for each message in a list.
///
/// # Errors
/// As [`put`], and when it is no list.
pub fn put_all(form: Form, list: Value<'_>, number: u32, out: &mut Vec<u8>) -> Result<(), Trouble> {
    match list.open() {
        Value::List(all) => all.into_iter().try_for_each(|one| put(form, one, number, out)),
        other => Err(Trouble::wanted("a list", &other)),
    }
}

fn encoded(form: Form, value: Value<'_>) -> Result<Vec<u8>, Trouble> {
    let map = match value.open() {
        Value::Map(map) => map,
        other => return Err(Trouble::wanted(form.what(), &other)),
    };
    let mut out = Vec::new();
    for entry in map.into_detached() {
        let Some((name, number, holds)) = form.fields().iter().find(|(name, ..)| *name == entry.key) else {
            let names: Vec<_> = form.fields().iter().map(|(name, ..)| *name).collect();
            let told = format!("{} has no `{}`; there are {}", form.what(), entry.key, names.join(", "));
            return Err(Trouble(told));
        };
        put_field(*number, *holds, entry.value, &mut out)
            .map_err(|trouble| Trouble(format!("`{name}` of {}: {trouble}", form.what())))?;
    }
    Ok(out)
}

fn put_field(number: u32, holds: Holds, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Trouble> {
    let tag = |wire_type: u64, out: &mut Vec<u8>| varint::put(u64::from(number) << 3 | wire_type, out);
    let value = match holds {
        Holds::One(form) => return put(form, value, number, out),
        Holds::Many(form) => return put_all(form, value, number, out),
        _ => value.open(),
    };
    match (holds, value) {
        // What is not there is left out.
        (_, Value::Nil) => {}
        (Holds::Text, Value::Str(text)) => put_len_field(number, text.as_bytes(), out),
        (Holds::Count, Value::Int(count @ 0..=0xffff_ffff)) => {
            tag(0, out);
            varint::put(count.cast_unsigned(), out);
        }
        (Holds::Fixed32, Value::Int(bits @ 0..=0xffff_ffff)) => {
            tag(5, out);
            out.extend_from_slice(&(bits as u32).to_le_bytes());
        }
        (Holds::Zigzag, Value::Int(number @ -0x8000_0000..=0x7fff_ffff)) => {
            tag(0, out);
            varint::put(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
        }
        (Holds::Fixed64 | Holds::MaybeFixed64, Value::Int(number)) => {
            tag(1, out);
            out.extend_from_slice(&number.to_le_bytes());
        }
        (Holds::Double | Holds::MaybeDouble, Value::Double(number)) => {
            tag(1, out);
            out.extend_from_slice(&number.to_le_bytes());
        }
        (Holds::Id(len), Value::Bytes(id)) if id.len() == len => put_len_field(number, &id, out),
        (Holds::Attributes, Value::Map(map)) => map
            .entries()
            .iter()
            .try_for_each(|entry| entry.put(number, 0, out))
            .map_err(|what| Trouble(format!("OTLP has no place for {what}")))?,
        (Holds::Numbers(numbers), value) => numbers.put(number, value, out)?,
        (holds, value) => return Err(Trouble::wanted(holds.what(), &value)),
    }
    Ok(())
}

impl Holds {
    const fn what(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Count | Self::Fixed32 => "an integer from 0 to 4294967295",
            Self::Zigzag => "an integer of 32 bits",
            Self::Fixed64 | Self::MaybeFixed64 => "an integer",
            Self::Double | Self::MaybeDouble => "a float",
            Self::Id(8) => "8 bytes",
            Self::Id(_) => "16 bytes",
            Self::Attributes => "a map",
            Self::One(form) => form.what(),
            Self::Many(_) | Self::Numbers(_) => "a list",
        }
    }
}

impl Numbers {
    pub fn read<'a>(self, message: &[u8], number: u32) -> Value<'a> {
        let of = |bits: u64| match self {
            Self::Double => Value::Double(f64::from_bits(bits)),
            Self::Fixed | Self::Varint => Value::Int(bits.cast_signed()),
        };
        let mut all = Vec::new();
        for field in Fields::of(message).filter(|field| field.number == number) {
            match field.payload {
                Payload::Fixed64(bits) | Payload::Varint(bits) => all.push(of(bits)),
                Payload::Len(mut packed) if self == Self::Varint => {
                    while let Ok(bits) = varint::read(&mut packed) {
                        all.push(of(bits));
                    }
                }
                Payload::Len(packed) => {
                    let (numbers, _) = packed.as_chunks::<8>();
                    all.extend(numbers.iter().map(|bytes| of(u64::from_le_bytes(*bytes))));
                }
                _ => {}
            }
        }
        Value::List(all)
    }

    /// # Errors
    /// When it is no list of numbers of the kind.
    pub fn put(self, number: u32, list: Value<'_>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let all = match list.open() {
            Value::List(all) => all,
            other => return Err(Trouble::wanted("a list", &other)),
        };
        let mut packed = Vec::new();
        for one in all {
            match (self, one.open()) {
                (Self::Fixed, Value::Int(count @ 0..)) => packed.extend_from_slice(&count.to_le_bytes()),
                (Self::Varint, Value::Int(count @ 0..)) => varint::put(count.cast_unsigned(), &mut packed),
                (Self::Double, Value::Double(bound)) => packed.extend_from_slice(&bound.to_le_bytes()),
                (Self::Double, other) => return Err(Trouble::wanted("a list of floats", &other)),
                (_, other) => return Err(Trouble::wanted("a list of counts", &other)),
            }
        }
        put_len_field(number, &packed, out);
        Ok(())
    }
}
