//! `set`, and the editors of lists.

use super::Types;
use crate::rules::functions::{Deed, Editor, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::value::Value;

pub const EDITORS: &[Editor] = &[
    Editor {
        name: "set",
        parameters: &[must("target", Takes::Place), must("value", Takes::Value(Types::ANY))],
        run: set,
    },
    Editor {
        name: "append",
        parameters: &[
            must("target", Takes::Place),
            may("value", Takes::Value(Types::ANY)),
            may("values", Takes::Value(Types::LIST)),
        ],
        run: append,
    },
    Editor {
        name: "delete_index",
        parameters: &[
            must("target", Takes::Place),
            must("start_index", Takes::Value(Types::INT)),
            may("end_index", Takes::Value(Types::INT)),
        ],
        run: delete_index,
    },
];

/// Nil writes nothing, as in the Collector: `set(a, b)` leaves `a` where there is no `b`.
fn set(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    // What is only moved is not looked into.
    match deed.unread(1) {
        Value::Any([]) | Value::Nil => Ok(()),
        value => deed.set(value),
    }
}

fn append(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let mut list = match deed.get()? {
        Value::Nil => Vec::new(),
        Value::List(list) => list,
        Value::Map(map) => return Err(Trouble::wanted("a list or a single value", &Value::Map(map))),
        one => vec![one],
    };
    let (one, more) = (deed.value(1), deed.value(2));
    if matches!((&one, &more), (Value::Nil, Value::Nil)) {
        return Err(Trouble::new("there is neither a `value` nor `values` to append"));
    }
    if one != Value::Nil {
        list.push(one);
    }
    if let Value::List(more) = more {
        list.extend(more);
    }
    deed.set(Value::List(list))
}

fn delete_index(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let mut list = match deed.get()? {
        Value::List(list) => list,
        other => return Err(Trouble::wanted("a list", &other)),
    };
    let start = deed.int(1)?;
    let end = match deed.value(2) {
        Value::Nil => start.saturating_add(1),
        Value::Int(end) => end,
        other => return Err(Trouble::wanted("an integer", &other)),
    };
    if start == end {
        return Ok(());
    }
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some((start, end)) = range.filter(|(start, end)| start < end && *end <= list.len()) else {
        return Err(Trouble(format!("{start} to {end} is no part of a list of {}", list.len())));
    };
    list.drain(start..end);
    deed.set(Value::List(list))
}
