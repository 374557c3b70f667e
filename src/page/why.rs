//! Why a trace's spans say what they say, for a terminal: each fact with the span and the attribute it came
//! from, and each parent that was mended.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::Summary;
use super::proto::{Fact, Provenance};
use super::rows::hex;
use super::tree::{count, printable};

/// Parents named at most.
const MENDED_MAX: usize = 20;

/// Lines below the tree, each ended; none when nothing is written on spans.
pub fn render(summary: &Summary) -> String {
    let Some(provenance) = &summary.provenance else { return String::new() };
    let names: HashMap<Vec<u8>, &str> =
        summary.spans.iter().map(|span| (span.id.0.to_vec(), span.name.as_str())).collect();
    let span = |id: &[u8]| match names.get(id) {
        Some(name) => format!("{} ({})", hex(id), printable(name)),
        None => hex(id),
    };
    let mut out = String::new();
    if !provenance.root.is_empty() {
        let _ = writeln!(out, "  why: {} speaks for the trace", span(&provenance.root));
    }
    for fact in &provenance.facts {
        let Fact { what, value, from, key, given } = fact;
        let (value, key) = (printable(value), printable(key));
        let given = count(u64::from(*given), "span");
        let _ = writeln!(out, "  why: {what} {value}: `{key}` of {}, written on {given}", span(from));
    }
    out.push_str(&disputes(provenance));
    let mended = summary.spans.iter().filter(|span| !span.observation.former_parent.is_empty());
    for mended in mended.take(MENDED_MAX) {
        let was = hex(&mended.observation.former_parent);
        let is = if mended.parent.is_none() { "none".to_owned() } else { span(&mended.parent.0) };
        let _ = writeln!(out, "  why: the parent of {} was {was}, now {is}", span(&mended.id.0));
    }
    out
}

fn disputes(provenance: &Provenance) -> String {
    let all = [
        (provenance.disputed, "claim", "a span nearer to the root contradicts"),
        (provenance.left_out, "claim", "too long, too many or of a type nobody reads"),
    ];
    let said = all.into_iter().filter(|(n, _, _)| *n > 0);
    said.map(|(n, what, why)| format!("  why: {} left out: {why}\n", count(u64::from(n), what))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::called;
    use crate::semantics::claims::{Claims, Has};
    use crate::semantics::context::Builder;
    use crate::watch::JoinedTrace;
    use crate::wire::SpanId;
    use crate::wire::attr::{Attr, Value};

    #[test]
    fn each_fact_names_its_span_and_its_attribute_and_who_lacked_it() {
        let mut span = Vec::new();
        for (key, value) in
            [("user.id", "ann"), ("langfuse.trace.tags", "vip"), ("langfuse.trace.metadata.k", "1")]
        {
            Attr { key: key.as_bytes(), value: Value::Str(value.as_bytes()) }.put(9, &mut span);
        }
        let mut builder = Builder::default();
        builder.add(SpanId([1; 8]), &Claims::of(&span), false);
        builder.root(SpanId([9; 8]), || "checkout");
        let given = [Has::USER.with(Has::NAME)].into();
        let trace = JoinedTrace { said: builder.finish(), given, ..called("m", 1, 1, "1") };
        let expect = "  \
  why: 0909090909090909 speaks for the trace
  why: name checkout: `span name` of 0909090909090909, written on 1 span
  why: user ann: `user.id` of 0101010101010101 (chat), written on 1 span
  why: tag vip: `langfuse.trace.tags` of 0101010101010101 (chat), written on 0 spans
  why: metadata.k 1: `langfuse.trace.metadata.k` of 0101010101010101 (chat), written on 0 spans
";
        assert_eq!(render(&Summary::read(&trace)), expect);
        assert_eq!(
            render(&Summary::read(&called("m", 1, 1, "1"))),
            "",
            "nothing is written, nothing to explain"
        );
    }
}
