//! What a trace adds up to, as attributes for its root: `spandrel.trace.*`.
//!
//! Tokens and cost stand only where somebody says them. Costs are doubles here, because attributes know no
//! decimals.

use crate::semantics::SPAN_ATTRIBUTES;
use crate::semantics::rollup::Trace;
use crate::wire::attr::{Attr, Value};

/// Every key that may be written.
pub const KEYS: [&str; 7] = [
    "spandrel.trace.spans",
    "spandrel.trace.services",
    "spandrel.trace.errors",
    "spandrel.trace.duration_ms",
    "spandrel.trace.tokens.input",
    "spandrel.trace.tokens.output",
    "spandrel.trace.cost",
];

/// Appends the attributes as fields of a span.
pub fn put(trace: &Trace<'_>, out: &mut Vec<u8>) {
    let [spans, services, errors, duration, input, output, cost] = KEYS;
    let mut put = |key: &str, value: Value<'_>| Attr { key: key.as_bytes(), value }.put(SPAN_ATTRIBUTES, out);
    let int = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    put(spans, int(trace.observation_count));
    put(services, int(trace.services.len() as u64));
    put(errors, int(trace.errors.into()));
    put(duration, Value::Double(trace.latency.as_secs_f64() * 1e3));
    if !trace.usage.is_empty() {
        let tokens = trace.usage.tokens();
        put(input, int(tokens.input));
        put(output, int(tokens.output));
    }
    if let Some(sum) = trace.cost {
        put(cost, Value::Double(sum.total.to_f64()));
    }
}
