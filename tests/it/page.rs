//! The admin port over a real socket: every page, the inspection API, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use spandrel::model::{Reason, Repairs};
use spandrel::page::admin::StatusInfo;
use spandrel::page::links::Links;
use spandrel::page::proto::inspection_client::InspectionClient;
use spandrel::page::proto::{StatusRequest, WatchRequest};
use spandrel::page::{Admin, Shows, Sources};
use spandrel::telemetry::Meters;
use spandrel::watch::{JoinedTrace, Watchers};
use spandrel::wire::TraceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// An admin port with nothing behind it but what a test puts there.
struct Page {
    address: SocketAddr,
    meters: Arc<Meters>,
    watchers: Arc<Watchers>,
    stuck: Arc<AtomicBool>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Page {
    async fn start() -> Self {
        let meters = Arc::new(Meters::new());
        let watchers = Watchers::new(meters.clone(), 1 << 20);
        let stuck = Arc::new(AtomicBool::new(false));
        let sources = sources(&meters, &watchers, &stuck);
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), Shows::All).await.unwrap();
        let (address, stop) = (admin.address(), CancellationToken::new());
        let serving = tokio::spawn(admin.serve(sources, stop.clone()));
        Self { address, meters, watchers, stuck, stop, serving }
    }

    async fn inspection(&self) -> InspectionClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        InspectionClient::new(endpoint.connect().await.unwrap())
    }

    /// Status and body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn sources(meters: &Arc<Meters>, watchers: &Arc<Watchers>, stuck: &Arc<AtomicBool>) -> Sources {
    let (stuck, refreshed) = (stuck.clone(), meters.clone());
    Sources {
        flush: Arc::new(|| {}),
        meters: meters.clone(),
        watchers: watchers.clone(),
        refresh: Arc::new(move || refreshed.memory_used.set(4711)),
        live: Arc::new(move || match stuck.load(Ordering::Relaxed) {
            false => Ok("a span got through 2 s ago".to_owned()),
            true => Err("nothing settled for 61 s while 3 requests wait".to_owned()),
        }),
        ready: Arc::new(|| Ok("listening".to_owned())),
        held: Arc::new(|most| serde_json::json!({ "most": most })),
        links: Links { url: Some("https://lf.example.com".to_owned()), project: Some("p1".to_owned()) },
        status: Arc::new(|| StatusInfo {
            uptime: Duration::from_millis(1500),
            listeners: vec!["127.0.0.1:4317".to_owned()],
            upstreams: vec![("default".to_owned(), "http://gateway:4317".to_owned())],
        }),
    }
}

/// The captured trace over three services, in one request.
fn captured() -> JoinedTrace {
    let body = [
        include_bytes!("../data/captures/xservice.http01.pb").as_slice(),
        include_bytes!("../data/captures/xservice.grpc01.pb"),
        include_bytes!("../data/captures/xservice.http02.pb"),
    ];
    JoinedTrace {
        trace: TraceId(0xe74af16a04dc117a5df19dbb56d10845_u128.to_be_bytes()),
        reason: Reason::Complete,
        held: Duration::from_millis(300),
        quiet: Duration::from_millis(50),
        left_unix_nano: 1_795_347_881_000_000_000,
        spans: 6,
        requests: 3,
        repairs: Repairs { labelled: 2, ..Repairs::default() },
        said: None,
        given: Box::default(),
        mended: 0,
        body: Bytes::from(body.concat()),
    }
}

const ID: &str = "e74af16a04dc117a5df19dbb56d10845";

#[tokio::test]
async fn metrics_are_fresh_when_they_are_read() {
    let page = Page::start().await;
    page.watchers.offer(captured());
    let (status, text) = page.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("\nspandrel_memory_used_bytes 4711\n"), "{text}");
    assert!(text.contains("\nspandrel_recent_traces 1\n"), "{text}");
}

#[tokio::test]
async fn health_says_what_was_seen_and_fails_when_nothing_gets_through() {
    let page = Page::start().await;
    assert_eq!(page.get("/livez").await, (200, "a span got through 2 s ago\n".to_owned()));
    assert_eq!(page.get("/readyz").await, (200, "listening\n".to_owned()));
    page.stuck.store(true, Ordering::Relaxed);
    let (status, seen) = page.get("/livez").await;
    assert_eq!((status, seen.as_str()), (503, "nothing settled for 61 s while 3 requests wait\n"));
    assert_eq!(page.get("/readyz").await.0, 200, "not ready is another question");
}

#[tokio::test]
async fn the_latest_traces_can_be_listed_and_one_read_whole() {
    let page = Page::start().await;
    assert_eq!(page.json("/traces").await, serde_json::json!([]));
    page.watchers.offer(captured());
    page.watchers.offer(JoinedTrace { reason: Reason::Late, ..captured() });
    let list = page.json("/traces").await;
    assert_eq!(list.as_array().unwrap().len(), 1, "a trace stands once, however often it left");
    assert_eq!((&list[0]["reason"], &list[0]["parts"]), (&"complete".into(), &2.into()));
    assert_eq!(list[0]["services"], serde_json::json!(["py-gateway", "orders-db", "agent-worker"]));
    assert!(list[0].get("spans").is_none() && list[0].get("observations").is_none());
    let whole = page.json(&format!("/traces/{}", ID.to_uppercase())).await;
    assert_eq!(whole["spans"].as_array().unwrap().len(), 6, "a copy is no span of its own");
    assert_eq!((&whole["span_count"], &whole["spans_left_out"]), (&6.into(), &0.into()));
    assert_eq!(whole["name"], "orders-query");
    let observation = &whole["observations"][0];
    assert_eq!((&observation["id"], &observation["type"]), (&whole["spans"][0]["span_id"], &"span".into()));
}

#[tokio::test]
async fn wrong_questions_get_answers_that_help() {
    let page = Page::start().await;
    assert!(page.get("/").await.1.contains("/tracez"));
    assert_eq!(page.get("/nothing").await.0, 404);
    for id in ["short", "+e74af16a04dc117a5df19dbb56d1084", &"é".repeat(16)] {
        let id: String = id.bytes().map(|b| format!("%{b:02x}")).collect();
        let (status, hint) = page.get(&format!("/traces/{id}")).await;
        assert!(status == 400 && hint.contains("a trace id is lower-case hex (0-9, a-f)"), "{hint}");
    }
    let (status, hint) = page.get(&format!("/traces/{ID}")).await;
    assert_eq!(status, 404);
    assert!(hint.starts_with("no such trace is kept"), "{hint}");
    assert_eq!(page.json("/tracez").await["most"], 100);
}

#[tokio::test]
async fn the_inspection_api_is_on_the_same_port() {
    let page = Page::start().await;
    page.meters.received_items.with_label_values(&["traces", "grpc"]).inc_by(5);
    page.meters.received_items.with_label_values(&["traces", "http"]).inc_by(2);
    page.meters.received_items.with_label_values(&["logs", "http"]).inc_by(9);
    page.meters.delivered_items.with_label_values(&["traces", "default"]).inc_by(4);
    page.meters.receiver_refused_items.with_label_values(&["traces", "utf8"]).inc_by(1);
    page.meters.upstream_refused_items.with_label_values(&["traces", "default", "invalid"]).inc_by(1);
    page.meters.lost_items.with_label_values(&["traces", "default", "gave_up"]).inc_by(1);
    page.meters.outbox_batches.with_label_values(&["default"]).set(3);

    let mut client = page.inspection().await;
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    let traces = &status.signals[0];
    assert_eq!(traces.signal, "traces");
    assert_eq!((traces.received, traces.delivered, traces.refused, traces.lost), (7, 4, 2, 1));
    assert_eq!(status.signals.iter().map(|s| s.received).sum::<u64>(), 16);
    assert_eq!((status.uptime_ms, status.memory_used_bytes), (1500, 4711));
    assert_eq!((status.upstreams[0].name.as_str(), status.upstreams[0].queued_batches), ("default", 3));

    let request = WatchRequest { with_otlp: true, ..WatchRequest::default() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    page.watchers.offer(captured());
    let trace = watch.message().await.unwrap().unwrap().trace.unwrap();
    assert_eq!(trace.otlp, captured().body, "bit for bit as it goes upstream");
    assert_eq!((trace.spans.len(), trace.processes.len()), (6, 3));
}

#[tokio::test]
async fn when_no_more_traces_come_a_watch_gets_what_was_queued_and_ends() {
    let page = Page::start().await;
    let mut client = page.inspection().await;
    let mut watch = client.watch(WatchRequest::default()).await.unwrap().into_inner();
    (0..3).for_each(|_| page.watchers.offer(captured()));
    page.watchers.close();
    for _ in 0..3 {
        assert!(watch.message().await.unwrap().is_some());
    }
    assert!(watch.message().await.unwrap().is_none(), "a clean end, not an error");
}

#[tokio::test]
async fn stopping_ends_watches_and_idle_connections_and_frees_the_port() {
    let page = Page::start().await;
    let mut client = page.inspection().await;
    let mut watch = client.watch(WatchRequest::default()).await.unwrap().into_inner();
    let mut idle = TcpStream::connect(page.address).await.unwrap();
    page.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), page.serving).await.unwrap().unwrap();
    assert!(!matches!(watch.message().await, Ok(Some(_))));
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(page.address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let page = Page::start().await;
    let error = Admin::bind(page.address, Shows::All).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("can't listen on {} for admin: ", page.address)), "{error}");
    assert!(error.contains("in use"), "{error}");
}
