//! What the benches share: the requests they send, with fresh ids each time.
//!
//! Every bench measures the same spans, so that a figure of one can be held against a figure of another.

#![allow(dead_code, unused_imports, reason = "a toolbox: not every bench uses every tool")]

pub mod baseline;
mod content;
pub mod lane;
mod records;
mod spans;
mod template;

pub use content::Content;
pub use spans::SESSION;
pub use template::Template;

/// What every program that labels is told to write.
pub const ENVIRONMENT: &str = "production";
pub const RELEASE: &str = "bench-4f1d0c2";
