//! Whatever is divided: no item is lost or doubled, none leaves its resource and scope, no trace is torn
//! without need.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;

/// Spans of a request, each as (resource, scope, trace, span) with its length in bytes.
type Spans = BTreeMap<(String, String, u8, u16), usize>;

fn scope(name: String) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name, ..Default::default() })
}

/// `blocks[resource][scope]` are spans, each a trace and the length of its name.
fn traces(blocks: &[Vec<Vec<(u8, usize)>>]) -> Bytes {
    let mut number = 0u16;
    let mut span = |&(trace, len): &(u8, usize)| {
        number += 1;
        let span_id = [vec![1; 6], number.to_be_bytes().to_vec()].concat();
        Span { trace_id: vec![trace + 1; 16], span_id, name: "x".repeat(len), ..Default::default() }
    };
    let mut scope_spans = |(at, spans): (usize, &Vec<(u8, usize)>)| ScopeSpans {
        scope: scope(at.to_string()),
        spans: spans.iter().map(&mut span).collect(),
        ..Default::default()
    };
    let resource_spans = blocks.iter().enumerate().map(|(at, scopes)| ResourceSpans {
        scope_spans: scopes.iter().enumerate().map(&mut scope_spans).collect(),
        schema_url: at.to_string(),
        ..Default::default()
    });
    Traces { resource_spans: resource_spans.collect() }.encode_to_vec().into()
}

fn spans(request: &Bytes) -> Spans {
    let mut all = Spans::new();
    for block in Traces::decode(request.clone()).unwrap().resource_spans {
        for scope in block.scope_spans {
            let name = scope.scope.unwrap_or_default().name;
            for span in scope.spans {
                let number = u16::from_be_bytes(span.span_id[6..].try_into().unwrap());
                let key = (block.schema_url.clone(), name.clone(), span.trace_id[0], number);
                assert!(all.insert(key, span.encoded_len()).is_none(), "a span is there twice");
            }
        }
    }
    all
}

fn traces_of(request: &Bytes) -> BTreeSet<u8> {
    spans(request).into_keys().map(|(_, _, trace, _)| trace).collect()
}

/// The parts' bodies; together they hold what the whole held.
fn checked(whole: &Bytes, parts: Vec<Part>) -> Vec<Bytes> {
    let mut together = Spans::new();
    let bodies: Vec<Bytes> = parts
        .into_iter()
        .map(|part| {
            let body = part.body.to_bytes();
            let held = spans(&body);
            assert_eq!(held.len() as u64, part.items, "a part counts what it holds");
            assert!(part.items > 0, "no part is empty");
            held.into_iter().for_each(|(key, len)| assert!(together.insert(key, len).is_none()));
            body
        })
        .collect();
    assert_eq!(together, spans(whole));
    bodies
}

fn blocks() -> impl Strategy<Value = Vec<Vec<Vec<(u8, usize)>>>> {
    let span = (0u8..8, prop_oneof![4 => 0usize..200, 1 => 0usize..40_000]);
    prop::collection::vec(prop::collection::vec(prop::collection::vec(span, 1..8), 1..3), 1..4)
}

proptest! {
    #[test]
    fn halves_hold_whole_traces(blocks in blocks()) {
        let whole = traces(&blocks);
        let Some(halves) = in_two(Signal::Traces, &whole) else {
            prop_assert!(traces_of(&whole).len() == 1 && blocks.len() == 1, "there was a border");
            return Ok(());
        };
        let halves = checked(&whole, halves.into());
        let [first, second] = [traces_of(&halves[0]), traces_of(&halves[1])];
        let alone = traces_of(&whole).len() == 1;
        prop_assert!(alone || first.is_disjoint(&second));
        prop_assert!(alone || first.len().abs_diff(second.len()) <= 1);
    }

    #[test]
    fn parts_that_fit_tear_only_traces_that_do_not(blocks in blocks(), room in 500usize..60_000) {
        let whole = traces(&blocks);
        let Some(parts) = to_fit(Signal::Traces, &whole, room) else { return Ok(()) };
        let parts = checked(&whole, parts);
        for part in &parts {
            prop_assert!(part.len() <= room || spans(part).len() == 1, "{} bytes", part.len());
        }
        for trace in traces_of(&whole) {
            let len: usize = spans(&whole).iter().filter(|(key, _)| key.2 == trace).map(|(_, len)| len + 64).sum();
            let holding = parts.iter().filter(|part| traces_of(part).contains(&trace)).count();
            prop_assert!(holding == 1 || len > room, "trace {trace} is torn into {holding}");
        }
    }

    #[test]
    fn nothing_panics_on_what_is_no_request(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        for signal in Signal::ALL {
            in_two(signal, &bytes);
            to_fit(signal, &bytes, 10);
        }
    }
}

#[test]
fn a_trace_alone_is_divided_by_resource_and_then_no_further() {
    let whole = traces(&[vec![vec![(1, 5), (1, 5)]], vec![vec![(1, 5)]]]);
    let halves = checked(&whole, in_two(Signal::Traces, &whole).unwrap().into());
    assert_eq!(halves.iter().map(|half| spans(half).len()).collect::<Vec<_>>(), [2, 1]);
    assert!(halves.iter().all(|half| in_two(Signal::Traces, half).is_none()));
}

fn logs(blocks: &[usize]) -> Bytes {
    let record = || LogRecord { severity_text: "x".repeat(100), ..Default::default() };
    let scope_logs = |records| ScopeLogs {
        scope: scope("lib".into()),
        log_records: (0..records).map(|_| record()).collect(),
        ..Default::default()
    };
    let block =
        |&records: &usize| ResourceLogs { scope_logs: vec![scope_logs(records)], ..Default::default() };
    Logs { resource_logs: blocks.iter().map(block).collect() }.encode_to_vec().into()
}

#[test]
fn what_has_no_traces_is_divided_by_block_and_to_fit_between_records() {
    let whole = logs(&[3, 1, 5]);
    let halves = in_two(Signal::Logs, &whole).unwrap();
    assert_eq!(halves.map(|half| half.items), [3, 6]);
    assert!(in_two(Signal::Logs, &logs(&[9])).is_none(), "one block came of one request");

    let parts = to_fit(Signal::Logs, &logs(&[1, 1, 20]), 400).unwrap();
    assert_eq!(parts.iter().map(|part| part.items).sum::<u64>(), 22);
    assert_eq!(parts[0].items, 2, "small blocks stay together");
    assert!(parts.iter().all(|part| part.body.len() <= 400));
}

#[test]
fn what_fits_and_what_can_not_be_divided_stay_whole() {
    assert!(to_fit(Signal::Logs, &logs(&[3, 3]), 1 << 20).is_none());
    assert!(to_fit(Signal::Logs, &logs(&[1]), 10).is_none(), "one record has no seam");
    assert!(in_two(Signal::Profiles, &Bytes::from_static(b"\x0a\x00")).is_none());
    assert!(in_two(Signal::Traces, &Bytes::new()).is_none());
}

#[test]
fn each_trace_goes_to_its_place_and_the_place_is_asked_once_with_the_earliest_start() {
    let request = traces(&[vec![vec![(1, 3), (2, 4), (1, 5)], vec![(3, 1)]], vec![vec![(2, 9), (4, 2)]]]);
    let mut asked = Vec::new();
    let parts = by_place(Signal::Traces, &request, 9, |trace, start| {
        asked.push((trace.0[0], start));
        trace.0[0] % 2
    });
    assert_eq!(asked, [(2, 0), (3, 0), (4, 0), (5, 0)]);
    let parts = parts.unwrap();
    let mut all = Spans::new();
    for (place, part) in parts {
        let body = part.body.to_bytes();
        assert!(traces_of(&body).iter().all(|trace| trace % 2 == place));
        let spans = spans(&body);
        assert_eq!(part.items, spans.len() as u64);
        all.extend(spans);
    }
    assert_eq!(all, spans(&request));
    assert_eq!(by_place(Signal::Traces, &request, 9, |_, _| 4).unwrap_err(), 4, "nothing to divide");
    assert_eq!(by_place(Signal::Metrics, &request, 9, |_, _| 4).unwrap_err(), 9);
    assert_eq!(by_place(Signal::Traces, &Bytes::from_static(b"\xff"), 9, |_, _| 4).unwrap_err(), 9);
}

#[test]
fn a_log_record_goes_where_its_trace_goes() {
    let record = |trace: u8, text: &str| LogRecord {
        trace_id: if trace == 0 { Vec::new() } else { vec![trace; 16] },
        event_name: text.to_owned(),
        ..Default::default()
    };
    let block = |name: &str, records: Vec<LogRecord>| ResourceLogs {
        scope_logs: vec![
            ScopeLogs { scope: scope(name.to_owned()), log_records: records, ..Default::default() },
            ScopeLogs { scope: scope("none".to_owned()), ..Default::default() },
        ],
        schema_url: name.to_owned(),
        ..Default::default()
    };
    let first = vec![record(1, "a"), record(0, "b"), record(2, "c"), record(1, "d")];
    let all = Logs { resource_logs: vec![block("x", first), block("y", vec![record(2, "e")])] };
    let request = Bytes::from(all.encode_to_vec());
    let parts = by_place(Signal::Logs, &request, 0, |trace, _| trace.0[0]).unwrap();
    let found: Vec<(u8, u64, Vec<String>)> = parts
        .into_iter()
        .map(|(place, part)| {
            let logs = Logs::decode(part.body.to_bytes()).unwrap();
            let names = logs.resource_logs.iter().flat_map(|block| {
                block.scope_logs.iter().flat_map(|scope| {
                    assert_eq!(scope.scope.as_ref().unwrap().name, block.schema_url, "no empty scope");
                    scope.log_records.iter().map(|record| record.event_name.clone())
                })
            });
            (place, part.items, names.collect())
        })
        .collect();
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(found, [(1, 2, text(&["a", "d"])), (0, 1, text(&["b"])), (2, 2, text(&["c", "e"]))]);
}
