//! The rules of usage (semantics, usage normalisation), one by one, and what they make of real calls.

use super::*;
use crate::semantics::rollup::Trace;
use crate::semantics::testing::{Make, block, reading, request, span};

fn check(make: &Make, expect: &[(&str, u64)], tokens: (u64, u64, u64)) {
    reading(make, |observation| {
        let usage = observation.usage();
        assert_eq!(usage.buckets().collect::<Vec<_>>(), expect);
        let Tokens { input, output, total } = usage.tokens();
        assert_eq!((input, output, total), tokens);
    });
}

fn details(text: &str) -> Make {
    span(1, 0).with("langfuse.observation.usage_details", text)
}

fn counts(said: &[(&str, i64)]) -> Make {
    said.iter().fold(span(1, 0), |make, (key, count)| make.with(key, *count))
}

#[test]
fn details_are_taken_as_they_are() {
    check(
        &details(r#"{"input": 20, "output": 5, "total": 99, "fish": 3}"#),
        &[("input", 20), ("output", 5), ("fish", 3)],
        (20, 5, 99),
    );
    check(
        &details(r#"{"input": 20, "input_cached_tokens": 100, "output": 20}"#),
        &[("input", 20), ("input_cached_tokens", 100), ("output", 20)],
        (120, 20, 140),
    );
}

#[test]
fn openais_own_shape_is_rewritten_into_buckets_that_do_not_overlap() {
    let chat = r#"{"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 100}, "completion_tokens_details": {"reasoning_tokens": 10}}"#;
    let buckets =
        [("input", 20), ("input_cached_tokens", 100), ("output", 20), ("output_reasoning_tokens", 10)];
    check(&details(chat), &buckets, (120, 30, 150));
    let responses = chat.replace("prompt_", "input_").replace("completion_", "output_");
    check(&details(&responses), &buckets, (120, 30, 150));
    // With a key of its own it is an object like any other.
    check(
        &details(r#"{"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "x": 1}"#),
        &[("prompt_tokens", 1), ("completion_tokens", 2), ("total_tokens", 3), ("x", 1)],
        (0, 0, 7),
    );
}

#[test]
fn details_of_another_kind_are_empty_and_invalid_ones_fall_through() {
    let tokens = ("gen_ai.usage.input_tokens", 7);
    check(&details("[1]").with(tokens.0, tokens.1), &[], (0, 0, 0));
    check(&details("{\"input\": ").with(tokens.0, tokens.1), &[("input", 7)], (7, 0, 7));
}

#[test]
fn the_conventions_counts_become_buckets_and_parts_are_taken_off() {
    let buckets =
        [("input", 20), ("output", 20), ("input_cached_tokens", 100), ("output_reasoning_tokens", 10)];
    let genai = counts(&[
        ("gen_ai.usage.input_tokens", 120),
        ("gen_ai.usage.output_tokens", 30),
        ("gen_ai.usage.cache_read.input_tokens", 100),
        ("gen_ai.usage.reasoning.output_tokens", 10),
    ]);
    check(&genai, &buckets, (120, 30, 150));
    let openinference = counts(&[
        ("llm.token_count.prompt", 120),
        ("llm.token_count.completion", 30),
        ("llm.token_count.total", 150),
        ("llm.token_count.prompt_details.cache_read", 100),
        ("llm.token_count.completion_details.reasoning", 10),
    ]);
    check(&openinference, &buckets, (120, 30, 150));
    let old = counts(&[
        ("gen_ai.usage.prompt_tokens", 9),
        ("gen_ai.usage.completion_tokens", 2),
        ("llm.usage.total_tokens", 11),
    ]);
    check(&old, &[("input", 9), ("output", 2)], (9, 2, 11));
    let written =
        counts(&[("gen_ai.usage.input_tokens", 10), ("gen_ai.usage.cache_creation.input_tokens", 4)]);
    check(&written, &[("input", 6), ("input_cache_creation", 4)], (10, 0, 10));
}

#[test]
fn the_deprecated_name_is_believed_first_and_no_part_makes_a_whole_negative() {
    check(
        &counts(&[("gen_ai.usage.input_tokens", 1), ("gen_ai.usage.prompt_tokens", 2)]),
        &[("input", 2)],
        (2, 0, 2),
    );
    let more = counts(&[("gen_ai.usage.output_tokens", 5), ("gen_ai.usage.reasoning.output_tokens", 9)]);
    check(&more, &[("output", 0), ("output_reasoning_tokens", 9)], (0, 9, 9));
}

#[test]
fn names_that_nobody_knows_stay_buckets_of_their_own() {
    let openllmetry = counts(&[
        ("gen_ai.usage.input_tokens", 120),
        ("gen_ai.usage.output_tokens", 30),
        ("gen_ai.usage.cache_read_input_tokens", 100),
        ("gen_ai.usage.reasoning_tokens", 10),
    ]);
    let buckets = [("input", 20), ("output", 30), ("input_cached_tokens", 100), ("reasoning_tokens", 10)];
    check(&openllmetry, &buckets, (120, 30, 160));
    let modal = counts(&[("gen_ai.usage.input_tokens", 10), ("gen_ai.usage.text.input_tokens", 10)]);
    check(&modal, &[("input", 10), ("text.input_tokens", 10)], (20, 0, 20));
}

#[test]
fn only_whole_numbers_count_and_text_that_writes_one() {
    check(
        &details(r#"{"a": "12", "b": 1.5, "c": -1, "d": true, "e": null, "f": 2.0, "g": "x"}"#),
        &[("a", 12), ("f", 2)],
        (0, 0, 14),
    );
    let make = span(1, 0)
        .with("gen_ai.usage.input_tokens", "12")
        .with("gen_ai.usage.output_tokens", 1.5)
        .with("gen_ai.usage.total_tokens", -1);
    check(&make, &[("input", 12)], (12, 0, 12));
}

#[test]
fn pydantics_details_are_no_second_count() {
    let make = counts(&[
        ("gen_ai.usage.input_tokens", 10),
        ("gen_ai.usage.details.input_tokens", 10),
        ("gen_ai.usage.details.cache_read_tokens", 4),
    ]);
    let body = request([block(&[], "pydantic-ai", [make])]);
    let trace = Trace::read(&body, None);
    assert_eq!(trace.usage.buckets().collect::<Vec<_>>(), [("input", 6), ("input_cached_tokens", 4)]);
}

#[test]
fn buckets_are_bounded_and_the_rest_is_named() {
    let text = (0..200).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",");
    reading(&details(&format!("{{{text}}}")), |observation| {
        assert_eq!(observation.usage().buckets().count(), Usage::BUCKETS_MAX);
        assert_eq!(observation.complaints().count, 200 - Usage::BUCKETS_MAX as u64);
    });
}
