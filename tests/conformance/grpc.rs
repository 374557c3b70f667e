//! A2: the OTLP/gRPC server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spandrel::wire::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::call::{self, GrpcReply, frame, gzip};
use crate::check::{Check, Otherwise, Seen, does_not, holds, inside, line, not_observable};
use crate::harness::proxy;
use crate::make::{self, SIGNALS, field};
use crate::overload;
use crate::peer::{Peer, mark};
use crate::server::oversize;

pub const CHECKS: &[Check] = &[
    line!("GS01", Must, "serves Export as a unary call for traces, metrics and logs", gs01_services),
    line!("GS02", Spec, "listens on port 4317 unless told otherwise", gs02_default_port),
    line!(
        "GS03",
        Must,
        "answers what is too large with RESOURCE_EXHAUSTED and no RetryInfo",
        gs03_oversize_is_final
    ),
    line!("GS04", Should, "answers what may pass later with UNAVAILABLE", gs04_transient_is_unavailable),
    line!("GS05", Should, "answers what never will pass with INVALID_ARGUMENT", gs05_permanent_is_invalid),
    line!("GS06", Should, "says under overload when to come again (RetryInfo)", gs06_overload_says_when),
    line!(
        "GS07",
        Ours,
        "gives no bad request a code that has a client send it again",
        gs07_codes_decide_fate
    ),
    line!(
        "GS08",
        Should,
        "answers other calls of a connection while one is still being sent",
        gs08_calls_are_independent
    ),
    line!(
        "GS09",
        Spec,
        "answers a flagged message without encoding INTERNAL, an unknown encoding UNIMPLEMENTED",
        gs09_encodings
    ),
    line!("GS10", Ours, "names the place of a malformed byte in a BadRequest", gs10_malformed_is_named),
    line!("GS11", Spec, "never answers OK to a second message or to bytes after the first", gs11_one_message),
    line!("GS12", Spec, "reads gzip of several members whole, and nothing after it", gs12_gzip_members),
    line!(
        "GS13",
        Spec,
        "ends a call at its own deadline",
        gs13_deadline,
        inside: "a_caller_that_goes_away_frees_what_its_body_held"
    ),
    line!("GS14", Spec, "takes application/grpc and +proto, and answers other types 415", gs14_content_types),
    line!(
        "GS15",
        Ours,
        "says GOAWAY in two steps, on shutdown and at a connection's age, and finishes what is in flight",
        gs15_goaway,
        inside: "gs15_a_connection_of_age_is_told_in_two_steps_to_go",
        "gs15_what_is_in_flight_at_a_connections_age_finishes_within_the_grace"
    ),
    line!("GS16", Ours, "answers health probes (`grpc.health.v1`)", gs16_health),
    inside!("GS16.2", Ours, "names its services by reflection", "reflection_names_what_a_listener_serves"),
];

const TRACES: &str = Signal::Traces.grpc_path();

async fn gs01_services(peer: Arc<Peer>) -> Seen {
    for signal in SIGNALS {
        let reply = call::export(peer.grpc()?, signal, &make::good(signal, &mark("gs01"))).await?;
        holds!(reply.is("OK"), "{}: {} {}", signal.grpc_path(), reply.code_name(), reply.message);
    }
    Ok(())
}

async fn gs02_default_port(peer: Arc<Peer>) -> Seen {
    default_port(&peer, peer.grpc()?.port(), 4317).await
}

/// Ours says it itself; a stranger shows it by where it was found.
pub async fn default_port(peer: &Peer, port: u16, default: u16) -> Seen {
    if peer.own.is_none() {
        let elsewhere = || not_observable("it listens where it was told to");
        return if port == default { Ok(()) } else { Err(elsewhere()) };
    }
    let output = proxy::command().arg("print-config").output().await;
    let printed =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    holds!(printed.contains(&format!("127.0.0.1:{default}")), "its configuration is {printed}");
    Ok(())
}

async fn gs03_oversize_is_final(peer: Arc<Peer>) -> Seen {
    let body = oversize();
    let zipped = call::grpc(
        peer.grpc()?,
        Signal::Logs.grpc_path(),
        &[("grpc-encoding", "gzip")],
        frame(1, &gzip(&body)),
    );
    for (what, reply) in
        [("on the wire", call::export(peer.grpc()?, Signal::Logs, &body).await?), ("inflated", zipped.await?)]
    {
        holds!(reply.is("RESOURCE_EXHAUSTED"), "65 MiB {what}: {}", reply.code_name());
        holds!(!reply.details_named("RetryInfo"), "65 MiB {what} are to come again");
    }
    Ok(())
}

async fn gs04_transient_is_unavailable(peer: Arc<Peer>) -> Seen {
    let (refused, _) = overload::until_refused(&peer).await?;
    holds!(refused.is("UNAVAILABLE"), "under overload it answers {}", refused.code_name());
    Ok(())
}

async fn gs06_overload_says_when(peer: Arc<Peer>) -> Seen {
    let (refused, _) = overload::until_refused(&peer).await?;
    let after = refused.details.as_ref().and_then(|status| status.retry_after());
    let sensible = Duration::from_millis(1)..=Duration::from_secs(60);
    holds!(
        after.is_some_and(|after| sensible.contains(&after)),
        "under overload it answers {} with {}",
        refused.code_name(),
        after.map_or("no RetryInfo".into(), |after| format!("a delay of {after:?}"))
    );
    Ok(())
}

/// Calls that no repetition mends, and what is wrong with each.
async fn wrong_calls(peer: &Peer) -> Result<Vec<(&'static str, GrpcReply)>, Otherwise> {
    let to = peer.grpc()?;
    let gzip_named = [("grpc-encoding", "gzip")];
    let good = make::good(Signal::Traces, &mark("gs07"));
    Ok(vec![
        ("a field cut short", call::export(to, Signal::Traces, &[0x0a, 0x7f, 0x01]).await?),
        ("text instead of protobuf", call::export(to, Signal::Traces, b"{\"resourceSpans\":[]}").await?),
        ("a wrong wire type", call::export(to, Signal::Traces, &[0x08, 0x01]).await?),
        ("gzip that is none", call::grpc(to, TRACES, &gzip_named, frame(1, b"no gzip at all")).await?),
        ("gzip cut short", call::grpc(to, TRACES, &gzip_named, frame(1, &gzip(&good)[..20])).await?),
    ])
}

async fn gs05_permanent_is_invalid(peer: Arc<Peer>) -> Seen {
    for (what, reply) in wrong_calls(&peer).await? {
        holds!(reply.is("INVALID_ARGUMENT"), "{what}: {}", reply.code_name());
    }
    Ok(())
}

async fn gs07_codes_decide_fate(peer: Arc<Peer>) -> Seen {
    let again = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"];
    let mut replies = wrong_calls(&peer).await?;
    replies.push(("too large", call::export(peer.grpc()?, Signal::Logs, &oversize()).await?));
    for (what, reply) in replies {
        let code = reply.code_name();
        holds!(reply.code.is_some() && !again.contains(&code.as_str()), "{what}: {code}");
    }
    Ok(())
}

async fn gs08_calls_are_independent(peer: Arc<Peer>) -> Seen {
    let to = peer.grpc()?;
    let mut sender = call::http2_connection(to).await?;
    let ended = |fault: h2::Error| does_not(format!("the connection ended: {fault}"));
    let head = || call::head(to, TRACES, &[("te", "trailers"), ("content-type", "application/grpc")]);
    let framed = frame(0, &make::good(Signal::Traces, &mark("gs08")));
    let (slow, mut stream) = sender.send_request(head(), false).map_err(ended)?;
    stream.send_data(framed.slice(..20), false).map_err(ended)?;
    for _ in 0..50 {
        sender = sender.ready().await.map_err(ended)?;
        let (quick, mut body) = sender.send_request(head(), false).map_err(ended)?;
        body.send_data(frame(0, &make::good(Signal::Traces, &mark("gs08"))), true).map_err(ended)?;
        let reply = call::judged(call::finish(quick).await?);
        holds!(reply.is("OK"), "beside a slow call another is answered {}", reply.code_name());
    }
    stream.send_data(framed.slice(20..), true).map_err(ended)?;
    let reply = call::judged(call::finish(slow).await?);
    holds!(reply.is("OK"), "the slow call itself: {}", reply.code_name());
    Ok(())
}

async fn gs09_encodings(peer: Arc<Peer>) -> Seen {
    let to = peer.grpc()?;
    let packed = gzip(&make::good(Signal::Traces, &mark("gs09")));
    let unnamed = call::grpc(to, TRACES, &[], frame(1, &packed)).await?;
    holds!(unnamed.is("INTERNAL"), "flagged without encoding: {}", unnamed.code_name());
    let unknown = call::grpc(to, TRACES, &[("grpc-encoding", "brotli")], frame(1, &packed)).await?;
    holds!(unknown.is("UNIMPLEMENTED"), "an unknown encoding: {}", unknown.code_name());
    let offered = unknown.headers.get("grpc-accept-encoding").and_then(|value| value.to_str().ok());
    holds!(offered.is_some_and(|offered| offered.contains("gzip")), "it offers {offered:?} instead");
    Ok(())
}

async fn gs10_malformed_is_named(peer: Arc<Peer>) -> Seen {
    let reply = call::export(peer.grpc()?, Signal::Traces, &[0x0a, 0x7f, 0x01]).await?;
    holds!(reply.is("INVALID_ARGUMENT"), "it answers {}", reply.code_name());
    holds!(reply.details_named("BadRequest"), "no BadRequest in its details");
    Ok(())
}

async fn gs11_one_message(peer: Arc<Peer>) -> Seen {
    let one = frame(0, &make::good(Signal::Traces, &mark("gs11")));
    for (what, more) in [("a second message", &one[..]), ("a byte", &[0][..]), ("half a frame", &one[..9])] {
        let body = [&one[..], more].concat();
        let reply = call::grpc(peer.grpc()?, TRACES, &[], body).await;
        // A reset stream is an error too.
        let code = reply.map_or_else(|_| "a reset".into(), |reply| reply.code_name());
        holds!(code != "OK", "{what} after the message: {code}");
    }
    Ok(())
}

async fn gs12_gzip_members(peer: Arc<Peer>) -> Seen {
    let mark = mark("gs12");
    let whole = [make::good(Signal::Logs, "before"), make::good(Signal::Logs, &mark)].concat();
    let (first, second) = whole.split_at(whole.len() / 2);
    let members = [gzip(first), gzip(second)].concat();
    let path = Signal::Logs.grpc_path();
    let named = [("grpc-encoding", "gzip")];
    let reply = call::grpc(peer.grpc()?, path, &named, frame(1, &members)).await?;
    holds!(reply.is("OK"), "two members: {} {}", reply.code_name(), reply.message);
    if let Some(backend) = &peer.backend {
        backend.arrives(&mark).await?;
    }
    let garbage = [gzip(&whole), b"garbage".to_vec()].concat();
    let reply = call::grpc(peer.grpc()?, path, &named, frame(1, &garbage)).await?;
    holds!(!reply.is("OK"), "garbage after a member is taken");
    Ok(())
}

async fn gs13_deadline(peer: Arc<Peer>) -> Seen {
    let to = peer.grpc()?;
    let mut sender = call::http2_connection(to).await?;
    let headers = [("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "300m")];
    let (response, mut stream) = sender
        .send_request(call::head(to, TRACES, &headers), false)
        .map_err(|fault| does_not(format!("the connection ended: {fault}")))?;
    let _ = stream.send_data(Bytes::from_static(&[0, 0, 0]), false);
    let ended = tokio::time::timeout(Duration::from_secs(5), call::finish(response)).await;
    let Ok(ended) = ended else { return Err(does_not("a deadline of 300 ms passes and nothing happens")) };
    let is_ok = ended.map(call::judged).is_ok_and(|reply| reply.is("OK"));
    holds!(!is_ok, "half a message is answered OK");
    Ok(())
}

async fn gs14_content_types(peer: Arc<Peer>) -> Seen {
    for kind in ["application/grpc", "application/grpc+proto"] {
        let body = frame(0, &make::good(Signal::Traces, &mark("gs14")));
        let reply = call::grpc(peer.grpc()?, TRACES, &[("content-type", kind)], body).await?;
        holds!(reply.is("OK"), "{kind}: {}", reply.code_name());
    }
    for kind in ["application/grpc-web+proto", "text/plain"] {
        let body = frame(0, &make::good(Signal::Traces, &mark("gs14")));
        let reply = call::grpc(peer.grpc()?, TRACES, &[("content-type", kind)], body).await?;
        holds!(reply.http == 415, "{kind}: HTTP {} {}", reply.http, reply.code_name());
    }
    Ok(())
}

/// HTTP/2 frame types.
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

async fn gs15_goaway(peer: Arc<Peer>) -> Seen {
    let server = peer.started("join: {scope: off}\n").await?;
    let to = server.grpc();
    // One connection looks at frames, on the other a call is half sent.
    let mut looker = call::connect(to).await?;
    let _ = looker.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    holds!(next_frame(&mut looker).await?.0 == SETTINGS, "a server begins with SETTINGS");
    let mut sender = call::http2_connection(to).await?;
    let ended = |fault: h2::Error| does_not(format!("what was in flight ended: {fault}"));
    let head = call::head(to, TRACES, &[("te", "trailers"), ("content-type", "application/grpc")]);
    let (response, mut stream) = sender.send_request(head, false).map_err(ended)?;
    let framed = frame(0, &make::good(Signal::Traces, &mark("gs15")));
    stream.send_data(framed.slice(..10), false).map_err(ended)?;
    // The server has seen the half call once it has answered a whole one behind it.
    let whole = frame(0, &make::good(Signal::Traces, &mark("gs15")));
    sender = sender.ready().await.map_err(ended)?;
    let head = call::head(to, TRACES, &[("te", "trailers"), ("content-type", "application/grpc")]);
    let (behind, mut body) = sender.send_request(head, false).map_err(ended)?;
    body.send_data(whole, true).map_err(ended)?;
    holds!(call::judged(call::finish(behind).await?).is("OK"), "it does not answer before shutdown");

    server.ask_to_stop();
    let mut lasts = Vec::new();
    while let Ok((kind, payload)) = next_frame(&mut looker).await {
        if kind == GOAWAY
            && let Some(last) = payload.first_chunk::<4>()
        {
            lasts.push(u32::from_be_bytes(*last) & 0x7fff_ffff);
        }
    }
    holds!(lasts.len() >= 2 && lasts[0] == 0x7fff_ffff, "GOAWAY names these last streams: {lasts:?}");
    stream.send_data(framed.slice(10..), true).map_err(ended)?;
    let reply = call::judged(call::finish(response).await?);
    holds!(reply.is("OK"), "what was in flight is answered {}", reply.code_name());
    Ok(())
}

/// One HTTP/2 frame. A PING that is not answered is how some servers wait between two GOAWAYs, so it is.
async fn next_frame(socket: &mut tokio::net::TcpStream) -> Result<(u8, Vec<u8>), Otherwise> {
    const PING: u8 = 6;
    let mut head = [0; 9];
    let ended = |fault: std::io::Error| does_not(format!("the connection ended: {fault}"));
    socket.read_exact(&mut head).await.map_err(ended)?;
    let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; len];
    socket.read_exact(&mut payload).await.map_err(ended)?;
    if head[3] == PING && head[4] & 1 == 0 {
        let answer = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], &payload[..]].concat();
        socket.write_all(&answer).await.map_err(ended)?;
    }
    Ok((head[3], payload))
}

async fn gs16_health(peer: Arc<Peer>) -> Seen {
    let to = peer.grpc()?;
    let check = "/grpc.health.v1.Health/Check";
    let reply = call::grpc(to, check, &[], frame(0, &[])).await?;
    holds!(reply.is("OK"), "the whole server: {}", reply.code_name());
    // HealthCheckResponse.status = SERVING.
    holds!(reply.body[..] == [0x08, 0x01], "the whole server: {:?}", reply.body);
    let unknown = call::grpc(to, check, &[], frame(0, &field(1, b"nobody"))).await?;
    holds!(unknown.is("NOT_FOUND"), "a service nobody knows: {}", unknown.code_name());
    Ok(())
}
