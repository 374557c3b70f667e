//! OTLP/gRPC towards upstreams of every mood, and one honest one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http::{HeaderName, HeaderValue, Version};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;

use super::server::{Answer, Server, grpc, grpc_frame, grpc_ok, http};
use super::{Compression, Exporter, Settings, settings};
use crate::model::Origin;
use crate::wire::reply::{Encoding, Status, status};

#[tokio::test]
async fn the_bytes_arrive_as_they_were_in_one_frame() {
    let upstream = Server::start(|_, _| grpc_ok()).await;
    let mut exporter = Exporter::start(settings(upstream.port));
    let body: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    exporter.offer(&body, 3);
    assert_eq!(exporter.finish().await, "delivered=3");
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].message(), (0, body.into()));
    assert_eq!(seen[0].version, Version::HTTP_2);
    assert_eq!(seen[0].uri.path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let header = |name| seen[0].headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-type"), Some("application/grpc"));
    assert_eq!(header("te"), Some("trailers"));
    assert_eq!(header("grpc-timeout"), Some("5000m"));
    assert!(header("user-agent").unwrap().contains(" OTel-OTLP-Exporter-Rust/"));
}

#[tokio::test]
async fn the_callers_headers_travel_with_its_data_and_the_configured_one_wins() {
    let upstream = Server::start(|_, _| grpc_ok()).await;
    let headers = vec![(HeaderName::from_static("x-langfuse-project"), HeaderValue::from_static("ours"))];
    let mut exporter = Exporter::start(Settings { headers, parallel: 1, ..settings(upstream.port) });
    for caller in ["Bearer a", "Bearer b"] {
        let headers = vec![
            ("authorization".into(), caller.as_bytes().into()),
            ("x-langfuse-project".into(), b"theirs".as_slice().into()),
        ];
        exporter.offer_from(Arc::new(Origin { headers, ..Origin::default() }), b"x", 1);
    }
    assert_eq!(exporter.finish().await, "delivered=2");
    let seen = upstream.seen();
    let callers: Vec<_> = seen.iter().map(|seen| seen.headers["authorization"].to_str().unwrap()).collect();
    assert_eq!(callers, ["Bearer a", "Bearer b"]);
    assert!(seen.iter().all(|seen| seen.headers["x-langfuse-project"] == "ours"));
}

#[tokio::test]
async fn compressed_bodies_open_at_the_far_end() {
    for (compression, size) in [
        (Compression::Gzip, 10),
        (Compression::Gzip, 1 << 20),
        (Compression::Zstd, 10),
        (Compression::Zstd, 1 << 20),
    ] {
        let upstream = Server::start(|_, _| grpc_ok()).await;
        let mut exporter = Exporter::start(Settings { compression, ..settings(upstream.port) });
        let body = vec![b'x'; size];
        exporter.offer(&body, 1);
        assert_eq!(exporter.finish().await, "delivered=1");
        let seen = upstream.seen();
        let (flag, message) = seen[0].message();
        assert_eq!(flag, 1);
        assert_eq!(seen[0].headers["grpc-encoding"], compression.name().unwrap());
        assert_eq!(open(compression, &message), body);
    }
}

pub fn open(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::None => unreachable!(),
        // Not the multi-member decoder: peers read one member (conformance P16).
        Compression::Gzip => {
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
        }
        Compression::Zstd => out = zstd::decode_all(bytes).unwrap(),
    }
    out
}

/// A failure in trailers, or alone in the head as servers do when there is no message.
fn failure(code: u32, delay: Option<Duration>) -> Answer {
    let details = Status { code, retry_delay: delay, ..Status::default() };
    let details = BASE64_STANDARD_NO_PAD.encode(status(Encoding::Protobuf, &details));
    let code = code.to_string();
    grpc(None, &[("grpc-status", &code), ("grpc-message", "no%21"), ("grpc-status-details-bin", &details)])
}

#[tokio::test]
async fn gc1_gc2_f16_every_code_is_repeated_or_refused_as_the_table_says() {
    let retried = [1, 4, 10, 11, 14, 15];
    for code in 1..=17 {
        for delay in [None, Some(Duration::from_millis(30))] {
            let upstream =
                Server::start(move |n, _| if n == 0 { failure(code, delay) } else { grpc_ok() }).await;
            let mut exporter = Exporter::start(settings(upstream.port));
            let began = tokio::time::Instant::now();
            exporter.offer(b"same", 2);
            let ended = exporter.finish().await;
            let seen = upstream.seen();
            if retried.contains(&code) || (code == 8 && delay.is_some()) {
                assert_eq!(ended, "delivered=2", "grpc-status {code}, {delay:?}");
                assert_eq!(seen.len(), 2, "grpc-status {code}, {delay:?}");
                assert_eq!(seen[0].body, seen[1].body);
                assert!(began.elapsed() >= delay.unwrap_or_default(), "grpc-status {code}: too early");
            } else {
                assert!(ended.starts_with("refused."), "grpc-status {code}, {delay:?}: {ended}");
                assert_eq!(seen.len(), 1, "grpc-status {code}, {delay:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_failure_without_body_or_trailers_is_read_from_the_head() {
    let head = |code| http(200, &[("content-type", "application/grpc"), ("grpc-status", code)], "");
    let upstream = Server::start(move |n, _| head(if n == 0 { "14" } else { "3" })).await;
    let mut exporter = Exporter::start(settings(upstream.port));
    exporter.offer(b"x", 1);
    assert_eq!(exporter.finish().await, "refused.invalid=1");
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_proxy_that_speaks_no_grpc_is_read_by_its_status() {
    let upstream = Server::start(|n, _| match n {
        0 => http(503, &[("content-type", "text/html")], "<h1>later</h1>"),
        _ => http(200, &[("content-type", "text/html")], "<h1>hello</h1>"),
    })
    .await;
    let mut exporter = Exporter::start(settings(upstream.port));
    exporter.offer(b"x", 1);
    assert_eq!(exporter.finish().await, "refused.unknown=1");
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn c03_f19_rejected_items_are_counted_and_never_sent_again() {
    let partial = |rejected, message: &str| {
        let partial =
            ExportTracePartialSuccess { rejected_spans: rejected, error_message: message.to_owned() };
        ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let cases = [
        (partial(3, "too old"), "delivered=7 refused.partial_success=3"),
        (partial(99, "all and more"), "refused.partial_success=10"),
        (partial(0, "a warning"), "delivered=10"),
        (partial(0, ""), "delivered=10"),
        (b"\xff\xff not protobuf".to_vec(), "delivered=10"),
    ];
    for (message, expect) in cases {
        let upstream = Server::start(move |_, _| grpc(Some(&message), &[("grpc-status", "0")])).await;
        let mut exporter = Exporter::start(settings(upstream.port));
        exporter.offer(b"x", 10);
        assert_eq!(exporter.finish().await, expect);
        assert_eq!(upstream.seen().len(), 1);
    }
}

#[tokio::test]
async fn hc8_odd_frames_of_an_ok_are_an_ok() {
    for bytes in [&b""[..], b"\0\0", b"\0\xff\xff\xff\xff", b"\x01\0\0\0\x02??", b"\0\0\0\0\0\0\0\0\0\0"] {
        let upstream = Server::start(|_, _| grpc_frame(bytes.into(), &[], &[("grpc-status", "0")])).await;
        let mut exporter = Exporter::start(settings(upstream.port));
        exporter.offer(b"x", 1);
        assert_eq!(exporter.finish().await, "delivered=1", "{bytes:?}");
    }
}

/// tonic's own server, as most upstreams in Rust are.
struct Honest(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Honest {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn an_honest_upstream_reads_what_was_offered() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let taken: Arc<Mutex<Vec<_>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = TraceServiceServer::new(Honest(taken.clone()))
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        let server = tonic::transport::Server::builder().add_service(service);
        let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let mut exporter = Exporter::start(Settings { compression, ..settings(port) });
        let spans = (0..200).map(|n| Span { name: format!("span {n}"), ..Span::default() }).collect();
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let request = ExportTraceServiceRequest { resource_spans };
        for _ in 0..20 {
            exporter.offer(&request.encode_to_vec(), 200);
        }
        assert_eq!(exporter.finish().await, "delivered=4000", "{compression:?}");
        assert_eq!(*taken.lock().unwrap(), vec![request; 20]);
        server.abort();
    }
}
