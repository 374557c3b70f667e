//! Looking into lists and maps, and writing inside them.
//!
//! A missing key of a map reads as nil; a place outside a list, or a key into what has no parts, is a
//! trouble. Writing makes the maps that are missing on the way.

use std::borrow::Cow;

use super::map::Map;
use super::trouble::Trouble;
use super::value::Value;

/// What stands in brackets, evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Key<'a> {
    Name(Cow<'a, str>),
    At(i64),
}

/// A list that writing has to make may be this long at most.
pub const MADE_MAX: i64 = 1024;

impl<'a> Key<'a> {
    /// # Errors
    /// When the value is neither a string nor an integer.
    pub fn of(value: Value<'a>) -> Result<Self, Trouble> {
        match value.open() {
            Value::Str(name) => Ok(Key::Name(name)),
            Value::Int(at) => Ok(Key::At(at)),
            other => Err(Trouble::wanted("a string or an integer as the key", &other)),
        }
    }
}

/// What stands in `value` at `keys`.
///
/// # Errors
/// As said above.
pub fn get<'a>(value: Value<'a>, keys: &[Key<'_>]) -> Result<Value<'a>, Trouble> {
    keys.iter().try_fold(value, |value, key| match (value.open(), key) {
        (Value::Map(map), Key::Name(name)) => Ok(map.get(name).cloned().unwrap_or_default()),
        (Value::List(mut list), Key::At(at)) => {
            let place = place(*at, list.len())?;
            Ok(list.swap_remove(place))
        }
        (Value::Nil, _) => Ok(Value::Nil),
        (other, key) => Err(unfit(&other, key)),
    })
}

fn place(at: i64, len: usize) -> Result<usize, Trouble> {
    let place = usize::try_from(at).ok().filter(|place| *place < len);
    place.ok_or_else(|| Trouble(format!("index {at} is outside a list of {len}")))
}

fn unfit(value: &Value<'_>, key: &Key<'_>) -> Trouble {
    let key = match key {
        Key::Name(name) => format!("the key `{name}`"),
        Key::At(at) => format!("the index {at}"),
    };
    Trouble(format!("{} can not be looked into by {key}", value.what()))
}

/// Writes `value` at `keys` of `map`.
///
/// # Errors
/// As said above, and where a map has to become a map or there is no key.
pub fn set_in_map<'a>(map: &mut Map<'a>, keys: &[Key<'a>], value: Value<'a>) -> Result<(), Trouble> {
    let (first, rest) = match keys.split_first() {
        Some((Key::Name(name), rest)) => (name, rest),
        Some((key, _)) => return Err(unfit(&Value::Map(Map::default()), key)),
        None => match value.open() {
            Value::Map(new) => {
                map.replace(new);
                return Ok(());
            }
            other => return Err(Trouble::wanted("a map", &other)),
        },
    };
    match map.get_mut(first) {
        Some(slot) => set(slot, rest, value),
        None => {
            let mut slot = Value::Nil;
            set(&mut slot, rest, value)?;
            map.push(first.clone(), slot);
            Ok(())
        }
    }
}

/// Writes `value` at `keys` of `slot`.
///
/// # Errors
/// As said above.
pub fn set<'a>(slot: &mut Value<'a>, keys: &[Key<'a>], value: Value<'a>) -> Result<(), Trouble> {
    let Some((first, rest)) = keys.split_first() else {
        *slot = value;
        return Ok(());
    };
    *slot = std::mem::take(slot).open();
    if matches!(slot, Value::Nil) {
        *slot = match first {
            Key::Name(_) => Value::Map(Map::default()),
            Key::At(at @ 0..MADE_MAX) => Value::List(vec![Value::Nil; *at as usize + 1]),
            Key::At(at) => return Err(Trouble(format!("index {at} is no place in a new list"))),
        };
    }
    match (slot, first) {
        (Value::Map(map), Key::Name(_)) => set_in_map(map, keys, value),
        (Value::List(list), Key::At(at)) => {
            let place = place(*at, list.len())?;
            set(&mut list[place], rest, value)
        }
        (other, key) => Err(unfit(other, key)),
    }
}
