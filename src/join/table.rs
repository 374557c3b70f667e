//! The open traces: found by id, and the oldest first.
//!
//! The hash is seeded, so that chosen ids can not be made to collide (faults F42). Traces of
//! different tenants with one id stand side by side; what came without credentials joins whoever
//! has the id.

use std::collections::VecDeque;

use ahash::RandomState;
use hashbrown::HashTable;

use super::trace::Trace;
use crate::model::TenantKey;
use crate::wire::TraceId;

/// A trace's place, and which of the place's successive traces is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// Counts openings in the whole table, so that a place can be given back and used again. It is compared first: of
    /// traces that are due together the elder leaves first, so that what lies side by side in a request stays so.
    opening: u64,
    pub slot: u32,
}

/// Ids are kept beside the slot, so that a look-up touches no trace but the right one.
#[derive(Debug)]
struct Seat {
    id: TraceId,
    slot: u32,
}

#[derive(Debug, Default)]
struct Slot {
    opening: u64,
    trace: Option<Box<Trace>>,
}

/// The open traces of one join.
#[derive(Debug)]
pub(super) struct Table {
    seats: HashTable<Seat>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    elders: VecDeque<Ticket>,
    openings: u64,
    hasher: RandomState,
}

impl Table {
    pub fn new(hasher: RandomState) -> Self {
        let (slots, free, elders) = Default::default();
        Self { seats: HashTable::new(), slots, free, elders, openings: 0, hasher }
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// The open trace that a span of `tenant` with this id belongs to: the tenant's own; else
    /// nobody's, which becomes the tenant's; for a span of nobody's, the least tenant's.
    pub fn find(&mut self, tenant: TenantKey, id: TraceId) -> Option<u32> {
        let slot = self.peek(tenant, id)?;
        if let Some(trace) = self.get_mut(slot).filter(|trace| trace.tenant == TenantKey::ANONYMOUS) {
            trace.tenant = tenant;
        }
        Some(slot)
    }

    /// The same, and nobody's trace stays nobody's.
    pub fn peek(&self, tenant: TenantKey, id: TraceId) -> Option<u32> {
        let mut best: Option<(TenantKey, u32)> = None;
        for seat in self.seats.iter_hash(self.hasher.hash_one(id)).filter(|seat| seat.id == id) {
            let Some(owner) = self.get(seat.slot).map(|trace| trace.tenant) else { continue };
            if owner == tenant {
                return Some(seat.slot);
            }
            let either_nobody = owner == TenantKey::ANONYMOUS || tenant == TenantKey::ANONYMOUS;
            if either_nobody && best.is_none_or(|(least, _)| owner < least) {
                best = Some((owner, seat.slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// Whether the trace at this place is the tenant's own with this id.
    pub fn is(&self, slot: u32, tenant: TenantKey, id: TraceId) -> bool {
        self.get(slot).is_some_and(|trace| trace.id == id && trace.tenant == tenant)
    }

    /// The place of an open trace with this id, whoever's it is. Looks at no trace.
    pub fn seat(&self, id: TraceId) -> Option<u32> {
        self.seats.find(self.hasher.hash_one(id), |seat| seat.id == id).map(|seat| seat.slot)
    }

    /// The place a ticket was given for, if it is still that trace's. Looks at no trace.
    pub fn here(&self, ticket: Ticket) -> Option<u32> {
        let slot = self.slots.get(ticket.slot as usize)?;
        (slot.opening == ticket.opening && slot.trace.is_some()).then_some(ticket.slot)
    }

    pub fn get(&self, slot: u32) -> Option<&Trace> {
        self.slots.get(slot as usize)?.trace.as_deref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Trace> {
        self.slots.get_mut(slot as usize)?.trace.as_deref_mut()
    }

    /// The trace a ticket was given for, if it is still open.
    pub fn of(&self, ticket: Ticket) -> Option<&Trace> {
        let slot = self.slots.get(ticket.slot as usize)?;
        slot.trace.as_deref().filter(|_| slot.opening == ticket.opening)
    }

    pub fn ticket(&self, slot: u32) -> Ticket {
        Ticket { slot, opening: self.slots.get(slot as usize).map_or(0, |slot| slot.opening) }
    }

    /// Opens a trace, the youngest.
    pub fn open(&mut self, trace: Box<Trace>) -> u32 {
        let id = trace.id;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        self.openings += 1;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot { opening: self.openings, trace: Some(trace) };
        }
        let hasher = &self.hasher;
        self.seats.insert_unique(hasher.hash_one(id), Seat { id, slot }, |seat| hasher.hash_one(seat.id));
        self.elders.push_back(self.ticket(slot));
        slot
    }

    /// Takes a trace out of the table.
    pub fn close(&mut self, slot: u32) -> Option<Box<Trace>> {
        let trace = self.slots.get_mut(slot as usize)?.trace.take()?;
        self.free.push(slot);
        let hash = self.hasher.hash_one(trace.id);
        if let Ok(seat) = self.seats.find_entry(hash, |seat| seat.slot == slot) {
            seat.remove();
        }
        self.tidy();
        Some(trace)
    }

    /// The trace that came first.
    pub fn oldest(&mut self) -> Option<u32> {
        while let Some(&ticket) = self.elders.front() {
            if self.of(ticket).is_some() {
                return Some(ticket.slot);
            }
            self.elders.pop_front();
        }
        None
    }

    /// Open traces, the oldest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = &Trace> {
        self.elders.iter().filter_map(|&ticket| self.of(ticket))
    }

    /// After a burst: forgets elders that left, gives memory back.
    fn tidy(&mut self) {
        let open = self.seats.len();
        if self.elders.len() > 1024 + 4 * open {
            let slots = &self.slots;
            let is_open = |t: &Ticket| {
                slots.get(t.slot as usize).is_some_and(|s| s.trace.is_some() && s.opening == t.opening)
            };
            self.elders.retain(is_open);
            self.elders.shrink_to(2 * open);
            let hasher = &self.hasher;
            self.seats.shrink_to(2 * open, |seat| hasher.hash_one(seat.id));
        }
        if open == 0 && self.slots.len() > 1024 {
            (self.slots, self.free) = Default::default();
        }
    }
}
