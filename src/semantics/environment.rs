//! Where a span or its resource names the deployment environment.

use super::{RESOURCE_ATTRIBUTES, SPAN_ATTRIBUTES, best, said};

/// Best first: Langfuse's and InteractiveAI's SDKs write the first on the resource and on every span; the
/// second is OpenTelemetry's (semantic conventions 1.27), the third its deprecated form, still read.
pub const KEYS: [&str; 3] = ["langfuse.environment", "deployment.environment.name", "deployment.environment"];

/// The environment a span belongs to, by the bodies of its Span and Resource messages.
pub fn of<'a>(span: &'a [u8], resource: &'a [u8]) -> Option<&'a str> {
    best(said(&KEYS, span, SPAN_ATTRIBUTES), said(&KEYS, resource, RESOURCE_ATTRIBUTES))
}

/// The most characters Langfuse keeps of an environment.
const NORMAL_MAX: usize = 40;

/// A value as Langfuse's server has it, worked out here so that every span of a trace has the same: lower case,
/// without `langfuse-` or `langfuse_` in front, at most 40 characters of `a-z`, `0-9`, `-` and `_`. What is
/// none of that is `default`.
pub fn normal(value: &[u8]) -> String {
    let lower = String::from_utf8_lossy(value).to_lowercase();
    let mut rest = lower.as_str();
    while let Some(shorter) = rest.strip_prefix("langfuse-").or_else(|| rest.strip_prefix("langfuse_")) {
        rest = shorter;
    }
    let kept: String = rest.chars().take(NORMAL_MAX).collect();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let is_good = !kept.is_empty() && !kept.starts_with("langfuse") && kept.chars().all(good);
    if is_good { kept } else { "default".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn langfuses_rule_for_environments() {
        let check = |value: &str, expect: &str| assert_eq!(normal(value.as_bytes()), expect, "{value:?}");
        check("production", "production");
        check("Staging_2", "staging_2");
        check("langfuse-langfuse_qa", "qa");
        check("LANGFUSE-QA", "qa");
        check(&"a".repeat(41), &"a".repeat(40));
        for bad in ["", "langfuse", "langfuse-", "langfusex", "eu west", "größe", "a.b"] {
            check(bad, "default");
        }
    }
}
