//! The one property that matters: whatever an upstream does, sent = delivered + refused + lost.

use std::time::Duration;

use proptest::prelude::*;

use super::server::{Answer, Server, grpc, grpc_ok, http};
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
    Cut,
    Silence,
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        4 => Just(Mood::Take),
        1 => (0u64..20).prop_map(Mood::Reject),
        3 => (1u32..18).prop_map(Mood::Code),
        3 => (300u16..600).prop_map(Mood::Http),
        2 => Just(Mood::Cut),
        1 => Just(Mood::Silence),
    ]
}

fn answer(mood: Mood, over_grpc: bool) -> Answer {
    match mood {
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_settled_exactly_once(
        moods in proptest::collection::vec(mood(), 1..60),
        items in proptest::collection::vec(0u64..30, 1..30),
        over_grpc: bool,
        parallel in 1usize..6,
        abort: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Server::start(move |n, _| {
                answer(moods.get(n).copied().unwrap_or(Mood::Take), over_grpc)
            })
            .await;
            let protocol = if over_grpc { Protocol::Grpc } else { Protocol::HttpProtobuf };
            let mut settings = Settings { protocol, parallel, ..settings(upstream.port) };
            settings.timeout = Duration::from_millis(40);
            settings.retry.initial = Duration::from_millis(2);
            settings.retry.max = Duration::from_millis(8);
            settings.retry.give_up = Duration::from_millis(150);
            let mut exporter = Exporter::start(settings);
            items.iter().for_each(|&items| exporter.offer(b"body", items));
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
}
