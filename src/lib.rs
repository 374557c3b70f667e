//! Spandrel: OTLP in, whole and labelled traces out.
//!
//! The modules stand in layer order; a file imports only from layers below its own
//! (`tests/it/tidy.rs` reads the `use crate::` lines and says which one goes up).
//!
//! A span's journey, in the words of the modules that carry it:
//! `receive` takes a request off a socket and makes it protobuf bytes;
//! `wire` checks those bytes in one walk and indexes the spans;
//! `queue` offers the request to the lane that owns the trace, never blocking;
//! `join` holds spans until their trace is whole, and log records until their span leaves;
//! `semantics` reads what the spans say of environment and release;
//! `rules` turn that and the configuration into edits, spliced into the bytes;
//! `queue` closes a batch by size or age;
//! `export` sends it, reads the verdict, and settles every item;
//! `telemetry` has counted each of these steps.

// L0: bytes <-> views. No I/O, no clock, no async, no panic on any input.
pub mod wire;
// L1: nouns.
pub mod model;
// L1, above them: what we say about ourselves.
pub mod telemetry;
// L1, beside it: files that change under us.
pub mod follow;
// L2: what spans mean.
pub mod semantics;
// L2, above it: what the user wants changed.
pub mod rules;
// L3: the join. Pure: `now` is passed in.
pub mod join;
// L4: bounded queues between the parts.
pub mod queue;
// L5: the edges. They never see each other.
pub mod export;
pub mod page;
pub mod receive;
// L6: the user's file -> a checked plan.
pub mod config;
// L7: everything put together.
pub mod pipeline;
// L8: the commands.
pub mod cli;
