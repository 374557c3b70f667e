//! Where paths lead, in each context, read and written.

use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use super::fixture::{attributes, frame, int, log, rules, run, shown_map, span, text};
use crate::rules::{Context, ErrorMode, Frame, Group, Request, Rules, TraceFacts};
use crate::wire::{Signal, TraceId};

#[test]
fn every_field_of_a_span_can_be_written() {
    let rules = rules(
        Some(Context::Span),
        &[
            r#"set(name, "n")"#,
            "set(kind, SPAN_KIND_CLIENT)",
            "set(status.code, STATUS_CODE_ERROR)",
            r#"set(status.message, "m")"#,
            r#"set(trace_state["b"], "3")"#,
            "set(start_time_unix_nano, 1)",
            r#"set(end_time, start_time + Duration("1s"))"#,
            "set(parent_span_id, SpanID(\"00000000000000ff\"))",
            r#"set(span_id.string, "0102030405060709")"#,
            "set(dropped_attributes_count, 3)",
            "set(flags, 257)",
        ],
    );
    let expect = Span {
        name: "n".into(),
        kind: 3,
        status: Some(Status { code: 2, message: "m".into() }),
        trace_state: "b=3,a=1".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 1_000_000_001,
        parent_span_id: vec![0, 0, 0, 0, 0, 0, 0, 255],
        span_id: vec![1, 2, 3, 4, 5, 6, 7, 9],
        dropped_attributes_count: 3,
        flags: 257,
        ..span()
    };
    assert_eq!(run(&rules, &span()), expect);
    // A status that is there is changed in its place.
    let status = Some(Status { code: 1, message: "old".into() });
    let only_code = super::fixture::rules(None, &["set(span.status.code, STATUS_CODE_ERROR)"]);
    let after = run(&only_code, &Span { status, ..span() });
    assert_eq!(after.status, Some(Status { code: 2, message: "old".into() }));
}

#[test]
fn every_field_of_a_span_can_be_read() {
    for (condition, expect) in [
        ("span.kind.string == \"Server\" and span.kind.deprecated_string == \"SPAN_KIND_SERVER\"", true),
        ("span.end_time - span.start_time > Duration(\"1s\")", true),
        ("span.end_time_unix_nano - span.start_time_unix_nano == 1500000000", true),
        ("span.trace_id == TraceID(\"0102030405060708090a0b0c0d0e0f10\")", true),
        ("span.trace_id.string == \"0102030405060708090a0b0c0d0e0f10\"", true),
        ("span.trace_state[\"a\"] == \"1\" and span.trace_state[\"z\"] == nil", true),
        ("IsRootSpan()", false),
        ("span.parent_span_id == SpanID(0x0000000000000000)", false),
        ("span.status.code == STATUS_CODE_UNSET and span.status.message == \"\"", true),
        ("span.attributes[\"none\"] == nil", true),
        ("not (span.attributes[\"http.status_code\"] >= 400 and span.name != \"\")", false),
        ("span.attributes[\"nested\"] == {\"x\": 1, \"y\": {\"z\": \"deep\"}}", true),
        ("resource.attributes[\"service.name\"] == \"pay\"", true),
        ("instrumentation_scope.name == \"lib\" and scope.version == \"\"", true),
        ("root.name == \"root\"", true),
        ("parent.name == nil", true),
        ("trace.services == [\"pay\", \"cart\"] and trace.span_count == 2", true),
        ("trace.duration > Duration(\"1s\") or trace.errors > 0", true),
        ("trace.user == nil and trace.environment == \"qa\"", true),
        ("header[\"X-Tenant\"] == \"t1\" and header[\"none\"] == nil", true),
        ("peer.address == \"10.0.0.1\"", true),
    ] {
        let rules = rules(None, &[&format!("set(span.name, \"hit\") where {condition}")]);
        let bytes = span().encode_to_vec();
        let resource =
            Resource { attributes: attributes(&[("service.name", text("pay"))]), ..Default::default() };
        let scope = InstrumentationScope { name: "lib".into(), ..Default::default() };
        let (resource, scope) = (resource.encode_to_vec(), scope.encode_to_vec());
        let root = Span { name: "root".into(), ..Default::default() }.encode_to_vec();
        let trace = TraceFacts {
            id: Some(TraceId([1; 16])),
            environment: Some("qa"),
            services: vec!["pay", "cart"],
            span_count: 2,
            duration: 2_000_000_000,
            ..TraceFacts::default()
        };
        let frame = Frame {
            resource: &resource,
            scope: &scope,
            root: Some(&root),
            trace: Some(&trace),
            request: Some(&Tenant),
            ..frame()
        };
        let outcome = rules.apply_item(Signal::Traces, &bytes, frame);
        assert_eq!(outcome.troubles, [], "{condition}");
        assert_eq!(!outcome.matched.is_empty(), expect, "{condition}");
    }
}

#[derive(Debug)]
struct Tenant;

impl Request for Tenant {
    fn header(&self, name: &str) -> Option<&str> {
        (name == "x-tenant").then_some("t1")
    }

    fn peer(&self) -> Option<&str> {
        Some("10.0.0.1")
    }
}

#[test]
fn events_are_edited_and_dropped_one_by_one() {
    let rules = rules(
        None,
        &[
            r#"set(spanevent.attributes["span"], span.name) where spanevent.name == "first""#,
            "drop() where spanevent.time_unix_nano == 5",
            "set(spanevent.attributes[\"nth\"], spanevent.event_index)",
        ],
    );
    let before = span().encode_to_vec();
    let outcome = rules.apply_item(Signal::Traces, &before, frame());
    assert_eq!((outcome.parts_dropped, outcome.dropped), (1, false));
    let after = Span::decode(outcome.edits.apply(&before).as_slice()).unwrap();
    assert_eq!(after.events.len(), 1);
    assert_eq!(shown_map(&after.events[0].attributes), r#"{n:1,span:"GET /user/17",nth:0}"#);
    assert_eq!(after.attributes, span().attributes);
}

#[test]
fn a_log_record_and_its_body_are_read_and_written() {
    let rules = rules(
        Some(Context::Log),
        &[
            r#"set(attributes["user"], ParseJSON(body)["user"])"#,
            "set(severity_number, SEVERITY_NUMBER_WARN) where severity_text == \"INFO\"",
            "set(severity_text, \"WARN\")",
            "set(event_name, \"e\")",
            "set(observed_time, time)",
            "set(body, ParseJSON(body))",
            r#"set(body["id"], 8)"#,
            "delete_key(body, \"tags\")",
            "keep_keys(attributes, [\"user\"])",
        ],
    );
    let bytes = log().encode_to_vec();
    let outcome = rules.apply_item(Signal::Logs, &bytes, frame());
    assert_eq!(outcome.troubles, []);
    let after = LogRecord::decode(outcome.edits.apply(&bytes).as_slice()).unwrap();
    assert_eq!((after.severity_number, after.severity_text.as_str()), (13, "WARN"));
    assert_eq!((after.event_name.as_str(), after.observed_time_unix_nano), ("e", log().time_unix_nano));
    assert_eq!(super::fixture::shown(after.body.as_ref()), r#"{user:"ann",id:8,ok:true}"#);
    assert_eq!(shown_map(&after.attributes), r#"{user:"ann"}"#);
}

fn sum() -> Metric {
    let point = |key, value| NumberDataPoint {
        attributes: attributes(&[("k", text(key))]),
        value: Some(value),
        ..Default::default()
    };
    Metric {
        name: "kube_pods".into(),
        unit: "1".into(),
        data: Some(metric::Data::Sum(Sum {
            data_points: vec![
                point("a", number_data_point::Value::AsInt(7)),
                point("b", number_data_point::Value::AsDouble(1.5)),
            ],
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Default::default()
    }
}

fn metric_after(rules: &Rules, metric: &Metric) -> Metric {
    let bytes = metric.encode_to_vec();
    let outcome = rules.apply_item(Signal::Metrics, &bytes, frame());
    assert_eq!(outcome.troubles, []);
    Metric::decode(outcome.edits.apply(&bytes).as_slice()).unwrap()
}

#[test]
fn a_metric_and_its_points_are_read_and_written() {
    let statements = [
        rules(
            Some(Context::Metric),
            &[
                r#"replace_pattern(name, "^kube_([0-9A-Za-z]+)", "k8s.$1")"#,
                "set(unit, \"{pod}\") where type == METRIC_DATA_TYPE_SUM and is_monotonic",
                "set(aggregation_temporality, AGGREGATION_TEMPORALITY_DELTA)",
                "set(is_monotonic, false)",
            ],
        ),
        rules(
            None,
            &[
                "set(datapoint.value_double, 0.5) where datapoint.attributes[\"k\"] == \"a\" and metric.unit == \"1\"",
                "set(datapoint.attributes[\"metric\"], metric.name)",
                "drop() where datapoint.value_double == 1.5",
            ],
        ),
    ];
    let after = metric_after(&statements[0], &sum());
    assert_eq!((after.name.as_str(), after.unit.as_str()), ("k8s.pods", "{pod}"));
    let Some(metric::Data::Sum(data)) = after.data else { panic!("a sum") };
    assert_eq!((data.aggregation_temporality, data.is_monotonic, data.data_points.len()), (1, false, 2));
    let after = metric_after(&statements[1], &sum());
    let Some(metric::Data::Sum(data)) = after.data else { panic!("a sum") };
    assert_eq!(data.data_points.len(), 1);
    assert_eq!(data.data_points[0].value, Some(number_data_point::Value::AsDouble(0.5)));
    assert_eq!(shown_map(&data.data_points[0].attributes), r#"{k:"a",metric:"kube_pods"}"#);
}

#[test]
fn a_metric_whose_points_are_all_dropped_goes() {
    let rules = rules(None, &["drop() where datapoint.value_int >= 0"]);
    let bytes = sum().encode_to_vec();
    let outcome = rules.apply_item(Signal::Metrics, &bytes, frame());
    assert!(outcome.dropped);
    let gauge =
        Metric { data: Some(metric::Data::Gauge(Gauge::default())), ..Default::default() }.encode_to_vec();
    assert!(!rules.apply_item(Signal::Metrics, &gauge, frame()).dropped);
}

#[test]
fn a_histogram_keeps_its_fields_elsewhere() {
    let point = HistogramDataPoint {
        count: 3,
        sum: Some(1.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        attributes: attributes(&[("k", text("a"))]),
        ..Default::default()
    };
    let data = Histogram { data_points: vec![point], aggregation_temporality: 1 };
    let metric = Metric { data: Some(metric::Data::Histogram(data)), ..Default::default() };
    let rules = rules(
        Some(Context::DataPoint),
        &[
            "set(attributes[\"c\"], count) where sum == 1.5 and bucket_counts == [1, 2] and explicit_bounds == [0.5]",
            "set(value_int, 9)",
            "set(count, 4)",
        ],
    );
    let Some(metric::Data::Histogram(after)) = metric_after(&rules, &metric).data else {
        panic!("a histogram")
    };
    assert_eq!(shown_map(&after.data_points[0].attributes), r#"{k:"a",c:3}"#);
    assert_eq!(after.data_points[0].count, 4);
}

#[test]
fn what_identifies_an_entity_stays() {
    let rules = rules(
        None,
        &[
            "keep_matching_keys(resource.attributes, \"^z\")",
            "set(resource.attributes[\"service.name\"], \"x\")",
        ],
    );
    let entity = EntityRef { id_keys: vec!["service.name".into()], ..Default::default() };
    let before = Resource {
        attributes: attributes(&[("service.name", text("pay")), ("a", int(1)), ("z", int(2))]),
        entity_refs: vec![entity],
        ..Default::default()
    };
    let bytes = before.encode_to_vec();
    let outcome = rules.apply_resource(&bytes, frame());
    let after = Resource::decode(outcome.edits.apply(&bytes).as_slice()).unwrap();
    assert_eq!(shown_map(&after.attributes), r#"{service.name:"pay",z:2}"#);
}

#[test]
fn groups_ask_any_of_their_conditions_and_error_modes_differ() {
    let group = |error_mode| Group {
        error_mode,
        context: Some(Context::Span),
        conditions: vec!["name == \"other\"".into(), "kind == 2".into()],
        statements: vec!["set(attributes[\"a\"], 1 / dropped_links_count)".into(), "set(name, \"x\")".into()],
        ..Group::default()
    };
    let bytes = span().encode_to_vec();
    let lenient = Rules::compile(&[group(ErrorMode::Ignore)]).unwrap();
    let outcome = lenient.apply_item(Signal::Traces, &bytes, frame());
    assert_eq!(outcome.troubles[0].1.to_string(), "division by zero");
    assert_eq!(Span::decode(outcome.edits.apply(&bytes).as_slice()).unwrap().name, "x");
    let strict = Rules::compile(&[group(ErrorMode::Propagate)]).unwrap();
    let outcome = strict.apply_item(Signal::Traces, &bytes, frame());
    assert!(outcome.edits.is_empty() && outcome.troubles.len() == 1);
    let mut never = group(ErrorMode::Ignore);
    never.conditions.truncate(1);
    assert!(Rules::compile(&[never]).unwrap().apply_item(Signal::Traces, &bytes, frame()).matched.is_empty());
}

#[test]
fn it_is_known_beforehand_what_rules_look_at() {
    let rules = rules(None, &["drop() where parent.name == \"x\" and trace.errors == 0"]);
    assert!(rules.has(Signal::Traces) && !rules.has(Signal::Logs));
    let reads = rules.reads();
    assert!(reads.parent && reads.trace && !reads.root && !reads.request);
    let resource = super::fixture::rules(None, &["set(resource.attributes[\"t\"], header[\"x-tenant\"])"]);
    assert!(resource.reads().request_by_resource && resource.has_context(Context::Resource));
    assert!(!resource.has(Signal::Traces));
}

#[test]
fn a_route_and_a_lost_draw_are_told() {
    let bytes = span().encode_to_vec();
    let routed = rules(None, &["route(\"eu\") where span.kind == SPAN_KIND_SERVER", "route(\"a\", \"eu\")"]);
    let to = routed.apply_item(Signal::Traces, &bytes, frame()).route;
    assert_eq!((to, routed.routes()), (Some([0, 1].into_iter().collect()), [0, 1].into_iter().collect()));
    let sampled = rules(None, &["sample(0) where span.name != nil"]);
    assert!(sampled.apply_item(Signal::Traces, &bytes, frame()).sampled_out);
}
