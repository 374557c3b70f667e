//! A5: the client. It is fed through its own receiver, and its upstream is played to it.
//!
//! That something is *not* sent again is seen without sleeping: another record is refused three times
//! behind it, and when that has come for the fourth time, whatever was to be repeated would have been.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use crate::backend::{Answer, Arrived, Backend, Transport};
use crate::call::{self, CODES, PROTOBUF};
use crate::check::{Check, Seen, does_not, holds, inside, line, not_observable};
use crate::make::field;
use crate::peer::{Forwarding, Peer, mark};

pub const CHECKS: &[Check] = &[
    line!(
        "C01",
        Must,
        "does not send a request larger than it is told to",
        c01_request_limit,
        inside: "c01_a_batch_over_the_limit_is_not_sent",
        "c01_a_batch_over_the_configured_limit_goes_in_parts_and_none_is_over_it"
    ),
    line!(
        "C02",
        Must,
        "gives up on a reply larger than 4 MiB, packed or not, and does not send again",
        c02_response_limit,
        inside: "c02_f22_an_endless_reply_is_refused_at_the_bound"
    ),
    line!(
        "C03",
        Must,
        "never repeats what was taken in part, and counts what was rejected",
        c03_partial_is_final,
        inside: "what_is_refused_in_part_is_counted_in_part"
    ),
    line!(
        "C04",
        Must,
        "never repeats what failed for good, and counts it",
        c04_permanent_is_final,
        inside: "what_is_refused_for_good_is_counted_and_not_sent_again"
    ),
    line!("C05", Must, "backs off exponentially and with jitter", c05_backoff),
    line!("C06", Must, "sends less while it is told to wait", c06_throttles),
    line!("C07", Should, "has several calls in flight at once", c07_concurrent),
    inside!(
        "C08",
        Should,
        "waits at shutdown only so long, and records what was not delivered",
        "an_upstream_that_hangs_is_not_waited_for_longer_than_the_drain_takes",
        "c08_at_the_end_what_is_in_flight_and_waiting_is_counted"
    ),
    line!("C09", Should, "brings to one destination what another does not take", c09_independent),
    line!("C10", Spec, "sends again what was taken but not acknowledged", c10_lost_ack),
    line!("C11", Should, "names itself in the form of an OTLP exporter", c11_user_agent),
    line!("GC1", Should, "repeats the gRPC codes that may pass later, and no others", gc1_codes),
    line!("GC2", Should, "repeats RESOURCE_EXHAUSTED only when told when", gc2_exhausted),
    line!(
        "GC3",
        Should,
        "waits as long as RetryInfo says",
        gc3_retry_info,
        inside: "gc3_an_absurd_delay_is_capped_and_a_zero_delay_is_none"
    ),
    line!("HC1", Must, "says what the body is and how it is packed", hc1_headers),
    line!("HC2", Must, "repeats 429, 502, 503 and 504, and no other failure", hc2_statuses),
    line!(
        "HC3",
        Should,
        "waits as long as Retry-After says, in seconds or to a date",
        hc3_retry_after,
        inside: "hc3_f15_an_absurd_retry_after_does_not_stop_the_upstream_for_ever"
    ),
    line!("HC4", Should, "repeats a request whose connection ended without reply", hc4_cut),
    line!("HC5", Must, "waits and comes again when it can not connect", hc5_unreachable),
    line!("HC6", Should, "keeps connections for the next request", hc6_keep_alive),
    line!("HC7", Spec, "goes by HTTP's status, not by the one in the body", hc7_status_alone),
    line!("HC7.2", Ours, "follows no redirect: credentials would travel along", hc7_no_redirect),
    line!("HC8", Ours, "takes a success whose body it can not read for a success", hc8_odd_success),
    line!("A6.1", Spec, "appends the signal's path to `OTEL_EXPORTER_OTLP_ENDPOINT`", a6_endpoint),
    line!("A6.2", Spec, "sends `…_HEADERS`, percent-decoded, split at the first `=`", a6_headers),
    line!("A6.3", Spec, "packs as `…_COMPRESSION` says, and speaks as `…_PROTOCOL` says", a6_protocol),
    line!(
        "A6.4",
        Spec,
        "ends an attempt after `…_TIMEOUT`",
        a6_timeout,
        inside: "a_silent_upstream_is_tried_again_after_the_timeout"
    ),
    inside!(
        "A6.5",
        Spec,
        "trusts `…_CERTIFICATE` and shows `…_CLIENT_CERTIFICATE`",
        "hc6_a_trusted_upstream_is_spoken_to_in_what_alpn_agrees_on",
        "a_client_certificate_opens_what_asks_for_one"
    ),
    inside!(
        "A6.6",
        Spec,
        "reads endpoints, and `…_INSECURE` where they name no scheme, as exporters do",
        "a6_otel_endpoints_are_read_as_the_exporter_specification_has_them"
    ),
    line!(
        "A6.7",
        Ours,
        "refuses to export to itself",
        a6_self_loop,
        inside: "f48_a_loop_behind_another_address_ends_and_is_said"
    ),
    line!(
        "A6.8",
        Spec,
        "uses `…_LOGS_ENDPOINT` as it stands; it and its like beat the general ones",
        a6_own_endpoint,
        inside: "a6_every_option_of_a_signal_beats_the_general_one"
    ),
];

/// What is answered like this is not sent again.
async fn is_final(peer: &Peer, transport: Transport, what: &str, answer: Answer) -> Seen {
    let client = peer.forwarding(transport).await?;
    let mark = mark("final");
    client.feed_answered(&mark, [answer]).await?;
    client.time_passes().await?;
    let times = client.times(&mark);
    holds!(times == 1, "{what} over {transport:?} comes {times} times");
    Ok(())
}

/// For the line about an empty partial success, on both transports.
pub async fn seen_as_success(peer: &Peer, message: &[u8]) -> Seen {
    for transport in peer.transports().await? {
        let client = peer.forwarding(transport).await?;
        let mark = mark("success");
        client.feed_answered(&mark, [Answer::message(transport, message)]).await?;
        client.time_passes().await?;
        let times = client.times(&mark);
        holds!(times == 1, "it over {transport:?} comes {times} times");
        if let Some(own) = &client.own {
            let ledger = own.await_settled(spandrel::wire::Signal::Logs, "default").await;
            holds!(ledger.delivered == ledger.received, "it is counted so: {ledger:?}");
        }
    }
    Ok(())
}

async fn c01_request_limit(peer: Arc<Peer>) -> Seen {
    if peer.own.is_none() {
        return Err(not_observable("its limit is its own affair"));
    }
    for transport in peer.transports().await? {
        let client =
            peer.forwarding_with(transport, "    max_request: 1KiB\n    compression: none\n").await?;
        let (large, small) = (format!("{}-{}", mark("c01"), "x".repeat(2000)), mark("c01"));
        client.feed(&large).await?;
        client.feed(&small).await?;
        client.backend.arrives(&small).await?;
        holds!(client.times(&large) == 0, "a request over the limit is sent");
    }
    Ok(())
}

async fn c02_response_limit(peer: Arc<Peer>) -> Seen {
    // A field of 5 MiB that nobody knows, so that the reply could be read if it were not so long.
    let long = field(1000, &vec![0; 5 << 20]);
    for transport in peer.transports().await? {
        is_final(&peer, transport, "after a reply of 5 MiB it", Answer::message(transport, &long)).await?;
    }
    if !peer.transports().await?.contains(&Transport::Http) {
        return Ok(());
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = packed.write_all(&long).and_then(|()| packed.finish());
    let headers = vec![("content-type", PROTOBUF.into()), ("content-encoding", "gzip".into())];
    let body = Bytes::from(packed.map_err(|fault| does_not(fault.to_string()))?);
    let answer = Answer::Reply { status: 200, headers, body, trailers: Vec::new() };
    is_final(&peer, Transport::Http, "after a reply that inflates to 5 MiB it", answer).await
}

async fn c03_partial_is_final(peer: Arc<Peer>) -> Seen {
    let partial = field(1, &[crate::make::number(1, 1), field(2, b"rejected for the test")].concat());
    for transport in peer.transports().await? {
        is_final(&peer, transport, "what was taken in part", Answer::message(transport, &partial)).await?;
    }
    Ok(())
}

async fn c04_permanent_is_final(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        let answer = match transport {
            Transport::Grpc => Answer::grpc(3, None),
            Transport::Http => Answer::http(400),
        };
        is_final(&peer, transport, "what was refused for good", answer).await?;
    }
    Ok(())
}

/// The pauses between arrivals.
fn gaps(came: &[Arc<Arrived>]) -> Vec<Duration> {
    came.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

fn mean(gaps: &[Duration]) -> Duration {
    gaps.iter().sum::<Duration>() / u32::try_from(gaps.len().max(1)).unwrap_or(u32::MAX)
}

/// Pauses that c05 looks at, and how few of them still show something.
const PAUSES: usize = 12;
const PAUSES_MIN: usize = 5;

async fn c05_backoff(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        let client = peer.forwarding(transport).await?;
        let mark = mark("c05");
        client.feed_answered(&mark, vec![Answer::later(transport); PAUSES]).await?;
        let came = match client.backend.arrive(&mark, transport, PAUSES + 1).await {
            Ok(came) => came,
            // Its pauses are minutes by now. It must be through with this one before the next line asks.
            Err(_) => {
                let came = client.backend.marked_over(&mark, transport);
                client.backend.script(&mark, transport, []);
                let _ = client.backend.arrive(&mark, transport, came.len() + 1).await;
                came
            }
        };
        let gaps = gaps(&came);
        if gaps.len() < PAUSES_MIN && peer.own.is_none() {
            return Err(not_observable(format!("its pauses are too long to see enough of them: {gaps:?}")));
        }
        // Pauses are drawn by lot, so only many together show that they grow.
        let (early, late) = gaps.split_at(2.min(gaps.len()));
        let (early, late) = (mean(early), mean(late));
        holds!(late > early, "over {transport:?} it waited {gaps:?}");
        // Without jitter the pauses at the cap are equal, and each is twice the one before it until then.
        let close = |a: Duration, b: Duration| a.abs_diff(b) < b / 50 + Duration::from_millis(4);
        let regular = gaps.windows(2).all(|pair| close(pair[1], pair[0] * 2) || close(pair[1], pair[0]));
        holds!(!regular, "over {transport:?} its pauses have no jitter: {gaps:?}");
    }
    Ok(())
}

const FED: usize = 40;

async fn c06_throttles(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Grpc).await?;
    let marks: Vec<String> = (0..FED).map(|_| mark("c06")).collect();
    let asked = Duration::from_millis(1500);
    for mark in &marks {
        client.backend.script(mark, Transport::Grpc, [Answer::grpc(14, Some(asked))]);
    }
    let first = &marks[0];
    client.feed(first).await?;
    client.backend.arrive(first, Transport::Grpc, 1).await?;
    for mark in &marks[1..] {
        client.feed(mark).await?;
    }
    // Until the first comes again, the others were held back.
    let came = client.backend.arrive(first, Transport::Grpc, 2).await?;
    let until = came[0].at + asked;
    let early = marks[1..]
        .iter()
        .filter(|mark| client.backend.marked_over(mark, Transport::Grpc).iter().any(|it| it.at < until))
        .count();
    holds!(early < FED / 2, "told to wait, it sent {early} of {} more", FED - 1);
    Ok(())
}

async fn c07_concurrent(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        let client = peer.forwarding(transport).await?;
        let stuck = mark("c07");
        client.feed_answered(&stuck, [Answer::Never]).await?;
        let next = mark("c07");
        client.feed_answered(&next, []).await?;
        let came = client.times(&stuck);
        holds!(came == 1, "over {transport:?} the next call began only when the first had ended");
    }
    Ok(())
}

async fn c09_independent(peer: Arc<Peer>) -> Seen {
    if peer.own.is_none() {
        if peer.transports().await?.len() < 2 {
            return Err(not_observable("it would have to forward to two destinations"));
        }
        let client = peer.forwarding(Transport::Http).await?;
        let mark = mark("c09");
        client.backend.script(&mark, Transport::Grpc, [Answer::Never]);
        return client.feed_answered(&mark, []).await;
    }
    let (dead, living) = (Backend::anywhere().await, Backend::anywhere().await);
    dead.down().await;
    let config = format!(
        "upstreams:\n  dead: {{endpoint: \"{}\"}}\n  living: {{endpoint: \"{}\"}}\nbatch: {{age: 10ms}}\n",
        dead.endpoint(),
        living.endpoint()
    );
    let own = peer.started(&config).await?;
    for _ in 0..20 {
        let mark = mark("c09");
        let body = prost::Message::encode_to_vec(&crate::make::logs(&mark, 1));
        let reply = call::export(own.grpc(), spandrel::wire::Signal::Logs, &body).await?;
        holds!(reply.is("OK"), "beside a dead upstream it answers {}", reply.code_name());
        living.arrives(&mark).await?;
    }
    Ok(())
}

async fn c10_lost_ack(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        comes_again(&peer, transport, "what was taken and not acknowledged", Answer::Cut).await?;
    }
    Ok(())
}

/// What is answered like this comes again, the same as before.
async fn comes_again(peer: &Peer, transport: Transport, what: &str, answer: Answer) -> Seen {
    let client = peer.forwarding(transport).await?;
    let mark = mark("again");
    client.feed_answered(&mark, [answer]).await?;
    let came = client.backend.arrive(&mark, transport, 2).await;
    let came = came.map_err(|_| does_not(format!("{what} over {transport:?} does not come again")))?;
    holds!(came[0].plain == came[1].plain, "{what} comes again as something else");
    Ok(())
}

async fn c11_user_agent(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        let client = peer.forwarding(transport).await?;
        let mark = mark("c11");
        client.feed_answered(&mark, []).await?;
        let came = client.backend.arrive(&mark, transport, 1).await?;
        let agent = came[0].headers.get("user-agent").and_then(|it| it.to_str().ok()).unwrap_or_default();
        let named = agent.split(' ').any(|product| {
            let rest = product.strip_prefix("OTel-OTLP-Exporter-");
            rest.and_then(|rest| rest.split_once('/')).is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        });
        holds!(named, "over {transport:?} it calls itself {agent:?}");
    }
    Ok(())
}

/// Each of these answers to one record, and whether it is to come again.
async fn fates(client: &Forwarding, answers: Vec<(String, Answer, bool)>) -> Seen {
    let mut fed = Vec::new();
    for (what, answer, again) in answers {
        let mark = mark("fate");
        client
            .feed_answered(&mark, [answer])
            .await
            .map_err(|_| does_not(format!("behind {what} nothing comes")))?;
        fed.push((what, mark, again));
    }
    client.time_passes().await?;
    let mut wrong = Vec::new();
    for (what, mark, again) in fed {
        if again {
            let came = client.backend.arrive(&mark, client.transport, 2).await;
            wrong.extend(came.is_err().then(|| format!("{what} is not repeated")));
        } else if client.times(&mark) > 1 {
            wrong.push(format!("{what} is repeated"));
        }
    }
    holds!(wrong.is_empty(), "{}", wrong.join(", "));
    Ok(())
}

async fn gc1_codes(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Grpc).await?;
    let again = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"];
    let codes = CODES.iter().zip(0..).skip(1).filter(|(name, _)| **name != "RESOURCE_EXHAUSTED");
    let answers =
        codes.map(|(name, code)| ((*name).to_owned(), Answer::grpc(code, None), again.contains(name)));
    fates(&client, answers.collect()).await
}

async fn gc2_exhausted(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Grpc).await?;
    let after = Some(Duration::from_millis(100));
    fates(
        &client,
        vec![
            ("RESOURCE_EXHAUSTED".into(), Answer::grpc(8, None), false),
            ("RESOURCE_EXHAUSTED with RetryInfo".into(), Answer::grpc(8, after), true),
        ],
    )
    .await
}

/// A record refused like this comes again, and not before it was asked to.
async fn waits(client: &Forwarding, what: &str, answer: Answer, at_least: Duration) -> Seen {
    let mark = mark("waits");
    client.feed_answered(&mark, [answer]).await?;
    let came = client.backend.arrive(&mark, client.transport, 2).await?;
    let gap = came[1].at - came[0].at;
    holds!(gap >= at_least, "{what}: it comes again after {gap:?}");
    Ok(())
}

async fn gc3_retry_info(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Grpc).await?;
    let asked = Duration::from_millis(2500);
    waits(&client, "asked to wait 2.5 s", Answer::grpc(14, Some(asked)), asked).await?;
    waits(&client, "asked to wait for no time", Answer::grpc(14, Some(Duration::ZERO)), Duration::ZERO).await
}

async fn hc1_headers(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Http).await?;
    let mark = mark("hc1");
    client.feed_answered(&mark, []).await?;
    let came = &client.backend.arrive(&mark, Transport::Http, 1).await?[0];
    let header = |name: &str| came.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = header("content-type");
    holds!(kind == PROTOBUF || kind == call::JSON, "it calls its body {kind:?}");
    let is_gzip = came.wire.starts_with(&[0x1f, 0x8b]);
    let says_gzip = header("content-encoding") == "gzip";
    holds!(is_gzip == says_gzip, "Content-Encoding says {:?}", header("content-encoding"));
    if is_gzip {
        let mut first = flate2::read::GzDecoder::new(&came.wire[..]);
        let read = std::io::Read::read_to_end(&mut first, &mut Vec::new());
        holds!(read.is_ok() && first.into_inner().is_empty(), "it packs into several gzip members");
    }
    Ok(())
}

async fn hc2_statuses(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Http).await?;
    let again = [429, 502, 503, 504];
    let never = [400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 422, 431, 500, 501, 505, 507];
    let answers =
        again.iter().map(|status| (*status, true)).chain(never.iter().map(|status| (*status, false)));
    let answers = answers.map(|(status, again)| (status.to_string(), Answer::http(status), again));
    fates(&client, answers.collect()).await
}

async fn hc3_retry_after(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Http).await?;
    let answer = |value: String| Answer::http_with(503, vec![("retry-after", value)], 14);
    let two = Duration::from_secs(2);
    waits(&client, "asked to wait 2 s", answer("2".into()), two).await?;
    // A date has whole seconds: up to one of the three may be gone already.
    let now = UNIX_EPOCH + Duration::from_nanos(spandrel::model::Clock::new().unix_nanos());
    let date = httpdate::fmt_http_date(now + Duration::from_secs(3));
    waits(&client, "asked to wait until a date", answer(date), Duration::from_millis(1900)).await?;
    let past = httpdate::fmt_http_date(now - Duration::from_secs(3600));
    waits(&client, "asked to wait until it was", answer(past), Duration::ZERO).await
}

async fn hc4_cut(peer: Arc<Peer>) -> Seen {
    comes_again(&peer, Transport::Http, "a request whose connection was cut", Answer::Cut).await
}

async fn hc5_unreachable(peer: Arc<Peer>) -> Seen {
    for transport in peer.transports().await? {
        let client = peer.forwarding(transport).await?;
        client.backend.down().await;
        let mark = mark("hc5");
        let fed = client.feed(&mark).await;
        client.backend.up().await;
        fed?;
        client.backend.arrive(&mark, transport, 1).await?;
    }
    Ok(())
}

async fn hc6_keep_alive(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Http).await?;
    let mut connections = Vec::new();
    for _ in 0..10 {
        let mark = mark("hc6");
        client.feed_answered(&mark, []).await?;
        connections.push(client.backend.arrive(&mark, Transport::Http, 1).await?[0].connection);
    }
    connections.sort_unstable();
    connections.dedup();
    holds!(
        connections.len() <= 4,
        "ten requests, one after the other, take {} connections",
        connections.len()
    );
    Ok(())
}

async fn hc7_status_alone(peer: Arc<Peer>) -> Seen {
    let client = peer.forwarding(Transport::Http).await?;
    let answers = vec![
        ("400 with UNAVAILABLE in its body".to_owned(), Answer::http_with(400, Vec::new(), 14), false),
        ("503 with INVALID_ARGUMENT in its body".to_owned(), Answer::http_with(503, Vec::new(), 3), true),
    ];
    fates(&client, answers).await
}

async fn hc7_no_redirect(peer: Arc<Peer>) -> Seen {
    for status in [301, 302, 307, 308] {
        let client = peer.forwarding(Transport::Http).await?;
        let mark = mark("hc7");
        let elsewhere = format!("{}/elsewhere", client.backend.endpoint());
        let redirect = Answer::http_with(status, vec![("location", elsewhere)], 0);
        client.feed_answered(&mark, [redirect]).await?;
        client.time_passes().await?;
        let came = client.backend.marked_over(&mark, Transport::Http);
        let followed = came.iter().any(|request| request.path == "/elsewhere");
        holds!(!followed, "{status} is followed");
        holds!(came.len() == 1, "{status} is repeated");
    }
    Ok(())
}

async fn hc8_odd_success(peer: Arc<Peer>) -> Seen {
    let odd = |kind: &str, body: &'static [u8]| Answer::Reply {
        status: 200,
        headers: vec![("content-type", kind.to_owned())],
        body: Bytes::from_static(body),
        trailers: Vec::new(),
    };
    for answer in
        [odd("text/html", b"<p>thank you</p>"), odd(PROTOBUF, b"\xff\xff\xff"), odd(call::JSON, b"{")]
    {
        let client = peer.forwarding(Transport::Http).await?;
        let mark = mark("hc8");
        client.feed_answered(&mark, [answer]).await?;
        let Some(own) = &client.own else {
            return Err(not_observable("whether it counts it as delivered"));
        };
        let ledger = own.await_settled(spandrel::wire::Signal::Logs, "default").await;
        holds!(ledger.delivered == 1, "it counts {ledger:?}");
    }
    Ok(())
}

/// Our own program, told of its upstream by the exporters' variables alone, and fed one record.
async fn with_variables(
    peer: &Peer,
    backend: &Backend,
    variables: &[(&str, String)],
) -> Result<Arc<Arrived>, crate::check::Otherwise> {
    let variables =
        variables.iter().map(|(name, value)| (format!("OTEL_EXPORTER_OTLP_{name}"), value.clone()));
    let start = crate::harness::Start {
        config: "batch: {age: 10ms}\n".into(),
        variables: variables.collect(),
        ..Default::default()
    };
    let own = peer.started_with(start).await?;
    let mark = mark("a6");
    let body = prost::Message::encode_to_vec(&crate::make::logs(&mark, 1));
    let reply = call::export(own.grpc(), spandrel::wire::Signal::Logs, &body).await?;
    holds!(reply.is("OK"), "it answers {}", reply.code_name());
    backend.arrives(&mark).await
}

async fn a6_endpoint(peer: Arc<Peer>) -> Seen {
    let backend = Backend::anywhere().await;
    for (base, path) in
        [("", "/v1/logs"), ("/", "/v1/logs"), ("/base", "/base/v1/logs"), ("/v1/logs", "/v1/logs/v1/logs")]
    {
        let endpoint = ("ENDPOINT", format!("{}{base}", backend.endpoint()));
        let came = with_variables(&peer, &backend, &[endpoint, ("PROTOCOL", "http/protobuf".into())]).await?;
        holds!(came.path == path, "to a base of {base:?} it appends so that {} comes", came.path);
    }
    Ok(())
}

async fn a6_own_endpoint(peer: Arc<Peer>) -> Seen {
    let (backend, elsewhere) = (Backend::anywhere().await, Backend::anywhere().await);
    for (own, path) in [("/any/path/", "/any/path/"), ("", "/"), ("/v1/logs", "/v1/logs")] {
        let variables = [
            ("ENDPOINT", elsewhere.endpoint()),
            ("PROTOCOL", "http/json".into()),
            ("HEADERS", "x-who=all".into()),
            ("LOGS_ENDPOINT", format!("{}{own}", backend.endpoint())),
            ("LOGS_PROTOCOL", "http/protobuf".into()),
            ("LOGS_HEADERS", "x-who=logs".into()),
        ];
        let came = with_variables(&peer, &backend, &variables).await?;
        holds!(came.path == path, "told {own:?} for logs it sends them to {}", came.path);
        let got = |name: &str| came.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        holds!(got("content-type") == PROTOBUF, "it speaks {:?}", got("content-type"));
        holds!(got("x-who") == "logs", "it sends the general headers: {:?}", got("x-who"));
    }
    Ok(())
}

async fn a6_headers(peer: Arc<Peer>) -> Seen {
    let backend = Backend::anywhere().await;
    for protocol in ["grpc", "http/protobuf"] {
        let headers = "x-key=a%20b%2Cc, x-equals = d=e= ,x-space=f g";
        let variables =
            [("ENDPOINT", backend.endpoint()), ("PROTOCOL", protocol.into()), ("HEADERS", headers.into())];
        let came = with_variables(&peer, &backend, &variables).await?;
        for (name, value) in [("x-key", "a b,c"), ("x-equals", "d=e="), ("x-space", "f g")] {
            let got = came.headers.get(name).and_then(|it| it.to_str().ok());
            holds!(got == Some(value), "over {protocol} {name} comes as {got:?}");
        }
    }
    Ok(())
}

async fn a6_protocol(peer: Arc<Peer>) -> Seen {
    let backend = Backend::anywhere().await;
    for (protocol, kind) in
        [("grpc", "application/grpc"), ("http/protobuf", PROTOBUF), ("http/json", call::JSON)]
    {
        for compression in ["none", "gzip"] {
            let variables = [
                ("ENDPOINT", backend.endpoint()),
                ("PROTOCOL", protocol.into()),
                ("COMPRESSION", compression.into()),
            ];
            let came = with_variables(&peer, &backend, &variables).await?;
            let got = came.headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
            holds!(got.starts_with(kind), "told {protocol} it sends {got:?}");
            let is_packed = came.wire.starts_with(&[0x1f, 0x8b]);
            holds!(
                is_packed == (compression == "gzip"),
                "told {compression} over {protocol} it does otherwise"
            );
        }
    }
    Ok(())
}

async fn a6_timeout(peer: Arc<Peer>) -> Seen {
    let backend = Backend::anywhere().await;
    for protocol in ["grpc", "http/protobuf"] {
        let variables =
            [("ENDPOINT", backend.endpoint()), ("PROTOCOL", protocol.into()), ("TIMEOUT", "1000".into())];
        let start = crate::harness::Start {
            config: "batch: {age: 10ms}\n".into(),
            variables: variables
                .iter()
                .map(|(n, v)| (format!("OTEL_EXPORTER_OTLP_{n}"), v.clone()))
                .collect(),
            ..Default::default()
        };
        let own = peer.started_with(start).await?;
        let (mark, over) = (mark("a6"), if protocol == "grpc" { Transport::Grpc } else { Transport::Http });
        backend.script(&mark, over, [Answer::Never]);
        let body = prost::Message::encode_to_vec(&crate::make::logs(&mark, 1));
        call::export(own.grpc(), spandrel::wire::Signal::Logs, &body).await?;
        let came = backend.arrive(&mark, over, 2).await?;
        let gap = came[1].at - came[0].at;
        let right = Duration::from_millis(990)..Duration::from_secs(9);
        holds!(right.contains(&gap), "over {protocol} told 1 s it comes again after {gap:?}");
    }
    Ok(())
}

async fn a6_self_loop(peer: Arc<Peer>) -> Seen {
    if peer.own.is_none() {
        return Err(not_observable("it would have to be started for it"));
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = port.map_err(|fault| does_not(fault.to_string()))?;
    let config = format!(
        "receive: {{grpc: \"{address}\", http: \"off\"}}\nadmin: \"off\"\nupstream: http://{address}\n"
    );
    let (code, said) =
        crate::harness::Proxy::fails(crate::harness::Start { config, ..Default::default() }).await;
    holds!(code == 2, "told to export to itself it ends with {code}: {said}");
    Ok(())
}
