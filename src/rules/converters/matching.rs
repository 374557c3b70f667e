//! Regular expressions: whether they match, and what their groups found.

use super::{ANY, BOOL, LIST, TEXT, pure, string_like};
use crate::rules::functions::{Argument, Converter, Given, Takes, may, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[
    pure("IsMatch", &[must("target", ANY), must("pattern", Takes::Pattern)], Types::BOOL, is_match),
    pure(
        "ExtractPatterns",
        &[must("target", TEXT), must("pattern", Takes::Pattern)],
        Types::MAP,
        extract_patterns,
    ),
    pure(
        "ExtractGrokPatterns",
        &[
            must("target", TEXT),
            must("pattern", Takes::Grok),
            may("named_captures_only", BOOL),
            may("pattern_definitions", LIST),
        ],
        Types::MAP,
        extract_grok_patterns,
    ),
];

fn is_match<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let pattern = given.pattern(1)?;
    Ok(Value::Bool(match given.value(0) {
        Value::Str(text) => pattern.is_match(&text),
        other => string_like(other).is_some_and(|text| pattern.is_match(&text)),
    }))
}

fn extract_patterns<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, pattern) = (given.text(0)?, given.pattern(1)?);
    let mut map = Map::default();
    if let Some(captures) = pattern.captures(&text) {
        for name in pattern.capture_names().flatten() {
            let found = captures.name(name).map_or("", |found| found.as_str());
            map.set(name, Value::text(found.to_owned()));
        }
    }
    Ok(Value::Map(map))
}

fn extract_grok_patterns<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let named_only = given.value(2) != Value::Bool(false);
    match given.arguments.get(1) {
        Some(Argument::Grok(grok)) => Ok(Value::Map(grok.find(&text, named_only))),
        _ => Err(Trouble::new("wanted a pattern")),
    }
}
