//! Log records that belong to spans: they leave with them, once, in an order that arrival has no part in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use proptest::prelude::*;
use prost::Message;

use super::make::*;
use crate::join::{Join, Leaving, Settings, Unplaced, WaitsFor};
use crate::model::{Origin, Reason};
use crate::wire::{Detail, Limits, Signal, walk};

const QUESTION: &str = "gen_ai.user.message";
const ANSWER: &str = "gen_ai.choice";

/// A record of a span: trace, span, time, name, text.
type Said = (u64, u64, u64, &'static str, &'static str);

fn noting() -> Settings {
    Settings { notes: true, ..settings() }
}

fn record(&(trace, span, time, name, text): &Said) -> LogRecord {
    LogRecord {
        time_unix_nano: time,
        event_name: name.into(),
        body: Some(AnyValue { value: Some(Value::StringValue(text.into())) }),
        trace_id: trace_id(trace).0.to_vec(),
        span_id: span_id(span).0.to_vec(),
        ..LogRecord::default()
    }
}

/// Sends records as one request.
fn log(join: &mut Join, at: u64, origin: &Arc<Origin>, said: &[Said]) {
    log_records(join, at, origin, said.iter().map(record).collect());
}

fn log_records(join: &mut Join, at: u64, origin: &Arc<Origin>, log_records: Vec<LogRecord>) {
    let taken = log_records.len() as u64;
    let scope = ScopeLogs { log_records, ..ScopeLogs::default() };
    let block = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    let body = Bytes::from(LogsData { resource_logs: vec![block] }.encode_to_vec());
    let index = walk(Signal::Logs, &body, Detail::Spans, &Limits::default()).unwrap();
    assert_eq!(join.note(ms(at), origin, &body, &index, |_| true), taken);
}

/// (span, name, text) of each event that leaves with a trace, in order.
fn events(leaving: &Leaving) -> Vec<(u64, String, String)> {
    let mut all = Vec::new();
    for span in leaving.blocks.iter().flat_map(|block| leaving.spans(block)) {
        let id = u64::from_be_bytes(span[20..28].try_into().unwrap());
        let own = otlp::Span::decode(span.events.concat().as_slice()).unwrap();
        for event in own.events {
            let text = match event.attributes.into_iter().next().and_then(|pair| pair.value?.value) {
                Some(Value::StringValue(text)) => text,
                other => panic!("{other:?}"),
            };
            all.push((id, event.name, text));
        }
    }
    all.sort_by_key(|(id, ..)| *id);
    all
}

fn event(span: u64, name: &str, text: &str) -> (u64, String, String) {
    (span, name.into(), text.into())
}

fn chat(trace: u64) -> [Span; 2] {
    [span(trace, 1, 0), span(trace, 2, 1).named("chat gpt").says("gen_ai.operation.name", "chat")]
}

#[test]
fn records_that_come_before_with_or_after_their_span_leave_with_it() {
    let nobody = Origin::anonymous();
    for at in [0, 5, 4_000] {
        let mut join = Join::new(noting(), 1);
        let said =
            [(1, 2, 20, ANSWER, "hi"), (1, 2, 10, QUESTION, "hello"), (1, 9, 1, ANSWER, "of nobody's span")];
        if at < 5 {
            log(&mut join, at, &nobody, &said);
        }
        give(&mut join, ms(5), &nobody, &chat(1));
        if at >= 5 {
            log(&mut join, at, &nobody, &said);
        }
        let left = run(&mut join, ms(60_000));
        assert_eq!(events(&left[0].1), [event(2, QUESTION, "hello"), event(2, ANSWER, "hi")], "at {at}");
        assert_eq!(join.take_unplaced(), Unplaced::default());
        join.end_notes();
        assert_eq!(join.take_unplaced(), Unplaced { no_span: 1, ..Unplaced::default() });
        assert_eq!(join.held_traces(), 0);
    }
}

#[test]
fn a_request_that_is_sent_again_adds_nothing() {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    let said = [(1, 2, 10, QUESTION, "hello"), (1, 2, 20, ANSWER, "hi")];
    (0..3).for_each(|at| log(&mut join, at, &nobody, &said));
    give(&mut join, ms(5), &nobody, &chat(1));
    let left = run(&mut join, ms(60_000));
    assert_eq!((left[0].1.event_count(), left[0].1.note_copies), (2, 4));
}

#[test]
fn an_event_that_the_span_has_is_not_added_again() {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    log(&mut join, 0, &nobody, &[(1, 2, 20, ANSWER, "hi")]);
    give(&mut join, ms(0), &nobody, &chat(1));
    let (_, first) = run(&mut join, ms(60_000)).remove(0);
    // As a gateway sees it, behind a sidecar that has attached it and sent the log on.
    let spans: Vec<_> =
        first.spans(&first.blocks[0]).map(|s| [&s[..], &s.events.concat()].concat()).collect();
    let scope = otlp::ScopeSpans {
        spans: spans.iter().map(|span| otlp::Span::decode(span.as_slice()).unwrap()).collect(),
        ..otlp::ScopeSpans::default()
    };
    let block = otlp::ResourceSpans { scope_spans: vec![scope], ..otlp::ResourceSpans::default() };
    let body = Bytes::from(otlp::TracesData { resource_spans: vec![block] }.encode_to_vec());
    let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default()).unwrap();
    let mut gateway = Join::new(noting(), 1);
    gateway.take(ms(0), &nobody, &body, &index, |_| true);
    log(&mut gateway, 0, &nobody, &[(1, 2, 20, ANSWER, "hi"), (1, 2, 20, ANSWER, "there")]);
    let (_, left) = run(&mut gateway, ms(60_000)).remove(0);
    assert_eq!(events(&left), [event(2, ANSWER, "there")]);
    assert_eq!(left.note_copies, 1);
}

#[test]
fn another_tenants_records_stay_away_and_nobodys_go_with_whoever_has_the_id() {
    let mut join = Join::new(noting(), 1);
    log(&mut join, 0, &named(1, "one"), &[(1, 2, 1, QUESTION, "of one")]);
    log(&mut join, 0, &named(2, "two"), &[(1, 2, 2, QUESTION, "of two")]);
    log(&mut join, 0, &Origin::anonymous(), &[(1, 2, 3, QUESTION, "of nobody")]);
    give(&mut join, ms(0), &named(1, "one"), &chat(1));
    let left = run(&mut join, ms(60_000));
    assert_eq!(events(&left[0].1), [event(2, QUESTION, "of one"), event(2, QUESTION, "of nobody")]);
}

#[test]
fn a_late_span_takes_its_records_along_and_a_late_record_is_counted() {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    let [root, call] = chat(1);
    give(&mut join, ms(0), &nobody, &[root]);
    assert_eq!(run(&mut join, ms(10_000)).len(), 1);
    log(&mut join, 10_001, &nobody, &[(1, 2, 1, QUESTION, "hello"), (1, 1, 1, QUESTION, "to the root")]);
    assert_eq!(join.take_unplaced(), Unplaced { late: 1, ..Unplaced::default() });
    give(&mut join, ms(10_002), &nobody, &[call]);
    let left = run(&mut join, ms(10_100));
    assert_eq!(left[0].1.reason, Reason::Late);
    assert_eq!(events(&left[0].1), [event(2, QUESTION, "hello")]);
}

/// A join that has seen 200 such traces with these records.
fn used_to(said: &[(&'static str, &'static str)]) -> Join {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    for trace in 1_000..1_200 {
        give(&mut join, ms(0), &nobody, &chat(trace));
        let said: Vec<Said> = said.iter().map(|(name, text)| (trace, 2, 1, *name, *text)).collect();
        log(&mut join, 0, &nobody, &said);
    }
    run(&mut join, ms(60_000));
    join
}

#[test]
fn a_whole_trace_waits_for_the_answer_that_spans_like_its_own_had() {
    let (mut join, nobody) = (used_to(&[(QUESTION, "q"), (ANSWER, "a")]), Origin::anonymous());
    give(&mut join, ms(100_000), &nobody, &chat(1));
    log(&mut join, 100_010, &nobody, &[(1, 2, 1, QUESTION, "hello")]);
    assert_eq!(run(&mut join, ms(103_000)).len(), 0);
    assert_eq!(join.held(ms(103_000), 1)[0].waits_for, WaitsFor::Records { of: span_id(2) });
    log(&mut join, 103_000, &nobody, &[(1, 2, 2, ANSWER, "hi")]);
    let left = run(&mut join, ms(110_000));
    assert_eq!((left[0].0, left[0].1.reason), (ms(103_050), Reason::Complete));
    assert_eq!(left[0].1.event_count(), 2);
}

#[test]
fn what_never_had_records_is_not_waited_for_and_what_has_none_any_more_no_longer() {
    let nobody = Origin::anonymous();
    let mut plain = used_to(&[]);
    give(&mut plain, ms(100_000), &nobody, &chat(1));
    assert_eq!(run(&mut plain, ms(200_000))[0].0, ms(100_050));
    let mut join = used_to(&[(QUESTION, "q")]);
    let mut leaves = Vec::new();
    for trace in 1..=70 {
        let begin = 100_000 + trace * 10_000;
        give(&mut join, ms(begin), &nobody, &chat(trace));
        leaves.push(run(&mut join, ms(begin + 9_000))[0].0.since(ms(begin)));
    }
    assert_eq!((leaves[0], leaves[69]), (Duration::from_secs(6), Duration::from_millis(50)));
    // A record that comes late teaches it again.
    log(&mut join, 900_000, &nobody, &[(70, 2, 1, QUESTION, "still there")]);
    assert_eq!(join.take_unplaced().late, 1);
    give(&mut join, ms(900_000), &nobody, &chat(71));
    assert_eq!(run(&mut join, ms(909_000))[0].0, ms(906_000));
}

#[test]
fn nobody_keeps_records_where_nobody_asked() {
    let (mut join, nobody) = (Join::new(settings(), 1), Origin::anonymous());
    let body = Bytes::from(LogsData::default().encode_to_vec());
    let index = walk(Signal::Logs, &body, Detail::Spans, &Limits::default()).unwrap();
    assert_eq!(join.note(ms(0), &nobody, &body, &index, |_| true), 0);
}

#[test]
fn records_are_part_of_what_is_held_until_their_trace_leaves() {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    let before = join.held_bytes();
    log(&mut join, 0, &nobody, &[(1, 2, 1, QUESTION, "hello")]);
    assert!(join.held_bytes() > before);
    give(&mut join, ms(0), &nobody, &chat(1));
    drop(run(&mut join, ms(60_000)));
    assert_eq!(join.notes.bytes(), 0);
}

/// An evaluation of a trace's span, or of none: then of the response.
fn evaluation(span: u64, response: &'static str) -> LogRecord {
    let value = Some(AnyValue { value: Some(Value::StringValue(response.into())) });
    let named = KeyValue { key: "gen_ai.response.id".into(), value, ..KeyValue::default() };
    let span_id = if span == 0 { Vec::new() } else { span_id(span).0.to_vec() };
    LogRecord { span_id, attributes: vec![named], ..record(&(1, span, 7, "gen_ai.evaluation.result", "")) }
}

#[test]
fn an_evaluation_that_names_a_response_leaves_with_the_span_that_has_it() {
    let nobody = Origin::anonymous();
    let [root, chat] = chat(1);
    let spans = [root, chat.says("gen_ai.response.id", "r-1")];
    for first in [true, false] {
        let mut join = Join::new(Settings { evaluations: true, ..noting() }, 1);
        let sent =
            |join: &mut Join| log_records(join, 0, &nobody, vec![evaluation(0, "r-1"), evaluation(0, "r-2")]);
        if first {
            sent(&mut join);
        }
        give(&mut join, ms(0), &nobody, &spans);
        if !first {
            sent(&mut join);
        }
        let left = run(&mut join, ms(60_000));
        let spans = left[0].1.blocks.iter().flat_map(|block| left[0].1.spans(block));
        assert_eq!(spans.map(|span| span.events.len()).collect::<Vec<_>>(), [0, 1], "{first}");
        assert_eq!(join.take_strays(ms(60_000)).len(), 0, "the other waits");
        join.end_notes();
        assert_eq!(join.take_strays(ms(60_000)).len(), 1);
    }
}

#[test]
fn an_evaluation_without_its_span_can_be_had_with_what_its_trace_left_with() {
    let strays = |wanted: bool, records: Vec<LogRecord>| {
        let mut join = Join::new(Settings { evaluations: wanted, ..noting() }, 1);
        let owner = named(7, "owner");
        give(&mut join, ms(0), &owner, &chat(1));
        drop(run(&mut join, ms(60_000)));
        log_records(&mut join, 60_000, &Origin::anonymous(), records);
        let strays = join.take_strays(ms(60_000));
        assert!(strays.iter().all(|stray| stray.origin == owner && stray.trace == trace_id(1)));
        strays.into_iter().map(|stray| stray.span).collect::<Vec<_>>()
    };
    let answer = record(&(1, 2, 5, ANSWER, "hi"));
    let records = vec![evaluation(2, "r"), answer, evaluation(0, "r"), evaluation(9, "not yet here")];
    assert_eq!(strays(true, records.clone()), [span_id(2), span_id(0)]);
    assert_eq!(strays(false, records), []);
}

/// Spans or records, each a request of its own.
#[derive(Clone, Debug)]
enum Sent {
    Spans(Vec<Span>),
    Records(Vec<Said>),
}

fn stay(requests: &[Sent]) -> Vec<Essence> {
    let (mut join, nobody) = (Join::new(noting(), 1), Origin::anonymous());
    for (request, at) in requests.iter().zip(0..) {
        match request {
            Sent::Spans(spans) => give(&mut join, ms(at), &nobody, spans),
            Sent::Records(said) => log(&mut join, at, &nobody, said),
        }
    }
    let mut left: Vec<_> =
        run(&mut join, ms(60_000)).into_iter().map(|(_, leaving)| essence(&leaving)).collect();
    left.sort_by_key(|essence| essence.trace);
    left
}

prop_compose! {
    /// Records of three spans of two traces, with times and texts that are often the same.
    fn said()(trace in 1u64..3, span in 1u64..4, time in 0u64..3, name in 0usize..3, text in 0usize..3) -> Said {
        (trace, span, time, [QUESTION, ANSWER, "gen_ai.x"][name], ["a", "b", "c"][text])
    }
}

proptest! {
    /// In any order and however they are divided over requests, spans and records leave the same.
    #[test]
    fn no_order_and_no_division_of_requests_changes_what_leaves(
        said in prop::collection::vec(said(), 0..20),
        sizes in prop::collection::vec(1usize..5, 20),
        keys in prop::collection::vec(any::<u32>(), 40),
    ) {
        let spans: Vec<Span> = (1..3).flat_map(|t| [span(t, 1, 0), span(t, 2, 1), span(t, 3, 1)]).collect();
        let whole = stay(&[Sent::Spans(spans.clone()), Sent::Records(said.clone())]);
        let mut parts: Vec<Sent> = spans.chunks(2).map(|some| Sent::Spans(some.to_vec())).collect();
        let (mut rest, mut sizes) = (said.as_slice(), sizes.into_iter());
        while !rest.is_empty() {
            let (some, others) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
            parts.push(Sent::Records(some.to_vec()));
            rest = others;
        }
        let mut order: Vec<_> = parts.into_iter().zip(keys).collect();
        order.sort_by_key(|(_, key)| *key);
        let parts: Vec<Sent> = order.into_iter().map(|(part, _)| part).collect();
        prop_assert_eq!(stay(&parts), whole);
    }
}
