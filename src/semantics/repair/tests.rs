//! What a repair would change, and that a span so changed counts once.

use super::*;
use crate::semantics::testing::{Make, reading, span};

fn check(make: &Make, double: bool, expect: &[(&str, &str)]) {
    reading(make, |observation| {
        let changes = changes(observation, double, double);
        let said: Vec<(&str, String)> = changes
            .into_iter()
            .map(|change| match change {
                Change::Rename { key, to } => (key, to),
                Change::Set { key, text } => (key, text),
            })
            .collect();
        let said: Vec<(&str, &str)> = said.iter().map(|(key, to)| (*key, to.as_str())).collect();
        assert_eq!(said, expect);
    });
}

#[test]
fn a_span_that_counts_once_is_left_alone() {
    let make =
        span(1, 0).with("gen_ai.usage.input_tokens", 120).with("gen_ai.usage.cache_read.input_tokens", 100);
    check(&make, false, &[]);
    check(&span(1, 0), true, &[]);
}

#[test]
fn a_part_under_an_unknown_name_goes_under_the_known_one() {
    let make = span(1, 0)
        .with("gen_ai.usage.input_tokens", 120)
        .with("gen_ai.usage.output_tokens", 30)
        .with("gen_ai.usage.reasoning_tokens", 10);
    check(&make, false, &[("gen_ai.usage.reasoning_tokens", "gen_ai.usage.reasoning.output_tokens")]);
    let make = make.with("gen_ai.usage.text.input_tokens", 120);
    check(
        &make,
        false,
        &[
            ("gen_ai.usage.reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
            ("gen_ai.usage.text.input_tokens", "spandrel.counted_elsewhere.gen_ai.usage.text.input_tokens"),
        ],
    );
}

#[test]
fn details_are_written_anew_in_buckets_that_do_not_overlap() {
    let make = span(1, 0).with(
        "langfuse.observation.usage_details",
        r#"{"input": 120, "output": 30, "input_cached_tokens": 100, "total": 150}"#,
    );
    let expect = r#"{"input":20,"output":30,"input_cached_tokens":100,"total":150}"#;
    check(&make, false, &[("langfuse.observation.usage_details", expect)]);
    check(&span(1, 0).with("langfuse.observation.usage_details", expect), false, &[]);
}

#[test]
fn a_sum_of_others_is_kept_where_nobody_adds_it_up() {
    let make = span(1, 0)
        .with("openinference.span.kind", "AGENT")
        .with("llm.token_count.prompt", 120)
        .with("llm.token_count.total", 150)
        .with("llm.cost.total", 0.5);
    check(
        &make,
        true,
        &[
            ("llm.cost.total", "spandrel.counted_elsewhere.llm.cost.total"),
            ("llm.token_count.prompt", "spandrel.counted_elsewhere.llm.token_count.prompt"),
            ("llm.token_count.total", "spandrel.counted_elsewhere.llm.token_count.total"),
        ],
    );
}
