//! A4: the JSON mapping, seen in what arrives as protobuf after it was sent as JSON.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::wire::Signal;

use crate::backend::Backend;
use crate::call::{self, JSON, Reply};
use crate::check::{Check, Otherwise, Seen, does_not, holds, line};
use crate::make::{self, NOW};
use crate::peer::{Peer, mark};

pub const CHECKS: &[Check] = &[
    line!(
        "J01",
        Spec,
        "reads ids as hex of either case, and answers base64 400",
        j01_hex_ids,
        inside: "j01_ids_are_hex_in_either_case_wherever_they_stand"
    ),
    line!("J02", Must, "reads and writes enums as numbers", j02_enum_numbers),
    line!("J02.2", Ours, "reads no enum by its name", j02_no_enum_names),
    line!("J03", Must, "ignores unknown names at every depth, whatever they hold", j03_unknown_names),
    line!("J04", Spec, "reads lowerCamelCase names and no others", j04_camel_case),
    line!(
        "J05",
        Spec,
        "reads 64-bit integers as numbers and as text, and writes them as text",
        j05_long_integers
    ),
    line!("J06", Spec, "reads bytes as base64 of either alphabet, padded or not", j06_base64),
    line!("J07", Spec, "reads doubles as numbers, text, NaN and the infinities", j07_doubles),
    line!("J08", Spec, "reads null as the default of any field", j08_null),
    line!("J09", Spec, "reads what is absent as the default, and {} as a value", j09_absent),
    line!("J10", Spec, "reads an empty id as none: a root, when it is the parent's", j10_empty_ids),
    line!(
        "J11",
        Ours,
        "takes 30 levels and no more, the last of equal keys, and no broken text",
        j11_odd_json,
        inside: "the_walk_draws_the_line_at_30_levels"
    ),
    line!(
        "J12",
        Ours,
        "keeps every member of a request of each signal",
        j12_round_trip,
        inside: "a_request_of_each_signal_comes_back_as_the_same_json"
    ),
];

/// Posts JSON, which must be taken.
async fn taken(peer: &Peer, signal: Signal, json: &str) -> Seen {
    let reply = posted(peer, signal, json).await?;
    let partial = String::from_utf8_lossy(&reply.body).contains("rejected");
    holds!(reply.status == 200 && !partial, "{}: {}", reply.status, said(&reply));
    Ok(())
}

async fn posted(peer: &Peer, signal: Signal, json: &str) -> Result<Reply, Otherwise> {
    call::post(peer.http()?, signal.http_path(), JSON, json.to_owned()).await
}

fn said(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).chars().take(200).collect()
}

/// Posts one span with these members, and returns it as it arrives.
async fn span_with(peer: &Peer, more: &str) -> Result<Span, Otherwise> {
    let mark = mark("json");
    taken(peer, Signal::Traces, &make::json_span(&mark, more)).await?;
    arrived(peer.backend()?, &mark).await
}

/// The first span of what arrives with this mark.
async fn arrived(backend: &Backend, mark: &str) -> Result<Span, Otherwise> {
    let came = backend.arrives(mark).await?;
    let request = ExportTraceServiceRequest::decode(came.plain.clone());
    let spans = request.unwrap_or_default().resource_spans.into_iter().flat_map(|block| block.scope_spans);
    let mut spans = spans.flat_map(|scope| scope.spans);
    spans.find(|span| span.name == *mark).ok_or_else(|| does_not("the span arrived under another name"))
}

/// The value of the one attribute that is sent as this JSON.
async fn value_of(peer: &Peer, json: &str) -> Result<Option<Value>, Otherwise> {
    let more = format!(r#","attributes":[{{"key":"k","value":{json}}}]"#);
    let span = span_with(peer, &more).await.map_err(|otherwise| about(json, otherwise))?;
    let attribute = span.attributes.into_iter().find(|attribute| attribute.key == "k");
    Ok(attribute.and_then(|attribute| attribute.value).and_then(|value| value.value))
}

fn about(json: &str, otherwise: Otherwise) -> Otherwise {
    match otherwise {
        Otherwise::DoesNot(why) => does_not(format!("{json}: {why}")),
        other => other,
    }
}

async fn value_is(peer: &Peer, json: &str, wanted: Value) -> Seen {
    let value = value_of(peer, json).await?;
    holds!(value == Some(wanted), "{json} arrives as {value:?}");
    Ok(())
}

async fn j01_hex_ids(peer: Arc<Peer>) -> Seen {
    let mark = mark("j01");
    let id = "A1b2C3d4E5f60718293a4B5c6D7e8F90";
    let link = r#"{"traceId":"0123456789ABCDEF0123456789abcdef","spanId":"0123456789ABCDEf"}"#;
    let span =
        |ids: &str| format!(r#"{{{ids},"name":"{mark}","startTimeUnixNano":"{NOW}","links":[{link}]}}"#);
    let ids = format!(r#""traceId":"{id}","spanId":"A1b2C3d4E5f60718","parentSpanId":"0011223344556677""#);
    taken(&peer, Signal::Traces, &make::json_traces(&mark, &span(&ids))).await?;
    let arrived = arrived(peer.backend()?, &mark).await?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    holds!(hex(&arrived.trace_id) == id.to_lowercase(), "{id} arrives as {}", hex(&arrived.trace_id));
    holds!(hex(&arrived.parent_span_id) == "0011223344556677", "the parent arrives as another");
    let links_to = arrived.links.first().map(|link| hex(&link.trace_id));
    holds!(links_to.as_deref() == Some("0123456789abcdef0123456789abcdef"), "a link arrives as {links_to:?}");

    let base64 = r#""traceId":"obLD1OX2BxgpOktcbX6PkA==","spanId":"obLD1OX2Bxg=""#;
    let reply = posted(&peer, Signal::Traces, &make::json_traces(&mark, &span(base64))).await?;
    holds!(reply.status == 400, "base64 ids are answered {}", reply.status);
    Ok(())
}

async fn j02_enum_numbers(peer: Arc<Peer>) -> Seen {
    let mark = mark("j02");
    taken(&peer, Signal::Traces, &make::json_span(&mark, r#","status":{"code":2}"#)).await?;
    let span = arrived(peer.backend()?, &mark).await?;
    holds!(span.kind == 2 && span.status.is_some_and(|status| status.code == 2), "numbers arrive as others");
    let written = as_json(&peer, Signal::Traces, &make::json_span(&mark, r#","status":{"code":2}"#)).await?;
    if let Some(written) = written {
        let span = &written["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        holds!(span["kind"] == 2 && span["status"]["code"] == 2, "it writes {span}");
    }
    Ok(())
}

async fn j02_no_enum_names(peer: Arc<Peer>) -> Seen {
    let named = make::json_span(&mark("j02"), "").replace(r#""kind":2"#, r#""kind":"SPAN_KIND_SERVER""#);
    let reply = posted(&peer, Signal::Traces, &named).await?;
    holds!(reply.status == 400, "it takes the name SPAN_KIND_SERVER ({})", reply.status);
    Ok(())
}

/// What our own client makes of a request when it is told to write JSON; strangers are not asked.
async fn as_json(peer: &Peer, signal: Signal, json: &str) -> Result<Option<serde_json::Value>, Otherwise> {
    let backend = Backend::anywhere().await;
    let config = format!(
        "upstreams: {{default: {{endpoint: \"{}\", protocol: http/json}}}}\njoin: {{idle: 300ms}}\n",
        backend.endpoint()
    );
    let own = match peer.started(&config).await {
        Err(Otherwise::NotObservable(_)) => return Ok(None),
        own => own?,
    };
    let reply = call::post(own.http(), signal.http_path(), JSON, json.to_owned()).await?;
    holds!(reply.status == 200, "it answers {}", said(&reply));
    let came = backend.until("a request in JSON", |backend| backend.marked("").into_iter().next()).await?;
    let written = serde_json::from_slice(&came.plain);
    written.map(Some).map_err(|fault| does_not(format!("what it writes is no JSON: {fault}")))
}

async fn j03_unknown_names(peer: Arc<Peer>) -> Seen {
    let unknown = r#""new":{"a":[1,"x",null,{"b":[[]]}]},"newer":null,"newest":1e40,"other":"text""#;
    let more = format!(
        r#",{unknown},"events":[{{"name":"e",{unknown}}}],"attributes":[{{"key":"k","value":{{"intValue":"5",{unknown}}},{unknown}}}]"#
    );
    let span = span_with(&peer, &more).await?;
    holds!(span.attributes.len() == 1 && span.events.len() == 1, "it arrives as {span:?}");
    let outer = format!("{{{unknown}}}");
    taken(&peer, Signal::Logs, &outer).await
}

async fn j04_camel_case(peer: Arc<Peer>) -> Seen {
    let (snake, camel) = (mark("j04-snake"), mark("j04-camel"));
    let json = make::json_log(&snake, "")
        .replace("resourceLogs", "resource_logs")
        .replace("scopeLogs", "scope_logs");
    let reply = posted(&peer, Signal::Logs, &json).await?;
    if reply.status != 200 {
        return Ok(());
    }
    // What is sent after it arrives no earlier.
    taken(&peer, Signal::Logs, &make::json_log(&camel, "")).await?;
    let backend = peer.backend()?;
    backend.arrives(&camel).await?;
    holds!(backend.marked(&snake).is_empty(), "it reads resource_logs");
    Ok(())
}

async fn j05_long_integers(peer: Arc<Peer>) -> Seen {
    for (json, wanted) in [
        (r#"{"intValue":"9007199254740993"}"#, 9_007_199_254_740_993),
        (r#"{"intValue":9007199254740993}"#, 9_007_199_254_740_993),
        (r#"{"intValue":"-9223372036854775808"}"#, i64::MIN),
        (r#"{"intValue":42}"#, 42),
    ] {
        value_is(&peer, json, Value::IntValue(wanted)).await?;
    }
    let mark = mark("j05");
    let number = make::json_span(&mark, "").replace(&format!("\"{NOW}\""), &NOW.to_string());
    taken(&peer, Signal::Traces, &number).await?;
    let span = arrived(peer.backend()?, &mark).await?;
    holds!(span.start_time_unix_nano == NOW, "a time as a number arrives as {}", span.start_time_unix_nano);
    if let Some(written) = as_json(&peer, Signal::Traces, &number).await? {
        let time = &written["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"];
        holds!(time == &NOW.to_string(), "it writes {time}");
    }
    Ok(())
}

async fn j06_base64(peer: Arc<Peer>) -> Seen {
    for text in ["+/79/A==", "-_79_A==", "+/79/A", "-_79_A"] {
        let json = format!(r#"{{"bytesValue":"{text}"}}"#);
        value_is(&peer, &json, Value::BytesValue(vec![0xfb, 0xfe, 0xfd, 0xfc])).await?;
    }
    Ok(())
}

async fn j07_doubles(peer: Arc<Peer>) -> Seen {
    for (json, wanted) in [
        (r#"{"doubleValue":2.5}"#, 2.5),
        (r#"{"doubleValue":"2.5"}"#, 2.5),
        (r#"{"doubleValue":3}"#, 3.0),
        (r#"{"doubleValue":"Infinity"}"#, f64::INFINITY),
        (r#"{"doubleValue":"-Infinity"}"#, f64::NEG_INFINITY),
    ] {
        value_is(&peer, json, Value::DoubleValue(wanted)).await?;
    }
    let nan = value_of(&peer, r#"{"doubleValue":"NaN"}"#).await?;
    holds!(matches!(nan, Some(Value::DoubleValue(nan)) if nan.is_nan()), "NaN arrives as {nan:?}");
    value_is(&peer, r#"{"intValue":1e3}"#, Value::IntValue(1000)).await
}

async fn j08_null(peer: Arc<Peer>) -> Seen {
    let more = r#","parentSpanId":null,"flags":null,"droppedAttributesCount":null,"events":null,"status":null,"attributes":null,"traceState":null"#;
    let span = span_with(&peer, more).await?;
    holds!(span.flags == 0 && span.events.is_empty(), "it arrives as {span:?}");
    let mark = mark("j08");
    let json = make::json_span(&mark, "").replace(r#""kind":2"#, r#""kind":null"#);
    taken(
        &peer,
        Signal::Traces,
        &json.replace(&format!("\"endTimeUnixNano\":\"{NOW}\""), "\"endTimeUnixNano\":null"),
    )
    .await?;
    let span = arrived(peer.backend()?, &mark).await?;
    holds!(span.kind == 0 && span.end_time_unix_nano == 0, "it arrives as {span:?}");
    Ok(())
}

async fn j09_absent(peer: Arc<Peer>) -> Seen {
    let value = value_of(&peer, "{}").await?;
    holds!(value.is_none(), "{{}} arrives as {value:?}");
    let list = value_of(&peer, r#"{"arrayValue":{"values":[{},{"boolValue":false}]}}"#).await?;
    let Some(Value::ArrayValue(list)) = list else { return Err(does_not(format!("a list is {list:?}"))) };
    holds!(list.values.len() == 2, "of a list with an empty value {} are left", list.values.len());
    Ok(())
}

async fn j10_empty_ids(peer: Arc<Peer>) -> Seen {
    let span = span_with(&peer, r#","parentSpanId":"""#).await?;
    holds!(span.parent_span_id.is_empty(), "an empty parent arrives as {:?}", span.parent_span_id);
    let mark = mark("j10");
    let span = format!(r#"{{"traceId":"","spanId":"","name":"{mark}","startTimeUnixNano":"{NOW}"}}"#);
    let reply = posted(&peer, Signal::Traces, &make::json_traces(&mark, &span)).await?;
    let partial = reply.status == 200 && said(&reply).contains("rejected");
    holds!(
        reply.status == 400 || partial,
        "a span without ids is answered {} {}",
        reply.status,
        said(&reply)
    );
    Ok(())
}

/// A list in a list in a list …
fn nested(levels: usize) -> String {
    let mut json = r#"{"intValue":"1"}"#.to_owned();
    for _ in 1..levels {
        json = format!(r#"{{"kvlistValue":{{"values":[{{"key":"k","value":{json}}}]}}}}"#);
    }
    json
}

async fn j11_odd_json(peer: Arc<Peer>) -> Seen {
    let logs = Signal::Logs;
    let with = |value: &str| {
        make::json_log(&mark("j11"), &format!(r#","attributes":[{{"key":"k","value":{value}}}]"#))
    };
    let reply = posted(&peer, logs, &with(&nested(30))).await?;
    holds!(reply.status == 200 && !said(&reply).contains("rejected"), "30 levels: {}", said(&reply));
    let reply = posted(&peer, logs, &with(&nested(31))).await?;
    let refused = reply.status == 400 || said(&reply).contains("rejected");
    holds!(refused, "31 levels are answered {} {}", reply.status, said(&reply));
    for (what, json, status) in [
        ("an empty body", String::new(), 400),
        ("{}", "{}".to_owned(), 200),
        ("half a surrogate pair", with(r#"{"stringValue":"\ud800"}"#), 400),
        ("text behind the request", "{} {}".to_owned(), 400),
    ] {
        let reply = posted(&peer, logs, &json).await?;
        holds!(reply.status == status, "{what}: {} {}", reply.status, said(&reply));
    }
    value_is(&peer, r#"{"intValue":"1","intValue":"2"}"#, Value::IntValue(2)).await
}

async fn j12_round_trip(peer: Arc<Peer>) -> Seen {
    let backend = peer.backend()?;
    let mark = mark("j12");
    taken(&peer, Signal::Metrics, &METRICS.replace("MARK", &mark)).await?;
    let came = backend.arrives(&mark).await?;
    let request = ExportMetricsServiceRequest::decode(came.plain.clone()).unwrap_or_default();
    let metrics: Vec<_> = request
        .resource_metrics
        .into_iter()
        .flat_map(|block| block.scope_metrics)
        .flat_map(|scope| scope.metrics)
        .filter(|metric| metric.description == mark)
        .collect();
    let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    holds!(names == ["paid", "lag", "fine", "old"], "of four metrics these arrive: {names:?}");
    let sum = metrics.iter().find_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.first().cloned(),
        _ => None,
    });
    let sum = sum.and_then(|point| point.value);
    holds!(sum == Some(number_data_point::Value::AsInt(-3)), "a sum of -3 arrives as {sum:?}");
    let buckets = metrics.iter().find_map(|metric| match &metric.data {
        Some(Data::ExponentialHistogram(data)) => data.data_points.first()?.positive.clone(),
        _ => None,
    });
    let buckets = buckets.map(|buckets| (buckets.offset, buckets.bucket_counts));
    holds!(buckets == Some((-4, vec![0, 2])), "buckets arrive as {buckets:?}");

    let more = r#","severityNumber":10,"severityText":"Information","eventName":"page","flags":1,"traceId":"A1B2C3D4E5F60718293A4B5C6D7E8F90","spanId":"0FEDCBA987654321","observedTimeUnixNano":"17","droppedAttributesCount":3"#;
    taken(&peer, Signal::Logs, &make::json_log(&format!("{mark}-log"), more)).await?;
    let came = backend.arrives(&format!("{mark}-log")).await?;
    let request = ExportLogsServiceRequest::decode(came.plain.clone()).unwrap_or_default();
    let mut records =
        request.resource_logs.into_iter().flat_map(|block| block.scope_logs).flat_map(|it| it.log_records);
    let record = records.find(|record| record.body == Some(make::text(&format!("{mark}-log"))));
    let Some(record) = record else { return Err(does_not("the log record did not arrive")) };
    let kept = record.severity_number == 10
        && record.event_name == "page"
        && record.flags == 1
        && record.span_id == [0x0f, 0xed, 0xcb, 0xa9, 0x87, 0x65, 0x43, 0x21]
        && record.dropped_attributes_count == 3
        && record.observed_time_unix_nano == 17;
    holds!(kept, "the record arrives as {record:?}");
    Ok(())
}

const METRICS: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"MARK"}}]},"scopeMetrics":[{"scope":{},"metrics":[
{"name":"paid","description":"MARK","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"-3","timeUnixNano":"17","startTimeUnixNano":"16"}]}},
{"name":"lag","description":"MARK","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"17","count":"2","sum":2,"min":0,"max":2,"bucketCounts":["1","1"],"explicitBounds":[1],"exemplars":[{"timeUnixNano":"17","asDouble":2,"spanId":"0FEDCBA987654321","traceId":"A1B2C3D4E5F60718293A4B5C6D7E8F90"}]}]}},
{"name":"fine","description":"MARK","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"17","count":3,"scale":-1,"zeroCount":"1","positive":{"offset":-4,"bucketCounts":[0,"2"]},"negative":{}}]}},
{"name":"old","description":"MARK","summary":{"dataPoints":[{"timeUnixNano":"17","count":"1","sum":4,"quantileValues":[{"quantile":0.5,"value":4}]}]}}
]}]}]}"#;
