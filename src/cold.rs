//! What is done for each request, each batch, or once: compiled for size.
//!
//! The layers stand in `src/lib.rs`. Nothing here is run for each span; what would be belongs in `hot.rs`, whose
//! modules are named here too, so that `crate::` means the same in both.

pub use spandrel_hot::{follow, join, model, pipeline, queue, rules, semantics, telemetry, watch, wire};

pub mod cli;
pub mod config;
pub mod export;
pub mod page;
pub mod receive;
pub mod service;
