//! JSON that stands inside attributes, read no deeper than one level: what is below stays as it was written.
//!
//! Numbers are kept as text too, so that a price is the decimal somebody wrote and not its nearest double.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::complaint::Problem;

/// Entries of one object that are read.
pub const ENTRIES_MAX: usize = 256;

/// The entries of an object, in order; the last of equal keys wins, as in every JSON reader. More than
/// [`ENTRIES_MAX`] are checked, but not kept.
///
/// # Errors
/// [`Problem::InvalidJson`] or [`Problem::NotAnObject`].
pub fn object(text: &str) -> Result<Vec<(String, &str)>, Problem> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Entries).and_then(|entries| reader.end().map(|()| entries));
    read.map_err(|_| match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Problem::NotAnObject,
        Err(_) => Problem::InvalidJson,
    })
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Self::Value = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.len() == ENTRIES_MAX {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?.get();
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        Ok(entries)
    }
}

/// A scalar without its quotes; anything else as it is written.
pub fn plain(raw: &str) -> Cow<'_, str> {
    match string(raw) {
        Some(text) => text,
        None => Cow::Borrowed(raw),
    }
}

/// The text of a JSON string.
pub fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    // What stands between the quotes is the text, unless it is no JSON string after all.
    serde_json::from_str::<&str>(raw).ok().map(Cow::Borrowed)
}
