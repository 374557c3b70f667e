//! See `src/upstream_reply.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spandrel_fuzz::upstream_reply::check(input));
