//! OTLP/HTTP: every status, and both versions of the protocol.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::fixture::*;
use crate::wire::Signal;

const PROTO: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn protobuf_is_taken_on_every_path_and_answered_with_nothing() {
    let edge = Edge::start().await;
    let aliases = ["/api/public/otel/v1/traces", "/api/public/otel/v1/logs", "/api/public/otel/v1/metrics"];
    for path in Signal::ALL.map(Signal::http_path).into_iter().chain(aliases) {
        let reply = edge.post(path, &[PROTO], vec![]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, PROTO.1), "{path}");
        assert_eq!(reply.body.len(), 0, "{path}");
    }
    let reply = edge.post("/v1/traces", &[PROTO], traces()).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(edge.taken()[0].body, traces());
}

#[tokio::test]
async fn json_is_transcoded_and_answered_in_json_whatever_its_parameters() {
    let edge = Edge::start().await;
    let json = serde_json::to_vec(&spans(2)).unwrap();
    for media in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=UTF-8"] {
        let reply = edge.post("/v1/traces", &[("content-type", media)], json.clone()).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, JSON.1), "{:?}", reply.body);
        assert_eq!(reply.body, "{}");
        assert_eq!(edge.taken()[0].index.items, 2);
    }
    assert_eq!(
        edge.count(r#"spandrel_receiver_received_items_total{signal="traces",transport="http_json"}"#),
        6
    );
}

#[tokio::test]
async fn a_wrong_id_in_json_costs_its_span_or_names_its_place() {
    let edge = Edge::start().await;
    let short = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102","spanId":"01"}]}]}]}"#;
    let reply = edge.post("/v1/traces", &[JSON], short.to_vec()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""rejectedSpans":"1""#), "{:?}", reply.body);
    let base64 =
        br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"AAECAwQFBgcICQoLDA0ODw=="}]}]}]}"#;
    for body in [&base64[..], b"", b"{", b"[]", br#"{"resourceSpans":7}"#] {
        let reply = edge.post("/v1/traces", &[JSON], body.to_vec()).await;
        assert_eq!(reply.status, 400, "{:?}", String::from_utf8_lossy(body));
        assert_eq!(reply.error().code, 3);
        assert_eq!(reply.error().violations.len(), 1);
    }
}

#[tokio::test]
async fn a_partial_success_is_200_in_the_callers_encoding() {
    let edge = Edge::start().await;
    let mut bad = span(1);
    bad.span_id = vec![1; 5];
    let reply = edge.post("/v1/traces", &[PROTO], of_spans(vec![span(0), bad]).encode_to_vec()).await;
    assert_eq!(reply.status, 200);
    let decoded = ExportTraceServiceResponse::decode(reply.body).unwrap();
    assert_eq!(decoded.partial_success.unwrap().rejected_spans, 1);
}

#[tokio::test]
async fn every_error_is_a_status_in_the_callers_encoding() {
    let edge = Edge::with(With { request_max: 10_000, ..With::default() }).await;
    let large = vec![0u8; 10_001];
    let bomb = gzip(&large);
    let br = ("content-encoding", "br");
    let gz = ("content-encoding", "gzip");
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, u32);
    let cases: [Case<'_>; 12] = [
        ("POST", "/", &[], b"", 404, 12),
        ("POST", "/v1/profiles", &[], b"", 404, 12),
        ("POST", "/api/public/otel/v1development/profiles", &[], b"", 404, 12),
        ("PUT", "/v1/traces", &[], b"", 405, 12),
        ("OPTIONS", "/v1/traces", &[], b"", 405, 12),
        ("POST", "/v1/traces", &[br], b"", 415, 12),
        ("POST", "/v1/traces", &[gz], b"garbage", 400, 3),
        ("POST", "/v1/traces", &[gz], b"", 400, 3),
        ("POST", "/v1/traces", &[gz], &bomb, 413, 8),
        ("POST", "/v1/traces", &[], &large, 413, 8),
        ("POST", "/v1/traces", &[gz, gz], &bomb, 415, 12),
        ("GET", "/v1/traces", &[], b"", 405, 12),
    ];
    for media in [PROTO, JSON] {
        for (method, path, headers, body, status, code) in &cases {
            let headers = [&[media], *headers].concat();
            let reply = edge.send(method, path, &headers, body.to_vec()).await;
            let what = format!("{method} {path} {headers:?}");
            assert_eq!(reply.status, *status, "{what}");
            assert_eq!(reply.header("content-type"), media.1, "{what}");
            assert_eq!(reply.error().code, *code, "{what}");
            assert!(!reply.error().message.is_empty(), "{what}");
            if *status == 405 {
                assert_eq!(reply.header("allow"), "POST");
            }
            if *status == 415 {
                assert_eq!(reply.header("accept-encoding"), "gzip, zstd, deflate, identity");
            }
        }
    }
    assert_eq!(edge.budget.used(), 0);
}

#[tokio::test]
async fn only_the_two_media_types_are_taken_and_the_reply_says_which() {
    let edge = Edge::start().await;
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/protobuf")],
    ];
    for headers in cases {
        let reply = edge.post("/v1/logs", headers, vec![]).await;
        assert_eq!((reply.status, reply.header("content-type")), (415, PROTO.1));
        let message = reply.error().message;
        assert!(message.contains("application/x-protobuf, application/json"), "{message}");
    }
}

#[tokio::test]
async fn a_person_with_curl_is_told_what_this_is() {
    let edge = Edge::start().await;
    let reply = edge.send("GET", "/", &[("accept", "*/*")], vec![]).await;
    assert_eq!((reply.status, reply.header("content-type")), (404, JSON.1));
    assert!(reply.error().message.contains("this is Spandrel"), "{}", reply.error().message);
    let head = edge.send("HEAD", "/v1/traces", &[], vec![]).await;
    assert_eq!((head.status, head.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn every_coding_is_undone_and_its_name_may_be_in_any_case() {
    let edge = Edge::start().await;
    let plain = spans(50).encode_to_vec();
    let (front, back) = plain.split_at(100);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let codings = [
        ("gzip", [gzip(front), gzip(back)].concat()),
        ("x-gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("deflate", zlib(&plain)),
        ("deflate", raw_deflate(&plain)),
        ("zstd", zstd(&plain)),
        ("zstd", [zstd(front), zstd(back)].concat()),
        ("identity", plain.clone()),
    ];
    for (coding, body) in codings {
        let reply = edge.post("/v1/traces", &[PROTO, ("content-encoding", coding)], body).await;
        assert_eq!(reply.status, 200, "{coding}: {:?}", reply.body);
        assert_eq!(edge.taken()[0].body, plain, "{coding}");
    }
}

#[tokio::test]
async fn http_2_with_prior_knowledge_works_as_http_1() {
    let edge = Edge::start().await;
    let mut sender = edge.http2().await;
    for _ in 0..2 {
        let reply = sender.send_request(request("POST", "/v1/traces", &[PROTO], traces())).await.unwrap();
        let reply = Answer::of(reply).await;
        assert_eq!(reply.status, 200);
        assert!(httpdate::parse_http_date(reply.header("date")).is_ok(), "{:?}", reply.header("date"));
    }
    assert_eq!(edge.taken().len(), 2);
    assert_eq!(edge.framed(&[], vec![0; 5]).await.header("date"), "", "as other servers of gRPC do");
    let grpc_over_http_1 =
        edge.post(Signal::Traces.grpc_path(), &[("content-type", "application/grpc")], vec![]);
    assert_eq!(grpc_over_http_1.await.status, 505);
}

#[tokio::test]
async fn chunked_bodies_and_expect_continue_and_pipelining_work() {
    let edge = Edge::start().await;
    let body = traces();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: edge\r\ncontent-type: application/x-protobuf\r\n";
    let (front, back) = body.split_at(10);
    let mut chunked = format!("{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n").into_bytes();
    for chunk in [front, back] {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert!(edge.raw(&chunked, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    assert_eq!(edge.taken()[0].body, body);

    let expect = format!("{head}content-length: {}\r\nexpect: 100-continue\r\n\r\n", body.len());
    assert!(edge.raw(expect.as_bytes(), "\r\n\r\n").await.starts_with("HTTP/1.1 100 Continue"));

    let one = [format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let last = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
    let replies = edge.raw(&[one.as_slice(), &one, last.as_bytes()].concat(), "never").await;
    assert_eq!(replies.matches("HTTP/1.1 200").count(), 3, "{replies}");
    assert_eq!(edge.taken().len(), 2);
}

#[tokio::test]
async fn a_full_budget_and_a_full_queue_are_503_with_retry_after() {
    let edge = Edge::with(With { depth: 1, memory: 100_000, ..With::default() }).await;
    assert_eq!(edge.post("/v1/traces", &[PROTO], traces()).await.status, 200);
    let full_queue = edge.post("/v1/traces", &[PROTO], traces()).await;
    let free = edge.budget.limit() - edge.budget.used();
    let held = edge.budget.try_reserve(free).unwrap();
    let full_budget = edge.post("/v1/traces", &[JSON], b"{}".to_vec()).await;
    for reply in [full_queue, full_budget] {
        assert_eq!((reply.status, reply.error().code), (503, 14));
        let seconds: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=5).contains(&seconds));
    }
    drop(held);
}

#[tokio::test]
async fn kept_headers_make_the_origin_and_are_remembered_by_the_connection() {
    let edge = Edge::start().await;
    let mut sender = edge.http2().await;
    let named: &[(&str, &str)] = &[PROTO, ("authorization", "Bearer a"), ("x-langfuse-sdk-name", "python")];
    for headers in [named, named, &[PROTO], named] {
        let reply = sender.send_request(request("POST", "/v1/traces", headers, traces())).await.unwrap();
        assert_eq!(Answer::of(reply).await.status, 200);
    }
    let taken = edge.taken();
    assert!(std::sync::Arc::ptr_eq(&taken[0].origin, &taken[1].origin));
    assert_eq!(taken[0].origin, taken[3].origin);
    assert_eq!((taken[0].origin.headers.len(), taken[2].origin.key), (2, 0));
}
