//! Faults F26 and F27: a tenth of a core, and a container's limit of memory. They need root and cgroups:
//! `cargo test --test it -- --ignored`.

use std::time::Duration;

use prost::Message;
use spandrel::wire::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::harness::cgroup::Group;
use crate::harness::known_set::LABELS;
use crate::harness::read::Export;
use crate::harness::{Answer, Client, Metrics, Proxy, Start, Upstream, made};
use crate::limits::{Pushed, push};

const MIB: usize = 1 << 20;
const LASTING: Duration = Duration::from_secs(20);

async fn start_in(group: &Group, upstream: &Upstream) -> Proxy {
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\n{LABELS}", upstream.endpoint());
    Proxy::start(Start { config, before: Some(group.enter()), ..Start::default() }).await
}

/// Callers that push as fast as they are answered, four over each transport.
fn pushers(proxy: &Proxy, over: &watch::Sender<bool>) -> Vec<tokio::task::JoinHandle<Pushed>> {
    let first = |at: u64| (at + 1) * 10_000_000;
    (0..8)
        .map(|at| {
            let grpc = at % 2 == 0;
            let client = if grpc { proxy.client() } else { proxy.http_client() };
            tokio::spawn(push(client, over.subscribe(), first(at), grpc))
        })
        .collect()
}

async fn all(pushing: Vec<tokio::task::JoinHandle<Pushed>>) -> Pushed {
    let mut sum = Pushed::default();
    for pushed in pushing {
        let pushed = pushed.await.expect("it panicked; see above");
        sum.taken += pushed.taken;
        sum.refused += pushed.refused;
    }
    sum
}

/// 64 MiB for all, of which a quarter is the budget by default; an upstream that takes less than comes; and
/// large bodies and bombs between the small ones. Callers are told to come again, and nothing that was taken
/// is lost.
#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn f27_in_64_mebibytes_an_overload_is_shed() {
    const CAP: usize = 64 * MIB;
    let group = Group::of_memory("f27", CAP);
    let upstream = Upstream::start().await;
    upstream.answer(Answer::After(Duration::from_secs(1)));
    let proxy = start_in(&group, &upstream).await;
    assert_eq!(proxy.metrics().await.sum("spandrel_memory_limit_bytes", &[]), CAP as u64 / 4);

    let over = watch::Sender::new(false);
    let pushing = pushers(&proxy, &over);
    let large = made::request(made::trace(1, 10_000)).encode_to_vec();
    let bomb = gzip(&vec![0; 32 * MIB]);
    let began = Instant::now();
    let (mut large_taken, client) = (0, proxy.http_client());
    while began.elapsed() < LASTING {
        let reply = client.http(Signal::Traces, large.clone()).await;
        large_taken += u64::from(reply.status == 200);
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
        let reply = client.post("/v1/traces", &headers, bomb.clone()).await;
        assert!([413, 503].contains(&reply.status.as_u16()), "{reply:?}");
    }
    over.send_replace(true);
    let pushed = all(pushing).await;
    assert!(pushed.taken > 0 && pushed.refused > 0, "{pushed:?}");
    let resident = proxy.resident_max() - proxy.resident_program();
    assert!(resident < CAP / 10 * 9, "{} MiB resident", resident / MIB);

    upstream.answer(Answer::Ok);
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!(ledger.lost, 0, "{ledger:?}");
    assert_eq!(ledger.delivered, pushed.taken + large_taken * 10_000, "{ledger:?}");
    assert!(proxy.stop().await.success());
    println!("F27: {} MiB resident at most; {pushed:?}", resident / MIB);
}

/// With a tenth of a core callers wait longer, but each has its answer before an SDK gives up (10 s), and so
/// has the kubelet. Nothing that was taken is lost.
#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn f26_on_a_tenth_of_a_core_everybody_is_answered() {
    let group = Group::of_cpu("f26", 10);
    let upstream = Upstream::start().await;
    let proxy = start_in(&group, &upstream).await;
    let over = watch::Sender::new(false);
    let pushing = pushers(&proxy, &over);
    let began = Instant::now();
    let (mut longest, mut livez) = (Duration::ZERO, Duration::ZERO);
    while began.elapsed() < LASTING {
        let body = made::request(made::trace(began.elapsed().as_nanos() as u64, 1)).encode_to_vec();
        let asked = Instant::now();
        let _ = proxy.client().grpc(Signal::Traces, body).await;
        longest = longest.max(asked.elapsed());
        let asked = Instant::now();
        assert_eq!(Client::to(proxy.admin()).get("/livez").await.status, 200);
        livez = livez.max(asked.elapsed());
    }
    let (used, passed) = (proxy.processor(), began.elapsed());
    assert!(used < passed / 5, "the group does not hold it: {used:?} of {passed:?}");
    over.send_replace(true);
    let pushed = all(pushing).await;
    assert!(longest < Duration::from_secs(10) && livez < Duration::from_secs(10), "{longest:?} {livez:?}");
    assert!(pushed.taken > 0, "{pushed:?}");
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert!(ledger.lost == 0 && ledger.delivered >= pushed.taken, "{ledger:?}");
    let came: usize = upstream.exports(Signal::Traces).iter().map(Export::count).sum();
    assert_eq!(came as u64, ledger.delivered);
    println!("F26: a reply within {longest:?}, /livez within {livez:?}; {pushed:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Kubernetes resizes a pod in place: the budget follows the cgroup's limit, up and down.
#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn f26_the_budget_follows_a_limit_that_changes() {
    let group = Group::of_memory("resized", 256 * MIB);
    let upstream = Upstream::start().await;
    let proxy = start_in(&group, &upstream).await;
    let is = |bytes: usize| {
        move |metrics: &Metrics| metrics.sum("spandrel_memory_limit_bytes", &[]) == bytes as u64
    };
    assert!(is(64 * MIB)(&proxy.metrics().await));
    for limit in [128 * MIB, 512 * MIB] {
        group.resize_memory(limit);
        proxy.await_metrics("another budget", is(limit / 4)).await;
        proxy
            .await_stderr("why", |line| line.contains("the memory budget is a quarter of the cgroup's"))
            .await;
    }
}
