//! The price table's own tests: published vectors, the rules of matching, and what a wrong file is told.

use super::*;
use crate::semantics::testing::{Make, reading, span};
use crate::semantics::{Observation, doubles};

/// Public prices of 2026, in the published shape.
const TABLE: &str = r#"{"version": "test-1", "models": [
  {"modelName": "gpt-4o-mini", "matchPattern": "(?i)^(openai\/)?(gpt-4o-mini|gpt-4o-mini-2024-07-18)$",
   "pricingTiers": [{"name": "Standard", "isDefault": true, "priority": 0, "conditions": [],
     "prices": {"input": 0.00000015, "input_cached_tokens": 7.5e-8, "output": 0.0000006}}]},
  {"modelName": "gpt-5-mini", "matchPattern": "(?i)^(openai/)?(gpt-5-mini)$",
   "prices": {"input": 2.5e-7, "input_cached_tokens": 2.5e-8, "output": 0.000002, "output_reasoning_tokens": 0.000002,
     "reasoning_tokens": 0.000002}},
  {"modelName": "o3-mini", "matchPattern": "^o3-mini$",
   "prices": {"input": 0.0000011, "input_cached_tokens": 5.5e-7, "output": 0.0000044, "output_reasoning_tokens": 0.0000044}},
  {"modelName": "long", "matchPattern": "^long$", "pricingTiers": [
     {"name": "Standard", "isDefault": true, "priority": 0, "conditions": [], "prices": {"input": 1}},
     {"name": "Both", "priority": 2, "conditions": [
        {"usageDetailPattern": "INPUT", "operator": "gt", "value": 100},
        {"modelParameter": "service_tier", "values": ["priority", "fast"]}], "prices": {"input": 3}},
     {"name": "Large", "priority": 1, "conditions": [{"usageDetailPattern": "^input", "operator": "gte", "value": 200}],
      "prices": {"input": 2}}]},
  {"modelName": "ada", "matchPattern": "^ada$", "prices": {"total": 1e-7}}
]}"#;

fn prices() -> Prices {
    Prices::parse(TABLE.as_bytes()).unwrap()
}

fn cost(model: &str, make: &Make) -> Option<String> {
    reading(make, |observation| {
        let (counted, _) = doubles::apart(&observation.usage());
        let prices = prices();
        let parameter = |name: &str| observation.model_parameter(name).map(Cow::into_owned);
        prices.cost(model, &counted, parameter).map(|cost| cost.total.to_string())
    })
}

/// 120 in, 100 of them cached; 30 out, 10 of them reasoning.
fn sdk() -> Make {
    span(1, 0).with(
        "langfuse.observation.usage_details",
        r#"{"input": 20, "input_cached_tokens": 100, "output": 20, "output_reasoning_tokens": 10}"#,
    )
}

fn openinference() -> Make {
    span(1, 0)
        .with("llm.token_count.prompt", 120)
        .with("llm.token_count.completion", 30)
        .with("llm.token_count.prompt_details.cache_read", 100)
        .with("llm.token_count.completion_details.reasoning", 10)
}

fn openllmetry() -> Make {
    span(1, 0)
        .with("gen_ai.usage.input_tokens", 120)
        .with("gen_ai.usage.output_tokens", 30)
        .with("gen_ai.usage.cache_read.input_tokens", 100)
        .with("gen_ai.usage.reasoning_tokens", 10)
}

#[test]
fn the_worked_vectors_come_out_to_the_last_digit() {
    for make in [sdk(), openinference()] {
        assert_eq!(cost("gpt-4o-mini-2024-07-18", &make).as_deref(), Some("0.0000225"));
        assert_eq!(cost("OpenAI/GPT-5-mini", &make).as_deref(), Some("0.0000675"));
        assert_eq!(cost("o3-mini", &make).as_deref(), Some("0.000209"));
    }
}

#[test]
fn what_counts_twice_on_a_server_counts_once_here() {
    let as_shown = reading(&openllmetry(), |observation: &Observation<'_>| {
        prices().cost("gpt-5-mini", &observation.usage(), |_| None).map(|cost| cost.total.to_string())
    });
    assert_eq!(as_shown.as_deref(), Some("0.0000875"), "29.6 % more");
    assert_eq!(cost("gpt-5-mini", &openllmetry()).as_deref(), Some("0.0000675"));
}

#[test]
fn nothing_is_invented() {
    assert_eq!(cost("gpt-6", &sdk()), None, "an unknown model");
    assert_eq!(cost("o3-mini-high", &sdk()), None, "a pattern is matched as it is anchored");
    assert_eq!(cost("gpt-5-mini", &span(1, 0)), None, "no usage");
    let fish = span(1, 0).with("langfuse.observation.usage_details", r#"{"fish": 3}"#);
    assert_eq!(cost("gpt-5-mini", &fish), None, "no price of any of its keys");
}

#[test]
fn a_price_of_the_total_is_the_total() {
    assert_eq!(cost("ada", &sdk()).as_deref(), Some("0.000015"));
}

#[test]
fn the_first_tier_by_priority_whose_conditions_all_hold_is_used() {
    let usage = |input: u64| {
        span(1, 0).with("langfuse.observation.usage_details", format!(r#"{{"input": {input}}}"#).as_str())
    };
    let fast = |make: Make| make.with("gen_ai.request.service_tier", "fast");
    assert_eq!(cost("long", &usage(10)).as_deref(), Some("10"));
    assert_eq!(cost("long", &usage(150)).as_deref(), Some("150"));
    assert_eq!(cost("long", &fast(usage(150))).as_deref(), Some("450"));
    assert_eq!(cost("long", &fast(usage(100))).as_deref(), Some("100"));
    assert_eq!(cost("long", &fast(usage(200))).as_deref(), Some("400"));
}

#[test]
fn the_newest_start_then_the_longest_pattern_is_asked_first() {
    let entry = |name: &str, pattern: &str, start: &str| {
        format!(
            r#"{{"modelName": "{name}", "matchPattern": "{pattern}", "startDate": {start}, "prices": {{"input": 1}}}}"#
        )
    };
    let all = [
        entry("short", "^m", "null"),
        entry("long", "^m-1", "null"),
        entry("old", "^m-1-exact$", r#""2025-01-01T00:00:00.000Z""#),
        entry("new", "^m-1-e", r#""2026-01-01T00:00:00.000Z""#),
    ];
    let prices = Prices::parse(format!("[{}]", all.join(",")).as_bytes()).unwrap();
    let found = |model: &str| {
        let usage = reading(&sdk(), |observation| observation.usage().get("input"));
        assert_eq!(usage, Some(20));
        reading(&sdk(), |observation| match prices.cost(model, &observation.usage(), |_| None)?.source {
            Source::Table { model, .. } => Some(model.to_owned()),
            Source::Given { .. } => None,
        })
    };
    assert_eq!(found("m-1-exact").as_deref(), Some("new"));
    assert_eq!(found("m-1").as_deref(), Some("long"));
    assert_eq!(found("m").as_deref(), Some("short"));
    assert_eq!(found("x"), None);
}

fn refused(file: &str, expect: &str) {
    assert_eq!(Prices::parse(file.as_bytes()).unwrap_err().to_string(), expect);
}

#[test]
fn a_wrong_file_is_told_the_entry_and_the_field() {
    let entry = |rest: &str| format!(r#"[{{"modelName": "m", "matchPattern": "^m$", {rest}}}]"#);
    let tiers = |tiers: &str| entry(&format!(r#""pricingTiers": [{tiers}]"#));
    refused("{}", "the price file is neither an array of models nor an object with `models`");
    refused("[1]", "price entry 0 (`?`): `entry` is not an object");
    refused("[{}]", "price entry 0 (`?`): `modelName` is missing");
    refused(r#"[{"modelName": "m"}]"#, "price entry 0 (`m`): `matchPattern` is missing");
    refused(
        r#"[{"modelName": "m", "matchPattern": "m(?=x)", "prices": {"input": 1}}]"#,
        "price entry 0 (`m`): `matchPattern` is no pattern that can be matched in linear time: look-around, including look-ahead and look-behind, is not supported",
    );
    refused(&entry(r#""x": 1"#), "price entry 0 (`m`): `pricingTiers` is missing, and so is `prices`");
    refused(
        &entry(r#""prices": {"input": "1"}"#),
        "price entry 0 (`m`): `prices.input` is `\"1\"`; expected a number of USD per token, 0 or more",
    );
    refused(
        &entry(r#""prices": {"input": -1}"#),
        "price entry 0 (`m`): `prices.input` is `-1`; expected a number of USD per token, 0 or more",
    );
    refused(&entry(r#""prices": {}"#), "price entry 0 (`m`): `prices` has no price");
    refused(&tiers(""), "price entry 0 (`m`): `pricingTiers` must have exactly one tier with `isDefault`");
    refused(&tiers(r#"{"isDefault": true}"#), "price entry 0 (`m`): `pricingTiers[0].prices` is missing");
    refused(
        &tiers(r#"{"priority": 1, "prices": {"a": 1}}"#),
        "price entry 0 (`m`): `pricingTiers[0].conditions` must be empty in the default tier, and only there",
    );
    refused(
        &tiers(
            r#"{"conditions": [{"usageDetailPattern": "x", "operator": "~", "value": 1}], "prices": {"a": 1}}"#,
        ),
        "price entry 0 (`m`): `pricingTiers[0].conditions` has the operator `~`; expected gt, gte, lt, lte, eq or neq",
    );
    refused(
        &tiers(r#"{"conditions": [{"moon": "full"}], "prices": {"a": 1}}"#),
        "price entry 0 (`m`): `pricingTiers[0].conditions` has one with neither `usageDetailPattern` nor `modelParameter`",
    );
    let error = Prices::parse(b"[{").unwrap_err().to_string();
    assert!(error.starts_with("the price file is not JSON: EOF"), "{error}");
    assert!(matches!(Prices::parse(&[0xff]), Err(PriceFault::NotJson(_))));
}

#[test]
fn an_exploding_pattern_is_refused_and_a_slow_one_is_not_slow() {
    refused(
        r#"[{"modelName": "m", "matchPattern": "((a{1000}){1000}){1000}", "prices": {"input": 1}}]"#,
        "price entry 0 (`m`): `matchPattern` is no pattern that can be matched in linear time: is too large",
    );
    let file = r#"[{"modelName": "m", "matchPattern": "^(a+)+$", "prices": {"input": 1}}]"#;
    let prices = Prices::parse(file.as_bytes()).unwrap();
    let model = "a".repeat(10_000) + "b";
    reading(&sdk(), |observation| assert_eq!(prices.cost(&model, &observation.usage(), |_| None), None));
}

proptest::proptest! {
    #[test]
    fn no_file_panics(at in 0..TABLE.len(), bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3)) {
        let mut file = TABLE.as_bytes().to_vec();
        file.splice(at..at + 1, bytes);
        let _ = Prices::parse(&file);
    }
}
