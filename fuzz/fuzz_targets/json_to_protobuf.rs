//! Any text: it is refused with a place inside it, or becomes protobuf within the bound, which the walk can
//! follow and which becomes JSON and the same protobuf again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spandrel::wire::json::{Options, from_protobuf, to_protobuf_with};
use spandrel::wire::{Detail, Limits, Signal, walk};

const MAX: usize = 64 * 1024;

fuzz_target!(|json: &[u8]| {
    for signal in Signal::ALL {
        for lenient in [false, true] {
            match to_protobuf_with(signal, json, MAX, Options { lenient }) {
                Err(error) => assert!(error.line <= json.len() + 1 && error.column <= json.len() + 1),
                Ok(body) => check(signal, &body),
            }
        }
        // Also the way back, on bytes that are no request.
        let shown = from_protobuf(signal, json);
        to_protobuf_with(signal, &shown, usize::MAX, Options::default()).expect("our own JSON is valid");
    }
});

fn check(signal: Signal, body: &[u8]) {
    assert!(body.len() <= MAX);
    let limits = Limits { index_bytes: 1 << 20, ..Limits::default() };
    walk(signal, body, Detail::Spans, &limits).expect("the transcoder writes what can be followed");
    let json = from_protobuf(signal, body);
    let again = to_protobuf_with(signal, &json, usize::MAX, Options::default()).expect("our own JSON is valid");
    assert_eq!(from_protobuf(signal, &again), json);
}
