//! A whole request taken apart along the borders of what it carries: traces, else resource blocks.
//!
//! The cold path of a batch its upstream refused, or one larger than that upstream takes. Nothing on the hot
//! path remembers whose request an item came in: the body is walked again here, and its own borders are as
//! fine. A block that was passed through came of one request; a trace alone is divided further by resource,
//! since what one process says of one trace came of its own requests. What has no such border is one part,
//! and only [`to_fit`] cuts deeper, between items.
//!
//! Profiles are never divided: their resources share the request's dictionary.

use std::collections::HashMap;

use bytes::Bytes;

use super::block::{self, BlockHead, ScopeBlock};
use super::index::{Index, SpanEntry};
use super::record::RecordView;
use super::{Detail, Limits, Rope, Sealed, Signal, TraceId, split, walk};

/// Room the tag and length of a resource block take, at most.
const BLOCK_OVERHEAD: usize = 12;

/// A request of its own, with some of the items of the one it was part of.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub body: Sealed,
    /// Spans, log records or data points in it.
    pub items: u64,
}

/// The request in two, each with half of its traces or blocks. `None` when it has no border to divide at,
/// or is no request a walk can follow.
pub fn in_two(signal: Signal, request: &Bytes) -> Option<[Part; 2]> {
    let request = Request::of(signal, request)?;
    let units = request.units();
    let (first, second) = units.split_at(units.len() / 2);
    (!first.is_empty()).then(|| [request.part(first), request.part(second)])
}

/// The request in parts of at most `room` bytes, in order: along its borders where they allow, between its
/// items where they do not. A single item larger than that is a part by itself, however large. `None` when
/// that leaves fewer than two parts.
pub fn to_fit(signal: Signal, request: &Bytes, room: usize) -> Option<Vec<Part>> {
    let request = Request::of(signal, request)?;
    let mut parts = Vec::new();
    let mut open: Vec<Unit> = Vec::new();
    let mut len = 0;
    for unit in request.units() {
        if len + unit.len > room && !open.is_empty() {
            parts.push(request.part(&std::mem::take(&mut open)));
            len = 0;
        }
        if unit.len > room {
            request.cut(&unit, room, &mut parts);
        } else {
            len += unit.len;
            open.push(unit);
        }
    }
    if !open.is_empty() {
        parts.push(request.part(&open));
    }
    (parts.len() > 1).then_some(parts)
}

/// The request by where its traces are to go: `place` is asked once for each trace, with the earliest start of
/// its spans here (Unix nanoseconds), and names a place; log records that name a trace go with it, the others to
/// `else_to`. Metrics and profiles are no trace's.
///
/// # Errors
/// The only place, if the request needs no dividing.
pub fn by_place<P: Copy + Eq>(
    signal: Signal,
    request: &Bytes,
    else_to: P,
    mut place: impl FnMut(TraceId, u64) -> P,
) -> Result<Vec<(P, Part)>, P> {
    let request = match signal {
        Signal::Traces | Signal::Logs => Request::of(signal, request).ok_or(else_to)?,
        Signal::Metrics | Signal::Profiles => return Err(else_to),
    };
    let parts = match signal {
        Signal::Traces => request.spans_by_place(else_to, &mut place)?,
        _ => request.records_by_place(else_to, &mut place),
    };
    match parts.as_slice() {
        [(only, _)] => Err(*only),
        [] => Err(else_to),
        _ => Ok(parts),
    }
}

/// What must not be divided if it can be helped: numbers of spans, or of one block.
#[derive(Clone, Debug, Default)]
struct Unit {
    members: Vec<u32>,
    /// Bytes it takes in a request, at most.
    len: usize,
}

struct Request<'a> {
    signal: Signal,
    body: &'a Bytes,
    index: Index,
}

impl<'a> Request<'a> {
    fn of(signal: Signal, body: &'a Bytes) -> Option<Self> {
        if signal == Signal::Profiles {
            return None;
        }
        let index = walk(signal, body, Detail::Spans, &Limits::default()).ok()?;
        // What the edge refused is not in a batch; were it, dividing would lose it without a word.
        (index.refused.items == 0).then_some(Self { signal, body, index })
    }

    /// The traces, or the blocks of the only one; the blocks of what has no traces.
    fn units(&self) -> Vec<Unit> {
        if self.signal != Signal::Traces {
            return self.blocks();
        }
        match self.spans_by(|span| span.trace) {
            one if one.len() < 2 => self.spans_by(|span| self.resource_of(span)),
            several => several,
        }
    }

    fn blocks(&self) -> Vec<Unit> {
        let unit = |(number, block): (usize, &super::index::ResourceEntry)| Unit {
            members: vec![number as u32],
            len: block.block.len as usize + BLOCK_OVERHEAD,
        };
        self.index.resources.iter().enumerate().map(unit).collect()
    }

    /// Spans that have the same of something, in the order in which it first came up.
    fn spans_by<K: std::hash::Hash + Eq>(&self, key: impl Fn(&SpanEntry) -> K) -> Vec<Unit> {
        let mut at: HashMap<K, usize, ahash::RandomState> = HashMap::default();
        let mut units: Vec<Unit> = Vec::new();
        let mut last = Vec::new();
        for (number, span) in (0..).zip(&self.index.spans) {
            let unit = *at.entry(key(span)).or_insert(units.len());
            if unit == units.len() {
                units.push(Unit::default());
                last.push(u32::MAX);
            }
            // Every scope a unit has spans of is written for it.
            if last[unit] != span.scope {
                units[unit].len += self.heads_len(span);
                last[unit] = span.scope;
            }
            units[unit].members.push(number);
            units[unit].len += span.body.len as usize + BLOCK_OVERHEAD;
        }
        units
    }

    fn spans_by_place<P: Copy + Eq>(
        &self,
        else_to: P,
        place: &mut impl FnMut(TraceId, u64) -> P,
    ) -> Result<Vec<(P, Part)>, P> {
        let mut places: Vec<(P, Vec<Unit>)> = Vec::new();
        for unit in self.spans_by(|span| span.trace) {
            let spans = || unit.members.iter().filter_map(|&number| self.index.spans.get(number as usize));
            let Some(trace) = spans().next().map(|span| span.trace) else { continue };
            let start = spans().map(|span| span.start).min().unwrap_or_default();
            let to = place(trace, start);
            match places.iter_mut().find(|(known, _)| *known == to) {
                Some((_, units)) => units.push(unit),
                None => places.push((to, vec![unit])),
            }
        }
        match places.as_slice() {
            // Nothing is copied where nothing is divided.
            [] => Err(else_to),
            [(only, _)] => Err(*only),
            _ => Ok(places.into_iter().map(|(to, units)| (to, self.part(&units))).collect()),
        }
    }

    fn records_by_place<P: Copy + Eq>(
        &self,
        else_to: P,
        place: &mut impl FnMut(TraceId, u64) -> P,
    ) -> Vec<(P, Part)> {
        let mut known: HashMap<TraceId, P, ahash::RandomState> = HashMap::default();
        let mut to = |record: &[u8]| {
            let record = RecordView(record);
            let Some(trace) = record.trace() else { return else_to };
            *known.entry(trace).or_insert_with(|| place(trace, record.time()))
        };
        let mut parts: Vec<(P, Rope, u64)> = Vec::new();
        for entry in &self.index.resources {
            let head = BlockHead::of(self.body, &self.index, &entry.head);
            for (to, scopes, items) in split::scopes_by(entry.block.of(self.body), &mut to) {
                let at = parts.iter().position(|(known, ..)| *known == to).unwrap_or_else(|| {
                    parts.push((to, Rope::default(), 0));
                    parts.len() - 1
                });
                let (_, body, sum) = &mut parts[at];
                block::write_resource_block(&head, scopes, body);
                *sum += items;
            }
        }
        parts.into_iter().map(|(to, body, items)| (to, Part { body: body.into(), items })).collect()
    }

    fn part(&self, units: &[Unit]) -> Part {
        let mut members: Vec<u32> = units.iter().flat_map(|unit| unit.members.iter().copied()).collect();
        members.sort_unstable();
        if self.signal == Signal::Traces {
            self.part_of_spans(&members)
        } else {
            self.part_of_blocks(&members)
        }
    }

    fn part_of_blocks(&self, members: &[u32]) -> Part {
        let (mut body, mut items) = (Rope::default(), 0);
        for entry in members.iter().filter_map(|&number| self.index.resources.get(number as usize)) {
            block::put_block(self.body, entry.block, &mut body);
            items += u64::from(entry.items);
        }
        Part { body: body.into(), items }
    }

    /// Spans in the order of the request, under the heads they had.
    fn part_of_spans(&self, members: &[u32]) -> Part {
        let spans: Vec<&SpanEntry> =
            members.iter().filter_map(|&number| self.index.spans.get(number as usize)).collect();
        let mut body = Rope::default();
        for same in spans.chunk_by(|a, b| self.resource_of(a) == self.resource_of(b)) {
            let scopes = same.chunk_by(|a, b| a.scope == b.scope).map(|spans| self.scope(spans)).collect();
            block::write_resource_block(&self.resource_head(same[0]), scopes, &mut body);
        }
        Part { body: body.into(), items: spans.len() as u64 }
    }

    fn scope(&self, spans: &[&SpanEntry]) -> ScopeBlock {
        let mut items = Rope::default();
        for span in spans {
            block::put_item_part(self.body, span.body.of(self.body), &mut items);
        }
        ScopeBlock { head: self.scope_head(spans[0]), items }
    }

    /// A unit larger than `room`, between its items.
    fn cut(&self, unit: &Unit, room: usize, parts: &mut Vec<Part>) {
        let alone = self.part(std::slice::from_ref(unit)).body.to_bytes();
        let Ok(index) = walk(self.signal, &alone, Detail::Blocks, &Limits::default()) else { return };
        for entry in &index.resources {
            let head = BlockHead::of(&alone, &index, &entry.head);
            let room = room.saturating_sub(head.first.len() + head.rest.len() + BLOCK_OVERHEAD);
            split::parts(self.signal, &alone, entry.block, room, |part| {
                let mut body = Rope::default();
                block::write_resource_block(&head, part.scopes, &mut body);
                parts.push(Part { body: body.into(), items: part.items });
            });
        }
    }

    fn resource_of(&self, span: &SpanEntry) -> u32 {
        self.index.scopes.get(span.scope as usize).map_or(0, |scope| scope.resource)
    }

    fn scope_head(&self, span: &SpanEntry) -> BlockHead {
        let entry = self.index.scopes.get(span.scope as usize);
        entry.map(|entry| BlockHead::of(self.body, &self.index, &entry.head)).unwrap_or_default()
    }

    fn resource_head(&self, span: &SpanEntry) -> BlockHead {
        let entry = self.index.resources.get(self.resource_of(span) as usize);
        entry.map(|entry| BlockHead::of(self.body, &self.index, &entry.head)).unwrap_or_default()
    }

    fn heads_len(&self, span: &SpanEntry) -> usize {
        let heads = [self.resource_head(span), self.scope_head(span)];
        heads.iter().map(|head| head.first.len() + head.rest.len() + BLOCK_OVERHEAD).sum()
    }
}

#[cfg(test)]
mod tests;
