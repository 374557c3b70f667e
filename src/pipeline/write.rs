//! How the spans of a trace that leaves are laid down: mostly as they came, with what their trace says of
//! itself behind them, with events that came as log records, or with another parent.

use bytes::Bytes;

use crate::join::{Leaving, LeavingBlock, LeavingSpan, SpanBytes};
use crate::model::{Origin, Reason};
use crate::queue::batcher::{self, Pen};
use crate::rules::stamp::{Settings, Stamp};
use crate::rules::sums;
use crate::semantics::around::Around;
use crate::semantics::claims::Has;
use crate::semantics::context::{self, Said};
use crate::semantics::observation::Observation;
use crate::semantics::rollup::Trace;
use crate::semantics::{RESOURCE_ATTRIBUTES, release};
use crate::wire::cuts::{self, Item};
use crate::wire::{Rope, SpanId, attr};

/// What the spans of a trace are given.
pub fn stamp_of<'a>(settings: Settings, trace: &Leaving, said: Option<&'a Said>) -> Stamp<'a> {
    Stamp::new(settings, said, trace.reason == Reason::Late, takes_json(&trace.origin))
}

/// Whether the server reads this origin's metadata as JSON: that of Langfuse's SDKs from version 5 on.
fn takes_json(origin: &Origin) -> bool {
    let version = origin.headers.iter().find(|(name, _)| &**name == "x-langfuse-sdk-version");
    version.is_some_and(|(_, version)| context::is_five_or_later(version))
}

/// What each span of a trace is given, in the order they are written; empty when none is given anything.
pub fn given(trace: &Leaving, stamp: &mut Stamp<'_>) -> Box<[Has]> {
    if stamp.is_nothing() {
        return Box::default();
    }
    let mut all = Vec::with_capacity(trace.span_count());
    for block in &trace.blocks {
        let resource = Writer::of(block, stamp).has;
        all.extend(trace.spans(block).map(|span| stamp.gives(&span, span.has.with(resource))));
    }
    if all.iter().all(|given: &Has| given.is_none()) { Box::default() } else { all.into() }
}

/// What a trace adds up to, for its root. Nothing of spans that came late: it was told before.
pub fn sums_of(trace: &Leaving) -> Option<(SpanId, Vec<u8>)> {
    if trace.reason == Reason::Late {
        return None;
    }
    let mut spans = Vec::with_capacity(trace.span_count().min(Trace::OBSERVATIONS_MAX));
    for block in &trace.blocks {
        let around = Around::of([block.resource.body()].into_iter(), [block.scope.body()].into_iter());
        let room = Trace::OBSERVATIONS_MAX - spans.len();
        spans.extend(trace.spans(block).take(room).map(|span| (span, around)));
    }
    let left_out = trace.span_count() - spans.len();
    let read = spans.iter().map(|(span, around)| Observation::of(span, *around)).collect();
    let sums = Trace::of(trace.trace, read, left_out as u64, None);
    let root = sums.observations.get(sums.root?)?;
    Some((root.observation.id, sums::of(&sums)))
}

/// Writes the spans of one block.
#[derive(Debug)]
pub struct Writer<'s, 'a> {
    stamp: &'s mut Stamp<'a>,
    /// What the resource says for all of them.
    has: Has,
    /// Their SDK writes metadata as JSON.
    encoded: bool,
}

impl<'s, 'a> Writer<'s, 'a> {
    pub fn of(block: &LeavingBlock, stamp: &'s mut Stamp<'a>) -> Self {
        if stamp.is_nothing() {
            return Self { stamp, has: Has::NONE, encoded: false };
        }
        let key = release::SERVICE_VERSION.as_bytes();
        let versioned = || attr::find(block.resource.body(), RESOURCE_ATTRIBUTES, key).is_some();
        let has = if stamp.has_version() && versioned() { Has::VERSION } else { Has::NONE };
        Self { stamp, has, encoded: context::encodes_metadata(block.scope.body()) }
    }
}

impl Pen for Writer<'_, '_> {
    fn growth(&mut self, span: &LeavingSpan<'_>) -> usize {
        let events: usize = span.events.iter().map(Bytes::len).sum();
        let sums = if self.stamp.is_summed(span) { self.stamp.sums_len() } else { 0 };
        self.stamp.growth(span.has.with(self.has), span.mend) + events + sums
    }

    fn put(&mut self, span: LeavingSpan<'_>, items: &mut Rope) {
        let has = span.has.with(self.has);
        let item = match &span.bytes {
            SpanBytes::Copied(bytes) => Item::Plain(bytes),
            SpanBytes::Shared(bytes) => Item::Shared(bytes),
        };
        if self.stamp.rewrites(has, span.mend) || self.stamp.is_summed(&span) {
            let (cuts, tail) = self.stamp.rewrite(&span, has, span.mend, self.encoded);
            cuts::put_item(item, &cuts, &tail, span.events, items);
        } else if self.stamp.is_nothing() && span.events.is_empty() {
            batcher::put_span(span.bytes, items);
        } else {
            let tail = if self.stamp.is_nothing() { &[] } else { self.stamp.tail(has) };
            cuts::put_item(item, &[], tail, span.events, items);
        }
    }
}
