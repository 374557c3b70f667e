//! Labelled resources, remembered: an SDK sends the same resource bytes with every export, so its
//! labels are worked out once and copied ever after.
//!
//! Whoever has a name for the bytes (the join does) is spared the look at them: the last few names are found by
//! themselves.

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashTable;

use super::labels::{Known, Settings};
use crate::model::{Caller, Destination};

/// A resource with its labels.
#[derive(Debug)]
pub struct Labelled {
    /// Names these bytes in this process; never used again for others.
    pub id: u64,
    /// The Resource message's body.
    pub body: Bytes,
    /// The labels changed something.
    pub changed: bool,
    /// A rule wants nothing of this resource to go out.
    pub dropped: bool,
    /// Where a rule wants what is of this resource to go, and nowhere else.
    pub to: Option<Destination>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    resource: Box<[u8]>,
    environment: Option<Box<str>>,
    release: Option<Box<str>>,
    header: Option<Box<str>>,
    labelled: Rc<Labelled>,
}

/// How many names are remembered beside the bytes.
const NAMES: usize = 64;

impl Entry {
    fn is(&self, resource: &[u8], known: Known<'_>) -> bool {
        *self.resource == *resource && self.knew(known)
    }

    fn knew(&self, known: Known<'_>) -> bool {
        self.environment.as_deref() == known.environment
            && self.release.as_deref() == known.release
            && self.header.as_deref() == known.header
    }

    fn bytes(&self) -> usize {
        let known =
            [&self.environment, &self.release, &self.header].into_iter().flatten().map(|text| text.len());
        size_of::<Self>() + self.resource.len() + self.labelled.body.len() + known.sum::<usize>()
    }
}

/// Labelled resources by their bytes and what their trace says.
#[derive(Debug)]
pub struct Memo {
    settings: Settings,
    table: HashTable<Rc<Entry>>,
    /// By name, modulo their number.
    named: Vec<Option<(u64, Rc<Entry>)>>,
    hasher: RandomState,
    bytes: usize,
    bytes_max: usize,
    next_id: u64,
}

impl Memo {
    /// Remembers at most about `bytes_max` bytes; beyond that it forgets everything and begins anew,
    /// which costs one evaluation a resource.
    pub fn new(settings: Settings, bytes_max: usize) -> Self {
        Self {
            settings,
            table: HashTable::new(),
            named: vec![None; NAMES],
            hasher: RandomState::new(),
            bytes: 0,
            bytes_max,
            next_id: 0,
        }
    }

    /// Labels from now on as these say; what was labelled before is forgotten, and its names are not used again.
    pub fn relabel(&mut self, settings: Settings) {
        self.settings = settings;
        self.forget();
    }

    fn forget(&mut self) {
        self.table.clear();
        self.named.fill(None);
        self.bytes = 0;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What its requests say beside their resources.
    pub fn asked_of<'c>(&self, caller: Option<&'c Caller>) -> Option<&'c str> {
        self.settings.asked_of(caller)
    }

    /// `resource` (a Resource message's body) with its labels.
    pub fn label(&mut self, resource: &[u8], known: Known<'_>) -> Rc<Labelled> {
        self.entry(resource, known).labelled.clone()
    }

    /// The same of bytes that have a name: a number that never names others.
    pub fn label_named(&mut self, name: u64, resource: &[u8], known: Known<'_>) -> Rc<Labelled> {
        let place = name as usize % NAMES;
        match self.named.get(place) {
            Some(Some((named, entry))) if *named == name && entry.knew(known) => entry.labelled.clone(),
            _ => {
                let entry = self.entry(resource, known);
                let labelled = entry.labelled.clone();
                // One too large to be remembered would be held unpaid.
                if let Some(place) = self.named.get_mut(place).filter(|_| entry.bytes() <= self.bytes_max) {
                    *place = Some((name, entry));
                }
                labelled
            }
        }
    }

    fn entry(&mut self, resource: &[u8], known: Known<'_>) -> Rc<Entry> {
        let hash = {
            let mut hasher = self.hasher.build_hasher();
            hasher.write(resource);
            known.hash(&mut hasher);
            hasher.finish()
        };
        if let Some(entry) = self.table.find(hash, |entry| entry.is(resource, known)) {
            return entry.clone();
        }
        self.remember(hash, resource, known)
    }

    #[cold]
    fn remember(&mut self, hash: u64, resource: &[u8], known: Known<'_>) -> Rc<Entry> {
        let body = self.settings.apply(resource, known);
        let changed = body != resource;
        self.next_id += 1;
        let labelled =
            Rc::new(Labelled { id: self.next_id, body: body.into(), changed, dropped: false, to: None });
        let entry = Rc::new(Entry {
            hash,
            resource: resource.into(),
            environment: known.environment.map(Into::into),
            release: known.release.map(Into::into),
            header: known.header.map(Into::into),
            labelled,
        });
        if self.bytes + entry.bytes() > self.bytes_max {
            self.forget();
        }
        if entry.bytes() <= self.bytes_max {
            self.bytes += entry.bytes();
            self.table.insert_unique(hash, entry.clone(), |entry| entry.hash);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memo(bytes_max: usize) -> Memo {
        Memo::new(Settings { environment: Some("qa".into()), ..Settings::default() }, bytes_max)
    }

    #[test]
    fn equal_resources_are_labelled_once() {
        let mut memo = memo(1 << 20);
        let first = memo.label(b"", Known::default());
        assert!(Rc::ptr_eq(&first, &memo.label(b"", Known::default())));
        assert!(first.changed);
    }

    #[test]
    fn what_the_trace_says_is_part_of_the_key() {
        let mut memo = memo(1 << 20);
        let plain = memo.label(b"", Known::default());
        let known = memo.label(b"", Known { environment: Some("production"), ..Known::default() });
        assert_ne!(plain.id, known.id);
        assert_ne!(plain.body, known.body);
    }

    #[test]
    fn a_name_finds_what_its_bytes_do() {
        let mut memo = memo(1 << 20);
        let production = Known { environment: Some("production"), ..Known::default() };
        // Names that meet in one place, asked for in turns, each with and without what its trace says.
        for _ in 0..3 {
            for (name, resource) in [(1, &b"\xa0\x06\x01"[..]), (1 + NAMES as u64, b"\xa0\x06\x02")] {
                for known in [Known::default(), production] {
                    let named = memo.label_named(name, resource, known);
                    assert!(Rc::ptr_eq(&named, &memo.label_named(name, resource, known)));
                    assert!(Rc::ptr_eq(&named, &memo.label(resource, known)));
                }
            }
        }
        let before = memo.label_named(1, b"\xa0\x06\x01", production);
        memo.relabel(Settings::default());
        assert_ne!(before.id, memo.label_named(1, b"\xa0\x06\x01", production).id);
    }

    #[test]
    fn it_forgets_rather_than_grows() {
        let mut memo = memo(4096);
        for n in 0..1000_u32 {
            // A field the schema does not know: number 100, varint.
            let resource = [&[0xa0, 0x06][..], &[0x80 | (n & 0x7f) as u8, (n >> 7) as u8]].concat();
            memo.label(&resource, Known::default());
            assert!(memo.bytes() <= 4096);
        }
        let tiny = &mut Memo::new(Settings::default(), 8);
        assert_eq!(tiny.label_named(1, b"", Known::default()).body, Bytes::new());
        assert!(tiny.named.iter().all(Option::is_none));
        assert_eq!(tiny.bytes(), 0);
    }
}
