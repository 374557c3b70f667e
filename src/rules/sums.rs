//! What a trace adds up to, as attributes for its root: `spandrel.trace.*`.
//!
//! Tokens and cost stand only where somebody says them. Costs are doubles here, because attributes know no
//! decimals.

use crate::semantics::SPAN_ATTRIBUTES;
use crate::semantics::rollup::Trace;
use crate::wire::attr::{Attr, Value};

/// What every key begins with.
pub const PREFIX: &str = "spandrel.trace.";

/// The attributes, laid down as fields of a span.
pub fn of(trace: &Trace<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |key: &str, value: Value<'_>| {
        Attr { key: [PREFIX, key].concat().as_bytes(), value }.put(SPAN_ATTRIBUTES, &mut out);
    };
    let int = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    put("spans", int(trace.observation_count));
    put("services", int(trace.services.len() as u64));
    put("errors", int(trace.errors.into()));
    put("duration_ms", Value::Double(trace.latency.as_secs_f64() * 1e3));
    if !trace.usage.is_empty() {
        let tokens = trace.usage.tokens();
        put("tokens.input", int(tokens.input));
        put("tokens.output", int(tokens.output));
    }
    if let Some(cost) = trace.cost {
        put("cost", Value::Double(cost.total.to_f64()));
    }
    out
}
