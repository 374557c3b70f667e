//! Where a span or its resource names the deployment environment.

use super::{RESOURCE_ATTRIBUTES, SPAN_ATTRIBUTES, best, said};

/// Best first: Langfuse's and InteractiveAI's SDKs write the first on the resource and on every span; the
/// second is OpenTelemetry's (semantic conventions 1.27), the third its deprecated form, still read.
pub const KEYS: [&str; 3] = ["langfuse.environment", "deployment.environment.name", "deployment.environment"];

/// The environment a span belongs to, by the bodies of its Span and Resource messages.
pub fn of<'a>(span: &'a [u8], resource: &'a [u8]) -> Option<&'a str> {
    best(said(&KEYS, span, SPAN_ATTRIBUTES), said(&KEYS, resource, RESOURCE_ATTRIBUTES))
}
