//! A trace on its way out: its spans as ranges of its own chunks, in blocks, with what it says of itself.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::attached::Attached;
use super::farewell::Words;
use super::heads::Head;
use super::order::{Gathered, Order};
use super::origins::{Origins, Shared};
use super::root::Roots;
use super::trace::{Marks, Place, Record, Trace};
use super::{Scope, Settings};
use crate::model::{Destination, Draw, Origin, Reason, Repairs, TenantKey, Time};
use crate::semantics::claims::{Claims, Has};
use crate::semantics::context::{Builder, Said, encodes_metadata};
use crate::semantics::roots::Mend;
use crate::semantics::{SPAN_ATTRIBUTES, display_name, facts};
use crate::wire::index::Range;
use crate::wire::{TraceId, noted, rope};

/// Facts about a trace, as its own spans state them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    pub environment: Option<Rc<str>>,
    pub release: Option<Rc<str>>,
    /// Name, user, session, tags, metadata; `None` when nobody says anything, or nobody wants to know.
    pub said: Option<Arc<Said>>,
}

/// A trace (or one late part of it) on its way out. Blocks and spans are in an order that depends
/// on the spans alone, never on how they arrived; parents stand before their children.
///
/// It holds at least one span. What settles with it: its spans, `repairs.duplicates`.
#[derive(Debug)]
pub struct Leaving {
    pub trace: TraceId,
    /// Whose headers it travels with: the root span's, else the least of those seen that has any.
    pub origin: Rc<Arc<Origin>>,
    pub reason: Reason,
    pub first_arrival: Time,
    pub last_arrival: Time,
    /// Requests its spans came in.
    pub requests: u32,
    pub repairs: Repairs,
    /// What the trace says of itself, or said before (the ledger).
    pub context: Context,
    /// What sampling decided about a part of it that left before ([`super::Join::drew`]).
    pub drawn: Option<Draw>,
    /// Where rules sent a part of it that left before ([`super::Join::routed`]).
    pub routed: Option<Option<Destination>>,
    pub blocks: Vec<LeavingBlock>,
    /// Bytes it was charged for while held.
    pub held_bytes: usize,
    spans: Vec<Placed>,
    /// By the index of the span, in order.
    mends: Vec<(u32, Mend)>,
    /// Log records that settle with it beside its events: copies of them.
    pub note_copies: u32,
    /// Events that came as log records, and by the index of the span, in order, which are its own.
    events: Vec<Bytes>,
    noted: Vec<Noted>,
    held: Box<Trace>,
}

/// The events of a span, as a range of the trace's.
type Noted = (u32, (u32, u32));

/// Spans of one resource and one scope. Their bytes: [`Leaving::spans`].
#[derive(Clone, Debug)]
pub struct LeavingBlock {
    pub resource: Rc<Head>,
    pub scope: Rc<Head>,
    from: u32,
    to: u32,
}

impl LeavingBlock {
    /// Spans in it, at least one.
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.to == self.from
    }
}

/// The body of a Span message (no tag, no length).
#[derive(Clone, Debug)]
pub enum SpanBytes<'a> {
    /// Small: copy it.
    Copied(&'a [u8]),
    /// Large, a part of the request it came in: worth sharing.
    Lying(&'a Bytes, &'a [u8]),
    /// Written anew, in a buffer of its own.
    Own(Bytes),
}

/// From here on a span's bytes are shared, for a batch keeps such parts as they are.
pub(super) const SHARED_MIN: u32 = rope::KEEP_PART_MIN as u32;
/// A span is shared if its request is no larger than so many of it: what is kept stays in proportion to what is counted.
const SHARED_OF: usize = 32;

impl std::ops::Deref for SpanBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) | Self::Lying(_, bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// A span on its way out.
#[derive(Clone, Debug)]
pub struct LeavingSpan<'a> {
    pub bytes: SpanBytes<'a>,
    /// What it has of its own; nothing where nobody wanted to know.
    pub has: Has,
    /// How it is to hang in its trace.
    pub mend: Option<Mend>,
    /// What came of it as log records: whole fields of the span, to stand behind all others.
    pub events: &'a [Bytes],
}

impl std::ops::Deref for LeavingSpan<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Spans of one block that lie side by side, to go out as they came.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// From the body of the first to the end of the last; between them stand tags and lengths as we write
    /// them.
    pub bytes: StretchBytes<'a>,
    /// Bytes of the first body.
    pub first: usize,
    /// Spans in it, at least one.
    pub spans: u64,
}

/// Where a stretch lies: by itself, or in the request it came in, where the next may follow.
#[derive(Clone, Copy, Debug)]
pub enum StretchBytes<'a> {
    Copied(&'a [u8]),
    Lying(&'a Bytes, Range),
}

/// Where a span lies, and what it has of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placed {
    place: Place,
    has: Has,
}

impl Leaving {
    /// The spans of one of its blocks, in order.
    pub fn spans(&self, block: &LeavingBlock) -> impl ExactSizeIterator<Item = LeavingSpan<'_>> {
        self.placed(block).iter().enumerate().map(|(nth, &Placed { place, has })| {
            let at = block.from + nth as u32;
            LeavingSpan { bytes: self.bytes(place), has, mend: self.mend(at), events: self.events_of(at) }
        })
    }

    /// The same spans as they came, in as few pieces as can be: what a process exports of a trace often lies
    /// side by side in its request, in the order it leaves in.
    pub fn stretches(&self, block: &LeavingBlock) -> impl Iterator<Item = Stretch<'_>> {
        let mut places = self.placed(block).iter().map(|span| span.place).peekable();
        std::iter::from_fn(move || {
            let first = places.next()?;
            let (mut all, mut spans) = (first, 1);
            while let Some(next) = places.next_if(|next| all.is_followed_by(*next)) {
                all = all.up_to(next);
                spans += 1;
            }
            let bytes = match all.pin().and_then(|pin| self.held.pins.get(pin)) {
                Some(pin) => StretchBytes::Lying(&pin.request, all.range()),
                None => StretchBytes::Copied(self.held.body(all)),
            };
            Some(Stretch { bytes, first: first.len as usize, spans })
        })
    }

    fn placed(&self, block: &LeavingBlock) -> &[Placed] {
        self.spans.get(block.from as usize..block.to as usize).unwrap_or_default()
    }

    fn bytes(&self, place: Place) -> SpanBytes<'_> {
        let bytes = self.held.body(place);
        match place.pin().and_then(|pin| self.held.pins.get(pin)) {
            Some(pin) if place.len >= SHARED_MIN && pin.request.len() / SHARED_OF <= bytes.len() => {
                SpanBytes::Lying(&pin.request, bytes)
            }
            _ => SpanBytes::Copied(bytes),
        }
    }

    /// Spans in all blocks. `repairs.duplicates` more were taken and settle with them.
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Bytes of all spans.
    pub fn span_bytes(&self) -> usize {
        self.spans.iter().map(|span| span.place.len as usize).sum()
    }

    /// Spans whose parent or root mark is to be mended.
    pub fn mended(&self) -> usize {
        self.mends.len()
    }

    /// Events that came as log records, over all spans.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Bytes of all events that came as log records.
    pub fn event_bytes(&self) -> usize {
        self.events.iter().map(Bytes::len).sum()
    }

    fn events_of(&self, at: u32) -> &[Bytes] {
        if self.noted.is_empty() {
            return &[];
        }
        let found = self.noted.binary_search_by_key(&at, |(of, _)| *of).ok();
        let range = found.and_then(|found| self.noted.get(found)).map(|(_, range)| *range);
        let (from, to) = range.unwrap_or_default();
        self.events.get(from as usize..to as usize).unwrap_or_default()
    }

    fn mend(&self, at: u32) -> Option<Mend> {
        if self.mends.is_empty() {
            return None;
        }
        let found = self.mends.binary_search_by_key(&at, |(of, _)| *of).ok()?;
        self.mends.get(found).map(|(_, mend)| *mend)
    }

    /// What is to be remembered of it, besides its spans.
    pub(super) fn farewell(&self) -> Words<'_> {
        let Self { context, origin, reason, drawn, routed, held, .. } = self;
        let root_known = held.roots > 0 || held.earlier.as_ref().is_some_and(|e| e.farewell.root_known);
        Words { context, origin, reason: *reason, root_known, drawn: *drawn, routed: *routed }
    }

    /// What it was held in.
    pub(super) fn trace(&self) -> &Trace {
        &self.held
    }

    /// What it was held in, and the lists it left in.
    pub(super) fn into_trace(mut self) -> Box<Trace> {
        self.spans.clear();
        self.blocks.clear();
        self.held.lists = (self.blocks, self.spans);
        self.held
    }
}

/// Takes a trace apart, in the order worked out for it.
pub(super) fn let_go(
    mut trace: Box<Trace>,
    order: &Order,
    attached: Attached,
    reason: Reason,
    (settings, origins): (&Settings, &mut Origins),
) -> Leaving {
    let roots = Roots::of(&trace, order, reason, settings.mend);
    let root = roots.speaker.and_then(|at| trace.records.get(at as usize));
    let mut has = Vec::new();
    let mut context = context(&trace, root, &settings.release_key);
    if settings.context || reason == Reason::Late {
        has.resize(trace.records.len(), Has::NONE);
        let said = said(&trace, order, root.filter(|_| settings.named), &mut has);
        context.said = said.filter(|_| settings.context);
    }
    let origin = origin(&trace, root, origins);
    let repairs = Repairs {
        orphans: order.orphans,
        cycles: order.cycles,
        zero_parents: zero_parents(&trace),
        ..trace.repairs
    };
    let earlier = trace.earlier.as_ref().map(|earlier| &earlier.farewell);
    let (routed, drawn) = (earlier.and_then(|left| left.routed), earlier.and_then(|left| left.drawn));
    let lists = std::mem::take(&mut trace.lists);
    let Blocks { blocks, spans, mends, noted } =
        blocks(&trace, lists, order, (&has, &roots.mends), &attached);
    Leaving {
        trace: trace.id,
        origin,
        reason,
        first_arrival: trace.first,
        last_arrival: trace.last,
        requests: trace.requests,
        repairs,
        context,
        drawn,
        routed,
        blocks,
        held_bytes: trace.charged,
        spans,
        mends,
        note_copies: attached.copies,
        events: attached.into_fields(),
        noted,
        held: trace,
    }
}

fn zero_parents(trace: &Trace) -> u32 {
    if !trace.marks.has(Marks::ZERO_PARENT) {
        return 0;
    }
    let all = trace.records.iter().filter(|record| record.marks.has(Marks::ZERO_PARENT));
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

/// Blocks and spans of a trace that leaves; kept empty with what it is held in, for the next.
pub(super) type Lists = (Vec<LeavingBlock>, Vec<Placed>);

/// Spans gathered by block, and what goes by their index then.
#[derive(Default)]
struct Blocks {
    blocks: Vec<LeavingBlock>,
    spans: Vec<Placed>,
    mends: Vec<(u32, Mend)>,
    noted: Vec<Noted>,
}

/// Spans in the order worked out, with what is to be said of each.
fn blocks(
    trace: &Trace,
    (mut blocks, mut spans): Lists,
    order: &Order,
    (has, mends): (&[Has], &[(u32, Mend)]),
    attached: &Attached,
) -> Blocks {
    let (gathered, records) = order.gathered();
    blocks.extend(gathered.iter().filter_map(|&Gathered { block, from, to }| {
        let (resource, scope) = trace.blocks.get(block as usize)?.clone();
        Some(LeavingBlock { resource, scope, from, to })
    }));
    spans.extend(records.iter().map(|&at| Placed {
        place: trace.records.get(at as usize).map(|record| record.place).unwrap_or_default(),
        has: has.get(at as usize).copied().unwrap_or_default(),
    }));
    let (mut mended, mut noted) = (Vec::with_capacity(mends.len()), Vec::new());
    if !mends.is_empty() || !attached.is_empty() {
        for (at, of) in (0..).zip(records) {
            if let Ok(found) = mends.binary_search_by_key(of, |(of, _)| *of) {
                mended.push((at, mends[found].1));
            }
            if let Some(own) = attached.own(*of) {
                noted.push((at, own.fields));
            }
        }
    }
    Blocks { blocks, spans, mends: mended, noted }
}

/// What the spans claim of their trace, the root first; an earlier part goes before them if it had the
/// root. `root`, if given, is said to speak for it and lends its name. Notes in `has` what each span has of its own.
fn said(trace: &Trace, order: &Order, root: Option<&Record>, has: &mut [Has]) -> Option<Arc<Said>> {
    let mut builder = Builder::default();
    let before = trace.earlier.as_ref().map(|earlier| &earlier.farewell);
    let earlier = before.and_then(|farewell| farewell.context.said.as_deref());
    let earlier_first = before.is_some_and(|farewell| farewell.root_known);
    if let Some(earlier) = earlier.filter(|_| earlier_first) {
        builder.resume(earlier);
    }
    // Blocks are few and spans of one stand together: whether it writes JSON is asked once for each run.
    let mut encoded = (u32::MAX, false);
    for &at in order.ranked() {
        let Some(record) = trace.records.get(at as usize) else { continue };
        if !record.marks.has(Marks::NOTED) {
            continue;
        }
        if let Some(known) = record.has() {
            if let Some(place) = has.get_mut(at as usize) {
                *place = known;
            }
            if !record.marks.has(Marks::CLAIMS) {
                continue;
            }
        }
        if encoded.0 != record.block {
            let scope = trace.blocks.get(record.block as usize).map(|(_, scope)| scope.body());
            encoded = (record.block, encodes_metadata(scope.unwrap_or_default()));
        }
        let claims = Claims::of(trace.body(record.place));
        builder.add(record.id, &claims, encoded.1);
        if let Some(place) = has.get_mut(at as usize) {
            *place = claims.has;
        }
    }
    if let Some(earlier) = earlier.filter(|_| !earlier_first) {
        builder.resume(earlier);
    }
    if let Some(root) = root {
        builder.root(root.id, || display_name(trace.body(root.place)));
    }
    builder.finish()
}

/// What the root says, itself before its resource; else what the trace said before. A process's own tree
/// says nothing of the whole trace: whoever joins the trace will know, and must not find our guess.
fn context(trace: &Trace, root: Option<&Record>, release_key: &str) -> Context {
    let root = root.filter(|_| trace.scope == Scope::Trace);
    let own = root.map(|root| own_context(trace, root, release_key)).unwrap_or_default();
    let before = trace.earlier.as_ref().map(|earlier| &earlier.farewell.context);
    Context {
        environment: own.environment.or_else(|| before?.environment.clone()),
        release: own.release.or_else(|| before?.release.clone()),
        said: None,
    }
}

fn own_context(trace: &Trace, root: &Record, release_key: &str) -> Context {
    let Some((resource, _)) = trace.blocks.get(root.block as usize) else { return Context::default() };
    // A release key of the user's own is not among what the walk marks.
    let may_say =
        root.marks.has(Marks::PLACED) || !noted::of(release_key.as_bytes()).has(noted::Noted::PLACE);
    let span = if may_say { trace.body(root.place) } else { &[] };
    let (span, resource) = (facts(span, SPAN_ATTRIBUTES, release_key), resource.facts());
    Context {
        environment: best(span.environment, &resource.environment),
        release: best(span.release, &resource.release),
        said: None,
    }
}

/// `semantics::best`, sharing the resource's text where the span says nothing new.
fn best<const N: usize>(span: [Option<&str>; N], resource: &[Option<Rc<str>>; N]) -> Option<Rc<str>> {
    span.into_iter().zip(resource).find_map(|(span, resource)| match (span, resource) {
        (Some(said), Some(known)) if said == &**known => Some(known.clone()),
        (Some(said), _) => Some(Rc::from(said)),
        (None, known) => known.clone(),
    })
}

/// The root's request's, if it has headers; else what the trace left with before; else the least named.
fn origin(trace: &Trace, root: Option<&Record>, origins: &mut Origins) -> Shared {
    let named = |origin: &&Shared| origin.key != 0;
    let roots = root.and_then(|root| trace.origins.get(usize::from(root.origin))).filter(named);
    let before = trace.earlier.as_ref().map(|earlier| &earlier.farewell.origin).filter(named);
    let least = || trace.origins.iter().filter(|o| o.tenant != TenantKey::ANONYMOUS).filter(named).min();
    let any = || trace.origins.iter().filter(named).min();
    match roots.or(before).or_else(least).or_else(any) {
        Some(origin) => origins.plain(origin.clone()),
        None => origins.nobody(),
    }
}
