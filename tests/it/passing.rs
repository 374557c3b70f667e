//! What is not joined: labelled, batched, and otherwise passed on bit for bit; bad items refused alone.

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use spandrel::wire::Signal;

use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_labelled, assert_preserved};
use crate::harness::{Proxy, Upstream, made};

/// Written into a name, then made bytes that are no text.
const BAD: &str = "BAD-NAME";

async fn started(scope: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let config =
        format!("upstream: {}\njoin: {{scope: {scope}, idle: 300ms}}\n{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    (upstream, proxy)
}

/// A span with what decoders drop: an unknown field, and a known one in a longer form than need be.
fn odd_span(span: &Span) -> Vec<u8> {
    let mut bytes = span.encode_to_vec();
    encode_key(1900, WireType::LengthDelimited, &mut bytes);
    encode_varint(3, &mut bytes);
    bytes.extend(b"new");
    // kind = 2, in two bytes.
    bytes.extend([0x30, 0x82, 0x00]);
    bytes
}

/// One request of one block of spans that are bytes.
fn request_of(spans: &[Vec<u8>]) -> Vec<u8> {
    let field = |tag: u32, inner: &[u8], out: &mut Vec<u8>| {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(inner.len() as u64, out);
        out.extend_from_slice(inner);
    };
    let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
    spans.iter().for_each(|span| field(2, span, &mut scope));
    field(2, &scope, &mut resource);
    field(1, &resource, &mut request);
    request
}

#[tokio::test]
async fn spans_pass_bit_for_bit_joined_or_not() {
    for scope in ["off", "trace", "local"] {
        let (upstream, proxy) = started(scope).await;
        let spans: Vec<Vec<u8>> = made::trace(1, 5).iter().map(odd_span).collect();
        proxy.client().grpc(Signal::Traces, request_of(&spans)).await.assert_taken();
        let came = upstream.await_spans(5).await;
        for span in &spans {
            let is_there = came.iter().any(|request| request.bytes.windows(span.len()).any(|at| at == span));
            assert!(is_there, "with scope {scope:?} a span was rewritten");
        }
        came.iter().for_each(|request| assert_labelled(&request.export));
    }
}

/// Without the join nothing is held for its trace: what comes goes, parts of traces as they are.
#[tokio::test]
async fn without_the_join_spans_go_as_they_come() {
    let (upstream, proxy) = started("off").await;
    let sent: Vec<Export> =
        made::trace(1, 20).into_iter().map(|span| Export::Traces(made::request(vec![span]))).collect();
    // Twice each: a duplicate is the backend's affair here.
    for export in sent.iter().chain(&sent) {
        proxy.http_client().http(Signal::Traces, export.encode()).await.assert_taken();
    }
    upstream.await_spans(40).await;
    let twice: Vec<Export> = sent.iter().chain(&sent).cloned().collect();
    assert_preserved(&twice, &upstream.exports(Signal::Traces));
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert_eq!((ledger.received, ledger.delivered), (40, 40));
    let left = proxy.metrics().await.sum("spandrel_join_left_traces_total", &[]);
    assert_eq!(left, 0);
    assert!(proxy.stop().await.success());
}

/// One of three items has a name that is no text: it is refused with a reason, its neighbours go on.
#[tokio::test]
async fn a_bad_item_of_any_signal_is_refused_alone() {
    let (upstream, proxy) = started("off").await;
    for (signal, bad_items, good) in [
        (Signal::Traces, 1, Export::Traces(made::request(made::trace(1, 2)))),
        (Signal::Logs, 1, Export::Logs(made::logs(1, 2))),
        (Signal::Metrics, 3, Export::Metrics(made::metrics(1, 2))),
    ] {
        let body = spoilt(with_one_more(&good));
        let replies =
            [proxy.client().grpc(signal, body.clone()).await, proxy.http_client().http(signal, body).await];
        for reply in replies {
            let (rejected, why) = reply.rejected();
            assert_eq!(rejected, bad_items, "{}: {why:?}", signal.name());
            assert!(why.contains("UTF-8"), "{} does not say why: {why:?}", signal.name());
        }
        upstream.await_items(signal, 4).await;
        assert_preserved(&[good.clone(), good], &upstream.exports(signal));
        let ledger = proxy.await_settled(signal, "default").await;
        let refused = 2 * bad_items as u64;
        assert_eq!((ledger.received, ledger.refused, ledger.delivered), (4 + refused, refused, 4));
    }
}

/// The same request with one item more, in the middle, by the name that will be spoilt.
fn with_one_more(good: &Export) -> Export {
    let mut export = good.clone();
    match &mut export {
        Export::Traces(it) => {
            let spans = &mut it.resource_spans[0].scope_spans[0].spans;
            let bad = Span { name: BAD.into(), span_id: vec![9; 8], ..spans[1].clone() };
            spans.insert(1, bad);
        }
        Export::Logs(it) => {
            let records = &mut it.resource_logs[0].scope_logs[0].log_records;
            let mut bad = records[1].clone();
            bad.severity_text = BAD.into();
            records.insert(1, bad);
        }
        Export::Metrics(it) => {
            let mut more = made::metrics(50, 3);
            let mut bad = more.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0);
            bad.name = BAD.into();
            it.resource_metrics[0].scope_metrics[0].metrics.insert(0, bad);
        }
        Export::Profiles(_) => unreachable!("profiles are not looked into"),
    }
    export
}

fn spoilt(export: Export) -> Vec<u8> {
    let mut body = export.encode();
    let at = body.windows(BAD.len()).position(|at| at == BAD.as_bytes()).expect("just written");
    body[at] = 0xff;
    body
}
