//! JSON text to values, as deep as values go.

use serde_json::Value as Json;

use super::{TEXT, pure};
use crate::rules::functions::{Converter, Given, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::{LEVELS_MAX, Value};

pub const CONVERTERS: &[Converter] =
    &[pure("ParseJSON", &[must("target", TEXT)], Types::MAP.or(Types::LIST), parse_json)];

fn parse_json<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    match serde_json::from_str(&text) {
        Ok(json @ (Json::Object(_) | Json::Array(_))) => value(json, 0),
        Ok(_) => Err(Trouble::new("JSON that is neither an object nor an array")),
        Err(error) => Err(Trouble(format!("not JSON: {error}"))),
    }
}

/// Every number is a float, as the Collector reads them.
fn value<'a>(json: Json, level: u32) -> Result<Value<'a>, Trouble> {
    Ok(match json {
        Json::Array(_) | Json::Object(_) if level >= LEVELS_MAX => {
            return Err(Trouble(format!("JSON nested deeper than {LEVELS_MAX} levels")));
        }
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::text(text),
        Json::Array(all) => {
            Value::List(all.into_iter().map(|one| value(one, level + 1)).collect::<Result<_, _>>()?)
        }
        Json::Object(all) => {
            let pair = |(key, one): (String, Json)| Ok((key.into(), value(one, level + 1)?));
            Value::Map(all.into_iter().map(pair).collect::<Result<_, Trouble>>()?)
        }
        Json::Null => Value::Nil,
    })
}
