//! The configuration changes under the running program: what can change is taken whole, what can not is named, a bad
//! file changes nothing, and no span notices but by what is written on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::wire::Signal;

use crate::harness::read::{ENVIRONMENT, Export, text};
use crate::harness::{Proxy, Upstream, made};

const RELOADS: &str = "spandrel_config_reloads_total";

/// A configuration whose every label and rule says `word`.
fn config(upstream: &Upstream, word: &str) -> String {
    format!(
        "upstream: {}\nenvironment: {word}\njoin: {{idle: 300ms}}\nbatch: {{age: 10ms}}\nlanes: 2\nrules:\n  \
         - set(resource.attributes[\"rule\"], \"{word}\")\n  \
         - set(span.attributes[\"first\"], \"{word}\")\n  \
         - set(span.attributes[\"second\"], resource.attributes[\"{ENVIRONMENT}\"]) where trace.span_count > 0\n  \
         - set(log.attributes[\"first\"], \"{word}\")\n",
        upstream.endpoint()
    )
}

async fn reloads(proxy: &Proxy, outcome: &str) -> u64 {
    proxy.metrics().await.sum(RELOADS, &[("outcome", outcome)])
}

/// Asks for a reload that ends so, and waits for it.
async fn reload(proxy: &Proxy, outcome: &str) {
    let before = reloads(proxy, outcome).await;
    proxy.hang_up();
    let what = format!("a reload that is {outcome}");
    proxy.await_metrics(&what, |metrics| metrics.sum(RELOADS, &[("outcome", outcome)]) > before).await;
}

/// By trace: who its spans say labelled and ruled them.
type Words = BTreeMap<Vec<u8>, BTreeSet<String>>;

/// That, and the ids of the spans as they came.
fn words(upstream: &Upstream) -> (Words, Vec<Vec<u8>>) {
    let (mut words, mut ids) = (Words::new(), Vec::new());
    for item in upstream.exports(Signal::Traces).iter().flat_map(Export::items) {
        let span = Span::decode(&*item.body).unwrap();
        let said = words.entry(span.trace_id).or_default();
        let resource = &item.resource.attributes;
        let all = [
            text(resource, ENVIRONMENT),
            text(resource, "rule"),
            text(&span.attributes, "first"),
            text(&span.attributes, "second"),
        ];
        said.extend(all.into_iter().map(|word| word.unwrap_or("nothing").to_owned()));
        ids.push(span.span_id);
    }
    (words, ids)
}

#[tokio::test]
async fn a_hundred_reloads_under_load_lose_and_double_nothing_and_mix_nothing() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(config(&upstream, "even")).await;
    let done = AtomicBool::new(false);
    let load = async {
        let client = proxy.client();
        let (mut number, mut logs) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            // Each trace in two requests, so that there always is one in the join.
            let traces: Vec<Vec<Span>> = (number..number + 10).map(|n| made::trace(n, 5)).collect();
            for part in [0..2, 2..5] {
                let spans = traces.iter().flat_map(|trace| trace[part.clone()].to_vec()).collect();
                let request = Export::Traces(made::request(spans));
                client.grpc(Signal::Traces, request.encode()).await.assert_taken();
            }
            client.grpc(Signal::Logs, Export::Logs(made::logs(logs, 3)).encode()).await.assert_taken();
            (number, logs) = (number + 10, logs + 3);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (number as usize, logs)
    };
    let change = async {
        for round in 1..=100 {
            let next = config(&upstream, if round % 2 == 0 { "even" } else { "odd" });
            if round % 10 == 0 {
                proxy.write(&next.replace("set(log.", "sett(log."));
                reload(&proxy, "refused").await;
            }
            match round % 4 {
                0 => proxy.swap(round, &next),
                _ => proxy.write(&next),
            }
            reload(&proxy, "ok").await;
            if round % 25 == 0 {
                reload(&proxy, "unchanged").await;
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let ((traces, logs), ()) = tokio::join!(load, change);

    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    let spans = (traces * 5) as u64;
    assert_eq!((ledger.received, ledger.delivered, ledger.refused, ledger.lost), (spans, spans, 0, 0));
    let ledger = proxy.await_settled(Signal::Logs, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (logs, logs));
    let (words, ids) = words(&upstream);
    let mixed: Vec<_> = words.values().filter(|words| words.len() != 1).collect();
    assert!(mixed.is_empty(), "{} of {traces} traces are mixtures: {:?}", mixed.len(), mixed.first());
    let of_each = |word: &str| words.values().filter(|said| said.contains(word)).count();
    assert_eq!((of_each("even") + of_each("odd"), words.len()), (traces, traces));
    assert!(of_each("odd") > 0 && of_each("even") > 0, "both were in force");
    assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>().len()), (traces * 5, traces * 5));
    assert!(proxy.stop().await.success());
}

#[tokio::test]
async fn a_changed_file_is_found_by_itself_and_a_bad_one_is_told_with_its_place_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(config(&upstream, "first")).await;
    proxy.write(&config(&upstream, "first").replace("lanes: 2", "lane: 2"));
    let said = proxy.await_stderr("the mistake", |line| line.contains("unknown key `lane`")).await;
    assert!(said.contains("refused") && said.contains("spandrel.yaml:7:1"), "{said}");
    let readiness = proxy.readiness().await;
    assert!(readiness.contains("refused: ") && readiness.contains(":7:1: unknown key `lane`"), "{readiness}");
    let send = async |number| {
        let request = Export::Traces(made::request(made::trace(number, 2)));
        proxy.client().grpc(Signal::Traces, request.encode()).await.assert_taken();
        upstream.await_spans(2 * (number as usize + 1)).await;
        let (mut words, _) = words(&upstream);
        words.remove(&made::trace_id(number)).unwrap()
    };
    assert_eq!(send(0).await, BTreeSet::from(["first".to_owned()]));
    proxy.swap(1, &config(&upstream, "second"));
    proxy.await_metrics("the second", |metrics| metrics.sum(RELOADS, &[("outcome", "ok")]) == 1).await;
    assert_eq!(send(1).await, BTreeSet::from(["second".to_owned()]));
    assert!(!proxy.readiness().await.contains("refused"), "{}", proxy.readiness().await);
}

#[tokio::test]
async fn what_can_not_change_while_running_is_named_and_the_rest_is_taken() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(config(&upstream, "first")).await;
    proxy.write(&config(&upstream, "second").replace("lanes: 2", "lanes: 3\nmemory: 128MiB"));
    reload(&proxy, "ok").await;
    let waits = "takes effect at the next start: `lanes`, `memory`";
    assert!(proxy.readiness().await.contains(waits), "{}", proxy.readiness().await);
    proxy.await_stderr("what waits", |line| line.contains(waits)).await;
    let request = Export::Traces(made::request(made::trace(0, 2)));
    proxy.client().grpc(Signal::Traces, request.encode()).await.assert_taken();
    upstream.await_spans(2).await;
    let (words, _) = words(&upstream);
    assert_eq!(words[&made::trace_id(0)], BTreeSet::from(["second".to_owned()]));
    proxy.write(&config(&upstream, "second"));
    reload(&proxy, "ok").await;
    assert!(!proxy.readiness().await.contains("next start"), "{}", proxy.readiness().await);
}
