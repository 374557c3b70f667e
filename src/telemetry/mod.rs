//! What we say about ourselves.

pub mod logs;
pub mod meters;

pub use meters::Meters;
