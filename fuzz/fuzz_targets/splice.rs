//! See `src/splice.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spandrel_fuzz::splice::check(input));
