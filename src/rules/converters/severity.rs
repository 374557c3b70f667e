//! `ParseSeverity`: a log's own word for how bad it is, by the user's table.

use super::{ANY, MAP, pure};
use crate::rules::functions::{Converter, Given, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[pure(
    "ParseSeverity",
    &[must("target", ANY), must("severity_mapping|mapping", MAP)],
    Types::STR,
    parse_severity,
)];

fn parse_severity<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let target = given.value(0);
    let Value::Map(levels) = given.value(1) else { return Err(Trouble::new("wanted a map of levels")) };
    for level in levels.entries() {
        let Value::List(criteria) = level.value.clone().open() else {
            return Err(Trouble(format!("the level `{}` has no list of criteria", level.key)));
        };
        let meets =
            |criterion: Value<'_>| matches!(criterion.open(), Value::Map(map) if is_met(&map, &target));
        if criteria.into_iter().any(meets) {
            return Ok(Value::Str(level.key.clone()));
        }
    }
    Err(Trouble(format!("no level fits {}", target.what())))
}

/// `equals`, a list of strings; or `range`, from `min` to `max` or a class of status codes like `2xx`.
fn is_met(criterion: &Map<'_>, target: &Value<'_>) -> bool {
    let part = |name| criterion.get(name).cloned().unwrap_or_default().open();
    let equal = match (part("equals"), target) {
        (Value::List(words), Value::Str(_)) => words.into_iter().any(|word| word.open() == *target),
        _ => false,
    };
    let Value::Int(number) = target else { return equal };
    let (min, max) = match part("range") {
        Value::Map(range) => {
            let bound = |name| range.get(name).cloned().unwrap_or_default().open();
            match (bound("min"), bound("max")) {
                (Value::Int(min), Value::Int(max)) => (min, max),
                _ => return equal,
            }
        }
        Value::Str(class) => match class.strip_suffix("xx").and_then(|hundreds| hundreds.parse::<i64>().ok())
        {
            Some(hundreds @ 2..=5) => (hundreds * 100, hundreds * 100 + 99),
            _ => return equal,
        },
        _ => return equal,
    };
    equal || (min..=max).contains(number)
}
