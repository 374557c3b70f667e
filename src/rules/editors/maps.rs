//! Editors that reshape a map or all its values.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::{COUNT, RESULT_MAX, TEXT, Types};
use crate::rules::functions::{Deed, Editor, Takes, may, must};
use crate::rules::map::Map;
use crate::rules::spots::Spot;
use crate::rules::trouble::Trouble;
use crate::rules::value::{LEVELS_MAX, Value};

const BOOL: Takes = Takes::Constant(Types::BOOL);

pub const EDITORS: &[Editor] = &[
    Editor {
        name: "flatten",
        parameters: &[
            must("target", Takes::MapPlace),
            may("prefix", TEXT),
            may("depth", COUNT),
            may("resolve_conflicts|conflict", BOOL),
        ],
        run: flatten,
    },
    Editor {
        name: "merge_maps",
        parameters: &[
            must("target", Takes::MapPlace),
            must("source", Takes::Value(Types::MAP)),
            must("strategy", Takes::Choice(&["insert", "update", "upsert"])),
        ],
        run: merge_maps,
    },
    Editor { name: "stringify_all", parameters: &[must("target", Takes::MapPlace)], run: stringify_all },
    Editor {
        name: "truncate_all",
        parameters: &[
            must("target", Takes::MapPlace),
            must("limit", COUNT),
            may("utf8_safe", BOOL),
            may("truncation_marker", TEXT),
        ],
        run: truncate_all,
    },
];

fn flatten(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let prefix = deed.text_or(1, "")?;
    let depth = match deed.value(2) {
        Value::Int(depth) => u32::try_from(depth).map_err(|_| Trouble::new("a depth is not negative"))?,
        _ => u32::MAX,
    };
    let resolve = deed.truth(3);
    deed.edit_map(|map| {
        let opens = |value: &Value<'_>| matches!(value.borrowed().open(), Value::Map(_) | Value::List(_));
        if prefix.is_empty() && !map.entries().iter().any(|entry| opens(&entry.value)) {
            return Ok(());
        }
        let mut flat = Flat { pairs: Vec::new(), seen: HashMap::default(), resolve, key_bytes: 0 };
        let whole = std::mem::take(map);
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
        if let Err(trouble) = flat.add(&whole, &prefix, 0, depth.min(LEVELS_MAX)) {
            *map = whole;
            return Err(trouble);
        }
        let pairs: Map<'_> = flat.pairs.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect();
        *map = whole;
        map.replace(pairs);
        Ok(())
    })
}

struct Flat<'a> {
    pairs: Vec<(String, Value<'a>)>,
    /// How often a key was wanted.
    seen: HashMap<String, u32, ahash::RandomState>,
    resolve: bool,
    /// Of all keys: what is nested deep has long ones.
    key_bytes: usize,
}

impl<'a> Flat<'a> {
    fn add(&mut self, map: &Map<'a>, prefix: &str, level: u32, depth: u32) -> Result<(), Trouble> {
        for entry in map.entries() {
            let key = format!("{prefix}{}", entry.key);
            match entry.value.clone().open() {
                Value::Map(inner) if level < depth => {
                    self.add(&inner, &format!("{key}."), level + 1, depth)?;
                }
                Value::List(list) if depth > 0 => {
                    for (nth, one) in list.into_iter().enumerate() {
                        // With conflicts resolved an array is one too: the same key, again and again.
                        let key = if self.resolve { key.clone() } else { format!("{key}.{nth}") };
                        self.put(key, one)?;
                    }
                }
                _ => self.put(key, entry.value.clone())?,
            }
        }
        Ok(())
    }

    fn put(&mut self, key: String, value: Value<'a>) -> Result<(), Trouble> {
        self.key_bytes += key.len();
        if self.key_bytes > RESULT_MAX {
            return Err(Trouble(format!("the keys would be longer than {RESULT_MAX} bytes")));
        }
        if !self.resolve {
            self.pairs.push((key, value));
            return Ok(());
        }
        let count = self.seen.entry(key.clone()).or_default();
        let named = if *count == 0 { key } else { format!("{key}.{}", *count - 1) };
        *count += 1;
        self.pairs.push((named, value));
        Ok(())
    }
}

fn merge_maps(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let source = match deed.value(1) {
        Value::Map(map) => map,
        other => return Err(Trouble::wanted("a map", &other)),
    };
    let strategy = deed.text(2)?;
    let (path, keys) = deed.target()?;
    if path.spot != Spot::Cache {
        let level = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let fits = source.entries().iter().try_for_each(|entry| entry.value.fits_in(level));
        fits.map_err(Trouble::homeless)?;
    }
    deed.edit_map(|map| {
        let places: HashMap<String, usize, ahash::RandomState> =
            map.entries().iter().zip(0..).map(|(entry, at)| (entry.key.clone().into_owned(), at)).collect();
        // Keys of a map stand once, so what was pushed is not looked for.
        for entry in source.into_detached() {
            match (&*strategy, places.get(entry.key.as_ref())) {
                ("insert", Some(_)) | ("update", None) => {}
                (_, Some(at)) => map.put_at(*at, entry.value),
                (_, None) => map.push(entry.key, entry.value),
            }
        }
        Ok(())
    })
}

fn stringify_all(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    deed.edit_map(|map| {
        map.change(|_, value| match value.borrowed().open() {
            Value::Str(_) => None,
            other => Some(Value::text(other.to_text())),
        });
        Ok(())
    })
}

/// Cuts at a character's border even where `utf8_safe` is false: OTLP's strings are UTF-8.
fn truncate_all(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let limit = usize::try_from(deed.int(1)?).map_err(|_| Trouble::new("a limit is not negative"))?;
    let marker = deed.text_or(3, "")?;
    let room =
        limit.checked_sub(marker.len()).ok_or_else(|| Trouble::new("the marker is longer than the limit"))?;
    deed.edit_map(|map| {
        map.change(|_, value| match value.borrowed().open() {
            Value::Str(text) if text.len() > limit => {
                let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                Some(Value::text(format!("{}{marker}", text.get(..end).unwrap_or_default())))
            }
            _ => None,
        });
        Ok(())
    })
}
