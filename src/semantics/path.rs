//! The critical path: the spans that, made shorter, would have made the trace shorter.
//!
//! Read from the end: what a span waited for last is the child that ended last, then what ended before
//! that child began, and so on. A child that outlives its parent counts up to its parent's end.

use super::tree::Tree;

/// Starts and ends of the spans of `tree` (Unix nanoseconds, the end no earlier than the start); gives the
/// path below `root`, as indices, by start.
pub fn critical(tree: &Tree, times: &[(u64, u64)], root: usize) -> Vec<usize> {
    let time = |at: usize| times.get(at).copied().unwrap_or_default();
    let mut path = Vec::new();
    let mut open = vec![(root, time(root).1)];
    while let Some((at, end)) = open.pop() {
        path.push(at);
        let mut children: Vec<(u64, usize)> = tree
            .children
            .get(at)
            .into_iter()
            .flatten()
            .map(|child| (time(*child).1.min(end), *child))
            .filter(|(ends, child)| time(*child).0 <= *ends)
            .collect();
        children.sort_unstable_by(|a, b| b.cmp(a));
        let mut cursor = end;
        for (ends, child) in children {
            if ends <= cursor {
                cursor = time(child).0;
                open.push((child, ends));
            }
        }
    }
    path.sort_by_key(|at| (time(*at).0, *at));
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SpanId;

    #[test]
    fn the_path_goes_through_what_was_waited_for() {
        let id = |n: u8| SpanId([n; 8]);
        // A root with two calls at once and one after them; the slower of the two has a call below.
        let spans = [(id(1), id(0)), (id(2), id(1)), (id(3), id(1)), (id(4), id(1)), (id(5), id(3))];
        let times = [(0, 100), (10, 30), (10, 50), (60, 200), (20, 40)];
        assert_eq!(critical(&Tree::of(&spans), &times, 0), [0, 2, 4, 3]);
    }
}
