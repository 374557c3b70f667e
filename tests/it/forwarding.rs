//! What the backend sees, and what becomes of data that it does not want or can not take now.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::profiles::v1development::{Profile, ResourceProfiles, ScopeProfiles};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use spandrel::wire::Signal;
use tonic::Code;

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_preserved, attribute};
use crate::harness::{Answer, Proxy, Upstream, made};

const JOIN: &str = "join: {idle: 500ms}\n";

fn spans(number: u64, count: usize) -> Export {
    Export::Traces(made::request(made::trace(number, count)))
}

#[tokio::test]
async fn what_is_told_to_come_again_comes_again_when_it_was_told() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{JOIN}{LABELS}", upstream.endpoint())).await;
    let after = Some(Duration::from_secs(2));
    upstream.answer_next([Answer::Refuse { grpc: Code::Unavailable, http: 503, after }]);
    let sent = spans(1, 5);
    proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
    upstream.await_until("the refused request", |requests| !requests.is_empty()).await;
    let refused = tokio::time::Instant::now();
    upstream.await_spans(5).await;
    let waited = refused.elapsed();
    // The margin is the clock's: it was refused a moment before we knew.
    assert!(waited > Duration::from_millis(1900), "it came again after {waited:?}, before it was told to");
    let came = upstream.requests();
    assert_eq!((came.len(), came[0].bytes == came[1].bytes), (2, true), "not the same bytes again");
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.delivered, ledger.refused, ledger.lost), (5, 0, 0));
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_and_not_sent_again() {
    for protocol in ["grpc", "http/protobuf"] {
        let upstream = Upstream::start().await;
        let to = format!("{{default: {{endpoint: \"{}\", protocol: {protocol}}}}}", upstream.endpoint());
        let proxy = Proxy::with(format!("upstreams: {to}\n{JOIN}{LABELS}")).await;
        upstream.answer_next([Answer::bad_data()]);
        proxy.client().grpc(Signal::Traces, spans(1, 5).encode()).await.assert_taken();
        let refused =
            |metrics: &crate::harness::Metrics| metrics.ledger(Signal::Traces, "default").refused == 5;
        proxy.await_metrics("five refused spans", refused).await;
        proxy.client().grpc(Signal::Traces, spans(2, 3).encode()).await.assert_taken();
        upstream.await_spans(3).await;
        assert_eq!(upstream.requests().len(), 2, "{protocol}: {}", upstream.summary());
        let ledger = proxy.await_settled(Signal::Traces, "default").await;
        assert_eq!((ledger.delivered, ledger.refused, ledger.lost), (3, 5, 0), "{protocol}");
    }
}

#[tokio::test]
async fn what_is_refused_in_part_is_counted_in_part() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{JOIN}{LABELS}", upstream.endpoint())).await;
    upstream.answer_next([Answer::Partial { rejected: 2, message: "too old" }]);
    proxy.client().grpc(Signal::Traces, spans(1, 5).encode()).await.assert_taken();
    upstream.await_spans(5).await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.delivered, ledger.refused, ledger.lost), (3, 2, 0));
}

#[tokio::test]
async fn a_dead_upstream_does_not_hold_up_a_living_one() {
    let (living, mut dead) = (Upstream::start().await, Upstream::start().await);
    dead.go_down().await;
    let upstreams = format!(
        "{{living: {{endpoint: \"{}\"}}, dead: {{endpoint: \"{}\"}}}}",
        living.endpoint(),
        dead.endpoint()
    );
    let proxy = Proxy::with(format!("upstreams: {upstreams}\n{JOIN}{LABELS}")).await;
    let sent: Vec<Export> = (0..20).map(|number| spans(number, 10)).collect();
    for export in &sent {
        proxy.client().grpc(Signal::Traces, export.encode()).await.assert_taken();
    }
    living.await_spans(200).await;
    assert_preserved(&sent, &living.exports(Signal::Traces));
    dead.go_up().await;
    dead.await_spans(200).await;
    assert_preserved(&sent, &dead.exports(Signal::Traces));
    for upstream in ["living", "dead"] {
        let ledger = proxy.await_settled(Signal::Traces, upstream).await;
        assert_eq!((ledger.received, ledger.delivered), (200, 200), "{upstream}");
    }
}

/// Two projects behind one proxy: each one's data goes with its own key, never with the other's.
#[tokio::test]
async fn the_callers_keys_travel_with_their_data_and_never_mix() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{JOIN}{LABELS}", upstream.endpoint())).await;
    let client = proxy.http_client();
    for (number, key) in [(1, "Basic one"), (2, "Basic two"), (3, "Basic one")] {
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("authorization", key),
            ("x-langfuse-public-key", key),
            ("x-request-id", "stays here"),
        ];
        client.post("/v1/traces", &headers, spans(number, 2).encode()).await.assert_taken();
    }
    for request in upstream.await_spans(6).await {
        let key = &request.headers["authorization"];
        assert_eq!(request.headers["x-langfuse-public-key"], key);
        assert!(!request.headers.contains_key("x-request-id"));
        let is_two = request.export.spans().iter().any(|span| span.trace_id == made::trace_id(2));
        assert_eq!(key, if is_two { "Basic two" } else { "Basic one" });
        assert_eq!(request.export.count(), if is_two { 2 } else { 4 }, "not batched by key");
    }
}

/// Their shared dictionary forbids taking them apart or putting two together.
#[tokio::test]
async fn profiles_pass_whole() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n", upstream.endpoint())).await;
    let profile = Profile { profile_id: vec![7; 16], ..Profile::default() };
    let scope_profiles = vec![ScopeProfiles { profiles: vec![profile], ..ScopeProfiles::default() }];
    let resource =
        Some(Resource { attributes: vec![attribute("service.name", "orders")], ..Default::default() });
    let resource_profiles =
        vec![ResourceProfiles { resource, scope_profiles, ..ResourceProfiles::default() }];
    let request = ExportProfilesServiceRequest { resource_profiles, ..Default::default() };
    let body = request.encode_to_vec();
    proxy.client().grpc(Signal::Profiles, body.clone()).await.assert_taken();
    proxy.http_client().http(Signal::Profiles, body.clone()).await.assert_taken();
    let came = upstream.await_items(Signal::Profiles, 2).await;
    assert_eq!(came.len(), 2, "never merged");
    assert!(came.iter().all(|request| request.bytes == body));
}

#[tokio::test]
async fn compression_is_what_the_upstream_is_configured_with() {
    for (protocol, header) in [("grpc", "grpc-encoding"), ("http/protobuf", "content-encoding")] {
        for compression in ["gzip", "zstd"] {
            let upstream = Upstream::start().await;
            let to = format!(
                "{{default: {{endpoint: \"{}\", protocol: {protocol}, compression: {compression}}}}}",
                upstream.endpoint()
            );
            let proxy = Proxy::with(format!("upstreams: {to}\n{JOIN}{LABELS}")).await;
            let sent = spans(1, 50);
            proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
            let came = upstream.await_spans(50).await;
            assert_eq!(came[0].headers[header], compression, "{protocol}");
            assert_preserved(&[sent], &upstream.exports(Signal::Traces));
        }
    }
}
