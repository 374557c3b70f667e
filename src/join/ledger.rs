//! What is remembered of traces that have left: their context for late spans, and which spans went.
//!
//! A late span names its trace and its parent, nothing else; so the ledger keeps the ids that went,
//! to know a parent that need not be waited for, a copy sent twice, and whose child came late. It is
//! bounded in traces, bytes and age; the oldest are forgotten first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::Context;
use crate::model::{Origin, Reason, TenantKey, Time};
use crate::wire::{SpanId, TraceId};

/// SDKs that could not reach us try again for minutes; after ten nothing comes that belongs together.
const REMEMBER: Duration = Duration::from_secs(600);
/// Of a larger trace no span is remembered: any parent it names is taken to have left.
const SPANS_MAX: usize = 1024;
const ENTRY_OVERHEAD: usize = size_of::<Entry>() + size_of::<Earlier>() + size_of::<Mention>() + 48;
/// Lists kept to be filled again, and what each may have room for.
const SPARE_LISTS: usize = 16;
const SPARE_LIST_MAX: usize = 64;

/// A span that has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub id: SpanId,
    pub shape: u64,
    /// See [`Gone::instant`].
    pub arrived: u32,
    /// Whatever tells its process from others.
    pub process: u32,
    /// Length of its body: a copy sent twice has the same.
    pub len: u32,
    /// Its children so far, and those of them from other processes.
    pub all: u16,
    pub remote: u16,
}

impl Gone {
    /// A time in four bytes: milliseconds, of which only differences mean anything.
    pub fn instant(time: Time) -> u32 {
        (time.0 / 1_000_000) as u32
    }

    /// How long after this span something came, a millisecond at least.
    pub fn lag_at(&self, time: Time) -> Duration {
        Duration::from_millis(u64::from(Self::instant(time).wrapping_sub(self.arrived)) + 1)
    }
}

/// What left of a trace, in all its parts so far.
#[derive(Debug)]
pub(super) struct Earlier {
    pub context: Context,
    pub origin: Arc<Origin>,
    pub reason: Reason,
    /// Its root has left, or a part before it knew of one.
    pub root_known: bool,
    /// Sorted by id; `None` when there were too many.
    spans: Option<Vec<Gone>>,
}

impl Earlier {
    pub fn new(context: Context, origin: Arc<Origin>, reason: Reason, root_known: bool) -> Self {
        Self { context, origin, reason, root_known, spans: None }
    }

    /// Remembers the spans of all parts so far, sorted by id, unless some were forgotten before or
    /// there are too many.
    pub fn with_spans(mut self, before: Option<&Earlier>, spans: Vec<Gone>) -> Self {
        let forgotten = before.is_some_and(|before| before.spans.is_none());
        self.spans = (!forgotten && spans.len() <= SPANS_MAX).then_some(spans);
        self
    }

    /// Spans that are remembered, sorted by id.
    pub fn spans(&self) -> &[Gone] {
        self.spans.as_deref().unwrap_or_default()
    }

    /// Whether it left because there was no more to wait for, so that what comes now is late.
    pub fn had_its_time(&self) -> bool {
        matches!(self.reason, Reason::Complete | Reason::Idle | Reason::Late)
    }

    /// Whether a span with this id has left, or may have.
    pub fn had(&self, id: SpanId) -> bool {
        self.spans.is_none() || self.gone(id).is_some()
    }

    /// Whether the very same span has left: a caller that got no answer sends again.
    pub fn had_copy(&self, id: SpanId, len: usize) -> bool {
        self.gone(id).is_some_and(|gone| gone.len as usize == len)
    }

    fn gone(&self, id: SpanId) -> Option<&Gone> {
        let spans = self.spans();
        spans.binary_search_by_key(&id, |gone| gone.id).ok().and_then(|at| spans.get(at))
    }

    fn cost(&self) -> usize {
        ENTRY_OVERHEAD + self.spans.as_ref().map_or(0, Vec::capacity) * size_of::<Gone>()
    }
}

#[derive(Debug)]
struct Entry {
    tenant: TenantKey,
    id: TraceId,
    /// Which of the queue's mentions counts: the last.
    turn: u64,
    left: Time,
    earlier: Arc<Earlier>,
}

/// That a trace was remembered.
#[derive(Clone, Copy, Debug)]
struct Mention {
    turn: u64,
    id: TraceId,
    left: Time,
}

/// The traces remembered by one join.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: HashTable<Entry>,
    /// In the order they are forgotten.
    queue: VecDeque<Mention>,
    /// Lists of traces forgotten, to be filled again: a busy lane forgets as many as it remembers.
    spare: Vec<Vec<Gone>>,
    turns: u64,
    bytes: usize,
    traces_max: usize,
    bytes_max: usize,
    hasher: RandomState,
}

impl Ledger {
    pub fn new(traces_max: usize, bytes_max: usize, hasher: RandomState) -> Self {
        let (entries, queue, spare) = (HashTable::new(), VecDeque::new(), Vec::new());
        Self { entries, queue, spare, turns: 0, bytes: 0, traces_max, bytes_max, hasher }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An empty list for the spans of the next trace to be remembered.
    pub fn list(&mut self) -> Vec<Gone> {
        self.spare.pop().unwrap_or_default()
    }

    /// What left of the trace a span belongs to, and whose trace it is: the tenant's own, else
    /// nobody's; for a span of nobody's, the least tenant's.
    pub fn find(&self, now: Time, tenant: TenantKey, id: TraceId) -> Option<(TenantKey, Arc<Earlier>)> {
        let related = |e: &&Entry| {
            let same =
                e.tenant == tenant || e.tenant == TenantKey::ANONYMOUS || tenant == TenantKey::ANONYMOUS;
            e.id == id && same && now.since(e.left) <= REMEMBER
        };
        let candidates = self.entries.iter_hash(self.hasher.hash_one(id)).filter(related);
        let entry = candidates.min_by_key(|e| (e.tenant != tenant, e.tenant))?;
        Some((entry.tenant.max(tenant), entry.earlier.clone()))
    }

    /// Remembers a trace, in place of what was remembered of it before.
    pub fn remember(&mut self, now: Time, tenant: TenantKey, id: TraceId, earlier: Earlier) {
        if self.traces_max == 0 {
            return;
        }
        self.turns += 1;
        self.bytes += earlier.cost();
        self.queue.push_back(Mention { turn: self.turns, id, left: now });
        let entry = Entry { tenant, id, turn: self.turns, left: now, earlier: Arc::new(earlier) };
        let hash = self.hasher.hash_one(id);
        let replaces = |e: &Entry| e.id == id && (e.tenant == tenant || e.tenant == TenantKey::ANONYMOUS);
        match self.entries.find_mut(hash, replaces) {
            Some(known) => {
                self.bytes -= known.earlier.cost();
                *known = entry;
            }
            None => {
                let hasher = &self.hasher;
                self.entries.insert_unique(hash, entry, |e| hasher.hash_one(e.id));
            }
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Time) {
        while let Some(&Mention { turn, id, left }) = self.queue.front() {
            let full = self.queue.len() > self.traces_max || self.bytes > self.bytes_max;
            if !full && now.since(left) <= REMEMBER {
                return;
            }
            self.queue.pop_front();
            let hash = self.hasher.hash_one(id);
            // Mentioned again since: the later mention counts.
            let Ok(entry) = self.entries.find_entry(hash, |e| e.id == id && e.turn == turn) else { continue };
            let (entry, _) = entry.remove();
            self.bytes -= entry.earlier.cost();
            self.keep_list(entry.earlier);
        }
    }

    /// Keeps the list of a forgotten trace, unless it is large or somebody still reads it.
    fn keep_list(&mut self, earlier: Arc<Earlier>) {
        if let Some(mut list) = Arc::into_inner(earlier).and_then(|earlier| earlier.spans)
            && self.spare.len() < SPARE_LISTS
            && list.capacity() <= SPARE_LIST_MAX
        {
            list.clear();
            self.spare.push(list);
        }
    }
}
