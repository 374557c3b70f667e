//! What a trace says of itself, which of its spans speaks for it, and what is mended in how they hang.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::make::*;
use crate::join::{Join, Leaving, Settings};
use crate::model::{Caller, Interest, Origin, Reason};
use crate::semantics::claims::{Has, Text};
use crate::semantics::roots::Mend;
use crate::wire::SpanId;

fn speaking() -> Settings {
    Settings { context: true, named: true, mend: true, ..settings() }
}

/// A trace that leaves idle, whose spans come one by one in this order.
fn leave(spans: &[Span]) -> Leaving {
    let mut join = Join::new(speaking(), 1);
    for (at, span) in spans.iter().enumerate() {
        give(&mut join, ms(at as u64), &Origin::anonymous(), std::slice::from_ref(span));
    }
    let mut left = run(&mut join, ms(60_000));
    assert_eq!(left.len(), 1);
    left.remove(0).1
}

fn text(leaving: &Leaving, which: Text) -> Option<String> {
    Some(leaving.context.said.as_ref()?.text(which)?.value.to_string())
}

/// What is mended, by span.
fn mends(leaving: &Leaving) -> Vec<(u64, Mend)> {
    let id = |span: &[u8]| u64::from_be_bytes(span[20..28].try_into().unwrap());
    let spans = leaving.blocks.iter().flat_map(|block| leaving.spans(block));
    let mut all: Vec<_> = spans.filter_map(|span| Some((id(&span), span.mend?))).collect();
    all.sort_by_key(|(id, _)| *id);
    all
}

fn parent(was: u64, is: u64) -> Option<(SpanId, SpanId)> {
    Some((span_id(was), span_id(is)))
}

#[test]
fn the_root_is_believed_before_its_children_and_lends_its_name() {
    let root = span(1, 1, 0).named("GET /orders").says("user.id", "ann");
    let child = span(1, 2, 1).says("user.id", "bob").says("session.id", "s");
    for order in [[root.clone(), child.clone()], [child, root]] {
        let leaving = leave(&order);
        assert_eq!(text(&leaving, Text::User).as_deref(), Some("ann"));
        assert_eq!(text(&leaving, Text::Session).as_deref(), Some("s"));
        assert_eq!(text(&leaving, Text::Name).as_deref(), Some("GET /orders"));
        assert_eq!(leaving.context.said.as_ref().unwrap().disputed, 1);
    }
}

#[test]
fn what_each_span_has_of_its_own_is_told_with_it() {
    let leaving = leave(&[span(1, 1, 0).says("user.id", "ann"), span(1, 2, 1)]);
    let has: Vec<bool> = leaving.spans(&leaving.blocks[0]).map(|span| span.has.has(Has::USER)).collect();
    assert_eq!(has, [true, false]);
}

#[test]
fn nobody_asks_where_nobody_wants_to_know() {
    let mut join = Join::new(settings(), 1);
    give(&mut join, ms(0), &Origin::anonymous(), &[span(1, 1, 0).says("user.id", "ann")]);
    assert_eq!(run(&mut join, ms(60_000))[0].1.context.said, None);
}

#[test]
fn what_spans_claim_is_known_if_it_is_wanted_when_they_leave() {
    let spans = [span(1, 1, 0).says("user.id", "ann"), span(1, 2, 1).says("session.id", "s")];
    for (came, leaves) in [(false, true), (true, true), (true, false)] {
        let mut join = Join::new(settings(), 1);
        join.find_out(came, came);
        give(&mut join, ms(0), &Origin::anonymous(), &spans);
        join.find_out(leaves, leaves);
        let (_, leaving) = run(&mut join, ms(60_000)).remove(0);
        let said = [Text::User, Text::Session].map(|which| text(&leaving, which).is_some());
        let has: Vec<bool> = leaving.spans(&leaving.blocks[0]).map(|span| !span.has.is_none()).collect();
        assert_eq!((said, has), ([leaves; 2], vec![leaves; 2]), "wanted when they came: {came}");
    }
}

#[test]
fn a_phantom_parent_of_a_span_given_by_hand_is_taken_away() {
    let leaving = leave(&[span(1, 5, 99).named("pay").marked_root(), span(1, 6, 5)]);
    assert_eq!(mends(&leaving), [(5, Mend { parent: parent(99, 0), unmark: false })]);
    assert_eq!(text(&leaving, Text::Name).as_deref(), Some("pay"));
}

/// The JS SDKs have no other mark: their documentation has users invent a parent's id.
#[test]
fn an_app_root_whose_parent_never_came_speaks_before_other_orphans_and_after_one_given_by_hand() {
    let plain = span(1, 3, 97).named("plain");
    let app = span(1, 5, 98).named("app").app_root();
    let leaving = leave(&[plain.clone(), app.clone()]);
    assert_eq!(text(&leaving, Text::Name).as_deref(), Some("app"));
    let expect = [
        (3, Mend { parent: parent(97, 5), unmark: false }),
        (5, Mend { parent: parent(98, 0), unmark: false }),
    ];
    assert_eq!(mends(&leaving), expect);
    let leaving = leave(&[plain, app, span(1, 7, 99).named("by hand").marked_root()]);
    assert_eq!(text(&leaving, Text::Name).as_deref(), Some("by hand"));
    // With a root here it stands where it is, below a parent it has.
    assert_eq!(mends(&leave(&[span(1, 1, 0), span(1, 2, 1).app_root()])), []);
}

#[test]
fn a_mark_on_a_span_whose_parent_is_here_is_no_root() {
    let leaving = leave(&[span(1, 1, 0).named("front"), span(1, 2, 1).named("agent").marked_root()]);
    assert_eq!(mends(&leaving), [(2, Mend { parent: None, unmark: true })]);
    assert_eq!(text(&leaving, Text::Name).as_deref(), Some("front"));
}

#[test]
fn of_several_claimants_one_is_the_root_and_the_others_hang_below_it() {
    let leaving = leave(&[
        span(1, 7, 98).marked_root(),
        span(1, 3, 97).marked_root(),
        span(1, 9, 96).named("an orphan that claims nothing"),
    ]);
    let expect = [
        (3, Mend { parent: parent(97, 0), unmark: false }),
        (7, Mend { parent: parent(98, 3), unmark: true }),
        (9, Mend { parent: parent(96, 3), unmark: false }),
    ];
    assert_eq!(mends(&leaving), expect);
}

#[test]
fn orphans_hang_below_the_root_and_without_one_the_first_becomes_it() {
    let leaving = leave(&[span(1, 1, 0), span(1, 2, 50)]);
    assert_eq!(mends(&leaving), [(2, Mend { parent: parent(50, 1), unmark: false })]);
    let leaving = leave(&[span(1, 2, 50), span(1, 3, 51), span(1, 4, 2)]);
    let expect = [
        (2, Mend { parent: parent(50, 0), unmark: false }),
        (3, Mend { parent: parent(51, 2), unmark: false }),
    ];
    assert_eq!(mends(&leaving), expect);
}

#[test]
fn a_parent_of_zero_bytes_is_taken_away() {
    let mut zero = span(1, 1, 0);
    zero.zero_parent = true;
    assert_eq!(mends(&leave(&[zero])), [(1, Mend { parent: parent(0, 0), unmark: false })]);
}

#[test]
fn what_was_cut_short_is_left_alone() {
    let mut join = Join::new(speaking(), 1);
    give(&mut join, ms(0), &Origin::anonymous(), &[span(1, 2, 50), span(1, 3, 51).marked_root()]);
    let leaving = join.push_out(ms(1), Reason::Pressure).unwrap();
    assert_eq!(mends(&leaving), []);
}

#[test]
fn late_spans_are_told_what_their_trace_said() {
    let mut join = Join::new(speaking(), 1);
    give(&mut join, ms(0), &Origin::anonymous(), &[span(1, 1, 0).named("front").says("user.id", "ann")]);
    assert_eq!(run(&mut join, ms(10_000)).len(), 1);
    let late = [span(1, 2, 1).says("user.id", "bob").says("session.id", "s"), span(1, 3, 77).marked_root()];
    give(&mut join, ms(10_001), &Origin::anonymous(), &late);
    let left = run(&mut join, ms(10_100));
    let (_, leaving) = &left[0];
    assert_eq!(leaving.reason, Reason::Late);
    assert_eq!(text(leaving, Text::User).as_deref(), Some("ann"), "the root has spoken");
    assert_eq!(text(leaving, Text::Session).as_deref(), Some("s"));
    assert_eq!(text(leaving, Text::Name).as_deref(), Some("front"));
    // A parent given by hand never comes; the trace's root is remembered.
    assert_eq!(mends(leaving), [(3, Mend { parent: parent(77, 1), unmark: true })]);
}

#[test]
fn a_root_that_comes_after_a_part_speaks_before_it() {
    let mut join = Join::new(Settings { hold: std::time::Duration::from_secs(2), ..speaking() }, 1);
    give(&mut join, ms(0), &Origin::anonymous(), &[span(1, 2, 1).says("user.id", "bob")]);
    assert_eq!(run(&mut join, ms(2_000))[0].1.reason, Reason::Aged);
    give(&mut join, ms(2_001), &Origin::anonymous(), &[span(1, 1, 0).says("user.id", "ann")]);
    let left = run(&mut join, ms(60_000));
    assert_eq!(text(&left[0].1, Text::User).as_deref(), Some("ann"));
}

#[test]
fn of_traces_that_say_the_same_only_their_ids_are_remembered() {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"))]);
    let named = Arc::new(Origin::of(headers.iter()));
    let asked = Origin::with(Caller::of(&Interest::default(), &headers, None, named.clone()));
    for origin in [Origin::anonymous(), named, Arc::new(asked)] {
        let mut join = Join::new(Settings::default(), 1);
        for trace in 1..=4096 {
            give(&mut join, ms(trace), &origin, &[span(trace, trace, 0)]);
        }
        run(&mut join, ms(60_000));
        assert_eq!(join.remembered_traces(), 4096);
        assert!(join.remembered_bytes() / 4096 < 160, "{} bytes", join.remembered_bytes());
    }
}

#[test]
fn what_is_said_is_paid_for_in_the_ledger() {
    let mut join = Join::new(speaking(), 1);
    let before = join.remembered_bytes();
    give(&mut join, ms(0), &Origin::anonymous(), &[span(1, 1, 0).says("user.id", "u".repeat(200))]);
    run(&mut join, ms(60_000));
    assert!(join.remembered_bytes() >= before + 200);
}
