//! Prompts and answers that instrumentations send as log records: they are on their spans again, and the
//! books of logs close, whether anybody takes logs or not.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use spandrel::wire::Signal;

use crate::harness::read::{Export, attribute, text};
use crate::harness::{Proxy, Upstream, made, sdk};

const FAST: &str = "join: {logs: on, idle: 500ms}\nbatch: {age: 10ms}\n";

/// What a caller asked in one span of a made trace.
fn question(trace: u64, span: usize, content: &str) -> LogRecord {
    let values = vec![attribute("content", content)];
    LogRecord {
        time_unix_nano: 1_800_000_000_000_000_000,
        event_name: "gen_ai.user.message".into(),
        body: Some(AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) }),
        attributes: vec![attribute("gen_ai.system", "openai")],
        trace_id: made::trace_id(trace),
        span_id: made::span_id(trace, span),
        ..LogRecord::default()
    }
}

/// What it was answered, a moment later.
fn answer(trace: u64, span: usize, content: &str) -> LogRecord {
    let asked = question(trace, span, content);
    LogRecord { time_unix_nano: asked.time_unix_nano + 1, event_name: "gen_ai.choice".into(), ..asked }
}

fn request(records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let mut request = made::logs(0, 0);
    request.resource_logs[0].scope_logs[0].log_records = records;
    request
}

fn logs(records: Vec<LogRecord>) -> Export {
    Export::Logs(request(records))
}

/// The spans of a trace that came, by their place in it.
fn came(upstream: &Upstream, trace: u64, index: usize) -> Span {
    let exports = upstream.exports(Signal::Traces);
    let spans = exports.into_iter().flat_map(|export| match export {
        Export::Traces(request) => request.resource_spans,
        _ => Vec::new(),
    });
    let spans = spans.flat_map(|block| block.scope_spans).flat_map(|scope| scope.spans);
    let mut own = spans.filter(|span| span.span_id == made::span_id(trace, index));
    own.next().unwrap_or_else(|| panic!("span {index} of trace {trace} has not come"))
}

fn said(events: &[Event]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (&*event.name, text(&event.attributes, "content").unwrap_or("-"))).collect()
}

/// Over three lanes, so that records, spans and what is passed on meet in different ones.
#[tokio::test]
async fn what_was_said_is_on_its_span_and_goes_on_as_logs() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\nlanes: 3\n{FAST}", upstream.endpoint())).await;
    let traces = 1..9_u64;
    let asked = logs(traces.clone().map(|trace| question(trace, 1, "Where is Madrid?")).collect());
    let answered = logs(traces.clone().map(|trace| answer(trace, 1, "In Spain.")).collect());
    let plain = Export::Logs(made::logs(1, 5));
    proxy.client().grpc(Signal::Logs, answered.encode()).await.assert_taken();
    proxy.http_client().json(Signal::Logs, asked.json()).await.assert_taken();
    for trace in traces.clone() {
        let spans = Export::Traces(made::request(made::trace(trace, 3)));
        proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    }
    for again in [&asked, &plain] {
        proxy.http_client().http(Signal::Logs, again.encode()).await.assert_taken();
    }
    upstream.await_spans(24).await;
    for trace in traces {
        let expect = [("gen_ai.user.message", "Where is Madrid?"), ("gen_ai.choice", "In Spain.")];
        assert_eq!(said(&came(&upstream, trace, 1).events), expect, "once, in order");
        assert_eq!(text(&came(&upstream, trace, 1).events[0].attributes, "gen_ai.system"), Some("openai"));
        let own = &made::trace(trace, 3)[1];
        assert_eq!(
            Span { events: Vec::new(), ..came(&upstream, trace, 1) },
            *own,
            "otherwise it is as it was"
        );
        assert!([0, 2].iter().all(|other| came(&upstream, trace, *other).events.is_empty()));
    }
    upstream.await_items(Signal::Logs, 29).await;
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (29, 29), "each is in the books once");
    let metrics = proxy.metrics().await;
    let ended = |outcome| metrics.sum("spandrel_join_log_records_total", &[("outcome", outcome)]);
    assert_eq!(ended("attached"), 16);
    // Sent again before its trace left, or after it.
    assert_eq!(ended("copy") + ended("late"), 8);
    assert!(proxy.stop().await.success());
}

/// Nobody takes logs: what belongs to spans is taken with them, the rest is refused to its caller, who is told.
#[tokio::test]
async fn where_nobody_takes_logs_what_was_said_settles_with_its_span_and_the_rest_is_refused() {
    let upstream = Upstream::start().await;
    let only = format!("upstreams: {{only: {{endpoint: \"{}\", signals: traces}}}}\n", upstream.endpoint());
    let proxy = Proxy::with(format!("{only}lanes: 2\n{FAST}")).await;
    let homeless = LogRecord { span_id: Vec::new(), ..question(1, 1, "of no span") };
    let plain = made::logs(7, 1).resource_logs[0].scope_logs[0].log_records[0].clone();
    let first = logs(vec![question(1, 1, "hello"), homeless, answer(1, 1, "hi"), plain]);
    for reply in [
        proxy.http_client().http(Signal::Logs, first.encode()).await,
        proxy.http_client().http(Signal::Logs, first.encode()).await,
    ] {
        let (rejected, message) = reply.rejected();
        assert_eq!(rejected, 2, "{message}");
        let hints = ["2 of 4 log records refused", "no upstream here takes logs", "`upstreams.NAME.signals`"];
        assert!(hints.iter().all(|hint| message.contains(hint)), "{message}");
    }
    let spans = Export::Traces(made::request(made::trace(1, 3)));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    upstream.await_spans(3).await;
    assert_eq!(
        said(&came(&upstream, 1, 1).events),
        [("gen_ai.user.message", "hello"), ("gen_ai.choice", "hi")]
    );
    // Its span has left: it goes nowhere.
    let late = logs(vec![answer(1, 2, "too late")]);
    proxy.client().grpc(Signal::Logs, late.encode()).await.assert_taken();
    let ledger = proxy.await_settled(Signal::Logs, "only").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.refused, ledger.lost), (9, 4, 4, 1));
    let labels = [("signal", "logs"), ("reason", "no_span")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &labels), 1);
    let ledger = proxy.await_settled(Signal::Traces, "only").await;
    assert_eq!((ledger.received, ledger.delivered), (3, 3));
    assert!(upstream.requests().iter().all(|request| request.signal == Signal::Traces));
    assert!(proxy.stop().await.success());
}

/// Records are lost with the spans they went with, by the same reason.
#[tokio::test]
async fn where_nobody_takes_logs_what_was_said_is_lost_with_its_span() {
    let mut upstream = Upstream::start().await;
    upstream.go_down().await;
    let hasty = "retry: {initial: 50ms, max: 100ms, give_up: 500ms}";
    let only =
        format!("upstreams: {{only: {{endpoint: \"{}\", signals: traces, {hasty}}}}}\n", upstream.endpoint());
    let proxy = Proxy::with(format!("{only}{FAST}")).await;
    let said = logs(vec![question(1, 1, "hello"), answer(1, 1, "hi")]);
    proxy.client().grpc(Signal::Logs, said.encode()).await.assert_taken();
    let spans = Export::Traces(made::request(made::trace(1, 3)));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    let ledger = proxy.await_settled(Signal::Traces, "only").await;
    assert_eq!((ledger.received, ledger.lost), (3, 3));
    let ledger = proxy.await_settled(Signal::Logs, "only").await;
    assert_eq!((ledger.received, ledger.lost), (2, 2));
    let labels = [("signal", "logs"), ("reason", "gave_up")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &labels), 2);
}

const MASKS: &str = "rules:
  - 'mask(log.body, \"card\")'
  - 'drop() where log.event_name == \"gen_ai.choice\"'
  - 'sample(0) where log.event_name == \"gen_ai.tool.message\"'
";

/// The rules about logs are about these copies too: nothing leaves that they mask or drop.
#[tokio::test]
async fn what_is_said_on_a_span_is_what_the_rules_about_logs_leave_of_it() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\nlanes: 2\n{FAST}{MASKS}", upstream.endpoint())).await;
    let tool = LogRecord { event_name: "gen_ai.tool.message".into(), ..question(1, 1, "of a tool") };
    let said_all = vec![question(1, 1, "my card is 4111 1111 1111 1111"), answer(1, 1, "thanks"), tool];
    proxy.client().grpc(Signal::Logs, logs(said_all).encode()).await.assert_taken();
    let spans = Export::Traces(made::request(made::trace(1, 3)));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    upstream.await_spans(3).await;
    upstream.await_items(Signal::Logs, 1).await;
    assert_eq!(said(&came(&upstream, 1, 1).events), [("gen_ai.user.message", "my card is ***")]);
    for received in upstream.requests() {
        let body = received.export.encode();
        assert!(!body.windows(9).any(|window| window == b"1111 1111"), "{:?}", received.export);
    }
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (3, 1, 2), "as logs, once");
}

/// Where nobody takes logs, such a record is lost by the user's wish, and counted.
#[tokio::test]
async fn where_nobody_takes_logs_what_the_rules_take_away_is_counted() {
    let upstream = Upstream::start().await;
    let only = format!("upstreams: {{only: {{endpoint: \"{}\", signals: traces}}}}\n", upstream.endpoint());
    let proxy =
        Proxy::with(format!("{only}{FAST}{MASKS}  - 'drop() where span.name == \"SELECT orders 2\"'\n"))
            .await;
    let tool = LogRecord { event_name: "gen_ai.tool.message".into(), ..question(1, 1, "of a tool") };
    // The last one's span is dropped, and takes it along.
    let all =
        vec![question(1, 1, "4111 1111 1111 1111"), answer(1, 1, "thanks"), tool, question(1, 2, "gone")];
    proxy.client().grpc(Signal::Logs, logs(all).encode()).await.assert_taken();
    let spans = Export::Traces(made::request(made::trace(1, 3)));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    upstream.await_spans(2).await;
    assert_eq!(said(&came(&upstream, 1, 1).events), [("gen_ai.user.message", "***")]);
    let ledger = proxy.await_settled(Signal::Logs, "only").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (4, 1, 3));
    let metrics = proxy.metrics().await;
    let lost =
        |reason| metrics.sum("spandrel_exporter_lost_items_total", &[("signal", "logs"), ("reason", reason)]);
    assert_eq!((lost("dropped_by_rule"), lost("sampled_out")), (2, 1));
    let ledger = proxy.await_settled(Signal::Traces, "only").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (3, 2, 1));
}

#[tokio::test]
async fn spans_are_left_alone_unless_it_is_asked_for() {
    let upstream = Upstream::start().await;
    let config = "join: {idle: 500ms}\nbatch: {age: 10ms}\n";
    let proxy = Proxy::with(format!("upstream: {}\n{config}", upstream.endpoint())).await;
    proxy.client().grpc(Signal::Logs, logs(vec![question(1, 1, "hello")]).encode()).await.assert_taken();
    let spans = Export::Traces(made::request(made::trace(1, 3)));
    proxy.client().grpc(Signal::Traces, spans.encode()).await.assert_taken();
    upstream.await_spans(3).await;
    upstream.await_items(Signal::Logs, 1).await;
    assert_eq!(came(&upstream, 1, 1), made::trace(1, 3)[1]);
}

/// OpenTelemetry's own instrumentation of the OpenAI client, content captured, in front of a stand-in of Langfuse,
/// which takes spans only: what was asked and answered is on the span, with nothing set but the dialect.
#[tokio::test]
async fn the_official_openai_instrumentations_input_and_output_are_back_on_the_span() {
    let platform = Upstream::platform().await;
    let keys = "keys: {public: pk-lf-fake, secret: sk-lf-fake}";
    let config =
        format!("dialect: langfuse\nupstream: {}\n{keys}\njoin: {{idle: 3s}}\n", platform.endpoint());
    let proxy = Proxy::with(config).await;
    let mut program = sdk::python("chat.py").await;
    program.env("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true");
    let told = program.exporting(&format!("http://{}", proxy.http()), "http/protobuf").run().await;
    let came = platform.await_spans(2).await;
    let spans: Vec<_> = came.iter().flat_map(|request| request.export.items()).collect();
    let spans: Vec<Span> = spans.iter().map(|item| prost::Message::decode(&*item.body).unwrap()).collect();
    let chat = spans.iter().find(|span| span.name == "chat gpt-4o-mini").expect("the instrumentation's span");
    let names: Vec<&str> = chat.events.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["gen_ai.system.message", "gen_ai.user.message", "gen_ai.choice"]);
    assert_eq!(text(&chat.events[0].attributes, "content"), told["system"].as_str());
    assert_eq!(text(&chat.events[1].attributes, "content"), told["asked"].as_str());
    let message = chat.events[2].attributes.iter().find(|attribute| attribute.key == "message");
    assert_eq!(text(map(message.expect("what was answered")), "content"), told["answered"].as_str());
    assert!(spans.iter().all(|span| span.name == chat.name || span.events.is_empty()));
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (3, 3));
}

fn map(attribute: &KeyValue) -> &[KeyValue] {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::KvlistValue(map)) => &map.values,
        other => panic!("{}: no map but {other:?}", attribute.key),
    }
}
