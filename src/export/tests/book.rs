//! The one property that matters: whatever an upstream does, sent = delivered + refused + lost.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::server::{Answer, Seen, Server, grpc, grpc_ok, http};
use super::{Exporter, Protocol, Settings, settings};
use crate::wire::Signal;
use crate::wire::reply::{Encoding, Partial, success};

/// What an upstream may do with one request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Take,
    Reject(u64),
    Code(u32),
    Http(u16),
    /// Refused for its size when it is longer than this.
    Large(usize),
    /// Refused when it holds this trace.
    Poison(u8),
    Cut,
    Silence,
    /// Takes it, this many milliseconds later: some are too late.
    Slow(u64),
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        4 => Just(Mood::Take),
        1 => (0u64..20).prop_map(Mood::Reject),
        3 => (1u32..18).prop_map(Mood::Code),
        3 => (300u16..600).prop_map(Mood::Http),
        2 => (1usize..4000).prop_map(Mood::Large),
        2 => (0u8..8).prop_map(Mood::Poison),
        2 => Just(Mood::Cut),
        1 => Just(Mood::Silence),
        1 => (0u64..60).prop_map(Mood::Slow),
    ]
}

/// A request of as many spans as items, over eight traces.
fn body(items: u64) -> Vec<u8> {
    let span = |number: u64| Span {
        trace_id: vec![1 + (number % 8) as u8; 16],
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "x".repeat(50),
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..items).map(span).collect(), ..Default::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn answer(mood: Mood, seen: &Seen, over_grpc: bool) -> Answer {
    let take = || if over_grpc { grpc_ok() } else { http(200, &[], "") };
    let holds = |trace: u8| seen.body.windows(16).any(|bytes| bytes == [trace + 1; 16]);
    match mood {
        Mood::Large(most) if seen.body.len() <= most => take(),
        Mood::Large(_) if over_grpc => {
            grpc(None, &[("grpc-status", "8"), ("grpc-message", "larger than max")])
        }
        Mood::Large(_) => http(413, &[], ""),
        Mood::Poison(trace) if !holds(trace) => take(),
        Mood::Poison(_) if over_grpc => grpc(None, &[("grpc-status", "3")]),
        Mood::Poison(_) => http(400, &[], ""),
        Mood::Take if over_grpc => grpc_ok(),
        Mood::Take => http(200, &[], ""),
        Mood::Reject(rejected) => {
            let partial = Partial { rejected, message: "so".to_owned() };
            let body = success(Signal::Traces, Encoding::Protobuf, Some(&partial));
            if over_grpc { grpc(Some(&body), &[("grpc-status", "0")]) } else { http(200, &[], body) }
        }
        Mood::Code(code) if over_grpc => grpc(None, &[("grpc-status", &code.to_string())]),
        Mood::Code(code) => http(400 + u16::try_from(code).unwrap(), &[], ""),
        Mood::Http(status) => http(status, &[], "words"),
        Mood::Cut => Answer::Cut,
        Mood::Silence => Answer::Silence,
        Mood::Slow(ms) => match take() {
            Answer::Reply(reply) => Answer::Later(Duration::from_millis(ms), reply),
            other => other,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_settled_exactly_once(
        moods in proptest::collection::vec(mood(), 1..60),
        items in proptest::collection::vec(0u64..30, 1..30),
        last in prop_oneof![Just(Mood::Take), (1usize..4000).prop_map(Mood::Large), (0u8..8).prop_map(Mood::Poison)],
        over_grpc: bool,
        (parallel, notes_each) in (1usize..6, 0u64..3),
        abort: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Server::start(move |n, seen| {
                answer(moods.get(n).copied().unwrap_or(last), seen, over_grpc)
            })
            .await;
            let protocol = if over_grpc { Protocol::Grpc } else { Protocol::HttpProtobuf };
            let mut settings = Settings { protocol, parallel, ..settings(upstream.port) };
            settings.timeout = Duration::from_millis(40);
            settings.retry.initial = Duration::from_millis(2);
            settings.retry.max = Duration::from_millis(8);
            settings.retry.give_up = Duration::from_millis(150);
            let mut exporter = Exporter::start(settings);
            exporter.notes_each = notes_each;
            items.iter().for_each(|&items| exporter.offer(&body(items), items));
            if abort {
                while upstream.seen().len() < items.len() / 2 {
                    tokio::task::yield_now().await;
                }
                exporter.abort().await;
            } else {
                exporter.finish().await;
            }
        });
    }

    /// Time and the end of the process are the only bounds that lose what was taken on.
    #[test]
    fn nothing_is_lost_while_there_is_time(
        moods in proptest::collection::vec(mood(), 1..40),
        items in proptest::collection::vec(1u64..30, 1..20),
        over_grpc: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let upstream = Server::start(move |n, seen| {
                answer(moods.get(n).copied().unwrap_or(Mood::Take), seen, over_grpc)
            })
            .await;
            let protocol = if over_grpc { Protocol::Grpc } else { Protocol::HttpProtobuf };
            let mut settings = Settings { protocol, ..settings(upstream.port) };
            settings.timeout = Duration::from_millis(40);
            settings.retry.initial = Duration::from_millis(2);
            settings.retry.max = Duration::from_millis(8);
            settings.retry.give_up = Duration::from_secs(600);
            let mut exporter = Exporter::start(settings);
            items.iter().for_each(|&items| exporter.offer(&body(items), items));
            exporter.finish().await
        });
        prop_assert!(!ended.contains("lost"), "{}", ended);
    }
}
