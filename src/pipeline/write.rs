//! How the spans of a trace that leaves are laid down: mostly as they came, with what their trace says of
//! itself behind them, with events that came as log records, or with another parent.

use std::collections::HashMap;

use bytes::Bytes;

use crate::join::{Leaving, LeavingBlock, LeavingSpan, SpanBytes};
use crate::model::{Origin, Reason};
use crate::queue::batcher::{self, Pen};
use crate::rules::particulars::{self, Particulars};
use crate::rules::stamp::{Settings, Stamp};
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

/// What single spans of a trace are given; nothing where nobody asked. A part that comes late is told no sums:
/// the root was told before.
pub fn particulars_of(trace: &Leaving, settings: &particulars::Settings) -> Particulars {
    let sums = settings.sums && trace.reason != Reason::Late;
    let all = || trace.blocks.iter().flat_map(|block| trace.spans(block));
    let usage = settings.of_usage() && all().any(|span| span.has.has(Has::USAGE));
    if !sums && !usage {
        return Particulars::default();
    }
    let mut spans = Vec::with_capacity(trace.span_count().min(Trace::OBSERVATIONS_MAX));
    for block in &trace.blocks {
        let around = Around::of([block.resource.body()].into_iter(), [block.scope.body()].into_iter());
        let room = Trace::OBSERVATIONS_MAX - spans.len();
        spans.extend(trace.spans(block).take(room).map(|span| (span, around)));
    }
    let left_out = trace.span_count() - spans.len();
    let read: Vec<_> = spans.iter().map(|(span, around)| Observation::of(span, *around)).collect();
    let at: HashMap<SpanId, usize> = read.iter().enumerate().map(|(at, span)| (span.id, at)).collect();
    let body = |id: SpanId| at.get(&id).and_then(|at| spans.get(*at)).map(|(span, _)| &**span);
    let whole = Trace::of(trace.trace, read, left_out as u64, settings.prices.as_deref());
    particulars::of(&whole, body, settings, sums)
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

impl Writer<'_, '_> {
    /// Whether the span is laid down as it came.
    pub fn leaves_alone(&mut self, span: &LeavingSpan<'_>) -> bool {
        self.growth(span) == 0 && self.stamp.particular(span).is_none()
    }
}

impl Pen for Writer<'_, '_> {
    fn growth(&mut self, span: &LeavingSpan<'_>) -> usize {
        let events: usize = span.events.iter().map(Bytes::len).sum();
        let own = self.stamp.particular(span).map_or(0, |particular| particular.tail.len());
        self.stamp.growth(span.has.with(self.has), span.mend) + events + own
    }

    fn put(&mut self, span: LeavingSpan<'_>, items: &mut Rope) {
        let has = span.has.with(self.has);
        let item = match &span.bytes {
            SpanBytes::Copied(bytes) => Item::Plain(bytes),
            SpanBytes::Lying(request, bytes) => Item::Shared(request, bytes),
            SpanBytes::Own(bytes) => Item::Shared(bytes, bytes),
        };
        if self.stamp.rewrites(has, span.mend) || self.stamp.particular(&span).is_some() {
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
