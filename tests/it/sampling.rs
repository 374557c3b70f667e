//! What leaves of a trace when only a part of all may: decided once, whatever the services' own samplers did, and
//! told on every span; errors and slow traces always; what comes late follows. And the preset that keeps what is
//! about models.

use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spandrel::wire::Signal;

use crate::harness::read::{Export, attribute};
use crate::harness::{Proxy, Upstream, captures, made};

/// The README's: a tenth of all, and every trace that failed or took long.
const RECIPE: &str = r#"sample(0.1) where trace.errors == 0 and trace.duration < Duration("2s")"#;

async fn started(rules: &[&str]) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let list: String = rules.iter().map(|rule| format!("  - '{rule}'\n")).collect();
    let config = format!(
        "upstream: {}\njoin: {{idle: 300ms}}\nbatch: {{age: 10ms}}\nrules:\n{list}",
        upstream.endpoint()
    );
    (upstream, Proxy::with(config).await)
}

async fn send(proxy: &Proxy, service: &str, spans: Vec<Span>) {
    let mut request = made::request(spans);
    request.resource_spans[0].resource.as_mut().unwrap().attributes =
        vec![attribute("service.name", service)];
    let export = Export::Traces(request);
    proxy.client().grpc(Signal::Traces, export.encode()).await.assert_taken();
}

fn spans(upstream: &Upstream) -> Vec<Span> {
    upstream.exports(Signal::Traces).iter().flat_map(Export::spans).collect()
}

/// A trace of three spans whose id is so random; the last of them by another sampler.
fn trace(random: u64, states: [&str; 3]) -> Vec<Span> {
    let id = [&[7; 8][..], &random.to_be_bytes()].concat();
    let mut spans = made::trace(random >> 8, 3);
    for (span, state) in spans.iter_mut().zip(states) {
        span.trace_id = id.clone();
        span.trace_state = state.into();
    }
    spans
}

fn failed(mut spans: Vec<Span>) -> Vec<Span> {
    spans[2].status = Some(Status { code: 2, ..Status::default() });
    spans
}

/// 56 random bits that a tenth of all traces have or more; and what it is written as.
const DRAWN: u64 = 0xf0_0000_0000_0000;
const NOT_DRAWN: u64 = 0x10_0000_0000_0000;

fn threshold(span: &Span) -> Option<&str> {
    let ot = span.trace_state.split(',').find_map(|member| member.strip_prefix("ot="))?;
    ot.split(';').find_map(|part| part.strip_prefix("th:"))
}

#[tokio::test]
async fn errors_and_slow_traces_are_always_kept_and_every_span_says_how_far_its_trace_was_thinned_out() {
    let (upstream, proxy) = started(&[RECIPE]).await;
    let mut slow = trace(NOT_DRAWN + 3, ["", "", ""]);
    slow[1].end_time_unix_nano = slow[1].start_time_unix_nano + 3_000_000_000;
    let all = [
        trace(DRAWN, ["", "vendor=1", "ot=th:f;x:1"]),
        trace(NOT_DRAWN, ["", "", ""]),
        trace(NOT_DRAWN + 1, ["ot=rv:f0000000000000", "", ""]),
        failed(trace(NOT_DRAWN + 2, ["vendor=1", "", "ot=th:08"])),
        slow,
    ];
    for spans in all.clone() {
        for (span, service) in spans.into_iter().zip(["front", "orders", "agent"]) {
            send(&proxy, service, vec![span]).await;
        }
    }
    upstream.await_spans(12).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (15, 12, 3));
    let lost = [("signal", "traces"), ("reason", "sampled_out")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &lost), 3);
    let came = spans(&upstream);
    let states = |sent: &[Span]| -> Vec<String> {
        let own = |sent: &Span| {
            came.iter().find(|span| span.span_id == sent.span_id && span.trace_id == sent.trace_id)
        };
        sent.iter().map(|sent| own(sent).expect("it came").trace_state.clone()).collect()
    };
    // 90 % go: 0.9 of 2^56, as fourteen digits.
    let tenth = "ot=th:e6666666666668";
    assert_eq!(states(&all[0]), [tenth.to_owned(), format!("{tenth},vendor=1"), "ot=th:f;x:1".to_owned()]);
    assert_eq!(states(&all[2]), ["ot=th:e6666666666668;rv:f0000000000000", tenth, tenth]);
    assert_eq!(states(&all[3]), ["vendor=1", "", "ot=th:08"], "kept for its error: nobody thinned it out");
    assert_eq!(states(&all[4]), ["", "", ""]);
    assert!(proxy.stop().await.success());
}

/// Each first part leaves before the rest of its trace comes.
#[tokio::test]
async fn what_comes_late_follows_what_was_decided_about_its_trace() {
    let (upstream, proxy) = started(&[RECIPE]).await;
    let drawn = trace(DRAWN, ["", "", ""]);
    let gone = trace(NOT_DRAWN, ["", "", ""]);
    let mut erring = trace(NOT_DRAWN + 1, ["", "", ""]);
    erring[0].status = Some(Status { code: 2, ..Status::default() });
    for first in [&drawn, &gone, &erring] {
        send(&proxy, "front", first[..2].to_vec()).await;
    }
    upstream.await_spans(4).await;
    let lost = [("signal", "traces"), ("reason", "sampled_out")];
    let sampled_out =
        |metrics: &crate::harness::Metrics| metrics.sum("spandrel_exporter_lost_items_total", &lost);
    proxy.await_metrics("the first part is sampled out", |metrics| sampled_out(metrics) == 2).await;
    // The late span of the trace that went has an error, which would have kept it; the erring trace's has none.
    let late = failed(gone.clone())[2].clone();
    for span in [drawn[2].clone(), late, erring[2].clone()] {
        send(&proxy, "agent", vec![span]).await;
    }
    upstream.await_spans(6).await;
    proxy.await_metrics("the late part goes too", |metrics| sampled_out(metrics) == 3).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (9, 6, 3));
    for span in spans(&upstream) {
        assert_ne!(span.trace_id, gone[0].trace_id);
        let expect = (span.trace_id == drawn[0].trace_id).then_some("e6666666666668");
        assert_eq!(threshold(&span), expect, "{span:?}");
    }
}

/// Without a join each span is asked by itself; by the trace's id, so all of a trace go the same way.
#[tokio::test]
async fn without_a_join_spans_of_one_trace_go_the_same_way() {
    let upstream = Upstream::start().await;
    let config = format!(
        "upstream: {}\njoin: {{scope: off}}\nbatch: {{age: 10ms}}\nrules: ['sample(0.1)']\n",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    for random in [DRAWN, NOT_DRAWN] {
        for span in trace(random, ["", "", ""]) {
            send(&proxy, "front", vec![span]).await;
        }
    }
    upstream.await_spans(3).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (6, 3, 3));
    assert!(spans(&upstream).iter().all(|span| threshold(span) == Some("e6666666666668")));
}

/// Every span that the SDKs of models made passes as it came.
#[tokio::test]
async fn llm_only_keeps_what_the_sdks_of_models_send() {
    let (upstream, proxy) = started(&["llm_only"]).await;
    let files = captures(".pb");
    let files = files.iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("langfuse5.") || name.starts_with("interactiveai.")
    });
    let mut sent = 0;
    for path in files {
        let export = Export::decode(Signal::Traces, &std::fs::read(path).unwrap()).unwrap();
        sent += export.count();
        proxy.client().grpc(Signal::Traces, export.encode()).await.assert_taken();
    }
    assert!(sent > 40);
    upstream.await_spans(sent).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.delivered, ledger.lost), (sent as u64, 0));
}

/// An agent that calls a shop which calls an agent, and OpenTelemetry's own instrumentation: what is about models
/// stays, below the nearest that stays.
#[tokio::test]
async fn llm_only_drops_what_stands_between_and_mends_the_tree() {
    let (upstream, proxy) = started(&["llm_only"]).await;
    for file in
        ["xservice.grpc01.pb", "xservice.http01.pb", "xservice.http02.pb", "otel-python.http.http01.pb"]
    {
        let bytes = std::fs::read(&captures(file)[0]).unwrap();
        proxy.client().grpc(Signal::Traces, bytes).await.assert_taken();
    }
    upstream.await_spans(5).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (9, 5, 4));
    let came = spans(&upstream);
    let parent = |name: &str| {
        let span = came.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {came:?}"));
        let above = came.iter().find(|other| other.span_id == span.parent_span_id);
        above.map(|above| above.name.as_str())
    };
    assert_eq!(parent("handle_request"), None);
    assert_eq!(parent("agent-worker"), Some("handle_request"));
    assert_eq!(parent("summarise"), Some("agent-worker"));
    assert_eq!(parent("chat gpt-4o-mini"), Some("POST /ask"));
    let names: Vec<&str> = came.iter().map(|span| span.name.as_str()).collect();
    assert!(!names.contains(&"GET /orders") && !names.contains(&"HTTP GET"), "{names:?}");
}
