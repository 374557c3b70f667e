//! What a trace means survives the join: who speaks for it, what its spans are given, and what becomes of
//! claims that make no sense.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::wire::Signal;

use crate::harness::read::{Export, attribute, text};
use crate::harness::{Client, Proxy, Upstream, captures, made};

const VENDOR: &str = "dialect: interactiveai\nkeys: {public: pk, secret: sk}\njoin: {idle: 1s}\n";

async fn started(config: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{config}", upstream.endpoint())).await;
    (upstream, proxy)
}

/// All spans that have come, these among them.
async fn through(upstream: &Upstream, proxy: &Proxy, spans: Vec<Span>) -> Vec<Span> {
    let before: usize = upstream.exports(Signal::Traces).iter().map(Export::count).sum();
    let count = before + spans.len();
    let body = made::request(spans).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    upstream.await_spans(count).await;
    upstream.exports(Signal::Traces).iter().flat_map(Export::spans).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_type(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[tokio::test]
async fn otel_is_given_what_was_asked_for_under_the_standards_names_and_nothing_else() {
    let (upstream, proxy) = started("context: [user, session]\njoin: {idle: 1s}\n").await;
    let mut spans = made::trace(1, 3);
    spans[0].attributes.push(attribute("langfuse.user.id", "ann"));
    spans[1].attributes.push(attribute("gen_ai.conversation.id", "s-1"));
    spans[1].attributes.push(attribute("langfuse.trace.tags", "['a', 'b']"));
    let before: Vec<usize> = spans.iter().map(|span| span.attributes.len()).collect();
    for (span, before) in through(&upstream, &proxy, spans).await.iter().zip(before) {
        assert_eq!(text(&span.attributes, "user.id"), Some("ann"));
        assert_eq!(text(&span.attributes, "session.id"), Some("s-1"));
        assert_eq!(span.attributes.len(), before + 2, "{:?}", span.attributes);
    }
}

/// The SDK invents a parent when it is given a trace id alone: no server ever sees that span.
#[tokio::test]
async fn the_phantom_parent_of_a_deterministic_id_is_taken_away_and_kept_in_an_attribute() {
    let (upstream, proxy) = started(VENDOR).await;
    let capture = captures(".pb").into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("interactiveai.08"))
    });
    let body = std::fs::read(capture.expect("the capture")).unwrap();
    let sent = Export::decode(Signal::Traces, &body).unwrap().spans().remove(0);
    proxy.http_client().http(Signal::Traces, body).await.assert_taken();
    upstream.await_spans(1).await;
    let came = upstream.exports(Signal::Traces)[0].spans().remove(0);
    assert_eq!((came.parent_span_id.len(), sent.parent_span_id.len()), (0, 8));
    let former = hex(&sent.parent_span_id);
    assert_eq!(text(&came.attributes, "spandrel.parent_span_id"), Some(former.as_str()));
    assert_eq!(text(&came.attributes, "langfuse.trace.name"), Some(came.name.as_str()));
    proxy
        .await_metrics("the mend is counted", |metrics| {
            metrics.sum("spandrel_join_mended_spans_total", &[]) == 1
        })
        .await;
}

#[tokio::test]
async fn spans_that_come_late_are_given_what_their_trace_said() {
    let (upstream, proxy) = started(VENDOR).await;
    let mut spans = made::trace(1, 3);
    spans[0].attributes.push(attribute("user.id", "ann"));
    let late = spans.pop().unwrap();
    through(&upstream, &proxy, spans).await;
    let came = through(&upstream, &proxy, vec![late]).await;
    let late =
        came.iter().find(|span| span.attributes.iter().any(|pair| pair.key == "spandrel.late")).unwrap();
    assert_eq!(text(&late.attributes, "user.id"), Some("ann"));
}

/// Wrong types, invalid JSON, 10 MB of input, 10,000 tags, contradictory users, a ring of parents: kept and
/// counted, and no span is lost.
#[tokio::test]
async fn claims_that_make_no_sense_are_kept_and_counted() {
    let large = "upstreams: {default: {max_request: 32MiB}}\nmemory: 256MiB\nrecent: 64MiB\n";
    let upstream = Upstream::start().await;
    let endpoint = upstream.endpoint();
    let large = large.replace("{max", &format!("{{endpoint: '{endpoint}', max"));
    let proxy = Proxy::with(format!("{large}{VENDOR}")).await;
    let mut spans = made::trace(1, 6);
    let tag = |n: usize| AnyValue { value: Some(Any::StringValue(format!("tag {n}"))) };
    let tags = Any::ArrayValue(ArrayValue { values: (0..10_000).map(tag).collect() });
    let odd: [Vec<KeyValue>; 6] = [
        vec![attribute("user.id", "ann"), of_type("session.id", Any::IntValue(7))],
        vec![attribute("user.id", "bob"), attribute("langfuse.observation.usage_details", "{not json")],
        vec![attribute("langfuse.observation.input", &"x".repeat(10 << 20))],
        vec![of_type("langfuse.trace.tags", tags)],
        vec![of_type("langfuse.observation.usage_details", Any::BoolValue(true))],
        vec![of_type("gen_ai.usage.input_tokens", Any::DoubleValue(-1.5))],
    ];
    for (span, attributes) in spans.iter_mut().zip(odd) {
        span.attributes.extend(attributes);
    }
    // The last two name each other.
    let (fifth, sixth) = (spans[4].span_id.clone(), spans[5].span_id.clone());
    (spans[4].parent_span_id, spans[5].parent_span_id) = (sixth, fifth);
    let sent = spans.clone();
    let came = through(&upstream, &proxy, spans).await;
    for span in &sent {
        let out = came.iter().find(|out| out.span_id == span.span_id).expect("it came");
        for pair in &span.attributes {
            assert!(out.attributes.contains(pair), "{} lost {}", span.name, pair.key);
        }
    }
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (6, 6, 0));
    let path = format!("/traces/{}", hex(&sent[0].trace_id));
    let shown = Client::to(proxy.admin()).get(&path).await;
    for unread in ["langfuse.observation.usage_details", "gen_ai.usage.input_tokens"] {
        assert!(
            shown.text().contains(&format!("\"key\":\"{unread}\"")),
            "{unread}: {}",
            &shown.text()[..2000]
        );
    }
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("spandrel_join_odd_claims_total", &[("kind", "disputed")]), 1);
    assert!(metrics.sum("spandrel_join_odd_claims_total", &[("kind", "left_out")]) > 0);
    assert!(metrics.sum("spandrel_join_odd_spans_total", &[("kind", "cycle")]) > 0);
}

/// An agent sums up the calls below it, one library counts reasoning on top, and nobody says what it cost.
#[tokio::test]
async fn usage_counts_once_and_a_price_makes_a_cost() {
    let prices = r#"{"version": "2026-11", "models": [{"modelName": "gpt-5-mini", "matchPattern": "^gpt-5-mini$",
        "prices": {"input": 0.00000025, "output": 0.000002, "output_reasoning_tokens": 0.000002}}]}"#;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prices.json");
    std::fs::write(&file, prices).unwrap();
    let config =
        format!("{VENDOR}usage: {{repair: true, prices: {}}}\nrollups: {{on_root: true}}\n", file.display());
    let (upstream, proxy) = started(&config).await;
    let mut spans = made::trace(1, 2);
    let tokens = |key: &str, count: i64| of_type(key, Any::IntValue(count));
    spans[0].attributes.extend([
        attribute("openinference.span.kind", "AGENT"),
        tokens("llm.token_count.prompt", 100),
        tokens("llm.token_count.completion", 30),
    ]);
    spans[1].attributes.extend([
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.response.model", "gpt-5-mini"),
        tokens("gen_ai.usage.input_tokens", 100),
        tokens("gen_ai.usage.output_tokens", 30),
        tokens("gen_ai.usage.reasoning_tokens", 10),
    ]);
    let (agent, call) = (spans[0].span_id.clone(), spans[1].span_id.clone());
    let came = through(&upstream, &proxy, spans).await;
    let value = |id: &[u8], key: &str| {
        let span = came.iter().find(|span| span.span_id == id).expect("it came");
        let found = span.attributes.iter().find(|pair| pair.key == key);
        found.and_then(|pair| pair.value.as_ref()?.value.clone())
    };
    assert_eq!(value(&agent, "llm.token_count.prompt"), None, "its calls say the same");
    assert_eq!(value(&agent, "spandrel.counted_elsewhere.llm.token_count.prompt"), Some(Any::IntValue(100)));
    assert_eq!(value(&agent, "spandrel.trace.tokens.input"), Some(Any::IntValue(100)));
    assert_eq!(value(&agent, "spandrel.trace.tokens.output"), Some(Any::IntValue(30)));
    assert_eq!(value(&call, "gen_ai.usage.reasoning_tokens"), None, "it is part of the output");
    assert_eq!(value(&call, "gen_ai.usage.reasoning.output_tokens"), Some(Any::IntValue(10)));
    // 100 x 0.25 and 30 x 2 millionths.
    assert_eq!(value(&call, "gen_ai.usage.cost"), Some(Any::DoubleValue(0.000_085)));
    let Some(Any::StringValue(details)) = value(&call, "langfuse.observation.cost_details") else {
        panic!("no details of the cost");
    };
    let details: serde_json::Value = serde_json::from_str(&details).unwrap();
    assert_eq!(details["total"], 0.000_085);
    assert_eq!(value(&agent, "gen_ai.usage.cost"), None);
}
