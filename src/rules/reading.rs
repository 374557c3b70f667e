//! The value at a spot.

use std::borrow::Cow;

use super::draft::{Draft, Place, Raw};
use super::entries::Which;
use super::frame::{Frame, TraceFacts};
use super::keys::{self, Key};
use super::map::Map;
use super::messages::{self, Form};
use super::points::Kind;
use super::render::hex;
use super::scene::name_of;
use super::spots::{Spot, TraceSpot};
use super::tracestate;
use super::trouble::Trouble;
use super::value::Value;
use super::writing::resolve;

/// Where a value is read from.
pub struct Reading<'d, 'a> {
    pub draft: &'d Draft<'a>,
    pub kind: Option<Kind>,
    pub nth: u32,
}

pub const TRACE_STATE: Place = Place::at(3);
pub const KIND: Place = Place::at(6);
/// `data_points` of every kind of metric.
pub const POINTS: u32 = 1;
pub const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];

impl<'a> Reading<'_, 'a> {
    /// # Errors
    /// When a key does not fit what it looks into.
    pub fn value(&self, spot: Spot, keys: &[Key<'_>]) -> Result<Value<'a>, Trouble> {
        let Some(spot) = resolve(spot, self.kind) else { return Ok(Value::Nil) };
        let value = match (spot, keys) {
            (Spot::Attributes(field), [Key::Name(name), rest @ ..]) => {
                return keys::get(self.draft.entry(Which::Other(field, name)), rest);
            }
            (Spot::TraceState, [key]) => {
                let Value::Str(state) = self.text(TRACE_STATE) else { return Ok(Value::Nil) };
                return Ok(tracestate::get(&state, &name_of(key)).map_or(Value::Nil, Value::text));
            }
            (Spot::Attributes(field), _) => Value::Map(self.draft.map(field)),
            (Spot::Any(field), _) => self.draft.any(field),
            (Spot::Message(field, form), _) => self.message(field, form),
            (Spot::Part(field, form, name), _) => {
                keys::get(self.message(field, form), &[Key::Name(Cow::Borrowed(name))])?
            }
            (Spot::Messages(field, form), _) => {
                let written = self.draft.whole.value(field);
                written.unwrap_or_else(|| messages::all(self.draft.base(), field, form))
            }
            (Spot::PointsOf(kind), _) => {
                let form = Form::of_points(kind);
                match self.draft.merged(kind as u32) {
                    Cow::Borrowed(data) => messages::all(data, POINTS, form),
                    Cow::Owned(data) => messages::all(&data, POINTS, form).into_owned(),
                }
            }
            (Spot::Numbers(field, numbers), _) => {
                let message = self.draft.whole.get(field);
                numbers.read(message.unwrap_or(self.draft.base()), field)
            }
            (spot, _) => self.scalar(spot),
        };
        keys::get(value, keys)
    }

    fn message(&self, field: u32, form: Form) -> Value<'a> {
        match self.draft.merged(field) {
            Cow::Borrowed(body) => Value::Message(form, body),
            Cow::Owned(body) => Value::Message(form, &body).into_owned(),
        }
    }

    fn scalar(&self, spot: Spot) -> Value<'a> {
        match spot {
            Spot::Text(place) => self.text(place),
            Spot::TraceState => self.text(TRACE_STATE),
            Spot::Number(place) => Value::Int(self.number(place).cast_signed()),
            Spot::Bool(place) => Value::Bool(self.number(place) != 0),
            Spot::Zigzag(field) => {
                let raw = self.number(Place::at(field));
                Value::Int((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
            }
            Spot::Flags(field) | Spot::Fixed(field) => {
                Value::Int(self.number(Place::at(field)).cast_signed())
            }
            Spot::Double(field) => Value::Double(f64::from_bits(self.number(Place::at(field)))),
            Spot::Moment(field) => {
                Value::Time(i64::try_from(self.number(Place::at(field))).unwrap_or(i64::MAX))
            }
            Spot::Id(field, len) => Value::Bytes(self.id(field, len)),
            Spot::IdText(field, len) => Value::text(hex(&self.id(field, len))),
            Spot::KindText => Value::text(self.kind_name().unwrap_or("")),
            Spot::KindName => {
                let name = self.kind_name().map(|name| format!("SPAN_KIND_{}", name.to_ascii_uppercase()));
                Value::text(name.unwrap_or_default())
            }
            Spot::AnyText(field) => Value::text(self.draft.any(field).to_text()),
            Spot::MetricType => Value::Int(Kind::of(self.draft.base()).map_or(0, Kind::number)),
            Spot::Nth => Value::Int(i64::from(self.nth)),
            _ => Value::Nil,
        }
    }

    fn kind_name(&self) -> Option<&'static str> {
        KINDS.get(usize::try_from(self.number(KIND)).ok()?).copied()
    }

    fn number(&self, place: Place) -> u64 {
        match self.draft.read(place) {
            Raw::Varint(number) | Raw::Fixed64(number) => number,
            Raw::Fixed32(number) => u64::from(number),
            Raw::Len(_) | Raw::Absent => 0,
        }
    }

    fn text(&self, place: Place) -> Value<'a> {
        match self.draft.read(place) {
            Raw::Len(Cow::Borrowed(text)) => Value::of_utf8(text),
            Raw::Len(Cow::Owned(text)) => Value::text(String::from_utf8_lossy(&text).into_owned()),
            _ => Value::text(""),
        }
    }

    /// An id that is not there, or has another length, is one of zeros, as the Collector shows it.
    fn id(&self, field: u32, len: usize) -> Cow<'a, [u8]> {
        match self.draft.read(Place::at(field)) {
            Raw::Len(id) if id.len() == len => id,
            _ => Cow::Borrowed(zeros(len)),
        }
    }
}

fn zeros(len: usize) -> &'static [u8] {
    static ZEROS: [u8; 16] = [0; 16];
    ZEROS.get(..len).unwrap_or_default()
}

/// What stands around the item: the cache, the trace, the request.
///
/// # Errors
/// When a key does not fit what it looks into.
pub fn around<'a>(
    frame: &Frame<'a>,
    cache: &Map<'a>,
    spot: Spot,
    keys: &[Key<'_>],
) -> Result<Value<'a>, Trouble> {
    let text = |text: Option<&'a str>| text.map_or(Value::Nil, Value::text);
    let value = match (spot, keys) {
        (Spot::Cache, [Key::Name(name), rest @ ..]) => {
            return keys::get(cache.get(name).cloned().unwrap_or_default(), rest);
        }
        (Spot::Cache, _) => Value::Map(cache.clone()),
        (Spot::Header, [key]) => {
            let name = name_of(key).to_ascii_lowercase();
            return Ok(text(frame.request.and_then(|request| request.header(&name))));
        }
        (Spot::PeerAddress, _) => text(frame.request.and_then(|request| request.peer())),
        (Spot::Trace(spot), _) => frame.trace.map_or(Value::Nil, |trace| fact(trace, spot)),
        _ => Value::Nil,
    };
    keys::get(value, keys)
}

fn fact<'a>(trace: &'a TraceFacts<'a>, spot: TraceSpot) -> Value<'a> {
    let text = |text: Option<&'a str>| text.map_or(Value::Nil, Value::text);
    let list = |all: &'a [&'a str]| Value::List(all.iter().map(|one| Value::text(*one)).collect());
    let count = |count| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    match spot {
        TraceSpot::Id => trace.id.as_ref().map_or(Value::Nil, |id| Value::Bytes(Cow::Borrowed(&id.0))),
        TraceSpot::Name => text(trace.name),
        TraceSpot::User => text(trace.user),
        TraceSpot::Session => text(trace.session),
        TraceSpot::Tags => list(&trace.tags),
        TraceSpot::Environment => text(trace.environment),
        TraceSpot::Release => text(trace.release),
        TraceSpot::Services => list(&trace.services),
        TraceSpot::SpanCount => count(trace.span_count),
        TraceSpot::Duration => Value::Duration(trace.duration),
        TraceSpot::Errors => count(trace.errors),
    }
}
