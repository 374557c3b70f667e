//! What dropping spans does to the tree of their trace: children move to the nearest ancestor that is kept,
//! and the last root is never lost.
//!
//! A parent that is not in the trace stays named as it was. A ring of spans that are all dropped gives
//! its children no parent.

use hashbrown::HashMap;

use crate::wire::SpanId;

/// One span of a trace, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    pub span: SpanId,
    /// [`SpanId::NONE`] for a root.
    pub parent: SpanId,
    pub dropped: bool,
}

/// Gives every kept span a parent that is kept. Of dropped roots the first one stays when no root would be
/// left; its `dropped` is taken back. Linear in the spans.
pub fn settle(spans: &mut [Kin]) {
    let mut roots = spans.iter().enumerate().filter(|(_, kin)| kin.parent.is_none());
    let first = roots.next().map(|(at, _)| at);
    if !spans.iter().any(|kin| kin.parent.is_none() && !kin.dropped)
        && let Some(root) = first.and_then(|at| spans.get_mut(at))
    {
        root.dropped = false;
    }
    if !spans.iter().any(|kin| kin.dropped) {
        return;
    }
    // The parents of the dropped. Of a span that came twice the kept one counts.
    let mut gone: HashMap<SpanId, SpanId, ahash::RandomState> =
        spans.iter().filter(|kin| kin.dropped).map(|kin| (kin.span, kin.parent)).collect();
    for kept in spans.iter().filter(|kin| !kin.dropped) {
        gone.remove(&kept.span);
    }
    let mut passed = Vec::new();
    for kin in spans.iter_mut().filter(|kin| !kin.dropped) {
        kin.parent = kept_above(kin.parent, &mut gone, &mut passed);
    }
}

/// The nearest kept ancestor from `parent` upwards. The way is shortened for whoever comes along it again.
fn kept_above(
    mut parent: SpanId,
    gone: &mut HashMap<SpanId, SpanId, ahash::RandomState>,
    passed: &mut Vec<SpanId>,
) -> SpanId {
    passed.clear();
    while let Some(next) = gone.get(&parent) {
        passed.push(parent);
        // Longer than all that is gone: a ring.
        parent = if passed.len() > gone.len() { SpanId::NONE } else { *next };
    }
    gone.extend(passed.drain(..).map(|span| (span, parent)));
    parent
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kin(span: u8, parent: u8, dropped: bool) -> Kin {
        let id = |n: u8| if n == 0 { SpanId::NONE } else { SpanId([n; 8]) };
        Kin { span: id(span), parent: id(parent), dropped }
    }

    #[track_caller]
    fn check(before: &[(u8, u8, bool)], after: &[(u8, u8, bool)]) {
        let all = |list: &[(u8, u8, bool)]| list.iter().map(|(s, p, d)| kin(*s, *p, *d)).collect::<Vec<_>>();
        let mut spans = all(before);
        settle(&mut spans);
        assert_eq!(spans, all(after));
    }

    #[test]
    fn children_move_to_the_nearest_kept_ancestor() {
        let before = [(1, 0, false), (2, 1, true), (3, 2, true), (4, 3, false), (5, 2, false)];
        let after = [(1, 0, false), (2, 1, true), (3, 2, true), (4, 1, false), (5, 1, false)];
        check(&before, &after);
    }

    #[test]
    fn the_last_root_is_never_lost() {
        check(&[(1, 0, true), (2, 1, false)], &[(1, 0, false), (2, 1, false)]);
        check(&[(1, 0, true), (2, 1, true)], &[(1, 0, false), (2, 1, true)]);
        // Another root is left, so this one may go, and its child becomes one.
        let two = [(1, 0, true), (2, 0, false), (3, 1, false)];
        check(&two, &[(1, 0, true), (2, 0, false), (3, 0, false)]);
    }

    #[test]
    fn a_parent_elsewhere_stays_named_and_rings_end() {
        check(&[(1, 9, true), (2, 1, false)], &[(1, 9, true), (2, 9, false)]);
        check(&[(1, 2, true), (2, 1, true), (3, 1, false)], &[(1, 2, true), (2, 1, true), (3, 0, false)]);
    }

    proptest! {
        #[test]
        fn no_kept_span_misses_a_parent_that_it_had(
            list in proptest::collection::vec((1_u8..12, 0_u8..14, any::<bool>()), 0..24)
        ) {
            let before: Vec<Kin> = list.iter().map(|(s, p, d)| kin(*s, *p, *d)).collect();
            let mut after = before.clone();
            settle(&mut after);
            let was_there = |id: SpanId| before.iter().any(|kin| kin.span == id);
            let is_there = |id: SpanId| after.iter().any(|kin| kin.span == id && !kin.dropped);
            for (old, new) in before.iter().zip(&after) {
                prop_assert_eq!(old.span, new.span);
                prop_assert!(old.dropped || !new.dropped, "nothing is dropped that was to be kept");
                if !new.dropped && !new.parent.is_none() {
                    prop_assert!(is_there(new.parent) || !was_there(new.parent));
                }
            }
            let had_root = before.iter().any(|kin| kin.parent.is_none());
            prop_assert!(!had_root || after.iter().any(|kin| kin.parent.is_none() && !kin.dropped));
        }
    }
}
