//! The main job: Python calls Java calls Python, three processes that each export on their own
//! timer, and one whole, labelled trace in one request at the backend.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::known_set::LABELS;
use crate::harness::read::{ENVIRONMENT, RELEASE, text};
use crate::harness::sdk::{Program, Service};
use crate::harness::{Client, Proxy, Upstream, sdk};

/// Two spans a process: Python's SERVER and CLIENT, Java's SERVER and CLIENT, Python's SERVER and INTERNAL.
const SPANS: usize = 6;

#[tokio::test]
async fn at_one_instance() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let services = Services::start([proxy.grpc(), proxy.grpc(), proxy.http()]).await;
    services.call().await;
    assert_one_whole_trace(&upstream).await;
    services.stop().await;
}

#[tokio::test]
async fn with_a_sidecar_each_and_a_gateway() {
    let upstream = Upstream::start().await;
    let gateway = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let sidecar = format!("upstream: http://{}\njoin: {{scope: local}}\n{LABELS}", gateway.grpc());
    let sidecars = [(); 3].map(|()| Proxy::with(sidecar.clone()));
    let [front, middle, back] = sidecars;
    let (front, middle, back) = tokio::join!(front, middle, back);
    let services = Services::start([front.grpc(), middle.grpc(), back.http()]).await;
    services.call().await;
    assert_one_whole_trace(&upstream).await;
    services.stop().await;
}

/// The three services, front to back.
struct Services {
    front: Service,
    middle: Service,
    back: Service,
    address: SocketAddr,
}

impl Services {
    /// Each exports to its own address, on its own timer; the one nearest to the caller is the slowest.
    async fn start([front, middle, back]: [SocketAddr; 3]) -> Self {
        let mut program = sdk::python("service.py").await;
        let (back, address) = serve(&mut program, "agent", back, "http/protobuf", 300, None).await;
        let mut program = sdk::java_agent("Service").await;
        let (middle, address) = serve(&mut program, "orders", middle, "grpc", 100, Some(address)).await;
        let mut program = sdk::python("service.py").await;
        let (front, address) = serve(&mut program, "shop", front, "grpc", 900, Some(address)).await;
        Self { front, middle, back, address }
    }

    async fn call(&self) {
        assert_eq!(Client::to(self.address).get("/").await.text(), "python+java+python");
    }

    async fn stop(self) {
        tokio::join!(self.front.stop(), self.middle.stop(), self.back.stop());
    }
}

async fn serve(
    program: &mut Program,
    name: &str,
    exports_to: SocketAddr,
    protocol: &str,
    delay_ms: u32,
    downstream: Option<SocketAddr>,
) -> (Service, SocketAddr) {
    program.exporting(&format!("http://{exports_to}"), protocol);
    program.env("OTEL_SERVICE_NAME", name).env("OTEL_BSP_SCHEDULE_DELAY", &delay_ms.to_string());
    if let Some(downstream) = downstream {
        program.env("DOWNSTREAM", &format!("http://{downstream}/"));
    }
    let mut service = program.serve();
    let port: u16 = service.line().await.parse().expect("a port");
    (service, ([127, 0, 0, 1], port).into())
}

async fn assert_one_whole_trace(upstream: &Upstream) {
    let came = upstream.await_spans(SPANS).await;
    assert_eq!(came.len(), 1, "one request for one trace; {}", upstream.summary());
    let export = &came[0].export;
    let spans = export.spans();
    assert_eq!(spans.len(), SPANS);
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id), "one trace");
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "one root: {roots:?}");
    let is_here = |id: &[u8]| spans.iter().any(|span| span.span_id == id);
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty() || is_here(&span.parent_span_id)));

    let mut services = Vec::new();
    for resource in export.resources() {
        assert_eq!(text(&resource.attributes, ENVIRONMENT), Some("test"));
        assert_eq!(text(&resource.attributes, RELEASE), Some("r-42"));
        services.push(text(&resource.attributes, "service.name").expect("a name").to_owned());
    }
    services.sort();
    assert_eq!(services, ["agent", "orders", "shop"], "one block a service");
}
