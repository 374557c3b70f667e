//! What a person sees: joined traces as trees or JSON lines, the latest of them kept, and the admin port.
//!
//! Everything here is the cold path. Lanes only ask `Watchers::wanted` and call `Watchers::offer`;
//! whoever looks pays for the looking, on its own thread or task.

pub mod line;
pub mod summary;
pub mod tree;

pub use summary::Summary;
