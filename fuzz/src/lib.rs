//! What must hold of each parser for any bytes at all. One file a parser, one `check` a file.
//!
//! Two use these: the targets of `fuzz_targets/`, under libFuzzer, and `tests/it/fuzz.rs`, which replays
//! the corpora and mutates them on stable in every run of the tests.

pub mod config;
pub mod frames;
pub mod inflate;
pub mod json_to_protobuf;
pub mod oracle;
pub mod reply;
pub mod rules;
pub mod splice;
pub mod upstream_reply;
pub mod walk;
