//! The join: holds the spans of a trace until it is whole, then lets it go with a reason.
//!
//! Pure: `now` is passed in, bytes come in, decisions go out. No sockets, no clock, no config.
//!
//! A span's stay, in the order of the files: `heads` and `origins` make equal things one; `table`
//! finds its trace, or `ledger` says that it has left; `trace` copies its bytes and records it
//! (`kin` when there are many); `alarms` says when to look again; `whole` decides whether the trace
//! may leave, with what `shapes` has learned of children that come late; `order` puts its spans in
//! an order that arrival has no part in, unless `patterns` knows it from a trace just like this one; `root` says which of them speaks for it; `leaving` is how it goes.
//! Log records that belong to spans wait for them in `notes` and leave `attached` to them; `patience` says
//! whether a trace waits for any, and `strays` are what is worth having without its span.
//!
//! The surprise: nothing on the wire says that a trace is complete. What is learned changes when a
//! trace leaves, never what is in it; and whatever is wrong with a trace, it leaves in the end.

mod alarms;
mod attached;
mod farewell;
mod glance;
mod habit;
mod heads;
mod held;
mod kin;
mod leaving;
mod ledger;
mod notes;
mod order;
mod origins;
mod patience;
mod patterns;
mod pins;
mod ring;
mod root;
mod settings;
mod shapes;
mod spares;
mod strays;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod trace;
mod whole;

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;

use crate::model::{Destination, Draw, Origin, Reason, TenantKey, Time};
use crate::semantics::events::Event;
use crate::wire::index::{NoteEntry, Run, SpanEntry};
use crate::wire::{Index, TraceId};

pub use heads::{Head, Kind};
pub use held::{HeldTrace, WaitsFor};
pub use leaving::{Context, Leaving, LeavingBlock, LeavingSpan, SpanBytes, Stretch, StretchBytes};
pub use notes::Unplaced;
pub use settings::{Scope, Settings};
pub use shapes::ShapeInfo;
pub use strays::Stray;

use alarms::Alarms;
use attached::Attached;
use glance::Glance;
use heads::{Heads, RequestHeads};
use ledger::Ledger;
use notes::Notes;
use order::Order;
use origins::{Origins, Shared};
use patterns::Patterns;
use pins::{PinId, Pins};
use shapes::{ShapeId, Shapes};
use spares::Spares;
use table::Table;
use tally::Tallies;
use trace::{Incoming, Marks, Trace};
use whole::{Judge, Verdict};

/// The trace table of one lane.
#[derive(Debug)]
pub struct Join {
    settings: Settings,
    hasher: RandomState,
    heads: Heads,
    origins: Origins,
    table: Table,
    alarms: Alarms,
    ledger: Ledger,
    shapes: Shapes,
    notes: Notes,
    pins: Pins,
    spares: Spares,
    order: Order,
    tallies: Tallies,
    patterns: Patterns,
    glance: Glance,
    /// Some runs of the request being taken; kept empty between requests.
    runs: Vec<(TraceId, Run)>,
    /// Requests taken so far.
    requests: u64,
    /// Bytes charged for open traces.
    held: usize,
    /// Copies of spans that had left before, taken and not yet settled.
    owed: u64,
    /// Heads of the request being taken, by its scope blocks.
    request_heads: RequestHeads,
}

/// The request being taken.
#[derive(Clone, Copy)]
struct Request<'a> {
    now: Time,
    origin: &'a Shared,
    body: &'a Bytes,
    index: &'a Index,
    /// What its pin is called and shared as, if it is pinned.
    pin: Option<(PinId, &'a Rc<Bytes>)>,
}

impl Join {
    /// `seed` keys the hash of attacker-chosen ids.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let hasher = RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 0x5350_414e_4452_454c);
        Self {
            heads: Heads::new(
                hasher.clone(),
                (settings.held_bytes_max / 16).clamp(64 << 10, 4 << 20),
                settings.release_key.clone(),
            ),
            origins: Origins::new(hasher.clone()),
            table: Table::new(hasher.clone()),
            alarms: Alarms::default(),
            ledger: Ledger::new(settings.ledger_max, settings.held_bytes_max / 4, hasher.clone()),
            shapes: Shapes::new(settings.shapes_max, hasher.clone()),
            spares: Spares::new((settings.held_bytes_max / 8).clamp(64 << 10, 32 << 20)),
            notes: Notes::new(settings.held_bytes_max / 8, settings.evaluations, hasher.clone()),
            pins: Pins::default(),
            order: Order::default(),
            tallies: Tallies::default(),
            patterns: Patterns::default(),
            glance: Glance::default(),
            runs: Vec::new(),
            requests: 0,
            held: 0,
            owed: 0,
            request_heads: RequestHeads::default(),
            settings,
            hasher,
        }
    }

    /// Finds out of every trace that leaves from now on what the settings of these names say.
    pub fn find_out(&mut self, context: bool, named: bool) {
        (self.settings.context, self.settings.named) = (context, named);
    }

    /// Takes the spans of one request that `mine` says are this lane's. Returns spans taken.
    ///
    /// A copy of a span counts as taken: it leaves as one of `repairs.duplicates` of its trace, or is
    /// owed (`take_owed`) when its trace had left.
    pub fn take(
        &mut self,
        now: Time,
        origin: &Arc<Origin>,
        body: &Bytes,
        index: &Index,
        mine: impl Fn(TraceId) -> bool,
    ) -> u64 {
        self.requests += 1;
        let origin = self.origins.intern(origin);
        self.request_heads.begin(index);
        let (mut runs, mut some) = (index.runs(&mine), std::mem::take(&mut self.runs));
        some.extend(runs.by_ref().take(glance::RUNS));
        let all = some.iter().copied().chain(runs.clone());
        let wanted = all.map(|(_, run)| bytes_of(index.of_run(run)));
        let pin = pins::are_worth(wanted, body).then(|| (self.pins.pin(body), Rc::new(body.clone())));
        let shared = pin.as_ref().map(|(id, body)| (*id, body));
        let request = Request { now, origin: &origin, body, index, pin: shared };
        let mut taken = 0;
        while !some.is_empty() {
            self.glance.at_arrivals(&self.table, &self.ledger, some.iter().map(|(id, _)| *id));
            for (nth, (id, run)) in some.iter().enumerate() {
                let slot = self.seat(now, &origin, *id, self.glance.slot(nth));
                taken += self.take_run(slot, request, index.of_run(*run));
                self.rouse(now, slot);
                self.settle_cost(slot);
            }
            some.clear();
            some.extend(runs.by_ref().take(glance::RUNS));
        }
        self.runs = some;
        self.request_heads.end();
        if let Some((pin, _)) = pin {
            self.pins.release(pin);
        }
        taken
    }

    /// Keeps the log records of one request that belong to spans of this lane. Returns records taken: each
    /// leaves as an event of its span or a copy of one (`Leaving`), or is unplaced (`take_unplaced`).
    pub fn note(
        &mut self,
        now: Time,
        origin: &Arc<Origin>,
        body: &Bytes,
        index: &Index,
        mine: impl Fn(TraceId) -> bool,
    ) -> u64 {
        if !self.settings.notes {
            return 0;
        }
        let mut taken = 0;
        let origin = self.origins.intern(Origin::plain(origin));
        for entry in index.notes.iter().filter(|entry| mine(entry.trace)) {
            taken += 1;
            self.keep_note(now, &origin, entry, body);
        }
        taken
    }

    /// Takes what has become of log records whose spans have not come, since the last call. Whoever calls
    /// must settle them.
    pub fn take_unplaced(&mut self) -> Unplaced {
        self.notes.take_unplaced()
    }

    /// Takes the evaluations among them; call at least as often.
    pub fn take_strays(&mut self, now: Time) -> Vec<Stray> {
        let mut strays = self.notes.take_strays();
        for stray in &mut strays {
            let Some(left) = self.ledger.farewell(now, stray.origin.tenant, stray.trace) else { continue };
            stray.environment = left.context.environment.clone();
            if left.origin.key != 0 {
                stray.origin = Arc::clone(&left.origin);
            }
        }
        strays
    }

    /// No more spans will come: what waits for them is unplaced.
    pub fn end_notes(&mut self) {
        self.notes.end();
    }

    /// The next trace that must leave by `now`, if any. Call until `None`.
    pub fn leave(&mut self, now: Time) -> Option<Leaving> {
        self.spares.trim(now);
        self.notes.age(now);
        if self.held_bytes() > self.settings.held_bytes_max
            && let Some(leaving) = self.push_out(now, Reason::Pressure)
        {
            return Some(leaving);
        }
        loop {
            self.glance.at_departures(&self.table, &self.ledger, &self.alarms, (now, &self.settings));
            let (at, ticket) = self.alarms.due(now)?;
            let Some(trace) = self.table.of(ticket).filter(|trace| trace.alarm == at) else { continue };
            let mut judge = Judge {
                settings: &self.settings,
                shapes: &self.shapes,
                notes: &self.notes,
                order: &mut self.order,
                tallies: &mut self.tallies,
            };
            match judge.judge(&mut self.patterns, trace, now) {
                Verdict::Leave(reason) => {
                    if let Some(leaving) = self.let_go(now, ticket.slot, reason) {
                        return Some(leaving);
                    }
                }
                Verdict::Wait(until) => {
                    self.set_alarm(now, ticket.slot, until);
                    if until > now + pins::BRIEFLY {
                        self.unpin(ticket.slot);
                    }
                }
            }
        }
    }

    /// The oldest trace, out of turn: `Reason::Pressure` or `Reason::Drain`.
    pub fn push_out(&mut self, now: Time, reason: Reason) -> Option<Leaving> {
        while let Some(slot) = self.table.oldest() {
            let late = self.table.get(slot).is_some_and(|trace| trace.late);
            if let Some(leaving) = self.let_go(now, slot, if late { Reason::Late } else { reason }) {
                return Some(leaving);
            }
        }
        None
    }

    /// Remembers what sampling decided about the trace that has just left, for parts of it still to come.
    pub fn drew(&mut self, leaving: &Leaving, draw: Draw) {
        let trace = leaving.trace();
        self.ledger.drew((trace.tenant, trace.id), draw);
    }

    /// Remembers where rules sent the trace that has just left, for parts of it still to come.
    pub fn routed(&mut self, leaving: &Leaving, to: Option<Destination>) {
        let trace = leaving.trace();
        self.ledger.routed((trace.tenant, trace.id), to);
    }

    /// Takes back the room a trace was held in, once it has been written.
    pub fn recycle(&mut self, leaving: Leaving) {
        self.spares.put(leaving.into_trace());
    }

    /// When `leave` should be asked next, if nothing comes before. It may turn out too early, never late.
    pub fn next_due(&self) -> Option<Time> {
        if self.table.len() == 0 { None } else { self.alarms.next() }
    }

    /// Copies of spans that had left before: taken since the last call, with nothing left to send.
    /// Whoever calls must settle them; call after `leave` or `push_out` returned `None`.
    pub fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.owed)
    }

    /// Bytes held, overhead included.
    pub fn held_bytes(&self) -> usize {
        let shared = self.pins.bytes() + self.heads.bytes() + self.origins.bytes() + self.patterns.bytes();
        self.held + shared + self.notes.bytes() + self.spares.bytes()
    }

    pub fn held_traces(&self) -> usize {
        self.table.len()
    }

    /// Bytes remembered of traces that have left: at most a quarter of `held_bytes_max`.
    pub fn remembered_bytes(&self) -> usize {
        self.ledger.bytes()
    }

    /// Traces remembered, of those that have left.
    pub fn remembered_traces(&self) -> usize {
        self.ledger.len()
    }

    /// The oldest held traces, at most `limit`, and what each waits for. For people: it costs as much
    /// as judging each of them.
    pub fn held(&self, now: Time, limit: usize) -> Vec<HeldTrace> {
        let see = |trace: &Trace| held::see(trace, now, &self.settings, (&self.shapes, &self.notes));
        self.table.oldest_first().take(limit).map(see).collect()
    }

    /// The span shapes learned so far.
    pub fn shapes(&self) -> impl Iterator<Item = ShapeInfo<'_>> {
        self.shapes.iter()
    }

    pub fn shapes_known(&self) -> usize {
        self.shapes.len()
    }

    /// What was learned, to be kept across a restart.
    pub fn save(&self) -> Vec<u8> {
        self.shapes.save()
    }

    /// Takes in what an earlier process saved, as far as it can be read. Returns the shapes taken.
    pub fn load(&mut self, saved: &[u8]) -> usize {
        self.shapes.load(saved)
    }

    /// The place of the trace a span belongs to, opened if need be, with its times brought up to now. `seen`: where a
    /// trace with this id was seen, whoever's it is.
    fn seat(&mut self, now: Time, origin: &Shared, id: TraceId, seen: Option<u32>) -> u32 {
        let seen = seen.filter(|&slot| self.table.is(slot, origin.tenant, id));
        let slot = match seen.or_else(|| self.table.find(origin.tenant, id)) {
            Some(slot) => slot,
            None => {
                let trace = self.begin(now, origin.tenant, id);
                self.table.open(trace)
            }
        };
        let request = self.requests;
        if let Some(trace) = self.table.get_mut(slot).filter(|trace| trace.last_request != request) {
            trace.last_request = request;
            trace.requests += 1;
            trace.last = now;
        }
        slot
    }

    /// Spans have come: sees to it that their trace is asked soon whether it may leave.
    fn rouse(&mut self, now: Time, slot: u32) {
        let Some(trace) = self.table.get_mut(slot) else { return };
        trace.looks_whole = trace.steady && trace.has_root() && self.patterns.had_one_of(trace.records.len());
        let ring = if trace.late { now } else { now + whole::quiet_for(trace, &self.settings) };
        if trace.alarm > ring {
            self.set_alarm(now, slot, ring);
        }
    }

    /// A trace not open: new, late, or the next part of one that left before it was whole.
    fn begin(&mut self, now: Time, tenant: TenantKey, id: TraceId) -> Box<Trace> {
        let scope = self.settings.scope;
        let Some((tenant, earlier)) = self.ledger.find(now, tenant, id) else {
            return self.spares.trace(id, tenant, scope, now);
        };
        let mut trace = self.spares.trace(id, tenant, scope, now);
        trace.late = earlier.had_its_time() && scope == Scope::Trace;
        trace.earlier = Some(earlier);
        trace
    }

    /// Takes spans that stand side by side, of the trace at `slot`.
    fn take_run(&mut self, slot: u32, request: Request<'_>, run: &[SpanEntry]) -> u64 {
        let Request { body, index, .. } = request;
        let Some(trace) = self.table.get_mut(slot) else { return 0 };
        let arrival = trace.arrive(request.now, request.origin);
        let pin = request.pin.map(|(pin, shared)| trace.pin(pin, shared, &mut self.pins));
        for some in run.chunk_by(|one, next| one.scope == next.scope) {
            let scope = some.first().map_or(0, |first| first.scope);
            let heads = self.request_heads.of(
                &mut self.heads,
                &self.shapes,
                (body, index),
                scope,
                request.origin.caller.as_ref(),
            );
            let block = trace.block_index(&heads.resource, &heads.scope);
            let context = self.settings.context;
            for entry in some {
                let shape = self
                    .shapes
                    .of(heads, entry.name_key, entry.kind, entry.parent.is_none(), || entry.name.of(body));
                trace.steady &= self.shapes.is_steady(shape);
                let incoming = Incoming { request: body, entry, block, shape, arrival, pin, context };
                trace.add(incoming, &mut self.spares, &self.hasher);
            }
        }
        run.len() as u64
    }

    fn keep_note(&mut self, now: Time, origin: &Arc<Origin>, entry: &NoteEntry, body: &Bytes) {
        let tenant = origin.tenant;
        let open = self.table.peek(tenant, entry.trace);
        let event = Event::of(entry.body.of(body));
        let gone = self.left_already(now, tenant, entry, open);
        if let Some(shape) = gone {
            self.shapes.noted(shape, Some(event.is_last()));
        }
        // Of what has left no response ids are remembered.
        let left = || {
            entry.span.is_none() && open.is_none() && self.ledger.farewell(now, tenant, entry.trace).is_some()
        };
        if gone.is_some() || left() {
            return self.notes.came_late((entry.trace, entry.span), event, origin);
        }
        self.notes.keep(now, origin.clone(), entry.trace, entry.span, event);
        // Perhaps this is what its trace waits for.
        let soon = now + self.settings.quiet;
        if let Some(slot) = open
            && self.table.get(slot).is_some_and(|trace| trace.alarm > soon)
        {
            self.set_alarm(now, slot, soon);
        }
    }

    /// The shape of a note's span, if that has left.
    fn left_already(
        &self,
        now: Time,
        tenant: TenantKey,
        entry: &NoteEntry,
        open: Option<u32>,
    ) -> Option<ShapeId> {
        match open.and_then(|slot| self.table.get(slot)) {
            Some(trace) if trace.find(entry.span).is_some() => None,
            Some(trace) => trace.earlier.as_ref()?.gone(entry.span).map(|(_, role)| role.shape),
            None => self.ledger.gone(now, tenant, entry.trace, entry.span),
        }
    }

    /// The notes of a trace that leaves, which teach what spans like its own are to have.
    fn attach(&mut self, trace: &Trace, reason: Reason) -> Attached {
        if !self.settings.notes {
            return Attached::default();
        }
        let attached = Attached::of(trace, &self.notes.take(trace));
        let had_its_time = matches!(reason, Reason::Complete | Reason::Idle);
        for (record, at) in trace.records.iter().zip(0..) {
            let own = attached.own(at).map(|own| own.has_last);
            if own.is_some() || (had_its_time && record.marks.has(Marks::NOTED)) {
                self.shapes.noted(record.shape, own);
            }
        }
        attached
    }

    fn set_alarm(&mut self, now: Time, slot: u32, at: Time) {
        let ticket = self.table.ticket(slot);
        if let Some(trace) = self.table.get_mut(slot) {
            trace.alarm = at;
            self.alarms.set(now, at, ticket);
        }
        let table = &self.table;
        self.alarms.tidy(table.len(), |at, ticket| table.of(ticket).is_some_and(|trace| trace.alarm == at));
    }

    fn unpin(&mut self, slot: u32) {
        if let Some(trace) = self.table.get_mut(slot) {
            trace.unpin(&mut self.pins, &mut self.spares);
            self.settle_cost(slot);
        }
    }

    /// Charges a trace what it now takes.
    fn settle_cost(&mut self, slot: u32) {
        if let Some(trace) = self.table.get_mut(slot) {
            let cost = trace.cost();
            self.held = self.held - trace.charged + cost;
            trace.charged = cost;
        }
    }

    fn let_go(&mut self, now: Time, slot: u32, reason: Reason) -> Option<Leaving> {
        let mut trace = self.table.close(slot)?;
        self.held -= trace.charged;
        trace.pins.iter().for_each(|pin| self.pins.release(pin.id));
        if trace.records.is_empty() {
            // Nothing but copies of what has left: there is nothing to send, only to settle.
            self.owed += u64::from(trace.repairs.duplicates);
            return None;
        }
        if reason != Reason::Complete {
            // A complete trace has just been judged, and that has linked and counted it.
            self.order.link(&trace);
            self.tallies.count(&trace, &self.order);
        }
        self.order.work_out(&trace);
        if self.tallies.usual && !self.tallies.were_recalled() {
            self.patterns.learn(&trace, &self.order, &self.tallies, &self.shapes);
        }
        tally::learn(&mut self.shapes, now, &trace, (&mut self.tallies, &self.order), reason);
        tally::settle_late(&mut self.shapes, &mut trace);
        let of = (trace.tenant, trace.id);
        let attached = self.attach(&trace, reason);
        let whence = (&self.settings, &mut self.origins);
        let leaving = leaving::let_go(trace, &self.order, attached, reason, whence);
        let trace = leaving.trace();
        let gone = (tally::gone(trace), || tally::roles(trace, &self.tallies));
        self.ledger.remember(now, of, leaving.farewell(), trace.earlier.as_deref(), gone);
        self.order.trim();
        self.tallies.trim();
        Some(leaving)
    }
}

fn bytes_of(spans: &[SpanEntry]) -> usize {
    spans.iter().map(|entry| entry.body.len as usize).sum()
}
