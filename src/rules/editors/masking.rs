//! `mask(target, pattern or built-in)`: ours. The target's text, or every text inside its maps and lists.

use super::TEXT;
use crate::rules::functions::{Argument, Deed, Editor, Takes, may, must};
use crate::rules::map::Map;
use crate::rules::mask::Mask;
use crate::rules::spots::Spot;
use crate::rules::trouble::Trouble;
use crate::rules::value::{LEVELS_MAX, Value};

pub const EDITORS: &[Editor] = &[Editor {
    name: "mask",
    parameters: &[must("target", Takes::Place), must("what", Takes::Mask), may("replacement", TEXT)],
    run: mask,
}];

/// What stands in the place of what was masked.
const REPLACEMENT: &str = "***";

fn mask(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let Some(Argument::Mask(mask)) = deed.arguments.get(1) else {
        return Err(Trouble::new("wanted something to mask"));
    };
    let replacement = deed.text_or(2, REPLACEMENT)?;
    let is_list = |spot| matches!(spot, Spot::Attributes(_) | Spot::Point(_) | Spot::Cache);
    let (path, keys) = deed.target()?;
    if keys.is_empty() && is_list(path.spot) {
        return deed.edit_map(|map| {
            map.change(|_, value| masked(mask, value, &replacement, 0));
            Ok(())
        });
    }
    let value = deed.get()?;
    match masked(mask, &value, &replacement, 0) {
        Some(new) => deed.set(new),
        None => Ok(()),
    }
}

/// The value with what `mask` finds in it replaced; `None` where there is nothing.
fn masked<'a>(mask: &Mask, value: &Value<'a>, with: &str, level: u32) -> Option<Value<'a>> {
    match value.clone().open() {
        _ if level > LEVELS_MAX => None,
        Value::Str(text) => mask.apply(&text, with).map(Value::text),
        Value::Int(number) => mask.apply(&number.to_string(), with).map(Value::text),
        Value::List(list) => {
            let new: Vec<_> = list.iter().map(|one| masked(mask, one, with, level + 1)).collect();
            let changed = new.iter().any(Option::is_some);
            let all = list.into_iter().zip(new).map(|(old, new)| new.unwrap_or(old));
            changed.then(|| Value::List(all.collect()))
        }
        Value::Map(mut map) => {
            map_masked(mask, &mut map, with, level);
            map.is_touched().then_some(Value::Map(map))
        }
        _ => None,
    }
}

fn map_masked(mask: &Mask, map: &mut Map<'_>, with: &str, level: u32) {
    map.change(|_, value| masked(mask, value, with, level + 1));
}
