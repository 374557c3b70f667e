//! Labelled resources, remembered: an SDK sends the same resource bytes with every export, so its
//! labels are worked out once and copied ever after.

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashTable;

use super::labels::{Known, Settings};
use crate::model::Destination;

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
    labelled: Rc<Labelled>,
}

impl Entry {
    fn is(&self, resource: &[u8], known: Known<'_>) -> bool {
        *self.resource == *resource
            && self.environment.as_deref() == known.environment
            && self.release.as_deref() == known.release
    }

    fn bytes(&self) -> usize {
        let known =
            self.environment.as_ref().map_or(0, |e| e.len()) + self.release.as_ref().map_or(0, |r| r.len());
        size_of::<Self>() + self.resource.len() + self.labelled.body.len() + known
    }
}

/// Labelled resources by their bytes and what their trace says.
#[derive(Debug)]
pub struct Memo {
    settings: Settings,
    table: HashTable<Entry>,
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
            hasher: RandomState::new(),
            bytes: 0,
            bytes_max,
            next_id: 0,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// `resource` (a Resource message's body) with its labels.
    pub fn label(&mut self, resource: &[u8], known: Known<'_>) -> Rc<Labelled> {
        let hash = {
            let mut hasher = self.hasher.build_hasher();
            hasher.write(resource);
            known.hash(&mut hasher);
            hasher.finish()
        };
        if let Some(entry) = self.table.find(hash, |entry| entry.is(resource, known)) {
            return entry.labelled.clone();
        }
        self.remember(hash, resource, known)
    }

    #[cold]
    fn remember(&mut self, hash: u64, resource: &[u8], known: Known<'_>) -> Rc<Labelled> {
        let body = self.settings.apply(resource, known);
        let changed = body != resource;
        self.next_id += 1;
        let labelled =
            Rc::new(Labelled { id: self.next_id, body: body.into(), changed, dropped: false, to: None });
        let entry = Entry {
            hash,
            resource: resource.into(),
            environment: known.environment.map(Into::into),
            release: known.release.map(Into::into),
            labelled: labelled.clone(),
        };
        if self.bytes + entry.bytes() > self.bytes_max {
            self.table.clear();
            self.bytes = 0;
        }
        if entry.bytes() <= self.bytes_max {
            self.bytes += entry.bytes();
            self.table.insert_unique(hash, entry, |entry| entry.hash);
        }
        labelled
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
        let known = memo.label(b"", Known { environment: Some("production"), release: None });
        assert_ne!(plain.id, known.id);
        assert_ne!(plain.body, known.body);
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
        assert_eq!(tiny.label(b"", Known::default()).body, Bytes::new());
        assert_eq!(tiny.bytes(), 0);
    }
}
