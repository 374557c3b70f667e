//! What is remembered of traces that have left: their context for late spans, and which spans went.
//!
//! A late span names its trace and its parent, nothing else; so the ledger keeps the ids that went,
//! to know a parent that need not be waited for, a copy sent twice, and whose child came late. It is
//! bounded in traces, bytes and age; the oldest are forgotten first.
//!
//! It is two rings and chains through the first: a busy lane remembers and forgets tens of thousands of
//! traces a second, and what is written and dropped in order never waits for memory. A chain leads from a
//! trace to the one before it whose id falls into the same place, and ends where the ring does, so what is
//! forgotten is nowhere taken out. Only a late span, which is rare, has what is remembered of its trace
//! copied out and sorted.
//!
//! What is remembered is small, since a busy lane writes all of it again and again, past the processor's caches:
//! numbers that are only compared are kept in as few bytes as tell them apart, and what many traces left with is
//! there once (`farewell`), as is what the spans of traces that were just alike were ([`Role`]).

use std::rc::Rc;
use std::time::Duration;

use ahash::RandomState;

use super::farewell::{Farewell, Farewells, Words};
use super::ring::Ring;
use super::shapes::ShapeId;
use crate::model::{Destination, Draw, Reason, TenantKey, Time};
use crate::wire::{SpanId, TraceId};

/// SDKs that could not reach us try again for minutes; after ten nothing comes that belongs together.
const REMEMBER: Duration = Duration::from_secs(600);
/// Of a larger trace no span is remembered: any parent it names is taken to have left.
const SPANS_MAX: usize = 1024;
/// Traces there are chains for at first, and below which they are not made fewer.
const ROOM_MIN: usize = 64;

/// A span that has left: what it shares with no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub id: SpanId,
    /// See [`Gone::instant`].
    pub arrived: u32,
    /// Whatever tells its process from others of its trace.
    process: u16,
    /// See [`Gone::length`].
    length: u16,
}

/// What a span that has left was, and what came of it: the same in all traces that are just alike, which share it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    pub shape: ShapeId,
    /// Its children so far, and those of them from other processes; of very many, so many.
    pub all: u8,
    pub remote: u8,
}

impl Role {
    /// A span that left with `all` children, `remote` of them from other processes.
    pub fn new(shape: ShapeId, (all, remote): (u32, u32)) -> Self {
        let few = |count: u32| u8::try_from(count).unwrap_or(u8::MAX);
        Self { shape, all: few(all), remote: few(remote) }
    }
}

impl Gone {
    /// A span of so many bytes.
    pub fn new(id: SpanId, arrived: u32, process: u64, len: usize) -> Self {
        Self { id, arrived, process: process as u16, length: Self::length(len) }
    }

    /// A time in four bytes: milliseconds, of which only differences mean anything.
    pub fn instant(time: Time) -> u32 {
        (time.0 / 1_000_000) as u32
    }

    /// Whether it is of this process.
    pub fn is_of(&self, process: u64) -> bool {
        self.process == process as u16
    }

    /// How long after this span something came, a millisecond at least.
    pub fn lag_at(&self, time: Time) -> Duration {
        Duration::from_millis(u64::from(Self::instant(time).wrapping_sub(self.arrived)) + 1)
    }

    /// What tells copies of a span from others that have its id: a copy sent twice is as long.
    fn length(len: usize) -> u16 {
        (len ^ len >> 16) as u16
    }
}

/// What left of a trace, in all its parts so far: a copy of what the ledger remembers.
#[derive(Debug)]
pub(super) struct Earlier {
    pub farewell: Farewell,
    /// Sorted by id; `None` when there were too many.
    spans: Option<Vec<(Gone, Role)>>,
}

impl Earlier {
    /// Spans that are remembered, sorted by id.
    pub fn spans(&self) -> &[(Gone, Role)] {
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
        gone.is_some_and(|(gone, _)| gone.length == Gone::length(len))
    }

    /// A span that has left, while it is remembered.
    pub fn gone(&self, id: SpanId) -> Option<&(Gone, Role)> {
        self.spans().get(self.place(id)?)
    }

    pub fn gone_mut(&mut self, id: SpanId) -> Option<&mut (Gone, Role)> {
        let at = self.place(id)?;
        self.spans.as_mut()?.get_mut(at)
    }

    fn place(&self, id: SpanId) -> Option<usize> {
        self.spans().binary_search_by_key(&id, |(gone, _)| gone.id).ok()
    }
}

/// A trace that left.
#[derive(Debug)]
struct Entry {
    tenant: TenantKey,
    id: TraceId,
    left: Time,
    farewell: Rc<Farewell>,
    /// Of each of its spans; `None` when there were too many.
    roles: Option<Rc<[Role]>>,
    /// The first of its spans, as the ring of spans counts, modulo 2^32.
    first: u32,
    /// The turn of the trace before it in its chain; of one that is forgotten when it is the chain's first.
    before: u32,
}

impl Entry {
    fn roles_bytes(&self) -> usize {
        self.roles.as_deref().map_or(0, |roles| roles_bytes(roles.len()))
    }
}

/// Where a chain begins.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// The turn of the last trace in it.
    last: u32,
    /// A bit for each id in it: one whose bit is not set is not, and no entry need be looked at, which would be
    /// waited for.
    ids: u32,
}

/// The traces remembered by one join.
#[derive(Debug)]
pub(super) struct Ledger {
    /// In the order they left, which is the order they are forgotten in. Turns count those pushed so far,
    /// modulo 2^32; `turn` is the first one's.
    entries: Ring<Entry>,
    turn: u32,
    /// The spans of the entries, in the same order; `forgotten` came before them, modulo 2^32.
    spans: Ring<Gone>,
    forgotten: u32,
    farewells: Farewells,
    /// Bytes of the roles of all entries, as if none shared them.
    roles_bytes: usize,
    /// Of a trace remembered twice the later comes first.
    chains: Vec<Chain>,
    traces_max: usize,
    bytes_max: usize,
    hasher: RandomState,
}

impl Ledger {
    pub fn new(traces_max: usize, bytes_max: usize, hasher: RandomState) -> Self {
        let (entries, spans, chains, farewells) = Default::default();
        let (turn, forgotten, roles_bytes) = Default::default();
        Self {
            entries,
            turn,
            spans,
            forgotten,
            farewells,
            roles_bytes,
            chains,
            traces_max,
            bytes_max,
            hasher,
        }
    }

    /// Traces remembered; one that left in parts counts for each.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes_with(0, 0)
    }

    /// What left of the trace a span belongs to, and whose trace it is: the tenant's own, else
    /// nobody's; for a span of nobody's, the least tenant's.
    pub fn find(&self, now: Time, tenant: TenantKey, id: TraceId) -> Option<(TenantKey, Box<Earlier>)> {
        let entry = self.entry(now, tenant, id)?;
        let spans = self.spans_of(entry).map(|spans| {
            let mut spans: Vec<_> = spans.collect();
            spans.sort_unstable_by_key(|(gone, _)| gone.id);
            spans
        });
        let earlier = Earlier { farewell: Farewell::clone(&entry.farewell), spans };
        Some((entry.tenant.max(tenant), Box::new(earlier)))
    }

    /// What its last part left with.
    pub fn farewell(&self, now: Time, tenant: TenantKey, id: TraceId) -> Option<&Farewell> {
        self.entry(now, tenant, id).map(|entry| &*entry.farewell)
    }

    /// The shape of a span that has left, while it is remembered.
    pub fn gone(&self, now: Time, tenant: TenantKey, id: TraceId, span: SpanId) -> Option<ShapeId> {
        let entry = self.entry(now, tenant, id)?;
        self.spans_of(entry)?.find(|(gone, _)| gone.id == span).map(|(_, role)| role.shape)
    }

    fn entry(&self, now: Time, tenant: TenantKey, id: TraceId) -> Option<&Entry> {
        let nobodys = |tenant: TenantKey| tenant == TenantKey::ANONYMOUS;
        let mut named = false;
        let related = |e: &&Entry| {
            // What was nobody's when a part of it left has since become somebody's.
            let counts = !(named && nobodys(e.tenant));
            named |= !nobodys(e.tenant);
            let same = e.tenant == tenant || nobodys(e.tenant) || nobodys(tenant);
            counts && same && now.since(e.left) <= REMEMBER
        };
        let entries = self.chain(id).filter(|e| e.id == id).filter(related);
        // Of one tenant's the first, which is the last that left.
        entries.min_by_key(|e| (e.tenant != tenant, e.tenant))
    }

    /// Remembers a trace with all its spans: those of the parts before, and those that leave now.
    pub fn remember(
        &mut self,
        now: Time,
        (tenant, id): (TenantKey, TraceId),
        farewell: Words<'_>,
        earlier: Option<&Earlier>,
        (spans, roles): (impl ExactSizeIterator<Item = Gone>, impl FnOnce() -> Rc<[Role]>),
    ) {
        let before = earlier.map(Earlier::spans).unwrap_or_default();
        let count = before.len() + spans.len();
        let known = count <= SPANS_MAX && !earlier.is_some_and(Earlier::is_too_large);
        if self.traces_max == 0 || !self.make_room(now, if known { count } else { 0 }) {
            return;
        }
        let first = self.forgotten.wrapping_add(self.spans.len() as u32);
        let roles = known.then(|| {
            self.spans.extend(before.iter().map(|(gone, _)| *gone));
            self.spans.extend(spans);
            match before {
                [] => roles(),
                _ => before.iter().map(|(_, role)| *role).chain(roles().iter().copied()).collect(),
            }
        });
        let turn = self.turn.wrapping_add(self.entries.len() as u32);
        let farewell = self.farewells.share(farewell);
        let before = self.begin_chain(id, turn);
        let entry = Entry { tenant, id, left: now, farewell, roles, first, before };
        self.roles_bytes += entry.roles_bytes();
        self.entries.push(entry);
    }

    /// Notes what was decided about the trace that has just left, if it is remembered.
    pub fn drew(&mut self, of: (TenantKey, TraceId), draw: Draw) {
        self.amend(of, |words| Words { drawn: Some(draw), ..words });
    }

    /// Notes where the trace that has just left was sent, if it is remembered.
    pub fn routed(&mut self, of: (TenantKey, TraceId), to: Option<Destination>) {
        self.amend(of, |words| Words { routed: Some(to), ..words });
    }

    fn amend(&mut self, of: (TenantKey, TraceId), change: impl FnOnce(Words<'_>) -> Words<'_>) {
        if let Some(last) = self.entries.last_mut().filter(|last| (last.tenant, last.id) == of) {
            let amended = self.farewells.share(change(last.farewell.words()));
            self.farewells.forget(std::mem::replace(&mut last.farewell, amended));
        }
    }

    /// What is remembered in the chain of a trace's id, the last to leave first.
    fn chain(&self, id: TraceId) -> impl Iterator<Item = &Entry> {
        let (place, bit) = self.chain_of(id);
        let mut next = self.chains.get(place).filter(|chain| chain.ids & bit != 0).map(|chain| chain.last);
        let mut end = self.entries.len();
        std::iter::from_fn(move || {
            let at = next?.wrapping_sub(self.turn) as usize;
            // Each is older than the one before it; what is forgotten is not among the entries.
            let entry = self.entries.get(at).filter(|_| at < end)?;
            (end, next) = (at, Some(entry.before));
            Some(entry)
        })
    }

    /// Puts the trace of this turn first in the chain of its id. Returns the turn of the one that was.
    fn begin_chain(&mut self, id: TraceId, turn: u32) -> u32 {
        let (place, bit) = self.chain_of(id);
        let Some(chain) = self.chains.get_mut(place) else { return turn };
        let is_empty = chain.last.wrapping_sub(self.turn) >= turn.wrapping_sub(self.turn);
        chain.ids = if is_empty { bit } else { chain.ids | bit };
        std::mem::replace(&mut chain.last, turn)
    }

    /// Reads where the chain of an id begins, for [`super::glance`].
    pub fn glance(&self, id: TraceId) -> u64 {
        self.chains.get(self.chain_of(id).0).copied().unwrap_or_default().last.into()
    }

    /// The place of the chain an id is in, if there are any, and its bit there.
    fn chain_of(&self, id: TraceId) -> (usize, u32) {
        let hash = self.hasher.hash_one(id);
        (hash as usize & self.chains.len().wrapping_sub(1), 1 << (hash >> 59))
    }

    fn spans_of(&self, entry: &Entry) -> Option<impl Iterator<Item = (Gone, Role)>> {
        let from = entry.first.wrapping_sub(self.forgotten) as usize;
        let roles = entry.roles.as_deref()?;
        Some((from..).zip(roles).filter_map(|(at, role)| Some((*self.spans.get(at)?, *role))))
    }

    /// Forgets what is old, and what must make room for one more trace with `count` spans. Says whether
    /// there is room now.
    fn make_room(&mut self, now: Time, count: usize) -> bool {
        while let Some(oldest) = self.entries.first() {
            let full = self.entries.len() >= self.traces_max || !self.fits(count);
            if !full && now.since(oldest.left) <= REMEMBER {
                break;
            }
            self.forget_oldest();
        }
        if !self.fits(count) {
            return false;
        }
        let chains = self.chains_with(1);
        if chains > self.chains.len() {
            self.chain_anew(chains);
        }
        true
    }

    fn fits(&self, count: usize) -> bool {
        self.bytes_with(1, count) <= self.bytes_max
    }

    /// What is taken once there are so many more traces and spans.
    fn bytes_with(&self, traces: usize, spans: usize) -> usize {
        let chains = self.chains_with(traces) * size_of::<Chain>();
        let roles = self.roles_bytes + if traces == 0 { 0 } else { roles_bytes(spans) };
        self.entries.bytes_with(traces)
            + self.spans.bytes_with(spans)
            + chains
            + self.farewells.bytes()
            + roles
    }

    /// Chains for so many more traces: those there are, or more.
    fn chains_with(&self, traces: usize) -> usize {
        if traces == 0 {
            self.chains.len()
        } else {
            chains_for(self.entries.len() + traces).max(self.chains.len())
        }
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.entries.pop() else { return };
        self.turn = self.turn.wrapping_add(1);
        self.roles_bytes -= entry.roles_bytes();
        if let Some(roles) = &entry.roles {
            self.spans.drop_first(roles.len());
            self.forgotten = self.forgotten.wrapping_add(roles.len() as u32);
        }
        self.farewells.forget(entry.farewell);
        // After a burst: what is hardly used is given back.
        if self.chains.len() > chains_for(4 * self.entries.len()) {
            self.chain_anew(chains_for(2 * self.entries.len()));
        }
    }

    /// Makes so many chains.
    fn chain_anew(&mut self, count: usize) {
        let forgotten = self.turn.wrapping_sub(1);
        self.chains = vec![Chain { last: forgotten, ids: 0 }; count];
        for at in 0..self.entries.len() {
            let Some(id) = self.entries.get(at).map(|entry| entry.id) else { continue };
            let before = self.begin_chain(id, self.turn.wrapping_add(at as u32));
            if let Some(entry) = self.entries.get_mut(at) {
                entry.before = before;
            }
        }
    }
}

/// A power of two, so that a place is a part of the hash; many, so that the chain of a new trace is mostly empty.
fn chains_for(traces: usize) -> usize {
    traces.max(ROOM_MIN).next_power_of_two() * 4
}

/// What the roles of so many spans take; two counts stand before what is shared.
fn roles_bytes(spans: usize) -> usize {
    2 * size_of::<usize>() + spans * size_of::<Role>()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::join::Context;
    use crate::model::Origin;

    const NOBODY: TenantKey = TenantKey::ANONYMOUS;
    const SOMEBODY: TenantKey = TenantKey(7);

    fn remember(ledger: &mut Ledger, ms: u64, tenant: TenantKey, id: u8) {
        let farewell = Farewell {
            context: Context::default(),
            origin: Rc::new(Origin::anonymous()),
            reason: Reason::Complete,
            root_known: true,
            drawn: None,
            routed: None,
        };
        ledger.remember(
            Time::from_millis(ms),
            (tenant, TraceId([id; 16])),
            farewell.words(),
            None,
            ([].into_iter(), || [].into()),
        );
    }

    fn ledger(traces_max: usize) -> Ledger {
        Ledger::new(traces_max, 1 << 20, RandomState::with_seeds(1, 2, 3, 4))
    }

    fn knows(ledger: &Ledger, ms: u64, tenant: TenantKey, id: u8) -> bool {
        ledger.find(Time::from_millis(ms), tenant, TraceId([id; 16])).is_some()
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_no_other() {
        let mut ledger = ledger(100);
        for id in 0..=255 {
            remember(&mut ledger, 0, NOBODY, id);
            let first = id.saturating_sub(99);
            assert!(
                (0..=255).all(|old| knows(&ledger, 1, NOBODY, old) == (first..=id).contains(&old)),
                "{id}"
            );
        }
        assert_eq!(ledger.len(), 100);
    }

    #[test]
    fn nothing_is_remembered_for_ever() {
        let mut ledger = ledger(100);
        remember(&mut ledger, 0, NOBODY, 1);
        let end = REMEMBER.as_millis() as u64;
        assert!(knows(&ledger, end, NOBODY, 1) && !knows(&ledger, end + 1, NOBODY, 1));
        remember(&mut ledger, end + 1, NOBODY, 2);
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn what_was_nobodys_and_became_somebodys_is_no_one_elses() {
        let mut ledger = ledger(100);
        remember(&mut ledger, 0, NOBODY, 1);
        assert!(knows(&ledger, 1, TenantKey(8), 1));
        remember(&mut ledger, 1, SOMEBODY, 1);
        assert!(knows(&ledger, 2, SOMEBODY, 1) && knows(&ledger, 2, NOBODY, 1));
        assert!(!knows(&ledger, 2, TenantKey(8), 1));
    }
}
