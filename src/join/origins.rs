//! Interns origins: the same kept headers are one [`Shared`] for all traces that hold them.
//!
//! Without it every held trace would pin its own copy of the caller's headers, uncounted.

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::model::Origin;

/// Looked through for unused origins when this many are known, then each time they double.
const SWEEP_MIN: usize = 256;

/// An origin as the traces of one lane share it: a trace takes and drops it several times, and counting that
/// for all threads to see waits for everything written before.
pub type Shared = Rc<Arc<Origin>>;

/// The origins one join holds.
#[derive(Debug)]
pub(super) struct Origins {
    table: HashTable<Shared>,
    /// The one without headers.
    nobody: Shared,
    hasher: RandomState,
    bytes: usize,
    sweep_at: usize,
}

impl Origins {
    pub fn new(hasher: RandomState) -> Self {
        let nobody = Rc::new(Origin::anonymous());
        Self { table: HashTable::new(), nobody, hasher, bytes: 0, sweep_at: SWEEP_MIN }
    }

    /// Bytes all origins take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The one without headers, the same for all: what left with it is known to have left with the same (`farewell`).
    pub fn nobody(&self) -> Shared {
        self.nobody.clone()
    }

    /// What of it travels: who sent it is remembered with each block, and no longer than that.
    pub fn plain(&mut self, origin: Shared) -> Shared {
        if origin.caller.is_none() { origin } else { self.intern(Origin::plain(&origin)) }
    }

    /// The one that everybody shares with these headers. `key` is only a hint: headers are compared.
    pub fn intern(&mut self, origin: &Arc<Origin>) -> Shared {
        let hasher = &self.hasher;
        let rehash = |o: &Shared| hasher.hash_one(o.key);
        let hash = hasher.hash_one(origin.key);
        if let Some(known) = self.table.find(hash, |o| Arc::ptr_eq(o, origin) || **o == *origin) {
            return known.clone();
        }
        if self.table.len() >= self.sweep_at {
            self.table.retain(|o| Rc::strong_count(o) > 1);
            self.bytes = self.table.iter().map(|o| cost(o)).sum();
            self.sweep_at = (2 * self.table.len()).max(SWEEP_MIN);
        }
        self.bytes += cost(origin);
        let new = Rc::new(origin.clone());
        self.table.insert_unique(hash, new.clone(), rehash);
        new
    }
}

fn cost(origin: &Arc<Origin>) -> usize {
    let headers: usize = origin.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    let caller = origin.caller.as_ref().map_or(0, |caller| caller.bytes());
    size_of::<Origin>() + 32 + headers + caller
}
