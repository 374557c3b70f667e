//! What runs: everything put together from a plan, watched, read again while it runs, and taken apart.

pub mod build;
pub mod reload;
pub mod watch;

pub use build::{LeftOver, Running, Seat, StartError, start};
