//! Which upstream is given which signal: by `signals`, by the exporters' variables, and what nobody takes.

use spandrel::wire::Signal;
use tonic::Code;

use crate::harness::read::Export;
use crate::harness::{Client, Metrics, Proxy, Start, Upstream, made};

const FAST: &str = "join: {idle: 300ms}\nbatch: {age: 10ms}\n";

fn exports() -> [Export; 3] {
    [
        Export::Traces(made::request(made::trace(1, 5))),
        Export::Metrics(made::metrics(0, 40)),
        Export::Logs(made::logs(0, 70)),
    ]
}

async fn with_variables<const N: usize>(variables: [(&str, String); N]) -> Proxy {
    let variables = variables.map(|(name, value)| (format!("OTEL_EXPORTER_OTLP_{name}"), value));
    Proxy::start(Start { config: FAST.into(), variables: variables.into(), ..Start::default() }).await
}

/// What an upstream was ever counted for, of one signal.
fn counted(metrics: &Metrics, signal: Signal, upstream: &str) -> u64 {
    let labels = [("signal", signal.name()), ("upstream", upstream)];
    let ends = ["delivered", "refused", "lost"].map(|end| format!("spandrel_exporter_{end}_items_total"));
    ends.iter().map(|end| metrics.sum(end, &labels)).sum()
}

/// Every signal goes where its own variables say, as they say, and is counted there and nowhere else.
#[tokio::test]
async fn a6_a_signals_own_endpoint_is_used_as_it_stands_and_the_general_one_is_a_base() {
    for (path, expect) in [("/any/path/", "/any/path/"), ("", "/"), ("/v1/metrics", "/v1/metrics")] {
        let (all, own, grpc) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
        own.also_at(expect, Signal::Metrics);
        let proxy = with_variables([
            ("ENDPOINT", format!("{}/v1/traces", all.endpoint())),
            ("PROTOCOL", "http/protobuf".into()),
            ("HEADERS", "x-who=all".into()),
            ("METRICS_ENDPOINT", format!("{}{path}", own.endpoint())),
            ("METRICS_HEADERS", "x-who=metrics".into()),
            ("LOGS_ENDPOINT", grpc.endpoint()),
            ("LOGS_PROTOCOL", "grpc".into()),
        ])
        .await;
        all.also_at("/v1/traces/v1/traces", Signal::Traces);
        let ways = [
            (&all, "default", "/v1/traces/v1/traces", "all"),
            (&own, "metrics", expect, "metrics"),
            (&grpc, "logs", Signal::Logs.grpc_path(), "all"),
        ];
        for export in exports() {
            proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
        }
        for (export, (upstream, name, path, who)) in exports().iter().zip(ways) {
            let signal = export.signal();
            let came = upstream.await_items(signal, export.count()).await;
            assert!(came.iter().all(|request| request.path == path), "{name}: {:?}", came[0].path);
            assert!(came.iter().all(|request| request.headers["x-who"] == who), "{name}");
            let ledger = proxy.await_settled(signal, name).await;
            assert_eq!((ledger.received, ledger.delivered), (export.count() as u64, export.count() as u64));
            assert!(upstream.requests().iter().all(|request| request.signal == signal), "{name}");
            for (_, other, ..) in ways.iter().filter(|way| way.1 != name) {
                assert_eq!(counted(&proxy.metrics().await, signal, other), 0, "{} at {other}", signal.name());
            }
        }
        assert!(proxy.stop().await.success());
    }
}

/// Their callers learn it at once and for good, as from a Collector without a pipeline for them.
#[tokio::test]
async fn a6_what_no_upstream_takes_is_refused_at_the_edge_and_not_lost() {
    let upstream = Upstream::start().await;
    let proxy = with_variables([("TRACES_ENDPOINT", format!("{}/v1/traces", upstream.endpoint()))]).await;
    let [traces, metrics, logs] = exports();
    let said = |message: &str| {
        let names = ["`upstreams.NAME.signals`", "_ENDPOINT"].iter().all(|name| message.contains(name));
        assert!(message.contains("no upstream here takes") && names, "{message}");
    };
    let reply = proxy.client().grpc(Signal::Metrics, metrics.encode()).await;
    assert_eq!(reply.code, Code::Unimplemented, "{reply:?}");
    said(&reply.message);
    let reply = proxy.http_client().http(Signal::Logs, logs.encode()).await;
    let status = reply.error.clone().unwrap_or_default();
    assert_eq!((reply.status.as_u16(), status.code), (404, Code::Unimplemented as i32), "{reply:?}");
    said(&status.message);
    proxy.client().grpc(Signal::Traces, traces.encode()).await.assert_taken();
    upstream.await_spans(traces.count()).await;
    let ledger = proxy.await_settled(Signal::Traces, "traces").await;
    assert_eq!((ledger.received, ledger.delivered), (5, 5));
    let metrics = proxy.metrics().await;
    let told = metrics.sum("spandrel_receiver_requests_total", &[("outcome", "not_taken")]);
    assert_eq!((told, metrics.sum("spandrel_receiver_received_items_total", &[])), (2, 5));
    proxy
        .await_stderr("what nobody takes", |line| line.contains("no upstream takes metrics, logs, profiles"))
        .await;
    assert!(proxy.stderr().contains("traces only"), "{}", proxy.stderr());

    let check = |service: &str| {
        let mut message = vec![0x0a, u8::try_from(service.len()).unwrap()];
        message.extend_from_slice(service.as_bytes());
        health(proxy.client(), message)
    };
    assert_eq!(check("opentelemetry.proto.collector.trace.v1.TraceService").await, Code::Ok);
    assert_eq!(check("opentelemetry.proto.collector.logs.v1.LogsService").await, Code::NotFound);
}

async fn health(client: Client, message: Vec<u8>) -> Code {
    client.call("/grpc.health.v1.Health/Check", message).await.code
}

/// Of three upstreams, one gone: what it misses of its signals is lost for it, and the books of each close.
#[tokio::test]
async fn upstreams_are_given_their_signals_and_their_books_close() {
    let (mut dead, both, rest) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    dead.go_down().await;
    let (d, b, r) = (dead.endpoint(), both.endpoint(), rest.endpoint());
    let hasty = "retry: {initial: 50ms, max: 100ms, give_up: 500ms}";
    let proxy = Proxy::with(format!(
        "{FAST}upstreams:\n  dead: {{endpoint: \"{d}\", signals: [traces, logs], {hasty}}}\n  \
         both: {{endpoint: \"{b}\", signals: \"logs,metrics\"}}\n  rest: {{endpoint: \"{r}\", signals: [traces]}}\n"
    ))
    .await;
    for export in exports() {
        proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
    }
    let takes = |name: &str, signal| match name {
        "dead" => signal != Signal::Metrics,
        "both" => signal != Signal::Traces,
        _ => signal == Signal::Traces,
    };
    for export in exports() {
        let (signal, count) = (export.signal(), export.count() as u64);
        for name in ["dead", "both", "rest"] {
            if takes(name, signal) {
                let ledger = proxy.await_settled(signal, name).await;
                let expect = if name == "dead" { (count, 0, count) } else { (count, count, 0) };
                assert_eq!((ledger.received, ledger.delivered, ledger.lost), expect, "{name} {signal:?}");
            } else {
                assert_eq!(counted(&proxy.metrics().await, signal, name), 0, "{name} {signal:?}");
            }
        }
    }
    assert!(both.requests().iter().all(|request| request.signal != Signal::Traces));
    assert!(rest.requests().iter().all(|request| request.signal == Signal::Traces));
    assert!(proxy.stop().await.success());
}
