//! What the join costs: nanoseconds a span, and under callgrind instructions a span.
//!
//! ```text
//! cargo bench --bench join                        # taking and leaving, ns a span, the best of several rounds
//! valgrind --tool=callgrind --toggle-collect='join::once' \
//!     target/release/deps/join-* 20               # instructions a span = collected / 200,000: 20 learned, 9 rounds
//! ```
//! With `--context` what the traces say of themselves is worked out too, as for a vendor's server.
//!
//! Traces of 10 spans over 3 services, 380 bytes a span, exported in requests of 100 spans so that
//! the three parts of a trace come in three requests. The shapes are known before the clock starts.
//! What leaves is copied span by span into a buffer, as writing a batch does.

#![allow(clippy::expect_used, reason = "a bench that can not go on stops, saying why")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use spandrel::join::{Join, Settings};
use spandrel::model::{Origin, Time};
use spandrel::wire::fields::put_len_field;
use spandrel::wire::{Detail, Index, Limits, Signal, walk};

const ROUNDS: usize = 9;
const LEARN: usize = 20;
/// The spans of a trace: (service, span, parent).
const SPANS: [(usize, u64, u64); 10] = [
    (0, 1, 0),
    (0, 2, 1),
    (0, 3, 1),
    (0, 4, 1),
    (1, 5, 3),
    (1, 6, 5),
    (1, 7, 5),
    (2, 8, 4),
    (2, 9, 8),
    (2, 10, 8),
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let batches: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut traces = 0;
    let mut load = |batches: usize| -> Vec<(Bytes, Index)> {
        (0..batches)
            .flat_map(|_| batch(&mut traces))
            .map(|body| (index(&body), body))
            .map(|(i, b)| (b, i))
            .collect()
    };
    let context = std::env::args().any(|arg| arg == "--context");
    let mut join = Join::new(Settings { context, named: context, mend: context, ..Settings::default() }, 1);
    let origin = Origin::anonymous();
    let mut now = Time::default();
    once(&mut join, &load(LEARN), &origin, &mut now);
    now = now + std::time::Duration::from_secs(10);
    while join.leave(now).is_some() {}

    let mut best = f64::MAX;
    let mut spans = 0;
    for _ in 0..ROUNDS {
        let requests = load(batches);
        spans = requests.iter().map(|(_, index)| index.spans.len()).sum();
        #[allow(clippy::disallowed_methods)]
        let began = Instant::now();
        let left = once(&mut join, &requests, &origin, &mut now);
        best = best.min(began.elapsed().as_nanos() as f64 / spans as f64);
        assert!(left > spans / 2, "most traces leave complete while others come: {left} of {spans}");
    }
    println!(
        "join {best:>8.1} ns a span ({spans} spans a round, {ROUNDS} rounds, {} left over)",
        join.held_traces()
    );
}

/// Takes every request a millisecond after the one before, and lets go what is due.
#[inline(never)]
fn once(join: &mut Join, requests: &[(Bytes, Index)], origin: &Arc<Origin>, now: &mut Time) -> usize {
    let mut out = Vec::with_capacity(1 << 20);
    let mut left = 0;
    for (body, index) in requests {
        *now = *now + std::time::Duration::from_millis(1);
        join.take(*now, origin, body, index, |_| true);
        while let Some(leaving) = join.leave(*now) {
            for block in &leaving.blocks {
                for span in leaving.spans(block) {
                    if out.len() + span.len() > 1 << 20 {
                        out.clear();
                    }
                    out.extend_from_slice(&span);
                }
            }
            left += leaving.span_count();
            join.recycle(leaving);
        }
    }
    black_box(&out);
    left
}

fn index(body: &Bytes) -> Index {
    walk(Signal::Traces, body, Detail::Spans, &Limits::default()).expect("a good request")
}

/// The requests of 100 traces: each service's spans, about 100 to a request, services interleaved.
fn batch(traces: &mut u64) -> Vec<Bytes> {
    let first = *traces + 1;
    *traces += 100;
    let parts = |service: usize| {
        let each = if service == 0 { 25 } else { 34 };
        (first..first + 100)
            .collect::<Vec<_>>()
            .chunks(each)
            .map(|ids| request(service, ids))
            .collect::<Vec<_>>()
    };
    let (a, b, c) = (parts(0), parts(1), parts(2));
    c.into_iter().chain(a).chain(b).collect()
}

fn request(service: usize, traces: &[u64]) -> Bytes {
    let mut scope = Vec::new();
    put_len_field(1, &message(&[(1, b"bench-scope")]), &mut scope);
    for trace in traces {
        for (_, id, parent) in SPANS.iter().filter(|(of, _, _)| *of == service) {
            put_len_field(2, &span(*trace, *id, *parent), &mut scope);
        }
    }
    let names: [&[u8]; 3] = [b"front", b"orders", b"agent"];
    let mut resource = Vec::new();
    for (key, value) in [
        ("service.name", names[service]),
        ("host.name", b"machine-1"),
        ("telemetry.sdk.name", b"opentelemetry"),
    ] {
        put_len_field(1, &attribute(key.as_bytes(), value), &mut resource);
    }
    let block = message(&[(1, &resource), (2, &scope)]);
    message(&[(1, &block)]).into()
}

fn span(trace: u64, id: u64, parent: u64) -> Vec<u8> {
    let mix = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let trace_id = [mix.to_be_bytes(), (mix ^ trace).to_be_bytes()].concat();
    let own = (mix ^ id).to_be_bytes();
    let name = format!("operation {id}");
    let mut out = message(&[(1, &trace_id), (2, &own)]);
    if parent != 0 {
        put_len_field(4, &(mix ^ parent).to_be_bytes(), &mut out);
    }
    put_len_field(5, name.as_bytes(), &mut out);
    out.extend([6 << 3, 2, (7 << 3) | 1]);
    out.extend((1_795_347_879_000_000_000 + trace * 1000 + id).to_le_bytes());
    out.push((8 << 3) | 1);
    out.extend((1_795_347_879_000_100_000 + trace * 1000 + id).to_le_bytes());
    for n in 0..8 {
        let (key, value) = (format!("attribute.key.{n}"), format!("value-{trace:08}-{n}"));
        put_len_field(9, &attribute(key.as_bytes(), value.as_bytes()), &mut out);
    }
    out
}

fn attribute(key: &[u8], value: &[u8]) -> Vec<u8> {
    message(&[(1, key), (2, &message(&[(1, value)]))])
}

fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|(number, body)| put_len_field(*number, body, &mut out));
    out
}
