//! One structural walk: checks every field of a request and indexes its items.
//!
//! It is one pass over the bytes, the same for all signals; the tables in `schema` say what differs.
//! A fault costs the items it concerns and no others: inside an item the item, in a resource or a
//! scope the items below it. Only when the outer structure itself can not be followed is the whole
//! request [`Malformed`]. A faulty block or metric that holds no items is counted as one refused item,
//! so that whoever looks at the count knows there is something to cut out.
//!
//! The surprise: a resource may be found faulty after its spans were accepted, since nothing orders
//! the fields of a message. So every level remembers where it began ([`Mark`]) and can be taken back.

use super::attr::Attr;
use super::check::{self, Broken};
use super::fields::{self, Payload, between};
use super::noted::{self, Noted};
use super::plain::{self, Layout};
use super::record::RecordView;
use super::repeat::{Known, Repeats};
use super::schema::{self, Table};
use super::{Fault, Malformed, Signal, SpanId, TraceId, index, utf8};

pub use super::index::{
    Detail, Head, Index, Limits, NoteEntry, Range, Refused, ResourceEntry, ScopeEntry, SpanEntry,
};
pub use super::keep::keep_good;

/// Walks a whole export request.
///
/// # Errors
/// [`Malformed`] when the outer structure can not be followed; a fault inside one item, scope or
/// resource refuses only the items it concerns and is reported in [`Index::refused`].
pub fn walk(signal: Signal, body: &[u8], detail: Detail, limits: &Limits) -> Result<Index, Malformed> {
    let mut walker = Walker::new(signal, body, detail, limits, None);
    walker.request()?;
    Ok(walker.index)
}

/// What to leave out so that only good items remain, in order, never overlapping: items, whole metrics,
/// whole blocks.
pub(super) fn cuts(signal: Signal, body: &[u8], limits: &Limits) -> Result<Vec<Range>, Malformed> {
    let mut walker = Walker::new(signal, body, Detail::Blocks, limits, Some(Vec::new()));
    walker.request()?;
    Ok(walker.cuts.unwrap_or_default())
}

/// AnyValue levels beyond which no setting goes: the walk recurses, three frames a level.
const LEVELS_MAX: u32 = 100;

struct Walker<'a> {
    signal: Signal,
    body: &'a [u8],
    limits: Limits,
    /// Scopes and spans are indexed too.
    spans: bool,
    /// Log records that belong to spans are.
    notes: bool,
    tables: (&'static Table, &'static Table, &'static Table),
    index: Index,
    /// Pieces of the block and of the scope that are open.
    block: Pieces,
    scope: Pieces,
    repeats: Repeats<'a>,
    cuts: Option<Vec<Range>>,
    place: Place,
}

/// A head on its way into `Index::pieces`.
#[derive(Default)]
struct Pieces {
    first: Vec<Range>,
    rest: Vec<Range>,
}

enum Piece {
    /// The body of a field 1.
    First(Range),
    /// Any other field, whole.
    Rest(Range),
}

/// Ordinals of what is being walked, for paths.
#[derive(Clone, Copy, Default)]
struct Place {
    block: u32,
    scope: u32,
    item: u32,
}

#[derive(Clone, Copy)]
enum Level {
    Request,
    Block,
    Scope,
    Item,
}

/// How far everything was when a level was entered.
#[derive(Clone, Copy)]
struct Mark {
    items: u64,
    refused: u64,
    scopes: usize,
    spans: usize,
    notes: usize,
    pieces: usize,
    cuts: usize,
}

impl<'a> Walker<'a> {
    fn new(
        signal: Signal,
        body: &'a [u8],
        detail: Detail,
        limits: &Limits,
        cuts: Option<Vec<Range>>,
    ) -> Self {
        Self {
            signal,
            body,
            limits: Limits { depth: limits.depth.min(LEVELS_MAX), ..*limits },
            spans: detail == Detail::Spans && signal == Signal::Traces,
            notes: detail == Detail::Spans && signal == Signal::Logs,
            tables: schema::levels(signal),
            index: Index::default(),
            block: Pieces::default(),
            scope: Pieces::default(),
            repeats: Repeats::default(),
            cuts,
            place: Place::default(),
        }
    }

    fn request(&mut self) -> Result<(), Malformed> {
        if u32::try_from(self.body.len()).is_err() {
            return Err(self.malformed(Level::Request, Fault::Length, self.body));
        }
        let mut rest = self.body;
        while !rest.is_empty() {
            let start = rest;
            let field =
                fields::read(&mut rest).map_err(|fault| self.malformed(Level::Request, fault, start))?;
            match (field.number, field.payload) {
                (1, Payload::Len(block)) => {
                    self.resource_block(block, between(start, rest))?;
                    self.place.block = self.place.block.saturating_add(1);
                }
                (1, _) => return Err(self.malformed(Level::Request, Fault::WireType, start)),
                // Unknown, or the dictionary of profiles.
                _ => {}
            }
        }
        Ok(())
    }

    fn resource_block(&mut self, block: &'a [u8], raw: &'a [u8]) -> Result<(), Malformed> {
        let mark = self.mark();
        let mut fault = None;
        self.block.clear();
        self.place.scope = 0;
        let mut rest = block;
        while !rest.is_empty() {
            let start = rest;
            let field =
                fields::read(&mut rest).map_err(|fault| self.malformed(Level::Block, fault, start))?;
            if let (2, Payload::Len(scope)) = (field.number, field.payload) {
                self.scope_block(scope, between(start, rest))?;
                self.place.scope = self.place.scope.saturating_add(1);
                continue;
            }
            if let Err(broken) = check::payload(field, start, self.tables.0, self.limits.depth) {
                fault.get_or_insert(broken);
            }
            let piece = self.piece(field, between(start, rest));
            let room = self.room();
            self.block
                .add(piece, room)
                .ok_or_else(|| self.malformed(Level::Block, Fault::IndexSize, start))?;
        }
        if self.keeps(mark, fault, Level::Block, raw)? {
            let entry = ResourceEntry {
                block: self.range(block),
                head: self.head(Level::Block, block)?,
                items: u32::try_from(self.index.items - mark.items).unwrap_or(u32::MAX),
            };
            let room = self.room();
            push(&mut self.index.resources, entry, 0, room)
                .ok_or_else(|| self.malformed(Level::Block, Fault::IndexSize, block))?;
        }
        Ok(())
    }

    fn scope_block(&mut self, scope: &'a [u8], raw: &'a [u8]) -> Result<(), Malformed> {
        let mark = self.mark();
        let mut fault = None;
        self.scope.clear();
        self.place.item = 0;
        let mut rest = scope;
        while !rest.is_empty() {
            let start = rest;
            let field =
                fields::read(&mut rest).map_err(|fault| self.malformed(Level::Scope, fault, start))?;
            if let (2, Payload::Len(item)) = (field.number, field.payload) {
                self.item(item, between(start, rest))?;
                self.place.item = self.place.item.saturating_add(1);
                continue;
            }
            if let Err(broken) = check::payload(field, start, self.tables.1, self.limits.depth) {
                fault.get_or_insert(broken);
            }
            if self.spans {
                let piece = self.piece(field, between(start, rest));
                let room = self.room();
                self.scope
                    .add(piece, room)
                    .ok_or_else(|| self.malformed(Level::Scope, Fault::IndexSize, start))?;
            }
        }
        if self.keeps(mark, fault, Level::Scope, raw)? && self.spans {
            let resource = u32::try_from(self.index.resources.len()).unwrap_or(u32::MAX);
            let entry = ScopeEntry { resource, head: self.head(Level::Scope, scope)? };
            let room = self.room();
            push(&mut self.index.scopes, entry, 0, room)
                .ok_or_else(|| self.malformed(Level::Scope, Fault::IndexSize, scope))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn item(&mut self, item: &'a [u8], raw: &'a [u8]) -> Result<(), Malformed> {
        let checked = match self.signal {
            Signal::Traces => return self.span(item, raw),
            Signal::Metrics => return self.metric(item, raw),
            Signal::Logs if self.notes => match self.note_entry(item) {
                Ok(None) => Ok(()),
                Ok(Some(entry)) => self.push_note(entry, raw)?,
                Err(broken) => Err(broken),
            },
            Signal::Logs => check::message(item, self.tables.2, self.limits.depth),
            Signal::Profiles => Ok(()),
        };
        match checked {
            Ok(()) => self.index.items += 1,
            Err(broken) => {
                self.refuse(1, Level::Item, raw, broken);
                self.cut(raw)?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn span(&mut self, span: &'a [u8], raw: &'a [u8]) -> Result<(), Malformed> {
        let layout = Layout::of(span);
        // Nothing is kept of single spans: then there is no more to say of one that is known.
        if !self.spans && layout.as_ref().is_some_and(|layout| self.known(layout).is_some()) {
            self.index.items += 1;
            return Ok(());
        }
        let known = layout.as_ref().filter(|_| self.spans);
        let known = known.and_then(|layout| self.known_entry(span, layout));
        match known.map_or_else(|| self.span_entry(span, layout), Ok) {
            Ok(entry) => {
                self.index.items += 1;
                if self.spans {
                    self.push_span(entry, raw)?;
                }
            }
            Err(broken) => {
                self.refuse(1, Level::Item, raw, broken);
                self.cut(raw)?;
            }
        }
        Ok(())
    }

    /// What a Span that has its ids is like, if it is one that was checked.
    #[inline(always)]
    fn known(&self, layout: &Layout<'_>) -> Option<&Known<'a>> {
        self.repeats.like(layout).filter(|_| !layout.trace.is_none() && !layout.span.is_none())
    }

    /// What the index keeps of such a Span.
    #[inline(always)]
    fn known_entry(&self, span: &[u8], layout: &Layout<'_>) -> Option<SpanEntry> {
        let Known { name_key, flags, noted, .. } = *self.known(layout)?;
        Some(SpanEntry { name_key, flags, noted, ..self.entry_of(span, layout) })
    }

    #[inline(always)]
    fn entry_of(&self, span: &[u8], layout: &Layout<'_>) -> SpanEntry {
        SpanEntry {
            trace: layout.trace,
            span: layout.span,
            parent: layout.parent.unwrap_or_default(),
            body: self.range(span),
            name: self.range(layout.name),
            name_key: 0,
            scope: self.index.scopes.len() as u32,
            flags: 0,
            kind: layout.kind,
            start: layout.start,
            zero_parent: layout.parent.is_some_and(|parent| parent.is_none()),
            ended: layout.ended,
            noted: Noted::NOTHING,
        }
    }

    /// Checks a Span and reads what the index keeps; of repeated fields the last (conformance P04).
    #[inline(never)]
    fn span_entry(&mut self, span: &'a [u8], layout: Option<Layout<'a>>) -> Result<SpanEntry, Broken> {
        let layout = layout.filter(|layout| utf8::is_valid(layout.name));
        let (mut entry, mut name, mut rest) = match &layout {
            Some(layout) => (self.entry_of(span, layout), layout.name, layout.tail),
            None => {
                let (body, scope) = (self.range(span), self.index.scopes.len() as u32);
                (SpanEntry { body, scope, ..SpanEntry::default() }, &[][..], span)
            }
        };
        // Whether all that a layout tells is only there.
        let mut is_laid_out = true;
        while let Some(&tag) = rest.first() {
            let is_plain = tag == plain::ATTRIBUTE
                && self.limits.depth > 0
                && plain::attributes(&mut rest, &mut entry.noted);
            if is_plain || plain::span_end(&mut rest, &mut entry) {
                continue;
            }
            let field = check::field(&mut rest, &schema::SPAN, self.limits.depth)?;
            is_laid_out &= !matches!(field.number, 1 | 2 | 4..=8);
            match (field.number, field.payload) {
                (1, Payload::Len(id)) => entry.trace = id.try_into().map(TraceId).unwrap_or_default(),
                (2, Payload::Len(id)) => entry.span = id.try_into().map(SpanId).unwrap_or_default(),
                (4, Payload::Len(id)) => {
                    entry.set_parent(id.try_into().map(SpanId).unwrap_or_default(), !id.is_empty());
                }
                (5, Payload::Len(text)) => name = text,
                (6, Payload::Varint(kind)) => entry.kind = u8::try_from(kind).unwrap_or(0),
                (7, Payload::Fixed64(time)) => entry.start = time,
                (8, Payload::Fixed64(time)) => entry.ended = time != 0,
                (9, Payload::Len(attribute)) => entry.noted.add(noted::of(Attr::key_of(attribute))),
                (16, Payload::Fixed32(flags)) => entry.flags = flags,
                _ => {}
            }
        }
        entry.name = if name.is_empty() { Range::default() } else { self.range(name) };
        if self.spans {
            entry.name_key = index::name_key(name);
        }
        match (entry.trace.is_none(), entry.span.is_none()) {
            (true, _) => return Err(Broken::absent(Fault::TraceId)),
            (_, true) => return Err(Broken::absent(Fault::SpanId)),
            _ => {}
        }
        if let Some(layout) = layout.filter(|_| is_laid_out) {
            self.repeats.remember(&layout, &entry);
        }
        Ok(entry)
    }

    /// Checks a LogRecord; what the index keeps of one that belongs to a span.
    fn note_entry(&self, record: &'a [u8]) -> Result<Option<NoteEntry>, Broken> {
        let (mut trace, mut span, mut noted) = (TraceId::NONE, SpanId::NONE, false);
        let mut rest = record;
        while !rest.is_empty() {
            let field = check::field(&mut rest, &schema::LOG_RECORD, self.limits.depth)?;
            match (field.number, field.payload) {
                (6, Payload::Len(attribute)) => noted |= noted::names_event(attribute),
                (9, Payload::Len(id)) => trace = id.try_into().map(TraceId).unwrap_or_default(),
                (10, Payload::Len(id)) => span = id.try_into().map(SpanId).unwrap_or_default(),
                (12, Payload::Len(name)) => noted |= noted::is_event(name),
                _ => {}
            }
        }
        let names_span =
            || !span.is_none() || RecordView(record).event_name() == noted::EVALUATION.as_bytes();
        let belongs = noted && !trace.is_none() && names_span();
        Ok(belongs.then(|| NoteEntry { trace, span, body: self.range(record) }))
    }

    #[cold]
    fn push_note(&mut self, entry: NoteEntry, raw: &'a [u8]) -> Result<Result<(), Broken>, Malformed> {
        let room = self.room();
        push(&mut self.index.notes, entry, 0, room)
            .map(Ok)
            .ok_or_else(|| self.malformed(Level::Item, Fault::IndexSize, raw))
    }

    #[inline(always)]
    fn push_span(&mut self, entry: SpanEntry, raw: &'a [u8]) -> Result<(), Malformed> {
        if self.index.spans.len() == self.index.spans.capacity() && !self.grow_spans(raw) {
            return Err(self.malformed(Level::Item, Fault::IndexSize, raw));
        }
        self.index.spans.push(entry);
        Ok(())
    }

    /// Makes room for as many spans as still fit if they are like this one, but for no more than a few
    /// times what was seen: one small span in front of a large one must not reserve for millions.
    #[cold]
    fn grow_spans(&mut self, raw: &'a [u8]) -> bool {
        let left = self.body.len().saturating_sub(self.range(raw).at as usize);
        let expected = left.div_ceil(raw.len().max(1)).min(128 + 4 * self.index.spans.len());
        let room = self.room();
        grow(&mut self.index.spans, expected, 1, room)
    }

    /// A Metric: its items are its data points, each judged alone; a fault elsewhere in it takes all.
    fn metric(&mut self, metric: &'a [u8], raw: &'a [u8]) -> Result<(), Malformed> {
        let mark = self.mark();
        let mut fault = None;
        let mut rest = metric;
        while !rest.is_empty() {
            let start = rest;
            let field = match fields::read(&mut rest) {
                Ok(field) => field,
                Err(error) => {
                    fault.get_or_insert(Broken::at(error, start));
                    break;
                }
            };
            let checked = match (schema::METRIC.data(field.number), field.payload) {
                (Some(table), Payload::Len(data)) => self.data(data, table, raw)?,
                _ => check::payload(field, start, &schema::METRIC, self.limits.depth),
            };
            if let Err(broken) = checked {
                fault.get_or_insert(broken);
            }
        }
        if fault.is_some() || (self.index.items == mark.items && self.index.refused.items > mark.refused) {
            self.take_back(mark, fault, Level::Item, raw)?;
        }
        Ok(())
    }

    /// A Gauge, Sum, Histogram and so on. The inner result is a fault outside the data points.
    fn data(
        &mut self,
        data: &'a [u8],
        table: &'static Table,
        metric: &'a [u8],
    ) -> Result<Result<(), Broken>, Malformed> {
        let points = table.points();
        let mut rest = data;
        let mut fault = Ok(());
        while !rest.is_empty() {
            let start = rest;
            let field = match fields::read(&mut rest) {
                Ok(field) => field,
                Err(error) => return Ok(fault.and(Err(Broken::at(error, start)))),
            };
            let (1, Payload::Len(point)) = (field.number, field.payload) else {
                fault = fault.and(check::payload(field, start, table, self.limits.depth));
                continue;
            };
            match check::data_point(point, start, points, self.limits.depth) {
                Ok(()) => self.index.items += 1,
                Err(broken) => {
                    self.refuse(1, Level::Item, metric, broken);
                    self.cut(between(start, rest))?;
                }
            }
        }
        Ok(fault)
    }

    fn mark(&self) -> Mark {
        Mark {
            items: self.index.items,
            refused: self.index.refused.items,
            scopes: self.index.scopes.len(),
            spans: self.index.spans.len(),
            notes: self.index.notes.len(),
            pieces: self.index.pieces.len(),
            cuts: self.cuts.as_ref().map_or(0, Vec::len),
        }
    }

    /// At the end of a block: whether it stands. One with a fault or without accepted items does not.
    fn keeps(
        &mut self,
        mark: Mark,
        fault: Option<Broken>,
        level: Level,
        raw: &'a [u8],
    ) -> Result<bool, Malformed> {
        let stands = fault.is_none() && self.index.items > mark.items;
        if !stands {
            self.take_back(mark, fault, level, raw)?;
        }
        Ok(stands)
    }

    /// Leaves out all of `raw`, which began at `mark`. With a fault, what was accepted in it is refused.
    fn take_back(
        &mut self,
        mark: Mark,
        fault: Option<Broken>,
        level: Level,
        raw: &'a [u8],
    ) -> Result<(), Malformed> {
        if let Some(broken) = fault {
            let accepted = self.index.items - mark.items;
            let unseen = u64::from(accepted == 0 && self.index.refused.items == mark.refused);
            self.index.items = mark.items;
            self.refuse(accepted + unseen, level, raw, broken);
        }
        self.index.scopes.truncate(mark.scopes);
        self.index.spans.truncate(mark.spans);
        self.index.notes.truncate(mark.notes);
        self.index.pieces.truncate(mark.pieces);
        if let Some(cuts) = &mut self.cuts {
            cuts.truncate(mark.cuts);
        }
        self.cut(raw)
    }

    #[inline(never)]
    fn refuse(&mut self, items: u64, level: Level, raw: &[u8], broken: Broken) {
        self.index.refused.items += items;
        if self.index.refused.named.len() < Refused::NAMED_MAX {
            let path = self.path(level, raw, broken);
            self.index.refused.named.push((path, broken.fault));
        }
    }

    #[inline(always)]
    fn cut(&mut self, raw: &'a [u8]) -> Result<(), Malformed> {
        if self.cuts.is_none() {
            return Ok(());
        }
        let (range, room) = (self.range(raw), self.room());
        let Some(cuts) = &mut self.cuts else { return Ok(()) };
        add_range(cuts, range, room).ok_or_else(|| self.malformed(Level::Item, Fault::IndexSize, raw))
    }

    /// Where `part` lies in the request. `request` has made sure that offsets fit.
    #[inline(always)]
    fn range(&self, part: &[u8]) -> Range {
        let at = part.as_ptr().addr().wrapping_sub(self.body.as_ptr().addr());
        Range { at: at as u32, len: part.len() as u32 }
    }

    fn piece(&self, field: fields::Field<'a>, raw: &'a [u8]) -> Piece {
        match (field.number, field.payload) {
            (1, Payload::Len(body)) => Piece::First(self.range(body)),
            _ => Piece::Rest(self.range(raw)),
        }
    }

    /// Moves the pieces of the level that ends into the index.
    fn head(&mut self, level: Level, block: &'a [u8]) -> Result<Head, Malformed> {
        let room = self.room();
        let pieces = if matches!(level, Level::Block) { &mut self.block } else { &mut self.scope };
        let all = &mut self.index.pieces;
        let count = pieces.first.len() + pieces.rest.len();
        if all.len() + count > all.capacity() && !grow(all, count.max(all.len().max(4)), count, room) {
            return Err(self.malformed(level, Fault::IndexSize, block));
        }
        let from = all.len() as u32;
        all.append(&mut pieces.first);
        let middle = all.len() as u32;
        all.append(&mut pieces.rest);
        Ok(Head { first: (from, middle), rest: (middle, all.len() as u32) })
    }

    /// Heap bytes that may still be taken.
    fn room(&self) -> usize {
        let ranges = [&self.block.first, &self.block.rest, &self.scope.first, &self.scope.rest];
        let open: usize =
            ranges.into_iter().chain(&self.cuts).map(|r| r.capacity() * size_of::<Range>()).sum();
        self.limits.index_bytes.saturating_sub(open + self.index.heap_bytes())
    }

    #[cold]
    fn malformed(&self, level: Level, fault: Fault, at: &[u8]) -> Malformed {
        Malformed { fault, at: self.range(at).at as usize, path: self.prefix(level) }
    }

    /// Where a fault in the block or item `raw` is, in field names.
    #[cold]
    fn path(&self, level: Level, raw: &[u8], broken: Broken) -> String {
        let mut path = self.prefix(level);
        let table = match level {
            Level::Request => schema::request(self.signal),
            Level::Block => self.tables.0,
            Level::Scope => self.tables.1,
            Level::Item => self.tables.2,
        };
        if let Some(fields::Field { payload: Payload::Len(message), .. }) = fields::Fields::of(raw).next() {
            check::name_path(message, broken, table, &mut path);
        }
        path
    }

    fn prefix(&self, level: Level) -> String {
        use std::fmt::Write;
        let ordinals = [self.place.block, self.place.scope, self.place.item];
        let tables = [schema::request(self.signal), self.tables.0, self.tables.1];
        let numbers = [1, 2, 2];
        let mut path = String::new();
        let depth = level as usize;
        for ((table, number), nth) in tables.into_iter().zip(numbers).zip(ordinals).take(depth) {
            let name = table.def(number).map_or("", |def| def.name);
            let dot = if path.is_empty() { "" } else { "." };
            let _ = write!(path, "{dot}{name}[{nth}]");
        }
        if path.is_empty() { "request".to_owned() } else { path }
    }
}

impl Pieces {
    fn clear(&mut self) {
        self.first.clear();
        self.rest.clear();
    }

    /// `None` when there is no room left.
    fn add(&mut self, piece: Piece, room: usize) -> Option<()> {
        match piece {
            // An empty Resource beside others says nothing.
            Piece::First(range) if range.len == 0 && !self.first.is_empty() => Some(()),
            Piece::First(range) => push(&mut self.first, range, 0, room),
            Piece::Rest(range) => add_range(&mut self.rest, range, room),
        }
    }
}

/// Adds a range that comes after all others, joined to the last where they touch.
fn add_range(ranges: &mut Vec<Range>, range: Range, room: usize) -> Option<()> {
    match ranges.last_mut() {
        Some(last) if last.at + last.len == range.at => {
            last.len += range.len;
            Some(())
        }
        _ => push(ranges, range, 0, room),
    }
}

/// Pushes, growing by what is expected to come, or by half, or by what there is room for.
#[inline(always)]
fn push<T>(all: &mut Vec<T>, value: T, expected: usize, room: usize) -> Option<()> {
    if all.len() == all.capacity() && !grow(all, expected.max(all.len() / 2).max(2), 1, room) {
        return None;
    }
    all.push(value);
    Some(())
}

/// Makes room for `wanted` more, or for as many as may be, but no fewer than `least`.
fn grow<T>(all: &mut Vec<T>, wanted: usize, least: usize, room: usize) -> bool {
    let wanted = wanted.min(room / size_of::<T>());
    if wanted >= least {
        all.reserve_exact(wanted);
    }
    wanted >= least
}

#[cfg(test)]
mod tests;
