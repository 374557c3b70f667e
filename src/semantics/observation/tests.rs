//! Every place of the table is read, in the order the table gives; what can not be read is named.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::semantics::convention::{Shape, UNREAD, table};
use crate::semantics::testing::{Make, reading, span};
use crate::semantics::{Decimal, Kind, Level};

/// A span on which only `place` speaks, saying its own key where it can say anything.
fn says(make: Make, place: &Place) -> Make {
    match (place.on, place.shape) {
        (On::Event, _) if place.key.ends_with("operation.details") => {
            let said = format!("by {}", place.key);
            make.event(place.key, &[("gen_ai.input.messages", &said), ("gen_ai.output.messages", &said)])
        }
        (On::Event, _) => make.event(place.key, &[("content", &format!("by {}", place.key))]),
        (On::Family, Shape::Count) => make.with(&format!("{}input_tokens", place.key), 7),
        (On::Family, _) => make.with(&format!("{}name", place.key), format!("by {}", place.key).as_str()),
        (_, Shape::Count) => make.with(place.key, 7),
        (_, Shape::Number) => make.with(place.key, 0.5),
        (_, Shape::Truth) => make.with(place.key, true),
        (_, Shape::Object) => make.with(place.key, r#"{"input": 7}"#),
        (_, Shape::Moment) => make.with(place.key, "2026-11-25T14:51:21Z"),
        (_, Shape::List) => make.with(place.key, [format!("by {}", place.key).as_str()]),
        (_, Shape::Word) => make.with(place.key, word_of(place.key)),
        (_, Shape::Text | Shape::Anything) => make.with(place.key, format!("by {}", place.key).as_str()),
    }
}

fn word_of(key: &str) -> &'static str {
    match key {
        "langfuse.observation.type" => "agent",
        "langfuse.observation.level" => "WARNING",
        "openinference.span.kind" => "AGENT",
        "gen_ai.operation.name" => "execute_tool",
        "traceloop.span.kind" => "workflow",
        other => panic!("no word for {other}"),
    }
}

/// What is read of a property, as text: empty where nothing is.
fn read(observation: &Observation<'_>, property: Property) -> String {
    let content = |content: Option<Content<'_>>| content.map(|c| serde_json::to_string(&c).unwrap());
    let pairs =
        |pairs: Vec<(&str, Value<'_>)>| pairs.first().map(|(_, value)| value.text().unwrap().to_owned());
    let said = match property {
        Property::Type => Some(observation.kind().name().to_owned()).filter(|kind| kind != "span"),
        Property::Level => Some(observation.level().name().to_owned()).filter(|level| level != "DEFAULT"),
        Property::StatusMessage => observation.status_message().map(Into::into),
        Property::Name => Some(observation.name().into_owned()).filter(|name| name != "span 1"),
        Property::Model => observation.model().map(Into::into),
        Property::ModelParameters => content(observation.model_parameters()),
        Property::CompletionStart => observation.completion_start().map(|time| time.to_string()),
        Property::PromptName => observation.prompt_name().map(Into::into),
        Property::PromptVersion => observation.prompt_version().map(|version| version.to_string()),
        Property::Input => content(observation.input()),
        Property::Output => content(observation.output()),
        Property::Usage => Some(observation.usage()).filter(|u| !u.is_empty()).map(|u| format!("{u:?}")),
        Property::Cost => observation.given_cost().map(|cost| format!("{cost:?}")),
        Property::User => observation.user().map(Into::into),
        Property::Session => observation.session().map(Into::into),
        Property::Tags => observation.tags().list.first().map(|tag| tag.clone().into_owned()),
        Property::Metadata => pairs(observation.metadata()),
        Property::TraceMetadata => pairs(observation.trace_metadata()),
        Property::Version => observation.version().map(Into::into),
        Property::Environment => observation.environment().map(Into::into),
        Property::Release => observation.release().map(Into::into),
        Property::TraceName => observation.trace_name().map(Into::into),
        Property::TraceInput => content(observation.trace_input()),
        Property::TraceOutput => content(observation.trace_output()),
        Property::Public => observation.public().map(|public| public.to_string()),
        Property::Root => {
            Some(observation.is_as_root() || observation.is_app_root()).map(|is| is.to_string())
        }
    };
    said.unwrap_or_default()
}

#[test]
fn every_place_of_the_table_is_read_when_it_speaks_alone() {
    for place in table().filter(|place| place.on != On::Resource) {
        // Tokens and sides of a cost need no more than a family to be read; see usage and cost.
        if place.property == Property::Cost && place.rank >= UNREAD {
            continue;
        }
        let make = says(span(1, 0), place);
        let said = reading(&make, |observation| read(observation, place.property));
        let complaints = reading(&make, |observation| format!("{:?}", observation.complaints().named));
        let expect_own = matches!(place.shape, Shape::Text | Shape::Anything | Shape::List)
            && !matches!(place.property, Property::Type);
        if expect_own {
            assert!(said.contains(place.key), "{place:?} reads as {said:?}");
        } else if place.key != "operation.name"
            && place.key != "ai.operationId"
            && place.key != "genkit:metadata:subtype"
        {
            assert!(!said.is_empty(), "{place:?} reads as nothing");
        }
        assert_eq!(complaints, "[]", "{place:?}");
    }
}

#[test]
fn where_several_places_speak_the_first_in_rank_is_believed() {
    let texts = [
        Property::StatusMessage,
        Property::Name,
        Property::Model,
        Property::Input,
        Property::Output,
        Property::User,
        Property::Session,
        Property::Tags,
        Property::Version,
        Property::Environment,
        Property::TraceName,
    ];
    for property in texts {
        let mut places: Vec<_> =
            table().filter(|place| place.property == property && place.on != On::Resource).collect();
        places.sort_by_key(|place| place.rank);
        // The worst first on the wire: order there says nothing.
        while let Some(best) = places.first() {
            let make = places.iter().rev().fold(span(1, 0), |make, place| says(make, place));
            let said = reading(&make, |observation| read(observation, property));
            assert!(
                said.contains(&format!("by {}", best.key)),
                "{}: {said:?}, not {}",
                property.name(),
                best.key
            );
            places.remove(0);
        }
    }
}

fn check_kind(said: &[(&str, &str)], expect: Kind) {
    let make = said.iter().fold(span(1, 0), |make, (key, value)| make.with(key, *value));
    assert_eq!(reading(&make, |o| o.kind()), expect, "{said:?}");
}

#[test]
fn types_are_translated_from_every_convention() {
    for kind in Kind::ALL {
        check_kind(&[("langfuse.observation.type", kind.name())], kind);
    }
    for (word, kind) in [
        ("LLM", Kind::Generation),
        ("CHAIN", Kind::Chain),
        ("RETRIEVER", Kind::Retriever),
        ("EMBEDDING", Kind::Embedding),
        ("AGENT", Kind::Agent),
        ("TOOL", Kind::Tool),
        ("GUARDRAIL", Kind::Guardrail),
        ("EVALUATOR", Kind::Evaluator),
        ("RERANKER", Kind::Retriever),
        ("PROMPT", Kind::Chain),
        ("UNKNOWN", Kind::Span),
    ] {
        check_kind(&[("openinference.span.kind", word)], kind);
    }
    for (word, kind) in [
        ("chat", Kind::Generation),
        ("completion", Kind::Generation),
        ("text_completion", Kind::Generation),
        ("generate_content", Kind::Generation),
        ("generate", Kind::Generation),
        ("embeddings", Kind::Embedding),
        ("invoke_agent", Kind::Agent),
        ("create_agent", Kind::Agent),
        ("execute_tool", Kind::Tool),
        ("retrieval", Kind::Retriever),
        ("invoke_workflow", Kind::Chain),
    ] {
        check_kind(&[("gen_ai.operation.name", word)], kind);
    }
    for (word, kind) in
        [("workflow", Kind::Chain), ("agent", Kind::Agent), ("tool", Kind::Tool), ("task", Kind::Span)]
    {
        check_kind(&[("traceloop.span.kind", word)], kind);
    }
}

#[test]
fn an_unknown_type_is_passed_over_for_the_next_convention() {
    let unknown = ("langfuse.observation.type", "poem");
    check_kind(&[unknown], Kind::Span);
    check_kind(
        &[unknown, ("openinference.span.kind", "TOOL"), ("gen_ai.operation.name", "chat")],
        Kind::Tool,
    );
    check_kind(&[("gen_ai.operation.name", "chat"), ("gen_ai.tool.name", "x")], Kind::Generation);
    check_kind(&[("gen_ai.tool.call.id", "x"), ("gen_ai.request.model", "m")], Kind::Tool);
    check_kind(&[unknown, ("llm.model_name", "m")], Kind::Generation);
    check_kind(&[("model", "m")], Kind::Generation);
    // What the server leaves untranslated comes after the model.
    check_kind(&[("openinference.span.kind", "RERANKER"), ("llm.model_name", "m")], Kind::Generation);
    check_kind(&[("reranker.model_name", "m")], Kind::Span);
    check_kind(&[("ai.operationId", "ai.generateText.doGenerate"), ("ai.model.id", "m")], Kind::Generation);
    check_kind(&[("operation.name", "ai.embed.doEmbed fn"), ("ai.model.id", "m")], Kind::Embedding);
    check_kind(&[("operation.name", "ai.toolCall weather")], Kind::Tool);
    check_kind(&[("operation.name", "ai.generateText")], Kind::Span);
}

#[test]
fn levels_come_of_the_attribute_or_else_of_the_status() {
    let failed = span(1, 0).status(2, "boom");
    assert_eq!(reading(&failed, |o| o.level()), Level::Error);
    assert_eq!(
        reading(&failed.clone().with("langfuse.observation.level", "info"), |o| o.level()),
        Level::Default
    );
    assert_eq!(reading(&failed.with("langfuse.observation.level", "loud"), |o| o.level()), Level::Error);
    assert_eq!(reading(&span(1, 0).status(1, ""), |o| o.level()), Level::Default);
}

#[test]
fn a_status_message_is_the_attributes_then_the_statuses_then_the_errors_type() {
    let message = |make: &Make| reading(make, |o| o.status_message().map(Cow::into_owned));
    let make = span(1, 0).with("error.type", "timeout");
    assert_eq!(message(&make).as_deref(), Some("timeout"));
    let make = make.status(2, "boom");
    assert_eq!(message(&make).as_deref(), Some("boom"));
    assert_eq!(message(&make.with("langfuse.observation.status_message", "slow")).as_deref(), Some("slow"));
}

fn check_json(make: &Make, property: Property, expect: serde_json::Value) {
    let said = reading(make, |observation| read(observation, property));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap(), expect);
}

#[test]
fn messages_are_read_from_span_events() {
    let make = span(1, 0)
        .event("gen_ai.system.message", &[("content", "be brief")])
        .event("exception", &[("exception.message", "no")])
        .event("gen_ai.user.message", &[("content", "weather?")])
        .event("gen_ai.choice", &[("message", r#"{"content": "sunny"}"#)]);
    check_json(
        &make,
        Property::Input,
        json!([
            {"event": "gen_ai.system.message", "content": "be brief"},
            {"event": "gen_ai.user.message", "content": "weather?"},
        ]),
    );
    check_json(&make, Property::Output, json!([{"event": "gen_ai.choice", "message": {"content": "sunny"}}]));
    let make = make.event(
        "gen_ai.client.inference.operation.details",
        &[("gen_ai.input.messages", r#"[{"role":"user"}]"#)],
    );
    check_json(&make, Property::Input, json!([{"role": "user"}]));
    // The event says nothing of the output: the older form speaks.
    check_json(&make, Property::Output, json!([{"event": "gen_ai.choice", "message": {"content": "sunny"}}]));
}

#[test]
fn flattened_messages_keep_their_order_and_names() {
    let make = span(1, 0)
        .with("llm.input_messages.0.message.role", "user")
        .with("llm.input_messages.0.message.content", "hi")
        .with("gen_ai.completion.0.content", "hello");
    check_json(&make, Property::Input, json!({"0.message.role": "user", "0.message.content": "hi"}));
    check_json(&make, Property::Output, json!({"0.content": "hello"}));
}

#[test]
fn request_parameters_are_read_one_by_one_or_from_an_object() {
    let make = span(1, 0)
        .with("gen_ai.request.model", "m")
        .with("gen_ai.request.temperature", 0.2)
        .with("gen_ai.request.max_tokens", 256);
    check_json(&make, Property::ModelParameters, json!({"temperature": 0.2, "max_tokens": 256}));
    let tier = |make: &Make| reading(make, |o| o.model_parameter("service_tier").map(Cow::into_owned));
    assert_eq!(tier(&make.clone().with("gen_ai.request.service_tier", "flex")).as_deref(), Some("flex"));
    let object = make.with("langfuse.observation.model.parameters", r#"{"service_tier": "priority"}"#);
    assert_eq!(tier(&object).as_deref(), Some("priority"));
    let model = span(1, 0).with("gen_ai.request.model", "m");
    assert!(reading(&model, |o| o.model_parameters().is_none()), "the model is no parameter of itself");
}

#[test]
fn the_first_token_came_at_a_time_or_after_a_while() {
    let check =
        |make: Make, expect: Option<u64>| assert_eq!(reading(&make, |o| o.completion_start()), expect);
    let key = "langfuse.observation.completion_start_time";
    check(span(1, 0).with(key, "1970-01-01T00:00:02.5Z"), Some(2_500_000_000));
    check(span(1, 0).with(key, "\"1970-01-01T01:00:02.000001+01:00\""), Some(2_000_001_000));
    check(span(1, 0).with(key, "2024-02-29T00:00:00Z"), Some(1_709_164_800_000_000_000));
    check(span(1, 0).with(key, "soon"), None);
    check(span(1, 0).with("ai.response.msToFirstChunk", 250.0), Some(1_250_000_000));
    check(span(1, 0).with("gen_ai.response.time_to_first_chunk", 0.25), Some(1_250_000_000));
    check(span(1, 0).with("gen_ai.response.time_to_first_chunk", f64::NAN), None);
}

#[test]
fn an_agents_own_span_has_no_model_usage_or_cost() {
    let make = span(1, 0)
        .with("gen_ai.operation.name", "invoke_agent")
        .with("gen_ai.request.model", "m")
        .with("gen_ai.usage.input_tokens", 5)
        .with("gen_ai.usage.cost", 0.5);
    reading(&make, |observation| {
        assert_eq!(observation.kind(), Kind::Agent);
        assert_eq!(observation.model(), None);
        assert!(observation.usage().is_empty());
        assert_eq!(observation.given_cost(), None);
    });
}

#[test]
fn a_given_cost_has_a_total_whatever_was_given() {
    let cost = |make: Make| {
        reading(&make, |observation| {
            observation.given_cost().map(|cost| (cost.input, cost.output, cost.total)).map(
                |(input, output, total)| {
                    let text = |side: Option<Decimal>| side.map(|side| side.to_string()).unwrap_or_default();
                    format!("{}|{}|{total}", text(input), text(output))
                },
            )
        })
    };
    let details = "langfuse.observation.cost_details";
    let check = |make: Make, expect: Option<&str>| assert_eq!(cost(make).as_deref(), expect);
    check(
        span(1, 0).with(details, r#"{"input": 1.05e-05, "output": 1.8e-05, "total": 3e-5}"#),
        Some("0.0000105|0.000018|0.00003"),
    );
    check(span(1, 0).with(details, r#"{"input": 0.1, "output": 0.2}"#), Some("0.1|0.2|0.3"));
    check(
        span(1, 0).with(details, r#"{"input": 0.1, "input_cached_tokens": 0.1, "fee": 1}"#),
        Some("0.2||1.2"),
    );
    // A string is no number in a cost, as the server has it.
    check(span(1, 0).with(details, r#"{"total": "0.1"}"#).with("gen_ai.usage.cost", 0.5), Some("||0.5"));
    check(
        span(1, 0).with(details, "{broken").with("llm.cost.total", 0.25).with("llm.cost.prompt", 0.2),
        Some("0.2||0.25"),
    );
    check(span(1, 0).with("llm.cost.prompt", 0.2), None);
    check(span(1, 0).with("gen_ai.usage.cost", "0.5"), None);
}

#[test]
fn the_environment_is_said_key_by_key_the_span_before_its_resource() {
    let around = Around { environment: [Some("resource"), None, Some("old")], ..Around::default() };
    let bytes = span(1, 0).with("deployment.environment.name", "span").bytes();
    assert_eq!(Observation::of(&bytes, around).environment(), Some("resource"));
    let bytes = span(1, 0).with("langfuse.environment", "own").bytes();
    assert_eq!(Observation::of(&bytes, around).environment(), Some("own"));
}

#[test]
fn a_services_version_is_a_version_and_no_release() {
    let around = Around { service_version: Some("3.0.1"), ..Around::default() };
    let bytes = span(1, 0).with("traceloop.entity.version", "9").bytes();
    let observation = Observation::of(&bytes, around);
    assert_eq!((observation.version().as_deref(), observation.release()), (Some("3.0.1"), None));
    let bytes = span(1, 0).with("langfuse.version", "wf-7").bytes();
    assert_eq!(Observation::of(&bytes, around).version().as_deref(), Some("wf-7"));
}

#[test]
fn what_can_not_be_read_is_named_and_hides_nothing() {
    let make = span(1, 0)
        .with("langfuse.observation.usage_details", "{\"input\": 1")
        .with("gen_ai.usage.input_tokens", 5)
        .with("gen_ai.usage.output_tokens", -1)
        .with("langfuse.observation.cost_details", "[]")
        .with("langfuse.observation.type", "poem")
        .with("langfuse.observation.level", 3)
        .with("langfuse.trace.public", "yes")
        .with("langfuse.trace.tags", 1)
        .with("user.id", ["a"])
        .with("langfuse.user.id", 42)
        .with("langfuse.observation.completion_start_time", "soon")
        .with("langfuse.observation.prompt.version", 1.5)
        .with("langfuse.observation.model.parameters", "x");
    reading(&make, |observation| {
        let said: Vec<String> = observation.complaints().named.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`langfuse.observation.type` has a value that no convention defines",
                "`langfuse.observation.level` is of the wrong type; expected a string",
                "`langfuse.trace.public` is of the wrong type; expected a boolean",
                "`langfuse.trace.tags` is of the wrong type; expected an array of strings",
                "`user.id` is of the wrong type; expected a string",
                "`langfuse.observation.completion_start_time` is not a time; expected ISO 8601",
                "`langfuse.observation.prompt.version` is not a whole number of 0 or more",
                "`langfuse.observation.model.parameters` is not valid JSON; expected an object in a string",
                "`langfuse.observation.usage_details` is not valid JSON; expected an object in a string",
                "`gen_ai.usage.output_tokens` is not a whole number of 0 or more",
                "`langfuse.observation.cost_details` is JSON, but not an object",
            ]
        );
        assert_eq!(observation.usage().get("input"), Some(5));
        assert_eq!(observation.user().as_deref(), Some("42"));
    });
}

#[test]
fn the_last_of_a_repeated_key_wins() {
    let make = span(1, 0)
        .with("user.id", "a")
        .with("user.id", "b")
        .with("langfuse.trace.metadata.k", "1")
        .with("langfuse.trace.metadata.k", "2")
        .with("langfuse.metadata.k", "3");
    reading(&make, |observation| {
        assert_eq!(observation.user().as_deref(), Some("b"));
        assert_eq!(observation.trace_metadata(), [("k", Value::Str(b"2"))]);
    });
}

#[test]
fn more_attributes_than_are_kept_are_said_to_be() {
    let many = (0..600).fold(span(1, 0), |make, n| make.with(&format!("langfuse.trace.metadata.k{n}"), "v"));
    reading(&many, |observation| {
        assert_eq!(observation.trace_metadata().len(), Observation::FOUND_MAX);
        let named = observation.complaints().named;
        assert_eq!(named[0].problem, Problem::TooMany { most: Observation::FOUND_MAX });
    });
}

#[test]
fn a_span_that_says_nothing_of_ours_allocates_nothing() {
    let make = span(1, 0).with("http.request.method", "GET").with("url.full", "x").event("exception", &[]);
    reading(&make, |observation| assert_eq!(observation.found.capacity(), 0));
}

fn read_all(observation: &Observation<'_>) {
    for place in table() {
        read_any(observation, place.property);
    }
    observation.complaints();
}

/// As `read`, of hostile values too.
fn read_any(observation: &Observation<'_>, property: Property) {
    match property {
        Property::Metadata => drop(observation.metadata()),
        Property::TraceMetadata => drop(observation.trace_metadata()),
        other => drop(read(observation, other)),
    }
}

fn value() -> impl Strategy<Value = opentelemetry_proto::tonic::common::v1::any_value::Value> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    let texts = prop::sample::select(vec![
        "",
        "{",
        "{}",
        "[]",
        "null",
        "\"",
        "\"\\ud800\"",
        "{\"input\":1e400}",
        "{\"a\":{\"b\":[]},\"a\":-1}",
        "['",
        "['\\x",
        "1e5",
        "2026-02-30T25:00:00Z",
        "2026-02-30T12:00:00.Z",
        "\u{1F980}2026",
        "{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":{\"x\":9}}",
    ]);
    prop_oneof![
        texts.prop_map(|text| Any::StringValue(text.to_owned())),
        ".{0,20}".prop_map(Any::StringValue),
        any::<i64>().prop_map(Any::IntValue),
        any::<f64>().prop_map(Any::DoubleValue),
        any::<bool>().prop_map(Any::BoolValue),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Any::BytesValue),
    ]
}

proptest! {
    #[test]
    fn no_value_under_any_key_panics(said in prop::collection::vec((0..1000usize, value()), 0..12)) {
        let all: Vec<_> = table().collect();
        let make = said.into_iter().fold(span(1, 0), |make, (n, value)| {
            let place = all[n % all.len()];
            let name = if place.on == On::Family { format!("{}x", place.key) } else { place.key.to_owned() };
            make.with(&name, value)
        });
        reading(&make, read_all);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&Observation::of(&bytes, Around::default()));
    }

    #[test]
    fn no_bytes_changed_in_a_span_panic(at in 0..400usize, byte: u8) {
        let mut bytes = span(1, 2)
            .with("langfuse.observation.usage_details", r#"{"input": 1}"#)
            .with("llm.input_messages.0", "x")
            .event("gen_ai.choice", &[("a", "b")])
            .status(2, "x")
            .bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        read_all(&Observation::of(&bytes, Around::default()));
    }
}
