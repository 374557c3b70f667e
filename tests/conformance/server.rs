//! A1: what holds on either transport of the server.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use spandrel::wire::Signal;

use crate::call::{self, GrpcReply, JSON, PROTOBUF, Reply, gzip};
use crate::check::{Check, Otherwise, Seen, holds, inside, line, not_applicable, not_observable};
use crate::client::seen_as_success;
use crate::make::{self, SIGNALS, field, number};
use crate::peer::{Peer, mark};

const MIB: usize = 1 << 20;
/// The specification's own default.
const REQUEST_MAX: usize = 64 * MIB;
const RESPONSE_MAX: usize = 4 * MIB;

pub const CHECKS: &[Check] = &[
    line!("G01", Must, "takes requests plain and as gzip", g01_plain_and_gzip),
    line!(
        "G02",
        Must,
        "refuses what is over its limit, on the wire or once inflated",
        g02_oversize_is_refused,
        inside: "thirty_million_empty_spans_are_refused_in_bounded_time_and_memory"
    ),
    line!("G03", Should, "takes up to 64 MiB unless told otherwise", g03_default_limit),
    line!("G04", Must, "keeps its own reply under 4 MiB, however much there is to say", g04_reply_is_bounded),
    line!(
        "G05",
        Should,
        "makes a long partial success fit by cutting the message, never the count",
        g05_message_is_cut,
        inside: "g05_a_reply_over_its_limit_loses_text_and_keeps_its_count"
    ),
    inside!(
        "G06",
        Must,
        "fails for good when a reply can not be made to fit",
        "g06_a_reply_that_can_not_be_cut_to_fit_is_500_or_resource_exhausted"
    ),
    line!("G07", Should, "answers a request without telemetry with success", g07_empty_is_success),
    line!(
        "G08",
        Must,
        "answers full success with the empty message, `partial_success` unset",
        g08_full_success
    ),
    line!("G09", Must, "answers a partial success with the exact count", g09_exact_count),
    line!("G10", Should, "says in a partial success what was wrong and where", g10_message_helps),
    inside!(
        "G11",
        Must,
        "warns about something taken in full with a count of 0 and a message",
        "a_warning_on_full_acceptance_survives_and_a_silent_partial_reads_as_success",
        "j04_snake_case_is_no_otlp_and_its_sender_is_told"
    ),
    line!(
        "G12",
        Should,
        "takes a `partial_success` that says nothing for full success, as a client",
        g12_empty_partial_is_success
    ),
    line!("G13", Must, "takes what a newer version of the protocol would send", g13_newer_minor),
    line!("G14", Should, "creates no empty envelopes of its own", g14_no_empty_envelopes),
    line!(
        "G15",
        Spec,
        "takes references into a string table, where there is none, for absent",
        g15_string_references
    ),
];

/// Every server a peer has, asked in its own way.
async fn everywhere(peer: &Peer, signal: Signal, body: &[u8]) -> Result<(GrpcReply, Reply), Otherwise> {
    let grpc = call::export(peer.grpc()?, signal, body).await?;
    let http = call::post(peer.http()?, signal.http_path(), PROTOBUF, body.to_vec()).await?;
    Ok((grpc, http))
}

async fn g01_plain_and_gzip(peer: Arc<Peer>) -> Seen {
    for signal in SIGNALS {
        let body = make::good(signal, &mark("g01"));
        let (grpc, http) = everywhere(&peer, signal, &body).await?;
        holds!(grpc.is("OK"), "plain {}: {}", signal.name(), grpc.code_name());
        holds!(http.status == 200, "plain {}: {}", signal.name(), http.status);
        let packed = gzip(&body);
        let framed = call::frame(1, &packed);
        let grpc = call::grpc(peer.grpc()?, signal.grpc_path(), &[("grpc-encoding", "gzip")], framed).await?;
        holds!(grpc.is("OK"), "gzip {}: {}", signal.name(), grpc.code_name());
        let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
        let http = call::request(peer.http()?, "POST", signal.http_path(), &headers, packed).await?;
        holds!(http.status == 200, "gzip {}: {}", signal.name(), http.status);
    }
    let json = make::json_log(&mark("g01"), "");
    let packed = zipped_as(peer.http()?, JSON, json.as_bytes()).await?;
    let plain = call::post(peer.http()?, "/v1/logs", JSON, json).await?;
    holds!((plain.status, packed.status) == (200, 200), "JSON: {}, as gzip: {}", plain.status, packed.status);
    Ok(())
}

async fn zipped(to: SocketAddr, body: &[u8]) -> Result<Reply, Otherwise> {
    zipped_as(to, PROTOBUF, body).await
}

async fn zipped_as(to: SocketAddr, kind: &str, body: &[u8]) -> Result<Reply, Otherwise> {
    let headers = [("content-type", kind), ("content-encoding", "gzip")];
    call::request(to, "POST", "/v1/logs", &headers, gzip(body)).await
}

async fn zipped_grpc(to: SocketAddr, body: &[u8]) -> Result<GrpcReply, Otherwise> {
    let framed = call::frame(1, &gzip(body));
    call::grpc(to, Signal::Logs.grpc_path(), &[("grpc-encoding", "gzip")], framed).await
}

/// Valid but for its size.
pub fn oversize() -> Vec<u8> {
    make::padded(Signal::Logs, &mark("oversize"), REQUEST_MAX + MIB)
}

/// The same as JSON.
pub fn oversize_json() -> Vec<u8> {
    make::json_log(&"x".repeat(REQUEST_MAX + MIB), "").into_bytes()
}

async fn g02_oversize_is_refused(peer: Arc<Peer>) -> Seen {
    let body = oversize();
    let bomb = zipped(peer.http()?, &body).await?;
    holds!(bomb.status >= 400, "over HTTP 65 MiB in 65 KiB of gzip were answered {}", bomb.status);
    let bomb = zipped_grpc(peer.grpc()?, &body).await?;
    holds!(!bomb.is("OK"), "over gRPC 65 MiB in 65 KiB of gzip were taken");
    let (grpc, http) = everywhere(&peer, Signal::Logs, &body).await?;
    holds!(!grpc.is("OK"), "over gRPC 65 MiB were taken");
    holds!(http.status >= 400, "over HTTP 65 MiB were answered {}", http.status);
    let json = oversize_json();
    let bomb = zipped_as(peer.http()?, JSON, &json).await?;
    let json = call::post(peer.http()?, "/v1/logs", JSON, json).await?;
    let refused = bomb.status >= 400 && json.status >= 400;
    holds!(refused, "65 MiB of JSON were answered {}, as gzip {}", json.status, bomb.status);
    Ok(())
}

async fn g03_default_limit(peer: Arc<Peer>) -> Seen {
    let large = make::padded(Signal::Logs, &mark("g03"), REQUEST_MAX - MIB);
    let http = zipped(peer.http()?, &large).await?;
    holds!(http.status == 200, "over HTTP a request of 63 MiB is answered {}", http.status);
    let grpc = zipped_grpc(peer.grpc()?, &large).await?;
    holds!(grpc.is("OK"), "over gRPC a request of 63 MiB is answered {}", grpc.code_name());
    if peer.own.is_some() {
        let small = peer.started("receive: {grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\", max_request: 1MiB}\nadmin: \"127.0.0.1:0\"\n").await?;
        let over = make::padded(Signal::Logs, &mark("g03"), MIB + 1);
        holds!(zipped(small.http(), &over).await?.status == 413, "a limit of 1 MiB is not kept over HTTP");
        let under = make::padded(Signal::Logs, &mark("g03"), MIB / 2);
        holds!(zipped(small.http(), &under).await?.status == 200, "a limit of 1 MiB is less over HTTP");
        holds!(!zipped_grpc(small.grpc(), &over).await?.is("OK"), "a limit of 1 MiB is not kept over gRPC");
    }
    Ok(())
}

const MANY: usize = 30_000;

/// Spans whose ids are one byte short, so many that a word on each would be too much.
fn all_wrong(count: usize) -> Vec<u8> {
    let wrong = |_| {
        let mut span = make::span("a span that is not well");
        span.span_id.pop();
        span
    };
    make::traces("wrong", (0..count).map(wrong).collect()).encode_to_vec()
}

async fn g04_reply_is_bounded(peer: Arc<Peer>) -> Seen {
    let (grpc, http) = everywhere(&peer, Signal::Traces, &all_wrong(MANY)).await?;
    let said = grpc.body.len().max(grpc.message.len());
    holds!(said < RESPONSE_MAX, "over gRPC it answered with {said} bytes");
    holds!(http.body.len() < RESPONSE_MAX, "over HTTP it answered with {} bytes", http.body.len());
    Ok(())
}

async fn g05_message_is_cut(peer: Arc<Peer>) -> Seen {
    let (grpc, http) = everywhere(&peer, Signal::Traces, &all_wrong(MANY)).await?;
    for (body, over) in [(partial(&grpc), "gRPC"), (partial_http(&http), "HTTP")] {
        let (count, text) = body?;
        holds!(count == MANY as i64, "over {over} it says {count} of {MANY} spans were rejected");
        holds!(!text.is_empty() && text.len() < RESPONSE_MAX, "over {over}: {} bytes of text", text.len());
    }
    Ok(())
}

/// The partial success a reply holds, as the trace service writes it: the fields are those of all signals.
fn partial_of(body: &Bytes) -> Result<(i64, String), Otherwise> {
    let reply = ExportTraceServiceResponse::decode(body.clone());
    let partial = reply.ok().and_then(|reply| reply.partial_success).unwrap_or_default();
    Ok((partial.rejected_spans, partial.error_message))
}

fn partial(reply: &GrpcReply) -> Result<(i64, String), Otherwise> {
    match reply.is("OK") {
        true => partial_of(&reply.body),
        false => Err(never_in_part(&reply.code_name())),
    }
}

fn partial_http(reply: &Reply) -> Result<(i64, String), Otherwise> {
    match reply.status {
        200 => partial_of(&reply.body),
        status => Err(never_in_part(&status.to_string())),
    }
}

fn never_in_part(answer: &str) -> Otherwise {
    not_applicable(format!("takes nothing in part: one bad item has the whole request answered {answer}"))
}

async fn g07_empty_is_success(peer: Arc<Peer>) -> Seen {
    let empty_scope = field(1, &field(2, &[]));
    for signal in SIGNALS {
        for (what, body) in
            [("no bytes", vec![]), ("an empty block", field(1, &[])), ("an empty scope", empty_scope.clone())]
        {
            let (grpc, http) = everywhere(&peer, signal, &body).await?;
            holds!(grpc.is("OK"), "{} of {what} over gRPC: {}", signal.name(), grpc.code_name());
            holds!(http.status == 200, "{} of {what} over HTTP: {}", signal.name(), http.status);
        }
        let json = call::post(peer.http()?, signal.http_path(), JSON, "{}").await?;
        holds!(json.status == 200, "{} of {{}} as JSON: {}", signal.name(), json.status);
    }
    Ok(())
}

async fn g08_full_success(peer: Arc<Peer>) -> Seen {
    for signal in SIGNALS {
        let (grpc, http) = everywhere(&peer, signal, &make::good(signal, &mark("g08"))).await?;
        holds!(grpc.is("OK") && grpc.body.is_empty(), "{} over gRPC: {:?}", signal.name(), grpc.body);
        holds!(http.status == 200 && http.body.is_empty(), "{} over HTTP: {:?}", signal.name(), http.body);
    }
    let json = call::post(peer.http()?, "/v1/logs", JSON, make::json_log(&mark("g08"), "")).await?;
    holds!(&json.body[..] == b"{}", "as JSON: {}", String::from_utf8_lossy(&json.body));
    Ok(())
}

/// A name that is no text once it was spoilt.
const SPOILT: &str = "to-be-spoilt";

/// Three items of which one, in the middle, is not valid UTF-8.
fn one_of_three_bad(signal: Signal) -> Vec<u8> {
    let mut body = match signal {
        Signal::Traces => make::traces("g09", ["a", SPOILT, "c"].map(make::span).to_vec()).encode_to_vec(),
        Signal::Logs => {
            let mut request = make::logs("g09", 3);
            request.resource_logs[0].scope_logs[0].log_records[1].severity_text = SPOILT.into();
            request.encode_to_vec()
        }
        Signal::Metrics => {
            use opentelemetry_proto::tonic::metrics::v1::metric::Data;
            let mut request = make::metrics("g09", 3);
            let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
            let Some(Data::Gauge(gauge)) = &mut metric.data else { unreachable!("just made") };
            gauge.data_points[1].attributes.push(crate::harness::read::attribute("k", SPOILT));
            request.encode_to_vec()
        }
        Signal::Profiles => unreachable!("profiles are not looked into"),
    };
    let at = body.windows(SPOILT.len()).position(|at| at == SPOILT.as_bytes()).expect("just written");
    body[at] = 0xff;
    body
}

async fn g09_exact_count(peer: Arc<Peer>) -> Seen {
    let wrong_id = |mut span: opentelemetry_proto::tonic::trace::v1::Span| {
        span.trace_id.truncate(7);
        span
    };
    let mut spans: Vec<_> = (0..7).map(|_| make::span("g09")).collect();
    for at in [1, 2, 5] {
        spans[at] = wrong_id(spans[at].clone());
    }
    let (grpc, http) = everywhere(&peer, Signal::Traces, &make::traces("g09", spans).encode_to_vec()).await?;
    let (grpc, http) = (partial(&grpc)?.0, partial_http(&http)?.0);
    holds!((grpc, http) == (3, 3), "of 7 spans with 3 bad ids {grpc} and {http} were rejected");
    for signal in SIGNALS {
        let (grpc, http) = everywhere(&peer, signal, &one_of_three_bad(signal)).await?;
        let (grpc, http) = (count(signal, &grpc.body), count(signal, &http.body));
        let name = signal.name();
        holds!((grpc, http) == (1, 1), "of 3 {name} with 1 bad text {grpc} and {http} were rejected");
    }
    let spans = make::json_span("good", "").replace(r#""spans":["#, &format!(r#""spans":[{ZERO_IDS},"#));
    let reply = call::post(peer.http()?, "/v1/traces", JSON, spans).await?;
    let said: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let count = &said["partialSuccess"]["rejectedSpans"];
    holds!(count == "1" || count == 1, "of 2 spans with 1 bad id, as JSON, {said} were rejected");
    Ok(())
}

/// A span in JSON that nobody can place.
const ZERO_IDS: &str =
    r#"{"traceId":"00000000000000000000000000000000","spanId":"0000000000000000","name":"bad"}"#;

/// The count as the signal's own generated type reads it.
fn count(signal: Signal, body: &Bytes) -> i64 {
    let body = body.clone();
    match signal {
        Signal::Traces => {
            let reply = ExportTraceServiceResponse::decode(body);
            reply.ok().and_then(|it| it.partial_success).map_or(0, |it| it.rejected_spans)
        }
        Signal::Metrics => {
            let reply = ExportMetricsServiceResponse::decode(body);
            reply.ok().and_then(|it| it.partial_success).map_or(0, |it| it.rejected_data_points)
        }
        Signal::Logs => {
            let reply = ExportLogsServiceResponse::decode(body);
            reply.ok().and_then(|it| it.partial_success).map_or(0, |it| it.rejected_log_records)
        }
        Signal::Profiles => 0,
    }
}

async fn g10_message_helps(peer: Arc<Peer>) -> Seen {
    let (grpc, http) = everywhere(&peer, Signal::Traces, &all_wrong(2)).await?;
    for (_, text) in [partial(&grpc)?, partial_http(&http)?] {
        let text = text.to_lowercase();
        let names_it = text.contains("span_id") || text.contains("span id") || text.contains("spanid");
        holds!(names_it, "a span id that is too short is called {text:?}");
        holds!(text.contains("[1]") || text.contains('1'), "it does not say which span: {text:?}");
    }
    Ok(())
}

async fn g12_empty_partial_is_success(peer: Arc<Peer>) -> Seen {
    // `partial_success` present, and nothing in it.
    seen_as_success(&peer, &field(1, &[])).await
}

async fn g13_newer_minor(peer: Arc<Peer>) -> Seen {
    let new = [field(777, b"new"), number(1_000_000, 5)].concat();
    let span = make::span_and(
        "g13",
        &[new.clone(), field(11, &[field(2, b"event"), new.clone()].concat())].concat(),
    );
    let scope =
        [field(1, &[field(1, b"scope"), new.clone()].concat()), field(2, &span), new.clone()].concat();
    let resource = [make::resource("g13").encode_to_vec(), new.clone()].concat();
    let body = [field(1, &[field(1, &resource), field(2, &scope), new.clone()].concat()), new].concat();
    let (grpc, http) = everywhere(&peer, Signal::Traces, &body).await?;
    holds!(grpc.is("OK"), "unknown fields over gRPC: {} {}", grpc.code_name(), grpc.message);
    holds!(http.status == 200, "unknown fields over HTTP: {}", http.status);
    holds!(count(Signal::Traces, &http.body) == 0, "spans with unknown fields are rejected");
    Ok(())
}

async fn g14_no_empty_envelopes(peer: Arc<Peer>) -> Seen {
    let mark = mark("g14");
    let arrived = peer.through(&mark, &make::one(&mark)).await?;
    let request = ExportTraceServiceRequest::decode(arrived.plain.clone()).unwrap_or_default();
    let is_empty = |block: &ResourceSpans| {
        block.scope_spans.is_empty()
            || block.scope_spans.iter().any(|scope: &ScopeSpans| scope.spans.is_empty())
    };
    holds!(!request.resource_spans.iter().any(is_empty), "an envelope without spans left it");
    Ok(())
}

async fn g15_string_references(peer: Arc<Peer>) -> Seen {
    let mark = mark("g15");
    // KeyValue.key_strindex and AnyValue.string_value_strindex: meant for profiles alone.
    let reference = [number(3, 4), field(2, &number(8, 5))].concat();
    let body = make::traces_of(&mark, &[make::span_and(&mark, &field(9, &reference))]);
    let (grpc, http) = everywhere(&peer, Signal::Traces, &body).await?;
    holds!(grpc.is("OK") && http.status == 200, "{} and {}", grpc.code_name(), http.status);
    holds!(count(Signal::Traces, &http.body) == 0, "the span is rejected: {:?}", partial_http(&http)?.1);
    match &peer.backend {
        Some(backend) => backend.arrives(&mark).await.map(drop),
        None => Err(not_observable("it is taken; nothing was given to see it arrive")),
    }
}
