//! Edits to an attribute list, spliced into the message's bytes.
//!
//! Two things are refused: a key that stands twice (backends disagree on which one counts, conformance
//! D03, so the last is kept, as a merge would), and changing what identifies an entity: a value whose
//! key one of a Resource's `entity_refs` lists in its `id_keys` stays (conformance D04).

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::attr::{Attr, Value, messages};
use super::fields::{Fields, Payload};

/// One change to one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit<'a> {
    pub key: &'a str,
    pub value: Value<'a>,
    /// Overwrite a value that is there; otherwise only fill a gap.
    pub overwrite: bool,
}

impl Edit<'_> {
    fn attr(&self) -> Attr<'_> {
        Attr { key: self.key.as_bytes(), value: self.value }
    }
}

/// The attribute list of a Resource.
pub const RESOURCE_ATTRIBUTES: u32 = 1;
const ENTITY_REFS: u32 = 3;
const ID_KEYS: u32 = 3;

/// Lists up to this long are searched, longer ones hashed.
const SEARCHED_MAX: usize = 32;

/// One KeyValue of the message.
struct Record<'a> {
    key: &'a [u8],
    /// Where it begins and ends, tag and length included.
    from: usize,
    to: usize,
    keep: bool,
}

/// `message` with its attribute list at `field` edited: every key at most once (the last value a key
/// had wins), all other bytes as they were and in their order, new attributes at the end. Of several
/// edits to one key, each finds what the one before it left.
///
/// `field` 1 is taken to mean that `message` is a Resource, whose entities are respected.
pub fn attributes(message: &[u8], field: u32, edits: &[Edit<'_>]) -> Vec<u8> {
    let mut records = records(message, field);
    drop_doubles(&mut records);
    let mut added: SmallVec<[&Edit<'_>; 8]> = SmallVec::new();
    for edit in edits {
        let key = edit.key.as_bytes();
        if let Some(earlier) = added.iter_mut().find(|earlier| earlier.key == edit.key) {
            if edit.overwrite {
                *earlier = edit;
            }
            continue;
        }
        match records.iter_mut().find(|record| record.keep && record.key == key) {
            None => added.push(edit),
            Some(record) if edit.overwrite && !(field == RESOURCE_ATTRIBUTES && identifies(message, key)) => {
                record.keep = false;
                added.push(edit);
            }
            Some(_) => {}
        }
    }
    write(message, field, &records, &added)
}

/// Whether the value of `key` identifies an entity the Resource speaks of: never to be changed.
pub fn identifies(resource: &[u8], key: &[u8]) -> bool {
    messages(resource, ENTITY_REFS).any(|entity| messages(entity, ID_KEYS).any(|id_key| id_key == key))
}

fn records(message: &[u8], number: u32) -> SmallVec<[Record<'_>; SEARCHED_MAX]> {
    let mut records = SmallVec::new();
    let mut fields = Fields::of(message);
    while let Some((field, raw)) = fields.next_raw() {
        if let (Payload::Len(body), true) = (field.payload, field.number == number) {
            let to = message.len() - fields.rest().len();
            records.push(Record { key: Attr::of(body).key, from: to - raw.len(), to, keep: true });
        }
    }
    records
}

/// Keeps only the last record of each key.
fn drop_doubles(records: &mut [Record<'_>]) {
    if records.len() > SEARCHED_MAX {
        // Keys are the sender's choice: the hash is seeded, the effort stays linear.
        let mut seen = HashSet::with_capacity_and_hasher(records.len(), ahash::RandomState::new());
        records.iter_mut().rev().for_each(|record| record.keep = seen.insert(record.key));
        return;
    }
    let mut rest = records;
    while let [first, behind @ ..] = rest {
        first.keep = behind.iter().all(|later| later.key != first.key);
        rest = behind;
    }
}

fn write(message: &[u8], field: u32, records: &[Record<'_>], added: &[&Edit<'_>]) -> Vec<u8> {
    let dropped: usize = records.iter().filter(|r| !r.keep).map(|r| r.to - r.from).sum();
    let new: usize = added.iter().map(|edit| edit.attr().put_len(field)).sum();
    let mut out = Vec::with_capacity(message.len() - dropped + new);
    let mut copied = 0;
    for record in records.iter().filter(|record| !record.keep) {
        out.extend_from_slice(message.get(copied..record.from).unwrap_or_default());
        copied = record.to;
    }
    out.extend_from_slice(message.get(copied..).unwrap_or_default());
    added.iter().for_each(|edit| edit.attr().put(field, &mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attr;
    use crate::wire::fields::put_len_field;

    fn list(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in pairs {
            Attr { key: key.as_bytes(), value: Value::Str(value.as_bytes()) }.put(1, &mut out);
        }
        out
    }

    fn edit<'a>(key: &'a str, value: &'a str, overwrite: bool) -> Edit<'a> {
        Edit { key, value: Value::Str(value.as_bytes()), overwrite }
    }

    fn check(before: &[(&str, &str)], edits: &[Edit<'_>], after: &[(&str, &str)]) {
        assert_eq!(attributes(&list(before), 1, edits), list(after));
    }

    #[test]
    fn a_gap_is_filled_and_a_value_is_left() {
        check(&[("a", "1")], &[edit("b", "2", false)], &[("a", "1"), ("b", "2")]);
        check(&[("a", "1")], &[edit("a", "2", false)], &[("a", "1")]);
        check(&[], &[edit("a", "1", false)], &[("a", "1")]);
    }

    #[test]
    fn an_overwritten_key_moves_to_the_end() {
        check(&[("a", "1"), ("b", "2")], &[edit("a", "3", true)], &[("b", "2"), ("a", "3")]);
    }

    #[test]
    fn the_last_of_doubled_keys_stays_where_it_is() {
        check(&[("a", "1"), ("b", "2"), ("a", "3")], &[], &[("b", "2"), ("a", "3")]);
        check(&[("a", "1"), ("a", "2")], &[edit("a", "9", false)], &[("a", "2")]);
        check(&[("a", "1"), ("a", "2")], &[edit("a", "9", true)], &[("a", "9")]);
    }

    #[test]
    fn long_lists_are_treated_like_short_ones() {
        let keys: Vec<String> = (0..100).map(|n| format!("k{}", n % 40)).collect();
        let all: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        check(&all, &[edit("k0", "w", true)], &[&all[60..80], &all[81..], &[("k0", "w")]].concat());
    }

    #[test]
    fn later_edits_find_what_earlier_ones_left() {
        check(&[], &[edit("a", "1", false), edit("a", "2", false)], &[("a", "1")]);
        check(&[], &[edit("a", "1", false), edit("a", "2", true)], &[("a", "2")]);
    }

    #[test]
    fn everything_else_is_untouched() {
        let mut message = vec![0x10, 0x85, 0x00]; // dropped_attributes_count 5, over-long
        message.extend(list(&[("a", "1")]));
        put_len_field(99, b"unknown", &mut message);
        let mut expect = vec![0x10, 0x85, 0x00];
        put_len_field(99, b"unknown", &mut expect);
        expect.extend(list(&[("a", "2")]));
        assert_eq!(attributes(&message, 1, &[edit("a", "2", true)]), expect);
    }

    #[test]
    fn what_identifies_an_entity_is_not_overwritten() {
        let mut entity = Vec::new();
        put_len_field(3, b"service.name", &mut entity);
        put_len_field(4, b"service.version", &mut entity);
        let mut resource = list(&[("service.name", "pay"), ("service.version", "1")]);
        put_len_field(3, &entity, &mut resource);
        assert!(identifies(&resource, b"service.name"));
        assert!(!identifies(&resource, b"service.version"));
        let edits = [edit("service.name", "x", true), edit("service.version", "2", true)];
        let edited = attributes(&resource, 1, &edits);
        assert_eq!(attr::find(&edited, 1, b"service.name"), Some(Value::Str(b"pay")));
        assert_eq!(attr::find(&edited, 1, b"service.version"), Some(Value::Str(b"2")));
    }
}
