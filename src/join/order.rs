//! The order in which spans leave: a function of the spans alone, never of how they came.
//!
//! Roots first, then spans whose parent is not here, each followed by its whole subtree; siblings by
//! (start, span id). Spans that name each other in a ring are reached from no root: they come last,
//! each ring cut before its first span. Blocks stand in the order of their first span.
//!
//! All work is linear but for one sort; the vectors are kept between traces. What was worked out for a trace just like
//! this one is taken as it is (`patterns`).

use std::rc::Rc;

use super::trace::{Record, Trace};
use crate::wire::SpanId;

const NONE: u32 = u32::MAX;
/// Scratch larger than this many records is given back after use.
pub(super) const KEEP_MAX: usize = 4096;

/// What is worked out of one trace, as indices into its records.
#[derive(Clone, Debug, Default)]
pub(super) struct Worked {
    /// Each record's parent, `NONE` when it is not here.
    parent: Vec<u32>,
    /// Records in the order they leave.
    ranked: Vec<u32>,
    /// The same, gathered by block.
    gathered: Vec<u32>,
    /// In the order of their first spans.
    blocks: Vec<Gathered>,
}

/// A block of a trace as it leaves: which of the trace's it is, and where its records are among those gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered {
    pub block: u32,
    pub from: u32,
    pub to: u32,
}

/// The tree of one trace.
#[derive(Debug, Default)]
pub(super) struct Order {
    own: Worked,
    /// What was worked out of a trace just like this one.
    recalled: Option<Rc<Worked>>,
    /// Records by (start, id), which stand beside the index so that sorting looks nowhere else.
    sorted: Vec<(u64, u64, u32)>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    /// The place of each of the trace's blocks among those that leave.
    places: Vec<u32>,
    /// Spans that are part of a ring.
    pub cycles: u32,
    /// Spans whose named parent is not here and has not left before.
    pub orphans: u32,
}

impl Order {
    /// Finds every span's parent. What was worked out before is forgotten.
    pub fn link(&mut self, trace: &Trace) {
        (self.orphans, self.recalled) = (0, None);
        self.own.parent.clear();
        // Siblings mostly come one after the other.
        let mut last = (SpanId::NONE, None);
        for record in &trace.records {
            if record.parent != last.0 {
                last = (record.parent, trace.find(record.parent));
            }
            let parent = last.1;
            self.orphans += u32::from(parent.is_none() && trace.needs(record).is_some());
            self.own.parent.push(parent.unwrap_or(NONE));
        }
    }

    /// Takes what was worked out of a trace that was just like the one to be looked at, with no orphans and no rings; but
    /// for its order, unless its siblings stand `in_order`.
    pub fn recall(&mut self, worked: &Rc<Worked>, in_order: bool) {
        (self.orphans, self.cycles, self.recalled) = (0, 0, None);
        if in_order {
            self.recalled = Some(worked.clone());
        } else {
            self.own.parent.clone_from(&worked.parent);
        }
    }

    /// Works the order out, of the trace that was linked last, if it was not recalled.
    pub fn work_out(&mut self, trace: &Trace) {
        if self.recalled.is_some() {
            return;
        }
        self.list_children(&trace.records);
        self.own.ranked.clear();
        self.cycles = 0;
        self.walk_from_tops(&trace.records);
        if self.own.ranked.len() < trace.records.len() {
            self.walk_rings();
        }
        self.gather(trace);
    }

    fn worked(&self) -> &Worked {
        self.recalled.as_deref().unwrap_or(&self.own)
    }

    /// What was worked out, to be recalled.
    pub fn keep(&self) -> Worked {
        self.worked().clone()
    }

    /// Records in the order they leave.
    pub fn ranked(&self) -> &[u32] {
        &self.worked().ranked
    }

    /// The same, gathered by block: the blocks in the order of their first records, and all records.
    pub fn gathered(&self) -> (&[Gathered], &[u32]) {
        (&self.worked().blocks, &self.worked().gathered)
    }

    /// The record that is the parent of record `at`, if it is here and until a ring is cut.
    pub fn parent_of(&self, at: u32) -> Option<u32> {
        self.worked().parent.get(at as usize).copied().filter(|&parent| parent != NONE)
    }

    /// Pairs of records that stand next to each other among the children of one parent, among the roots, or among those
    /// whose parent is not here. Of a trace that was worked out, not recalled.
    pub fn neighbours(&self, records: &[Record]) -> Vec<(u32, u32)> {
        // The last two places are those of the roots and of those without a parent.
        let mut last = vec![NONE; records.len() + 2];
        let mut pairs = Vec::new();
        for &(_, _, at) in &self.sorted {
            let place = match self.own.parent[at as usize] {
                NONE if records[at as usize].parent.is_none() => records.len(),
                NONE => records.len() + 1,
                parent => parent as usize,
            };
            let before = std::mem::replace(&mut last[place], at);
            if before != NONE {
                pairs.push((before, at));
            }
        }
        pairs
    }

    /// Gives back what an unusually large trace needed.
    pub fn trim(&mut self) {
        if self.own.parent.capacity() > KEEP_MAX {
            *self = Self::default();
        }
    }

    /// Gathers the records by block.
    fn gather(&mut self, trace: &Trace) {
        let Worked { ranked, gathered, blocks, .. } = &mut self.own;
        self.places.clear();
        self.places.resize(trace.blocks.len(), NONE);
        blocks.clear();
        let block_of = |at: u32| trace.records.get(at as usize).map_or(0, |record| record.block);
        for &at in &*ranked {
            let block = block_of(at);
            let place = &mut self.places[block as usize];
            if *place == NONE {
                *place = blocks.len() as u32;
                blocks.push(Gathered { block, from: 0, to: 0 });
            }
            blocks[*place as usize].to += 1;
        }
        let mut from = 0;
        for block in &mut *blocks {
            let count = block.to;
            (block.from, block.to) = (from, from);
            from += count;
        }
        gathered.clear();
        gathered.resize(ranked.len(), NONE);
        for &at in &*ranked {
            let place = &mut blocks[self.places[block_of(at) as usize] as usize].to;
            gathered[*place as usize] = at;
            *place += 1;
        }
    }

    fn list_children(&mut self, records: &[Record]) {
        let count = records.len();
        for list in [&mut self.first_child, &mut self.next_sibling] {
            list.clear();
            list.resize(count, NONE);
        }
        self.sorted.clear();
        let rank = |(record, at): (&Record, u32)| (record.start, u64::from_be_bytes(record.id.0), at);
        self.sorted.extend(records.iter().zip(0..).map(rank));
        self.sorted.sort_unstable();
        // Backwards, each pushed to the front: every list of children ends up sorted.
        for &(_, _, at) in self.sorted.iter().rev() {
            let parent = self.own.parent[at as usize];
            if parent != NONE {
                self.next_sibling[at as usize] = self.first_child[parent as usize];
                self.first_child[parent as usize] = at;
            }
        }
    }

    fn walk_from_tops(&mut self, records: &[Record]) {
        for roots in [true, false] {
            for nth in 0..self.sorted.len() {
                // Mostly all hang on the roots, and those are the first.
                if self.own.ranked.len() == records.len() {
                    return;
                }
                let (_, _, top) = self.sorted[nth];
                let is_root = records[top as usize].parent.is_none();
                if self.own.parent[top as usize] == NONE && is_root == roots {
                    self.walk(top);
                }
            }
        }
    }

    /// Places `top` and its descendants, parents first.
    fn walk(&mut self, top: u32) {
        let mut at = top;
        loop {
            self.own.ranked.push(at);
            if self.first_child[at as usize] != NONE {
                at = self.first_child[at as usize];
                continue;
            }
            while at != top && self.next_sibling[at as usize] == NONE {
                at = self.own.parent[at as usize];
            }
            if at == top {
                return;
            }
            at = self.next_sibling[at as usize];
        }
    }

    /// What no top leads to hangs on rings.
    fn walk_rings(&mut self) {
        // Which walk up the parents came by, so that a walk knows its own trail from older ones.
        let mut trail = vec![NONE; self.sorted.len()];
        let mut place = vec![0u32; self.sorted.len()];
        self.sorted.iter().zip(0..).for_each(|(&(_, _, at), nth)| place[at as usize] = nth);
        let (mut placed, mut seen) = (vec![false; self.sorted.len()], 0);
        for nth in 0..self.sorted.len() {
            self.own.ranked[seen..].iter().for_each(|&at| placed[at as usize] = true);
            seen = self.own.ranked.len();
            let (_, _, mut at) = self.sorted[nth];
            while !placed[at as usize] && trail[at as usize] == NONE {
                trail[at as usize] = nth as u32;
                at = self.own.parent[at as usize];
            }
            if placed[at as usize] || trail[at as usize] != nth as u32 {
                continue;
            }
            let (first, length) = self.ring_through(at, &place);
            self.cycles += length;
            self.cut(first);
            self.walk(first);
        }
    }

    /// The first span of the ring that `start` is part of, and how many it has.
    fn ring_through(&self, start: u32, place: &[u32]) -> (u32, u32) {
        let (mut first, mut at, mut length) = (start, self.own.parent[start as usize], 1);
        while at != start {
            if place[at as usize] < place[first as usize] {
                first = at;
            }
            at = self.own.parent[at as usize];
            length += 1;
        }
        (first, length)
    }

    /// Takes `child` off its parent's list: it becomes a top.
    fn cut(&mut self, child: u32) {
        let parent = std::mem::replace(&mut self.own.parent[child as usize], NONE);
        let next = std::mem::replace(&mut self.next_sibling[child as usize], NONE);
        if self.first_child[parent as usize] == child {
            self.first_child[parent as usize] = next;
            return;
        }
        let mut at = self.first_child[parent as usize];
        while at != NONE && self.next_sibling[at as usize] != child {
            at = self.next_sibling[at as usize];
        }
        if at != NONE {
            self.next_sibling[at as usize] = next;
        }
    }
}
