//! One held trace: its spans' bytes in a few growing chunks, and a record of each span.
//!
//! Spans lie where they came, in a pinned request, or are copied once into the trace's own chunks
//! (`pins` says when). Records stand in the order of arrival; nothing here sorts.

use std::rc::Rc;

use ahash::RandomState;
use bytes::Bytes;
use smallvec::{Array, SmallVec, smallvec};

use super::Scope;
use super::heads::Head;
use super::kin::{Kin, SCAN_MAX};
use super::leaving::{LeavingBlock, Lists, Placed};
use super::ledger::Earlier;
use super::origins::Shared;
use super::pins::{self, Pin, PinId, Pins};
use super::shapes::ShapeId;
use super::spares::Spares;
use crate::model::{Repairs, TenantKey, Time};
use crate::semantics::claims::{Claims, Has};
use crate::semantics::roots;
use crate::wire::block::gap_before;
use crate::wire::noted::Noted;
use crate::wire::walk::{Range, SpanEntry};
use crate::wire::{SpanId, TraceId};

/// Both double from small, so that a million small traces are small and a large one has few pieces.
const RECORDS_MIN: usize = 8;
const CHUNK_MIN: usize = 1024;
const CHUNK_MAX: usize = 1 << 20;
/// What the table, the alarm and the queue of elders keep for one trace, and the allocator on top.
const TRACE_OVERHEAD: usize = size_of::<Trace>() + 112;

/// Where a span's body lies: in one of the trace's chunks, or in a request it has pinned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Index into the chunks; with [`Place::PINNED`], into the pins.
    piece: u32,
    at: u32,
    pub len: u32,
}

impl Place {
    const PINNED: u32 = 1 << 31;

    fn pinned(piece: u32, range: Range) -> Self {
        Self { piece: piece | Self::PINNED, at: range.at, len: range.len }
    }

    /// Index into the pins.
    pub fn pin(self) -> Option<usize> {
        (self.piece & Self::PINNED != 0).then_some((self.piece & !Self::PINNED) as usize)
    }

    pub fn range(self) -> Range {
        Range { at: self.at, len: self.len }
    }

    /// Whether the other is the next item of the request they lie in.
    pub fn is_followed_by(self, next: Self) -> bool {
        self.pin().is_some() && self.piece == next.piece && self.ends_at(next)
    }

    /// The same, of places known to be of one piece.
    fn ends_at(self, next: Self) -> bool {
        self.at as usize + self.len as usize + gap_before(next.len as usize) == next.at as usize
    }

    /// From here to the end of a later place of the same piece.
    pub fn up_to(self, last: Self) -> Self {
        Self { len: last.at + last.len - self.at, ..self }
    }
}

/// What the join keeps in view of one span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub id: SpanId,
    pub parent: SpanId,
    /// Unix nanoseconds, as the span says.
    pub start: u64,
    /// Of service, scope, name and kind.
    pub shape: ShapeId,
    pub place: Place,
    /// Index into the trace's blocks.
    pub block: u32,
    /// Which of the trace's requests it came in, counted from 1.
    pub request: u32,
    /// Milliseconds after the trace's first arrival.
    pub after_ms: u32,
    /// Index into the trace's origins.
    pub origin: u16,
    /// What it has of its own, if it was [`Marks::READ`].
    has: Has,
    pub marks: Marks,
}

impl Record {
    /// What it has of its own, if that was read when it came.
    pub fn has(&self) -> Option<Has> {
        self.marks.has(Marks::READ).then_some(self.has)
    }

    /// Reads the span for what it claims, if it may: its bytes have just been walked, and will have gone cold when it
    /// leaves.
    fn read(&mut self, noted: Noted, body: &[u8]) {
        if !noted.has(Noted::CLAIM) {
            (self.has, self.marks) = (Has::told(noted), self.marks.with(Marks::READ));
            return;
        }
        let claims = Claims::of(body);
        let more = if claims.is_nothing() { Marks::READ } else { Marks::READ.with(Marks::CLAIMS) };
        (self.has, self.marks) = (claims.has, self.marks.with(more));
    }
}

/// Yes-or-no facts about a span, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    pub const ENDED: Self = Self(1);
    pub const ZERO_PARENT: Self = Self(2);
    /// Its parent, if not here, lives in another process.
    pub const ENTRY: Self = Self(4);
    /// Came without credentials.
    pub const NOBODYS: Self = Self(8);
    /// It has attributes that are looked for (`wire::noted`).
    pub const NOTED: Self = Self(16);
    /// It was read for what it claims …
    pub const READ: Self = Self(32);
    /// … and claims something of its trace.
    pub const CLAIMS: Self = Self(64);
    /// It may say where it ran: its environment or release.
    pub const PLACED: Self = Self(128);

    pub fn of(entry: &SpanEntry) -> Self {
        const SERVER: u8 = 2;
        const CONSUMER: u8 = 5;
        // HAS_IS_REMOTE and IS_REMOTE (conformance D01).
        const REMOTE: u32 = 0x300;
        let enters = entry.flags & REMOTE == REMOTE || entry.kind == SERVER || entry.kind == CONSUMER;
        let bit = |yes: bool, mark: Self| if yes { mark.0 } else { 0 };
        Self(
            bit(entry.ended, Self::ENDED)
                | bit(entry.zero_parent, Self::ZERO_PARENT)
                | bit(enters, Self::ENTRY)
                | bit(entry.noted.has(Noted::SOUGHT), Self::NOTED)
                | bit(entry.noted.has(Noted::PLACE), Self::PLACED),
        )
    }

    pub fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    pub fn with(self, mark: Self) -> Self {
        Self(self.0 | mark.0)
    }
}

/// One span on its way in.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub request: &'a Bytes,
    pub entry: &'a SpanEntry,
    pub block: u32,
    pub shape: ShapeId,
    pub arrival: Arrival,
    /// Index into the trace's pins, if the request is pinned.
    pub pin: Option<u32>,
    /// What spans claim of their traces is wanted.
    pub context: bool,
}

/// What spans that come together have in common.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    after_ms: u32,
    origin: u16,
    marks: Marks,
}

/// A trace being held. What a usual one needs stands side by side in it: by the time its next spans come it is
/// long out of the processor's cache, and every piece of it elsewhere would be waited for.
#[derive(Debug)]
pub(super) struct Trace {
    pub id: TraceId,
    pub tenant: TenantKey,
    pub scope: Scope,
    pub first: Time,
    pub last: Time,
    /// When its alarm rings; alarms at other times are stale.
    pub alarm: Time,
    /// Requests its spans came in, and the last of them as the join counts requests.
    pub requests: u32,
    pub last_request: u64,
    pub records: Vec<Record>,
    /// Their ids once more, side by side.
    pub ids: SmallVec<[SpanId; 16]>,
    /// A bit for each of them, by its last six: an arrival whose bit is not set is no copy of what is here.
    id_bits: u64,
    pub chunks: Vec<Vec<u8>>,
    /// Requests its spans lie in.
    pub pins: SmallVec<[Pin; 4]>,
    pub blocks: SmallVec<[(Rc<Head>, Rc<Head>); 4]>,
    pub origins: SmallVec<[Shared; 1]>,
    pub repairs: Repairs,
    /// Spans without a parent.
    pub roots: u32,
    /// What any of its spans is marked with, or a copy that was not kept.
    pub marks: Marks,
    /// What left of this trace before.
    pub earlier: Option<Box<Earlier>>,
    /// Came after its trace had left whole: goes on at once.
    pub late: bool,
    /// Its spans so far are of shapes whose children are always the same.
    pub steady: bool,
    /// It is steady, has its root, and has as many spans as a usual one had.
    pub looks_whole: bool,
    /// Bytes the join counts for it.
    pub charged: usize,
    /// Capacity of all chunks.
    stored: usize,
    kin: Option<Box<Kin>>,
    /// What it is going to leave in, empty.
    pub lists: Lists,
}

impl Trace {
    pub fn new(id: TraceId, tenant: TenantKey, scope: Scope, now: Time) -> Self {
        Self {
            id,
            tenant,
            scope,
            first: now,
            last: now,
            alarm: Time(u64::MAX),
            requests: 0,
            last_request: 0,
            records: Vec::new(),
            ids: SmallVec::new(),
            id_bits: 0,
            chunks: Vec::new(),
            pins: SmallVec::new(),
            blocks: SmallVec::new(),
            origins: SmallVec::new(),
            repairs: Repairs::default(),
            roots: 0,
            marks: Marks::default(),
            earlier: None,
            late: false,
            steady: true,
            looks_whole: false,
            charged: 0,
            stored: 0,
            kin: None,
            lists: Lists::default(),
        }
    }

    /// Lets go of everything, but not of the room it took. [`Trace::begin`] makes it a trace again.
    pub fn clear(&mut self) {
        (self.earlier, self.kin, self.stored, self.id_bits) = (None, None, 0, 0);
        self.records.clear();
        self.ids.clear();
        self.chunks.clear();
        self.pins.clear();
        self.blocks.clear();
        self.origins.clear();
    }

    /// A new trace, in the room of one that was cleared.
    pub fn begin(&mut self, id: TraceId, tenant: TenantKey, scope: Scope, now: Time) {
        (self.id, self.tenant, self.scope, self.first, self.last) = (id, tenant, scope, now, now);
        (self.alarm, self.late, self.steady, self.looks_whole) = (Time(u64::MAX), false, true, false);
        (self.requests, self.last_request, self.roots, self.charged) = (0, 0, 0, 0);
        (self.repairs, self.marks) = (Repairs::default(), Marks::default());
    }

    /// Bytes it really takes, besides the requests it has pinned.
    pub fn cost(&self) -> usize {
        TRACE_OVERHEAD
            + self.stored
            + self.records.capacity() * size_of::<Record>()
            + self.chunks.capacity() * size_of::<Vec<u8>>()
            + self.lists.0.capacity() * size_of::<LeavingBlock>()
            + self.lists.1.capacity() * size_of::<Placed>()
            + spilled(&self.ids)
            + spilled(&self.blocks)
            + spilled(&self.pins)
            + spilled(&self.origins)
            + self.kin.as_ref().map_or(0, |kin| kin.cost())
    }

    /// The body of a span's message.
    pub fn body(&self, place: Place) -> &[u8] {
        let bytes = match place.pin() {
            Some(pin) => self.pins.get(pin).map(|pin| &**pin.request),
            None => self.chunks.get(place.piece as usize).map(Vec::as_slice),
        };
        place.range().of(bytes.unwrap_or_default())
    }

    /// Whether the other's first span is the next item of the request that this one's first lies in.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        let first = |trace: &Self| {
            let place = trace.records.first()?.place;
            Some((trace.pins.get(place.pin()?)?.id, place))
        };
        let both = first(self).zip(first(next));
        both.is_some_and(|((pin, place), (next_pin, next))| pin == next_pin && place.ends_at(next))
    }

    pub fn find(&self, id: SpanId) -> Option<u32> {
        #[cfg(test)]
        super::tests::LOOK_UPS.set(super::tests::LOOK_UPS.get() + 1);
        match &self.kin {
            Some(kin) => kin.find(id, &self.records),
            None => self.ids.iter().position(|known| *known == id).map(|at| at as u32),
        }
    }

    /// Spans of one origin are about to be added.
    pub fn arrive(&mut self, now: Time, origin: &Shared) -> Arrival {
        let nobodys = origin.tenant == TenantKey::ANONYMOUS;
        Arrival {
            after_ms: u32::try_from(now.since(self.first).as_millis()).unwrap_or(u32::MAX),
            origin: self.origin_index(origin),
            marks: if nobodys { Marks::NOBODYS } else { Marks::default() },
        }
    }

    /// The index of an origin among the trace's; past `u16` all share the last place.
    fn origin_index(&mut self, origin: &Shared) -> u16 {
        let known = self.origins.iter().rposition(|o| Rc::ptr_eq(o, origin));
        let at = known.unwrap_or_else(|| {
            if self.origins.len() < ORIGINS_MAX {
                self.origins.push(origin.clone());
            }
            self.origins.len() - 1
        });
        at as u16
    }

    /// The index of a block among the trace's.
    pub fn block_index(&mut self, resource: &Rc<Head>, scope: &Rc<Head>) -> u32 {
        let key = (resource.id, scope.id);
        let known = match &self.kin {
            Some(kin) => kin.blocks.get(&key).copied(),
            None => self.blocks.iter().position(|(r, s)| (r.id, s.id) == key).map(|at| at as u32),
        };
        known.unwrap_or_else(|| {
            let at = self.blocks.len() as u32;
            self.blocks.push((resource.clone(), scope.clone()));
            if let Some(kin) = &mut self.kin {
                kin.blocks.insert(key, at);
            }
            at
        })
    }

    /// Takes one span; of a copy of one that is here, the more complete one is kept.
    pub fn add(&mut self, incoming: Incoming<'_>, spares: &mut Spares, hasher: &RandomState) {
        let Incoming { entry, arrival, .. } = incoming;
        let mut record = Record {
            id: entry.span,
            parent: entry.parent,
            start: entry.start,
            shape: incoming.shape,
            place: Place::default(),
            block: incoming.block,
            request: self.requests,
            after_ms: arrival.after_ms,
            origin: arrival.origin,
            has: Has::NONE,
            marks: arrival.marks.with(Marks::of(entry)),
        };
        let body = entry.body.of(incoming.request);
        if self.earlier.as_ref().is_some_and(|earlier| earlier.had_copy(entry.span, body.len())) {
            self.repairs.duplicates += 1;
            return;
        }
        if incoming.context {
            record.read(entry.noted, body);
        }
        self.marks = self.marks.with(record.marks);
        let known = if self.id_bits & id_bit(entry.span) == 0 { None } else { self.find(entry.span) };
        match known {
            Some(at) => self.collapse(at, record, body, incoming, spares),
            None => {
                record.place = self.store(body, incoming, spares);
                self.roots += u32::from(record.parent.is_none());
                self.append(record, hasher);
            }
        }
    }

    fn append(&mut self, record: Record, hasher: &RandomState) {
        let at = self.records.len() as u32;
        if self.records.capacity() == 0 {
            self.records.reserve_exact(RECORDS_MIN);
        }
        self.records.push(record);
        self.ids.push(record.id);
        self.id_bits |= id_bit(record.id);
        if self.records.len() == SCAN_MAX + 1 {
            self.kin = Some(Box::new(self.build_kin(hasher)));
        } else if let Some(kin) = &mut self.kin {
            kin.add(at, &self.records);
            self.note_missing(at);
        }
    }

    fn build_kin(&self, hasher: &RandomState) -> Kin {
        let mut kin = Kin::new(hasher.clone());
        (0..self.records.len() as u32).for_each(|at| kin.add(at, &self.records));
        self.without_parent().for_each(|record| kin.miss(record.parent));
        let blocks = self.blocks.iter().enumerate().map(|(at, (r, s))| ((r.id, s.id), at as u32));
        kin.blocks.extend(blocks);
        kin
    }

    /// Of two spans with one id the more complete one stays: ended beats not ended, then the longer,
    /// then the greater in bytes, resource and scope. Which came first says nothing.
    fn collapse(
        &mut self,
        at: u32,
        mut new: Record,
        body: &[u8],
        incoming: Incoming<'_>,
        spares: &mut Spares,
    ) {
        self.repairs.duplicates += 1;
        let Some(old) = self.records.get(at as usize).copied() else { return };
        if self.completeness(&new, body) <= self.completeness(&old, self.body(old.place)) {
            return;
        }
        // The bytes of the lesser copy stay in their chunk, and stay charged.
        new.place = self.store(body, incoming, spares);
        self.roots += u32::from(new.parent.is_none());
        self.roots -= u32::from(old.parent.is_none());
        let missed = self.is_large().then(|| self.misses(&old)).flatten();
        if let Some(kept) = self.records.get_mut(at as usize) {
            *kept = new;
        }
        if let (Some(kin), Some(parent)) = (&mut self.kin, missed) {
            kin.miss_no_more(parent);
        }
        self.note_missing(at);
    }

    fn completeness<'a>(&'a self, record: &Record, body: &'a [u8]) -> impl Ord + 'a {
        let head = |head: &'a Rc<Head>| (&head.bytes.first, &head.bytes.rest);
        let heads = self.blocks.get(record.block as usize).map(|(r, s)| (head(r), head(s)));
        let origin = self.origins.get(usize::from(record.origin)).map(|o| &**o);
        (record.marks.has(Marks::ENDED), body.len(), body, heads, origin)
    }

    fn store(&mut self, body: &[u8], incoming: Incoming<'_>, spares: &mut Spares) -> Place {
        match incoming.pin {
            Some(pin) => Place::pinned(pin, incoming.entry.body),
            None => self.copy(body, spares),
        }
    }

    fn copy(&mut self, body: &[u8], spares: &mut Spares) -> Place {
        if self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < body.len()) {
            let chunk = spares.chunk(body.len(), self.stored.clamp(CHUNK_MIN, CHUNK_MAX));
            self.stored += chunk.capacity();
            self.chunks.push(chunk);
        }
        let piece = self.chunks.len() as u32 - 1;
        let Some(chunk) = self.chunks.last_mut() else { return Place::default() };
        let at = chunk.len() as u32;
        chunk.extend_from_slice(body);
        Place { piece, at, len: body.len() as u32 }
    }

    /// Its spans are going to lie in a pinned request. Returns the index among its pins.
    pub fn pin(&mut self, id: PinId, request: &Rc<Bytes>, pins: &mut Pins) -> u32 {
        if self.pins.last().is_none_or(|last| last.id != id) {
            pins.hold(id);
            self.pins.push(Pin { id, request: request.clone() });
        }
        self.pins.len() as u32 - 1
    }

    /// It has to wait: copies its spans out of requests that are mostly others'.
    pub fn unpin(&mut self, pins: &mut Pins, spares: &mut Spares) {
        if self.pins.is_empty() {
            return;
        }
        let mut wanted: SmallVec<[usize; 8]> = smallvec![0; self.pins.len()];
        for (pin, record) in self.records.iter().filter_map(|r| r.place.pin().zip(Some(r))) {
            wanted[pin] += record.place.len as usize;
        }
        let held = std::mem::take(&mut self.pins);
        let mut kept: SmallVec<[Option<u32>; 8]> = smallvec![None; held.len()];
        for ((pin, wanted), kept) in held.iter().zip(&wanted).zip(&mut kept) {
            if pins::is_worth(*wanted, &pin.request) {
                *kept = Some(self.pin(pin.id, &pin.request, pins));
            }
        }
        for at in 0..self.records.len() {
            let place = self.records[at].place;
            let Some(pin) = place.pin() else { continue };
            self.records[at].place = match kept[pin] {
                Some(pin) => Place::pinned(pin, place.range()),
                None => self.copy(place.range().of(&held[pin].request), spares),
            };
        }
        held.iter().for_each(|pin| pins.release(pin.id));
    }

    /// The parent that must be here before this span's trace can be whole. It may read the span's
    /// attributes: ask only for spans whose parent is not here.
    pub fn needs(&self, record: &Record) -> Option<SpanId> {
        let left = || self.earlier.as_ref().is_some_and(|earlier| earlier.had(record.parent));
        (!record.parent.is_none() && !self.is_local_root(record) && !left()).then_some(record.parent)
    }

    /// Whether the tree of this process begins here. A mark is believed only here: spans with a parent in
    /// the trace carry it too.
    fn is_local_root(&self, record: &Record) -> bool {
        self.scope == Scope::Local && (record.marks.has(Marks::ENTRY) || self.is_marked(record))
    }

    fn is_marked(&self, record: &Record) -> bool {
        record.marks.has(Marks::NOTED) && roots::is_marked(self.body(record.place))
    }

    /// Whether a parent that is named, and is to come, is not here: known of large traces without a look.
    pub fn is_known_to_miss_parents(&self) -> bool {
        self.kin.as_ref().is_some_and(|kin| kin.missing() > 0)
    }

    /// The parent that is named, is to come, and is not here.
    fn misses(&self, record: &Record) -> Option<SpanId> {
        if record.parent.is_none() || self.find(record.parent).is_some() {
            return None;
        }
        self.needs(record)
    }

    fn note_missing(&mut self, at: u32) {
        if !self.is_large() {
            return;
        }
        let missing = self.records.get(at as usize).and_then(|record| self.misses(record));
        if let (Some(kin), Some(parent)) = (&mut self.kin, missing) {
            kin.miss(parent);
        }
    }

    /// Spans whose parent is named, is to come, and is not here.
    pub fn without_parent(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| self.misses(record).is_some())
    }

    /// Whether what makes the trace a tree is here: its root, or (local) whatever it grows from.
    pub fn has_root(&self) -> bool {
        self.roots > 0
            || self.scope == Scope::Local
            || self.earlier.as_ref().is_some_and(|earlier| earlier.farewell.root_known)
    }

    pub fn is_large(&self) -> bool {
        self.kin.is_some()
    }
}

fn id_bit(id: SpanId) -> u64 {
    1 << (id.0[7] & 63)
}

/// Bytes a list takes outside its trace.
fn spilled<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() { list.capacity() * size_of::<A::Item>() } else { 0 }
}

/// Distinct sets of kept headers told apart within one trace.
const ORIGINS_MAX: usize = 1024;
