//! A load: a shop of three services that call each other, each exporting on its own timer.
//!
//! Every trace has ten spans under names as real services have them. Two kinds of request always make the
//! same calls. The third makes one only sometimes, and nothing in the caller's own spans says whether.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind::{self, Client, Internal, Server};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rand::seq::SliceRandom;
use spandrel::wire::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::harness::Proxy;
use crate::harness::made::{span_id, trace_id};
use crate::harness::read::attribute;

/// Spans of every trace.
pub const SPANS: usize = 10;

/// Names, scopes and export timers of the three services.
const SERVICES: [(&str, &str, u64); 3] = [
    ("shop-gateway", "opentelemetry.instrumentation.fastapi", 90),
    ("orders", "io.opentelemetry.spring-webmvc-6.0", 150),
    ("agent-worker", "agent_worker.tracing", 40),
];
/// A network's part in the order of arrival, and what a pause adds to one export in thirty.
const WAY_MS_MAX: u64 = 20;
const PAUSE_MS_MAX: u64 = 200;

/// A span in a trace's plan: its service, its parent's place in the plan, name and kind. The first is the root.
type Planned = (usize, usize, &'static str, SpanKind);

const CHECKOUT: [Planned; SPANS] = [
    (0, 0, "POST /checkout", Server),
    (0, 0, "authorize", Internal),
    (0, 0, "POST", Client),
    (1, 2, "POST /orders/{id}", Server),
    (1, 3, "OrderService.place", Internal),
    (1, 4, "INSERT shop.orders", Client),
    (1, 4, "POST", Client),
    (2, 6, "POST /assess", Server),
    (2, 7, "chat gpt-4o", Client),
    (2, 7, "score", Internal),
];

const CART: [Planned; SPANS] = [
    (0, 0, "GET /cart", Server),
    (0, 0, "session", Internal),
    (0, 0, "GET", Client),
    (1, 2, "GET /carts/{id}", Server),
    (1, 3, "CartService.load", Internal),
    (1, 4, "SELECT shop.carts", Client),
    (1, 4, "SELECT shop.items", Client),
    (0, 0, "GET recommendations", Client),
    (2, 7, "GET /recommend", Server),
    (2, 8, "embeddings", Client),
];

/// A refund is reviewed by the agent, or not: a message, of which the sender has no span of its own.
const REFUND_REVIEWED: [Planned; SPANS] = [
    (0, 0, "POST /refund", Server),
    (0, 0, "authorize", Internal),
    (0, 0, "validate", Internal),
    (0, 0, "POST refunds", Client),
    (1, 3, "POST /refunds", Server),
    (1, 4, "RefundService.open", Internal),
    (1, 5, "INSERT shop.refunds", Client),
    (2, 5, "refunds process", SpanKind::Consumer),
    (2, 7, "chat gpt-4o", Client),
    (2, 7, "score", Internal),
];
const REFUND: [Planned; SPANS] = [
    (0, 0, "POST /refund", Server),
    (0, 0, "authorize", Internal),
    (0, 0, "validate", Internal),
    (0, 0, "POST refunds", Client),
    (1, 3, "POST /refunds", Server),
    (1, 4, "RefundService.open", Internal),
    (1, 5, "INSERT shop.refunds", Client),
    (1, 5, "UPDATE shop.ledger", Client),
    (1, 4, "render", Internal),
    (0, 0, "render", Internal),
];

/// One trace in five is a refund, and one refund in four is reviewed.
fn plan(number: u64) -> &'static [Planned; SPANS] {
    match number % 20 {
        4 => &REFUND_REVIEWED,
        9 | 14 | 19 => &REFUND,
        even if even % 2 == 0 => &CART,
        _ => &CHECKOUT,
    }
}

/// The spans of one trace, each with its service, in the order they end: children first.
pub fn trace(number: u64) -> impl Iterator<Item = (usize, Span)> {
    let plan = plan(number);
    plan.iter().enumerate().rev().map(move |(place, &(service, parent, name, kind))| {
        let at = 1_800_000_000_000_000_000 + number * 1_000_000;
        let span = Span {
            trace_id: trace_id(number),
            span_id: span_id(number, place),
            parent_span_id: if place == 0 { Vec::new() } else { span_id(number, parent) },
            name: name.into(),
            kind: kind as i32,
            start_time_unix_nano: at + place as u64 * 1000,
            end_time_unix_nano: at + 900_000 - place as u64 * 1000,
            attributes: vec![
                attribute("server.address", "shop.internal.example"),
                attribute("url.path", "/orders/42"),
            ],
            flags: 0x101,
            ..Span::default()
        };
        (service, span)
    })
}

/// What a service exports: its spans of whatever traces, in no order.
pub fn request(service: usize, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let (name, scope, _) = SERVICES[service];
    let resource = Resource { attributes: vec![attribute("service.name", name)], ..Resource::default() };
    let scope = InstrumentationScope { name: scope.into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let block = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![block] }
}

/// Plays these traces, so many a second, and returns when the last export was answered.
pub async fn play(proxy: &Proxy, traces: std::ops::Range<u64>, a_second: u64) {
    let mut playing = JoinSet::new();
    let mut ended = Vec::new();
    for service in 0..SERVICES.len() {
        let (sender, spans) = mpsc::unbounded_channel();
        ended.push(sender);
        let client = if service == 1 { proxy.http_client() } else { proxy.client() };
        playing.spawn(export(service, spans, move |body| {
            let client = client.clone();
            async move {
                sleep(on_the_way()).await;
                match service {
                    1 => client.http(Signal::Traces, body).await.assert_taken(),
                    _ => client.grpc(Signal::Traces, body).await.assert_taken(),
                }
            }
        }));
    }
    let mut tick = interval(Duration::from_millis(5));
    // A test that was held up does not make up for it by a flood.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut numbers, mut due, mut last) = (traces, 0.0, Instant::now());
    'play: loop {
        let now = tick.tick().await;
        due += (now - last).as_secs_f64().min(0.05) * a_second as f64;
        last = now;
        while due >= 1.0 {
            due -= 1.0;
            let Some(number) = numbers.next() else { break 'play };
            trace(number).for_each(|(service, span)| ended[service].send(span).expect("it exports"));
        }
    }
    drop(ended);
    while let Some(exported) = playing.join_next().await {
        exported.expect("an export failed; see above");
    }
}

fn on_the_way() -> Duration {
    let most = if rand::random_ratio(1, 30) { PAUSE_MS_MAX } else { WAY_MS_MAX };
    Duration::from_millis(rand::random_range(0..=most))
}

/// Exports what has ended, on the service's own timer with some jitter, until no more will.
async fn export<F: Future<Output = ()> + Send + 'static>(
    service: usize,
    mut ended: mpsc::UnboundedReceiver<Span>,
    send: impl Fn(Vec<u8>) -> F,
) {
    let timer = SERVICES[service].2;
    let mut under_way = JoinSet::new();
    while !ended.is_closed() || !ended.is_empty() {
        sleep(Duration::from_millis(rand::random_range(timer * 4 / 5..=timer))).await;
        let mut spans: Vec<Span> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        if !spans.is_empty() {
            spans.shuffle(&mut rand::rng());
            under_way.spawn(send(request(service, spans).encode_to_vec()));
        }
    }
    while let Some(sent) = under_way.join_next().await {
        sent.expect("an export failed; see above");
    }
}
