//! Everything put together: the journey on one screen, start, drain, admin.

pub mod build;
pub mod journey;
pub mod keep;
pub mod lane;
pub mod live;
mod noted;
pub mod reload;
mod ruled;
pub mod ruler;
pub mod scoring;
mod shelf;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod watch;
mod write;

pub use build::{LeftOver, Running, StartError, start};
