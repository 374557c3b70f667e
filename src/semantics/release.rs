//! Where a span or its resource names the release it runs.

use super::{RESOURCE_ATTRIBUTES, SPAN_ATTRIBUTES, best, said};

/// Best first: Langfuse's and InteractiveAI's key, then OpenTelemetry's for the service (semantic
/// conventions, "service.version").
pub const KEYS: [&str; 2] = ["langfuse.release", "service.version"];

/// The release a span was made by, by the bodies of its Span and Resource messages.
pub fn of<'a>(span: &'a [u8], resource: &'a [u8]) -> Option<&'a str> {
    best(said(&KEYS, span, SPAN_ATTRIBUTES), said(&KEYS, resource, RESOURCE_ATTRIBUTES))
}
