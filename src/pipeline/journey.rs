//! A span's journey after it was admitted, read downward.
//!
//! A `Journey` is what one lane does with a request: join (traces), label, batch, hand over. It is
//! told what time it is and owns no thread; `lane` gives it both.
//!
//! The surprise: it goes by two times. Batches go by the clock. The join goes by when requests were offered, and no
//! later than the lane has seen them all: a trace is quiet since its last span came, not since a busy lane got to it,
//! and none is quiet while its spans wait to be taken.

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::join::{HeldTrace, Join, Leaving, LeavingBlock, LeavingSpan};
use crate::model::{Clock, Destination, Reason, Time};
use crate::queue::batcher::{self, Batcher, BlockKey, Pen, Way};
use crate::queue::{Admitted, Reservation};
use crate::rules::labels::Known;
use crate::rules::memo::{Labelled, Memo};
use crate::rules::particulars;
use crate::rules::stamp::{self, Stamp};
use crate::semantics::claims::Has;
use crate::watch::{JoinedTrace, Watchers};
use crate::wire::block::{self, BlockHead, ScopeBlock};
use crate::wire::index::{Head, Range, ResourceEntry};
use crate::wire::split;
use crate::wire::{Rope, Signal, TraceId};

use super::ruled::{DROPPED, RuledTrace, SAMPLED_OUT};
use super::ruler::Ruler;
use super::scoring::Scoring;
use super::shelf::Shelf;
use super::tally::LaneMeters;
use super::write::{Writer, given, particulars_of, stamp_of};

/// Spans of one request that are taken before what must leave leaves: each may open a trace of two kilobytes.
const PART_SPANS: usize = 2 * 1024;
/// A request is gone through once for each of its parts.
const PARTS_MAX: usize = 128;

/// One lane's share of the road from admission to the outboxes.
#[derive(Debug)]
pub struct Journey {
    pub join: Option<Join>,
    pub labels: Memo,
    pub rules: Ruler,
    pub stamps: stamp::Settings,
    pub particulars: particulars::Settings,
    pub batcher: Batcher,
    /// Pays for what the join holds and remembers, the memo and open batches.
    pub held: Reservation,
    pub shelf: Shelf,
    /// Where evaluations become scores.
    pub scoring: Option<Scoring>,
    pub watchers: Arc<Watchers>,
    pub clock: Clock,
    /// Of the labels and rules it goes by.
    pub version: u64,
    pub meters: LaneMeters,
    /// The join's time: what was offered before has been taken. It never goes back.
    pub seen: Time,
    /// Items taken and not yet in a closed batch: what a panic would lose.
    pub in_hand: [u64; 4],
}

/// A resource block on its way through, as it came or as the rules left it.
#[derive(Debug)]
pub(super) struct Passed<'a> {
    pub body: &'a Bytes,
    pub at: Range,
    pub items: u64,
    /// What it says besides its items, in the index of its request.
    pub head: &'a Head,
}

impl<'a> Passed<'a> {
    pub fn of(request: &'a Admitted, entry: &'a ResourceEntry) -> Self {
        Self { body: &request.body, at: entry.block, items: u64::from(entry.items), head: &entry.head }
    }
}

impl Journey {
    /// Takes one admitted request; `mine` says which traces are this lane's.
    pub fn take(&mut self, now: Time, request: &Admitted, mine: impl Fn(TraceId) -> bool) {
        match (request.signal, &self.join) {
            (Signal::Traces, Some(_)) => self.hold(now, request, mine),
            (Signal::Profiles, _) => self.pass_whole(now, request),
            (Signal::Logs, _) => {
                self.note(request, mine);
                if self.shelf.takes(Signal::Logs) {
                    self.pass_blocks(now, request);
                }
            }
            _ => self.pass_blocks(now, request),
        }
        self.saw_all(request.offered);
        if request.signal == Signal::Traces {
            // What is whole now leaves before more is taken: what it was held in is used again for those to come, and
            // is still in the processor's cache.
            self.let_leave(now);
        }
    }

    /// Keeps what of a logs request belongs to spans of this lane; passing it on is another's affair.
    pub fn note(&mut self, request: &Admitted, mine: impl Fn(TraceId) -> bool) {
        let came = self.came(request);
        if self.join.is_none() {
            return;
        }
        if !self.shelf.takes(Signal::Logs) {
            // In hand before anything is done with them: see `hold`.
            let coming = request.index.notes.iter().filter(|note| mine(note.trace)).count();
            self.in_hand[Signal::Logs as usize] += coming as u64;
        }
        let ruled = self.ruled_notes(request, &mine);
        let (body, index) =
            ruled.as_ref().map_or((&request.body, &request.index), |ruled| (&ruled.body, &ruled.index));
        if let Some(join) = &mut self.join {
            join.note(came, &request.origin, body, index, mine);
        }
        if let Some(ruled) = ruled {
            self.lose_notes(DROPPED, ruled.dropped);
            self.lose_notes(SAMPLED_OUT, ruled.sampled_out);
        }
        self.saw_all(request.offered);
        self.score_strays();
    }

    /// When what is in a request came, to the join. It has been seen once it has been taken, all of it.
    fn came(&self, request: &Admitted) -> Time {
        self.seen.max(request.offered)
    }

    /// What was offered before this time has all been taken. Threads that offer may overtake each other, so an
    /// earlier time changes nothing.
    pub fn saw_all(&mut self, before: Time) {
        self.seen = self.seen.max(before);
    }

    /// Lets everything go that is due, and hands over what batches are closed: those that are due before `next`, when
    /// somebody will look again.
    pub fn advance(&mut self, now: Time, next: Time) {
        self.let_leave(now);
        self.settle_copies();
        self.settle_unplaced();
        self.score_strays();
        self.batcher.close_due(next, false);
        self.hand_over();
        self.relieve(now);
    }

    /// Lets go what is due as far as has been seen, into batches.
    fn let_leave(&mut self, now: Time) {
        while let Some(trace) = self.join.as_mut().and_then(|join| join.leave(self.seen)) {
            self.emit(now, trace);
        }
    }

    /// Lets everything go, for the last time.
    pub fn drain(&mut self, now: Time) {
        self.join.iter_mut().for_each(Join::end_notes);
        self.flush(now);
    }

    /// Lets everything go that is here now, whole or not.
    pub fn flush(&mut self, now: Time) {
        while let Some(trace) = self.join.as_mut().and_then(|join| join.push_out(self.seen, Reason::Drain)) {
            self.emit(now, trace);
        }
        self.settle_copies();
        self.settle_unplaced();
        self.score_strays();
        self.batcher.close_due(now, true);
        self.hand_over();
    }

    /// When `advance` has something to do, if no request comes before.
    pub fn next_due(&self) -> Option<Time> {
        let join = self.join.as_ref().and_then(Join::next_due);
        [join, self.batcher.next_due()].into_iter().flatten().min()
    }

    /// What the join holds, for `/tracez`.
    pub fn show(&self, now: Time, limit: usize) -> Vec<HeldTrace> {
        self.join.as_ref().map(|join| join.held(now, limit)).unwrap_or_default()
    }

    /// Gives spans to the join. A request of very many is taken in parts, each trace in one of them, and
    /// what has to leave leaves in between: a million traces of one span take far more than their bytes.
    fn hold(&mut self, now: Time, request: &Admitted, mine: impl Fn(TraceId) -> bool) {
        let runs = request.index.runs(&mine).map(|(_, run)| request.index.of_run(run).len() as u64);
        let coming: u64 = runs.sum();
        // In hand before anything is done with them, so that a panic while they are taken loses none uncounted.
        self.in_hand[Signal::Traces as usize] += coming;
        let parts = request.index.spans.len().div_ceil(PART_SPANS).clamp(1, PARTS_MAX) as u64;
        // Seeded anew: ids may have been chosen to fall into one part.
        let hasher = (parts > 1).then(RandomState::new);
        let part_of = |trace: TraceId| hasher.as_ref().map_or(0, |hasher| hasher.hash_one(trace) % parts);
        let (mut taken, came) = (0, self.came(request));
        for part in 0..parts {
            if part > 0 {
                self.advance(now, now);
            }
            let Some(join) = &mut self.join else { return };
            taken += join.take(came, &request.origin, &request.body, &request.index, |trace| {
                part_of(trace) == part && mine(trace)
            });
        }
        debug_assert_eq!(taken, coming, "what was in hand is what the join took");
    }

    /// Metrics, logs, and traces when nothing is joined: each resource block with its labels.
    fn pass_blocks(&mut self, now: Time, request: &Admitted) {
        self.in_hand[request.signal as usize] += request.index.items;
        for entry in &request.index.resources {
            let resource = block::first_body(&request.body, &request.index, &entry.head);
            let caller = request.origin.caller.as_deref();
            let known = Known { header: self.labels.asked_of(caller), ..Known::default() };
            let labelled = self.labels.label(&resource, known);
            let labelled = self.rules.resource(request.signal, labelled, caller);
            if labelled.dropped || self.rules.concerns(request.signal) {
                self.pass_ruled(now, request, entry, &labelled);
            } else {
                let routed = self.placed(labelled.to);
                self.pass_block(now, request, &Passed::of(request, entry), &labelled, routed);
            }
        }
    }

    pub(super) fn pass_block(
        &mut self,
        now: Time,
        request: &Admitted,
        passed: &Passed<'_>,
        labelled: &Labelled,
        routed: Option<Destination>,
    ) {
        let way = Way { origin: &request.origin, to: self.shelf.way(request.signal, routed) };
        let len = passed.at.len as usize + labelled.body.len();
        if len > self.batcher.batch_bytes() {
            return self.pass_parts(now, request, passed, labelled, way);
        }
        self.batcher.add_blocks(now, request.signal, way, (len, passed.items), |rope| {
            block::put_block_with(passed.body, passed.at, &labelled.body, rope);
        });
    }

    /// A block larger than a batch goes in several: an upstream need not take it whole.
    fn pass_parts(
        &mut self,
        now: Time,
        request: &Admitted,
        passed: &Passed<'_>,
        labelled: &Labelled,
        way: Way<'_>,
    ) {
        let Admitted { signal, body, index, .. } = request;
        let head = BlockHead::of(body, index, passed.head).with_first(&labelled.body);
        let head_len = head.first.len() + head.rest.len() + batcher::BLOCK_OVERHEAD;
        let batcher = &mut self.batcher;
        let room = batcher.batch_bytes().saturating_sub(head_len);
        split::parts(*signal, passed.body, passed.at, room, |part| {
            batcher.add_blocks(now, *signal, way, (part.len + head_len, part.items), |rope| {
                block::write_resource_block(&head, part.scopes, rope);
            });
        });
    }

    /// Profiles share one dictionary a request, so requests can not be concatenated (conformance P15).
    fn pass_whole(&mut self, now: Time, request: &Admitted) {
        self.in_hand[request.signal as usize] += request.index.items;
        let mut body = Rope::default();
        body.put_bytes(request.body.clone());
        let way = Way { origin: &request.origin, to: self.shelf.way(request.signal, None) };
        self.batcher.add_whole(now, request.signal, way, body, request.index.items);
    }

    /// A trace that leaves the join: labelled, shown to whoever looks, put into a batch.
    fn emit(&mut self, now: Time, mut trace: Leaving) {
        let labelled = self.label(&mut trace);
        self.meters.left(&trace, now);
        let said = trace.context.said.clone();
        let particulars = particulars_of(&trace, &self.particulars);
        let mut stamp = stamp_of(self.stamps, &trace, said.as_deref()).with(particulars);
        let (ruled, routed) = self.rule(&trace, &labelled, &mut stamp);
        if let Some(scoring) =
            self.scoring.as_ref().filter(|_| !ruled.as_ref().is_some_and(RuledTrace::is_gone))
        {
            scoring.score(&trace);
        }
        if let Some(ruled) = ruled {
            self.emit_ruled(now, &trace, ruled, routed);
        } else {
            if self.watchers.wanted() {
                let body = request_of(&trace, &labelled, &mut stamp).into_bytes();
                let (spans, given) = (trace.span_count(), given(&trace, &mut stamp));
                self.watchers.offer(self.shown(now, &trace, spans, given, body));
            }
            self.batch(now, &trace, &labelled, &mut stamp, routed);
        }
        if let Some(join) = &mut self.join {
            join.recycle(trace);
        }
    }

    /// The labelled resource of each block, in the order of the blocks.
    fn label(&mut self, trace: &mut Leaving) -> SmallVec<[Rc<Labelled>; 4]> {
        let known = Known {
            environment: trace.context.environment.as_deref(),
            release: trace.context.release.as_deref(),
            header: None,
        };
        let (labels, rules) = (&mut self.labels, &mut self.rules);
        let labelled: SmallVec<[_; 4]> = trace
            .blocks
            .iter()
            .map(|block| {
                let caller = block.resource.caller();
                let known = Known { header: labels.asked_of(caller), ..known };
                let resource = &block.resource;
                let labelled = labels.label_named(resource.bytes_id, resource.body(), known);
                rules.resource(Signal::Traces, labelled, caller)
            })
            .collect();
        trace.repairs.labelled =
            u32::try_from(labelled.iter().filter(|l| l.changed).count()).unwrap_or(u32::MAX);
        labelled
    }

    /// One request upstream holds the whole trace, unless the trace is larger than a batch.
    fn batch(
        &mut self,
        now: Time,
        trace: &Leaving,
        labelled: &[Rc<Labelled>],
        stamp: &mut Stamp<'_>,
        routed: Option<Destination>,
    ) {
        let way = Way { origin: &trace.origin, to: self.shelf.way(Signal::Traces, routed) };
        let len = trace_len(trace, labelled, stamp);
        let whole = self.batcher.make_room(Signal::Traces, way, len);
        if !whole {
            self.meters.split.inc();
        }
        let key_of = |block: &LeavingBlock, labelled: &Labelled| BlockKey {
            resource: (labelled.id, block.resource.bytes_id),
            scope: block.scope.id,
        };
        let mut copies = copies_of(trace);
        if whole && trace.mended() == 0 && trace.event_count() == 0 && stamp.changes_nothing() {
            let open = self.batcher.traces(now, way);
            open.settle_too(copies.0, copies.1);
            for (block, labelled) in trace.blocks.iter().zip(labelled) {
                open.block(key_of(block, labelled), || heads(block, labelled))
                    .put_all(trace.stretches(block));
            }
            self.batcher.close_if_full(Signal::Traces, way);
            return;
        }
        for (block, labelled) in trace.blocks.iter().zip(labelled) {
            let part = Part { key: key_of(block, labelled), len: heads_len(block, labelled), whole };
            let mut pen = Writer::of(block, stamp);
            let heads = || heads(block, labelled);
            self.fill(now, way, part, heads, trace.spans(block), (&mut pen, &mut copies));
        }
    }

    /// Puts the spans of one block into the open batch, and into further ones as each is full. The first takes
    /// the trace's copies along.
    pub(super) fn fill<'s>(
        &mut self,
        now: Time,
        way: Way<'_>,
        part: Part,
        heads: impl Fn() -> (BlockHead, BlockHead),
        spans: impl Iterator<Item = LeavingSpan<'s>>,
        (pen, copies): (&mut impl Pen, &mut (u64, u64)),
    ) {
        let mut spans = spans.peekable();
        while let Some(next) = spans.peek() {
            if !part.whole {
                // A span too large for the rest of a batch must not take what is in it along.
                let grown = next.len() + pen.growth(next) + batcher::ITEM_OVERHEAD;
                self.batcher.make_room(Signal::Traces, way, part.len + grown);
            }
            let open = self.batcher.traces(now, way);
            let (spans_too, notes_too) = std::mem::take(copies);
            open.settle_too(spans_too, notes_too);
            open.block(part.key, &heads).fill(&mut spans, pen);
            self.batcher.close_if_full(Signal::Traces, way);
        }
    }

    /// Copies of spans that have gone to every upstream already: nothing is sent, so nothing is waited for.
    fn settle_copies(&mut self) {
        let copies = self.join.as_mut().map_or(0, Join::take_owed);
        if copies > 0 {
            let in_hand = &mut self.in_hand[Signal::Traces as usize];
            *in_hand = in_hand.saturating_sub(copies);
            self.meters.copies(copies);
            self.shelf.settle_copies(copies);
        }
    }

    /// Log records whose spans did not come: they went on as logs, or are lost where nobody takes those.
    fn settle_unplaced(&mut self) {
        let unplaced = self.join.as_mut().map(Join::take_unplaced).unwrap_or_default();
        if unplaced.count() == 0 {
            return;
        }
        self.meters.unplaced(unplaced);
        if !self.shelf.takes(Signal::Logs) {
            let in_hand = &mut self.in_hand[Signal::Logs as usize];
            *in_hand = in_hand.saturating_sub(unplaced.count());
            self.shelf.lose_notes("no_span", unplaced.late + unplaced.no_span);
            self.shelf.lose_notes("no_room", unplaced.no_room);
        }
    }

    /// Evaluations that go with no span.
    fn score_strays(&mut self) {
        if let (Some(scoring), Some(join)) = (&self.scoring, &mut self.join) {
            join.take_strays(self.seen).iter().for_each(|stray| scoring.score_stray(stray));
        }
    }

    /// The trace as a request of its own, for those who look.
    pub(super) fn shown(
        &self,
        now: Time,
        trace: &Leaving,
        spans: usize,
        given: Box<[Has]>,
        body: Bytes,
    ) -> JoinedTrace {
        JoinedTrace {
            trace: trace.trace,
            reason: trace.reason,
            held: now.since(trace.first_arrival),
            quiet: now.since(trace.last_arrival),
            left_unix_nano: self.clock.unix_nanos(),
            spans: u32::try_from(spans).unwrap_or(u32::MAX),
            requests: trace.requests,
            repairs: trace.repairs,
            said: trace.context.said.clone(),
            given,
            mended: u32::try_from(trace.mended()).unwrap_or(u32::MAX),
            body,
        }
    }

    /// Closed batches go to every outbox; what has no room waits on the shelf.
    fn hand_over(&mut self) {
        let settles_notes = !self.shelf.takes(Signal::Logs);
        while let Some((mut batch, why)) = self.batcher.take() {
            let in_hand = &mut self.in_hand[batch.signal as usize];
            *in_hand = in_hand.saturating_sub(batch.items);
            if !settles_notes {
                // They went on as logs, and settle as such.
                batch.notes = 0;
            }
            let notes = &mut self.in_hand[Signal::Logs as usize];
            *notes = notes.saturating_sub(batch.notes);
            self.meters.closed(batch.signal, why);
            self.shelf.put(batch);
        }
        self.shelf.retry();
        let join = self.join.as_ref().map_or(0, Join::held_bytes);
        let remembered = self.join.as_ref().map_or(0, Join::remembered_bytes);
        self.held
            .resize(join + remembered + self.batcher.open_bytes() + self.labels.bytes() + self.rules.bytes());
        self.meters.holding(join, self.join.as_ref().map_or(0, Join::held_traces));
    }

    /// The budget is nearly spent and somebody could send: the oldest traces make room.
    fn relieve(&mut self, now: Time) {
        while self.is_pressed() {
            let Some(trace) = self.join.as_mut().and_then(|join| join.push_out(self.seen, Reason::Pressure))
            else {
                return;
            };
            self.emit(now, trace);
            self.hand_over();
        }
    }

    fn is_pressed(&self) -> bool {
        let budget = self.held.budget();
        let held = self.join.as_ref().map_or(0, Join::held_bytes);
        budget.used() / 7 > budget.limit() / 8 && held > budget.limit() / 4 && self.shelf.flows()
    }
}

/// Where spans of one block go.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub key: BlockKey,
    /// What its heads take, at most.
    pub len: usize,
    /// Its trace fits a batch, which has been made room in.
    pub whole: bool,
}

/// What settles with the spans of a trace: collapsed duplicates, and copies of log records.
pub(super) fn copies_of(trace: &Leaving) -> (u64, u64) {
    (trace.repairs.duplicates.into(), trace.note_copies.into())
}

/// What a whole trace takes in a batch, at most.
fn trace_len(trace: &Leaving, labelled: &[Rc<Labelled>], stamp: &mut Stamp<'_>) -> usize {
    let heads: usize =
        trace.blocks.iter().zip(labelled).map(|(block, labelled)| heads_len(block, labelled)).sum();
    let grown = if stamp.is_nothing() && trace.mended() == 0 {
        0
    } else {
        let spans = trace.blocks.iter().flat_map(|block| trace.spans(block));
        spans.map(|span| stamp.growth(span.has, span.mend)).sum::<usize>()
    };
    let items = trace.span_count() * batcher::ITEM_OVERHEAD;
    heads + trace.span_bytes() + trace.event_bytes() + grown + stamp.particulars_len() + items
}

/// What the heads of a block take, at most.
pub(super) fn heads_len(block: &LeavingBlock, labelled: &Labelled) -> usize {
    let scope = &block.scope.bytes;
    let rest = block.resource.bytes.rest.len() + scope.first.len() + scope.rest.len();
    batcher::BLOCK_OVERHEAD * 2 + labelled.body.len() + rest
}

/// The heads a block is written with: the labelled resource, the scope as it came.
fn heads(block: &LeavingBlock, labelled: &Labelled) -> (BlockHead, BlockHead) {
    (block.resource.bytes.with_first(&labelled.body), block.scope.bytes.clone())
}

/// An export request of this trace alone; neighbouring blocks of one resource share it.
fn request_of(trace: &Leaving, labelled: &[Rc<Labelled>], stamp: &mut Stamp<'_>) -> Rope {
    let mut body = Rope::default();
    let blocks: Vec<_> = trace.blocks.iter().zip(labelled).collect();
    for same in blocks.chunk_by(|a, b| (a.1.id, a.0.resource.bytes_id) == (b.1.id, b.0.resource.bytes_id)) {
        let scopes = same.iter().map(|(block, _)| scope_block(trace, block, stamp)).collect();
        let (first, labelled) = same[0];
        block::write_resource_block(&heads(first, labelled).0, scopes, &mut body);
    }
    body
}

fn scope_block(trace: &Leaving, block: &LeavingBlock, stamp: &mut Stamp<'_>) -> ScopeBlock {
    let mut items = Rope::default();
    let mut pen = Writer::of(block, stamp);
    trace.spans(block).for_each(|span| pen.put(span, &mut items));
    ScopeBlock { head: block.scope.bytes.clone(), items }
}
