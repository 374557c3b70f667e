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

/// A request of a span with this id of trace 1.
fn span(id: u8) -> Vec<u8> {
    request([(1, id)].into_iter())
}

/// A request of spans, each of this trace and with this id.
fn request(spans: impl Iterator<Item = (u128, u8)>) -> Vec<u8> {
    let span = |(trace, id): (u128, u8)| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![id; 8],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: spans.map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn lane(age: Duration) -> Lane {
    Lane::joining(join::Settings { quiet: QUIET, idle: QUIET, ..join::Settings::default() }, age)
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
    let (mut lane, at) = (lane(Duration::ZERO), Time::from_millis);
    for (offered, id) in offered.iter().zip(1..) {
        lane.take(at(now), at(*offered), span(id));
    }
    let sent = lane.turn(at(now), at(now), true);
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
    let (mut lane, now) = (lane(Duration::ZERO), Time::from_millis(10_000));
    lane.take(now, Time::from_millis(20), span(1));
    assert!(lane.turn(now, now, false).is_empty(), "more waits, and may be of this trace");
    lane.take(now, Time::from_millis(24), span(2));
    assert!(lane.turn(now, now, false).is_empty());
    assert_eq!(spans(lane.turn(now, now, true)), [2]);
}

#[test]
fn no_trace_is_quiet_while_its_spans_are_in_a_part_of_a_large_request_that_is_still_to_be_taken() {
    const ALL: u128 = 8_000;
    let (mut lane, at) = (lane(Duration::ZERO), Time::from_millis);
    lane.take(at(10), at(10), request((0..ALL).map(|trace| (trace + 1, 1))));
    lane.take(at(100), at(100), request((0..ALL).map(|trace| (trace + 1, 2))));
    assert!(lane.sent().is_empty(), "nothing left while the second request was taken");
    let sent: usize = spans(lane.turn(at(105), at(105), true)).into_iter().sum();
    assert_eq!(sent, 2 * ALL as usize);
}

#[test]
fn a_batch_that_is_due_before_somebody_looks_again_is_closed_now() {
    let at = Time::from_millis;
    let mut lane = lane(Duration::from_millis(200));
    lane.take(at(10), at(10), span(1));
    assert!(lane.turn(at(20), at(219), true).is_empty(), "it has left the join, and its batch has 200 ms");
    assert_eq!(spans(lane.turn(at(190), at(220), true)), [1]);
}
