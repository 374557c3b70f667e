//! OTLP bytes, read and rewritten in place.
//!
//! Every OTLP signal shares its outer field numbers: request 1 -> resource block (1 resource,
//! 2 scope block, 3 schema_url) -> scope block (1 scope, 2 items, 3 schema_url) -> items; replies
//! alike. So one walker, one splitter, one merger and one reply encoder serve them all.
//!
//! Nothing here does I/O, knows a clock, or panics on any input. Nothing allocates per span.

pub mod attr;
pub mod block;
mod check;
pub mod cuts;
pub mod divide;
pub mod error;
pub mod fields;
pub mod ids;
pub mod index;
pub mod json;
mod keep;
pub mod noted;
pub mod patch;
mod plain;
pub mod record;
mod repeat;
pub mod reply;
pub mod rope;
mod schema;
pub mod signal;
pub mod span;
pub mod splice;
pub mod split;
mod utf8;
pub mod varint;
pub mod walk;

pub use check::strindex_seen;
pub use error::{Fault, Malformed};
pub use ids::{SpanId, TraceId};
pub use rope::{Rope, Sealed};
pub use signal::{Signal, Signals};
pub use walk::{Detail, Index, Limits, walk};
