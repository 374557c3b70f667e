//! What does not fit: a trace larger than a batch, a span larger than a request, more traces than memory.

use std::collections::{HashMap, HashSet};

use prost::Message;
use spandrel::wire::Signal;
use tonic::Code;

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_labelled, assert_preserved, attribute};
use crate::harness::{Proxy, Upstream, made};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_trace_larger_than_a_batch_goes_in_consecutive_requests_and_is_counted() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let sent: Vec<Export> = made::trace(1, 10_000)
        .chunks(2_500)
        .map(|spans| Export::Traces(made::request(spans.to_vec())))
        .collect();
    // Children first: what leaves does not depend on it.
    for export in sent.iter().rev() {
        proxy.client().grpc(Signal::Traces, export.encode()).await.assert_taken();
    }
    let came = upstream.await_spans(10_000).await;
    assert_preserved(&sent, &upstream.exports(Signal::Traces));
    let largest = came.iter().map(|request| request.bytes.len()).max().unwrap();
    assert!(largest < MIB + MIB / 10, "a batch of {largest} bytes");
    let roots = came
        .iter()
        .filter(|request| request.export.spans().iter().any(|span| span.parent_span_id.is_empty()));
    assert_eq!((came.len() > 2, roots.count()), (true, 1));
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("spandrel_join_split_traces_total", &[]), 1);
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (10_000, 10_000));
    assert!(proxy.stop().await.success());
}

/// No upstream takes a request of this size, and a span can not be divided: it is lost, with a reason.
#[tokio::test]
async fn a_span_larger_than_any_request_is_lost_with_a_reason_and_its_neighbours_are_not() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let mut spans = made::trace(1, 5);
    let good = Export::Traces(made::request(vec![
        spans[0].clone(),
        spans[1].clone(),
        spans[3].clone(),
        spans[4].clone(),
    ]));
    spans[2].attributes.push(attribute("document", &"x".repeat(5 * MIB)));
    proxy.client().grpc(Signal::Traces, made::request(spans).encode_to_vec()).await.assert_taken();
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.lost), (5, 4, 1), "{}", upstream.summary());
    let too_large = [("reason", "too_large")];
    assert_eq!(proxy.metrics().await.sum("spandrel_exporter_lost_items_total", &too_large), 1);
    assert_preserved(&[good], &upstream.exports(Signal::Traces));
}

/// More open traces than memory holds: the oldest go on as they are, and callers are not kept out.
#[tokio::test]
async fn when_memory_is_short_the_oldest_traces_leave_incomplete_and_nothing_is_lost() {
    const MEMORY: usize = 8 * MIB;
    let upstream = Upstream::start().await;
    let config = format!(
        "upstream: {}\nmemory: 8MiB\njoin: {{idle: 20s, hold: 60s}}\nbatch: {{bytes: 256KiB}}\n{LABELS}",
        upstream.endpoint()
    );
    let proxy = Proxy::with(config).await;
    let client = proxy.client();
    let mut sent = Vec::new();
    // About 380 bytes a span: three times the memory.
    for number in 0..650 {
        // The root never comes.
        let spans = made::trace(number, 101).split_off(1);
        let export = Export::Traces(made::request(spans));
        while client.grpc(Signal::Traces, export.encode()).await.code != Code::Ok {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        sent.push(export);
    }
    let pushed_out = |metrics: &crate::harness::Metrics| {
        metrics.sum("spandrel_join_left_traces_total", &[("reason", "pressure")]) > 300
    };
    proxy.await_metrics("traces pushed out", pushed_out).await;
    let resident = proxy.resident_max();
    assert!(resident < MEMORY + 40 * MIB, "{} MiB resident", resident / MIB);
    assert!(proxy.stop().await.success());
    assert_preserved(&sent, &upstream.exports(Signal::Traces));
    upstream.exports(Signal::Traces).iter().for_each(assert_labelled);
}

/// A request's traces belong to several lanes: each takes its own, and the books close over all of them.
#[tokio::test]
async fn several_lanes_share_a_request_and_keep_each_trace_whole() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\nlanes: 3\njoin: {{idle: 700ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    // Each request has a piece of each trace, and a span that is refused.
    let traces: Vec<_> = (0..100).map(|number| made::trace(number, 6)).collect();
    for piece in 0..3 {
        let mut spans: Vec<_> = traces.iter().flat_map(|spans| spans[piece * 2..][..2].to_vec()).collect();
        let mut bad = spans[7].clone();
        bad.span_id = vec![1; 5];
        spans.insert(8, bad);
        let reply = proxy.client().grpc(Signal::Traces, made::request(spans).encode_to_vec()).await;
        assert_eq!(reply.rejected().0, 1);
    }
    proxy.http_client().http(Signal::Logs, made::logs(0, 10).encode_to_vec()).await.assert_taken();
    upstream.await_items(Signal::Logs, 10).await;
    let came = upstream.await_spans(600).await;
    let mut requests_of: HashMap<Vec<u8>, HashSet<usize>> = HashMap::new();
    for (at, request) in came.iter().enumerate() {
        request.export.spans().into_iter().for_each(|span| {
            requests_of.entry(span.trace_id).or_default().insert(at);
        });
    }
    assert!(requests_of.len() == 100 && requests_of.values().all(|requests| requests.len() == 1));
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered, ledger.refused), (603, 600, 3));
    assert!(proxy.stop().await.success());
}

/// A caller may send 64 MiB in one block, an upstream takes 4 MiB: the block is taken apart.
#[tokio::test]
async fn a_request_larger_than_an_upstream_takes_goes_in_several() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{scope: off}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    for export in [
        Export::Logs(made::logs(0, 60_000)),
        // One metric of as many points.
        Export::Metrics(made::metrics(0, 130_000)),
        Export::Traces(made::request(made::trace(1, 15_000))),
    ] {
        let (signal, body) = (export.signal(), export.encode());
        assert!(body.len() > 4 * MIB, "{} bytes of {}", body.len(), signal.name());
        proxy.client().grpc(signal, body).await.assert_taken();
        let came = upstream.await_items(signal, export.count()).await;
        let largest = came.iter().map(|request| request.bytes.len()).max().unwrap();
        assert!(largest <= MIB + 64, "a batch of {largest} bytes of {}", signal.name());
        if signal != Signal::Metrics {
            assert_preserved(std::slice::from_ref(&export), &upstream.exports(signal));
        }
        came.iter().for_each(|request| assert_labelled(&request.export));
        let (ledger, count) = (proxy.await_settled(signal, "default").await, export.count() as u64);
        assert_eq!((ledger.received, ledger.delivered), (count, count), "{}", signal.name());
    }
    assert!(proxy.stop().await.success());
}
