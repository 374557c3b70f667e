//! When and why traces leave, whose they are, and what stays bounded.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::LOOK_UPS;
use super::make::*;
use crate::join::{Join, Scope, Settings, WaitsFor};
use crate::model::{Origin, Reason};
use crate::wire::{Detail, Limits, Signal, walk};

fn nobody() -> Arc<Origin> {
    Origin::anonymous()
}

#[test]
fn a_trace_without_its_root_leaves_when_idle() {
    let mut join = Join::new(settings(), 1);
    give(&mut join, ms(0), &nobody(), &[span(1, 2, 1)]);
    give(&mut join, ms(100), &nobody(), &[span(1, 3, 1)]);
    let left = run(&mut join, ms(60_000));
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].0, left[0].1.reason), (ms(6_100), Reason::Idle));
    assert_eq!(left[0].1.repairs.orphans, 2);
}

#[test]
fn a_trace_that_never_falls_silent_leaves_when_aged_and_goes_on_as_the_next_part() {
    let mut join = Join::new(settings(), 1);
    let mut left = Vec::new();
    give(&mut join, ms(0), &nobody(), &[span(1, 1, 0).of("in-prod")]);
    for second in 1..40 {
        let at = ms(second * 1000);
        give(&mut join, at, &nobody(), &[span(1, second + 1000, second + 5000)]);
        left.extend(run(&mut join, at));
    }
    left.extend(run(&mut join, ms(100_000)));
    let reasons: Vec<_> = left.iter().map(|(at, l)| (*at, l.reason, l.span_count())).collect();
    assert_eq!(reasons, [(ms(30_000), Reason::Aged, 31), (ms(45_000), Reason::Idle, 9)]);
    assert!(left.iter().all(|(_, l)| l.context.environment.as_deref() == Some("prod")));
}

#[test]
fn pressure_pushes_the_oldest_out_and_drops_nothing() {
    let mut join = Join::new(Settings { held_bytes_max: 200_000, ..settings() }, 1);
    let mut left = Vec::new();
    for trace in 1..=1000 {
        give(&mut join, ms(0), &nobody(), &[span(trace, 1, 9).says("fill", "x".repeat(1000))]);
        while let Some(leaving) = join.leave(ms(0)) {
            left.push(leaving);
        }
        assert!(join.held_bytes() <= 200_000);
    }
    assert!(left.iter().all(|l| l.reason == Reason::Pressure));
    let in_order: Vec<_> = (1..=left.len() as u64).map(trace_id).collect();
    assert_eq!(left.iter().map(|l| l.trace).collect::<Vec<_>>(), in_order);
    while let Some(leaving) = join.push_out(ms(1), Reason::Drain) {
        assert_eq!(leaving.reason, Reason::Drain);
        left.push(leaving);
    }
    assert_eq!(left.len(), 1000);
    assert_eq!((join.held_traces(), join.held), (0, 0));
}

#[test]
fn nobodys_spans_join_the_named_tenants_trace_in_either_order() {
    let spans = [span(1, 1, 0), span(1, 2, 1)];
    for nobody_first in [true, false] {
        let mut join = Join::new(settings(), 1);
        let who = named(5, "a");
        let (first, second) = if nobody_first { (nobody(), who.clone()) } else { (who.clone(), nobody()) };
        give(&mut join, ms(0), &first, &spans[..1]);
        give(&mut join, ms(1), &second, &spans[1..]);
        let left = run(&mut join, ms(10_000));
        assert_eq!(left.len(), 1);
        assert_eq!(*left[0].1.origin, who);
        assert_eq!(left[0].1.span_count(), 2);
    }
}

#[test]
fn named_tenants_never_mix() {
    let mut join = Join::new(settings(), 1);
    give(&mut join, ms(0), &named(5, "a"), &[span(1, 1, 0)]);
    give(&mut join, ms(0), &named(6, "b"), &[span(1, 2, 1)]);
    let left = run(&mut join, ms(10_000));
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|(_, l)| l.span_count() == 1));
}

#[test]
fn late_spans_go_on_at_once_labelled_like_their_trace() {
    let root = span(1, 1, 0).of("in-prod").says("langfuse.release", "r7");
    let mut join = taught(settings(), std::slice::from_ref(&root));
    let who = named(5, "a");
    give(&mut join, ms(0), &who, &[root]);
    assert_eq!(run(&mut join, ms(1_000))[0].1.reason, Reason::Complete);
    give(&mut join, ms(2_000), &nobody(), &[span(1, 2, 1), span(2, 1, 0), span(1, 3, 2)]);
    let late = join.leave(ms(2_000)).unwrap();
    assert_eq!((late.reason, late.span_count()), (Reason::Late, 2));
    assert_eq!(*late.origin, who);
    assert_eq!(late.context.environment.as_deref(), Some("prod"));
    assert_eq!(late.context.release.as_deref(), Some("r7"));
    assert_eq!(late.repairs.orphans, 0);
    assert!(join.leave(ms(2_000)).is_none());
}

#[test]
fn locally_a_subtree_leaves_by_itself_and_the_next_is_not_late() {
    let entry = |id, parent| span(1, id, parent).named("handle").kind(SERVER);
    let known = [
        entry(10, 99),
        span(1, 11, 10),
        span(1, 21, 20),
        entry(20, 98).kind(1).flags(REMOTE),
        span(1, 12, 10),
    ];
    let mut join = taught(Settings { scope: Scope::Local, ..settings() }, &known);
    give(&mut join, ms(0), &nobody(), &[span(1, 11, 10), entry(10, 99)]);
    let first = run(&mut join, ms(1_000));
    assert_eq!((first[0].0, first[0].1.reason), (ms(50), Reason::Complete));
    give(&mut join, ms(1_000), &nobody(), &[span(1, 21, 20)]);
    give(&mut join, ms(1_500), &nobody(), &[entry(20, 98).kind(1).flags(REMOTE), span(1, 12, 10)]);
    let second = run(&mut join, ms(10_000));
    assert_eq!((second[0].0, second[0].1.reason), (ms(1_550), Reason::Complete));
    assert_eq!(ids(&second[0].1), [vec![12, 20, 21]]);
}

#[test]
fn locally_a_captured_span_with_ids_given_by_hand_is_a_root_and_for_a_trace_it_is_not() {
    // Two spans of the InteractiveAI SDK: kind INTERNAL, flags 0x100, the parent in another process.
    let body = Bytes::from_static(include_bytes!("../../../tests/data/captures/xservice.http01.pb"));
    let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default()).unwrap();
    let left_at = |settings: Settings| {
        let mut join = Join::new(settings, 1);
        for copy in 0..200u8 {
            let mut index = index.clone();
            index.spans.iter_mut().for_each(|span| span.trace.0[0] = copy);
            join.take(ms(0), &nobody(), &body, &index, |_| true);
        }
        assert_eq!(run(&mut join, ms(10_000)).len(), 200);
        join.take(ms(20_000), &nobody(), &body, &index, |_| true);
        let (at, leaving) = run(&mut join, ms(60_000)).remove(0);
        assert_eq!(leaving.span_count(), 2);
        (at, leaving.reason, leaving.repairs.orphans)
    };
    assert_eq!(left_at(Settings { scope: Scope::Local, ..settings() }), (ms(20_050), Reason::Complete, 0));
    assert_eq!(left_at(settings()), (ms(26_000), Reason::Idle, 1));
}

#[test]
fn locally_a_large_tree_leaves_at_once_too_whatever_it_begins_with() {
    let begins = [span(1, 1, 99).kind(SERVER), span(1, 1, 99).flags(REMOTE), span(1, 1, 99).marked_root()];
    for begin in begins {
        let rest = (2..=100).map(|id| span(1, id, id / 2).named("step"));
        let spans: Vec<Span> = std::iter::once(begin.named("begin")).chain(rest).collect();
        let mut join = taught(Settings { scope: Scope::Local, ..settings() }, &spans);
        give(&mut join, ms(0), &nobody(), &spans);
        let (at, leaving) = run(&mut join, ms(60_000)).remove(0);
        assert_eq!((at, leaving.reason, leaving.span_count()), (ms(50), Reason::Complete, 100));
    }
}

#[test]
fn the_release_is_read_from_the_attribute_the_user_names() {
    let release_of = |root: Span| {
        let mut join = Join::new(Settings { release_key: "app.release".into(), ..settings() }, 1);
        give(&mut join, ms(0), &nobody(), &[root]);
        run(&mut join, ms(60_000)).remove(0).1.context.release.as_deref().map(str::to_owned)
    };
    let root = || span(1, 1, 0).says("service.version", "7");
    assert_eq!(release_of(root()), None);
    assert_eq!(release_of(root().of("at-r8")).as_deref(), Some("r8"), "its resource says it");
    assert_eq!(release_of(root().says("app.release", "r9")).as_deref(), Some("r9"));
    let both = root().says("app.release", "r9").says("langfuse.release", "vendor's");
    assert_eq!(release_of(both).as_deref(), Some("vendor's"));
}

#[test]
fn a_large_span_stays_a_slice_and_its_request_is_charged() {
    let mut join = Join::new(settings(), 1);
    let big = span(1, 1, 0).says("blob", "x".repeat(100_000));
    let small: Vec<Span> = (2..500).map(|id| span(id, id, 0).says("fill", "y".repeat(400))).collect();
    let mut all = vec![big];
    all.extend(small);
    let (body, index) = request(&all);
    join.take(ms(0), &nobody(), &body, &index, |id| id == trace_id(1));
    assert_eq!(join.pins.bytes(), body.len(), "the whole request is pinned");
    assert!(join.held_bytes() > body.len());
    drop(index);
    let (_, leaving) = run(&mut join, ms(10_000)).remove(0);
    let block = leaving.blocks[0].clone();
    assert!(
        matches!(leaving.spans(&block).next().map(|span| span.bytes), Some(crate::join::SpanBytes::Lying(_, b)) if b.len() > 100_000)
    );
}

#[test]
fn a_span_is_shared_with_a_request_that_is_in_proportion() {
    // Spans of one trace, of so many bytes each: whether the first goes out as a slice.
    let shares = |bytes: usize, spans: u64| {
        let mut join = Join::new(settings(), 1);
        let all: Vec<Span> =
            (1..=spans).map(|id| span(1, id, id - 1).says("fill", "y".repeat(bytes))).collect();
        give(&mut join, ms(0), &nobody(), &all);
        let (_, leaving) = run(&mut join, ms(10_000)).remove(0);
        let first = leaving.spans(&leaving.blocks[0]).next().map(|span| span.bytes);
        matches!(first, Some(crate::join::SpanBytes::Lying(..)))
    };
    assert!(shares(5_000, 20) && !shares(5_000, 40) && !shares(3_000, 20));
}

#[test]
fn a_trace_that_waits_copies_its_spans_out_of_a_request_that_is_mostly_others() {
    let mut join = Join::new(settings(), 1);
    // Thirty traces of one request; the root of every second one is still to come.
    let fill = |id| span(id, 2, if id % 2 == 0 { 1 } else { 0 }).says("fill", "y".repeat(2000));
    let (body, index) = request(&(1..=30).map(fill).collect::<Vec<_>>());
    join.take(ms(0), &nobody(), &body, &index, |_| true);
    assert_eq!(join.pins.bytes(), body.len());
    assert!(join.held < body.len(), "and nothing is copied");
    while join.leave(ms(60)).is_some() {}
    assert_eq!(
        (join.pins.bytes(), join.held_traces()),
        (0, 30),
        "nothing is known of these shapes: all wait"
    );
    let left = run(&mut join, ms(10_000));
    assert_eq!(left.len(), 30);
    for (_, leaving) in left {
        let id = leaving.trace;
        let spans: Vec<Vec<u8>> =
            leaving.blocks.iter().flat_map(|block| leaving.spans(block).map(|s| s.to_vec())).collect();
        let sent =
            index.spans.iter().find(|entry| entry.trace == id).map(|entry| entry.body.of(&body).to_vec());
        assert_eq!(spans, Vec::from_iter(sent));
    }
    assert_eq!((join.held, join.pins.bytes()), (0, 0));
}

#[test]
fn a_hundred_thousand_open_traces_are_bounded_and_all_leave() {
    let mut join = Join::new(Settings { held_bytes_max: 1 << 30, ..settings() }, 1);
    for chunk in 0..100 {
        let spans: Vec<Span> = (0..1000).map(|n| span(chunk * 1000 + n + 1, 1, 2)).collect();
        give(&mut join, ms(0), &nobody(), &spans);
    }
    assert_eq!(join.held_traces(), 100_000);
    let each = join.held_bytes() / 100_000;
    assert!(each < 2_100, "{each} bytes for a trace of one small span");
    assert_eq!(run(&mut join, ms(7_000)).len(), 100_000);
    assert_eq!(join.held, 0);
}

#[test]
fn a_trace_of_a_hundred_thousand_spans_costs_each_span_the_same() {
    let small = look_ups_of_a_chain(25);
    let large = look_ups_of_a_chain(100);
    assert!(small > 25_000, "{small}");
    assert!(large <= small * 4 + small / 10, "{large} for 100,000 spans, {small} for 25,000");
}

/// What it takes to join a chain that comes youngest first, in so many requests of 1000 spans.
fn look_ups_of_a_chain(requests: u64) -> u64 {
    let link = |id| span(1, id, id - 1).named("link");
    let mut join = taught(Settings { held_bytes_max: 1 << 30, ..settings() }, &[link(1), link(2)]);
    let before = LOOK_UPS.get();
    for chunk in (0..requests).rev() {
        let spans: Vec<Span> = (0..1000).map(|n| link(chunk * 1000 + n + 1)).collect();
        give(&mut join, ms(requests - chunk), &nobody(), &spans);
        assert!(join.leave(ms(requests - chunk)).is_none());
    }
    let left = run(&mut join, ms(10_000));
    let (_, leaving) = &left[0];
    assert_eq!((left.len(), leaving.reason), (1, Reason::Complete));
    assert_eq!(leaving.span_count() as u64, requests * 1000);
    LOOK_UPS.get() - before
}

#[test]
fn ids_chosen_to_collide_under_one_seed_do_not_under_another() {
    let place_under = |seed| {
        let hasher = Join::new(settings(), seed).hasher;
        move |id: &u64| hasher.hash_one(trace_id(*id)) % 4096
    };
    let (known, secret) = (place_under(1), place_under(2));
    let chosen: Vec<u64> = (0..).filter(|id| known(id) == 0).take(64).collect();
    let places: BTreeSet<u64> = chosen.iter().map(secret).collect();
    assert!(places.len() > 56, "64 ids fall on {} places of 4096", places.len());
}

#[test]
fn what_is_held_says_what_it_waits_for() {
    let spans = [span(1, 1, 0).named("GET"), span(1, 2, 1).named("call").kind(CLIENT)];
    let far = span(1, 3, 2).named("handle").of("far").kind(SERVER);
    let mut join = taught(settings(), &[spans[0].clone(), spans[1].clone(), far.clone()]);
    let waits = |join: &Join, at| join.held(ms(at), 9).remove(0).waits_for;

    give(&mut join, ms(0), &nobody(), &spans[1..]);
    assert_eq!(waits(&join, 100), WaitsFor::Parent(span_id(1)));
    give(&mut join, ms(100), &nobody(), &spans[..1]);
    assert_eq!(waits(&join, 110), WaitsFor::Quiet);
    let child = WaitsFor::Child { of: span_id(2), service: "shop".into(), name: "call".into() };
    assert_eq!(waits(&join, 200), child);
    assert!(run(&mut join, ms(1_000)).is_empty());
    give(&mut join, ms(1_000), &nobody(), &[far]);
    let left = run(&mut join, ms(10_000));
    assert_eq!((left[0].0, left[0].1.reason, left[0].1.span_count()), (ms(1_050), Reason::Complete, 3));

    give(&mut join, ms(11_000), &nobody(), &[span(2, 1, 0).named("new")]);
    assert_eq!(waits(&join, 11_100), WaitsFor::Learning { of: span_id(1) });
}

#[test]
fn a_span_sent_again_after_its_trace_left_is_a_duplicate_and_goes_nowhere() {
    let root = span(1, 1, 0);
    let mut join = taught(settings(), std::slice::from_ref(&root));
    give(&mut join, ms(0), &nobody(), std::slice::from_ref(&root));
    assert_eq!(run(&mut join, ms(1_000)).len(), 1);
    give(&mut join, ms(2_000), &nobody(), &[root.clone(), span(1, 2, 1)]);
    let mut left = run(&mut join, ms(2_000));
    give(&mut join, ms(2_500), &nobody(), std::slice::from_ref(&root));
    assert!(run(&mut join, ms(2_500)).is_empty(), "a copy alone is nothing to send");
    assert_eq!((join.take_owed(), join.take_owed()), (1, 0), "it is settled once, by itself");
    give(&mut join, ms(3_000), &nobody(), &[root.says("now", "more complete")]);
    left.extend(run(&mut join, ms(9_000)));
    let spans: Vec<_> = left.iter().map(|(_, l)| (l.span_count(), l.repairs.duplicates)).collect();
    assert_eq!((spans, join.take_owed()), (vec![(1, 1), (1, 0)], 0));
}

#[test]
fn a_late_child_teaches_its_parents_shape_at_once() {
    let spans = [span(1, 1, 0).named("GET"), span(1, 2, 1).named("call").kind(CLIENT)];
    let far = span(1, 3, 2).named("handle").of("far").kind(SERVER);
    let mut join = taught(settings(), &spans);
    give(&mut join, ms(0), &nobody(), &spans);
    assert_eq!(run(&mut join, ms(1_000))[0].0, ms(50));
    give(&mut join, ms(1_000), &nobody(), &[far]);
    assert_eq!(run(&mut join, ms(1_000))[0].1.reason, Reason::Late);
    let again = spans.map(|s| Span { trace: 2, ..s });
    give(&mut join, ms(2_000), &nobody(), &again);
    assert_eq!(
        run(&mut join, ms(20_000))[0].0,
        ms(8_000),
        "one lag seen is no bound: it is waited for in full"
    );
    let known = join.shapes().find(|shape| shape.name == "call").unwrap();
    assert_eq!((known.late, known.lag.as_millis(), known.children), (1, 1_001, (0, 1)));
}

#[test]
fn what_never_varied_leaves_when_it_came_whole_and_until_then_is_waited_for() {
    let spans = |trace| {
        let root = span(trace, 1, 0).named("GET");
        [root, span(trace, 2, 1).named("call").kind(CLIENT), span(trace, 3, 2).of("far").kind(SERVER)]
    };
    let (mut join, mut left) = (Join::new(settings(), 1), 0);
    for trace in 1..=1_100 {
        let [root, call, far] = spans(trace);
        give(&mut join, ms(trace * 10_000), &nobody(), &[root, call]);
        left += run(&mut join, ms(trace * 10_000 + 1_000)).len();
        give(&mut join, ms(trace * 10_000 + 1_000), &nobody(), &[far]);
        left += run(&mut join, ms(trace * 10_000 + 9_000)).len();
    }
    assert_eq!(left, 1_100);
    let [root, call, far] = spans(2_000);
    let later = |after: u64| ms(12_000_000 + after);
    give(&mut join, later(0), &nobody(), &[root, call]);
    assert!(run(&mut join, later(900)).is_empty(), "its last span is always there");
    give(&mut join, later(1_000), &nobody(), &[far]);
    assert_eq!(run(&mut join, later(9_000))[0].0, later(1_000), "at once");
    let [root, call, far] = spans(2_001);
    give(&mut join, later(20_000), &nobody(), &[root, call, far.clone(), Span { id: 4, ..far }]);
    assert_eq!(run(&mut join, later(29_000))[0].0, later(20_050), "one more than ever: nobody knows");
}
