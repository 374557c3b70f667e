//! A3: the OTLP/HTTP server.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use spandrel::wire::Signal;
use tokio::io::AsyncWriteExt;

use crate::call::{self, JSON, PROTOBUF, Reply, gzip};
use crate::check::{Check, Otherwise, Seen, holds, line};
use crate::grpc::default_port;
use crate::harness::upstream::Any;
use crate::make::{self, SIGNALS};
use crate::overload;
use crate::peer::{Peer, mark};
use crate::server::{oversize, oversize_json};

pub const CHECKS: &[Check] = &[
    line!("HS01", Spec, "takes POST on the default path of each signal", hs01_paths),
    line!("HS02", Spec, "listens on port 4318 unless told otherwise", hs02_default_port),
    line!("HS03", Must, "takes and answers binary as application/x-protobuf", hs03_binary),
    line!("HS04", Must, "takes and answers JSON as application/json", hs04_json),
    line!("HS05", Must, "answers in the request's content type, errors included", hs05_mirrored_type),
    line!("HS06", Should, "tells binary, JSON and gRPC apart on one port", hs06_one_port),
    line!("HS07", Must, "answers what is too large 413", hs07_oversize_is_413),
    line!("HS08", May, "compresses a reply only for those who accept it", hs08_compressed_reply),
    line!("HS09", Must, "answers full and partial success with exactly 200", hs09_success_is_200),
    line!("HS10", Must, "puts a google.rpc.Status into the body of every failure", hs10_status_bodies),
    line!("HS11", Should, "says in the status, for developers, what is wrong", hs11_status_messages),
    line!("HS12", Must, "answers what can not be read 400", hs12_undecodable_is_400),
    line!("HS12.2", Should, "names the place in a BadRequest then", hs12_names_the_place),
    line!("HS13", Should, "answers overload with 429 or 503", hs13_overload),
    line!("HS14", Should, "keeps 429, 502, 503 and 504 for what may pass later", hs14_codes_decide_fate),
    line!(
        "HS15",
        Ours,
        "speaks HTTP/1.1 and, without TLS too, HTTP/2",
        hs15_both_versions,
        inside: "tls_serves_grpc_and_http_of_either_version"
    ),
    line!("HS16", Spec, "reads media types in any case and with parameters", hs16_media_types),
    line!(
        "HS17",
        Spec,
        "answers an unknown coding 415 with those it knows; identity and x-gzip are known",
        hs17_codings
    ),
    line!("HS18", Spec, "reads chunked, pipelined and `Expect: 100-continue` requests", hs18_transfer),
    line!("HS19", Ours, "takes no other media type and grants no cross-origin request", hs19_drive_by, inside: "hs19_browsers_are_let_in_only_from_named_origins"),
];

async fn hs01_paths(peer: Arc<Peer>) -> Seen {
    for signal in SIGNALS {
        let body = make::good(signal, &mark("hs01"));
        let reply = call::post(peer.http()?, signal.http_path(), PROTOBUF, body).await?;
        holds!(reply.status == 200, "{}: {}", signal.http_path(), reply.status);
    }
    Ok(())
}

async fn hs02_default_port(peer: Arc<Peer>) -> Seen {
    default_port(&peer, peer.http()?.port(), 4318).await
}

async fn answered_in(peer: &Peer, kind: &str, body: impl Into<Bytes>) -> Seen {
    let reply = call::post(peer.http()?, "/v1/logs", kind, body).await?;
    let answered = reply.header("content-type");
    holds!(reply.status == 200 && answered == kind, "{kind} is answered {} in {answered:?}", reply.status);
    Ok(())
}

async fn hs03_binary(peer: Arc<Peer>) -> Seen {
    answered_in(&peer, PROTOBUF, make::good(Signal::Logs, &mark("hs03"))).await
}

async fn hs04_json(peer: Arc<Peer>) -> Seen {
    answered_in(&peer, JSON, make::json_log(&mark("hs04"), "")).await
}

async fn hs05_mirrored_type(peer: Arc<Peer>) -> Seen {
    for (kind, good) in [
        (PROTOBUF, Bytes::from(make::good(Signal::Logs, &mark("hs05")))),
        (JSON, make::json_log(&mark("hs05"), "").into()),
    ] {
        for (what, path, body) in [
            ("success", "/v1/logs", good.clone()),
            ("a malformed body", "/v1/logs", Bytes::from_static(b"\x0a\x7f{")),
        ] {
            let reply = call::post(peer.http()?, path, kind, body).await?;
            let answered = reply.header("content-type");
            holds!(answered == kind, "{what} in {kind} is answered {} in {answered:?}", reply.status);
        }
    }
    Ok(())
}

async fn hs06_one_port(peer: Arc<Peer>) -> Seen {
    answered_in(&peer, PROTOBUF, make::good(Signal::Logs, &mark("hs06"))).await?;
    answered_in(&peer, JSON, make::json_log(&mark("hs06"), "")).await
}

async fn hs07_oversize_is_413(peer: Arc<Peer>) -> Seen {
    for (kind, body) in [(PROTOBUF, oversize()), (JSON, oversize_json())] {
        let packed = gzip(&body);
        let reply = call::post(peer.http()?, "/v1/logs", kind, body).await?;
        holds!(reply.status == 413, "65 MiB of {kind} on the wire: {}", reply.status);
        let headers = [("content-type", kind), ("content-encoding", "gzip")];
        let reply = call::request(peer.http()?, "POST", "/v1/logs", &headers, packed).await?;
        holds!(reply.status == 413, "65 MiB of {kind} inflated: {}", reply.status);
    }
    Ok(())
}

async fn hs08_compressed_reply(peer: Arc<Peer>) -> Seen {
    let (to, body) = (peer.http()?, make::json_log(&mark("hs08"), ""));
    let reply = call::post(to, "/v1/logs", JSON, body.clone()).await?;
    let coding = reply.header("content-encoding");
    holds!(coding.is_empty() || coding == "identity", "an unasked reply is in {coding:?}");
    let headers = [("content-type", JSON), ("accept-encoding", "gzip")];
    let reply = call::request(to, "POST", "/v1/logs", &headers, body).await?;
    if reply.header("content-encoding") == "gzip" {
        let inflated = flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut Vec::new());
        holds!(inflated.is_ok(), "a reply called gzip is none");
    }
    Ok(())
}

async fn hs09_success_is_200(peer: Arc<Peer>) -> Seen {
    let full = call::post(peer.http()?, "/v1/traces", PROTOBUF, make::good(Signal::Traces, "hs09")).await?;
    holds!(full.status == 200, "full success is {}", full.status);
    let mut span = make::span("hs09");
    span.span_id.pop();
    let half = make::traces("hs09", vec![make::span("hs09"), span]);
    let half = call::post(peer.http()?, "/v1/traces", PROTOBUF, prost::Message::encode_to_vec(&half)).await?;
    let is_refused_whole = (400..500).contains(&half.status);
    holds!(half.status == 200 || is_refused_whole, "partial success is {}", half.status);
    Ok(())
}

/// Requests that fail, each in its own way, in this encoding.
async fn failures(peer: &Peer, kind: &str) -> Result<Vec<(&'static str, u16, Reply)>, Otherwise> {
    let to = peer.http()?;
    let typed = [("content-type", kind)];
    let unknown = [("content-type", kind), ("content-encoding", "brotli")];
    let other = [("content-type", "text/plain"), ("accept", kind)];
    Ok(vec![
        ("malformed", 400, call::post(to, "/v1/logs", kind, &b"\x0a\x7f{"[..]).await?),
        ("an unknown path", 404, call::post(to, "/v1/nothing", kind, &b"{}"[..]).await?),
        ("PUT", 405, call::request(to, "PUT", "/v1/logs", &typed, &b"{}"[..]).await?),
        ("an unknown coding", 415, call::request(to, "POST", "/v1/logs", &unknown, &b"{}"[..]).await?),
        ("another media type", 415, call::request(to, "POST", "/v1/logs", &other, &b"{}"[..]).await?),
        ("too large", 413, call::post(to, "/v1/logs", kind, oversize()).await?),
    ])
}

async fn hs10_status_bodies(peer: Arc<Peer>) -> Seen {
    for kind in [PROTOBUF, JSON] {
        for (what, status, reply) in failures(&peer, kind).await? {
            holds!(reply.status >= 400, "{what} is answered {}", reply.status);
            let answered = reply.header("content-type");
            holds!(answered == kind, "{what} ({status}) in {kind} is answered in {answered:?}");
            let says = reply.error().is_some_and(|error| error.code != 0 || !error.message.is_empty());
            holds!(says, "the body of {} for {what} in {kind} is no google.rpc.Status", reply.status);
        }
    }
    Ok(())
}

async fn hs11_status_messages(peer: Arc<Peer>) -> Seen {
    for kind in [PROTOBUF, JSON] {
        let reply = call::post(peer.http()?, "/v1/logs", kind, &b"\x0a\x7f{"[..]).await?;
        let message = reply.error().map(|error| error.message).unwrap_or_default();
        holds!(message.len() > 10, "a malformed body in {kind} is only told {message:?}");
    }
    Ok(())
}

async fn hs12_undecodable_is_400(peer: Arc<Peer>) -> Seen {
    let zipped = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let to = peer.http()?;
    for (what, reply) in [
        ("protobuf cut short", call::post(to, "/v1/traces", PROTOBUF, &b"\x0a\x7f\x01"[..]).await?),
        ("no JSON", call::post(to, "/v1/traces", JSON, "{\"resourceSpans\":[").await?),
        ("JSON of another shape", call::post(to, "/v1/traces", JSON, "{\"resourceSpans\":7}").await?),
        ("no gzip", call::request(to, "POST", "/v1/traces", &zipped, "no gzip at all").await?),
    ] {
        holds!(reply.status == 400, "{what}: {}", reply.status);
    }
    Ok(())
}

async fn hs12_names_the_place(peer: Arc<Peer>) -> Seen {
    for (kind, body) in [(PROTOBUF, &b"\x0a\x7f\x01"[..]), (JSON, &b"{\"resourceSpans\":7}"[..])] {
        let reply = call::post(peer.http()?, "/v1/traces", kind, body).await?;
        let is_one = |any: &Any| any.type_url.ends_with("google.rpc.BadRequest");
        let named = reply.error().is_some_and(|error| error.details.iter().any(is_one));
        holds!(named, "a malformed body in {kind} is answered without BadRequest");
    }
    Ok(())
}

async fn hs13_overload(peer: Arc<Peer>) -> Seen {
    let (_, refused) = overload::until_refused(&peer).await?;
    holds!([429, 503].contains(&refused.status), "under overload it answers {}", refused.status);
    if let Some(after) = refused.headers.get("retry-after") {
        let after = after.to_str().unwrap_or_default();
        let is_date = httpdate::parse_http_date(after).is_ok();
        holds!(is_date || after.parse::<u32>().is_ok(), "Retry-After says {after:?}");
    }
    Ok(())
}

async fn hs14_codes_decide_fate(peer: Arc<Peer>) -> Seen {
    let again = [429, 502, 503, 504];
    for (what, _, reply) in failures(&peer, PROTOBUF).await? {
        holds!(!again.contains(&reply.status), "{what} is answered {}", reply.status);
    }
    match overload::until_refused(&peer).await {
        Ok((_, refused)) => {
            holds!(again.contains(&refused.status), "overload is answered {}", refused.status)
        }
        Err(_) => return Ok(()),
    }
    Ok(())
}

async fn hs15_both_versions(peer: Arc<Peer>) -> Seen {
    let body = make::good(Signal::Logs, &mark("hs15"));
    let first = call::post(peer.http()?, "/v1/logs", PROTOBUF, body.clone()).await?;
    holds!(first.status == 200, "over HTTP/1.1: {}", first.status);
    let second = call::http2(peer.http()?, "/v1/logs", &[("content-type", PROTOBUF)], body).await?;
    holds!(second.status == 200, "over HTTP/2: {}", second.status);
    Ok(())
}

async fn hs16_media_types(peer: Arc<Peer>) -> Seen {
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"] {
        let reply = call::post(peer.http()?, "/v1/logs", kind, make::json_log(&mark("hs16"), "")).await?;
        holds!(reply.status == 200, "{kind:?}: {}", reply.status);
    }
    for kind in ["APPLICATION/X-PROTOBUF", "application/x-protobuf; v=1"] {
        let body = make::good(Signal::Logs, &mark("hs16"));
        let reply = call::post(peer.http()?, "/v1/logs", kind, body).await?;
        holds!(reply.status == 200, "{kind:?}: {}", reply.status);
    }
    Ok(())
}

async fn hs17_codings(peer: Arc<Peer>) -> Seen {
    let body = make::good(Signal::Logs, &mark("hs17"));
    let to = peer.http()?;
    let coded = |coding| [("content-type", PROTOBUF), ("content-encoding", coding)];
    let reply = call::request(to, "POST", "/v1/logs", &coded("brotli"), body.clone()).await?;
    holds!(reply.status == 415, "brotli: {}", reply.status);
    let offered = reply.header("accept-encoding");
    holds!(offered.contains("gzip"), "Accept-Encoding says {offered:?}");
    for (coding, body) in [("identity", body.clone()), ("x-gzip", gzip(&body))] {
        let reply = call::request(to, "POST", "/v1/logs", &coded(coding), body).await?;
        holds!(reply.status == 200, "{coding}: {}", reply.status);
    }
    Ok(())
}

async fn hs18_transfer(peer: Arc<Peer>) -> Seen {
    let to = peer.http()?;
    let body = make::json_log(&mark("hs18"), "");
    let post = format!("POST /v1/logs HTTP/1.1\r\nhost: {to}\r\ncontent-type: {JSON}\r\n");
    let (front, back) = body.split_at(body.len() / 2);
    let chunks = format!("{:x}\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n", front.len(), back.len());
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}");
    let sized = format!("{post}content-length: {}\r\n\r\n{body}", body.len());

    // Three requests before the first reply is read.
    let (mut replies, mut writer) = call::http1(to).await?;
    let _ = writer.write_all([chunked.as_str(), &sized, &chunked].concat().as_bytes()).await;
    for which in ["a chunked request", "one behind it", "one more"] {
        let reply = replies.next().await?;
        holds!(reply.status == 200, "{which}: {}", reply.status);
    }

    let (mut replies, mut writer) = call::http1(to).await?;
    let head = format!("{post}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = writer.write_all(head.as_bytes()).await;
    let interim = tokio::time::timeout(std::time::Duration::from_secs(5), replies.next()).await;
    let interim = interim.ok().and_then(Result::ok).map(|reply| reply.status);
    holds!(interim == Some(100), "who waits for 100 is answered {interim:?}");
    let _ = writer.write_all(body.as_bytes()).await;
    let reply = replies.next().await?;
    holds!(reply.status == 200, "after 100: {}", reply.status);
    Ok(())
}

async fn hs19_drive_by(peer: Arc<Peer>) -> Seen {
    let to = peer.http()?;
    let json = make::json_log(&mark("hs19"), "");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"] {
        let reply = call::post(to, "/v1/logs", kind, json.clone()).await?;
        holds!(reply.status >= 400, "{kind}: {}", reply.status);
    }
    let untyped = call::request(to, "POST", "/v1/logs", &[], json).await?;
    holds!(untyped.status >= 400, "without a type: {}", untyped.status);
    let asked = [
        ("origin", "https://page.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let reply = call::request(to, "OPTIONS", "/v1/logs", &asked, Bytes::new()).await?;
    let granted = reply.header("access-control-allow-origin");
    holds!(granted.is_empty(), "a page of another origin is granted {granted:?}");
    Ok(())
}
