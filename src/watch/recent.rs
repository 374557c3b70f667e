//! The latest joined traces, in bounded memory: the oldest go when a new one needs room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::JoinedTrace;
use crate::wire::TraceId;

/// The latest traces, newest last. Bytes are counted as they are really held: each body is a copy of
/// its own, so that a small trace never pins the chunk it was written in.
#[derive(Debug)]
pub struct Recent {
    bytes_max: usize,
    bytes: usize,
    traces: VecDeque<Arc<JoinedTrace>>,
}

impl Recent {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, traces: VecDeque::new() }
    }

    /// Keeps a copy. Returns how many traces went for it: older ones, or itself when it alone is
    /// larger than everything kept may be.
    pub fn keep(&mut self, trace: &JoinedTrace) -> u64 {
        let size = size(trace);
        if size > self.bytes_max {
            return 1;
        }
        let mut gone = 0;
        while self.bytes + size > self.bytes_max {
            let Some(oldest) = self.traces.pop_front() else { break };
            self.bytes -= self::size(&oldest);
            gone += 1;
        }
        self.bytes += size;
        let body = Bytes::copy_from_slice(&trace.body);
        self.traces.push_back(Arc::new(JoinedTrace { body, ..trace.clone() }));
        gone
    }

    /// At most `most` traces, newest first, each with all its parts that are kept, oldest first.
    pub fn latest(&self, most: usize) -> Vec<Vec<Arc<JoinedTrace>>> {
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        let mut latest: Vec<Vec<Arc<JoinedTrace>>> = Vec::new();
        for part in self.traces.iter().rev() {
            match places.get(&part.trace) {
                Some(&at) => latest[at].push(part.clone()),
                None if latest.len() < most => {
                    places.insert(part.trace, latest.len());
                    latest.push(vec![part.clone()]);
                }
                None => {}
            }
        }
        latest.iter_mut().for_each(|parts| parts.reverse());
        latest
    }

    /// All kept parts of one trace, oldest first: late spans leave as a part of their own.
    pub fn parts(&self, trace: TraceId) -> Vec<Arc<JoinedTrace>> {
        self.traces.iter().filter(|t| t.trace == trace).cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.traces.len()
    }

    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// Bytes held, overhead included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What one trace costs: all it holds, its two counts and its place in the row.
fn size(trace: &JoinedTrace) -> usize {
    trace.bytes() + 4 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::trace_of;

    #[test]
    fn the_oldest_goes_first_and_the_bound_holds() {
        let one = trace_of(1, 1000);
        let mut recent = Recent::new(3 * size(&one));
        let gone: u64 = (1..=5).map(|n| recent.keep(&trace_of(n, 1000))).sum();
        assert_eq!(gone, 2);
        assert_eq!(recent.bytes(), 3 * size(&one));
        let left: Vec<u8> = recent.latest(10).iter().map(|parts| parts[0].trace.0[15]).collect();
        assert_eq!(left, [5, 4, 3], "newest first");
        assert_eq!(recent.latest(2).len(), 2);
    }

    #[test]
    fn a_large_trace_takes_the_place_of_several_small_ones() {
        let mut recent = Recent::new(4 * size(&trace_of(1, 1000)));
        (1..=4).for_each(|n| assert_eq!(recent.keep(&trace_of(n, 1000)), 0));
        assert_eq!(recent.keep(&trace_of(9, 2500)), 3);
        assert_eq!(recent.len(), 2);
        assert!(recent.bytes() <= 4 * size(&trace_of(1, 1000)));
    }

    #[test]
    fn a_trace_larger_than_everything_kept_is_not_kept_and_throws_nothing_out() {
        let mut recent = Recent::new(5000);
        recent.keep(&trace_of(1, 100));
        assert_eq!(recent.keep(&trace_of(2, 10_000)), 1);
        assert_eq!(recent.latest(10).len(), 1);
        assert_eq!(recent.latest(10)[0][0].trace, trace_of(1, 0).trace);
    }

    #[test]
    fn a_kept_body_is_a_copy_of_its_own() {
        let chunk = Bytes::from(vec![7; 100_000]);
        let mut recent = Recent::new(5000);
        recent.keep(&JoinedTrace { body: chunk.slice(10..20), ..trace_of(1, 0) });
        assert!(chunk.is_unique(), "nothing of the chunk is pinned");
        assert_eq!(recent.latest(1)[0][0].body.as_ref(), [7; 10]);
    }

    #[test]
    fn parts_of_one_trace_are_found_together() {
        let mut recent = Recent::new(50_000);
        [1, 2, 1].into_iter().for_each(|n| {
            recent.keep(&trace_of(n, 10));
        });
        assert_eq!(recent.parts(trace_of(1, 0).trace).len(), 2);
        assert_eq!(recent.parts(trace_of(3, 0).trace).len(), 0);
        let listed: Vec<_> =
            recent.latest(10).iter().map(|parts| (parts[0].trace.0[15], parts.len())).collect();
        assert_eq!(listed, [(1, 2), (2, 1)]);
    }
}
