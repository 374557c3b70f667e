//! Editors that decide which keys a map has.

use super::{COUNT, STRINGS, TEXT, strings};
use crate::rules::functions::{Deed, Editor, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::value::Value;

pub const EDITORS: &[Editor] = &[
    Editor {
        name: "delete_key",
        parameters: &[must("target", Takes::MapPlace), must("key", TEXT)],
        run: delete_key,
    },
    Editor {
        name: "delete_matching_keys",
        parameters: &[must("target", Takes::MapPlace), must("pattern", Takes::Pattern)],
        run: delete_matching_keys,
    },
    Editor {
        name: "keep_keys",
        parameters: &[must("target", Takes::MapPlace), must("keys", STRINGS)],
        run: keep_keys,
    },
    Editor {
        name: "keep_matching_keys",
        parameters: &[must("target", Takes::MapPlace), must("pattern", Takes::Pattern)],
        run: keep_matching_keys,
    },
    Editor {
        name: "limit",
        parameters: &[must("target", Takes::MapPlace), must("limit", COUNT), must("priority_keys", STRINGS)],
        run: limit,
    },
    Editor {
        name: "rename",
        parameters: &[
            must("target", Takes::MapPlace),
            must("from", TEXT),
            must("to", TEXT),
            may("overwrite", Takes::Value(super::Types::BOOL)),
        ],
        run: rename,
    },
];

fn delete_key(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let key = deed.text(1)?;
    let (path, keys) = deed.target()?;
    deed.scene.remove_key((path.home, path.spot, &keys), key)
}

fn delete_matching_keys(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let pattern = deed.pattern(1)?;
    deed.remove_keys(|key| pattern.is_match_bytes(key))
}

fn keep_keys(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let keys = strings(deed.list(1)?)?;
    deed.remove_keys(|known| !keys.iter().any(|key| key.as_bytes() == known))
}

fn keep_matching_keys(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let pattern = deed.pattern(1)?;
    deed.remove_keys(|key| !pattern.is_match_bytes(key))
}

/// Which keys beyond the limit go is nobody's choice in the Collector; here the last ones go.
fn limit(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let limit = usize::try_from(deed.int(1)?).map_err(|_| Trouble::new("a limit is not negative"))?;
    let first = strings(deed.list(2)?)?;
    if first.len() > limit {
        return Err(Trouble(format!("{} priority keys are more than the limit of {limit}", first.len())));
    }
    deed.edit_map(|map| {
        let kept = map.entries().iter().filter(|entry| first.contains(&entry.key)).count();
        let mut room = limit - kept.min(limit);
        map.retain(|entry| {
            let stays = first.contains(&entry.key);
            if !stays && room > 0 {
                room -= 1;
                return true;
            }
            stays
        });
        Ok(())
    })
}

/// Ours: a key's value under another name, bit for bit. A name that is taken keeps what it has, unless
/// `overwrite`.
fn rename(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let (from, to) = (deed.text(1)?, deed.text(2)?);
    let overwrite = deed.value(3) == Value::Bool(true);
    deed.edit_map(|map| {
        if map.get(&from).is_some() && from != to && (overwrite || map.get(&to).is_none()) {
            map.remove(&to);
            map.rename(|key| (key == from).then(|| to.clone().into_owned()));
        }
        Ok(())
    })
}
