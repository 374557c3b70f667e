//! The property that matters, asked of the whole program: whatever an upstream does (any code or status, slow,
//! silent, cut off, taking a part), for each signal received = delivered + refused + lost, each with its
//! reason; and what was answered with success is in the lost column only where a named bound was hit.
//!
//! `src/export/tests/book.rs` asks the same of the exporter alone, of many more upstreams.

use std::collections::HashSet;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spandrel::wire::Signal;
use tonic::Code;

use crate::harness::metrics::Ledger;
use crate::harness::read::Export;
use crate::harness::{Answer, Proxy, Upstream, made};

const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];
const REQUESTS: u64 = 60;
/// Answers drawn by lot; what comes after them is taken.
const ANSWERS: usize = 80;

fn answer(rng: &mut SmallRng) -> Answer {
    match rng.random_range(0..10) {
        0..3 => Answer::Ok,
        3 => Answer::Partial { rejected: rng.random_range(0..9), message: "by lot" },
        4 => Answer::After(Duration::from_millis(rng.random_range(0..120))),
        5 => Answer::Never,
        _ => Answer::Refuse {
            grpc: Code::from(rng.random_range(1..17)),
            http: rng.random_range(300..600),
            after: rng.random_bool(0.3).then(|| Duration::from_millis(rng.random_range(0..30))),
        },
    }
}

/// One request of any signal, whose items nobody else has; now and then an item of it is wrong.
fn export(rng: &mut SmallRng, number: u64) -> Export {
    let count = rng.random_range(1..40);
    let spoilt = rng.random_bool(0.2);
    match SIGNALS[rng.random_range(0..3)] {
        Signal::Metrics => Export::Metrics(made::metrics(number * 100, count)),
        Signal::Logs => Export::Logs(made::logs(number * 100, count)),
        _ => {
            let mut spans = made::trace(number + 1, count as usize);
            spans.iter_mut().skip(1).take(usize::from(spoilt)).for_each(|span| span.span_id.clear());
            Export::Traces(made::request(spans))
        }
    }
}

/// What tells the made items of a signal apart: their span ids, or their times.
fn ids(export: &Export) -> Vec<u64> {
    match export {
        Export::Metrics(request) => {
            let scopes = request.resource_metrics.iter().flat_map(|block| &block.scope_metrics);
            let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
            let sums = data.filter_map(|data| if let Data::Sum(sum) = data { Some(sum) } else { None });
            sums.flat_map(|sum| &sum.data_points).map(|point| point.time_unix_nano).collect()
        }
        Export::Logs(request) => {
            let scopes = request.resource_logs.iter().flat_map(|block| &block.scope_logs);
            scopes.flat_map(|scope| &scope.log_records).map(|record| record.time_unix_nano).collect()
        }
        _ => {
            let id = |span: Span| u64::from_be_bytes(span.span_id.try_into().expect("eight bytes"));
            export.spans().into_iter().map(id).collect()
        }
    }
}

/// Sends requests over both transports to a program whose upstream answers by lot and is gone now and then.
/// Returns the books of each signal once nothing is in flight, and of the lost those that ran out of time.
async fn books(seed: u64, protocol: &str, give_up: &str) -> Vec<(Ledger, u64)> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut upstream = Upstream::start().await;
    upstream.answer_next((0..ANSWERS).map(|_| answer(&mut rng)));
    let retry = format!("{{initial: 5ms, max: 40ms, give_up: {give_up}}}");
    let proxy = Proxy::with(format!(
        "upstreams: {{default: {{endpoint: \"{}\", protocol: {protocol}, timeout: 100ms, retry: {retry}}}}}\n\
         join: {{idle: 100ms}}\nbatch: {{bytes: 8KiB, age: 10ms}}\n",
        upstream.endpoint()
    ))
    .await;
    let (grpc, http) = (proxy.client(), proxy.http_client());
    let mut sent = Vec::new();
    for number in 0..REQUESTS {
        let export = export(&mut rng, number);
        let client = if rng.random_bool(0.5) { &grpc } else { &http };
        let reply = match rng.random_bool(0.5) {
            true => client.grpc(export.signal(), export.encode()).await,
            false => client.http(export.signal(), export.encode()).await,
        };
        assert_eq!(reply.code, Code::Ok, "{reply:?}");
        sent.push(export);
        if rng.random_bool(0.1) {
            upstream.go_down().await;
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..80))).await;
            upstream.go_up().await;
        }
    }
    let mut books = Vec::new();
    for signal in SIGNALS {
        let ledger = proxy.await_settled(signal, "default").await;
        let count: usize = sent.iter().filter(|it| it.signal() == signal).map(Export::count).sum();
        assert_eq!(ledger.received, count as u64, "seed {seed}: {} were sent", signal.name());
        // By id: what was cut off behind the upstream's back comes twice.
        let came: HashSet<u64> = upstream.exports(signal).iter().flat_map(ids).collect();
        assert!(came.len() as u64 >= ledger.delivered, "seed {seed}: {} came, {ledger:?}", came.len());
        let labels = [("signal", signal.name()), ("upstream", "default"), ("reason", "gave_up")];
        let gave_up = proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &labels);
        books.push((ledger, gave_up));
    }
    assert!(proxy.stop().await.success());
    books
}

#[tokio::test]
async fn whatever_an_upstream_does_nothing_taken_is_lost_while_there_is_time() {
    for seed in 0..6 {
        let protocol = if seed % 2 == 0 { "grpc" } else { "http/protobuf" };
        for (ledger, _) in books(seed, protocol, "10m").await {
            assert_eq!(ledger.lost, 0, "seed {seed} over {protocol}: {ledger:?}");
        }
    }
}

#[tokio::test]
async fn whatever_an_upstream_does_what_is_lost_ran_out_of_time_and_is_counted_so() {
    let mut lost = 0;
    for seed in 6..12 {
        let protocol = if seed % 2 == 0 { "grpc" } else { "http/protobuf" };
        for (ledger, gave_up) in books(seed, protocol, "50ms").await {
            assert_eq!(ledger.lost, gave_up, "seed {seed} over {protocol}: {ledger:?}");
            lost += ledger.lost;
        }
    }
    assert!(lost > 0, "no seed shows it");
}
