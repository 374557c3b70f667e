//! The order of arrival never changes what leaves.

use proptest::prelude::*;

use super::make::*;
use crate::join::{Join, Leaving};
use crate::model::Origin;

/// A whole stay: the spans in requests as given, then silence.
fn stay(requests: &[Vec<(u8, Span)>]) -> Vec<Leaving> {
    let mut join = Join::new(settings(), 1);
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
    let left = run(&mut join, ms(60_000)).into_iter().map(|(_, leaving)| leaving).collect();
    assert_eq!((join.held_traces(), join.held), (0, 0));
    left
}

prop_compose! {
    /// Any tangle: several roots, orphans, rings, self-parents, copies of one id that differ.
    fn tangle()(spans in prop::collection::vec((1u64..12, 0u64..14, 0u64..4, 0usize..3, 0u8..3, 0usize..20), 1..50))
        -> Vec<(u8, Span)> {
        const SERVICES: [&str; 3] = ["in-prod", "in-test", "shop"];
        spans.into_iter().map(|(id, parent, start, service, origin, filler)| {
            let mut span = span(1, id, parent).of(SERVICES[service]).says("filler", "x".repeat(filler));
            (span.start, span.end) = (start, if filler % 3 == 0 { 0 } else { start + 1 });
            (origin, span)
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_order_and_any_requests_leave_alike(
        spans in tangle(),
        keys in prop::collection::vec(any::<u32>(), 50),
        cuts in prop::collection::vec(any::<bool>(), 50),
    ) {
        let mut shuffled: Vec<_> = spans.iter().cloned().zip(&keys).collect();
        shuffled.sort_by_key(|(_, key)| **key);
        let mut requests = vec![Vec::new()];
        for ((span, _), cut) in shuffled.into_iter().zip(&cuts) {
            if *cut {
                requests.push(Vec::new());
            }
            requests.last_mut().unwrap().push(span);
        }
        let one = stay(std::slice::from_ref(&spans));
        let other = stay(&requests);
        prop_assert_eq!(one.len(), 1);
        prop_assert_eq!(other.len(), 1);
        prop_assert_eq!(essence(&one[0]), essence(&other[0]));
        let mut distinct: Vec<u64> = spans.iter().map(|(_, s)| s.id).collect();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(one[0].span_count(), distinct.len());
        prop_assert_eq!(one[0].repairs.duplicates as usize, spans.len() - distinct.len());
    }
}

#[test]
fn a_large_trace_leaves_as_a_small_one_would() {
    let mut spans: Vec<(u8, Span)> = (1..=200).map(|id| (0, span(1, id, id / 3))).collect();
    spans.push((0, span(1, 77, 77 / 3).says("more", "complete")));
    let whole = stay(std::slice::from_ref(&spans));
    spans.reverse();
    let each = stay(&spans.into_iter().map(|s| vec![s]).collect::<Vec<_>>());
    assert_eq!(essence(&whole[0]), essence(&each[0]));
    assert_eq!((whole[0].span_count(), whole[0].repairs.duplicates), (200, 1));
}

#[test]
fn parents_stand_before_children_and_siblings_by_start() {
    let mut early = span(1, 4, 1).of("b");
    early.start = 0;
    let spans = [span(1, 3, 2), span(1, 5, 4).of("b"), early, span(1, 2, 1), span(1, 1, 0)];
    let left = stay(&[spans.into_iter().map(|s| (0, s)).collect()]);
    assert_eq!(ids(&left[0]), [vec![1, 2, 3], vec![4, 5]]);
}

#[test]
fn rings_and_self_parents_are_kept_last_and_counted() {
    // 1 is the root; 2 and 3 name each other, 4 hangs on 3; 5 names itself; 6's parent never came.
    let spans = [span(1, 4, 3), span(1, 3, 2), span(1, 2, 3), span(1, 5, 5), span(1, 6, 99), span(1, 1, 0)];
    let left = stay(&[spans.into_iter().map(|s| (0, s)).collect()]);
    assert_eq!(ids(&left[0]), [vec![1, 6, 2, 3, 4, 5]]);
    assert_eq!((left[0].repairs.cycles, left[0].repairs.orphans), (3, 1));
    assert_eq!(left[0].reason, crate::model::Reason::Idle);
}

#[test]
fn of_two_copies_the_more_complete_stays_whichever_came_first() {
    let mut open = span(1, 1, 0).says("long", "x".repeat(100));
    open.end = 0;
    let (short, long) = (span(1, 1, 0), span(1, 1, 0).says("k", "v"));
    for order in [[&open, &short, &long], [&long, &short, &open], [&short, &long, &open]] {
        let left = stay(&order.map(|s| vec![(0, s.clone())]));
        assert_eq!(left[0].span_count(), 1);
        assert_eq!(&*left[0].spans(&left[0].blocks[0]).next().unwrap(), long.body());
        assert_eq!(left[0].repairs.duplicates, 2);
    }
}
