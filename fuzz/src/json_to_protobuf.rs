//! Any text: it is refused with a place inside it, or becomes protobuf within the bound, which the walk and
//! prost can follow and which becomes JSON and the same protobuf again.

use spandrel::wire::json::{Options, from_protobuf, to_protobuf_with};
use spandrel::wire::{Detail, Limits, Signal, walk};

use super::oracle::items_by_prost;

const MAX: usize = 64 * 1024;

pub fn check(json: &[u8]) {
    for signal in Signal::ALL {
        for lenient in [false, true] {
            match to_protobuf_with(signal, json, MAX, Options { lenient }) {
                Err(error) => assert!(error.line <= json.len() + 1 && error.column <= json.len() + 1),
                Ok(body) => follow(signal, &body),
            }
        }
        // Also the way back, on bytes that are no request.
        let shown = from_protobuf(signal, json);
        to_protobuf_with(signal, &shown, usize::MAX, Options::default()).expect("our own JSON is valid");
    }
}

fn follow(signal: Signal, body: &[u8]) {
    assert!(body.len() <= MAX);
    let limits = Limits { index_bytes: 1 << 20, ..Limits::default() };
    walk(signal, body, Detail::Spans, &limits).expect("the transcoder writes what can be followed");
    assert!(signal == Signal::Profiles || items_by_prost(signal, body).is_some());
    let json = from_protobuf(signal, body);
    let again =
        to_protobuf_with(signal, &json, usize::MAX, Options::default()).expect("our own JSON is valid");
    assert_eq!(from_protobuf(signal, &again), json);
}
