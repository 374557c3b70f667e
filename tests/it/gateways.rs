//! A sidecar beside each of three services and several gateways behind one name: every trace whole at one of
//! them, while gateways come and go.
//!
//! The name is one of `/etc/hosts`, which each program sees as the test wants it: a mount of its own, for which
//! the system must let us have a mount namespace (root always may).

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spandrel::model::Clock;
use spandrel::wire::Signal;

use crate::harness::proxy::mounted;
use crate::harness::read::attribute;
use crate::harness::{Client, Proxy, Start, Upstream, made};

const NAME: &str = "gateways.test";
/// Spans of a trace in each service.
const EACH: usize = 2;
/// Traces in a request.
const TOGETHER: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a mount namespace"]
async fn twenty_thousand_traces_are_whole_and_gateways_come_and_go() {
    let upstream = Upstream::start().await;
    let name = Name::new();
    let mut gateways = Vec::new();
    for number in 1..=3 {
        gateways.push(gateway(&upstream, name.address(number)).await);
    }
    name.stands_for(&[1, 2, 3]);
    let sidecars = [sidecar(&name).await, sidecar(&name).await, sidecar(&name).await];
    for sidecar in &sidecars {
        sidecar
            .await_metrics("three gateways", |m| m.sum("spandrel_gateway_addresses", &[("state", "up")]) == 3)
            .await;
    }

    let steady = 20_000;
    send(&sidecars, 0, steady, Duration::ZERO).await;
    let seen = Seen::of(&upstream, steady).await;
    assert_eq!(seen.split(), 0, "every trace comes in one request");
    assert_eq!(seen.traces.len() as u64, steady);
    for gateway in &gateways {
        assert!(gateway.metrics().await.sum("spandrel_join_left_traces_total", &[]) > steady / 4);
    }
    upstream.forget();

    // Half a minute of load. One gateway comes after six to eleven seconds, another goes ten later.
    let changing = 15_000;
    let pause = Duration::from_secs(30) / (changing / TOGETHER) as u32;
    let load = send(&sidecars, steady, changing, pause);
    let changes = async {
        gateways.push(gateway(&upstream, name.address(4)).await);
        tokio::time::sleep(Duration::from_secs(5)).await;
        between_lookups().await;
        name.stands_for(&[1, 2, 3, 4]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let first = gateways.remove(0);
        between_lookups().await;
        name.stands_for(&[2, 3, 4]);
        first.stop().await;
    };
    tokio::join!(load, changes);
    let seen = Seen::of(&upstream, changing).await;
    assert_eq!(seen.traces.len() as u64, changing, "every span arrives");
    assert!(seen.split() as u64 <= changing / 100, "{} of {changing} traces are split", seen.split());
    let mut told = 0;
    for sidecar in &sidecars {
        let ledger = sidecar.await_settled(Signal::Traces, "default").await;
        assert_eq!((ledger.refused, ledger.lost), (0, 0), "{}", sidecar.stderr());
        told += sidecar.metrics().await.sum("spandrel_gateway_split_traces_total", &[]);
    }
    assert!(told <= changing / 100, "{told} splits are told");
    let fourth = gateways.last().expect("the new one").metrics().await;
    assert!(fourth.sum("spandrel_join_left_traces_total", &[]) > changing / 12, "the new one has its share");
}

/// A name that does not resolve keeps nobody from starting, and is told where somebody looks.
#[tokio::test]
#[ignore = "needs a mount namespace"]
async fn without_a_gateway_it_runs_keeps_what_comes_and_says_why() {
    let upstream = Upstream::start().await;
    let name = Name::new();
    let sidecar = sidecar(&name).await;
    sidecar.client().grpc(Signal::Traces, part(0, 0..TOGETHER)).await.assert_taken();
    sidecar.await_stderr("why", |line| line.contains("no gateway is known") && line.contains(NAME)).await;
    let ready = Client::to(sidecar.admin()).get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("upstream `default` reaches no gateway"), "{}", ready.text());
    let failed = [("outcome", "failed")];
    assert!(sidecar.metrics().await.sum("spandrel_gateway_lookups_total", &failed) > 0);
    let _gateway = gateway(&upstream, name.address(1)).await;
    name.stands_for(&[1]);
    upstream.await_spans(TOGETHER as usize * EACH).await;
    assert!(!Client::to(sidecar.admin()).get("/readyz").await.text().contains("no gateway"));
}

/// A name that stands for some addresses of loopback, all on one port.
struct Name {
    hosts: tempfile::NamedTempFile,
    port: u16,
}

impl Name {
    fn new() -> Self {
        let port = loop {
            let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = first.local_addr().expect("it is bound").port();
            let free =
                (2..=4).all(|last| TcpListener::bind(SocketAddr::from(([127, 0, 0, last], port))).is_ok());
            if free {
                break port;
            }
        };
        Self { hosts: tempfile::NamedTempFile::new().expect("a temporary file"), port }
    }

    fn address(&self, number: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, number], self.port))
    }

    /// Written in place: a mount is of the file, not of its name.
    fn stands_for(&self, numbers: &[u8]) {
        let line = |number: &u8| format!("127.0.0.{number} {NAME}\n");
        let lines: String = numbers.iter().map(line).collect();
        std::fs::write(self.hosts.path(), format!("127.0.0.1 localhost\n{lines}")).expect("it is ours");
    }
}

async fn gateway(upstream: &Upstream, at: SocketAddr) -> Proxy {
    let config = format!(
        "receive: {{grpc: '{at}', http: '{}:0'}}\nadmin: '127.0.0.1:0'\nupstream: {}\n",
        at.ip(),
        upstream.endpoint()
    );
    Proxy::with(config).await
}

async fn sidecar(name: &Name) -> Proxy {
    let config = format!("upstream: {{gateway: 'dns:{NAME}:{}'}}\njoin: {{scope: local}}\n", name.port);
    Proxy::start(Start {
        config,
        before: Some(mounted(&[(name.hosts.path(), "/etc/hosts")])),
        ..Start::default()
    })
    .await
}

/// Until a second after they next ask for the name: sidecars do so in the first half of a second of every five. What
/// changes in that time some see five seconds before the others.
async fn between_lookups() {
    const EVERY: Duration = Duration::from_secs(5);
    let now = u128::from(Clock::new().unix_nanos());
    let asked = Duration::from_nanos((now % EVERY.as_nanos()) as u64);
    tokio::time::sleep((EVERY + Duration::from_secs(1)).saturating_sub(asked)).await;
}

/// Sends traces through all three services, each part to its own sidecar, all parts at about the same time.
async fn send(sidecars: &[Proxy; 3], first: u64, count: u64, pause: Duration) {
    let clients: Vec<Client> = sidecars.iter().map(Proxy::client).collect();
    for from in (first..first + count).step_by(TOGETHER as usize) {
        let numbers = from..from + TOGETHER;
        let part = |service: usize| taken(&clients[service], part(service, numbers.clone()));
        tokio::join!(part(2), part(0), part(1));
        tokio::time::sleep(pause).await;
    }
}

/// Sends until it is taken: whoever is told to come later does.
async fn taken(client: &Client, body: Vec<u8>) {
    loop {
        let reply = client.grpc(Signal::Traces, body.clone()).await;
        if reply.code != tonic::Code::Unavailable {
            return reply.assert_taken();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What one service says of some traces: what called it, and what it calls with.
fn part(service: usize, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let now = Clock::new().unix_nanos();
    let span = |number: u64, nth: usize| {
        let index = service * EACH + nth;
        Span {
            trace_id: made::trace_id(number),
            span_id: made::span_id(number, index),
            parent_span_id: if index == 0 { Vec::new() } else { made::span_id(number, index - 1) },
            name: if nth == 0 { "handle".into() } else { "call".into() },
            kind: if nth == 0 { 2 } else { 3 },
            start_time_unix_nano: now - 1_000_000 + index as u64,
            end_time_unix_nano: now,
            ..Span::default()
        }
    };
    let spans = numbers.flat_map(|number| (0..EACH).map(move |nth| span(number, nth))).collect();
    let resource = Resource {
        attributes: vec![attribute("service.name", ["a", "b", "c"][service])],
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let block = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![block] }.encode_to_vec()
}

/// What came, by trace.
struct Seen {
    traces: HashMap<Vec<u8>, Came>,
}

/// The spans of a trace, and the requests they came in.
#[derive(Default)]
struct Came {
    spans: HashSet<Vec<u8>>,
    requests: HashSet<usize>,
}

impl Seen {
    /// Waits until all spans of so many traces have come.
    async fn of(upstream: &Upstream, traces: u64) -> Self {
        let wanted = traces as usize * 3 * EACH;
        upstream.await_items(Signal::Traces, wanted).await;
        let mut seen = Self { traces: HashMap::new() };
        for (request, received) in upstream.accepted().iter().enumerate() {
            for span in received.export.spans() {
                let came = seen.traces.entry(span.trace_id).or_default();
                came.spans.insert(span.span_id);
                came.requests.insert(request);
            }
        }
        assert!(seen.traces.values().all(|came| came.spans.len() == 3 * EACH), "a span is missing");
        seen
    }

    fn split(&self) -> usize {
        self.traces.values().filter(|came| came.requests.len() > 1).count()
    }
}
