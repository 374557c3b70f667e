//! What is done for each request and each batch: compiled for size, but not at the price of calls.
//!
//! The layers stand in `src/lib.rs`. The modules of `hot.rs` are named here too, so that `crate::` means the same.

pub use spandrel_hot::{follow, join, model, pipeline, queue, rules, semantics, telemetry, watch, wire};

pub mod export;
pub mod receive;
