//! Upstreams that refuse a batch for one trace in it, or for its size: only what is bad is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::server::{Answer, Seen, Server, grpc, grpc_ok, http};
use super::{Exporter, Protocol, Settings, settings};

/// Spans of the traces `from..to`, two each under two services, as joined traces share their blocks.
pub fn batch(from: u32, to: u32) -> Vec<u8> {
    let span = |service: u32, trace: u32| Span {
        trace_id: [vec![1; 12], trace.to_be_bytes().to_vec()].concat(),
        span_id: [vec![1; 4], (service + 1).to_be_bytes().to_vec()].concat(),
        name: "x".repeat(100),
        ..Default::default()
    };
    let block = |service| ResourceSpans {
        schema_url: format!("service {service}"),
        scope_spans: vec![ScopeSpans {
            spans: (from..to).map(|trace| span(service, trace)).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    Request { resource_spans: vec![block(0), block(1)] }.encode_to_vec()
}

/// Service and trace of every span in a request.
pub fn spans(seen: &Seen) -> Vec<(String, u32)> {
    let is_grpc = seen.headers["content-type"] == "application/grpc";
    let body = if is_grpc { seen.message().1 } else { seen.body.clone() };
    let mut all = Vec::new();
    for block in Request::decode(body).unwrap().resource_spans {
        for span in block.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push((block.schema_url.clone(), u32::from_be_bytes(span.trace_id[12..].try_into().unwrap())));
        }
    }
    all
}

/// An answer in the request's own protocol.
fn say(seen: &Seen, code: &str, status: u16, words: &'static str) -> Answer {
    match seen.headers["content-type"] == "application/grpc" {
        true => grpc(None, &[("grpc-status", code), ("grpc-message", words)]),
        false => http(status, &[], words),
    }
}

fn ok(seen: &Seen) -> Answer {
    if seen.headers["content-type"] == "application/grpc" { grpc_ok() } else { http(200, &[], "") }
}

fn both(port: u16) -> [Settings; 2] {
    let one = Settings { parallel: 1, ..settings(port) };
    [one.clone(), Settings { protocol: Protocol::HttpProtobuf, ..one }]
}

/// Takes requests that `refuse` says nothing of; what it took is kept.
async fn upstream(
    refuse: impl Fn(&Seen) -> Option<Answer> + Send + 'static,
) -> (Server, Arc<Mutex<Vec<(String, u32)>>>) {
    let taken: Arc<Mutex<Vec<_>>> = Arc::default();
    let keep = taken.clone();
    let server = Server::start(move |_, seen| {
        refuse(seen).unwrap_or_else(|| {
            keep.lock().unwrap().extend(spans(seen));
            ok(seen)
        })
    });
    (server.await, taken)
}

fn divided(exporter: &Exporter) -> [u64; 2] {
    let meters = exporter.meters.clone();
    ["invalid", "too_large"].map(|why| meters.divided.with_label_values(&["traces", "test", why]).get())
}

#[tokio::test]
async fn f17_only_the_bad_part_of_a_bad_trace_is_refused() {
    let bad = ("service 1".to_owned(), 600);
    for over in 0..2 {
        let bad = bad.clone();
        let wanted = bad.clone();
        let (server, taken) =
            upstream(move |seen| spans(seen).contains(&bad).then(|| say(seen, "3", 400, "a bad span"))).await;
        let mut exporter = Exporter::start(both(server.port)[over].clone());
        // One more item than spans: a duplicate that settles with the batch.
        exporter.offer(&batch(0, 1000), 2001);
        let meters = exporter.meters.clone();
        assert_eq!(exporter.finish().await, "delivered=2000 refused.invalid=1");
        assert_eq!(meters.divided.with_label_values(&["traces", "test", "invalid"]).get(), 1);
        let calls = server.seen().len();
        assert!(calls <= 23, "{calls} calls");
        let mut taken = taken.lock().unwrap().clone();
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 1999, "everything else, once");
        assert!(!taken.contains(&wanted));
    }
}

#[tokio::test]
async fn f17_several_bad_traces_do_not_take_their_neighbours_along() {
    let is_bad = |trace: u32| trace % 333 == 7;
    let (server, taken) = upstream(move |seen| {
        spans(seen).iter().any(|(_, trace)| is_bad(*trace)).then(|| say(seen, "3", 400, "bad"))
    })
    .await;
    let mut exporter = Exporter::start(both(server.port)[0].clone());
    exporter.offer(&batch(0, 999), 1998);
    assert_eq!(exporter.finish().await, "delivered=1992 refused.invalid=6");
    assert!(server.seen().len() <= 65);
    assert!(taken.lock().unwrap().iter().all(|(_, trace)| !is_bad(*trace)));
}

#[tokio::test]
async fn f17_an_upstream_that_refuses_everything_is_not_called_more_for_it() {
    for over in 0..2 {
        let (server, _) = upstream(|seen| Some(say(seen, "3", 400, "no"))).await;
        let mut exporter = Exporter::start(both(server.port)[over].clone());
        (0..20).for_each(|_| exporter.offer(&batch(0, 100), 200));
        assert_eq!(exporter.finish().await, "refused.invalid=4000");
        assert_eq!(server.seen().len(), 7 + 19, "six more for the first batch, none for the others");
    }
}

#[tokio::test]
async fn f17_other_refusals_are_not_divided() {
    for code in ["2", "5", "6", "7", "9", "12", "13", "16"] {
        let (server, _) = upstream(move |seen| Some(say(seen, code, 500, "no"))).await;
        let mut exporter = Exporter::start(both(server.port)[0].clone());
        exporter.offer(&batch(0, 100), 200);
        assert!(exporter.finish().await.starts_with("refused."));
        assert_eq!(server.seen().len(), 1, "grpc-status {code}");
    }
}

#[tokio::test]
async fn f18_a_size_refusal_is_divided_and_the_next_batches_are_smaller() {
    const LIMIT: usize = 40_000;
    // What gRPC libraries say: Go's, tonic's, Java's; and HTTP.
    let refusals = [
        ("8", "grpc: received message larger than max (9 vs. 4)"),
        ("11", "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes"),
        ("8", "gRPC message exceeds maximum size 4: 9"),
        ("8", "no words we know"),
        ("", ""),
    ];
    for (code, words) in refusals {
        let (server, taken) =
            upstream(move |seen| (seen.body.len() > LIMIT).then(|| say(seen, code, 413, words))).await;
        let over = usize::from(code.is_empty());
        let mut exporter = Exporter::start(both(server.port)[over].clone());
        exporter.offer(&batch(0, 1000), 2000);
        while taken.lock().unwrap().len() < 2000 {
            tokio::task::yield_now().await;
        }
        let refused = |server: &Server| server.seen().iter().filter(|seen| seen.body.len() > LIMIT).count();
        let learning = refused(&server);
        assert!((1..=4).contains(&learning), "{learning} refusals before it was learnt");
        assert_eq!(divided(&exporter), [0, 1]);
        exporter.offer(&batch(1000, 2000), 2000);
        assert_eq!(exporter.finish().await, "delivered=4000", "{words}");
        assert_eq!(refused(&server), learning, "the second batch was made smaller before it was sent");
        let mut all = taken.lock().unwrap().clone();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4000);
        for seen in server.seen().iter().filter(|seen| seen.body.len() <= LIMIT) {
            let spans = spans(seen);
            assert!(spans.iter().all(|(_, trace)| spans.iter().filter(|(_, t)| t == trace).count() == 2));
        }
    }
}

#[tokio::test]
async fn f18_a_400_for_a_size_is_learnt_from_too() {
    let (server, _) =
        upstream(|seen| (seen.body.len() > 150_000).then(|| say(seen, "3", 400, "too much"))).await;
    let mut exporter = Exporter::start(both(server.port)[1].clone());
    (0..5).for_each(|n| exporter.offer(&batch(n * 1000, n * 1000 + 1000), 2000));
    assert_eq!(exporter.finish().await, "delivered=10000");
    let refused = server.seen().iter().filter(|seen| seen.body.len() > 150_000).count();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn f18_a_trace_larger_than_the_limit_goes_in_pieces_and_an_item_that_is_too_large_alone_is_refused() {
    let spans: Vec<Span> = (1..=50u64)
        .map(|n| Span {
            trace_id: vec![1; 16],
            span_id: n.to_be_bytes().to_vec(),
            name: "x".repeat(if n == 25 { 50_000 } else { 1000 }),
            ..Default::default()
        })
        .collect();
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let request = Request { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
    let (server, taken) = upstream(|seen| (seen.body.len() > 10_000).then(|| say(seen, "", 413, ""))).await;
    let mut exporter = Exporter::start(both(server.port)[1].clone());
    exporter.offer(&request.encode_to_vec(), 50);
    assert_eq!(exporter.finish().await, "delivered=49 refused.too_large=1");
    assert_eq!(taken.lock().unwrap().len(), 49);
}

#[tokio::test]
async fn c01_a_batch_over_the_configured_limit_goes_in_parts_and_none_is_over_it() {
    let (server, taken) = upstream(|_| None).await;
    let mut exporter = Exporter::start(Settings { request_max: 20_000, ..both(server.port)[1].clone() });
    exporter.offer(&batch(0, 1000), 2000);
    assert_eq!(exporter.finish().await, "delivered=2000");
    assert_eq!(taken.lock().unwrap().len(), 2000);
    assert!(server.seen().iter().all(|seen| seen.body.len() <= 20_000));
}

#[tokio::test]
async fn gc2_a_quota_is_not_hammered_with_parts() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let (server, _) = upstream(move |seen| {
        (count.fetch_add(1, Ordering::SeqCst) % 2 == 1).then(|| say(seen, "8", 429, "quota exceeded"))
    })
    .await;
    let mut exporter = Exporter::start(both(server.port)[0].clone());
    (0..10).for_each(|_| exporter.offer(&batch(0, 100), 200));
    assert_eq!(exporter.finish().await, "delivered=1000 refused.exhausted=1000");
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn f17_parts_are_tried_again_like_any_request_and_end_with_the_batchs_time() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let (server, _) = upstream(move |seen| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        let bad = spans(seen).iter().any(|(_, trace)| *trace == 3);
        match call % 3 {
            0 if call > 0 => Some(Answer::Cut),
            1 => Some(say(seen, "14", 503, "later")),
            _ => bad.then(|| say(seen, "3", 400, "bad")),
        }
    })
    .await;
    let mut exporter = Exporter::start(both(server.port)[1].clone());
    exporter.offer(&batch(0, 64), 128);
    assert_eq!(exporter.finish().await, "delivered=126 refused.invalid=2");

    let (server, _) = upstream(|seen| {
        let spans = spans(seen);
        Some(if spans.len() == 128 { say(seen, "3", 400, "bad") } else { say(seen, "14", 503, "later") })
    })
    .await;
    let mut settings = both(server.port)[1].clone();
    settings.retry.give_up = std::time::Duration::from_millis(300);
    let mut exporter = Exporter::start(settings);
    exporter.offer(&batch(0, 64), 128);
    assert_eq!(exporter.finish().await, "lost.gave_up=128");
}
