//! Any bytes: accept and refuse agree with prost, but for the differences listed in `oracle`; the index of
//! what is accepted says what prost says; and cutting out what was refused leaves the rest as it was.

use spandrel::wire::walk::keep_good;
use spandrel::wire::{Detail, Limits, Signal, walk};

use super::oracle::{index_agrees, verdict_agrees};

pub fn check(input: &[u8]) {
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        verdict_agrees(signal, input);
    }
    let limits = Limits { index_bytes: 1 << 20, ..Limits::default() };
    for signal in Signal::ALL {
        let blocks = walk(signal, input, Detail::Blocks, &limits);
        let Ok(index) = walk(signal, input, Detail::Spans, &limits) else { continue };
        let blocks = blocks.expect("a request that can be indexed in full can be indexed in part");
        assert_eq!((blocks.items, blocks.refused.items), (index.items, index.refused.items));

        for range in &index.pieces {
            assert!(range.at as usize + range.len as usize <= input.len());
        }
        if signal == Signal::Traces {
            assert_eq!(index.spans.len() as u64, index.items);
            if index.refused.items == 0 {
                index_agrees(input);
            }
        }
        let Ok(good) = keep_good(signal, input, &limits) else { continue };
        let again = walk(signal, &good, Detail::Spans, &limits).expect("what was kept can be walked");
        assert_eq!((again.items, again.refused.items), (index.items, 0));
    }
}
