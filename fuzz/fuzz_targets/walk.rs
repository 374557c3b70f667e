//! Any bytes: the walk ends with an index whose ranges lie in the request, and cutting out what it refused
//! leaves a request in which nothing is refused and nothing else is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spandrel::wire::walk::keep_good;
use spandrel::wire::{Detail, Limits, Signal, walk};

fuzz_target!(|input: &[u8]| {
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
        }
        for span in &index.spans {
            assert!(!span.trace.is_none() && !span.span.is_none());
            assert!(span.body.at as usize + span.body.len as usize <= input.len());
            assert!(index.scopes.get(span.scope as usize).is_some());
        }

        let Ok(good) = keep_good(signal, input, &limits) else { continue };
        let again = walk(signal, &good, Detail::Spans, &limits).expect("what was kept can be walked");
        assert_eq!((again.items, again.refused.items), (index.items, 0));
    }
});
