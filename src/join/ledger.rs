//! What is remembered of traces that have left: their context for late spans, and which spans went.
//!
//! A late span names its trace and its parent, nothing else; so the ledger keeps the ids that went,
//! to know a parent that need not be waited for, a copy sent twice, and whose child came late. It is
//! bounded in traces, bytes and age; the oldest are forgotten first.
//!
//! It is two rings and an index: a busy lane remembers and forgets tens of thousands of traces a
//! second, and what is written and dropped in order never waits for memory. Only a late span, which is
//! rare, has what is remembered of its trace copied out and sorted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use super::Context;
use super::shapes::ShapeId;
use crate::model::{Origin, Reason, TenantKey, Time};
use crate::wire::{SpanId, TraceId};

/// SDKs that could not reach us try again for minutes; after ten nothing comes that belongs together.
const REMEMBER: Duration = Duration::from_secs(600);
/// Of a larger trace no span is remembered: any parent it names is taken to have left.
const SPANS_MAX: usize = 1024;
/// Room the rings begin with, and below which they are not made smaller.
const ROOM_MIN: usize = 64;

/// A span that has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub id: SpanId,
    pub shape: ShapeId,
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

/// What left of a trace, besides its spans.
#[derive(Clone, Debug)]
pub(super) struct Farewell {
    pub context: Context,
    pub origin: Arc<Origin>,
    pub reason: Reason,
    /// Its root has left, or a part before it knew of one.
    pub root_known: bool,
}

/// What left of a trace, in all its parts so far: a copy of what the ledger remembers.
#[derive(Debug)]
pub(super) struct Earlier {
    pub farewell: Farewell,
    /// Sorted by id; `None` when there were too many.
    spans: Option<Vec<Gone>>,
}

impl Earlier {
    /// Spans that are remembered, sorted by id.
    pub fn spans(&self) -> &[Gone] {
        self.spans.as_deref().unwrap_or_default()
    }

    /// The span that spoke for it.
    pub fn root(&self) -> Option<SpanId> {
        let root = self.farewell.context.said.as_ref()?.root;
        (!root.is_none()).then_some(root)
    }

    /// Whether it had more spans than are remembered.
    pub fn is_too_large(&self) -> bool {
        self.spans.is_none()
    }

    /// Whether it left because there was no more to wait for, so that what comes now is late.
    pub fn had_its_time(&self) -> bool {
        matches!(self.farewell.reason, Reason::Complete | Reason::Idle | Reason::Late)
    }

    /// Whether a span with this id has left, or may have.
    pub fn had(&self, id: SpanId) -> bool {
        self.spans.is_none() || self.place(id).is_some()
    }

    /// Whether the very same span has left: a caller that got no answer sends again.
    pub fn had_copy(&self, id: SpanId, len: usize) -> bool {
        let gone = self.place(id).and_then(|at| self.spans().get(at));
        gone.is_some_and(|gone| gone.len as usize == len)
    }

    pub fn gone_mut(&mut self, id: SpanId) -> Option<&mut Gone> {
        let at = self.place(id)?;
        self.spans.as_mut()?.get_mut(at)
    }

    fn place(&self, id: SpanId) -> Option<usize> {
        self.spans().binary_search_by_key(&id, |gone| gone.id).ok()
    }
}

/// A trace that left.
#[derive(Debug)]
struct Entry {
    tenant: TenantKey,
    id: TraceId,
    left: Time,
    farewell: Farewell,
    /// The first of its spans, as the ring of spans counts, and how many; `None` when there were too many.
    spans: Option<(u64, u32)>,
}

/// The traces remembered by one join.
#[derive(Debug)]
pub(super) struct Ledger {
    /// In the order they left, which is the order they are forgotten in. Turns count those pushed so far,
    /// modulo 2^32; `turn` is the first one's.
    entries: VecDeque<Entry>,
    turn: u32,
    /// The spans of the entries, in the same order; `forgotten` came before them.
    spans: VecDeque<Gone>,
    forgotten: u64,
    /// Heap bytes of what the entries say of their traces.
    said: usize,
    /// The turns of the entries that count: of a trace remembered twice the later.
    index: HashTable<u32>,
    traces_max: usize,
    bytes_max: usize,
    hasher: RandomState,
}

impl Ledger {
    pub fn new(traces_max: usize, bytes_max: usize, hasher: RandomState) -> Self {
        let (entries, spans, index) = (VecDeque::new(), VecDeque::new(), HashTable::new());
        Self { entries, turn: 0, spans, forgotten: 0, said: 0, index, traces_max, bytes_max, hasher }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn bytes(&self) -> usize {
        cost(self.entries.capacity(), self.spans.capacity()) + self.said
    }

    /// What left of the trace a span belongs to, and whose trace it is: the tenant's own, else
    /// nobody's; for a span of nobody's, the least tenant's.
    pub fn find(&self, now: Time, tenant: TenantKey, id: TraceId) -> Option<(TenantKey, Box<Earlier>)> {
        let related = |e: &&Entry| {
            let same =
                e.tenant == tenant || e.tenant == TenantKey::ANONYMOUS || tenant == TenantKey::ANONYMOUS;
            e.id == id && same && now.since(e.left) <= REMEMBER
        };
        let candidates = self.index.iter_hash(self.hasher.hash_one(id));
        let entries = candidates.filter_map(|&turn| self.entries.get(self.place(turn))).filter(related);
        let entry = entries.min_by_key(|e| (e.tenant != tenant, e.tenant))?;
        let earlier = Earlier { farewell: entry.farewell.clone(), spans: self.spans_of(entry) };
        Some((entry.tenant.max(tenant), Box::new(earlier)))
    }

    /// Remembers a trace with all its spans: those of the parts before, and those that leave now.
    pub fn remember(
        &mut self,
        now: Time,
        (tenant, id): (TenantKey, TraceId),
        farewell: Farewell,
        earlier: Option<&Earlier>,
        spans: impl ExactSizeIterator<Item = Gone>,
    ) {
        let before = earlier.map(Earlier::spans).unwrap_or_default();
        let count = before.len() + spans.len();
        let known = count <= SPANS_MAX && !earlier.is_some_and(Earlier::is_too_large);
        let count = if known { count } else { 0 };
        if self.traces_max == 0 || !self.make_room(now, count) {
            return;
        }
        let first = self.forgotten + self.spans.len() as u64;
        if known {
            self.spans.extend(before);
            self.spans.extend(spans);
        }
        let spans = known.then_some((first, count as u32));
        let turn = self.turn.wrapping_add(self.entries.len() as u32);
        self.said += said_bytes(&farewell);
        self.entries.push_back(Entry { tenant, id, left: now, farewell, spans });
        let (entries, begin) = (&self.entries, self.turn);
        let entry = |turn: u32| entries.get(turn.wrapping_sub(begin) as usize);
        let replaces = |turn: &u32| {
            entry(*turn)
                .is_some_and(|e| e.id == id && (e.tenant == tenant || e.tenant == TenantKey::ANONYMOUS))
        };
        let hash = self.hasher.hash_one(id);
        match self.index.find_mut(hash, replaces) {
            Some(place) => *place = turn,
            None => {
                let hasher = &self.hasher;
                let rehash = |turn: &u32| entry(*turn).map_or(0, |e| hasher.hash_one(e.id));
                self.index.insert_unique(hash, turn, rehash);
            }
        }
    }

    fn place(&self, turn: u32) -> usize {
        turn.wrapping_sub(self.turn) as usize
    }

    fn spans_of(&self, entry: &Entry) -> Option<Vec<Gone>> {
        let (first, count) = entry.spans?;
        let from = (first - self.forgotten) as usize;
        let mut spans: Vec<_> = self.spans.range(from..from + count as usize).copied().collect();
        spans.sort_unstable_by_key(|gone| gone.id);
        Some(spans)
    }

    /// Forgets what is old, and what must make room for one more trace with `count` spans. Says whether
    /// there is room now.
    fn make_room(&mut self, now: Time, count: usize) -> bool {
        while let Some(oldest) = self.entries.front() {
            let full = self.entries.len() >= self.traces_max || !self.fits(count);
            if !full && now.since(oldest.left) <= REMEMBER {
                break;
            }
            self.forget_oldest();
        }
        let (traces, spans) = self.wanted(count);
        self.entries.reserve_exact(traces - self.entries.len());
        self.spans.reserve_exact(spans - self.spans.len());
        self.fits(count)
    }

    /// Room for one more trace with `count` spans: what there is, or twice as much while that is allowed.
    fn wanted(&self, count: usize) -> (usize, usize) {
        let room = |have: usize, need: usize, max: usize| {
            if need <= have { have } else { (2 * have).max(ROOM_MIN).min(max).max(need) }
        };
        let traces = room(self.entries.capacity(), self.entries.len() + 1, self.traces_max);
        let spans_max = self.bytes_max.saturating_sub(cost(traces, 0) + self.said) / size_of::<Gone>();
        (traces, room(self.spans.capacity(), self.spans.len() + count, spans_max))
    }

    fn fits(&self, count: usize) -> bool {
        let (traces, spans) = self.wanted(count);
        cost(traces, spans) + self.said <= self.bytes_max
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.said -= said_bytes(&entry.farewell);
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1);
        // Remembered again since: the later turn stands in the index.
        if let Ok(known) = self.index.find_entry(self.hasher.hash_one(entry.id), |&is| is == turn) {
            known.remove();
        }
        if let Some((_, count)) = entry.spans {
            self.spans.drain(..count as usize);
            self.forgotten += u64::from(count);
        }
        self.give_back();
    }

    /// After a burst: room hardly used is given back.
    fn give_back(&mut self) {
        if self.entries.capacity() > ROOM_MIN.max(4 * self.entries.len()) {
            self.entries.shrink_to(2 * self.entries.len());
            let (entries, begin, hasher) = (&self.entries, self.turn, &self.hasher);
            let id = |turn: &u32| entries.get(turn.wrapping_sub(begin) as usize).map(|e| e.id);
            self.index.shrink_to(2 * entries.len(), |turn| id(turn).map_or(0, |id| hasher.hash_one(id)));
        }
        if self.spans.capacity() > ROOM_MIN.max(4 * self.spans.len()) {
            self.spans.shrink_to(2 * self.spans.len());
        }
    }
}

fn said_bytes(farewell: &Farewell) -> usize {
    farewell.context.said.as_ref().map_or(0, |said| said.bytes())
}

/// What rings with this much room take; the index is at most half empty and a byte larger each.
fn cost(traces: usize, spans: usize) -> usize {
    const INDEXED: usize = 2 * (size_of::<u32>() + 1);
    traces * (size_of::<Entry>() + INDEXED) + spans * size_of::<Gone>()
}
