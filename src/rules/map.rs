//! A map being read or edited: attributes, a map inside them, the cache.
//!
//! Each entry remembers which KeyValue of the message it was, so that what nobody touched is not written
//! again. A key stands once: of two the last counts, as everywhere in this program (conformance D03).

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashMap;

use super::value::Value;
use crate::wire::attr::{self, Attr};
use crate::wire::patch::Patch;

#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub key: Cow<'a, str>,
    pub value: Value<'a>,
    /// Which of the list's entries this was read as. Entries that have one stand in its order.
    from: Option<u32>,
    /// It says something else than what was read.
    changed: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Map<'a> {
    entries: Vec<Entry<'a>>,
    /// How many entries were read.
    occurrences: u32,
}

/// Attributes that most items have fewer than.
const COMMON: usize = 16;
/// Maps up to this long are searched for doubled keys, longer ones hashed.
const SEARCHED_MAX: usize = 32;

impl<'a> Map<'a> {
    /// The KeyValue list of `message` at `field`.
    pub fn of(message: &'a [u8], field: u32) -> Self {
        Self::of_entries(attr::messages(message, field))
    }

    /// The list of these KeyValues.
    pub fn of_entries(key_values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut entries = Vec::with_capacity(COMMON);
        entries.extend((0..).zip(key_values).map(|(nth, key_value)| Entry {
            key: utf8(Attr::key_of(key_value)),
            value: Value::of_entry(key_value),
            from: Some(nth),
            changed: false,
        }));
        let mut map = Map { occurrences: u32::try_from(entries.len()).unwrap_or(u32::MAX), entries };
        map.drop_doubles();
        map
    }

    fn drop_doubles(&mut self) {
        let entries = &self.entries;
        let doubled = |at: usize, key: &str| entries[at + 1..].iter().any(|later| later.key == key);
        if entries.len() <= SEARCHED_MAX
            && !entries.iter().enumerate().any(|(at, entry)| doubled(at, &entry.key))
        {
            return;
        }
        let keep: Vec<bool> = if entries.len() <= SEARCHED_MAX {
            entries.iter().enumerate().map(|(at, entry)| !doubled(at, &entry.key)).collect()
        } else {
            // Keys are the sender's choice: the hash is seeded, the effort stays linear.
            let mut last = HashMap::with_capacity_and_hasher(entries.len(), ahash::RandomState::new());
            last.extend(entries.iter().enumerate().map(|(at, entry)| (entry.key.as_ref(), at)));
            entries.iter().enumerate().map(|(at, entry)| last.get(entry.key.as_ref()) == Some(&at)).collect()
        };
        if keep.contains(&false) {
            let mut keep = keep.into_iter();
            self.entries.retain(|_| keep.next().unwrap_or(true));
        }
    }

    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        entry.changed = true;
        Some(&mut entry.value)
    }

    /// Writes `key`: in its place where it is, else at the end.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>> + AsRef<str>, value: Value<'a>) {
        match self.get_mut(key.as_ref()) {
            Some(old) => *old = value,
            None => self.push(key.into(), value),
        }
    }

    /// Appends an entry whose key is known to be new.
    pub fn push(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        self.entries.push(Entry { key, value, from: None, changed: true });
    }

    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// Removes what `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Entry<'a>) -> bool) {
        self.entries.retain(keep);
    }

    /// Changes values: `new` gives another one, or `None` to leave it.
    pub fn change(&mut self, mut new: impl FnMut(&str, &Value<'a>) -> Option<Value<'a>>) {
        for entry in &mut self.entries {
            if let Some(value) = new(&entry.key, &entry.value) {
                entry.value = value;
                entry.changed = true;
            }
        }
    }

    /// Gives keys other names; a name that is taken then replaces what had it.
    pub fn rename(&mut self, mut new: impl FnMut(&str) -> Option<String>) {
        let mut renamed = false;
        for entry in &mut self.entries {
            if let Some(key) = new(&entry.key).filter(|key| *key != entry.key) {
                entry.key = Cow::Owned(key);
                entry.changed = true;
                renamed = true;
            }
        }
        if renamed {
            self.drop_doubles();
        }
    }

    /// Replaces everything.
    pub fn replace(&mut self, with: Map<'a>) {
        self.entries = with.into_detached();
    }

    /// The entries as such, tied to no message.
    pub fn into_detached(self) -> Vec<Entry<'a>> {
        let loose = |entry| Entry { from: None, changed: true, ..entry };
        self.entries.into_iter().map(loose).collect()
    }

    pub fn borrowed(&'a self) -> Map<'a> {
        let entry = |e: &'a Entry<'_>| Entry {
            key: Cow::Borrowed(&e.key),
            value: e.value.borrowed(),
            from: None,
            changed: true,
        };
        Map { entries: self.entries.iter().map(entry).collect(), occurrences: 0 }
    }

    /// Whether anything differs from what was read.
    pub fn is_touched(&self) -> bool {
        self.entries.len() != self.occurrences as usize || self.entries.iter().any(|entry| entry.changed)
    }

    /// What has to become of the `known` entries of a message of `end` bytes, which this was read from: each
    /// where it stands, and its body. Those under a key that `stays` names stay as they are.
    ///
    /// # Errors
    /// As [`Value::put`].
    pub fn patch<'m>(
        &self,
        field: u32,
        known: impl Iterator<Item = (Range<usize>, &'m [u8])>,
        end: usize,
        stays: &impl Fn(&str) -> bool,
        patch: &mut Patch,
    ) -> Result<(), &'static str> {
        if !self.is_touched() {
            return Ok(());
        }
        let staying = |key_value| std::str::from_utf8(Attr::key_of(key_value)).is_ok_and(stays);
        // Both in the order of the message.
        let mut left = self.entries.iter().filter(|entry| entry.from.is_some()).peekable();
        for (nth, (place, key_value)) in (0..).zip(known) {
            match left.next_if(|entry| entry.from == Some(nth)) {
                Some(entry) if entry.changed && !staying(key_value) => {
                    patch.try_put(place, |out| entry.put(field, 0, out))?;
                }
                None if !staying(key_value) => patch.cut(place),
                _ => {}
            }
        }
        let mut new = self.entries.iter().filter(|entry| entry.from.is_none() && !stays(&entry.key));
        new.try_for_each(|entry| patch.try_put(end..end, |out| entry.put(field, 0, out)))
    }
}

/// What is not UTF-8 (a walked item has none) is replaced, never trusted.
pub fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Value<'a>)> for Map<'a> {
    /// Of a key that comes twice the last value counts.
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Value<'a>)>>(pairs: I) -> Self {
        let mut map = Map::default();
        pairs.into_iter().for_each(|(key, value)| map.push(key, value));
        map.drop_doubles();
        map
    }
}

/// Equal keys and values, in whatever order.
impl PartialEq for Map<'_> {
    fn eq(&self, other: &Self) -> bool {
        super::compare::same_maps(self, other, 0)
    }
}
