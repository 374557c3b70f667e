//! The order of arrival never changes what leaves.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::make::*;
use crate::join::{Join, Leaving, Scope, Settings};
use crate::model::{Origin, Reason};

/// How traces are made to leave.
#[derive(Clone, Copy, Debug)]
struct Manner {
    scope: Scope,
    /// All at once instead of by silence.
    drained: bool,
}

const SILENCE: Manner = Manner { scope: Scope::Trace, drained: false };

/// A whole stay: the spans in requests as given, then out. Traces stand by id.
fn stay(requests: &[Vec<(u8, Span)>], manner: Manner) -> Vec<Leaving> {
    let mut join =
        Join::new(Settings { scope: manner.scope, context: true, named: true, mend: true, ..settings() }, 1);
    for (at, spans) in requests.iter().enumerate() {
        for one in spans.chunk_by(|a, b| a.0 == b.0) {
            let origin = match one[0].0 {
                0 => Origin::anonymous(),
                who => named(9, &format!("key {who}")),
            };
            let spans: Vec<Span> = one.iter().map(|(_, span)| span.clone()).collect();
            give(&mut join, ms(at as u64), &origin, &spans);
        }
    }
    let mut left: Vec<Leaving> = if manner.drained {
        std::iter::from_fn(|| join.push_out(ms(100), Reason::Drain)).collect()
    } else {
        run(&mut join, ms(60_000)).into_iter().map(|(_, leaving)| leaving).collect()
    };
    assert_eq!((join.held_traces(), join.held), (0, 0));
    left.sort_by_key(|leaving| leaving.trace);
    left
}

const CLAIMS: [&str; 5] = [
    "user.id",
    "langfuse.trace.name",
    "langfuse.trace.tags",
    "langfuse.trace.metadata.k",
    "gen_ai.conversation.id",
];

prop_compose! {
    /// A span of any tangle: several roots, orphans and their subtrees, rings, self-parents, parents of
    /// zero bytes, entries from other processes, copies of one id that differ in anything. The last
    /// trace is a large one.
    fn one()(
        (trace, id, parent) in prop_oneof![(1u64..3, 1u64..12, 0u64..14), (3u64..4, 1u64..70, 0u64..80)],
        start in 0u64..4,
        (service, origin, filler) in (0usize..3, 0u8..3, 0usize..20),
        (zero_parent, entry, marked_root) in (any::<bool>(), any::<bool>(), any::<bool>()),
        claim in prop::option::of((0usize..CLAIMS.len(), 0u8..3)),
    ) -> (u8, Span) {
        const SERVICES: [&str; 3] = ["in-prod", "in-test", "shop"];
        let mut span = span(trace, id, parent).of(SERVICES[service]).says("filler", "x".repeat(filler));
        (span.start, span.end) = (start, if filler % 3 == 0 { 0 } else { start + 1 });
        span.zero_parent = zero_parent && parent == 0;
        span.marked_root = marked_root;
        if let Some((key, value)) = claim {
            span = span.says(CLAIMS[key], format!("value {value}"));
        }
        (origin, if entry { span.kind(SERVER) } else { span })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_order_and_any_requests_leave_alike(
        sent in prop::collection::vec((one(), any::<u32>(), any::<bool>()), 1..200),
        (local, drained) in (any::<bool>(), any::<bool>()),
    ) {
        let manner = Manner { scope: if local { Scope::Local } else { Scope::Trace }, drained };
        let spans: Vec<(u8, Span)> = sent.iter().map(|(span, _, _)| span.clone()).collect();
        let mut shuffled = sent;
        shuffled.sort_by_key(|(_, key, _)| *key);
        let mut requests = vec![Vec::new()];
        for (span, _, cut) in shuffled {
            if cut {
                requests.push(Vec::new());
            }
            requests.last_mut().unwrap().push(span);
        }
        let one = stay(std::slice::from_ref(&spans), manner);
        let other = stay(&requests, manner);
        let essences = |left: &[Leaving]| left.iter().map(essence).collect::<Vec<_>>();
        prop_assert_eq!(essences(&one), essences(&other));

        let distinct: BTreeSet<(u64, u64)> = spans.iter().map(|(_, s)| (s.trace, s.id)).collect();
        let traces: BTreeSet<u64> = spans.iter().map(|(_, s)| s.trace).collect();
        prop_assert_eq!(one.len(), traces.len());
        prop_assert_eq!(one.iter().map(Leaving::span_count).sum::<usize>(), distinct.len());
        let duplicates: usize = one.iter().map(|leaving| leaving.repairs.duplicates as usize).sum();
        prop_assert_eq!(duplicates, spans.len() - distinct.len());
    }
}

#[test]
fn a_large_trace_leaves_as_a_small_one_would() {
    let mut spans: Vec<(u8, Span)> = (1..=200).map(|id| (0, span(1, id, id / 3))).collect();
    spans.push((0, span(1, 77, 77 / 3).says("more", "complete")));
    let whole = stay(std::slice::from_ref(&spans), SILENCE);
    spans.reverse();
    let each = stay(&spans.into_iter().map(|s| vec![s]).collect::<Vec<_>>(), SILENCE);
    assert_eq!(essence(&whole[0]), essence(&each[0]));
    assert_eq!((whole[0].span_count(), whole[0].repairs.duplicates), (200, 1));
}

#[test]
fn parents_stand_before_children_and_siblings_by_start() {
    let mut early = span(1, 4, 1).of("b");
    early.start = 0;
    let spans = [span(1, 3, 2), span(1, 5, 4).of("b"), early, span(1, 2, 1), span(1, 1, 0)];
    let left = stay(&[spans.into_iter().map(|s| (0, s)).collect()], SILENCE);
    assert_eq!(ids(&left[0]), [vec![1, 2, 3], vec![4, 5]]);
}

#[test]
fn rings_and_self_parents_are_kept_last_and_counted() {
    // 1 is the root; 2 and 3 name each other, 4 hangs on 3; 5 names itself; 6's parent never came.
    let spans = [span(1, 4, 3), span(1, 3, 2), span(1, 2, 3), span(1, 5, 5), span(1, 6, 99), span(1, 1, 0)];
    let left = stay(&[spans.into_iter().map(|s| (0, s)).collect()], SILENCE);
    assert_eq!(ids(&left[0]), [vec![1, 6, 2, 3, 4, 5]]);
    assert_eq!((left[0].repairs.cycles, left[0].repairs.orphans), (3, 1));
    assert_eq!(left[0].reason, Reason::Idle);
}

#[test]
fn of_two_copies_the_more_complete_stays_whichever_came_first() {
    let mut open = span(1, 1, 0).says("long", "x".repeat(100));
    open.end = 0;
    let (short, long) = (span(1, 1, 0), span(1, 1, 0).says("k", "v"));
    for order in [[&open, &short, &long], [&long, &short, &open], [&short, &long, &open]] {
        let left = stay(&order.map(|s| vec![(0, s.clone())]), SILENCE);
        assert_eq!(left[0].span_count(), 1);
        assert_eq!(&*left[0].spans(&left[0].blocks[0]).next().unwrap(), long.body());
        assert_eq!(left[0].repairs.duplicates, 2);
    }
}
