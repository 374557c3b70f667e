//! Lists and maps: how long, what is in them, in which order.

use std::cmp::Ordering;

use super::{ANY, LIST, MAP, pure, string_like};
use crate::rules::compare::holds;
use crate::rules::functions::{Converter, Given, Takes, may, must};
use crate::rules::keys::{self, Key};
use crate::rules::mask::luhn;
use crate::rules::syntax::tree::CompareOp;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[
    pure(
        "Len",
        &[must("target", Takes::Value(Types::STR.or(Types::LIST).or(Types::MAP).or(Types::BYTES)))],
        Types::INT,
        len,
    ),
    pure("Keys", &[must("target", MAP)], Types::LIST, |given| {
        let keys = map(given)?.into_detached().into_iter().map(|entry| Value::Str(entry.key));
        Ok(Value::List(keys.collect()))
    }),
    pure("Values", &[must("target", MAP)], Types::LIST, |given| {
        Ok(Value::List(map(given)?.into_detached().into_iter().map(|entry| entry.value).collect()))
    }),
    pure("Coalesce", &[must("values", LIST)], Types::ANY, |given| {
        let mut values = given.list(0)?.into_iter().map(Value::open);
        Ok(values.find(|value| *value != Value::Nil).unwrap_or_default())
    }),
    pure("ContainsValue", &[must("target", LIST), must("item", ANY)], Types::BOOL, |given| {
        let (list, item) = (given.list(0)?, given.value(1));
        Ok(Value::Bool(list.iter().any(|one| holds(CompareOp::Eq, one, &item))))
    }),
    pure(
        "Index",
        &[must("target", Takes::Value(Types::STR.or(Types::LIST))), must("value", ANY)],
        Types::INT,
        index,
    ),
    pure("Sort", &[must("target", LIST), may("order", Takes::Choice(&["asc", "desc"]))], Types::LIST, sort),
    pure(
        "SliceToMap",
        &[must("target", LIST), may("key_path", LIST), may("value_path", LIST)],
        Types::MAP,
        slice_to_map,
    ),
    pure(
        "IsValidLuhn",
        &[must("value", Takes::Value(Types::STR.or(Types::INT)))],
        Types::BOOL,
        is_valid_luhn,
    ),
];

fn map<'a>(given: &mut Given<'_, 'a>) -> Result<crate::rules::map::Map<'a>, Trouble> {
    match given.value(0) {
        Value::Map(map) => Ok(map),
        other => Err(Trouble::wanted("a map", &other)),
    }
}

fn len<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let len = match given.value(0) {
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Bytes(bytes) => bytes.len(),
        other => return Err(Trouble::wanted("a string, a list or a map", &other)),
    };
    Ok(Value::Int(len as i64))
}

fn index<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let place = match (given.value(0), given.value(1)) {
        (Value::Str(text), Value::Str(part)) => text.find(&*part),
        (Value::List(list), item) => list.iter().position(|one| holds(CompareOp::Eq, one, &item)),
        (other, _) => return Err(Trouble::wanted("a string in a string, or a list", &other)),
    };
    Ok(Value::Int(place.map_or(-1, |place| place as i64)))
}

/// Numbers by size, everything else as text; what has no text can not be sorted.
fn sort<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let mut list: Vec<_> = given.list(0)?.into_iter().map(Value::open).collect();
    let descending = given.text_or(1, "asc")? == "desc";
    let unfit = |value: &&Value<'_>| {
        !matches!(value, Value::Int(_) | Value::Double(_) | Value::Str(_) | Value::Bool(_))
    };
    if let Some(value) = list.iter().find(unfit) {
        return Err(Trouble::wanted("numbers, strings and booleans", value));
    }
    let number = |value: &Value<'_>| match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    };
    if let Some(mut whole) =
        list.iter().map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect::<Option<Vec<_>>>()
    {
        whole.sort_unstable();
        list = whole.into_iter().map(Value::Int).collect();
    } else if list.iter().all(|value| number(value).is_some()) {
        list.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
    } else {
        list.sort_by_cached_key(|value| string_like(value.clone()));
    }
    if descending {
        list.reverse();
    }
    Ok(Value::List(list))
}

fn slice_to_map<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let list = given.list(0)?;
    let mut path = |nth| match given.value(nth) {
        Value::List(path) => path.into_iter().map(Key::of).collect::<Result<Vec<_>, _>>(),
        _ => Ok(Vec::new()),
    };
    let (key_path, value_path) = (path(1)?, path(2)?);
    let mut pairs = Vec::new();
    for (nth, item) in list.into_iter().enumerate() {
        let key = match key_path.is_empty() {
            true => Value::text(nth.to_string()),
            false => keys::get(item.clone(), &key_path)?.open(),
        };
        let Value::Str(key) = key else { return Err(Trouble::wanted("a string as the key", &key)) };
        pairs.push((key, keys::get(item, &value_path)?));
    }
    Ok(Value::Map(pairs.into_iter().collect()))
}

fn is_valid_luhn<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = match given.value(0) {
        Value::Str(text) => text.into_owned(),
        Value::Int(number) => number.to_string(),
        other => return Err(Trouble::wanted("digits or an integer", &other)),
    };
    match text.chars().map(|letter| letter.to_digit(10)).collect::<Option<Vec<_>>>() {
        Some(digits) => Ok(Value::Bool(luhn(&digits))),
        None => Err(Trouble::new("not digits alone")),
    }
}
