//! The vendors' dialects in front of a stand-in of their platform: real SDKs whose host is set to Spandrel work
//! whole, and whoever else sends gets there too.

use std::collections::BTreeMap;

use http::Method;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;

use crate::harness::platform::{Call, KEYS, POISON};
use crate::harness::read::{Export, text};
use crate::harness::{Answer, Proxy, Start, Transport, Upstream, made, sdk};

const EXPORTS: &str = "/api/public/otel/v1/traces";

/// A start with nothing but a dialect, and the variables of its SDK.
fn start(dialect: &str, prefix: &str, base: &str) -> Start {
    let variables = [("BASE_URL", base), ("PUBLIC_KEY", "pk-lf-fake"), ("SECRET_KEY", "sk-lf-fake")];
    Start {
        config: format!("dialect: {dialect}\n"),
        variables: variables.map(|(name, value)| (format!("{prefix}_{name}"), value.to_owned())).into(),
        ..Start::default()
    }
}

async fn langfuse(platform: &Upstream) -> Proxy {
    Proxy::start(start("langfuse", "LANGFUSE", &platform.endpoint())).await
}

/// What an SDK's examples say when they are run against this address.
async fn examples(sdk: &str, prefix: &str, base: &str) -> Value {
    let mut program = sdk::python("examples.py").await;
    program.env("SDK", sdk).env("PLATFORM", "1");
    program.env(&format!("{prefix}_BASE_URL"), base).run().await
}

/// Calls without what is another in each run; those made in the background may come in any order.
fn asked(calls: &[Call]) -> Vec<String> {
    let varies = ["id", "trace_id", "traceId", "observation_id", "observationId", "timestamp"];
    let one = |call: &Call| {
        let mut body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let scores = match &mut body {
            Value::Array(scores) => scores.iter_mut().collect(),
            score => vec![score],
        };
        for score in scores.into_iter().filter_map(Value::as_object_mut) {
            score.retain(|key, _| !varies.contains(&key.as_str()));
        }
        let kept = ["authorization", "x-langfuse-sdk-version", "x-interactiveai-sdk-version", "user-agent"];
        let headers = kept.map(|name| call.headers.get(name).map(|value| value.to_str().unwrap().to_owned()));
        format!("{} {} {:?} {headers:?} {body}", call.method, call.path, call.query)
    };
    let mut asked: Vec<String> = calls.iter().map(one).collect();
    asked.sort();
    asked
}

/// How many spans of each name came, and that they came to the platform's path.
fn names(platform: &Upstream) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for request in platform.accepted() {
        assert_eq!((request.path.as_str(), request.transport), (EXPORTS, Transport::Http));
        assert_eq!(request.headers["authorization"], KEYS);
        request.export.spans().into_iter().for_each(|span| *names.entry(span.name).or_default() += 1);
    }
    names
}

/// Each kind of example live with the real SDK, once with its host set to the platform and once to Spandrel in
/// front of it: it returns the same, asks the same and sends the same spans.
async fn works_whole(sdk: &str, prefix: &str) {
    let platform = Upstream::platform().await;
    let alone = examples(sdk, prefix, &platform.endpoint()).await;
    let (spans_alone, calls_alone) = (names(&platform), platform.calls());
    platform.forget();

    let proxy = Proxy::start(start(sdk, prefix, &platform.endpoint())).await;
    let base = format!("http://{}", proxy.http());
    let through = examples(sdk, prefix, &base).await;
    platform.await_spans(spans_alone.values().sum()).await;

    let at = |told: &Value, base: &str| told["returned"].to_string().replace(base, "BASE");
    assert_eq!(at(&through, &base), at(&alone, &platform.endpoint()));
    assert!(at(&through, &base).contains("\"BASE/project/proj-demo/traces/OWN\""), "{through}");
    assert_eq!(names(&platform), spans_alone);
    assert_eq!(asked(&platform.calls()), asked(&calls_alone));

    let scores = calls_alone.iter().filter(|call| call.path.ends_with("/scores")).count();
    let counted = proxy.metrics().await;
    let counted = counted.sum("spandrel_relay_requests_total", &[("what", "scores"), ("outcome", "2xx")]);
    assert_eq!(counted, scores as u64);
    assert!(scores > 0, "the examples post scores");
}

#[tokio::test]
async fn every_example_of_the_interactiveai_sdk_works_with_its_host_set_to_us() {
    works_whole("interactiveai", "INTERACTIVEAI").await;
}

#[tokio::test]
async fn every_example_of_the_langfuse_sdk_works_with_its_host_set_to_us() {
    works_whole("langfuse", "LANGFUSE").await;
}

/// A person follows the link the SDK made.
#[tokio::test]
async fn a_trace_url_leads_to_the_platforms_own_page() {
    let platform = Upstream::platform().await;
    let proxy = langfuse(&platform).await;
    let page = "/project/proj-demo/traces/f21c0b8fc2d39e41c10b1fdb8024101b?timestamp=1";
    let reply = proxy.http_client().get(page).await;
    assert_eq!(reply.status, 307);
    assert_eq!(reply.headers["location"], format!("{}{page}", platform.endpoint()));
    assert_eq!(platform.calls().len(), 0, "it is the browser that goes there");
}

/// Any method, any body, and the reply as it is; larger than anything that is held.
#[tokio::test]
async fn what_is_not_otlp_streams_both_ways() {
    let platform = Upstream::platform().await;
    let proxy = langfuse(&platform).await;
    let body: Vec<u8> = (0..32u32 << 20).map(|at| (at % 251) as u8).collect();
    let shown = [("authorization", KEYS), ("content-type", "application/octet-stream")];
    let before = proxy.resident_max();
    for _ in 0..3 {
        let reply = proxy.http_client().request(Method::PUT, "/api/public/echo", &shown, body.clone()).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body == body, "{} bytes came back", reply.body.len());
    }
    let grown = proxy.resident_max() - before;
    assert!(grown < body.len(), "{grown} bytes more were held of {}", body.len());
    let reply = proxy.http_client().request(Method::DELETE, "/api/public/x", &shown, "").await;
    assert_eq!((reply.status.as_u16(), reply.text().contains("LangfuseNotFoundError")), (404, true));
}

/// Our keys are for callers that have none; not for pages in a browser on this machine, and not where a
/// credential of ours is asked for and not shown.
#[tokio::test]
async fn keys_are_lent_to_callers_without_and_to_nobody_else() {
    let platform = Upstream::platform().await;
    let proxy = langfuse(&platform).await;
    let projects = "/api/public/projects";
    let ask = async |headers: &[(&str, &str)]| {
        proxy.http_client().request(Method::GET, projects, headers, "").await.status.as_u16()
    };
    assert_eq!(ask(&[]).await, 200);
    assert_eq!(ask(&[("authorization", "Basic d3Jvbmc6a2V5cw==")]).await, 401, "its own travel");
    assert_eq!(ask(&[("origin", "https://evil.example")]).await, 401);
    assert_eq!(ask(&[("sec-fetch-site", "cross-site")]).await, 401);
    assert_eq!(ask(&[("host", "evil.example")]).await, 401);

    // Spans without credentials are sent with the keys, those with their own as they are.
    let body = made::request(made::trace(1, 3)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body.clone()).await.assert_taken();
    platform.await_spans(3).await;
    assert_eq!(platform.accepted()[0].headers["authorization"], KEYS);

    let mut start = start("langfuse", "LANGFUSE", &platform.endpoint());
    start.config += "receive: {grpc: '127.0.0.1:0', http: '127.0.0.1:0', auth: {bearer: [ours]}}\n";
    start.config += "admin: '127.0.0.1:0'\n";
    let guarded = Proxy::start(start).await;
    let ask = async |headers: &[(&str, &str)]| {
        guarded.http_client().request(Method::GET, projects, headers, "").await.status.as_u16()
    };
    platform.forget();
    assert_eq!(ask(&[]).await, 401);
    assert_eq!(platform.calls().len(), 0, "nobody gets as far as the platform");
    assert_eq!(ask(&[("authorization", "Bearer ours")]).await, 200);
    let both = [("authorization", KEYS), ("proxy-authorization", "Bearer ours")];
    assert_eq!(ask(&both).await, 200);
    let shown = |call: &Call| call.headers.get_all("authorization").iter().all(|value| value == KEYS);
    assert!(
        platform.calls().iter().all(|call| shown(call) && !call.headers.contains_key("proxy-authorization"))
    );
}

/// A service that knows of no vendor and speaks gRPC: its spans are there with what the vendor's server reads.
#[tokio::test]
async fn grpc_callers_are_translated_and_labelled_for_the_vendor() {
    let platform = Upstream::platform().await;
    let mut start = start("langfuse", "LANGFUSE", &platform.endpoint());
    for (name, value) in [("LANGFUSE_TRACING_ENVIRONMENT", "Langfuse-EU"), ("GITHUB_SHA", "4f1c2d3")] {
        start.variables.push((name.to_owned(), value.to_owned()));
    }
    let proxy = Proxy::start(start).await;
    proxy
        .client()
        .grpc(Signal::Traces, made::request(made::trace(1, 3)).encode_to_vec())
        .await
        .assert_taken();
    for request in platform.await_spans(3).await {
        assert_eq!(
            (request.path.as_str(), &request.headers["content-encoding"]),
            (EXPORTS, &"gzip".parse().unwrap())
        );
        for resource in request.export.resources() {
            let said = |key| text(&resource.attributes, key);
            assert_eq!(said("deployment.environment.name"), Some("Langfuse-EU"));
            assert_eq!(said("langfuse.environment"), Some("eu"));
            assert_eq!(said("langfuse.release"), Some("4f1c2d3"));
        }
    }
    // Nobody here takes metrics, nor logs that belong to no span, and the platform's reply is no reason to say
    // anything: it is a 2xx.
    let metrics = proxy.client().grpc(Signal::Metrics, Export::Metrics(made::metrics(0, 1)).encode()).await;
    assert_eq!(metrics.code, tonic::Code::Unimplemented);
    let logs = proxy.http_client().http(Signal::Logs, Export::Logs(made::logs(0, 1)).encode()).await;
    assert_eq!((logs.status.as_u16(), logs.rejected().0), (200, 1));
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.refused), (3, 3, 0));
    let warned =
        proxy.stderr().lines().filter(|line| line.contains("upstream") && line.contains("WARN")).count();
    assert_eq!(warned, 2, "only of logs, and that nobody takes the other signals: {}", proxy.stderr());
}

/// The version picks the server's reading of a whole request, so it stays with those who sent it.
#[tokio::test]
async fn batches_are_kept_apart_by_the_ingestion_version_their_callers_send() {
    let platform = Upstream::platform().await;
    let proxy = langfuse(&platform).await;
    for (number, version) in [(1, Some("4")), (2, None), (3, Some("4"))] {
        let mut headers = vec![("authorization", KEYS), ("content-type", "application/x-protobuf")];
        headers.extend(version.map(|version| ("x-langfuse-ingestion-version", version)));
        let body = made::request(made::trace(number, 3)).encode_to_vec();
        proxy.http_client().post(EXPORTS, &headers, body).await.assert_taken();
    }
    for request in platform.await_spans(9).await {
        let version = request.headers.get("x-langfuse-ingestion-version");
        for span in request.export.spans() {
            let expect = (span.trace_id != made::trace_id(2)).then_some("4");
            assert_eq!(version.map(|version| version.to_str().unwrap()), expect);
        }
    }
}

/// Its server refuses all of a request for one span it does not like: the others get there.
#[tokio::test]
async fn one_bad_span_costs_its_own_trace_alone() {
    let platform = Upstream::platform().await;
    platform.answer_next([Answer::unavailable()]);
    let proxy = langfuse(&platform).await;
    let mut traces: Vec<_> = (1..=8).map(|seed| made::trace(seed, 3)).collect();
    traces[4].last_mut().unwrap().name = POISON.to_owned();
    let all = made::request(traces.concat());
    proxy.client().grpc(Signal::Traces, all.encode_to_vec()).await.assert_taken();
    platform.await_spans(7 * 3).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.delivered, ledger.refused, ledger.lost), (21, 3, 0));
}

/// Who asks is told what is wrong and what to look at, in JSON, as SDKs read it.
#[tokio::test]
async fn a_platform_that_is_not_there_is_said() {
    let mut platform = Upstream::platform().await;
    platform.go_down().await;
    let proxy = langfuse(&platform).await;
    let reply = proxy.http_client().get("/api/public/projects").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["content-type"]),
        (502, &"application/json".parse().unwrap())
    );
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    let said = said["message"].as_str().unwrap();
    // A caller that writes all of a large body before it reads gets to the reply as well.
    let reply = proxy.http_client().post("/api/public/scores", &[], vec![b'x'; 4 << 20]).await;
    assert_eq!(reply.status, 502);
    assert!(said.contains(&platform.endpoint()) && said.contains("`upstream`"), "{said}");
}

/// A sidecar and a gateway, both in the dialect; and a loop of what is not OTLP ends like any other.
#[tokio::test]
async fn what_is_not_otlp_passes_a_chain_and_does_not_go_round() {
    let platform = Upstream::platform().await;
    let gateway = langfuse(&platform).await;
    let sidecar = Proxy::start(start("langfuse", "LANGFUSE", &format!("http://{}", gateway.http()))).await;
    assert_eq!(sidecar.http_client().get("/api/public/projects").await.status, 200);
    assert_eq!(platform.calls()[0].headers["spandrel-hops"], "2");
    let been = [("spandrel-hops", "9")];
    let round = sidecar.http_client().request(Method::GET, "/api/public/projects", &been, "").await;
    assert_eq!(round.status, 508);
}

/// Without a vendor's dialect there is nothing behind us, and nothing of a vendor's is written.
#[tokio::test]
async fn the_otel_dialect_hands_nothing_on_and_writes_nothing_of_a_vendors() {
    let platform = Upstream::start().await;
    let start = Start {
        config: format!("upstream: {}\nenvironment: e\nrelease: r\n", platform.endpoint()),
        variables: vec![
            ("LANGFUSE_PUBLIC_KEY".into(), "pk".into()),
            ("LANGFUSE_SECRET_KEY".into(), "sk".into()),
        ],
        ..Start::default()
    };
    let proxy = Proxy::start(start).await;
    assert_eq!(proxy.http_client().get("/api/public/projects").await.status, 404);
    proxy
        .client()
        .grpc(Signal::Traces, made::request(made::trace(1, 3)).encode_to_vec())
        .await
        .assert_taken();
    for request in platform.await_spans(3).await {
        assert!(!request.headers.contains_key("authorization"));
        for resource in request.export.resources() {
            let vendors = resource.attributes.iter().find(|attribute| attribute.key.starts_with("langfuse."));
            assert_eq!(vendors, None);
        }
    }
}
