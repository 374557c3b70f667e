//! Where labels and rules take values from beside the data: each is followed while the program runs, keeps its last
//! good value, and says so when it can not be used.

use std::os::unix::fs::symlink;
use std::path::Path;

use prost::Message;
use spandrel::wire::Signal;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::harness::read::{ENVIRONMENT, Export, RELEASE, attribute, text};
use crate::harness::volume::swap;
use crate::harness::{Metrics, Proxy, Upstream, made, proxy};

const ERRORS: &str = "spandrel_source_errors_total";
const AGE: &str = "spandrel_source_age_seconds";

/// A program that forwards to this upstream, soon.
async fn started(upstream: &Upstream, more: &str) -> Proxy {
    let fast = "join: {idle: 300ms}\nbatch: {age: 10ms}\n";
    Proxy::with(format!("upstream: {}\n{fast}{more}", upstream.endpoint())).await
}

/// Puts a file into the program's directory, at once.
fn put(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(directory.join("coming"), bytes).unwrap();
    std::fs::rename(directory.join("coming"), directory.join(name)).unwrap();
}

/// Sends a trace, and gives what its root and its resource are labelled with.
async fn labelled(upstream: &Upstream, proxy: &Proxy, number: u64) -> (Span, Vec<(String, String)>) {
    let request = Export::Traces(made::request(made::trace(number, 2)));
    proxy.client().grpc(Signal::Traces, request.encode()).await.assert_taken();
    upstream.await_spans(2 * (number as usize + 1)).await;
    let items: Vec<_> = upstream.exports(Signal::Traces).iter().flat_map(Export::items).collect();
    let spans = items.iter().map(|item| (Span::decode(&*item.body).unwrap(), &item.resource));
    let mut own = spans.filter(|(span, _)| span.trace_id == made::trace_id(number));
    let (root, resource) = own.find(|(span, _)| span.parent_span_id.is_empty()).unwrap();
    let keys = resource.attributes.iter().map(|pair| pair.key.clone());
    let pairs =
        keys.map(|key| (key.clone(), text(&resource.attributes, &key).unwrap_or_default().to_owned()));
    (root, pairs.collect())
}

async fn reloaded(proxy: &Proxy, times: u64) {
    let name = "spandrel_config_reloads_total";
    proxy.await_metrics("a reload", |metrics| metrics.sum(name, &[("outcome", "ok")]) >= times).await;
}

#[tokio::test]
async fn a_table_is_followed_and_a_broken_one_leaves_the_last_in_use() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "v1", "service,team,owner\norders,shop,ann\n");
    symlink("v1", directory.path().join("services.csv")).unwrap();
    let table = directory.path().join("services.csv").display().to_string();
    let rules = format!(
        "rules:\n  - set(resource.attributes[\"team\"], Lookup(\"{table}\", resource.attributes[\"service.name\"]))\n  \
         - set(span.attributes[\"owner\"], Lookup(\"{table}\", \"orders\", \"owner\"))\n  \
         - set(span.attributes[\"none\"], Lookup(\"{table}\", span.name))\n"
    );
    let proxy = started(&upstream, &rules).await;
    let said = async |number| {
        let (root, resource) = labelled(&upstream, &proxy, number).await;
        let team = resource.iter().find(|(key, _)| key == "team").map(|(_, team)| team.clone());
        assert_eq!(text(&root.attributes, "none"), None);
        (team.unwrap_or_default(), text(&root.attributes, "owner").unwrap_or_default().to_owned())
    };
    assert_eq!(said(0).await, ("shop".into(), "ann".into()));
    put(directory.path(), "services.csv", "service,team,owner\norders,store,bob\n");
    reloaded(&proxy, 1).await;
    assert_eq!(said(1).await, ("store".into(), "bob".into()));
    put(directory.path(), "services.csv", "service,team,owner\norders,\"mart,eve\n");
    proxy.await_metrics("the mistake", |metrics| metrics.sum(ERRORS, &[("source", &table)]) == 1).await;
    assert_eq!(said(2).await, ("store".into(), "bob".into()));
    let readiness = proxy.readiness().await;
    assert!(
        readiness.contains("services.csv` line 2: a quote that does not close; its last good value stays"),
        "{readiness}"
    );
    proxy.await_metrics("its age", |metrics| metrics.sum(AGE, &[("source", &table)]) > 0).await;
    put(directory.path(), "services.csv", "service,team,owner\norders,mart,eve\n");
    proxy.await_metrics("its age", |metrics| metrics.sum(AGE, &[("source", &table)]) == 0).await;
    assert_eq!(said(3).await, ("mart".into(), "eve".into()));
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (8, 8));
}

/// Everything of a signal that came, with the attributes of what it belongs to: `(span or record, resource)`.
fn came(upstream: &Upstream, signal: Signal) -> Vec<(Vec<KeyValue>, Vec<KeyValue>)> {
    let items = upstream.exports(signal).iter().flat_map(Export::items).collect::<Vec<_>>();
    let attributes = |body: &[u8]| match signal {
        Signal::Logs => LogRecord::decode(body).unwrap().attributes,
        _ => Span::decode(body).unwrap().attributes,
    };
    items.iter().map(|item| (attributes(&item.body), item.resource.attributes.clone())).collect()
}

fn from(tenant: &'static str, request: &'static str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-tenant", MetadataValue::from_static(tenant));
    metadata.insert("x-request-id", MetadataValue::from_static(request));
    metadata
}

#[tokio::test]
async fn each_span_is_ruled_by_the_headers_of_its_own_request_which_go_no_further() {
    let upstream = Upstream::start().await;
    let rules = "batch: {age: 500ms}\nrules:\n  \
        - set(resource.attributes[\"tenant\"], header[\"X-Tenant\"])\n  \
        - set(span.attributes[\"request\"], header[\"x-request-id\"])\n  \
        - set(span.attributes[\"peer\"], peer.address)\n  \
        - set(log.attributes[\"request\"], header[\"x-request-id\"])\n";
    let proxy =
        Proxy::with(format!("upstream: {}\njoin: {{idle: 300ms}}\n{rules}", upstream.endpoint())).await;
    let trace = made::trace(0, 6);
    // One trace in three requests, two of one tenant; and others whose requests differ in what no resource says.
    for (part, metadata) in [(0..2, from("a", "r1")), (2..4, from("b", "r2")), (4..6, from("a", "r3"))] {
        let request = Export::Traces(made::request(trace[part].to_vec()));
        proxy.client().grpc_with(Signal::Traces, request.encode(), metadata).await.assert_taken();
    }
    let logs = Export::Logs(made::logs(0, 2));
    proxy.client().grpc_with(Signal::Logs, logs.encode(), from("c", "r4")).await.assert_taken();
    upstream.await_spans(6).await;
    upstream.await_items(Signal::Logs, 2).await;
    let said = |signal| {
        let both = came(&upstream, signal).into_iter().map(|(item, resource)| {
            let own = |attributes, key| text(attributes, key).unwrap_or("nil").to_owned();
            (own(&resource, "tenant"), own(&item, "request"), own(&item, "peer"))
        });
        let mut both: Vec<_> = both.collect();
        both.sort();
        both
    };
    let one = |tenant: &str, request: &str, peer: &str| (tenant.into(), request.into(), peer.into());
    let peer = "127.0.0.1";
    let expect = [("a", "r1"), ("a", "r1"), ("a", "r3"), ("a", "r3"), ("b", "r2"), ("b", "r2")];
    assert_eq!(said(Signal::Traces), expect.map(|(tenant, request)| one(tenant, request, peer)));
    assert_eq!(said(Signal::Logs), [one("c", "r4", "nil"), one("c", "r4", "nil")]);
    let requests = upstream.requests();
    let traces: Vec<_> = requests.iter().filter(|request| request.signal == Signal::Traces).collect();
    assert_eq!(traces.len(), 1, "callers do not divide a batch");
    assert_eq!(traces[0].export.resources().len(), 2, "who is ruled alike shares a block");
    assert!(requests.iter().all(|request| !request.headers.contains_key("x-tenant")), "they go no further");
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (6, 6));
}

#[tokio::test]
async fn try_takes_headers_and_tables() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "tenants.csv", "id,name\n7,Acme\n");
    let rules = "- set(span.attributes[\"tenant\"], Lookup(\"tenants.csv\", header[\"x-tenant\"]))\n";
    put(directory.path(), "rules.yaml", rules);
    put(directory.path(), "spans.bin", Export::Traces(made::request(made::trace(0, 1))).encode());
    let tried = proxy::command()
        .arg("try")
        .args(["rules.yaml", "spans.bin"].map(|name| directory.path().join(name)))
        .args(["--header", "X-Tenant=7"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&tried.stdout);
    assert!(tried.status.success() && said.contains("attributes.tenant: \"Acme\""), "{said}");
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == key).map_or("nil", |(_, value)| value)
}

/// A sidecar's identity by volumes, as Kubernetes mounts them: there later, changed, and gone.
#[tokio::test]
async fn labels_come_from_files_that_are_followed_and_may_be_missing() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let labels = format!(
        "environment: ${{file:{at}/environment}}\n\
         release: ${{file:{at}/podinfo/labels[app.kubernetes.io/version]}}\n\
         resource:\n  team: ${{file:{at}/team:-nobody}}\n  part: ${{file:{at}/podinfo/labels[app.kubernetes.io/part-of]}}\n"
    );
    let proxy = started(&upstream, &labels).await;
    let readiness = proxy.readiness().await;
    assert!(
        readiness.contains("/environment` can't be read: no such file; there is no value"),
        "{readiness}"
    );
    let (_, said) = labelled(&upstream, &proxy, 0).await;
    let of = |said: &[(String, String)]| {
        [ENVIRONMENT, RELEASE, "team", "part"].map(|key| value(said, key).to_owned())
    };
    assert_eq!(of(&said), ["nil", "nil", "nobody", "nil"]);
    assert_eq!(proxy.metrics().await.sum(ERRORS, &[]), 3);

    // The volumes come.
    let podinfo = directory.path().join("podinfo");
    std::fs::create_dir(&podinfo).unwrap();
    let volume = |version: usize, labels: &str| swap(&podinfo, version, &[("labels", labels)]);
    volume(1, "app=\"shop\"\napp.kubernetes.io/version=\"1.0\"\n");
    put(directory.path(), "environment", "production\n");
    reloaded(&proxy, 1).await;
    let no_errors = |of: &'static str| {
        let gone = move |metrics: &Metrics| metrics.sum(AGE, &[]) == 0;
        proxy.await_metrics(of, gone)
    };
    let (_, said) = labelled(&upstream, &proxy, 1).await;
    assert_eq!(of(&said)[..2], ["production", "1.0"]);

    // They change, all at once; then one of them is of no use, and one is gone.
    volume(2, "app.kubernetes.io/version=\"1.1\"\napp.kubernetes.io/part-of=\"web \\\"shop\\\"\"\n");
    put(directory.path(), "team", "payments");
    proxy
        .await_metrics("the label", |metrics| {
            metrics.sum("spandrel_config_reloads_total", &[("outcome", "ok")]) >= 2
        })
        .await;
    no_errors("all to be good").await;
    let (_, said) = labelled(&upstream, &proxy, 2).await;
    assert_eq!(of(&said), ["production", "1.1", "payments", "web \"shop\""]);
    put(directory.path(), "environment", b"\x00\xff");
    std::fs::remove_file(directory.path().join("team")).unwrap();
    proxy
        .await_stderr("what is wrong", |line| {
            line.contains("environment` is not text; its last good value stays")
        })
        .await;
    let (_, said) = labelled(&upstream, &proxy, 3).await;
    assert_eq!(of(&said), ["production", "1.1", "payments", "web \"shop\""]);
}

#[tokio::test]
async fn the_environment_is_a_headers_or_a_namespaces() {
    let upstream = Upstream::start().await;
    let labels = "environment:\n  header: X-Environment\n  by_namespace: {pay-prod: production, \"*-staging\": staging}\n  else: dev\n";
    let proxy = started(&upstream, labels).await;
    let said = async |number: u64, namespace: &str, header: &'static str| {
        let mut request = made::request(made::trace(number, 1));
        if let Some(resource) = request.resource_spans[0].resource.as_mut().filter(|_| !namespace.is_empty())
        {
            resource.attributes.push(attribute("k8s.namespace.name", namespace));
        }
        let mut metadata = MetadataMap::new();
        if !header.is_empty() {
            metadata.insert("x-environment", MetadataValue::from_static(header));
        }
        let body = Export::Traces(request).encode();
        proxy.client().grpc_with(Signal::Traces, body, metadata).await.assert_taken();
        upstream.await_spans(number as usize + 1).await;
        let items = upstream.exports(Signal::Traces).iter().flat_map(Export::items).collect::<Vec<_>>();
        let own = items
            .into_iter()
            .find(|item| Span::decode(&*item.body).unwrap().trace_id == made::trace_id(number));
        text(&own.unwrap().resource.attributes, ENVIRONMENT).unwrap_or("nil").to_owned()
    };
    assert_eq!(said(0, "pay-prod", "").await, "production");
    assert_eq!(said(1, "cart-staging", "").await, "staging");
    assert_eq!(said(2, "other", "").await, "dev");
    assert_eq!(said(3, "", "").await, "dev");
    assert_eq!(said(4, "pay-prod", "blue").await, "blue");
}

#[tokio::test]
async fn check_and_print_config_tell_of_sources() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "c.yaml", "release: ${file:release}\nresource: {team: \"${file:team}\"}\n");
    put(directory.path(), "release", "r7\n");
    for (command, expect) in [
        (
            "check",
            ["release `r7`", "source `file:release`\n", "source `file:team` can't be read: no such file\n"],
        ),
        (
            "print-config",
            [
                "release: r7",
                "# source `file:release`\n",
                "# source `file:team` can't be read: no such file\n",
            ],
        ),
    ] {
        let file = directory.path().join("c.yaml");
        let output = proxy::command().arg(command).arg("--config").arg(file).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && expect.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[tokio::test]
async fn a_header_is_noted_from_the_reload_on_that_brings_a_rule_about_it() {
    let upstream = Upstream::start().await;
    let proxy = started(&upstream, "").await;
    let config = std::fs::read_to_string(proxy.file()).unwrap();
    let tenant = async |number: u64| {
        let body = Export::Traces(made::request(made::trace(number, 1))).encode();
        proxy.client().grpc_with(Signal::Traces, body, from("acme", "r1")).await.assert_taken();
        upstream.await_spans(number as usize + 1).await;
        came(&upstream, Signal::Traces).iter().filter(|(own, _)| text(own, "tenant") == Some("acme")).count()
    };
    assert_eq!(tenant(0).await, 0);
    proxy.write(&format!("{config}rules:\n  - set(span.attributes[\"tenant\"], header[\"x-tenant\"])\n"));
    proxy.hang_up();
    reloaded(&proxy, 1).await;
    assert_eq!(tenant(1).await, 1);
    proxy.write(&config);
    proxy.hang_up();
    reloaded(&proxy, 2).await;
    assert_eq!(tenant(2).await, 1, "nobody asks any more");
}
