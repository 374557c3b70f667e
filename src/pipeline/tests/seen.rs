//! By what time a trace is quiet, and a batch due: when its spans were offered, and when somebody looks again.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::lane::Lane;
use crate::join;
use crate::model::Time;

/// Silence after which every trace leaves.
const QUIET: Duration = Duration::from_millis(5);
/// Later than any batch stays open.
const MUCH_LATER: u64 = 1_000;

/// A request of a span with this id of trace 1.
fn span(id: u8) -> Vec<u8> {
    let span = Span { trace_id: vec![1; 16], span_id: vec![id; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn lane() -> Lane {
    Lane::joining(join::Settings { quiet: QUIET, idle: QUIET, ..join::Settings::default() })
}

/// Spans in each request that goes out.
fn spans(sent: Vec<Vec<u8>>) -> Vec<usize> {
    let count = |body: Vec<u8>| {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum()
    };
    sent.into_iter().map(count).collect()
}

/// What leaves in the turn that takes spans offered at these times, in milliseconds, and finds nothing else `now`.
fn check(offered: &[u64], now: u64, expect: &[usize]) {
    let (mut lane, at) = (lane(), Time::from_millis);
    for (offered, id) in offered.iter().zip(1..) {
        lane.take(at(now), at(*offered), span(id));
    }
    let sent = lane.turn(at(now), at(now + MUCH_LATER), true);
    assert_eq!(spans(sent), expect, "offered at {offered:?}, looked at {now}");
}

#[test]
fn a_trace_that_was_quiet_before_it_was_taken_leaves_in_the_turn_that_takes_it() {
    check(&[85], 100, &[1]);
    check(&[70, 95], 100, &[2]);
    check(&[70, 96], 100, &[]);
}

#[test]
fn spans_count_as_offered_no_earlier_than_those_taken_before() {
    check(&[96, 70], 100, &[]);
    check(&[95, 70], 100, &[2]);
}

#[test]
fn no_trace_is_quiet_while_its_spans_wait_to_be_taken() {
    let (mut lane, now, later) = (lane(), Time::from_millis(10_000), Time::from_millis(11_000));
    lane.take(now, Time::from_millis(20), span(1));
    assert!(lane.turn(now, later, false).is_empty(), "more waits, and may be of this trace");
    lane.take(now, Time::from_millis(24), span(2));
    assert!(lane.turn(now, later, false).is_empty());
    assert_eq!(spans(lane.turn(now, later, true)), [2]);
}

#[test]
fn a_batch_that_is_due_before_somebody_looks_again_is_closed_now() {
    let at = Time::from_millis;
    let mut lane = lane();
    lane.take(at(10), at(10), span(1));
    assert!(lane.turn(at(20), at(219), true).is_empty(), "it has left the join, and its batch has 200 ms");
    assert_eq!(spans(lane.turn(at(190), at(220), true)), [1]);
}
