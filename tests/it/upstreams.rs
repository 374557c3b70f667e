//! Several upstreams: each gets everything, none waits for another, and each one's books close by themselves.

use std::time::Duration;

use spandrel::wire::Signal;
use tokio::sync::watch;
use tonic::Code;

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_preserved};
use crate::harness::{Answer, Client, Metrics, Proxy, Reply, Upstream, made};
use prost::Message;

const MIB: usize = 1 << 20;
const JOIN: &str = "join: {idle: 300ms}\n";
/// Soon given up, so that a test need not wait for five minutes.
const HASTY: &str = "retry: {initial: 50ms, max: 100ms, give_up: 1s}";

fn lost(metrics: &Metrics, signal: Signal, upstream: &str, reason: &str) -> u64 {
    let labels = [("signal", signal.name()), ("upstream", upstream), ("reason", reason)];
    metrics.sum("spandrel_exporter_lost_items_total", &labels)
}

/// One is gone and one takes calls without ever answering: what they miss is counted as theirs alone.
#[tokio::test]
async fn what_a_dead_upstream_misses_is_lost_for_it_and_for_nobody_else() {
    let (living, mut dead, hanging) =
        (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    dead.go_down().await;
    hanging.answer(Answer::Never);
    let upstreams = format!(
        "upstreams:\n  living: {{endpoint: \"{}\"}}\n  dead: {{endpoint: \"{}\", {HASTY}}}\n  \
         hanging: {{endpoint: \"{}\", timeout: 300ms, {HASTY}}}\n",
        living.endpoint(),
        dead.endpoint(),
        hanging.endpoint()
    );
    let proxy = Proxy::with(format!("{upstreams}{JOIN}{LABELS}")).await;
    let sent = [
        Export::Traces(made::request((0..30).flat_map(|number| made::trace(number, 10)).collect())),
        Export::Logs(made::logs(0, 70)),
        Export::Metrics(made::metrics(0, 40)),
    ];
    let began = tokio::time::Instant::now();
    for export in &sent {
        proxy.client().grpc(export.signal(), export.encode()).await.assert_taken();
    }
    for export in &sent {
        living.await_items(export.signal(), export.count()).await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "the living one waited {took:?} for the others");
    for export in sent {
        let (signal, count) = (export.signal(), export.count() as u64);
        for upstream in ["dead", "hanging"] {
            let ledger = proxy.await_settled(signal, upstream).await;
            assert_eq!((ledger.received, ledger.delivered, ledger.lost), (count, 0, count), "{upstream}");
            assert_eq!(lost(&proxy.metrics().await, signal, upstream, "gave_up"), count, "{upstream}");
        }
        let ledger = proxy.await_settled(signal, "living").await;
        assert_eq!((ledger.delivered, ledger.refused, ledger.lost), (count, 0, 0));
        assert_preserved(&[export], &living.exports(signal));
    }
    assert!(proxy.stop().await.success());
}

/// A queue for a dead upstream takes half of the memory and no more; what does not fit is lost for it.
#[tokio::test]
async fn what_does_not_fit_into_a_dead_upstreams_queue_is_lost_for_it_alone() {
    let (living, mut dead) = (Upstream::start().await, Upstream::start().await);
    dead.go_down().await;
    let upstreams = format!(
        "upstreams: {{living: {{endpoint: \"{}\"}}, dead: {{endpoint: \"{}\", retry: {{max: 1s}}}}}}\n",
        living.endpoint(),
        dead.endpoint()
    );
    let proxy = Proxy::with(format!("{upstreams}memory: 8MiB\nbatch: {{bytes: 256KiB}}\n{LABELS}")).await;
    let client = proxy.client();
    let (mut first, mut bytes) = (0, 0);
    while bytes < 10 * MIB {
        let body = made::logs(first, 2000).encode_to_vec();
        bytes += body.len();
        first += 2000;
        while client.grpc(Signal::Logs, body.clone()).await.code != Code::Ok {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    living.await_items(Signal::Logs, first as usize).await;
    dead.go_up().await;
    let ledger = proxy.await_settled(Signal::Logs, "dead").await;
    let metrics = proxy.metrics().await;
    assert!(ledger.delivered > 0 && ledger.lost > 0, "{ledger:?}");
    assert_eq!(lost(&metrics, Signal::Logs, "dead", "queue_full"), ledger.lost);
    let came: usize = dead.exports(Signal::Logs).iter().map(Export::count).sum();
    assert_eq!(came as u64, ledger.delivered);
    let ledger = proxy.await_settled(Signal::Logs, "living").await;
    assert_eq!((ledger.delivered, ledger.lost), (ledger.received - ledger.refused, 0), "{ledger:?}");
    let told_off = metrics.sum("spandrel_receiver_refused_items_total", &[("signal", "logs")]);
    assert_eq!(ledger.received, first + told_off);
}

/// Three signals, six callers, no backend: the memory stays what it is, callers are told to come again,
/// and all that was taken arrives when the backend is back.
#[tokio::test]
async fn without_a_backend_under_load_memory_is_bounded_and_nothing_taken_is_lost() {
    without_a_backend(Duration::from_secs(8)).await;
}

/// The same for as long as a backend takes to be restarted. It is run by itself (README, "More").
#[tokio::test]
#[ignore = "more than a minute"]
async fn without_a_backend_for_a_minute_under_load_memory_is_bounded_and_nothing_taken_is_lost() {
    without_a_backend(Duration::from_secs(60)).await;
}

async fn without_a_backend(lasting: Duration) {
    const MEMORY: usize = 16 * MIB;
    let mut upstream = Upstream::start().await;
    upstream.go_down().await;
    let to =
        format!("upstreams: {{default: {{endpoint: \"{}\", retry: {{max: 1s}}}}}}\n", upstream.endpoint());
    let proxy = Proxy::with(format!("{to}memory: 16MiB\n{JOIN}{LABELS}")).await;
    let over = watch::Sender::new(false);
    let pushing: Vec<_> = (0..6)
        .map(|caller: u64| {
            let client = if caller.is_multiple_of(2) { proxy.client() } else { proxy.http_client() };
            tokio::spawn(push(client, caller, over.subscribe()))
        })
        .collect();
    tokio::time::sleep(lasting).await;
    over.send_replace(true);
    let mut taken = [0; 3];
    let mut refused = 0;
    for pushed in pushing {
        let pushed = pushed.await.expect("a caller failed; see above");
        taken[pushed.signal as usize] += pushed.taken;
        refused += pushed.refused;
    }
    assert!(taken.iter().all(|&taken| taken > 0) && refused > 0, "{taken:?} taken, {refused} refused");
    let resident = proxy.resident_max();
    assert!(resident < MEMORY + 40 * MIB, "{} MiB resident", resident / MIB);

    upstream.go_up().await;
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        let taken = taken[signal as usize];
        let came = upstream.await_items(signal, taken as usize).await;
        assert_eq!(came.iter().map(|request| request.export.count() as u64).sum::<u64>(), taken);
        let ledger = proxy.await_settled(signal, "default").await;
        assert_eq!((ledger.delivered, ledger.lost), (taken, 0), "{}: {ledger:?}", signal.name());
    }
    assert!(proxy.stop().await.success());
    println!("{lasting:?}: {} MiB resident, {taken:?} taken, {refused} refused", resident / MIB);
}

struct Pushed {
    signal: Signal,
    taken: u64,
    refused: u64,
}

/// Sends one signal, a hundred items a request, one request after the other, until it is over.
async fn push(client: Client, caller: u64, over: watch::Receiver<bool>) -> Pushed {
    let signal = [Signal::Traces, Signal::Metrics, Signal::Logs][caller as usize / 2];
    let mut pushed = Pushed { signal, taken: 0, refused: 0 };
    for number in caller * 1_000_000.. {
        if *over.borrow() {
            break;
        }
        let body = match signal {
            Signal::Metrics => made::metrics(number * 100, 100).encode_to_vec(),
            Signal::Logs => made::logs(number * 100, 100).encode_to_vec(),
            _ => made::request(made::trace(number, 100)).encode_to_vec(),
        };
        let is_grpc = caller.is_multiple_of(2);
        let reply = if is_grpc { client.grpc(signal, body).await } else { client.http(signal, body).await };
        if reply.code == Code::Ok {
            pushed.taken += 100;
        } else {
            assert!(says_when_to_come_again(&reply, is_grpc), "{reply:?}");
            pushed.refused += 100;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    pushed
}

/// UNAVAILABLE with RetryInfo, or 503 with `Retry-After`.
fn says_when_to_come_again(reply: &Reply, is_grpc: bool) -> bool {
    if is_grpc {
        let after = reply.error.as_ref().and_then(|error| error.retry_after());
        return reply.code == Code::Unavailable && after.is_some_and(|after| !after.is_zero());
    }
    let after = reply.headers.get("retry-after").and_then(|after| after.to_str().ok()?.parse::<u32>().ok());
    reply.status == 503 && after.is_some_and(|after| after > 0)
}
