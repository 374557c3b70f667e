//! Who is whose parent among the spans of a trace, whatever they claim.
//!
//! Every span stands in the tree once: missing parents and rings of parents make their span a top-level
//! one. Iterative, since depth is whatever a caller sends.

use std::collections::HashMap;

use crate::wire::SpanId;

/// Places of spans, as indices into the list it was made of.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Depth first; siblings in the order of the list.
    pub order: Vec<usize>,
    /// `None` at the top.
    pub parent: Vec<Option<usize>>,
    pub depth: Vec<u32>,
    pub children: Vec<Vec<usize>>,
    /// The parent is named and not in the trace.
    pub orphan: Vec<bool>,
}

impl Tree {
    /// Of (id, parent) pairs. Of equal ids the first is the parent that is meant.
    pub fn of(spans: &[(SpanId, SpanId)]) -> Self {
        let mut at: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (n, (id, _)) in spans.iter().enumerate() {
            at.entry(*id).or_insert(n);
        }
        let named = |parent: &SpanId| if parent.is_none() { None } else { Some(at.get(parent).copied()) };
        let claims: Vec<_> = spans.iter().map(|(_, parent)| named(parent)).collect();
        let mut tree = Self {
            order: Vec::with_capacity(spans.len()),
            parent: claims.iter().map(|claim| claim.flatten()).collect(),
            depth: vec![0; spans.len()],
            children: vec![Vec::new(); spans.len()],
            orphan: claims.iter().map(|claim| *claim == Some(None)).collect(),
        };
        tree.cut_rings();
        for (n, parent) in tree.parent.iter().enumerate() {
            if let Some(children) = parent.and_then(|parent| tree.children.get_mut(parent)) {
                children.push(n);
            }
        }
        tree.walk();
        tree
    }

    /// The first span of each ring loses its parent.
    fn cut_rings(&mut self) {
        // 0: not seen; else the walk that saw it.
        let mut seen = vec![0; self.parent.len()];
        for start in 0..self.parent.len() {
            let mut at = start;
            while seen[at] == 0 {
                seen[at] = start + 1;
                let Some(parent) = self.parent[at] else { break };
                if seen[parent] == start + 1 {
                    self.cut(parent);
                    break;
                }
                at = parent;
            }
        }
    }

    /// `member` is in a ring: the first of it, in the order of the list, becomes a top.
    fn cut(&mut self, member: usize) {
        let (mut first, mut at) = (member, member);
        while let Some(parent) = self.parent[at].filter(|parent| *parent != member) {
            first = first.min(parent);
            at = parent;
        }
        self.parent[first] = None;
    }

    fn walk(&mut self) {
        let mut open: Vec<usize> =
            (0..self.parent.len()).rev().filter(|n| self.parent[*n].is_none()).collect();
        while let Some(at) = open.pop() {
            self.order.push(at);
            for child in self.children[at].iter().rev() {
                self.depth[*child] = self.depth[at].saturating_add(1);
                open.push(*child);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(spans: &[(u8, u8)]) -> Tree {
        let id = |n: u8| SpanId([0, 0, 0, 0, 0, 0, 0, n]);
        Tree::of(&spans.iter().map(|(a, b)| (id(*a), id(*b))).collect::<Vec<_>>())
    }

    #[test]
    fn children_follow_their_parents() {
        let tree = tree(&[(1, 0), (2, 1), (3, 1), (4, 2), (5, 9)]);
        assert_eq!(tree.order, [0, 1, 3, 2, 4]);
        assert_eq!(tree.depth, [0, 1, 1, 2, 0]);
        assert_eq!(tree.orphan, [false, false, false, false, true]);
    }

    #[test]
    fn a_ring_is_entered_at_its_first_span_and_everybody_stands_once() {
        let tree = tree(&[(9, 2), (1, 3), (2, 1), (3, 2), (4, 4)]);
        let mut all = tree.order.clone();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(tree.parent[1], None);
        assert_eq!(tree.parent[4], None);
        assert_eq!(tree.parent[0], Some(2));
    }
}
