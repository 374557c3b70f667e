//! See `src/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spandrel_fuzz::config::check(input));
