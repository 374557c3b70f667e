//! What type a value has, and the same value as another type.

use super::{ANY, pure, string_like};
use crate::rules::functions::{Converter, Given, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const ONE: &[crate::rules::functions::Parameter] = &[must("value|target", ANY)];

pub const CONVERTERS: &[Converter] = &[
    pure("IsString", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::Str(_)))),
    pure("IsInt", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::Int(_)))),
    pure("IsDouble", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::Double(_)))),
    pure("IsBool", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::Bool(_)))),
    pure("IsMap", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::Map(_)))),
    pure("IsList", ONE, Types::BOOL, |given| is(given, |value| matches!(value, Value::List(_)))),
    pure("IsEmpty", ONE, Types::BOOL, |given| is(given, is_empty)),
    pure("String", ONE, Types::STR.or(Types::NIL), string),
    pure("Int", ONE, Types::INT.or(Types::NIL), int),
    pure("Double", ONE, Types::DOUBLE.or(Types::NIL), double),
    pure("Bool", ONE, Types::BOOL.or(Types::NIL), boolean),
    pure("Log", ONE, Types::DOUBLE, log),
];

fn is<'a>(given: &mut Given<'_, 'a>, wanted: fn(&Value<'_>) -> bool) -> Result<Value<'a>, Trouble> {
    Ok(Value::Bool(wanted(&given.value(0))))
}

fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::Nil => true,
        Value::Str(text) => text.is_empty(),
        // An id that is not set is all zeros.
        Value::Bytes(bytes) => bytes.iter().all(|byte| *byte == 0) && matches!(bytes.len(), 0 | 8 | 16),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Bool(truth) => !truth,
        Value::Int(number) | Value::Duration(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Time(_) | Value::Any(_) | Value::Message(..) => false,
    }
}

fn string<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(match given.value(0) {
        text @ Value::Str(_) => text,
        other => string_like(other).map_or(Value::Nil, Value::text),
    })
}

fn int<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(match given.value(0) {
        Value::Int(number) => Value::Int(number),
        Value::Double(number) => Value::Int(number as i64),
        Value::Bool(truth) => Value::Int(i64::from(truth)),
        Value::Str(text) => text.parse().map_or(Value::Nil, Value::Int),
        _ => Value::Nil,
    })
}

fn double<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(number(given.value(0)).map_or(Value::Nil, Value::Double))
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(number),
        Value::Int(number) => Some(number as f64),
        Value::Bool(truth) => Some(f64::from(u8::from(truth))),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    }
}

fn boolean<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(match given.value(0) {
        Value::Bool(truth) => Value::Bool(truth),
        Value::Int(number) => Value::Bool(number != 0),
        Value::Double(number) => Value::Bool(number != 0.0),
        Value::Str(text) => match &*text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => Value::Nil,
        },
        _ => Value::Nil,
    })
}

fn log<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let value = given.value(0);
    match number(value.clone()) {
        Some(number) if number > 0.0 => Ok(Value::Double(number.ln())),
        Some(number) => Err(Trouble(format!("{number} has no logarithm"))),
        None => Err(Trouble::wanted("a number", &value)),
    }
}
