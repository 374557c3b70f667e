//! Evaluations that become scores at the platform: off unless asked for, once each, whatever way they come.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use serde_json::{Value, json};
use spandrel::wire::Signal;

use crate::harness::platform::{Call, KEYS};
use crate::harness::read::{Export, attribute, text};
use crate::harness::{Answer, Proxy, Start, Upstream, made};

const RESULT: &str = "gen_ai.evaluation.result";
/// 2026-11-22T11:39:40.775744Z
const TIME: u64 = 1_795_347_580_775_744_000;
const SCORES: &str = "/api/public/scores";

async fn in_front_of(platform: &Upstream, dialect: &str, prefix: &str, more: &str) -> Proxy {
    let base = platform.endpoint();
    let variables = [("BASE_URL", &*base), ("PUBLIC_KEY", "pk-lf-fake"), ("SECRET_KEY", "sk-lf-fake")];
    Proxy::start(Start {
        config: format!(
            "dialect: {dialect}\nenvironment: staging\njoin: {{idle: 500ms}}\nbatch: {{age: 10ms}}\n{more}"
        ),
        variables: variables.map(|(name, value)| (format!("{prefix}_{name}"), value.to_owned())).into(),
        ..Start::default()
    })
    .await
}

const ON: &str = "scores: {evaluations: true}\n";

/// What an evaluation says, beside what it is of.
fn said(name: &str, value: f64) -> Vec<KeyValue> {
    let value = Some(AnyValue { value: Some(Any::DoubleValue(value)) });
    vec![
        attribute("gen_ai.evaluation.name", name),
        KeyValue { key: "gen_ai.evaluation.score.value".into(), value, ..KeyValue::default() },
        attribute("gen_ai.evaluation.explanation", "Response is accurate"),
    ]
}

/// An evaluation of one span of a made trace, as a log record.
fn record(trace: u64, span: usize, name: &str, value: f64) -> LogRecord {
    LogRecord {
        time_unix_nano: TIME,
        event_name: RESULT.into(),
        attributes: said(name, value),
        trace_id: made::trace_id(trace),
        span_id: made::span_id(trace, span),
        ..LogRecord::default()
    }
}

async fn log(proxy: &Proxy, records: Vec<LogRecord>) {
    let mut request = made::logs(0, 0);
    request.resource_logs[0].scope_logs[0].log_records = records;
    proxy.client().grpc(Signal::Logs, Export::Logs(request).encode()).await.assert_taken();
}

async fn send(proxy: &Proxy, spans: Vec<Span>) {
    let spans = Export::Traces(made::request(spans));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
}

/// A trace of three spans, of which the second carries an evaluation of its own.
fn evaluated(trace: u64, name: &str) -> Vec<Span> {
    let mut spans = made::trace(trace, 3);
    let event = Event { name: RESULT.into(), time_unix_nano: TIME, ..Event::default() };
    spans[1].events.push(Event { attributes: said(name, 0.5), ..event });
    spans
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was posted, by name; ids are taken out, and returned beside it.
fn posted(calls: &[Call]) -> Vec<(Value, String)> {
    let mut posted: Vec<_> = calls
        .iter()
        .map(|call| {
            assert_eq!(
                (call.method.as_str(), &call.headers["authorization"]),
                ("POST", &KEYS.parse().unwrap())
            );
            assert_eq!(call.headers["content-type"], "application/json");
            let mut body: Value = serde_json::from_slice(&call.body).expect("a score is JSON");
            let id = body.as_object_mut().and_then(|body| body.remove("id")).expect("a score has an id");
            (body, id.as_str().expect("an id is text").to_owned())
        })
        .collect();
    posted.sort_by_key(|(body, _)| body["name"].to_string());
    assert!(posted.iter().all(|(_, id)| id.len() == 32), "{posted:?}");
    posted
}

async fn counted(proxy: &Proxy, outcome: &str) -> u64 {
    proxy.metrics().await.sum("spandrel_scores_total", &[("outcome", outcome)])
}

/// The records come before their span, and long after it has left.
#[tokio::test]
async fn records_and_span_events_each_become_one_score_at_langfuse() {
    let platform = Upstream::platform().await;
    let proxy = in_front_of(&platform, "langfuse", "LANGFUSE", ON).await;
    log(&proxy, vec![record(1, 1, "early", 0.92), LogRecord { attributes: vec![], ..record(1, 1, "", 0.0) }])
        .await;
    send(&proxy, evaluated(1, "own")).await;
    platform.await_spans(3).await;
    log(&proxy, vec![record(1, 2, "late", 1.0)]).await;
    let came = posted(&platform.await_calls(SCORES, 3).await);
    let expect = |name: &str, span: usize, value: f64| {
        json!({"traceId": hex(&made::trace_id(1)), "observationId": hex(&made::span_id(1, span)), "name": name,
            "value": value, "dataType": "NUMERIC", "comment": "Response is accurate",
            "environment": "staging"})
    };
    let bodies: Vec<_> = came.into_iter().map(|(body, _)| body).collect();
    assert_eq!(bodies, [expect("early", 1, 0.92), expect("late", 2, 1.0), expect("own", 1, 0.5)]);
    // The telemetry is as it is without.
    let spans: Vec<_> = platform.accepted().iter().flat_map(|request| request.export.spans()).collect();
    let span = spans.iter().find(|span| span.span_id == made::span_id(1, 1)).expect("the second span");
    assert!(span.events.iter().filter(|event| event.name == RESULT).count() == 3, "{:?}", span.events);
    proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((counted(&proxy, "sent").await, counted(&proxy, "no_name").await), (3, 1));
    assert!(proxy.stop().await.success());
    assert_eq!(platform.await_calls(SCORES, 3).await.len(), 3);
}

/// The project is asked for once. The environment is the joined one, and the response's span is found in the join.
#[tokio::test]
async fn interactiveai_is_posted_what_its_sdk_posts() {
    let platform = Upstream::platform().await;
    let proxy = in_front_of(&platform, "interactiveai", "INTERACTIVEAI", ON).await;
    let mut spans = made::trace(1, 3);
    spans[0].attributes.push(attribute("langfuse.environment", "qa"));
    spans[2].attributes.push(attribute("gen_ai.response.id", "chatcmpl-1"));
    let mut named = LogRecord { span_id: Vec::new(), ..record(1, 0, "by-response", 0.92) };
    named.attributes.push(attribute("gen_ai.response.id", "chatcmpl-1"));
    log(&proxy, vec![named, record(1, 1, "by-span", 1.0)]).await;
    send(&proxy, spans).await;
    let path = "/api/platform/v1/organizations/org-demo/projects/proj-demo/scores";
    let came = posted(&platform.await_calls(path, 2).await);
    let expect = |name: &str, span: usize, value: f64| {
        json!({"trace_id": hex(&made::trace_id(1)), "observation_id": hex(&made::span_id(1, span)),
            "name": name, "environment": "qa", "value": value, "comment": "Response is accurate",
            "data_type": "NUMERIC", "timestamp": "2026-11-22T11:39:40.775744Z"})
    };
    let bodies: Vec<_> = came.into_iter().map(|(body, _)| body).collect();
    assert_eq!(bodies, [expect("by-response", 2, 0.92), expect("by-span", 1, 1.0)]);
    let asked = platform.calls().iter().filter(|call| call.path == "/api/platform/v1/projects").count();
    assert_eq!((asked, platform.calls().len()), (1, 3));
}

#[tokio::test]
async fn a_score_that_is_not_taken_is_sent_again_under_the_same_id_and_no_sooner_than_asked() {
    let platform = Upstream::platform().await;
    let after = Some(Duration::from_secs(1));
    platform.answer_next_calls([
        Answer::Refuse { grpc: tonic::Code::Unavailable, http: 503, after },
        Answer::Ok,
        Answer::bad_data(),
    ]);
    let proxy = in_front_of(&platform, "langfuse", "LANGFUSE", ON).await;
    send(&proxy, evaluated(1, "own")).await;
    platform.await_calls(SCORES, 1).await;
    let began = tokio::time::Instant::now();
    let came = posted(&platform.await_calls(SCORES, 2).await);
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(came[0], came[1]);
    // What comes in twice has one id too; what is refused for good is not sent again.
    log(&proxy, vec![LogRecord { attributes: said("own", 0.5), ..record(1, 1, "", 0.0) }]).await;
    let came = posted(&platform.await_calls(SCORES, 3).await);
    assert_eq!(came[2], came[0]);
    assert!(proxy.metrics().await.sum("spandrel_scores_total", &[]) >= 1);
    assert!(proxy.stop().await.success());
    assert_eq!(platform.calls().len(), 3);
}

/// Nobody's evaluation of somebody's trace is that somebody's.
#[tokio::test]
async fn a_score_travels_with_the_credentials_of_its_trace() {
    let platform = Upstream::platform().await;
    let base = vec![("LANGFUSE_BASE_URL".to_owned(), platform.endpoint())];
    let config = format!("dialect: langfuse\nenvironment: staging\njoin: {{idle: 500ms}}\n{ON}");
    let proxy = Proxy::start(Start { config, variables: base, ..Start::default() }).await;
    let spans = Export::Traces(made::request(evaluated(1, "own"))).encode();
    let headers = [("authorization", KEYS), ("content-type", "application/x-protobuf")];
    proxy.http_client().post("/v1/traces", &headers, spans).await.assert_taken();
    platform.await_calls(SCORES, 1).await;
    log(&proxy, vec![record(1, 2, "late", 1.0)]).await;
    assert_eq!(posted(&platform.await_calls(SCORES, 2).await).len(), 2);
}

/// What the queue holds is posted before the process ends.
#[tokio::test]
async fn a_drain_posts_what_is_left() {
    let platform = Upstream::platform().await;
    let proxy = in_front_of(&platform, "langfuse", "LANGFUSE", ON).await;
    let records = (0..50).map(|n| record(9, 1, &format!("of no span that comes {n}"), 1.0)).collect();
    log(&proxy, records).await;
    send(&proxy, evaluated(1, "own")).await;
    assert!(proxy.stop().await.success());
    assert_eq!(posted(&platform.await_calls(SCORES, 51).await).len(), 51);
}

#[tokio::test]
async fn nothing_is_posted_unless_it_is_asked_for() {
    let platform = Upstream::platform().await;
    let proxy = in_front_of(&platform, "langfuse", "LANGFUSE", "").await;
    log(&proxy, vec![record(1, 1, "early", 0.92)]).await;
    send(&proxy, evaluated(1, "own")).await;
    platform.await_spans(3).await;
    log(&proxy, vec![record(1, 2, "late", 1.0)]).await;
    assert!(proxy.stop().await.success());
    assert_eq!(platform.calls().len(), 0);
    let spans: Vec<_> = platform.accepted().iter().flat_map(|request| request.export.spans()).collect();
    let names = |span: &Span| {
        let events = span.events.iter();
        events.filter_map(|event| text(&event.attributes, "gen_ai.evaluation.name")).count()
    };
    assert_eq!(spans.iter().map(names).sum::<usize>(), 2);
}
