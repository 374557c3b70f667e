//! gRPC: real clients, and frames written by hand.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;

use super::fixture::*;
use crate::wire::Signal;

async fn channel(edge: &Edge, port: usize) -> tonic::transport::Channel {
    let url = format!("http://{}", edge.addresses[port]);
    tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn a_generated_client_is_answered_ok_on_both_ports() {
    let edge = Edge::start().await;
    for port in [0, 1] {
        let mut client = TraceServiceClient::new(channel(&edge, port).await);
        let reply = client.export(spans(3)).await.unwrap().into_inner();
        assert_eq!(reply.partial_success, None);
        let taken = edge.taken();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].index.items, 3);
        assert_eq!(taken[0].body, spans(3).encode_to_vec());
    }
    assert_eq!(edge.count(r#"spandrel_receiver_received_items_total{signal="traces",transport="grpc"}"#), 6);
}

#[tokio::test]
async fn an_empty_request_is_a_success_and_goes_nowhere() {
    let edge = Edge::start().await;
    let mut client = LogsServiceClient::new(channel(&edge, 0).await);
    client.export(ExportLogsServiceRequest::default()).await.unwrap();
    assert!(edge.taken().is_empty());
}

#[tokio::test]
async fn one_bad_span_is_refused_alone_with_a_reason() {
    let edge = Edge::start().await;
    let mut bad = span(1);
    bad.span_id = vec![1, 2, 3, 4, 5];
    let mut client = TraceServiceClient::new(channel(&edge, 0).await);
    let reply = client.export(of_spans(vec![span(0), bad, span(2)])).await.unwrap().into_inner();
    let partial = reply.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    let wanted = "1 of 3 spans refused; resource_spans[0].scope_spans[0].spans[1].span_id: \
                  span_id must be 8 bytes and not all zero";
    assert!(partial.error_message.starts_with(wanted), "{}", partial.error_message);
    let taken = edge.taken();
    assert_eq!((taken.len(), taken[0].index.items, taken[0].index.spans.len()), (1, 2, 2));
    assert_eq!(edge.count(r#"spandrel_receiver_received_items_total{signal="traces",transport="grpc"}"#), 3);
    assert_eq!(edge.count(r#"spandrel_receiver_refused_items_total{reason="bad_item",signal="traces"}"#), 1);
}

#[tokio::test]
async fn what_is_not_joined_goes_on_without_what_was_refused() {
    let edge = Edge::with(With { join: false, ..With::default() }).await;
    let mut bad = span(1);
    bad.trace_id = vec![0; 16];
    let body = of_spans(vec![span(0), bad, span(2)]).encode_to_vec();
    let reply = edge.framed(&[], frame(0, &body)).await;
    assert_eq!(reply.header("grpc-status"), "0");
    let taken = edge.taken();
    assert_eq!(taken[0].body, of_spans(vec![span(0), span(2)]).encode_to_vec());
    assert_eq!((taken[0].index.items, taken[0].index.refused.items), (2, 1));
}

#[tokio::test]
async fn all_spans_refused_is_still_ok() {
    let edge = Edge::start().await;
    let mut bad = span(1);
    bad.trace_id.clear();
    let mut client = TraceServiceClient::new(channel(&edge, 0).await);
    let reply = client.export(of_spans(vec![bad; 7])).await.unwrap().into_inner();
    assert_eq!(reply.partial_success.unwrap().rejected_spans, 7);
    assert!(edge.taken().is_empty());
}

#[tokio::test]
async fn every_coding_is_undone() {
    let edge = Edge::start().await;
    let plain = spans(50).encode_to_vec();
    let (front, back) = plain.split_at(100);
    let members = [gzip(front), gzip(back)].concat();
    let codings = [
        ("gzip", gzip(&plain)),
        ("gzip", members),
        ("deflate", zlib(&plain)),
        ("zstd", zstd::encode_all(plain.as_slice(), 1).unwrap()),
    ];
    for (coding, body) in codings {
        let reply = edge.framed(&[("grpc-encoding", coding)], frame(1, &body)).await;
        assert_eq!(reply.header("grpc-status"), "0", "{coding}: {}", reply.header("grpc-message"));
        assert_eq!(edge.taken()[0].body, plain, "{coding}");
    }
    // A flag of 0 says this message is not compressed, whatever the others are.
    let reply = edge.framed(&[("grpc-encoding", "gzip")], frame(0, &plain)).await;
    assert_eq!(reply.header("grpc-status"), "0");
}

#[tokio::test]
async fn framing_errors_have_the_codes_grpc_gives_them() {
    let edge = Edge::start().await;
    let body = traces();
    let twice = [frame(0, &body), frame(0, &body)].concat();
    let trailing = [frame(0, &body), vec![0]].concat();
    let mut short = frame(0, &body);
    short.pop();
    let garbage = [gzip(&body), b"garbage".to_vec()].concat();
    let gz: &[(&str, &str)] = &[("grpc-encoding", "gzip")];
    let br: &[(&str, &str)] = &[("grpc-encoding", "br")];
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, &'a str);
    let cases: [Case<'_>; 10] = [
        ("flag without encoding", &[], frame(1, &gzip(&body)), "13"),
        ("unknown encoding", br, frame(1, &body), "12"),
        ("second message", &[], twice, "3"),
        ("trailing byte", &[], trailing, "3"),
        ("cut short", &[], short, "3"),
        ("nothing", &[], vec![], "3"),
        ("flag 2", &[], frame(2, &body), "3"),
        ("garbage after gzip", gz, frame(1, &garbage), "3"),
        ("gzip cut short", gz, frame(1, &gzip(&body)[..20]), "3"),
        ("not protobuf", &[], frame(0, b"\x0a\xff"), "3"),
    ];
    for (what, headers, body, code) in cases {
        let reply = edge.framed(headers, body).await;
        assert_eq!(reply.status, 200, "{what}");
        assert_eq!(reply.header("grpc-status"), code, "{what}: {}", reply.header("grpc-message"));
        assert_eq!(reply.grpc_error().code.to_string(), code, "{what}");
        assert_eq!(reply.grpc_error().retry_delay, None, "{what}");
    }
    assert!(edge.taken().is_empty());
    assert_eq!(edge.budget.used(), 0);
    let unknown = edge.framed(br, frame(1, &traces())).await;
    assert_eq!(unknown.header("grpc-accept-encoding"), "gzip, zstd, deflate, identity");
}

#[tokio::test]
async fn malformed_bytes_are_named_in_the_details() {
    let edge = Edge::start().await;
    let reply = edge.framed(&[], frame(0, b"\x0a\x05abc")).await;
    let status = reply.grpc_error();
    assert_eq!(status.code, 3);
    assert_eq!(status.violations.len(), 1);
    assert!(status.violations[0].1.contains("the bytes end in the middle of a field"), "{status:?}");
}

#[tokio::test]
async fn an_oversize_message_is_resource_exhausted_without_retry() {
    let edge = Edge::with(With { request_max: 10_000, ..With::default() }).await;
    let large = edge.framed(&[], frame(0, &vec![0; 10_001])).await;
    let inflated = edge.framed(&[("grpc-encoding", "gzip")], frame(1, &gzip(&vec![0; 10_001]))).await;
    for reply in [large, inflated] {
        assert_eq!(reply.header("grpc-status"), "8");
        assert_eq!(reply.grpc_error().retry_delay, None);
    }
    assert_eq!(edge.budget.used(), 0);
}

#[tokio::test]
async fn a_full_budget_is_unavailable_with_a_delay() {
    let edge = Edge::with(With { memory: 100_000, ..With::default() }).await;
    let held = edge.budget.try_reserve(100_000).unwrap();
    let reply = edge.framed(&[], frame(0, &traces())).await;
    assert_eq!(reply.header("grpc-status"), "14");
    let delay = reply.grpc_error().retry_delay.unwrap();
    assert!((Duration::from_secs(1)..=Duration::from_secs(5)).contains(&delay), "{delay:?}");
    drop(held);
    assert_eq!(edge.framed(&[], frame(0, &traces())).await.header("grpc-status"), "0");
}

#[tokio::test]
async fn a_full_queue_is_unavailable_before_the_request_is_read() {
    let edge = Edge::with(With { depth: 1, ..With::default() }).await;
    assert_eq!(edge.framed(&[], frame(0, &traces())).await.header("grpc-status"), "0");
    let reply = edge.framed(&[], frame(0, &spans(4).encode_to_vec())).await;
    assert_eq!(reply.header("grpc-status"), "14");
    assert!(reply.grpc_error().retry_delay.is_some());
    assert_eq!(edge.count(r#"spandrel_receiver_received_items_total{signal="traces",transport="grpc"}"#), 1);
    let requests = r#"spandrel_receiver_requests_total{outcome="busy",signal="traces",transport="grpc"}"#;
    assert_eq!(edge.count(requests), 1);
    drop(edge.taken());
    assert_eq!(edge.budget.used(), 0);
}

#[tokio::test]
async fn other_methods_are_unimplemented_and_other_codecs_unsupported() {
    let edge = Edge::start().await;
    let call = |path: &'static str, media: &'static str| {
        let headers = [("content-type", media), ("te", "trailers")];
        let request = request("POST", path, &headers, frame(0, &[]));
        async { Answer::of(edge.http2().await.send_request(request).await.unwrap()).await }
    };
    let unknown =
        call("/opentelemetry.proto.collector.trace.v1.TraceService/Import", "application/grpc").await;
    assert_eq!(unknown.header("grpc-status"), "12");
    let proto = call(Signal::Traces.grpc_path(), "application/grpc+proto").await;
    assert_eq!(proto.header("grpc-status"), "0");
    for media in ["application/grpc+json", "application/grpc-web", "application/grpc-web+proto"] {
        let reply = call(Signal::Traces.http_path(), media).await;
        assert_eq!((reply.status, reply.error().code), (415, 3), "{media}");
        assert_eq!(call(Signal::Traces.grpc_path(), media).await.status, 415, "{media}");
    }
}

#[tokio::test]
async fn a_health_probe_is_answered() {
    let edge = Edge::start().await;
    let check = |message: Vec<u8>| {
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let request = request("POST", "/grpc.health.v1.Health/Check", &headers, frame(0, &message));
        async { Answer::of(edge.http2().await.send_request(request).await.unwrap()).await }
    };
    let whole = check(vec![]).await;
    assert_eq!((whole.header("grpc-status"), &whole.body[..]), ("0", &[0, 0, 0, 0, 2, 8, 1][..]));
    let service = b"opentelemetry.proto.collector.trace.v1.TraceService";
    let named = [&[10, u8::try_from(service.len()).unwrap()], service.as_slice()].concat();
    assert_eq!(check(named).await.header("grpc-status"), "0");
    assert_eq!(check(b"\x0a\x04nope".to_vec()).await.header("grpc-status"), "5");
}

#[tokio::test]
async fn the_timeout_of_a_call_ends_the_wait_for_its_body() {
    let edge = Edge::start().await;
    let (body, _open) = super::abuse::endless();
    let request = http::Request::post(format!("http://edge{}", Signal::Traces.grpc_path()))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "50m")
        .body(body)
        .unwrap();
    let socket = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(socket);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, conn) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(conn);
    let reply = Answer::of(sender.send_request(request).await.unwrap()).await;
    assert_eq!(reply.header("grpc-status"), "14");
}
