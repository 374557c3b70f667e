//! What we say about ourselves.

pub mod meters;

pub use meters::Meters;
