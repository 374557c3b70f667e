//! Where a span says that its tree begins with it, whatever parent it names.

use super::SPAN_ATTRIBUTES;
use crate::wire::SpanId;
use crate::wire::attr::{self, Value};

/// What is to be changed in how a span hangs in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mend {
    /// The parent it named, and the one it is to name; `SpanId::NONE` for none.
    pub parent: Option<(SpanId, SpanId)>,
    /// Its `as_root` is to go: its parent is known, so it is no root.
    pub unmark: bool,
}

/// Langfuse's and InteractiveAI's SDKs write it, as true, on a span whose ids were given by hand
/// (`trace_context`): its parent was made in another process, or not at all, though its flags say local.
///
/// `langfuse.internal.is_app_root` does not say as much: it stands on the first span of a kind the backend wants,
/// whose parent is often a plain one of the same process. It is believed of orphans alone (`join::root`).
pub const AS_ROOT: &str = "langfuse.internal.as_root";

/// Whether the body of a Span message is marked as a root.
pub fn is_marked(span: &[u8]) -> bool {
    attr::find(span, SPAN_ATTRIBUTES, AS_ROOT.as_bytes()) == Some(Value::Bool(true))
}
