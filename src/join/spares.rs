//! What traces that have left were held in, kept for those to come: a lane opens and closes tens of
//! thousands of traces a second, and the allocator is slowest at just these sizes.
//!
//! Last in, first out, so that what is used next is still in the processor's cache. Bounded in bytes, and
//! what nobody asked for during [`IDLE`] is given back.

use std::time::Duration;

use super::Scope;
use super::trace::Trace;
use crate::model::{TenantKey, Time};
use crate::wire::TraceId;

/// Chunks larger than this go back to the allocator.
const CHUNK_KEEP_MAX: usize = 8 * 1024;
/// So do traces that had room for more records than this.
const RECORDS_KEEP_MAX: usize = 64;

/// What was too much for this long goes back to the allocator.
const IDLE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Spares {
    #[allow(clippy::vec_box, reason = "the boxes themselves are what is kept")]
    traces: Vec<Box<Trace>>,
    chunks: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
    /// The fewest bytes kept since `trimmed`: so much was not needed.
    unused: usize,
    trimmed: Time,
}

impl Spares {
    pub fn new(bytes_max: usize) -> Self {
        let (traces, chunks) = (Vec::new(), Vec::new());
        Self { traces, chunks, bytes: 0, bytes_max, unused: 0, trimmed: Time::default() }
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A trace with nothing in it.
    pub fn trace(&mut self, id: TraceId, tenant: TenantKey, scope: Scope, now: Time) -> Box<Trace> {
        match self.traces.pop() {
            Some(mut spare) => {
                self.used(spare.cost());
                spare.begin(id, tenant, scope, now);
                spare
            }
            None => Box::new(Trace::new(id, tenant, scope, now)),
        }
    }

    /// An empty chunk with room for `len` bytes; a new one has `size`.
    pub fn chunk(&mut self, len: usize, size: usize) -> Vec<u8> {
        match self.chunks.pop_if(|spare| spare.capacity() >= len) {
            Some(spare) => {
                self.used(spare.capacity());
                spare
            }
            None => Vec::with_capacity(size.max(len)),
        }
    }

    fn used(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.unused = self.unused.min(self.bytes);
    }

    /// Gives back what has not been needed for a while.
    pub fn trim(&mut self, now: Time) {
        if now.since(self.trimmed) < IDLE {
            return;
        }
        let keep = self.bytes - self.unused;
        while self.bytes > keep
            && let Some(chunk) = self.chunks.pop()
        {
            self.bytes -= chunk.capacity();
        }
        while self.bytes > keep
            && let Some(trace) = self.traces.pop()
        {
            self.bytes -= trace.cost();
        }
        (self.unused, self.trimmed) = (self.bytes, now);
    }

    /// Takes back what a trace was held in.
    pub fn put(&mut self, mut trace: Box<Trace>) {
        for mut chunk in trace.chunks.drain(..) {
            if chunk.capacity() <= CHUNK_KEEP_MAX && self.bytes + chunk.capacity() <= self.bytes_max {
                chunk.clear();
                self.bytes += chunk.capacity();
                self.chunks.push(chunk);
            }
        }
        trace.clear();
        if trace.records.capacity() <= RECORDS_KEEP_MAX && self.bytes + trace.cost() <= self.bytes_max {
            self.bytes += trace.cost();
            self.traces.push(trace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(spares: &mut Spares) -> Box<Trace> {
        spares.trace(TraceId([1; 16]), TenantKey::ANONYMOUS, Scope::Trace, Time(7))
    }

    #[test]
    fn what_is_put_back_is_used_again_and_the_books_close() {
        let mut spares = Spares::new(1 << 20);
        let mut first = trace(&mut spares);
        first.chunks.push(spares.chunk(10, 4096));
        spares.put(first);
        assert!(spares.bytes() > 4096);
        assert_eq!(spares.chunk(4000, 1).capacity(), 4096);
        assert_eq!(trace(&mut spares).first, Time(7));
        assert_eq!(spares.bytes(), 0);
    }

    #[test]
    fn it_is_bounded() {
        let mut spares = Spares::new(10_000);
        let many: Vec<_> = (0..10)
            .map(|_| {
                let mut one = trace(&mut spares);
                one.chunks.push(Vec::with_capacity(4096));
                one
            })
            .collect();
        many.into_iter().for_each(|one| spares.put(one));
        assert!(spares.bytes() <= 10_000);
    }

    #[test]
    fn what_nobody_asks_for_is_given_back() {
        let mut spares = Spares::new(1 << 20);
        let held = |spares: &mut Spares| {
            let mut one = trace(spares);
            one.chunks.push(spares.chunk(10, 4096));
            one
        };
        let many: Vec<_> = (0..10).map(|_| held(&mut spares)).collect();
        many.into_iter().for_each(|one| spares.put(one));
        let all = spares.bytes();
        for second in [2, 4] {
            let few = [held(&mut spares), held(&mut spares)];
            few.into_iter().for_each(|one| spares.put(one));
            spares.trim(Time::from_millis(second * 1000));
        }
        assert!((all / 8..all / 3).contains(&spares.bytes()), "{} of {all}", spares.bytes());
        spares.trim(Time::from_millis(6000));
        spares.trim(Time::from_millis(8000));
        assert_eq!(spares.bytes(), 0);
    }

    #[test]
    fn a_large_trace_is_not_kept() {
        let mut spares = Spares::new(1 << 30);
        let mut large = trace(&mut spares);
        large.chunks.push(Vec::with_capacity(CHUNK_KEEP_MAX + 1));
        large.records.reserve(RECORDS_KEEP_MAX + 1);
        spares.put(large);
        assert_eq!(spares.bytes(), 0);
    }
}
