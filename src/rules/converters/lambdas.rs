//! Converters that run a lambda for each element of a list or map, in its order, and `When`.

use super::pure;
use crate::rules::functions::{Converter, Given, Parameter, Takes, may, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const EITHER: Types = Types::LIST.or(Types::MAP);
const SOURCE: Parameter = must("source", Takes::Value(EITHER));
const PREDICATE: Parameter = must("predicate", Takes::Lambda(2, Types::BOOL));
const MAPPER: Takes = Takes::Lambda(2, Types::ANY);

pub const CONVERTERS: &[Converter] = &[
    pure("All", &[SOURCE, PREDICATE], Types::BOOL, |given| Ok(Value::Bool(first(given, false)?.is_none()))),
    pure("Any", &[SOURCE, PREDICATE], Types::BOOL, |given| Ok(Value::Bool(first(given, true)?.is_some()))),
    pure("Filter", &[SOURCE, PREDICATE], EITHER, filter),
    pure("Find", &[SOURCE, PREDICATE, may("mapper", MAPPER)], Types::ANY, |given| {
        match first(given, true)? {
            Some((key, value)) if given.lambda(2).is_ok() => given.lambda(2)?.call(given.scene, [key, value]),
            found => Ok(found.map(|(_, value)| value).unwrap_or_default()),
        }
    }),
    pure("MapEach", &[SOURCE, must("mapper", MAPPER)], EITHER, map_each),
    pure(
        "MapKeys",
        &[must("source", Takes::Value(Types::MAP)), must("key_mapper", Takes::Lambda(2, Types::STR))],
        Types::MAP,
        map_keys,
    ),
    pure(
        "Reduce",
        &[SOURCE, must("seed", Takes::Value(Types::ANY)), must("accumulator", Takes::Lambda(3, Types::ANY))],
        Types::ANY,
        reduce,
    ),
    pure(
        "When",
        &[
            must("condition", Takes::Lambda(0, Types::BOOL)),
            must("true_value", Takes::Later(Types::ANY)),
            must("false_value", Takes::Later(Types::ANY)),
        ],
        Types::ANY,
        |given| {
            let holds = given.lambda(0)?.holds(given.scene, [])?;
            given.later(if holds { 1 } else { 2 })
        },
    ),
];

/// An element with its index or key.
type Pair<'a> = (Value<'a>, Value<'a>);

/// What the first argument has in it.
struct Elements<'a> {
    is_map: bool,
    pairs: Vec<Pair<'a>>,
}

impl<'a> Elements<'a> {
    fn of(given: &mut Given<'_, 'a>) -> Result<Self, Trouble> {
        Ok(match given.value(0) {
            Value::List(list) => {
                let pairs = (0..).map(Value::Int).zip(list).collect();
                Self { is_map: false, pairs }
            }
            Value::Map(map) => {
                let entries = map.into_detached().into_iter();
                Self { is_map: true, pairs: entries.map(|e| (Value::Str(e.key), e.value)).collect() }
            }
            other => return Err(Trouble::wanted("a list or a map", &other)),
        })
    }

    /// The same kind of thing with other elements.
    fn with(is_map: bool, pairs: impl Iterator<Item = Pair<'a>>) -> Value<'a> {
        if !is_map {
            return Value::List(pairs.map(|(_, value)| value).collect());
        }
        let keyed = pairs.filter_map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        });
        Value::Map(keyed.collect())
    }
}

/// The first element of which the predicate says `wanted`.
fn first<'a>(given: &mut Given<'_, 'a>, wanted: bool) -> Result<Option<Pair<'a>>, Trouble> {
    let (elements, predicate) = (Elements::of(given)?, given.lambda(1)?);
    for (key, value) in elements.pairs {
        if predicate.holds(given.scene, [key.clone(), value.clone()])? == wanted {
            return Ok(Some((key, value)));
        }
    }
    Ok(None)
}

fn filter<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (elements, predicate) = (Elements::of(given)?, given.lambda(1)?);
    let mut kept = Vec::new();
    for (key, value) in elements.pairs {
        if predicate.holds(given.scene, [key.clone(), value.clone()])? {
            kept.push((key, value));
        }
    }
    Ok(Elements::with(elements.is_map, kept.into_iter()))
}

fn map_each<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (elements, mapper) = (Elements::of(given)?, given.lambda(1)?);
    let mapped = elements.pairs.into_iter().map(|(key, value)| {
        let new = mapper.call(given.scene, [key.clone(), value])?;
        Ok((key, new))
    });
    let mapped = mapped.collect::<Result<Vec<_>, Trouble>>()?;
    Ok(Elements::with(elements.is_map, mapped.into_iter()))
}

/// Of two keys that become one the later keeps it.
fn map_keys<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (elements, mapper) = (Elements::of(given)?, given.lambda(1)?);
    if !elements.is_map {
        return Err(Trouble::new("wanted a map, found a list"));
    }
    let mapped = elements.pairs.into_iter().map(|(key, value)| {
        match mapper.call(given.scene, [key, value.clone()])?.open() {
            Value::Str(key) => Ok((key, value)),
            other => Err(Trouble::wanted("a string from the lambda", &other)),
        }
    });
    Ok(Value::Map(mapped.collect::<Result<Map<'_>, Trouble>>()?))
}

fn reduce<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (elements, seed, accumulator) = (Elements::of(given)?, given.value(1), given.lambda(2)?);
    elements
        .pairs
        .into_iter()
        .try_fold(seed, |folded, (key, value)| accumulator.call(given.scene, [folded, key, value]))
}
