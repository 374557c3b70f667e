//! What the user wants written: settings compiled once into edits on bytes. Pure.
//!
//! [`labels`] is the short way for what everybody sets. The rest is OTTL, the language of the Collector's
//! transform and filter processors: text (`syntax`) becomes a tree, the tree a program (`compile`), the
//! program looks at one item through its bytes (`scene`) and says what has to become of them. What it decides
//! is the caller's to carry out.

mod arithmetic;
mod civil;
mod clash;
mod compare;
mod compile;
mod converters;
mod draft;
mod editors;
mod engine;
mod entries;
mod frame;
mod functions;
mod grok;
mod group;
mod hash;
mod index;
mod inference;
mod keys;
mod kinship;
pub mod labels;
mod lambda;
pub mod manual;
mod map;
mod mask;
pub mod memo;
pub mod mentions;
mod messages;
mod mistake;
mod names;
pub mod particulars;
mod parts;
pub mod passing;
mod patterns;
mod points;
pub mod presets;
mod program;
mod reader;
mod reading;
mod recall;
mod recast;
mod registers;
mod render;
mod sample;
mod scene;
mod slots;
mod spots;
pub mod stamp;
pub mod sums;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod tracestate;
mod trouble;
mod types;
mod upstreams;
mod value;
pub mod whole;
mod wholes;
mod writing;
mod xml;
mod zones;

pub use compile::headers::readable as readable_header;
pub use engine::{Outcome, Reads, Rules};
pub use frame::{Frame, Request, TraceFacts};
pub use group::{Context, ErrorMode, Group, Part};
pub use mistake::Mistake;
pub use recall::Recalling;
pub use table::{Table, Tables};
pub use trouble::Trouble;
pub use upstreams::Upstreams;
