//! Collects labelled blocks and traces into batches, closed by size or age.
//!
//! One open batch per signal, origin and destination. Whole blocks of passed-through requests are appended as
//! they are; spans of joined traces gather under the block of their resource and scope, so that a
//! batch of a thousand traces over three services carries three resource blocks.

use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use smallvec::SmallVec;

use super::{Batch, Budget};
use crate::join::{LeavingSpan, SpanBytes, Stretch, StretchBytes};
use crate::model::{Destination, Origin, Time};
use crate::wire::block::{self, BlockHead, ScopeBlock};
use crate::wire::{Rope, Sealed, Signal};

/// When a batch is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub bytes: usize,
    pub age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes: 1 << 20, age: Duration::from_millis(200) }
    }
}

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Size,
    Age,
    Drain,
}

impl Closed {
    pub const fn name(self) -> &'static str {
        match self {
            Closed::Size => "size",
            Closed::Age => "age",
            Closed::Drain => "drain",
        }
    }
}

/// What a batch has one of: on whose behalf it goes, and where.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    pub origin: &'a Arc<Origin>,
    pub to: Destination,
}

impl Way<'_> {
    fn key(&self, signal: Signal) -> Key {
        (signal, self.origin.key, self.to)
    }
}

type Key = (Signal, u64, Destination);

/// Names a resource's or a scope's bytes; equal ids mean equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The resource's labelled bytes, and its head's.
    pub resource: (u64, u64),
    pub scope: u64,
}

/// In a batch of more blocks than these none waits for spans that follow its last ones in their request: each would
/// keep its request meanwhile ([`Rope::put_next`]).
const WAITING_MAX: usize = 16;

/// Blocks of a batch that are compared one by one before all are looked through.
const FIRST: usize = 8;

/// Room a span needs in a batch besides its own bytes: a tag and its length.
pub const ITEM_OVERHEAD: usize = 6;
/// The same for a resource or scope block.
pub const BLOCK_OVERHEAD: usize = 12;

/// A batch that is being filled.
#[derive(Debug)]
pub struct Open {
    origin: Arc<Origin>,
    opened: Time,
    /// Finished blocks.
    rope: Rope,
    resources: Vec<(BlockHead, Vec<ScopeBlock>)>,
    resource_at: HashMap<(u64, u64), usize, RandomState>,
    scope_at: HashMap<BlockKey, (usize, usize), RandomState>,
    /// The first of them: mostly all there are, and found at a glance.
    first: SmallVec<[(BlockKey, (usize, usize)); FIRST]>,
    /// At least what the finished body will measure, and from what on it is full.
    len: usize,
    full_at: usize,
    items: u64,
    notes: u64,
}

/// Open batches by signal and way, and closed ones waiting to be taken.
#[derive(Debug)]
pub struct Batcher {
    settings: Settings,
    budget: Arc<Budget>,
    open: HashMap<Key, Open, RandomState>,
    closed: VecDeque<(Batch, Closed)>,
}

impl Batcher {
    pub fn new(settings: Settings, budget: Arc<Budget>) -> Self {
        Self { settings, budget, open: HashMap::default(), closed: VecDeque::new() }
    }

    /// Bytes a batch is to have, at most.
    pub fn batch_bytes(&self) -> usize {
        self.settings.bytes
    }

    /// Makes room for something of `len` bytes that must not be divided: a batch that could not
    /// hold it as well is closed first. Returns whether it fits into one batch at all.
    pub fn make_room(&mut self, signal: Signal, way: Way<'_>, len: usize) -> bool {
        let key = way.key(signal);
        if self.open.get(&key).is_some_and(|open| open.len + len > self.settings.bytes) {
            self.close(key, Closed::Size);
        }
        len <= self.settings.bytes
    }

    /// Appends finished resource blocks of about `len` bytes that hold `items`, laid down by `write`.
    pub fn add_blocks(
        &mut self,
        now: Time,
        signal: Signal,
        way: Way<'_>,
        (len, items): (usize, u64),
        write: impl FnOnce(&mut Rope),
    ) {
        self.make_room(signal, way, len);
        let open = self.open(now, signal, way);
        let before = open.rope.len();
        write(&mut open.rope);
        open.len += open.rope.len() - before;
        open.items += items;
        self.close_if_full(signal, way);
    }

    /// A request that must go out as it came: a batch of its own.
    pub fn add_whole(&mut self, now: Time, signal: Signal, way: Way<'_>, body: Rope, items: u64) {
        let reservation = self.budget.reserve(body.len());
        let (origin, to) = (way.origin.clone(), way.to);
        let batch =
            Batch { signal, origin, to, body: body.into(), items, notes: 0, opened: now, reservation };
        self.closed.push_back((batch, Closed::Size));
    }

    /// Opens (or finds) the batch for traces that go this way.
    pub fn traces(&mut self, now: Time, way: Way<'_>) -> &mut Open {
        self.open(now, Signal::Traces, way)
    }

    /// Closes the open batch if it has reached its size.
    pub fn close_if_full(&mut self, signal: Signal, way: Way<'_>) -> bool {
        let key = way.key(signal);
        let full = self.open.get(&key).is_some_and(|open| open.len >= open.full_at);
        if full {
            self.close(key, Closed::Size);
        }
        full
    }

    /// Closes what will have been open for long enough by `now`, or everything when draining.
    pub fn close_due(&mut self, now: Time, drain: bool) {
        let reason = if drain { Closed::Drain } else { Closed::Age };
        let due = |open: &Open| drain || now.since(open.opened) >= self.settings.age;
        let keys: Vec<_> = self.open.iter().filter(|(_, open)| due(open)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.close(key, reason));
    }

    /// When `close_due` has something to do, if nothing comes before.
    pub fn next_due(&self) -> Option<Time> {
        self.open.values().map(|open| open.opened).min().map(|opened| opened + self.settings.age)
    }

    /// The next closed batch.
    pub fn take(&mut self) -> Option<(Batch, Closed)> {
        self.closed.pop_front()
    }

    /// Bytes in open batches.
    pub fn open_bytes(&self) -> usize {
        self.open.values().map(|open| open.len).sum()
    }

    fn open(&mut self, now: Time, signal: Signal, way: Way<'_>) -> &mut Open {
        let full_at = self.settings.bytes;
        self.open.entry(way.key(signal)).or_insert_with(|| Open {
            origin: way.origin.clone(),
            opened: now,
            rope: Rope::default(),
            resources: Vec::new(),
            resource_at: HashMap::default(),
            scope_at: HashMap::default(),
            first: SmallVec::new(),
            len: 0,
            full_at,
            items: 0,
            notes: 0,
        })
    }

    fn close(&mut self, key: Key, why: Closed) {
        let Some(open) = self.open.remove(&key) else { return };
        let (signal, _, to) = key;
        let (origin, opened, items, notes) = (open.origin.clone(), open.opened, open.items, open.notes);
        let body = open.into_body();
        let reservation = self.budget.reserve(body.len());
        let batch = Batch { signal, origin, to, body, items, notes, opened, reservation };
        self.closed.push_back((batch, why));
    }
}

impl Open {
    /// Counts items, and log records, that settle with this batch though they are not in it.
    pub fn settle_too(&mut self, items: u64, notes: u64) {
        self.items += items;
        self.notes += notes;
    }

    /// Opens (or finds) the block for spans of one resource and scope; `heads` is asked only for a new one.
    pub fn block(&mut self, key: BlockKey, heads: impl FnOnce() -> (BlockHead, BlockHead)) -> Place<'_> {
        let at = self.at(key).unwrap_or_else(|| self.new_block(key, heads()));
        Place { open: self, at }
    }

    fn at(&self, key: BlockKey) -> Option<(usize, usize)> {
        let first = self.first.iter().find(|(known, _)| *known == key).map(|(_, at)| *at);
        first.or_else(|| self.scope_at.get(&key).copied().filter(|_| self.first.len() == FIRST))
    }

    fn new_block(&mut self, key: BlockKey, (resource, scope): (BlockHead, BlockHead)) -> (usize, usize) {
        self.len += scope.first.len() + scope.rest.len() + BLOCK_OVERHEAD;
        let at = *self.resource_at.entry(key.resource).or_insert_with(|| {
            self.len += resource.first.len() + resource.rest.len() + BLOCK_OVERHEAD;
            self.resources.push((resource, Vec::new()));
            self.resources.len() - 1
        });
        let scopes = &mut self.resources[at].1;
        scopes.push(ScopeBlock { head: scope, items: Rope::default() });
        let place = (at, scopes.len() - 1);
        self.scope_at.insert(key, place);
        if self.first.len() < FIRST {
            self.first.push((key, place));
        }
        place
    }

    fn into_body(self) -> Sealed {
        let mut body = self.rope;
        self.resources
            .into_iter()
            .for_each(|(head, scopes)| block::write_resource_block(&head, scopes, &mut body));
        body.into()
    }
}

/// Lays spans down, perhaps changed.
pub trait Pen {
    /// What a span grows by, at most.
    fn growth(&mut self, span: &LeavingSpan<'_>) -> usize;
    /// Appends the span's whole field.
    fn put(&mut self, span: LeavingSpan<'_>, items: &mut Rope);
}

/// Where spans of one resource and scope go.
#[derive(Debug)]
pub struct Place<'a> {
    open: &'a mut Open,
    at: (usize, usize),
}

impl Place<'_> {
    /// Appends spans as they came, all of them: for those that `make_room` has made room for.
    pub fn put_all<'a>(&mut self, stretches: impl Iterator<Item = Stretch<'a>>) {
        let items = &mut self.open.resources[self.at.0].1[self.at.1].items;
        let before = items.len();
        for stretch in stretches {
            self.open.items += stretch.spans;
            match stretch.bytes {
                StretchBytes::Copied(bytes) => block::put_items(stretch.first, bytes, items),
                StretchBytes::Lying(request, at) => block::put_items_of(request, stretch.first, at, items),
            }
        }
        self.open.len += items.len() - before;
        if self.open.scope_at.len() > WAITING_MAX {
            items.settle();
        }
    }

    /// Appends Span messages as `pen` lays them down, until there are no more or the batch is full.
    ///
    /// The first span of a block is taken whatever its size: `make_room` is for whoever adds one.
    pub fn fill<'a>(
        &mut self,
        spans: &mut Peekable<impl Iterator<Item = LeavingSpan<'a>>>,
        pen: &mut impl Pen,
    ) {
        let items = &mut self.open.resources[self.at.0].1[self.at.1].items;
        while self.open.len < self.open.full_at {
            let room = self.open.full_at - self.open.len;
            let mut fits = |span: &LeavingSpan<'_>| {
                items.is_empty() || span.len() + pen.growth(span) + ITEM_OVERHEAD <= room
            };
            let Some(span) = spans.next_if(&mut fits) else { return };
            let (before, notes) = (items.len(), span.events.len() as u64);
            pen.put(span, items);
            self.open.len += items.len() - before;
            self.open.items += 1;
            self.open.notes += notes;
        }
    }
}

/// Appends one span to a scope block's items as it came, sharing its bytes where they are worth it.
pub fn put_span(span: SpanBytes<'_>, items: &mut Rope) {
    match span {
        SpanBytes::Copied(bytes) => block::put_item(bytes, items),
        SpanBytes::Lying(request, bytes) => block::put_item_part(request, bytes, items),
        SpanBytes::Own(bytes) => block::put_item_part(&bytes, &bytes, items),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
    use prost::Message;

    use super::*;
    use crate::semantics::claims::Has;

    struct AsItCame;

    impl Pen for AsItCame {
        fn growth(&mut self, _: &LeavingSpan<'_>) -> usize {
            0
        }

        fn put(&mut self, span: LeavingSpan<'_>, items: &mut Rope) {
            put_span(span.bytes, items);
        }
    }

    fn head(name: &str) -> BlockHead {
        // A ScopeSpans holding only its scope is the scope's tagged field.
        let scope = Some(InstrumentationScope { name: name.to_owned(), ..Default::default() });
        let first = ScopeSpans { scope, ..Default::default() }.encode_to_vec();
        BlockHead { first: first.into(), rest: Bytes::new() }
    }

    fn way(origin: &Arc<Origin>) -> Way<'_> {
        Way { origin, to: Destination::of(0) }
    }

    fn span(name: &str) -> Vec<u8> {
        Span { name: name.to_owned(), ..Default::default() }.encode_to_vec()
    }

    fn batcher(bytes: usize) -> Batcher {
        Batcher::new(Settings { bytes, age: Duration::from_millis(200) }, Budget::new(1 << 20))
    }

    fn add(batcher: &mut Batcher, now: u64, origin: &Arc<Origin>, resource: u64, scope: u64, spans: &[&str]) {
        let key = BlockKey { resource: (resource, 0), scope };
        let heads = || (BlockHead::default(), head(&scope.to_string()));
        let spans: Vec<_> = spans.iter().map(|name| span(name)).collect();
        let leaving =
            |span| LeavingSpan { bytes: SpanBytes::Copied(span), has: Has::NONE, mend: None, events: &[] };
        let mut spans = spans.iter().map(|span| leaving(span)).peekable();
        while spans.peek().is_some() {
            let open = batcher.traces(Time::from_millis(now), way(origin));
            open.block(key, heads).fill(&mut spans, &mut AsItCame);
            batcher.close_if_full(Signal::Traces, way(origin));
        }
    }

    fn read(batch: Batch) -> Vec<Vec<(String, Vec<String>)>> {
        let request = ExportTraceServiceRequest::decode(batch.body.to_bytes()).unwrap();
        let names = |scope: ScopeSpans| {
            let spans = scope.spans.into_iter().map(|span| span.name).collect();
            (scope.scope.unwrap_or_default().name, spans)
        };
        request.resource_spans.into_iter().map(|r| r.scope_spans.into_iter().map(names).collect()).collect()
    }

    #[test]
    fn spans_of_one_resource_and_scope_share_a_block_across_traces() {
        let (mut batcher, origin) = (batcher(1 << 20), Origin::anonymous());
        add(&mut batcher, 0, &origin, 1, 1, &["a"]);
        add(&mut batcher, 0, &origin, 2, 1, &["b"]);
        add(&mut batcher, 0, &origin, 1, 1, &["c"]);
        add(&mut batcher, 0, &origin, 1, 2, &["d"]);
        batcher.close_due(Time::from_millis(0), true);
        let (batch, why) = batcher.take().unwrap();
        assert_eq!((why, batch.items), (Closed::Drain, 4));
        let block =
            |scope: &str, spans: &[&str]| (scope.to_owned(), spans.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(
            read(batch),
            [vec![block("1", &["a", "c"]), block("2", &["d"])], vec![block("1", &["b"])]]
                as [Vec<(String, Vec<String>)>; 2]
        );
    }

    #[test]
    fn a_batch_closes_by_age_and_not_before() {
        let (mut batcher, origin) = (batcher(1 << 20), Origin::anonymous());
        add(&mut batcher, 10, &origin, 1, 1, &["a"]);
        assert_eq!(batcher.next_due(), Some(Time::from_millis(210)));
        batcher.close_due(Time::from_millis(209), false);
        assert!(batcher.take().is_none());
        batcher.close_due(Time::from_millis(210), false);
        assert_eq!(batcher.take().unwrap().1, Closed::Age);
        assert_eq!(batcher.next_due(), None);
    }

    #[test]
    fn what_must_stay_together_closes_a_batch_that_has_no_room_for_it() {
        let (mut batcher, origin) = (batcher(100), Origin::anonymous());
        add(&mut batcher, 0, &origin, 1, 1, &["a"]);
        assert!(batcher.make_room(Signal::Traces, way(&origin), 90), "it fits a batch of its own");
        assert_eq!(batcher.take().unwrap().1, Closed::Size);
        assert!(!batcher.make_room(Signal::Traces, way(&origin), 101));
    }

    #[test]
    fn what_is_larger_than_a_batch_goes_in_consecutive_ones() {
        let (mut batcher, origin) = (batcher(64), Origin::anonymous());
        let name = "x".repeat(40);
        add(&mut batcher, 0, &origin, 1, 1, &[&name, &name, &name]);
        batcher.close_due(Time::from_millis(0), true);
        let batches: Vec<_> = std::iter::from_fn(|| batcher.take()).collect();
        assert_eq!(batches.iter().map(|(b, _)| b.items).sum::<u64>(), 3);
        assert!(batches.len() > 1);
    }

    #[test]
    fn origins_and_signals_never_mix() {
        let mut batcher = batcher(1 << 20);
        let named = Arc::new(Origin { key: 7, ..Origin::default() });
        add(&mut batcher, 0, &Origin::anonymous(), 1, 1, &["a"]);
        add(&mut batcher, 0, &named, 1, 1, &["b"]);
        batcher.add_blocks(Time::from_millis(0), Signal::Logs, way(&named), (1, 1), |rope| {
            rope.put(b"\x0a\x00")
        });
        batcher.close_due(Time::from_millis(0), true);
        let mut seen: Vec<_> =
            std::iter::from_fn(|| batcher.take()).map(|(b, _)| (b.signal, b.origin.key)).collect();
        seen.sort();
        assert_eq!(seen, [(Signal::Traces, 0), (Signal::Traces, 7), (Signal::Logs, 7)]);
    }

    #[test]
    fn a_closed_batch_is_paid_for_until_it_is_gone() {
        let budget = Budget::new(1 << 20);
        let mut batcher = Batcher::new(Settings::default(), budget.clone());
        add(&mut batcher, 0, &Origin::anonymous(), 1, 1, &["a"]);
        batcher.close_due(Time::from_millis(0), true);
        let (batch, _) = batcher.take().unwrap();
        assert_eq!(budget.used(), batch.body.len());
        drop(batch);
        assert_eq!(budget.used(), 0);
    }
}
