//! Writing a value to a spot: the type it must have there, and the field it becomes.

use super::draft::{Draft, Place, Raw};
use super::keys::{self, Key};
use super::messages::{self, Form};
use super::points::Kind;
use super::reading::{KIND, KINDS, POINTS, Reading, TRACE_STATE};
use super::scene::name_of;
use super::spots::Spot;
use super::tracestate;
use super::trouble::Trouble;
use super::value::Value;
use crate::wire::fields::{Fields, put_len_field};

/// The plain spot behind one whose field depends on the kind of metric; `None` where there is no such field.
pub fn resolve(spot: Spot, kind: Option<Kind>) -> Option<Spot> {
    match spot {
        Spot::Point(spot) => kind?.place(spot),
        Spot::Temporality => kind?.temporality(),
        Spot::Monotonic => kind?.monotonic(),
        Spot::DataPoints => Some(Spot::PointsOf(kind?)),
        plain => Some(plain),
    }
}

/// # Errors
/// When the value has another type than the place, or a key does not fit.
pub fn write<'a>(
    draft: &mut Draft<'a>,
    spot: Spot,
    keys: &[Key<'a>],
    value: Value<'a>,
) -> Result<(), Trouble> {
    let value = match spot {
        Spot::Attributes(field) => {
            if let [Key::Name(name)] = keys {
                draft.write_entry(field, name.clone(), Some(value));
                return Ok(());
            }
            return keys::set_in_map(draft.map_mut(field), keys, value);
        }
        Spot::Any(field) => {
            // What does not fit leaves it as it came.
            let mut all = draft.any(field);
            keys::set(&mut all, keys, value)?;
            draft.write_any(field, all);
            return Ok(());
        }
        Spot::Message(..) | Spot::Part(..) | Spot::Messages(..) | Spot::PointsOf(_) | Spot::Numbers(..) => {
            return replace(draft, spot, keys, value);
        }
        _ => value.open(),
    };
    let (place, raw) = match (spot, value) {
        (Spot::TraceState, Value::Str(text)) => match keys {
            [] => (TRACE_STATE, len(text)),
            [key, ..] => {
                let Raw::Len(old) = or_empty(draft.read(TRACE_STATE)) else { return Ok(()) };
                let new = tracestate::set(&String::from_utf8_lossy(&old), &name_of(key), &text)?;
                (TRACE_STATE, len(new.into()))
            }
        },
        (_, _) if !keys.is_empty() => return Err(Trouble::new("only maps and lists take keys")),
        (Spot::Text(place), Value::Str(text)) => (place, len(text)),
        (Spot::Number(place), Value::Int(number)) => (place, Raw::Varint(number.cast_unsigned())),
        (Spot::Bool(place), Value::Bool(truth)) => (place, Raw::Varint(u64::from(truth))),
        (Spot::Flags(field), Value::Int(number)) => (Place::at(field), Raw::Fixed32(number as u32)),
        (Spot::Fixed(field), Value::Int(number)) => {
            number_point(draft, field, 6, 4);
            (Place::at(field), Raw::Fixed64(number.cast_unsigned()))
        }
        (Spot::Double(field), Value::Double(number)) => {
            number_point(draft, field, 4, 6);
            (Place::at(field), Raw::Fixed64(number.to_bits()))
        }
        (Spot::Zigzag(field), Value::Int(number @ -0x8000_0000..=0x7fff_ffff)) => {
            (Place::at(field), Raw::Varint(((number << 1) ^ (number >> 63)).cast_unsigned()))
        }
        (Spot::Moment(field), Value::Time(nanos)) => {
            (Place::at(field), Raw::Fixed64(u64::try_from(nanos).unwrap_or(0)))
        }
        (Spot::Id(field, size), Value::Bytes(id)) if id.len() == size => (Place::at(field), Raw::Len(id)),
        (Spot::IdText(field, size), Value::Str(text)) => {
            (Place::at(field), Raw::Len(id(&text, size)?.into()))
        }
        (Spot::KindText, Value::Str(text)) => (KIND, kind(&text)?),
        (Spot::KindName, Value::Str(text)) => (KIND, kind(text.strip_prefix("SPAN_KIND_").unwrap_or(&text))?),
        (Spot::AnyText(field), value @ Value::Str(_)) => {
            draft.write_any(field, value);
            return Ok(());
        }
        (spot, value) => return Err(Trouble::wanted(wanted(spot), &value)),
    };
    draft.write(place, raw);
    Ok(())
}

/// Writes what is made of whole messages, or of a list of numbers: all of the field is written anew.
fn replace<'a>(draft: &mut Draft<'a>, spot: Spot, keys: &[Key<'a>], value: Value<'a>) -> Result<(), Trouble> {
    let (spot, keys) = match spot {
        Spot::Part(field, form, name) => {
            let name = Key::Name(std::borrow::Cow::Borrowed(name));
            (Spot::Message(field, form), [&[name], keys].concat())
        }
        spot => (spot, keys.to_vec()),
    };
    let value = match keys.is_empty() {
        true => value,
        false => {
            let mut all = Reading { draft, kind: None, nth: 0 }.value(spot, &[])?;
            keys::set(&mut all, &keys, value)?;
            all
        }
    };
    let mut fields = Vec::new();
    match spot {
        Spot::Message(field, form) => {
            messages::put(form, value, field, &mut fields)?;
            draft.replace(field, fields, None);
        }
        Spot::Messages(field, form) => {
            messages::put_all(form, value.clone(), field, &mut fields)?;
            draft.replace(field, fields, Some(value));
        }
        Spot::Numbers(field, numbers) => {
            numbers.put(field, value, &mut fields)?;
            draft.replace(field, fields, None);
        }
        Spot::PointsOf(kind) => {
            // The points stand inside the metric's data, whose other fields stay.
            let (data, mut body) = (draft.merged(kind as u32), Vec::new());
            let mut others = Fields::of(&data);
            while let Some((field, raw)) = others.next_raw() {
                if field.number != POINTS {
                    body.extend_from_slice(raw);
                }
            }
            messages::put_all(Form::of_points(kind), value, POINTS, &mut body)?;
            put_len_field(kind as u32, &body, &mut fields);
            draft.replace(kind as u32, fields, None);
        }
        _ => {}
    }
    Ok(())
}

fn len(text: std::borrow::Cow<'_, str>) -> Raw<'_> {
    Raw::Len(match text {
        std::borrow::Cow::Borrowed(text) => text.as_bytes().into(),
        std::borrow::Cow::Owned(text) => text.into_bytes().into(),
    })
}

fn or_empty(raw: Raw<'_>) -> Raw<'_> {
    if raw == Raw::Absent { Raw::Len(Default::default()) } else { raw }
}

/// A number point has one value: writing the one kind of it takes the other away.
fn number_point(draft: &mut Draft<'_>, field: u32, written: u32, other: u32) {
    if field == written && draft.read(Place::at(other)) != Raw::Absent {
        draft.write(Place::at(other), Raw::Absent);
    }
}

/// The bytes of `size * 2` hexadecimal digits.
pub fn id(text: &str, size: usize) -> Result<Vec<u8>, Trouble> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    let whole = bytes.filter(|bytes| bytes.len() == size && text.len() == size * 2);
    whole.ok_or_else(|| Trouble(format!("an id of {size} bytes is {} hexadecimal digits", size * 2)))
}

fn kind(name: &str) -> Result<Raw<'static>, Trouble> {
    let number = KINDS.iter().zip(0..).find(|(known, _)| known.eq_ignore_ascii_case(name));
    let number = number.ok_or_else(|| Trouble(format!("`{name}` is no span kind")))?;
    Ok(Raw::Varint(number.1))
}

fn wanted(spot: Spot) -> &'static str {
    match spot {
        Spot::Number(_) | Spot::Flags(_) | Spot::Fixed(_) => "an integer",
        Spot::Double(_) => "a float",
        Spot::Zigzag(_) => "an integer of 32 bits",
        Spot::Bool(_) => "a boolean",
        Spot::Moment(_) => "a time",
        Spot::Id(_, 8) => "8 bytes",
        Spot::Id(..) => "16 bytes",
        _ => "a string",
    }
}
