//! Traces summed up: who speaks, what counts twice, what real exports say.

use proptest::prelude::*;

use super::*;
use crate::semantics::Tokens;
use crate::semantics::testing::{Make, block, request, span, trace};

fn rooted(spans: impl IntoIterator<Item = Make>, expect: &str) {
    let body = trace(spans);
    let trace = Trace::read(&body, None);
    let name = trace.root.and_then(|root| trace.observations.get(root)).map(|row| row.observation.span_name);
    assert_eq!(name.unwrap_or_default(), expect);
    assert_eq!(trace.name, expect);
}

#[test]
fn the_root_is_who_has_no_parent_or_else_the_best_orphan() {
    let as_root = |make: Make| make.with("langfuse.internal.as_root", true);
    let app_root = |make: Make| make.with("langfuse.internal.is_app_root", true);
    rooted([as_root(span(1, 9)), span(2, 0), span(3, 2)], "span 2");
    rooted([span(1, 9), app_root(span(2, 9)), as_root(span(3, 9))], "span 3");
    rooted([span(1, 9), app_root(span(2, 9)), span(3, 2)], "span 2");
    rooted([span(2, 9), span(1, 9)], "span 1");
    // The parent of the marked one is here: no root.
    rooted([span(1, 9), as_root(span(2, 1))], "span 1");
    rooted([span(1, 2), span(2, 1)], "span 1");
    rooted([span(2, 0), span(1, 0)], "span 1");
    rooted([], "");
}

#[test]
fn the_root_speaks_first_and_others_where_it_is_silent() {
    let body = trace([
        span(1, 2).with("user.id", "child").with("session.id", "s").with("langfuse.trace.tags", ["b", "a"]),
        span(2, 0)
            .with("user.id", "root")
            .with("langfuse.trace.tags", ["a"])
            .with("langfuse.observation.input", "in")
            .with("langfuse.trace.metadata.k", "root"),
        span(3, 2)
            .with("langfuse.observation.input", "not this")
            .with("langfuse.trace.metadata.k", "child")
            .with("langfuse.trace.metadata.l", "child")
            .with("langfuse.trace.public", true)
            .with("langfuse.trace.name", "named below"),
    ]);
    let trace = Trace::read(&body, None);
    assert_eq!(trace.user.as_deref(), Some("root"));
    assert_eq!(trace.session.as_deref(), Some("s"));
    assert_eq!(trace.tags.list, ["a", "b"]);
    assert_eq!(trace.metadata, [("k", Value::Str(b"root")), ("l", Value::Str(b"child"))]);
    assert_eq!(trace.name, "named below");
    assert_eq!(trace.input.unwrap().text(), Some("in"));
    assert!(trace.public && trace.output.is_none());
}

#[test]
fn a_workflows_name_is_a_name_where_the_root_has_none() {
    let mut nameless = span(1, 0).with("traceloop.workflow.name", "flow");
    let body = trace([nameless.clone()]);
    assert_eq!(Trace::read(&body, None).name, "span 1");
    nameless.0.name.clear();
    let body = trace([nameless]);
    assert_eq!(Trace::read(&body, None).name, "flow");
}

fn used(make: Make, input: i64) -> Make {
    make.with("gen_ai.usage.input_tokens", input)
}

fn kind(make: Make, kind: &str) -> Make {
    make.with("langfuse.observation.type", kind)
}

fn check_doubles(spans: impl IntoIterator<Item = Make>, total: u64, expect: &[(&str, Why)]) {
    let body = trace(spans);
    let trace = Trace::read(&body, None);
    assert_eq!(trace.usage.total(), total);
    let left: Vec<_> =
        trace.doubles().filter_map(|row| Some((row.observation.span_name, row.usage_left_out?))).collect();
    assert_eq!(left, expect);
}

#[test]
fn who_sums_up_those_below_is_left_out() {
    let agent = || used(kind(span(1, 0), "agent"), 30);
    let call = |id, parent, tokens| used(kind(span(id, parent), "generation"), tokens);
    check_doubles([agent(), call(2, 1, 10), call(3, 1, 20)], 30, &[("span 1", Why::SumsUpThoseBelow)]);
    check_doubles([agent(), span(4, 1), call(5, 4, 10)], 10, &[("span 1", Why::SumsUpThoseBelow)]);
    check_doubles([agent(), span(2, 1)], 30, &[]);
    // Two aggregates, one in the other.
    let chain = used(kind(span(2, 1), "chain"), 30);
    check_doubles(
        [agent(), chain, call(3, 2, 30)],
        30,
        &[("span 1", Why::SumsUpThoseBelow), ("span 2", Why::SumsUpThoseBelow)],
    );
}

#[test]
fn a_call_that_two_libraries_report_counts_once_and_a_call_in_a_call_twice() {
    let call = |id, parent, tokens| used(kind(span(id, parent), "generation"), tokens);
    check_doubles([call(1, 0, 10), call(2, 1, 10)], 10, &[("span 1", Why::SaidBelow)]);
    check_doubles([call(1, 0, 50), call(2, 1, 10)], 60, &[]);
    check_doubles([call(1, 0, 50), call(2, 0, 50)], 100, &[]);
}

#[test]
fn parts_on_top_of_their_whole_are_taken_out_unless_the_total_says_otherwise() {
    let make = used(span(1, 0), 120)
        .with("gen_ai.usage.output_tokens", 30)
        .with("gen_ai.usage.reasoning_tokens", 10);
    let body = trace([make.clone()]);
    let read = Trace::read(&body, None);
    assert_eq!(read.usage.tokens(), Tokens { input: 120, output: 30, total: 150 });
    assert_eq!(read.observations[0].parts[0].becomes, Some("output_reasoning_tokens"));
    let body = trace([make.with("gen_ai.usage.total_tokens", 160)]);
    assert_eq!(Trace::read(&body, None).usage.total(), 160);
}

#[test]
fn costs_are_given_or_worked_out_and_count_once() {
    let file = r#"[{"modelName": "m", "matchPattern": "^m$", "prices": {"input": 0.1, "output": 0.7}}]"#;
    let prices = Prices::parse(file.as_bytes()).unwrap();
    let call = |id, parent| used(kind(span(id, parent), "generation"), 1).with("gen_ai.request.model", "m");
    let body = trace([
        kind(span(1, 0), "agent").with("gen_ai.usage.cost", 0.3),
        call(2, 1),
        call(3, 1).with("gen_ai.usage.cost", 0.2),
        used(span(4, 0), 9).with("gen_ai.request.model", "unknown"),
    ]);
    let read = Trace::read(&body, Some(&prices));
    let cost = read.cost.unwrap();
    assert_eq!((cost.total.to_string(), cost.input.unwrap().to_string()), ("0.3".into(), "0.1".into()));
    assert_eq!(read.observations[0].cost_left_out, Some(Why::SumsUpThoseBelow));
    let without = Trace::read(&body, None);
    assert_eq!(without.cost.unwrap().total.to_string(), "0.2");
    assert_eq!(Trace::read(&trace([span(1, 0)]), Some(&prices)).cost, None);
}

#[test]
fn levels_errors_times_and_the_path_are_summed_up() {
    let body = request([
        block(
            &[("service.name", "a"), ("telemetry.sdk.language", "python")],
            "s",
            [span(1, 0).lasting(1_000, 5_000), span(2, 1).lasting(2_000, 4_000).status(2, "boom")],
        ),
        block(
            &[("telemetry.sdk.language", "go")],
            "s",
            [span(3, 1).lasting(2_000, 3_000), span(4, 1).lasting(9_000, 0)],
        ),
    ]);
    let trace = Trace::read(&body, None);
    assert_eq!((trace.timestamp, trace.latency), (1_000, Duration::from_nanos(8_000)));
    assert_eq!((trace.errors, trace.levels.worst()), (1, Level::Error));
    assert_eq!(trace.services, ["a", "unknown_service"]);
    assert_eq!(trace.languages, ["python", "go"]);
    assert_eq!(trace.critical_path, [SpanId([1; 8]), SpanId([2; 8])]);
    assert_eq!((trace.observation_count, trace.left_out()), (4, 0));
}

#[test]
fn a_span_that_came_twice_counts_once() {
    let body = trace([used(span(1, 0), 5), used(span(1, 0), 5)]);
    let trace = Trace::read(&body, None);
    assert_eq!((trace.observation_count, trace.duplicates, trace.usage.total()), (1, 1, 5));
}

#[test]
fn more_spans_than_are_read_are_counted() {
    let many = (0..10_050u32).map(|n| {
        let mut make = span(1, 0);
        make.0.span_id = u64::from(n + 1).to_be_bytes().to_vec();
        make
    });
    let body = trace(many);
    let trace = Trace::read(&body, None);
    assert_eq!((trace.observations.len(), trace.observation_count, trace.left_out()), (10_000, 10_050, 50));
}

/// Exports in one request: concatenated messages merge.
fn captured(exports: &[&[u8]]) -> Vec<u8> {
    exports.concat()
}

#[test]
fn the_trace_over_three_services_is_its_roots() {
    let exports: [&[u8]; 3] = [
        include_bytes!("../../../tests/data/captures/xservice.http01.pb"),
        include_bytes!("../../../tests/data/captures/xservice.grpc01.pb"),
        include_bytes!("../../../tests/data/captures/xservice.http02.pb"),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let body = captured(&order.map(|n| exports[n]));
        let trace = Trace::read(&body, None);
        assert_eq!(trace.id.to_string(), "e74af16a04dc117a5df19dbb56d10845");
        assert_eq!(trace.name, "orders-query");
        assert_eq!(trace.input.unwrap().text(), Some(r#"{"q": "orders?"}"#));
        assert_eq!(trace.output.unwrap().text(), Some("ok"));
        assert_eq!((trace.environment, trace.release), (Some("production"), Some("4f1c2d3")));
        assert_eq!(
            (trace.user.as_deref(), trace.session.as_deref()),
            (Some("user-123"), Some("session-abc"))
        );
        assert_eq!(trace.tags.list, ["production", "weather"]);
        assert_eq!(trace.metadata, [("source", Value::Str(b"web-app"))]);
        assert_eq!(trace.services, ["py-gateway", "orders-db", "agent-worker"]);
        assert_eq!(trace.languages, ["python"]);
        assert_eq!(trace.usage.tokens(), Tokens { input: 50, output: 12, total: 62 });
        assert_eq!(trace.observation_count, 6);
        assert!(trace.complaints.is_empty(), "{:?}", trace.complaints);
    }
}

#[test]
fn all_types_and_levels_of_the_sdk_are_read() {
    let body = include_bytes!("../../../tests/data/captures/interactiveai.13-all-types-levels.http01.pb");
    let trace = Trace::read(body, None);
    let rows: Vec<_> =
        trace.observations.iter().map(|row| (row.observation.span_name, row.kind, row.level)).collect();
    assert_eq!(
        rows,
        [
            ("planner", Kind::Agent, Level::Debug),
            ("db.query", Kind::Tool, Level::Warning),
            ("vector-search", Kind::Retriever, Level::Default),
            ("answer", Kind::Generation, Level::Default),
            ("embed", Kind::Embedding, Level::Default),
            ("cache-miss", Kind::Event, Level::Default),
            ("will-fail", Kind::Chain, Level::Error),
        ]
    );
    assert_eq!(trace.levels, Levels { debug: 1, default: 4, warning: 1, error: 1 });
    assert_eq!(trace.usage.tokens(), Tokens { input: 125, output: 30, total: 155 });
    assert_eq!(trace.version.as_deref(), Some("wf-7"));
    let failed = &trace.observations[6].observation;
    assert_eq!(failed.status_message().as_deref(), Some("RuntimeError: boom"));
    assert!(trace.complaints.is_empty(), "{:?}", trace.complaints);
}

#[test]
fn propagated_attributes_costs_and_parameters_are_read() {
    let body = include_bytes!("../../../tests/data/captures/interactiveai.07-propagate-attributes.http01.pb");
    let trace = Trace::read(body, None);
    let cost = trace.cost.unwrap();
    assert_eq!(cost.total.to_string(), "0.0000285");
    assert_eq!(cost.input.unwrap().to_string(), "0.0000105");
    assert_eq!(trace.usage.total(), 150);
    let call = trace.observations.iter().find(|row| row.kind == Kind::Generation).unwrap();
    assert_eq!(call.observation.model().as_deref(), Some("gpt-4o-mini"));
    assert_eq!(call.observation.model_parameter("temperature").as_deref(), Some("0.2"));
}

#[test]
fn tags_that_came_by_baggage_are_the_same_tags() {
    for body in [
        &include_bytes!("../../../tests/data/captures/interactiveai.15-baggage.http01.pb")[..],
        include_bytes!("../../../tests/data/captures/langfuse5.15-baggage.http01.pb"),
    ] {
        let trace = Trace::read(body, None);
        assert_eq!(trace.tags.list, ["a", "b,c"]);
        assert_eq!(trace.name, "weather-query");
    }
}

#[test]
fn a_deterministic_ids_phantom_parent_hides_no_root() {
    let body = include_bytes!("../../../tests/data/captures/interactiveai.08-deterministic-id.http01.pb");
    let trace = Trace::read(body, None);
    assert_eq!(trace.name, "your-trace-name");
    assert!(trace.observations[0].orphan);
    assert!(trace.input.is_some() && trace.output.is_some());
}

#[test]
fn what_update_trace_wrote_is_the_traces() {
    let body = include_bytes!("../../../tests/data/captures/interactiveai.04-update-trace-span.http01.pb");
    let trace = Trace::read(body, None);
    assert_eq!(trace.input.unwrap().text(), Some(r#"{"query": "What's the weather?"}"#));
    assert_eq!(trace.output.unwrap().text(), Some(r#"{"response": "..."}"#));
    assert_eq!(trace.metadata.len(), 2);
}

#[test]
fn metadata_of_sdk_5_is_shown_as_what_was_meant() {
    let body = include_bytes!("../../../tests/data/captures/langfuse5.16-metadata-types.http01.pb");
    let trace = Trace::read(body, None);
    let metadata = trace.observations[0].observation.metadata();
    let said: std::collections::BTreeMap<_, _> = metadata
        .into_iter()
        .map(|(key, value)| (key, serde_json::to_value(crate::semantics::content::Json(value)).unwrap()))
        .collect();
    assert_eq!(said["s"], serde_json::json!("text"));
    assert_eq!(said["o"], serde_json::json!({"k": "v"}));
}

proptest! {
    #[test]
    fn the_order_of_arrival_says_nothing(order in Just((1..9u8).collect::<Vec<_>>()).prop_shuffle()) {
        let make = |id: u8| {
            let make = kind(used(span(id, id / 2), id.into()), if id.is_multiple_of(3) { "agent" } else { "generation" });
            make.with("user.id", id.to_string().as_str()).with("langfuse.trace.tags", [id.to_string().as_str()])
        };
        let told = |order: &[u8]| {
            let body = trace(order.iter().map(|id| make(*id)));
            format!("{:?}", {
                let trace = Trace::read(&body, None);
                (trace.name.into_owned(), trace.tags, trace.user.map(Cow::into_owned), trace.usage.total(), trace.critical_path)
            })
        };
        prop_assert_eq!(told(&order), told(&[1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn no_parents_panic(parents in prop::collection::vec(0..20u8, 1..20)) {
        let spans = parents.iter().enumerate().map(|(n, parent)| used(span(n as u8 + 1, *parent), 1));
        let body = trace(spans);
        let trace = Trace::read(&body, None);
        prop_assert_eq!(trace.observations.len(), parents.len());
        prop_assert!(trace.root.is_some());
    }

    #[test]
    fn no_bytes_panic(at in 0..5000usize, byte: u8) {
        let mut body = include_bytes!("../../../tests/data/captures/interactiveai.13-all-types-levels.http01.pb").to_vec();
        let at = at % body.len();
        body[at] = byte;
        Trace::read(&body, None);
    }
}
