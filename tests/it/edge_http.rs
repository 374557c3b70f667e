//! OTLP/HTTP at the edge, line by line (conformance G and HS): what a caller is told, and in how many bytes.

use std::io::Read;

use bytes::Bytes;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde_json::Value;
use spandrel::wire::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, frame, post};
use crate::harness::{Proxy, made};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// The program with these lines below `receive:`, on free ports, forwarding nowhere.
async fn receiving(lines: &str) -> Proxy {
    let ports = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
    Proxy::with(format!("receive: {{{ports}, {lines}}}\nadmin: \"127.0.0.1:0\"\n")).await
}

/// A request of `count` spans, none of which has an id.
fn faulty(count: usize) -> Vec<u8> {
    let mut spans = made::trace(1, count);
    spans.iter_mut().for_each(|span| span.span_id.clear());
    made::request(spans).encode_to_vec()
}

#[tokio::test]
async fn g05_a_reply_over_its_limit_loses_text_and_keeps_its_count() {
    let proxy = receiving("max_response: 64B").await;
    let over_http = proxy.http_client().http(Signal::Traces, faulty(9)).await;
    let over_grpc = proxy.client().grpc(Signal::Traces, faulty(9)).await;
    for reply in [over_http, over_grpc] {
        let (rejected, why) = reply.rejected();
        assert_eq!((reply.status.as_u16(), rejected), (200, 9));
        assert!(reply.body.len() <= 64 && why.starts_with("9 of 9 spans refused"), "{why:?}");
    }
    let error = proxy.http_client().post("/v1/nowhere", &[JSON], "{}").await;
    assert_eq!(error.status, 404);
    assert!(error.body.len() <= 64, "{}", error.text());
    assert!(serde_json::from_slice::<Value>(&error.body).is_ok(), "{}", error.text());
}

#[tokio::test]
async fn g06_a_reply_that_can_not_be_cut_to_fit_is_500_or_resource_exhausted() {
    let proxy = receiving("max_response: 3B").await;
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#;
    let json = proxy.http_client().json(Signal::Traces, body).await;
    assert_eq!(json.status, 500);
    let grpc = proxy.client().grpc(Signal::Traces, faulty(1)).await;
    assert_eq!(grpc.code, tonic::Code::ResourceExhausted);
    assert!(grpc.message.contains("receive.max_response"), "{}", grpc.message);
    let details = grpc.error.map(|status| status.details.len()).unwrap_or_default();
    assert_eq!(details, 0, "no RetryInfo");
    proxy.http_client().json(Signal::Traces, "{}").await.assert_taken();
}

#[tokio::test]
async fn hs08_a_reply_is_gzip_only_for_those_who_ask() {
    let proxy = receiving("max_response: 4MiB").await;
    let client = proxy.http_client();
    let plain = client.post("/v1/traces", &[PROTOBUF], faulty(20)).await;
    assert!(plain.headers.get("content-encoding").is_none());
    let asked =
        client.post("/v1/traces", &[PROTOBUF, ("accept-encoding", "deflate, gzip")], faulty(20)).await;
    assert_eq!(asked.headers["content-encoding"], "gzip");
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&asked.body[..]).read_to_end(&mut inflated).unwrap();
    assert_eq!(Bytes::from(inflated), plain.body);
}

#[tokio::test]
async fn hs12_what_can_not_be_inflated_is_400_with_the_field_named() {
    let proxy = receiving("max_response: 4MiB").await;
    let reply = proxy.http_client().post("/v1/logs", &[JSON, ("content-encoding", "gzip")], "no gzip").await;
    assert_eq!(reply.status, 400);
    let status: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(status["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    assert_eq!(status["details"][0]["fieldViolations"][0]["field"], "body");
}

#[tokio::test]
async fn hs18_expect_and_chunks_and_pipelining_work_on_one_connection() {
    let proxy = receiving("max_response: 4MiB").await;
    let mut socket = TcpStream::connect(proxy.http()).await.unwrap();
    let head = "POST /v1/logs HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n";
    let expecting = format!("{head}content-length: 2\r\nexpect: 100-continue\r\n\r\n");
    socket.write_all(expecting.as_bytes()).await.unwrap();
    let mut came = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    socket.read_exact(&mut came).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&came), "HTTP/1.1 100 Continue\r\n\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n");
    let last = format!("{head}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    socket.write_all(format!("{{}}{chunked}{last}").as_bytes()).await.unwrap();
    let mut replies = String::new();
    socket.read_to_string(&mut replies).await.unwrap();
    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 3, "{replies}");
}

#[tokio::test]
async fn d08_a_data_point_without_a_time_is_refused_alone() {
    let proxy = receiving("max_response: 4MiB").await;
    let mut request = made::metrics(1, 3);
    let data = request.resource_metrics[0].scope_metrics[0].metrics[0].data.as_mut();
    let Some(Data::Sum(sum)) = data else { panic!("made of a sum") };
    sum.data_points[1].time_unix_nano = 0;
    let (rejected, why) = proxy.http_client().http(Signal::Metrics, request.encode_to_vec()).await.rejected();
    assert_eq!(rejected, 1);
    let path = "resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[1]";
    assert!(why.contains(path) && why.contains("time_unix_nano"), "{why}");
}

#[tokio::test]
async fn g15_a_string_by_index_is_taken_and_told_of_once() {
    let proxy = receiving("max_response: 4MiB").await;
    let span = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
        "attributes":[{"keyStrindex":3,"value":{"stringValueStrindex":4}}]}"#;
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
    for _ in 0..3 {
        proxy.http_client().json(Signal::Traces, body.clone()).await.assert_taken();
    }
    proxy.await_stderr("a word about it", |line| line.contains("strings by index")).await;
    assert_eq!(proxy.stderr().matches("strings by index").count(), 1);
}

/// curl forgets a reply that a reset of its stream follows at once.
#[tokio::test]
async fn a_refusal_over_http2_is_not_followed_by_a_reset_while_a_small_body_comes() {
    let proxy = receiving("auth: {bearer: [secret]}").await;
    let mut frames = Frames::to(proxy.http()).await;
    frames.write(&frame(HEADERS, END_HEADERS, 1, &post("/v1/traces", "application/json"))).await;
    let mut ended = false;
    while !ended {
        let frame = frames.next().await.expect("a reply");
        assert_ne!(frame.kind, RST_STREAM, "before the body was sent");
        ended = frame.stream == 1 && frame.flags & END_STREAM != 0;
    }
    frames.write(&frame(DATA, END_STREAM, 1, b"{}")).await;
    // A second stream is answered after whatever there was to say of the first.
    frames.write(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &post("/v1/traces", "application/json"))).await;
    loop {
        let frame = frames.next().await.expect("a reply");
        assert_ne!((frame.kind, frame.stream), (RST_STREAM, 1));
        if frame.stream == 3 && frame.flags & END_STREAM != 0 {
            return;
        }
    }
}
