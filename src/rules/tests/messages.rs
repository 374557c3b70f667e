//! Paths to whole messages: read as lists and maps, written back, bit for bit where nothing changed.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span};
use prost::Message;

use super::fixture::{attributes, frame, group, int, rules, run, shown, shown_map, span, text};
use crate::rules::{Context, Rules};
use crate::wire::Signal;

/// A span with two links and a status.
fn linked() -> Span {
    let link = |id: u8, state: &str| span::Link {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        trace_state: state.into(),
        attributes: attributes(&[("n", int(i64::from(id)))]),
        flags: 257,
        ..Default::default()
    };
    Span {
        links: vec![link(1, ""), link(2, "a=b")],
        status: Some(Status { code: 1, message: "fine".into() }),
        ..span()
    }
}

/// What `expression` gives on [`linked`].
fn of_span(expression: &str) -> String {
    let rules = rules(Some(Context::Span), &[&format!("set(attributes[\"out\"], {expression})")]);
    let bytes = linked().encode_to_vec();
    let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
    if let Some((_, trouble)) = outcome.troubles.first() {
        return format!("trouble: {trouble}");
    }
    let after = Span::decode(outcome.edits.apply(&bytes).as_slice()).unwrap();
    shown(after.attributes.iter().find(|kv| kv.key == "out").and_then(|kv| kv.value.as_ref()))
}

#[test]
fn events_links_and_the_status_read_as_lists_and_maps() {
    for (expression, expect) in [
        ("Len(events)", "2"),
        ("events[0]", r#"{time_unix_nano:0,name:"first",attributes:{n:1},dropped_attributes_count:0}"#),
        (r#"events[1]["time_unix_nano"]"#, "5"),
        (r#"events[0]["attributes"]["n"]"#, "1"),
        ("events[2]", "trouble: index 2 is outside a list of 2"),
        (r#"MapEach(links, (_, link) => link["trace_state"])"#, r#"["","a=b"]"#),
        (r#"links[1]["span_id"]"#, "0x0202020202020202"),
        (r#"links[0]["flags"]"#, "257"),
        (r#"Any(events, (_, event) => event["name"] == "second")"#, "true"),
        ("status", r#"{code:1,message:"fine"}"#),
        (r#"status["message"]"#, "\"fine\""),
        (r#"String(status)"#, r#""{\"code\":1,\"message\":\"fine\"}""#),
    ] {
        assert_eq!(of_span(expression), expect, "{expression}");
    }
}

#[test]
fn lists_of_messages_are_written_back() {
    let after = |statements: &[&str]| run(&rules(Some(Context::Span), statements), &linked());
    let one = after(&[r#"set(events, Filter(events, (_, event) => event["name"] != "first"))"#]);
    assert_eq!(one, Span { events: vec![linked().events[1].clone()], ..linked() });
    let twice = after(&["delete_index(links, 0)", "delete_index(links, 0)"]);
    assert_eq!(twice, Span { links: vec![], ..linked() });
    let added = after(&[
        r#"append(events, {"name": "third", "attributes": {"k": [1, "x"]}})"#,
        r#"set(events[0]["name"], "FIRST")"#,
        r#"set(events[1]["attributes"]["late"], Len(events))"#,
    ]);
    let names: Vec<_> = added.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["FIRST", "second", "third"]);
    assert_eq!(shown_map(&added.events[1].attributes), "{late:3}");
    assert_eq!(shown_map(&added.events[2].attributes), r#"{k:[1,"x"]}"#);
    assert_eq!(added.events[0].attributes, linked().events[0].attributes);
    let linked_to = after(&[
        r#"append(links, {"trace_id": trace_id, "span_id": span_id, "flags": 1})"#,
        r#"delete_key(links[0]["attributes"], "n")"#,
    ]);
    assert_eq!((linked_to.links.len(), linked_to.links[2].flags), (3, 1));
    assert_eq!(linked_to.links[2].trace_id, linked().trace_id);
    assert_eq!(shown_map(&linked_to.links[0].attributes), "{}");
}

#[test]
fn a_status_and_its_parts_are_written_in_any_order() {
    let status = |statements: &[&str]| run(&rules(Some(Context::Span), statements), &linked()).status;
    let whole = |code, message: &str| Some(Status { code, message: message.into() });
    assert_eq!(status(&[r#"set(status, {"code": STATUS_CODE_ERROR})"#]), whole(2, ""));
    let then_part = [r#"set(status, {"code": 2})"#, r#"set(status.message, "m")"#];
    assert_eq!(status(&then_part), whole(2, "m"));
    assert_eq!(status(&[r#"set(status.code, 2)"#, r#"set(status["message"], "m")"#]), whole(2, "m"));
    let read = ["set(status.code, 2)", r#"set(status, status) where status["code"] == 2"#];
    assert_eq!(status(&read), whole(2, "fine"));
    assert_eq!(
        status(&[r#"set(status, {"code": 2})"#, "set(status.message, name) where status.code == 2"]),
        whole(2, &span().name)
    );
}

#[test]
fn what_is_no_such_message_is_a_trouble() {
    let trouble = |statement: &str| {
        let rules = rules(Some(Context::Span), &[statement]);
        let bytes = linked().encode_to_vec();
        let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
        assert!(outcome.edits.is_empty(), "{statement}");
        outcome.troubles.iter().map(|(_, trouble)| trouble.to_string()).collect::<Vec<_>>().join("; ")
    };
    for (statement, expect) in [
        (
            r#"append(events, {"nam": "x"})"#,
            "append: an event has no `nam`; there are time_unix_nano, name, attributes, dropped_attributes_count",
        ),
        (r#"append(events, "x")"#, "append: wanted an event, found a string"),
        (r#"append(links, {"span_id": 0x01})"#, "append: `span_id` of a link: wanted 8 bytes, found bytes"),
        (
            r#"append(links, {"flags": -1})"#,
            "append: `flags` of a link: wanted an integer from 0 to 4294967295, found an integer",
        ),
        (
            r#"append(events, links[0])"#,
            "append: an event has no `trace_id`; there are time_unix_nano, name, attributes, dropped_attributes_count",
        ),
        (
            r#"set(status, {"code": "x"})"#,
            "set: `code` of a status: wanted an integer from 0 to 4294967295, found a string",
        ),
    ] {
        assert_eq!(trouble(statement), expect, "{statement}");
    }
}

#[test]
fn elements_nobody_looked_into_stay_bit_for_bit() {
    // An event with a field nobody knows and a length that is longer than it must be.
    let odd = [0x12, 0x81, 0x00, b'x', 0xfa, 0x3f, 0x01, 7];
    let mut bytes = linked().encode_to_vec();
    crate::wire::fields::put_len_field(11, &odd, &mut bytes);
    let keeps = rules(
        Some(Context::Span),
        &[
            r#"set(events, Filter(events, (_, event) => event["name"] == "x"))"#,
            r#"set(events, Filter(events, (_, event) => Len(event) > 0))"#,
        ],
    );
    let after = keeps.apply_item(Signal::Traces, &bytes, frame()).edits.apply(&bytes);
    let events: Vec<_> = crate::wire::attr::messages(&after, 11).collect();
    assert_eq!(events, [&odd]);
    let reads = rules(
        Some(Context::Span),
        &["set(events, events)", "delete_key(events[0][\"attributes\"], \"none\")"],
    );
    let after = reads.apply_item(Signal::Traces, &bytes, frame()).edits.apply(&bytes);
    assert!(crate::wire::attr::messages(&after, 11).any(|event| event == odd));
}

fn after(statements: &[&str], context: Context, metric: &Metric) -> Metric {
    let bytes = metric.encode_to_vec();
    let rules = rules(Some(context), statements);
    let outcome = rules.apply_item(Signal::Metrics, &bytes, frame());
    assert_eq!(outcome.troubles, [], "{statements:?}");
    Metric::decode(outcome.edits.apply(&bytes).as_slice()).unwrap()
}

fn example(value: f64) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(&[("k", text("v"))]),
        time_unix_nano: 7,
        span_id: vec![1; 8],
        trace_id: vec![2; 16],
        value: Some(exemplar::Value::AsDouble(value)),
    }
}

fn of(data: metric::Data) -> Metric {
    Metric { name: "m".into(), data: Some(data), ..Default::default() }
}

fn number(value: i64) -> NumberDataPoint {
    NumberDataPoint {
        value: Some(number_data_point::Value::AsInt(value)),
        exemplars: vec![example(0.5)],
        ..Default::default()
    }
}

fn sum(values: &[i64]) -> Metric {
    let data_points = values.iter().map(|value| number(*value)).collect();
    of(metric::Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true }))
}

#[test]
fn a_metrics_points_are_one_list() {
    assert_eq!(
        after(&["set(name, \"many\") where Len(data_points) == 3"], Context::Metric, &sum(&[1, 2, 3])).name,
        "many"
    );
    let filtered = after(
        &[
            "set(is_monotonic, false)",
            r#"set(data_points, Filter(data_points, (_, point) => point["value_int"] > 1))"#,
            "set(aggregation_temporality, 1)",
            r#"set(data_points[0]["exemplars"], [])"#,
        ],
        Context::Metric,
        &sum(&[1, 2, 3]),
    );
    let points = vec![NumberDataPoint { exemplars: vec![], ..number(2) }, number(3)];
    let expect = Sum { data_points: points, aggregation_temporality: 1, is_monotonic: false };
    assert_eq!(filtered, of(metric::Data::Sum(expect)));
    let none = Metric { name: "m".into(), ..Default::default() };
    assert_eq!(after(&["set(data_points, [{}])"], Context::Metric, &none), none);
}

#[test]
fn exemplars_are_read_and_written() {
    let changed = after(
        &[
            r#"set(attributes["first"], exemplars[0]["double_value"])"#,
            r#"set(attributes["key"], exemplars[0]["filtered_attributes"]["k"])"#,
            r#"append(exemplars, {"int_value": 9, "time_unix_nano": 1})"#,
        ],
        Context::DataPoint,
        &sum(&[1]),
    );
    let Some(metric::Data::Sum(data)) = changed.data else { panic!("a sum") };
    assert_eq!(shown_map(&data.data_points[0].attributes), r#"{first:0.5,key:"v"}"#);
    let new = Exemplar { time_unix_nano: 1, value: Some(exemplar::Value::AsInt(9)), ..Default::default() };
    assert_eq!(data.data_points[0].exemplars, [example(0.5), new]);
}

#[test]
fn buckets_and_quantiles_are_read_and_written() {
    let point =
        HistogramDataPoint { bucket_counts: vec![1, 2], explicit_bounds: vec![0.5], ..Default::default() };
    let histogram =
        of(metric::Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 }));
    let Some(metric::Data::Histogram(data)) = after(
        &[
            "set(bucket_counts, [1, 2, 3]) where bucket_counts[1] == 2",
            "append(explicit_bounds, 1.5)",
            "set(sum, 2.5)",
        ],
        Context::DataPoint,
        &histogram,
    )
    .data
    else {
        panic!("a histogram")
    };
    let point = &data.data_points[0];
    assert_eq!(
        (&point.bucket_counts[..], &point.explicit_bounds[..], point.sum),
        (&[1, 2, 3][..], &[0.5, 1.5][..], Some(2.5))
    );

    let buckets =
        |offset, bucket_counts: &[u64]| Some(Buckets { offset, bucket_counts: bucket_counts.to_vec() });
    let point =
        ExponentialHistogramDataPoint { scale: 2, positive: buckets(-3, &[1, 300]), ..Default::default() };
    let exponential = of(metric::Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![point],
        aggregation_temporality: 1,
    }));
    let Some(metric::Data::ExponentialHistogram(data)) = after(
        &[
            r#"set(attributes["read"], [positive.offset, positive.bucket_counts, negative.offset, positive["offset"]])"#,
            "set(positive.offset, positive.offset - 1)",
            "append(positive.bucket_counts, 7)",
            r#"set(negative, {"offset": 5, "bucket_counts": [4]})"#,
            "set(scale, -1)",
            "set(zero_count, 6)",
        ],
        Context::DataPoint,
        &exponential,
    ).data else { panic!("an exponential histogram") };
    let point = &data.data_points[0];
    assert_eq!(shown_map(&point.attributes), "{read:[-3,[1,300],0,-3]}");
    assert_eq!((&point.positive, &point.negative), (&buckets(-4, &[1, 300, 7]), &buckets(5, &[4])));
    assert_eq!((point.scale, point.zero_count), (-1, 6));

    let quantile = |quantile, value| ValueAtQuantile { quantile, value };
    let point = SummaryDataPoint {
        quantile_values: vec![quantile(0.5, 1.0), quantile(0.9, 2.0)],
        ..Default::default()
    };
    let summary = of(metric::Data::Summary(Summary { data_points: vec![point] }));
    let Some(metric::Data::Summary(data)) = after(
        &[
            r#"set(attributes["p90"], Find(quantile_values, (_, q) => q["quantile"] > 0.8)["value"])"#,
            r#"append(quantile_values, {"quantile": 1.0, "value": 3.0})"#,
        ],
        Context::DataPoint,
        &summary,
    )
    .data
    else {
        panic!("a summary")
    };
    assert_eq!(shown_map(&data.data_points[0].attributes), "{p90:2.0}");
    assert_eq!(data.data_points[0].quantile_values.len(), 3);
    // Elsewhere there are none, and nothing is written.
    let same = after(
        &["set(positive.offset, 1)", "set(quantile_values, [])", "set(exemplars, exemplars)"],
        Context::DataPoint,
        &sum(&[1]),
    );
    assert_eq!(same, sum(&[1]));
}

#[test]
fn events_written_one_by_one_are_seen_in_the_list() {
    let groups = [
        group(Some(Context::SpanEvent), &["drop() where name == \"first\"", "set(name, \"2nd\")"]),
        group(
            Some(Context::Span),
            &[r#"set(attributes["all"], MapEach(events, (_, event) => event["name"]))"#],
        ),
    ];
    let bytes = span().encode_to_vec();
    let rules = Rules::compile(&groups).unwrap();
    let outcome = rules.apply_item(Signal::Traces, &bytes, frame());
    let after = Span::decode(outcome.edits.apply(&bytes).as_slice()).unwrap();
    assert_eq!(shown(after.attributes.last().and_then(|kv| kv.value.as_ref())), r#"["2nd"]"#);
}

#[test]
fn a_list_is_not_written_both_ways() {
    let groups = [
        group(Some(Context::SpanEvent), &["set(name, \"x\")"]),
        group(Some(Context::Span), &["set(name, \"y\")", "delete_index(events, 0)"]),
    ];
    let mistakes = Rules::compile(&groups).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        mistakes[0].to_string().lines().next(),
        Some(
            "group 2, statement 2, line 1, column 1: `events` can not be written as a whole: a group about \
             spanevents writes them one by one; do one or the other"
        )
    );
}
