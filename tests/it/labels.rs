//! What is written on data, whose word stands, and whose data it stays, end to end.

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::profiles::v1development::{Profile, ResourceProfiles, ScopeProfiles};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::wire::Signal;

use crate::harness::read::{ENVIRONMENT, Export, RELEASE, attribute, text};
use crate::harness::{Proxy, Received, Upstream, made};

const JOIN: &str = "join: {idle: 300ms}\n";
const OLD_ENVIRONMENT: &str = "deployment.environment";

async fn started(config: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{JOIN}{config}", upstream.endpoint())).await;
    (upstream, proxy)
}

/// A request of these spans, of a service that says this of itself.
fn saying(said: &[(&str, &str)], spans: Vec<Span>) -> ExportTraceServiceRequest {
    let mut request = made::request(spans);
    let resource = request.resource_spans[0].resource.as_mut().expect("made with one");
    resource.attributes.extend(said.iter().map(|(key, value)| attribute(key, value)));
    request
}

/// The values of these attributes on a resource, and that each is there no more than once.
fn values<const N: usize>(resource: &Resource, keys: [&str; N]) -> [String; N] {
    keys.map(|key| {
        let times = resource.attributes.iter().filter(|attribute| attribute.key == key).count();
        assert!(times <= 1, "{key:?} is on it {times} times: {resource:?}");
        text(&resource.attributes, key).unwrap_or("-").to_owned()
    })
}

#[tokio::test]
async fn every_signal_is_labelled_over_every_transport_and_profiles_pass_bit_for_bit() {
    let config = "environment: test\nrelease: r-42\nresource: {team: payments, cell: eu-1}\n";
    let (upstream, proxy) = started(config).await;
    let of_all = |round: u64| {
        [
            Export::Traces(made::request(made::trace(round, 4))),
            Export::Logs(made::logs(round * 10, 4)),
            Export::Metrics(made::metrics(round * 10, 4)),
        ]
    };
    for export in of_all(0) {
        proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
    }
    for export in of_all(1) {
        proxy.http_client().http(export.signal(), export.encode()).await.assert_taken();
    }
    for export in of_all(2) {
        proxy.http_client().json(export.signal(), export.json()).await.assert_taken();
    }
    let body = profile();
    proxy.client().grpc(Signal::Profiles, body.clone()).await.assert_taken();
    proxy.http_client().http(Signal::Profiles, body.clone()).await.assert_taken();

    for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
        for request in upstream.await_items(signal, 12).await {
            for resource in request.export.resources() {
                let keys = ["service.name", ENVIRONMENT, RELEASE, "team", "cell", OLD_ENVIRONMENT];
                assert_eq!(values(&resource, keys), ["orders", "test", "r-42", "payments", "eu-1", "-"]);
            }
        }
        let ledger = proxy.await_settled(signal, "default").await;
        assert_eq!((ledger.received, ledger.delivered), (12, 12), "{}", signal.name());
    }
    let profiles = upstream.await_items(Signal::Profiles, 2).await;
    assert!(profiles.len() == 2 && profiles.iter().all(|request| request.bytes == body));
}

/// A profile with a field nobody knows.
fn profile() -> Vec<u8> {
    let profile = Profile { profile_id: vec![7; 16], ..Profile::default() };
    let scope_profiles = vec![ScopeProfiles { profiles: vec![profile], ..ScopeProfiles::default() }];
    let resource =
        Some(Resource { attributes: vec![attribute("service.name", "orders")], ..Resource::default() });
    let block = ResourceProfiles { resource, scope_profiles, ..ResourceProfiles::default() };
    let mut body =
        ExportProfilesServiceRequest { resource_profiles: vec![block], ..Default::default() }.encode_to_vec();
    prost::encoding::encode_key(900, prost::encoding::WireType::Varint, &mut body);
    prost::encoding::encode_varint(1 << 40, &mut body);
    body
}

#[tokio::test]
async fn what_a_service_says_of_itself_stands_in_whatever_words() {
    let (upstream, proxy) = started("environment: test\nrelease: r-42\nresource: {team: payments}\n").await;
    type Said = &'static [(&'static str, &'static str)];
    let cases: [(Said, [&str; 3]); 4] = [
        (&[], ["test", "r-42", "payments"]),
        (&[(ENVIRONMENT, "prod"), (RELEASE, "7.1"), ("team", "orders")], ["prod", "7.1", "orders"]),
        (&[(OLD_ENVIRONMENT, "prod")], ["prod", "r-42", "payments"]),
        (&[(ENVIRONMENT, ""), (RELEASE, "")], ["test", "r-42", "payments"]),
    ];
    for (number, (said, _)) in (0..).zip(&cases) {
        let body = saying(said, made::trace(number, 2)).encode_to_vec();
        proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    }
    let came = upstream.await_spans(2 * cases.len()).await;
    for (number, (said, wanted)) in (0..).zip(cases) {
        let resource = resource_of(&came, number);
        assert_eq!(values(&resource, [ENVIRONMENT, RELEASE, "team"]), wanted, "it says {said:?}");
    }
}

#[tokio::test]
async fn enforced_labels_replace_what_a_service_says() {
    let (upstream, proxy) = started(
        "environment: test\nrelease: r-42\nenforce: true\nresource: {team: payments}\nlegacy_environment: true\n",
    )
    .await;
    let said = [(ENVIRONMENT, "prod"), (OLD_ENVIRONMENT, "prod"), (RELEASE, "7.1"), ("team", "orders")];
    let sent = saying(&said, made::trace(1, 2)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, sent).await.assert_taken();
    let came = upstream.await_spans(2).await;
    let keys = [ENVIRONMENT, OLD_ENVIRONMENT, RELEASE, "team", "service.name"];
    assert_eq!(values(&resource_of(&came, 1), keys), ["test", "test", "r-42", "payments", "orders"]);
}

#[tokio::test]
async fn the_release_is_written_where_the_user_says_and_the_old_environment_on_request() {
    let config =
        "environment: test\nrelease: 4f1c2d3\nrelease_key: vcs.ref.head.revision\nlegacy_environment: true\n";
    let (upstream, proxy) = started(config).await;
    let sent = Export::Logs(made::logs(0, 3));
    proxy.client().grpc(Signal::Logs, sent.encode()).await.assert_taken();
    let came = upstream.await_items(Signal::Logs, 3).await;
    let keys = [ENVIRONMENT, OLD_ENVIRONMENT, "vcs.ref.head.revision", RELEASE];
    assert_eq!(values(&came[0].export.resources()[0], keys), ["test", "test", "4f1c2d3", "-"]);
}

/// Only the root's service knows where it runs: the others are given its word before the configuration's.
#[tokio::test]
async fn what_the_root_says_is_written_on_its_whole_trace() {
    let (upstream, proxy) = started("environment: test\nrelease: r-42\n").await;
    let spans = made::trace(1, 3);
    let root = saying(&[(ENVIRONMENT, "staging")], vec![spans[0].clone()]);
    let own = saying(&[(ENVIRONMENT, "edge")], vec![spans[1].clone()]);
    let silent = made::request(vec![spans[2].clone()]);
    // The root comes last.
    for request in [silent, own, root] {
        proxy.client().grpc(Signal::Traces, request.encode_to_vec()).await.assert_taken();
    }
    let came = upstream.await_spans(3).await;
    assert_eq!(came.len(), 1, "{}", upstream.summary());
    let Export::Traces(request) = &came[0].export else { unreachable!("traces were asked for") };
    for block in &request.resource_spans {
        let wanted =
            if block.scope_spans[0].spans[0].span_id == spans[1].span_id { "edge" } else { "staging" };
        let resource = block.resource.clone().unwrap_or_default();
        assert_eq!(values(&resource, [ENVIRONMENT, RELEASE]), [wanted, "r-42"]);
    }
}

/// A span that comes after its trace has left is labelled as its trace was.
#[tokio::test]
async fn a_late_span_is_given_what_its_root_said() {
    let (upstream, proxy) = started("environment: test\nrelease: r-42\n").await;
    let spans = made::trace(1, 2);
    let root = saying(&[(ENVIRONMENT, "staging"), (RELEASE, "7.1")], vec![spans[0].clone()]);
    proxy.client().grpc(Signal::Traces, root.encode_to_vec()).await.assert_taken();
    upstream.await_spans(1).await;
    let late = made::request(vec![spans[1].clone()]).encode_to_vec();
    proxy.client().grpc(Signal::Traces, late).await.assert_taken();
    let came = upstream.await_spans(2).await;
    let resource = &came[1].export.resources()[0];
    assert_eq!(values(resource, [ENVIRONMENT, RELEASE]), ["staging", "7.1"]);
    let left = proxy.metrics().await.sum("spandrel_join_left_traces_total", &[("reason", "late")]);
    assert_eq!(left, 1);
}

fn resource_of(came: &[std::sync::Arc<Received>], number: u64) -> Resource {
    let requests = came.iter().filter_map(|request| match &request.export {
        Export::Traces(request) => Some(request),
        _ => None,
    });
    let mut blocks = requests.flat_map(|request| &request.resource_spans);
    let found = blocks.find(|block| block.scope_spans[0].spans[0].trace_id == made::trace_id(number));
    found.unwrap_or_else(|| panic!("trace {number} did not come")).resource.clone().unwrap_or_default()
}

async fn send_as(proxy: &Proxy, key: Option<&str>, spans: Vec<Span>) {
    let mut headers = vec![("content-type", "application/x-protobuf")];
    headers.extend(key.map(|key| ("authorization", key)));
    let body = made::request(spans).encode_to_vec();
    proxy.http_client().post("/v1/traces", &headers, body).await.assert_taken();
}

/// The ids are the callers' to choose: two projects may use the same, by accident or not.
#[tokio::test]
async fn traces_of_two_tenants_with_one_id_stay_apart() {
    let (upstream, proxy) = started("").await;
    let spans = made::trace(1, 6);
    send_as(&proxy, Some("Basic one"), spans[..3].to_vec()).await;
    // The same span too: it is no duplicate, it is somebody else's.
    send_as(&proxy, Some("Basic two"), spans[2..].to_vec()).await;
    let came = upstream.await_spans(7).await;
    assert_eq!(came.len(), 2, "{}", upstream.summary());
    for request in came {
        let ids: Vec<_> = request.export.spans().into_iter().map(|span| span.span_id).collect();
        let own = if request.headers["authorization"] == "Basic one" { &spans[..3] } else { &spans[2..] };
        assert!(ids.len() == own.len() && own.iter().all(|span| ids.contains(&span.span_id)));
    }
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (7, 7));
}

/// A service without credentials of its own belongs to the trace of one that has them, whichever comes first.
#[tokio::test]
async fn spans_without_credentials_join_the_trace_of_a_named_tenant() {
    let (upstream, proxy) = started("").await;
    for (number, named_first) in [(1, true), (2, false)] {
        let mut spans = made::trace(number, 4);
        let rest = spans.split_off(2);
        if named_first {
            send_as(&proxy, Some("Basic one"), rest).await;
            send_as(&proxy, None, spans).await;
        } else {
            send_as(&proxy, None, spans).await;
            send_as(&proxy, Some("Basic one"), rest).await;
        }
    }
    let came = upstream.await_spans(8).await;
    assert!(came.iter().all(|request| request.headers["authorization"] == "Basic one"));
    for number in [1, 2] {
        let has = |request: &&std::sync::Arc<Received>| {
            request.export.spans().iter().any(|span| span.trace_id == made::trace_id(number))
        };
        assert_eq!(came.iter().filter(has).count(), 1, "trace {number} came in parts");
    }
}
