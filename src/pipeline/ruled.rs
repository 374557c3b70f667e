//! The way through the rules: traces that leave the join, and blocks that pass.
//!
//! Only what a rule changes comes this way; what none changes goes the usual one, and nothing of it is copied.
//! What is dropped, or not drawn, is lost by the user's wish and counted as such, for every upstream that would
//! have been given it.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;

use super::journey::{Journey, Part, Passed, copies_of, heads_len};
use super::write::{Writer, given};
use crate::join::{Leaving, LeavingSpan, SpanBytes};
use crate::model::{Destination, Time};
use crate::queue::Admitted;
use crate::queue::batcher::{self, BlockKey, Pen, Way};
use crate::rules::TraceFacts;
use crate::rules::memo::Labelled;
use crate::rules::passing::Passing;
use crate::rules::stamp::Stamp;
use crate::rules::whole::{self, Member};
use crate::rules::{Outcome, Request};
use crate::semantics::claims::{Has, Text};
use crate::wire::block::{self, BlockHead, ScopeBlock};
use crate::wire::index::{self, ResourceEntry};
use crate::wire::{Rope, Signal, attr};

/// Why what the rules take away is lost.
pub(super) const DROPPED: &str = "dropped_by_rule";
pub(super) const SAMPLED_OUT: &str = "sampled_out";
/// The field of a block that its items are.
const ITEMS: u32 = 2;

/// A trace as the rules leave it.
pub struct RuledTrace<'t> {
    blocks: Vec<RuledBlock>,
    /// Those that are kept, whole as they go out.
    spans: Vec<LeavingSpan<'t>>,
    /// What each was given before rules looked at it; empty when none was given anything.
    given: Box<[Has]>,
    sampled_out: bool,
}

struct RuledBlock {
    key: BlockKey,
    heads: (BlockHead, BlockHead),
    len: usize,
    spans: Range<usize>,
}

/// Lays down what is whole already.
struct AsRuled;

impl Pen for AsRuled {
    fn growth(&mut self, _: &LeavingSpan<'_>) -> usize {
        0
    }

    fn put(&mut self, span: LeavingSpan<'_>, items: &mut Rope) {
        batcher::put_span(span.bytes, items);
    }
}

impl Journey {
    /// What the rules make of a labelled trace (`None`: nothing), and where they send it. What comes late goes
    /// where its trace went.
    pub(super) fn rule<'t>(
        &mut self,
        trace: &'t Leaving,
        labelled: &[Rc<Labelled>],
        stamp: &mut Stamp<'_>,
    ) -> (Option<RuledTrace<'t>>, Option<Destination>) {
        let (ruled, routed) =
            if self.rules.concerns(Signal::Traces) || labelled.iter().any(|labelled| labelled.dropped) {
                self.rule_spans(trace, labelled, stamp)
            } else {
                (None, labelled.iter().fold(None, |to, labelled| Destination::both(to, labelled.to)))
            };
        if self.rules.rules.routes().is_nowhere() {
            return (ruled, None);
        }
        let routed = trace.routed.unwrap_or_else(|| self.placed(routed));
        self.join.iter_mut().for_each(|join| join.routed(trace, routed));
        (ruled, routed)
    }

    fn rule_spans<'t>(
        &mut self,
        trace: &'t Leaving,
        labelled: &[Rc<Labelled>],
        stamp: &mut Stamp<'_>,
    ) -> (Option<RuledTrace<'t>>, Option<Destination>) {
        let (mut spans, mut block_of, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
        for (nth, (block, labelled)) in trace.blocks.iter().zip(labelled).enumerate() {
            scopes.push(self.rules.scope(labelled, &block.scope, block.resource.caller()));
            let mut pen = Writer::of(block, stamp);
            spans.extend(trace.spans(block).map(|span| finished(span, &mut pen)));
            block_of.resize(spans.len(), nth);
        }
        let members: Vec<Member<'_>> = spans
            .iter()
            .zip(&block_of)
            .map(|(span, &nth)| Member {
                span,
                resource: &labelled[nth].body,
                scope: scopes[nth].head.first_body(),
                request: trace.blocks[nth].resource.caller().map(|caller| caller as &dyn Request),
                dropped: labelled[nth].dropped || scopes[nth].dropped,
                to: Destination::both(labelled[nth].to, scopes[nth].to),
            })
            .collect();
        let facts = if self.rules.rules.reads().trace {
            facts(trace, &members)
        } else {
            TraceFacts { id: Some(trace.trace), ..TraceFacts::default() }
        };
        let facts = TraceFacts { drawn: trace.drawn, ..facts };
        let ruled = whole::apply(&self.rules.rules, &members, &facts, self.rules.now(), rand::random);
        self.rules.count(&ruled.troubles);
        if let (Some(join), Some(draw)) = (&mut self.join, ruled.drawn) {
            join.drew(trace, draw);
        }
        if ruled.is_nothing() && !scopes.iter().any(|scope| scope.changed) {
            return (None, ruled.to);
        }
        let mut out = RuledTrace {
            blocks: Vec::new(),
            spans: Vec::new(),
            given: Box::default(),
            sampled_out: ruled.sampled_out,
        };
        let to = ruled.to;
        if ruled.sampled_out {
            return (Some(out), to);
        }
        if self.watchers.wanted() {
            let kept = given(trace, stamp).into_iter().zip(&ruled.spans).filter(|(_, fated)| !fated.dropped);
            out.given = kept.map(|(given, _)| given).collect();
        }
        let mut all = spans.into_iter().zip(ruled.spans);
        for ((block, labelled), scope) in trace.blocks.iter().zip(labelled).zip(scopes) {
            let from = out.spans.len();
            for (span, fated) in all.by_ref().take(block.len()).filter(|(_, fated)| !fated.dropped) {
                let written = fated.written.map(|bytes| SpanBytes::Own(bytes.into()));
                out.spans.push(LeavingSpan { bytes: written.unwrap_or(span.bytes), ..span });
            }
            if out.spans.len() > from {
                out.blocks.push(RuledBlock {
                    key: BlockKey { resource: (labelled.id, block.resource.bytes_id), scope: scope.id },
                    len: heads_len(block, labelled) + scope.head.first.len(),
                    heads: (block.resource.bytes.with_first(&labelled.body), scope.head),
                    spans: from..out.spans.len(),
                });
            }
        }
        (Some(out), to)
    }

    /// What is left of a trace goes where it would have gone; what is not is lost.
    pub(super) fn emit_ruled(
        &mut self,
        now: Time,
        trace: &Leaving,
        mut ruled: RuledTrace<'_>,
        routed: Option<Destination>,
    ) {
        let reason = if ruled.sampled_out { SAMPLED_OUT } else { DROPPED };
        let mut lost = (trace.span_count() - ruled.spans.len()) as u64;
        let kept_notes: usize = ruled.spans.iter().map(|span| span.events.len()).sum();
        let mut notes = (trace.event_count() - kept_notes) as u64;
        if ruled.is_gone() {
            // What would have settled with its spans.
            let copies = copies_of(trace);
            (lost, notes) = (lost + copies.0, notes + copies.1);
        }
        self.lose(Signal::Traces, reason, lost);
        self.lose_notes(reason, notes);
        if ruled.is_gone() {
            return;
        }
        if self.watchers.wanted() {
            let (given, body) = (std::mem::take(&mut ruled.given), ruled.request().into_bytes());
            self.watchers.offer(self.shown(now, trace, ruled.spans.len(), given, body));
        }
        self.batch_ruled(now, trace, &ruled, routed);
    }

    /// As `batch`, of spans that are whole.
    fn batch_ruled(
        &mut self,
        now: Time,
        trace: &Leaving,
        ruled: &RuledTrace<'_>,
        routed: Option<Destination>,
    ) {
        let way = Way { origin: &trace.origin, to: self.shelf.way(Signal::Traces, routed) };
        let whole = self.batcher.make_room(Signal::Traces, way, ruled.len());
        if !whole {
            self.meters.split.inc();
        }
        let mut copies = copies_of(trace);
        for block in &ruled.blocks {
            let part = Part { key: block.key, len: block.len, whole };
            let spans = ruled.of(block).iter().cloned();
            let heads = || block.heads.clone();
            self.fill(now, way, part, heads, spans, (&mut AsRuled, &mut copies));
        }
    }

    /// A block that passes and that rules look into.
    pub(super) fn pass_ruled(
        &mut self,
        now: Time,
        request: &Admitted,
        entry: &ResourceEntry,
        labelled: &Labelled,
    ) {
        let signal = request.signal;
        let items = u64::from(entry.items);
        if labelled.dropped {
            return self.lose(signal, DROPPED, items);
        }
        let block = entry.block.of(&request.body);
        let passing = Passing {
            rules: &self.rules.rules,
            signal,
            resource: &labelled.body,
            request: request.origin.caller.as_deref().map(|caller| caller as &dyn Request),
            now: self.rules.now(),
            random: rand::random,
            see: |_: &[u8], _: &Outcome| {},
        };
        let ruled = passing.apply(block);
        self.rules.count(&ruled.troubles);
        self.lose(signal, DROPPED, ruled.dropped);
        self.lose(signal, SAMPLED_OUT, ruled.sampled_out);
        let left = items.saturating_sub(ruled.dropped + ruled.sampled_out);
        if left == 0 {
            return;
        }
        let alone = ruled.parts.iter().len() == 1;
        for part in ruled.parts.iter() {
            let routed = self.placed(Destination::both(labelled.to, part.to));
            let items = if alone { left } else { part.items };
            if part.edits.is_empty() {
                self.pass_block(now, request, &Passed::of(request, entry), labelled, routed);
                continue;
            }
            let body = Bytes::from(part.edits.apply(block));
            let at = index::Range { at: 0, len: u32::try_from(body.len()).unwrap_or(u32::MAX) };
            let passed = Passed { body: &body, at, items, head: &entry.head };
            self.pass_block(now, request, &passed, labelled, routed);
        }
    }

    /// Where rules send something, by our places of the upstreams they name.
    pub(super) fn placed(&self, routed: Option<Destination>) -> Option<Destination> {
        routed.map(|to| self.shelf.named(self.rules.rules.names(to)))
    }

    /// Log records that go with no span, by the user's wish; where they go on as logs nothing is lost.
    pub(super) fn lose_notes(&mut self, reason: &str, notes: u64) {
        if !self.shelf.takes(Signal::Logs) {
            let in_hand = &mut self.in_hand[Signal::Logs as usize];
            *in_hand = in_hand.saturating_sub(notes);
            self.shelf.lose_notes(reason, notes);
        }
    }

    /// Items that go no further, by the user's wish.
    fn lose(&mut self, signal: Signal, reason: &str, items: u64) {
        let in_hand = &mut self.in_hand[signal as usize];
        *in_hand = in_hand.saturating_sub(items);
        self.shelf.lose(signal, reason, items);
    }
}

impl<'t> RuledTrace<'t> {
    /// Nothing of it is left.
    pub fn is_gone(&self) -> bool {
        self.spans.is_empty()
    }

    fn of(&self, block: &RuledBlock) -> &[LeavingSpan<'t>] {
        self.spans.get(block.spans.clone()).unwrap_or_default()
    }

    /// What it takes in a batch, at most.
    fn len(&self) -> usize {
        let spans = self.spans.iter().map(|span| span.len() + batcher::ITEM_OVERHEAD);
        self.blocks.iter().map(|block| block.len).sum::<usize>() + spans.sum::<usize>()
    }

    /// An export request of this trace alone.
    fn request(&self) -> Rope {
        let mut body = Rope::default();
        for same in self.blocks.chunk_by(|a, b| a.key.resource == b.key.resource) {
            let scopes = same.iter().map(|block| {
                let mut items = Rope::default();
                self.of(block).iter().for_each(|span| AsRuled.put(span.clone(), &mut items));
                ScopeBlock { head: block.heads.1.clone(), items }
            });
            block::write_resource_block(&same[0].heads.0, scopes.collect(), &mut body);
        }
        body
    }
}

/// A span as it would go out: what rules are to see.
fn finished<'t>(span: LeavingSpan<'t>, pen: &mut Writer<'_, '_>) -> LeavingSpan<'t> {
    if pen.leaves_alone(&span) {
        return span;
    }
    let events = span.events;
    let mut items = Rope::default();
    pen.put(span, &mut items);
    let item = items.into_bytes();
    let body = attr::messages(&item, ITEMS).next().map(|body| item.slice_ref(body)).unwrap_or_default();
    LeavingSpan { bytes: SpanBytes::Own(body), has: Has::NONE, mend: None, events }
}

/// What is known of a trace.
fn facts<'t>(trace: &'t Leaving, members: &[Member<'_>]) -> TraceFacts<'t> {
    let said = trace.context.said.as_deref();
    let text = |which| said.and_then(|said| said.text(which)).map(|fact| &*fact.value);
    let mut services: Vec<&str> = Vec::new();
    for service in trace.blocks.iter().map(|block| block.resource.name()).filter(|name| !name.is_empty()) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    TraceFacts {
        id: Some(trace.trace),
        name: text(Text::Name),
        user: text(Text::User),
        session: text(Text::Session),
        tags: said.map(|said| said.tags.iter().map(|tag| &*tag.value).collect()).unwrap_or_default(),
        environment: trace.context.environment.as_deref(),
        release: trace.context.release.as_deref(),
        services,
        ..whole::facts(members)
    }
}
