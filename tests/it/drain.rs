//! The end of the process: what was taken arrives, whatever held it; what can not is told.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;
use spandrel::wire::Signal;
use tokio::sync::watch;
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::harness::known_set::LABELS;
use crate::harness::proxy::command;
use crate::harness::read::{Export, assert_labelled, assert_preserved};
use crate::harness::{Answer, Client, Proxy, Upstream, made};

/// As in `pipeline/build.rs`; a hang costs a test this much.
const DRAIN: Duration = Duration::from_secs(10);

/// Traces that wait for their roots in the join, and records in a batch that is long from closing.
const HOLDING: &str = "join: {idle: 25s, hold: 60s}\nbatch: {age: 50s}\n";

#[tokio::test]
async fn what_the_join_and_the_batches_hold_arrives_before_the_end() {
    let upstream = Upstream::start().await;
    // Slow enough to look at it meanwhile.
    upstream.answer(Answer::After(Duration::from_secs(1)));
    let mut proxy = Proxy::with(format!("upstream: {}\n{HOLDING}{LABELS}", upstream.endpoint())).await;
    let rootless = |number| made::trace(number, 11).split_off(1);
    let traces: Vec<Export> =
        (0..200).map(|number| Export::Traces(made::request(rootless(number)))).collect();
    let logs = Export::Logs(made::logs(0, 500));
    for export in &traces {
        proxy.client().grpc(Signal::Traces, export.encode()).await.assert_taken();
    }
    proxy.http_client().http(Signal::Logs, logs.encode()).await.assert_taken();
    assert!(upstream.requests().is_empty(), "it holds nothing: {}", upstream.summary());

    proxy.ask_to_stop();
    upstream.await_until("the first batch", |requests| !requests.is_empty()).await;
    // The first batch may be on its way before the lane has told what it still holds.
    proxy
        .await_metrics("everything drained from the join", |metrics| {
            let left = metrics.sum("spandrel_join_left_traces_total", &[("reason", "drain")]);
            (left, metrics.sum("spandrel_join_held_traces", &[])) == (200, 0)
        })
        .await;
    assert!(proxy.ended().await.success());
    assert_preserved(&traces, &upstream.exports(Signal::Traces));
    assert_preserved(&[logs], &upstream.exports(Signal::Logs));
    upstream.accepted().iter().for_each(|request| assert_labelled(&request.export));
    proxy.await_stderr("its last word", |line| line.contains("ended with nothing left")).await;
}

/// An upstream that takes a call and never answers must not keep the process: what it had not
/// acknowledged is told as lost, and its neighbour has everything.
#[tokio::test]
async fn an_upstream_that_hangs_is_not_waited_for_longer_than_the_drain_takes() {
    let (living, hanging) = (Upstream::start().await, Upstream::start().await);
    hanging.answer(Answer::Never);
    let (a, b) = (living.endpoint(), hanging.endpoint());
    let upstreams = format!(
        "upstreams: {{living: {{endpoint: \"{a}\"}}, hanging: {{endpoint: \"{b}\", timeout: 60s}}}}\n"
    );
    let mut proxy = Proxy::with(format!("{upstreams}{HOLDING}{LABELS}")).await;
    let sent = Export::Traces(made::request((0..20).flat_map(|number| made::trace(number, 10)).collect()));
    proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
    let (admin, callers) = (Client::to(proxy.admin()), proxy.http_client());

    let asked = tokio::time::Instant::now();
    proxy.ask_to_stop();
    hanging.await_until("a call that hangs", |requests| !requests.is_empty()).await;
    living.await_spans(200).await;
    let ready = admin.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().contains("draining")), (503, true), "{}", ready.text());
    assert_eq!(admin.get("/livez").await.status, 200, "a process that drains must not be killed for it");
    let turned_away = callers.try_request(http::Method::POST, "/v1/traces", &[], sent.encode()).await;
    assert!(turned_away.is_err(), "it takes requests while it drains: {turned_away:?}");

    assert!(proxy.ended().await.success());
    let took = asked.elapsed();
    assert!(took < DRAIN + Duration::from_secs(5), "it took {took:?} to end");
    assert_preserved(&[sent], &living.exports(Signal::Traces));
    let word = proxy.await_stderr("its last word", |line| line.contains("ended with items unsent")).await;
    assert!(word.contains("200"), "it does not say how many: {word}");
}

/// Callers in the middle of it: whatever was answered with success arrives.
#[tokio::test]
async fn what_was_answered_with_success_while_it_was_told_to_stop_arrives() {
    let upstream = Upstream::start().await;
    let mut proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let began = watch::Sender::new(0);
    let pushing: Vec<_> = (0..4)
        .map(|caller: u64| {
            let client = if caller.is_multiple_of(2) { proxy.client() } else { proxy.http_client() };
            tokio::spawn(push(client, caller, began.clone()))
        })
        .collect();
    began.subscribe().wait_for(|&taken| taken >= 100).await.expect("callers live");
    proxy.ask_to_stop();
    let mut taken = HashSet::new();
    for pushed in pushing {
        taken.extend(pushed.await.expect("a caller failed; see above"));
    }
    assert!(proxy.ended().await.success());
    let exports = upstream.exports(Signal::Traces);
    let mut came = HashSet::new();
    for span in exports.iter().flat_map(Export::spans) {
        assert!(came.insert((span.trace_id, span.span_id)), "{:?} came twice", span.name);
    }
    let lost: Vec<u64> = taken
        .into_iter()
        .filter(|&number| {
            (0..10).any(|at| !came.contains(&(made::trace_id(number), made::span_id(number, at))))
        })
        .collect();
    assert!(lost.is_empty(), "taken and never forwarded: {lost:?}");
}

/// Sends traces one after the other until nobody takes them; returns those that were taken.
async fn push(client: Client, caller: u64, began: watch::Sender<usize>) -> Vec<u64> {
    let mut taken = Vec::new();
    let headers = [("content-type", "application/x-protobuf")];
    for number in caller * 1_000_000.. {
        let body = made::request(made::trace(number, 10)).encode_to_vec();
        let code = if caller.is_multiple_of(2) {
            client.try_grpc(Signal::Traces, body, MetadataMap::new()).await.map(|reply| reply.code).ok()
        } else {
            let reply = client.try_request(http::Method::POST, "/v1/traces", &headers, body).await;
            reply.map(|reply| reply.code).ok()
        };
        if code != Some(Code::Ok) {
            break;
        }
        taken.push(number);
        began.send_modify(|taken| *taken += 1);
    }
    taken
}

/// What a sidecar of Kubernetes has: two seconds, an upstream too slow for all of it, and traces go first.
#[tokio::test]
async fn a_short_end_is_kept_and_traces_go_before_the_rest() {
    let upstream = Upstream::start().await;
    upstream.answer(Answer::After(Duration::from_millis(400)));
    let config = format!(
        "upstreams: {{default: {{endpoint: \"{}\", parallel: 1}}}}\ndrain: 2s\nbatch: {{bytes: 16KiB, age: 50s}}\n{HOLDING_TRACES}{LABELS}",
        upstream.endpoint()
    );
    let mut proxy = Proxy::with(config).await;
    for number in 0..20 {
        let logs = Export::Logs(made::logs(number * 100, 100));
        proxy.http_client().http(Signal::Logs, logs.encode()).await.assert_taken();
    }
    let sent = Export::Traces(made::request(made::trace(1, 11).split_off(1)));
    proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
    let asked = tokio::time::Instant::now();
    proxy.ask_to_stop();
    assert!(proxy.ended().await.success());
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(4), "it took {took:?} to end");
    assert_preserved(&[sent], &upstream.exports(Signal::Traces));
    // What it says is lost is what `spandrel_exporter_lost_items_total` has at the end.
    let word = proxy.await_stderr("what was left", |line| line.contains("ended with items unsent")).await;
    let (_, number) = word.rsplit_once("items").expect("it says how many");
    let left: usize =
        number.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number");
    let came: usize = upstream.exports(Signal::Logs).iter().map(Export::count).sum();
    assert!(left < 2000 && came > 0 && left + came >= 2000, "{came} came, {left} left: {word}");
}

/// Traces that wait for their roots.
const HOLDING_TRACES: &str = "join: {idle: 25s, hold: 60s}\n";

/// A pod's end begins with its preStop hooks, a sidecar's at the same time as the app's: what is held leaves then,
/// and what the app still sends leaves at once.
#[tokio::test]
async fn told_to_flush_it_hands_on_what_it_holds_and_goes_on_listening() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{HOLDING}{LABELS}", upstream.endpoint())).await;
    let rootless = |number| Export::Traces(made::request(made::trace(number, 11).split_off(1)));
    let (before, after) = (rootless(1), rootless(2));
    proxy.client().grpc(Signal::Traces, before.encode()).await.assert_taken();
    let told = command().arg("flush").arg(proxy.admin().to_string()).output().await.expect("it runs");
    assert!(told.status.success(), "{told:?}");
    upstream.await_spans(10).await;
    proxy.client().grpc(Signal::Traces, after.encode()).await.assert_taken();
    upstream.await_spans(20).await;
    assert_preserved(&[before, after], &upstream.exports(Signal::Traces));
    assert_eq!(Client::to(proxy.admin()).get("/readyz").await.status, 200);
}
