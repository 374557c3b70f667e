//! Who is whose parent in a large trace: spans by id, and the parents that are named but not here.
//!
//! A small trace is scanned instead: up to a few dozen records that is cheaper than any map. A large
//! one must never be scanned for each arrival, so its missing parents are counted as spans come.

use ahash::RandomState;
use hashbrown::{HashMap, HashTable};

use super::trace::Record;
use crate::wire::SpanId;

/// Traces with more records than this have a `Kin`.
pub(super) const SCAN_MAX: usize = 32;

/// The index of a large trace.
#[derive(Debug)]
pub(super) struct Kin {
    by_id: HashTable<u32>,
    /// Parents named by spans that need them, and by how many.
    missing: HashMap<SpanId, u32, RandomState>,
    /// (resource head, scope head) to the trace's block.
    pub blocks: HashMap<(u64, u64), u32, RandomState>,
    hasher: RandomState,
}

impl Kin {
    pub fn new(hasher: RandomState) -> Self {
        Self {
            by_id: HashTable::new(),
            missing: HashMap::with_hasher(hasher.clone()),
            blocks: HashMap::with_hasher(hasher.clone()),
            hasher,
        }
    }

    /// Bytes the maps take, tables at their real size.
    pub fn cost(&self) -> usize {
        const MISSING: usize = size_of::<(SpanId, u32)>() + 1;
        const BLOCK: usize = size_of::<((u64, u64), u32)>() + 1;
        // hashbrown keeps a table at most 7/8 full.
        let room = |capacity: usize, each: usize| capacity / 7 * 8 * each;
        size_of::<Self>()
            + room(self.by_id.capacity(), size_of::<u32>() + 1)
            + room(self.missing.capacity(), MISSING)
            + room(self.blocks.capacity(), BLOCK)
    }

    pub fn find(&self, id: SpanId, records: &[Record]) -> Option<u32> {
        let is = |&at: &u32| records.get(at as usize).is_some_and(|r| r.id == id);
        self.by_id.find(self.hasher.hash_one(id), is).copied()
    }

    /// A span has come: `records[at]`.
    pub fn add(&mut self, at: u32, records: &[Record]) {
        let id_of = |at: u32| records.get(at as usize).map_or(SpanId::NONE, |r| r.id);
        let id = id_of(at);
        let hasher = &self.hasher;
        self.by_id.insert_unique(hasher.hash_one(id), at, |&at| hasher.hash_one(id_of(at)));
        self.missing.remove(&id);
    }

    /// A span needs a parent that is not here.
    pub fn miss(&mut self, parent: SpanId) {
        *self.missing.entry(parent).or_insert(0) += 1;
    }

    /// A span that needed it was replaced by a more complete copy.
    pub fn miss_no_more(&mut self, parent: SpanId) {
        if let Some(count) = self.missing.get_mut(&parent) {
            *count -= 1;
            if *count == 0 {
                self.missing.remove(&parent);
            }
        }
    }

    /// Parents named but not here.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }
}
