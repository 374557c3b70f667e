//! What is done for each span, or for each request before its spans are known: compiled for speed.
//!
//! The layers stand in `src/lib.rs`. What belongs here must not know what is in `cold.rs`, and has no socket.

pub mod follow;
pub mod join;
pub mod model;
pub mod pipeline;
pub mod queue;
pub mod rules;
pub mod semantics;
pub mod telemetry;
pub mod watch;
pub mod wire;
