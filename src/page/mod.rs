//! What a person sees: joined traces as trees or JSON lines, and the admin port.
//!
//! Everything here is the cold path: lanes leave traces in `watch`, and whoever looks pays for the looking, on its
//! own thread or task.

pub mod admin;
mod asked;
pub mod banner;
pub mod console;
pub mod counted;
pub mod inspection;
pub mod line;
pub mod links;
pub mod meaning;
pub mod proto;
pub mod provenance;
pub mod rows;
pub mod scores;
pub mod summary;
#[cfg(test)]
pub mod testing;
pub mod tree;
mod when;
pub mod why;

pub use admin::{Admin, BindError, Shows, Sources};
pub use console::{Console, Form};
pub use summary::Summary;
