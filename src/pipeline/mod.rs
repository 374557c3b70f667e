//! The lanes: the journey on one screen, from admission to the outboxes.

pub mod journey;
pub mod keep;
pub mod lane;
pub mod live;
mod noted;
mod ruled;
pub mod ruler;
pub mod scoring;
pub mod shelf;
pub mod tally;
#[cfg(test)]
mod tests;
mod write;
