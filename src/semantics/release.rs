//! Where a span or its resource names the release it runs.

/// OpenTelemetry's key for it (semantic conventions, "service.version").
pub const SERVICE_VERSION: &str = "service.version";

/// Where to look, best first: Langfuse's and InteractiveAI's key, then the one this deployment uses.
pub fn keys(release_key: &str) -> [&str; 2] {
    ["langfuse.release", release_key]
}
