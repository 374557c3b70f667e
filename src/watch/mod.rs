//! Joined traces on their way to whoever looks: what lanes hand over, and how.
//!
//! Lanes only ask [`Watchers::wanted`] and call [`Watchers::offer`]. Nothing is read or shown here: that is `page`'s,
//! on its own threads.

pub mod joined;
pub mod recent;
#[cfg(test)]
mod testing;
pub mod watchers;

pub use joined::JoinedTrace;
pub use watchers::{Kind, LOOKERS_MAX, Looking, TooMany, Watchers};
