//! See `src/json_to_protobuf.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spandrel_fuzz::json_to_protobuf::check(input));
