use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::wire::{Detail, Fault, Limits, walk};

fn request_with(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

fn spans(json: &str) -> Vec<Span> {
    let bytes = parse(Signal::Traces, json).unwrap_or_else(|e| panic!("{e}: {json}"));
    let request = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|r| r.scope_spans);
    scopes.flat_map(|s| s.spans).collect()
}

fn span(fields: &str) -> Span {
    spans(&request_with(&format!("{{{fields}}}"))).remove(0)
}

fn refused(fields: &str) -> String {
    let json = request_with(&format!("{{{fields}}}"));
    parse(Signal::Traces, &json).expect_err(fields).to_string()
}

/// The one attribute of a span, from the JSON of its value.
fn value(json: &str) -> Option<Value> {
    let span = span(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#));
    span.attributes[0].value.clone()?.value
}

fn value_refused(json: &str) -> String {
    refused(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#))
}

fn histogram(fields: &str) -> HistogramDataPoint {
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{{fields}}}]}}}}]}}]}}]}}"#
    );
    let bytes = parse(Signal::Metrics, &json).unwrap_or_else(|e| panic!("{e}: {json}"));
    let mut request = ExportMetricsServiceRequest::decode(&bytes[..]).unwrap();
    match request.resource_metrics[0].scope_metrics[0].metrics[0].data.take() {
        Some(Data::Histogram(mut histogram)) => histogram.data_points.remove(0),
        other => panic!("{other:?}"),
    }
}

const TRACE: &str = "5B8EFFF798038103D269B633813FC60C";

#[test]
fn j01_ids_are_hex_in_either_case_wherever_they_stand() {
    let span = span(
        r#""traceId":"5b8EFFf798038103D269B633813FC60c","spanId":"eee19b7ec3c1b174",
        "parentSpanId":"EEE19B7EC3C1B173","links":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708"}]"#,
    );
    assert_eq!(span.trace_id, u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes());
    assert_eq!(span.span_id, 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xeee1_9b7e_c3c1_b173_u64.to_be_bytes());
    assert_eq!((&span.links[0].trace_id, span.links[0].span_id.len()), (&span.trace_id, 8));

    let log = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708"}]}]}]}"#;
    let logs = ExportLogsServiceRequest::decode(&parse(Signal::Logs, log).unwrap()[..]).unwrap();
    let record = &logs.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((&record.trace_id, record.span_id.len()), (&span.trace_id, 8));

    let exemplar = histogram(
        r#""exemplars":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708","asInt":"-4"}]"#,
    );
    assert_eq!(exemplar.exemplars[0].trace_id, span.trace_id);
}

#[test]
fn j01_base64_ids_refuse_the_request_and_say_so() {
    for id in ["W47/95gDgQPSabYzgT/GDA==", "W47_95gDgQPSabYzgT_GDA", r"W47\/95gDgQPSabYzgT\/GDA=="] {
        let message = refused(&format!(r#""traceId":"{id}""#));
        assert!(message.contains("looks like base64") && message.contains("spans[0].traceId"), "{message}");
    }
    for id in ["7uGbfsPBsXM=", "7uGbfsPBsXM"] {
        assert!(refused(&format!(r#""parentSpanId":"{id}""#)).contains("looks like base64"));
    }
}

#[test]
fn an_id_of_no_use_is_left_for_the_walk_to_refuse_its_span_alone() {
    // Wrong length: the bytes as they are. Not hex: one byte, even when the text has an id's length.
    assert_eq!(span(r#""traceId":"0102030405""#).trace_id, [1, 2, 3, 4, 5]);
    let good = r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708"}"#;
    let short = r#"{"traceId":"0102030405","spanId":"0102030405060708"}"#;
    let no_hex = r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"12345678"},{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"notahex!"}"#;
    let (taken, faults) = walked(&format!("{good},{short},{no_hex},{good}"));
    assert_eq!((taken, &faults[..]), (2, &[Fault::TraceId, Fault::SpanId, Fault::SpanId][..]));
    for text in ["zzzzzzzzzzzzzzzz", "5B8EFFF798038103D269B633813FC60", "not an id at all", "\\u00e9\\u00e9"]
    {
        assert_eq!(span(&format!(r#""traceId":"{text}","spanId":"{text}""#)).trace_id, b"?", "{text}");
    }
}

#[test]
fn j02_enums_are_integers_and_a_name_is_refused_with_its_number() {
    assert_eq!(span(r#""kind":2,"status":{"code":2,"message":"m"}"#).kind, 2);
    assert_eq!(span(r#""kind":77"#).kind, 77, "unknown numbers pass (conformance D07)");
    assert_eq!(span(r#""kind":-1"#).kind, -1);
    let message = refused(r#""kind":"SPAN_KIND_SERVER""#);
    assert!(message.contains("`SPAN_KIND_SERVER` is text") && message.contains("write 2"), "{message}");
    assert!(refused(r#""status":{"code":"Error"}"#).contains("enums are integers"));
}

#[test]
fn j02_j04_lenient_takes_names_and_snake_case() {
    let json = r#"{"resource_spans":[{"scope_spans":[{"spans":[{"start_time_unix_nano":"7","kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"}}]}]}]}"#;
    let lenient = Options { lenient: true };
    let bytes = to_protobuf_with(Signal::Traces, json.as_bytes(), ROOMY, lenient).unwrap();
    let request = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.start_time_unix_nano, span.kind, span.status.as_ref().unwrap().code), (7, 3, 2));
    // Strictly, a snake_case name is one more unknown name.
    assert_eq!(parse(Signal::Traces, json).unwrap(), b"");
}

#[test]
fn j03_unknown_names_are_ignored_at_every_depth_whatever_they_hold() {
    for junk in
        ["1", "-2.5e-7", "null", "true", r#""a\"b""#, "[]", "{}", r#"[{"a":[1,{"b":null}],"":{}},[[]],"]}"]"#]
    {
        let json = format!(
            r#"{{"x":{junk},"resourceSpans":[{{"x":{junk},"scopeSpans":[{{"spans":[{{"x":{junk},"name":"n","attributes":[{{"x":{junk},"key":"k","value":{{"x":{junk},"stringValue":"v"}}}}]}}],"x":{junk}}}]}}]}}"#
        );
        let span = &spans(&json)[0];
        assert_eq!(span.name, "n", "{junk}");
        let value = span.attributes[0].value.clone().unwrap().value;
        assert_eq!(value, Some(Value::StringValue("v".into())), "{junk}");
    }
    for broken in
        [r#"{"x":[1,]}"#, r#"{"x":{"a" 1}}"#, r#"{"x":[1}}"#, r#"{"x":{]}"#, r#"{"x":01}"#, r#"{"x":nul}"#]
    {
        assert!(parse(Signal::Traces, broken).is_err(), "{broken}");
    }
}

#[test]
fn j05_integers_of_64_bits_come_as_numbers_or_text() {
    for (json, expect) in [
        ("1544712660000000000", 1_544_712_660_000_000_000),
        (r#""1544712660000000000""#, 1_544_712_660_000_000_000),
        ("18446744073709551615", u64::MAX),
        (r#""18446744073709551615""#, u64::MAX),
        ("1.5e3", 1500),
        ("0", 0),
        ("-0", 0),
        (r#""\u0031\u0032""#, 12),
    ] {
        assert_eq!(span(&format!(r#""startTimeUnixNano":{json}"#)).start_time_unix_nano, expect, "{json}");
    }
    assert_eq!(value(r#"{"intValue":"-9223372036854775808"}"#), Some(Value::IntValue(i64::MIN)));
    assert_eq!(value(r#"{"intValue":-1e3}"#), Some(Value::IntValue(-1000)));
    let point = histogram(r#""count":"3","bucketCounts":["1",2],"explicitBounds":[0.5,"NaN"]"#);
    assert_eq!((point.count, &point.bucket_counts[..]), (3, &[1, 2][..]));
    assert!(point.explicit_bounds[0] == 0.5 && point.explicit_bounds[1].is_nan());
}

#[test]
fn an_integer_that_does_not_fit_is_refused_and_never_rounded() {
    for json in [
        "18446744073709551616",
        "-1",
        "1.5",
        "1e-1",
        "1e400",
        r#""""#,
        r#"" 1""#,
        r#""0x1""#,
        "true",
        "{}",
        "[1]",
        "01",
        "1.",
        "+1",
        ".5",
        "1e",
        "--1",
    ] {
        let message = refused(&format!(r#""endTimeUnixNano":{json}"#));
        assert!(message.contains("endTimeUnixNano"), "{json}: {message}");
    }
    assert!(value_refused(r#"{"intValue":9223372036854775808}"#).contains("does not fit"));
    assert!(refused(r#""droppedEventsCount":4294967296"#).contains("does not fit"));
}

#[test]
fn j06_bytes_are_base64_of_either_alphabet_padded_or_not() {
    for text in ["+/8A", "-_8A", r"+\/8A"] {
        let json = format!(r#"{{"bytesValue":"{text}"}}"#);
        assert_eq!(value(&json), Some(Value::BytesValue(vec![0xfb, 0xff, 0])), "{text}");
    }
    for text in ["+w==", "+w", "-w==", "-w"] {
        let json = format!(r#"{{"bytesValue":"{text}"}}"#);
        assert_eq!(value(&json), Some(Value::BytesValue(vec![0xfb])), "{text}");
    }
    assert_eq!(value(r#"{"bytesValue":""}"#), Some(Value::BytesValue(vec![])));
    assert!(value_refused(r#"{"bytesValue":"a b"}"#).contains("must be base64"));
}

#[test]
fn j07_doubles_are_numbers_numeric_text_or_the_three_names() {
    for (json, expect) in [
        ("1.25", 1.25),
        ("5", 5.0),
        (r#""-2.5e-3""#, -0.0025),
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
        ("-0.0", -0.0),
        ("1.7976931348623157e308", f64::MAX),
        ("5e-324", 5e-324),
    ] {
        match value(&format!(r#"{{"doubleValue":{json}}}"#)) {
            Some(Value::DoubleValue(read)) => assert_eq!(read.to_bits(), f64::to_bits(expect), "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
    assert!(matches!(value(r#"{"doubleValue":"NaN"}"#), Some(Value::DoubleValue(v)) if v.is_nan()));
    for json in ["1e999", r#""inf""#, r#""nan""#, r#""""#, "NaN", "true", r#""1_0""#] {
        value_refused(&format!(r#"{{"doubleValue":{json}}}"#));
    }
}

#[test]
fn j08_null_is_the_default_of_any_field() {
    let empty = span(
        r#""traceId":null,"name":null,"kind":null,"startTimeUnixNano":null,"attributes":null,"status":null,"flags":null"#,
    );
    assert_eq!(empty, Span::default());
    assert_eq!(value("null"), None.or(value("{}")), "a null AnyValue is an absent one");
    let array = Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] });
    assert_eq!(value(r#"{"arrayValue":{"values":[null]}}"#), Some(array));
    assert_eq!(histogram(r#""sum":null,"bucketCounts":[null,1]"#).bucket_counts, [0, 1]);
    assert_eq!(histogram(r#""sum":null"#).sum, None);
    assert_eq!(histogram(r#""sum":0"#).sum, Some(0.0), "an optional zero is not absent");
}

#[test]
fn j09_j10_absent_is_default_and_an_empty_id_is_no_bytes() {
    assert_eq!(span(""), Span::default());
    assert_eq!(value("{}"), None);
    assert_eq!(value(r#"{"stringValue":""}"#), Some(Value::StringValue(String::new())));
    assert_eq!(value(r#"{"boolValue":false}"#), Some(Value::BoolValue(false)));
    assert_eq!(span(r#""traceId":"","parentSpanId":"""#), Span::default());
}

/// `levels` AnyValues, one in the other.
fn nested(levels: usize) -> String {
    let open = r#"{"arrayValue":{"values":["#.repeat(levels - 1);
    let close = "]}}".repeat(levels - 1);
    format!(r#"{open}{{"intValue":"1"}}{close}"#)
}

fn levels_of(value: &AnyValue) -> usize {
    match &value.value {
        Some(Value::ArrayValue(array)) => 1 + array.values.first().map_or(0, levels_of),
        _ => 1,
    }
}

#[test]
fn j11_values_nest_and_what_is_too_deep_is_cut_where_the_walk_sees_it() {
    for (sent, kept) in [(1, 1), (30, 30), (32, 32), (33, 33), (40, 33), (100_000, 33)] {
        let span = span(&format!(r#""attributes":[{{"value":{}}}]"#, nested(sent)));
        let value = span.attributes[0].value.clone().unwrap();
        assert_eq!(levels_of(&value), kept, "{sent} levels");
    }
}

#[test]
fn the_walk_draws_the_line_at_30_levels() {
    let ids = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708""#;
    for (levels, faults) in
        [(30, vec![]), (31, vec![Fault::Depth]), (32, vec![Fault::Depth]), (40, vec![Fault::Depth])]
    {
        let span = format!(r#"{{{ids},"attributes":[{{"key":"k","value":{}}}]}}"#, nested(levels));
        assert_eq!(walked(&span).1, faults, "{levels} levels");
    }
}

#[test]
fn f39_a_million_levels_cost_no_stack() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
    for junk in [deep("[", "]"), deep(r#"{"a":"#, "}")] {
        assert_eq!(parse(Signal::Traces, &format!(r#"{{"x":{junk}}}"#)).unwrap(), b"");
    }
    assert!(parse(Signal::Traces, &format!(r#"{{"x":{}"#, "[".repeat(1_000_000))).is_err());
    let lists = deep(r#"{"kvlistValue":{"values":[{"value":"#, "}]}}").replace(":1}", ":{}}");
    let ids = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"0102030405060708""#;
    let deep = format!(r#"{{{ids},"attributes":[{{"key":"k","value":{lists}}}]}},{{{ids}}}"#);
    assert_eq!(walked(&deep), (1, vec![Fault::Depth]));
}

/// Spans the walk accepts, and why it refuses the others.
fn walked(spans: &str) -> (u64, Vec<Fault>) {
    let bytes = parse(Signal::Traces, &request_with(spans)).unwrap();
    let index = walk(Signal::Traces, &bytes, Detail::Spans, &Limits::default()).unwrap();
    (index.items, index.refused.named.iter().map(|(_, fault)| *fault).collect())
}

#[test]
fn j11_the_last_of_equal_keys_wins() {
    let twice = span(r#""name":"a","kind":1,"name":"b","attributes":[{"key":"x"}],"kind":0,"attributes":[]"#);
    assert_eq!((twice.name.as_str(), twice.kind, twice.attributes.len()), ("b", 0, 0));
    assert_eq!(span(r#""name":"a","name":null"#).name, "");
    let blocks = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"lost"}]}]}],"resourceSpans":[]}"#;
    assert_eq!(spans(blocks), []);
    let status = span(r#""status":{"code":2,"message":"old"},"status":{"message":"new"}"#).status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (0, "new"), "replaced, not merged");
}

#[test]
fn the_last_of_a_oneof_wins_and_leaves_nothing_of_the_others() {
    let json = r#"{"arrayValue":{"values":[{}]},"stringValue":"a","intValue":"5"}"#;
    assert_eq!(value(json), Some(Value::IntValue(5)));
    let bytes =
        parse(Signal::Traces, &request_with(&format!(r#"{{"attributes":[{{"value":{json}}}]}}"#))).unwrap();
    assert!(bytes.ends_with(&[0x12, 2, 0x18, 5]), "{bytes:02x?}");
    assert_eq!(value(r#"{"stringValue":"a","intValue":null}"#), Some(Value::StringValue("a".into())));
    assert_eq!(value(r#"{"stringValue":"a","intValue":"1","intValue":null}"#), None);
}

#[test]
fn endless_repetition_is_refused_before_it_costs() {
    let attributes = r#"{"key":"k"},"#.repeat(20_000);
    let names = r#""name":"n","#.repeat(100_000);
    let message = refused(&format!(r#"{names}"attributes":[{attributes}{{}}],{names}"kind":1"#));
    assert!(message.contains("repeated too often"), "{message}");
}

#[test]
fn j11_text_is_decoded_and_what_has_no_utf8_is_refused() {
    let name = span(r#""name":"\"\\\/\b\f\n\r\t \u00e9 \ud83d\ude00 é 😀 plain and long enough""#).name;
    assert_eq!(name, "\"\\/\u{8}\u{c}\n\r\t é 😀 é 😀 plain and long enough");
    for lone in [
        r"\ud83d",
        r"\ude00",
        r"\ud83d\n",
        r"\ud83dx",
        r"\ud83d\ud83d",
        r"\ude00\ud83d",
        r"\x",
        r"\u12g4",
        r"\u1",
    ] {
        let message = refused(&format!(r#""name":"{lone}""#));
        assert!(message.contains("escape"), "{lone}: {message}");
    }
    assert!(refused("\"name\":\"tab\there\"").contains("control character"));
    let broken = b"{\"resourceSpans\":\n [ \"\xff\" ]}";
    let error = to_protobuf(Signal::Traces, broken, ROOMY).unwrap_err();
    assert_eq!((error.line, error.column), (2, 5));
    assert!(error.to_string().contains("UTF-8"));
}

#[test]
fn an_escaped_key_is_still_that_key() {
    assert_eq!(span(r#""n\u0061me":"n""#).name, "n");
}

#[test]
fn j11_empty_bodies_and_trailing_text() {
    assert_eq!(parse(Signal::Traces, "{}").unwrap(), b"");
    assert_eq!(parse(Signal::Logs, " \r\n\t{ } \n").unwrap(), b"");
    for (body, says) in [
        ("", "empty"),
        ("  \n", "empty"),
        ("{} x", "expected the end of the request, found `x`"),
        ("{}{}", "expected the end"),
        ("[]", "expected an object"),
        ("null", "expected an object"),
        ("{", "the text ends"),
        (r#"{"resourceSpans":[{},]}"#, "a comma must be followed"),
        (r#"{"resourceSpans":[{} {}]}"#, "expected `,` or `]`"),
        (r#"{"resourceSpans":{}}"#, "expected an array, found `{`"),
        (r#"{"resourceSpans":[[]]}"#, "expected an object, found `[`"),
        (r#"{"resourceSpans":[{"schemaUrl":7}]}"#, "expected a string in double quotes, found `7`"),
        (r#"{"resourceSpans":["#, "the text ends"),
        (r#"{resourceSpans:[]}"#, "expected a string in double quotes, found `resourceSpans`"),
    ] {
        let message = parse(Signal::Traces, body).expect_err(body).to_string();
        assert!(message.contains(says), "{body}: {message}");
    }
}

#[test]
fn errors_name_path_line_and_column() {
    let json = "{\"resourceSpans\": [\n  {},\n  {\"scopeSpans\": [{\"spans\": [{}, {\n    \"é\": 1, \"name\": 12\n}]}]}]}";
    let error = parse(Signal::Traces, json).unwrap_err();
    assert_eq!(error.path, "resourceSpans[1].scopeSpans[0].spans[1].name");
    assert_eq!((error.line, error.column), (4, 21));
    assert_eq!(
        error.to_string(),
        "resourceSpans[1].scopeSpans[0].spans[1].name: expected a string in double quotes, found `12` (line 4, column 21)"
    );
    assert_eq!(parse(Signal::Traces, "").unwrap_err().path, "body");
}

#[test]
fn the_result_never_exceeds_its_bound() {
    let zeros = "0,".repeat(1000);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{zeros}0]}}]}}}}]}}]}}]}}"#
    );
    let exact = parse(Signal::Metrics, &json).unwrap();
    assert!(exact.len() > 8000);
    assert_eq!(to_protobuf(Signal::Metrics, json.as_bytes(), exact.len()).unwrap(), exact);
    for max in [0, 1, 100, exact.len() - 1] {
        let message = to_protobuf(Signal::Metrics, json.as_bytes(), max).unwrap_err().to_string();
        assert!(message.contains("larger than"), "{message}");
    }
}

#[test]
fn lengths_of_every_width_are_filled_in() {
    for len in [0, 1, 126, 127, 128, 129, 250, 16_383, 16_384, 2_100_000] {
        let text = "x".repeat(len);
        let span = span(&format!(r#""attributes":[{{"key":"k","value":{{"stringValue":"{text}"}}}}]"#));
        assert_eq!(span.attributes[0].value.clone().unwrap().value, Some(Value::StringValue(text)));
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(json in ".{0,200}") {
        for signal in Signal::ALL {
            let _ = parse(signal, &json);
        }
    }

    #[test]
    fn any_heap_of_tokens_is_taken_or_refused(tokens in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "null", "true", "1", "-1e3", "\"\"", "\"a\\u12\"", "\"resourceSpans\":[", "\"scopeSpans\":[{",
        "\"spans\":[{", "\"traceId\":", "\"attributes\":[{", "\"value\":{", "\"arrayValue\":{\"values\":[", "\"name\":\"n\"", "\"kind\":3",
    ]), 0..60)) {
        for lenient in [false, true] {
            let _ = to_protobuf_with(Signal::Traces, tokens.concat().as_bytes(), ROOMY, Options { lenient });
        }
    }

    #[test]
    fn any_string_survives(text in "\\PC{0,80}|.{0,40}") {
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(span(&format!(r#""name":{json}"#)).name, text);
    }
}

#[test]
fn j04_a_name_in_snake_case_is_passed_over_and_said() {
    let json = r#"{"resource_spans": [{}], "own_name": 1, "resourceSpans": []}"#.as_bytes();
    let strict = to_protobuf_noting(Signal::Traces, json, ROOMY, Options::default()).unwrap();
    assert_eq!((strict.body.len(), strict.misspelt.as_deref()), (0, Some("`resource_spans`")));
    let lenient = to_protobuf_noting(Signal::Traces, json, ROOMY, Options { lenient: true }).unwrap();
    assert_eq!((lenient.leniencies, lenient.misspelt), (1, None));
}
