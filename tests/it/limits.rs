//! What real callers get wrong and real backends suffer: too much at once, one bad span among good
//! ones, a body without a type, a backend that is gone.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use spandrel::wire::Signal;
use tokio::sync::watch;
use tonic::Code;

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_labelled, assert_preserved};
use crate::harness::{Client, Proxy, Reply, Upstream, made};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn twenty_thousand_spans_in_one_request_are_all_delivered() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let sent = Export::Traces(made::request((0..200).flat_map(|number| made::trace(number, 100)).collect()));
    proxy.client().grpc(Signal::Traces, sent.encode()).await.assert_taken();
    upstream.await_spans(20_000).await;
    let came = upstream.exports(Signal::Traces);
    assert_preserved(&[sent], &came);
    came.iter().for_each(assert_labelled);
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (20_000, 20_000));
}

#[tokio::test]
async fn a_link_with_a_short_trace_id_is_refused_alone() {
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    let mut neighbours = Vec::new();
    for number in 0..2 {
        let good = made::trace(number, 3);
        let mut spans = good.clone();
        spans[1].links = vec![Link { trace_id: vec![7; 8], span_id: vec![7; 8], ..Link::default() }];
        let body = made::request(spans).encode_to_vec();
        let reply = match number {
            0 => proxy.client().grpc(Signal::Traces, body).await,
            _ => proxy.http_client().http(Signal::Traces, body).await,
        };
        let (rejected, why) = reply.rejected();
        assert_eq!(rejected, 1);
        assert!(why.contains("trace_id") || why.contains("trace id"), "it does not say why: {why:?}");
        neighbours.push(Export::Traces(made::request(vec![good[0].clone(), good[2].clone()])));
    }
    upstream.await_spans(4).await;
    assert_preserved(&neighbours, &upstream.exports(Signal::Traces));
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.refused, ledger.lost), (6, 2, 0));
}

#[tokio::test]
async fn a_body_without_a_type_is_answered_with_a_status_that_says_so() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let reply = proxy.http_client().post("/v1/logs", &[], Bytes::from_static(b"{}")).await;
    assert_eq!(reply.status, 415);
    let error = reply.error.expect("a google.rpc.Status");
    assert!(error.message.to_lowercase().contains("content-type"), "{:?}", error.message);
}

/// 60 MB that inflate to as many spans as can be said in them: walked once, refused one and all,
/// with a bounded message and without a list of faults.
#[tokio::test]
async fn f38_thirty_million_empty_spans_are_refused_in_bounded_time_and_memory() {
    const COUNT: usize = 30_000_000;
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\nmemory: 256MiB\n{LABELS}", upstream.endpoint())).await;
    let body = empty_spans(COUNT);
    assert!(body.len() < 64 * MIB);
    let sending = proxy.http_client().http(Signal::Traces, body.clone()).await;
    let (rejected, why) = sending.rejected();
    assert_eq!(rejected, COUNT as i64);
    assert!(!why.is_empty() && why.len() < 4096, "{} bytes of message", why.len());
    let reply = proxy.client().grpc(Signal::Traces, body).await;
    assert_eq!(reply.rejected().0, COUNT as i64);

    let peak = proxy.resident_max();
    assert!(peak < 256 * MIB, "{} MiB resident", peak / MIB);
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.refused), (2 * COUNT as u64, 2 * COUNT as u64));
    assert!(upstream.requests().is_empty(), "{}", upstream.summary());
}

/// One resource block with one scope block of this many spans of no bytes.
fn empty_spans(count: usize) -> Bytes {
    let spans = [0x12, 0x00].repeat(count);
    let wrap = |tag: u32, inner: &[u8]| {
        let mut outer = Vec::with_capacity(inner.len() + 16);
        encode_key(tag, WireType::LengthDelimited, &mut outer);
        encode_varint(inner.len() as u64, &mut outer);
        outer.extend_from_slice(inner);
        outer
    };
    wrap(1, &wrap(2, &spans)).into()
}

/// Ten seconds without a backend, callers pushing all the while: the budget fills, callers are told
/// to come again, and what was taken arrives when the backend is back.
#[tokio::test]
async fn a_backend_that_is_down_under_load_loses_nothing_that_was_taken() {
    const BUDGET: usize = 16 * MIB;
    let mut upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 500ms}}\nmemory: 16MiB\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    proxy
        .client()
        .grpc(Signal::Traces, made::request(made::trace(0, 1)).encode_to_vec())
        .await
        .assert_taken();
    upstream.await_spans(1).await;
    let idle = proxy.resident_max();

    upstream.go_down().await;
    let over = watch::Sender::new(false);
    let pushing = [
        tokio::spawn(push(proxy.client(), over.subscribe(), 1_000_000, true)),
        tokio::spawn(push(proxy.http_client(), over.subscribe(), 2_000_000, false)),
    ];
    tokio::time::sleep(Duration::from_secs(10)).await;
    over.send_replace(true);
    let mut taken = 1;
    for pushed in pushing {
        let pushed = pushed.await.expect("it panicked; see above");
        assert!(pushed.taken > 0 && pushed.refused > 0, "{pushed:?}");
        taken += pushed.taken;
    }
    let grown = proxy.resident_max().saturating_sub(idle);
    assert!(grown < 3 * BUDGET, "{} MiB more resident than idle", grown / MIB);

    upstream.go_up().await;
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    upstream.await_spans(taken as usize).await;
    let came: usize = upstream.exports(Signal::Traces).iter().map(Export::count).sum();
    assert_eq!((ledger.delivered, ledger.lost, came as u64), (taken, 0, taken), "{ledger:?}");
}

/// Spans that were taken, and spans whose caller was told to come again.
#[derive(Debug, Default)]
pub struct Pushed {
    pub taken: u64,
    pub refused: u64,
}

/// Sends traces of 100 spans, one request after the other, until it is over.
pub async fn push(client: Client, over: watch::Receiver<bool>, first: u64, grpc: bool) -> Pushed {
    let mut pushed = Pushed::default();
    for number in first.. {
        if *over.borrow() {
            break;
        }
        let body = made::request(made::trace(number, 100)).encode_to_vec();
        let reply = match grpc {
            true => client.grpc(Signal::Traces, body).await,
            false => client.http(Signal::Traces, body).await,
        };
        match reply.code {
            Code::Ok => {
                reply.assert_taken();
                pushed.taken += 100;
            }
            _ => {
                assert_told_to_come_again(&reply, grpc);
                pushed.refused += 100;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    pushed
}

fn assert_told_to_come_again(reply: &Reply, grpc: bool) {
    if grpc {
        assert_eq!(reply.code, Code::Unavailable, "{reply:?}");
        let after = reply.error.as_ref().and_then(|error| error.retry_after());
        assert!(after.is_some_and(|after| !after.is_zero()), "no RetryInfo in {reply:?}");
    } else {
        assert_eq!(reply.status, 503, "{reply:?}");
        let after =
            reply.headers.get("retry-after").and_then(|after| after.to_str().ok()?.parse::<u32>().ok());
        assert!(after.is_some_and(|after| after > 0), "no Retry-After in {reply:?}");
    }
}
