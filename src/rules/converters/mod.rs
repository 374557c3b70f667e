//! Everything that gives a value: OTTL's converters in families, one file each.

mod calendar;
mod collections;
mod csv;
mod encodings;
mod format;
mod hashes;
mod ids;
mod json;
mod kinds;
mod matching;
mod network;
mod pairs;
mod severity;
mod text;
mod times;

use std::borrow::Cow;

use super::functions::{Converter, Given, Takes};
use super::render;
use super::trouble::Trouble;
use super::types::Types;
use super::value::Value;

pub fn all() -> impl Iterator<Item = &'static Converter> + Clone {
    let tables = [
        kinds::CONVERTERS,
        text::CONVERTERS,
        matching::CONVERTERS,
        json::CONVERTERS,
        csv::CONVERTERS,
        pairs::CONVERTERS,
        severity::CONVERTERS,
        network::CONVERTERS,
        times::CONVERTERS,
        hashes::CONVERTERS,
        ids::CONVERTERS,
        collections::CONVERTERS,
        encodings::CONVERTERS,
        format::CONVERTERS,
    ];
    tables.into_iter().flatten()
}

pub fn find(name: &str) -> Option<&'static Converter> {
    all().find(|converter| converter.name == name)
}

const ANY: Takes = Takes::Value(Types::ANY);
const TEXT: Takes = Takes::Value(Types::STR);
const INT: Takes = Takes::Value(Types::INT);
const BOOL: Takes = Takes::Value(Types::BOOL);
const LIST: Takes = Takes::Value(Types::LIST);
const MAP: Takes = Takes::Value(Types::MAP);
const TIME: Takes = Takes::Value(Types::TIME);
const DURATION: Takes = Takes::Value(Types::DURATION);

type Run = for<'s, 'a> fn(&mut Given<'s, 'a>) -> Result<Value<'a>, Trouble>;

/// A converter whose value depends on its arguments alone.
const fn pure(
    name: &'static str,
    parameters: &'static [super::functions::Parameter],
    gives: Types,
    run: Run,
) -> Converter {
    Converter { name, parameters, gives, is_constant: true, run }
}

/// Any value as a string: bytes in hexadecimal, lists and maps as JSON; `None` for nil.
fn string_like(value: Value<'_>) -> Option<Cow<'_, str>> {
    Some(Cow::Owned(match value.open() {
        Value::Nil => return None,
        Value::Str(text) => return Some(text),
        Value::Bytes(bytes) => render::hex(&bytes),
        Value::Double(number) => render::plain_float(number),
        other => other.to_text(),
    }))
}
