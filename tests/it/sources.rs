//! Where labels and rules take values from beside the data: each is followed while the program runs, keeps its last
//! good value, and says so when it can not be used.

use std::os::unix::fs::symlink;
use std::path::Path;

use prost::Message;
use spandrel::wire::Signal;

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::read::{Export, text};
use crate::harness::{Proxy, Upstream, made};

const ERRORS: &str = "spandrel_source_errors_total";
const AGE: &str = "spandrel_source_age_seconds";

/// Started in a directory that holds this file.
async fn started(more: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 300ms}}\nbatch: {{age: 10ms}}\n", upstream.endpoint());
    let proxy = Proxy::with(format!("{config}{more}")).await;
    (upstream, proxy)
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
    let fast = "join: {idle: 300ms}\nbatch: {age: 10ms}\n";
    let proxy = Proxy::with(format!("upstream: {}\n{fast}{rules}", upstream.endpoint())).await;
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
