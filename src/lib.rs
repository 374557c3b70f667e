//! Spandrel: OTLP in, whole and labelled traces out.
//!
//! The modules stand in layer order, of three packages (`hot.rs`, `edge.rs`, `cold.rs`); a file imports only from layers
//! below its own (`tests/it/tidy.rs` reads the `use crate::` lines and says which one goes up).
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
pub use spandrel_hot::wire;
// L1: nouns.
pub use spandrel_hot::model;
// L1, above them: what we say about ourselves.
pub use spandrel_hot::telemetry;
// L1, beside it: files that change under us.
pub use spandrel_hot::follow;
// L2: what spans mean.
pub use spandrel_hot::semantics;
// L2, above it: what the user wants changed.
pub use spandrel_hot::rules;
// L3: the join. Pure: `now` is passed in.
pub use spandrel_hot::join;
// L4: bounded queues between the parts.
pub use spandrel_hot::queue;
// L4, beside them: what leaves, for whoever looks.
pub use spandrel_hot::watch;
// L5: the lanes, and the journey on them.
pub use spandrel_hot::pipeline;
// L6: the edges. They never see each other.
pub use spandrel_cold::page;
pub use spandrel_edge::export;
pub use spandrel_edge::receive;
// L7: the user's file -> a checked plan.
pub use spandrel_cold::config;
// L8: everything put together, and followed while it runs.
pub use spandrel_cold::service;
// L9: the commands.
pub use spandrel_cold::cli;
