//! What is done once, or when somebody looks: compiled as small as can be.
//!
//! The layers stand in `src/lib.rs`. Nothing here is run for a span or a request; what would be belongs in `hot.rs` or
//! `edge.rs`, whose modules are named here too, so that `crate::` means the same.

pub use spandrel_edge::{export, receive};
pub use spandrel_hot::{follow, join, model, pipeline, queue, rules, semantics, telemetry, watch, wire};

pub mod cli;
pub mod config;
pub mod page;
pub mod service;
