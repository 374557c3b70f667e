//! What rules cost: nanoseconds a span, and under callgrind instructions a span.
//!
//! ```text
//! cargo bench --bench rules                      # every step, ns a span, the best of several rounds
//! valgrind --tool=callgrind --toggle-collect='rules::once::*' \
//!     target/release/deps/rules-* pass 20        # instructions = collected / (20 x 100 spans)
//! ```
//!
//! The rules are the ten of `ten.ottl`, which the journey bench gives to the Collector's transform processor as
//! well. The request is the one of DESIGN §9: 100 spans of about 380 bytes with 8 attributes each. Seven of
//! the ten find something to change on each of them. `…_idle` are ten rules that find nothing.

#![allow(clippy::expect_used, reason = "a bench that can not go on stops, saying why")]

use std::hint::black_box;
use std::time::Instant;

use spandrel::rules::passing::Passing;
use spandrel::rules::whole::{self, Member};
use spandrel::rules::{Group, Outcome, Rules, TraceFacts};
use spandrel::wire::Signal;
use spandrel::wire::attr::{Attr, Value, messages};
use spandrel::wire::fields::put_len_field;

/// As the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TEN: &str = include_str!("ten.ottl");
/// Finds nothing to do.
const IDLE: &str = "drop() where span.name == \"GET /healthz\"";
const SPANS: usize = 100;
const ROUNDS: usize = 15;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let only = args.next();
    let runs: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(500);
    let (block, resource) = block();
    let scope = messages(&block, 2).next().unwrap_or_default();
    let spans: Vec<&[u8]> = messages(scope, 2).collect();
    println!("{} spans, {} bytes a span", spans.len(), block.len() / spans.len());

    let ten = compiled(TEN.lines());
    let idle = compiled(std::iter::repeat_n(IDLE, 10));
    let steps: [(&str, &dyn Fn()); 4] = [
        ("pass", &|| once::pass(&ten, &block, &resource)),
        ("pass_idle", &|| once::pass(&idle, &block, &resource)),
        ("joined", &|| once::joined(&ten, &spans, &resource)),
        ("joined_idle", &|| once::joined(&idle, &spans, &resource)),
    ];
    for (name, step) in steps.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let rounds = if only.is_some() { 1 } else { ROUNDS };
        let best = (0..rounds).map(|_| round(step, runs)).fold(f64::INFINITY, f64::min);
        println!("{name:12} {:8.1} ns a span", best / SPANS as f64);
    }
}

fn compiled<'a>(statements: impl Iterator<Item = &'a str>) -> Rules {
    let group = |text: &str| Group { statements: vec![text.to_owned()], ..Group::default() };
    Rules::compile(&statements.map(group).collect::<Vec<_>>()).expect("good rules")
}

/// Nanoseconds a run.
#[allow(clippy::disallowed_methods)]
fn round(step: &dyn Fn(), runs: usize) -> f64 {
    let began = Instant::now();
    (0..runs).for_each(|_| step());
    began.elapsed().as_nanos() as f64 / runs as f64
}

/// The measured steps, each by a name that callgrind can be told.
mod once {
    use super::*;

    /// A block that passes, and its bytes as they go out.
    #[inline(never)]
    pub fn pass(rules: &Rules, block: &[u8], resource: &[u8]) {
        let see = |_: &[u8], _: &Outcome| {};
        let passing = Passing { rules, signal: Signal::Traces, resource, now: 0, random: || 7, see };
        let ruled = passing.apply(black_box(block));
        for part in ruled.parts.iter().filter(|part| !part.edits.is_empty()) {
            black_box(part.edits.apply(block));
        }
    }

    /// A trace of as many spans, with the bytes of each that is changed.
    #[inline(never)]
    pub fn joined(rules: &Rules, spans: &[&[u8]], resource: &[u8]) {
        let members: Vec<Member<'_>> = spans
            .iter()
            .map(|span| Member { span, resource, scope: &[], dropped: false, to: None })
            .collect();
        black_box(whole::apply(rules, black_box(&members), &TraceFacts::default(), 0, || 7));
    }
}

fn block() -> (Vec<u8>, Vec<u8>) {
    let mut scope = message(&[(1, &message(&[(1, b"io.opentelemetry.http")]))]);
    (0..SPANS).for_each(|nth| put_len_field(2, &span(nth as u64), &mut scope));
    let mut resource = Vec::new();
    for (key, value) in
        [("service.name", "checkout"), ("telemetry.sdk.language", "python"), ("host.name", "node-17")]
    {
        put_text(1, key, value, &mut resource);
    }
    (message(&[(1, &resource), (2, &scope)]), resource)
}

/// As the journey's load has them.
fn span(nth: u64) -> Vec<u8> {
    let id = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut span = message(&[(1, &[id, id].concat()), (2, &id), (4, &id), (5, b"GET /v1/orders/{id}")]);
    span.extend([6 << 3, 3]);
    for tag in [7 << 3 | 1, 8 << 3 | 1] {
        span.push(tag);
        span.extend((1_760_000_000_000_000_000 + nth).to_le_bytes());
    }
    put_text(9, "http.request.method", "GET", &mut span);
    put_text(9, "url.full", &format!("https://orders.internal.example.com/v1/orders/{nth:04}"), &mut span);
    put_text(9, "server.address", "orders.internal.example.com", &mut span);
    Attr { key: b"server.port", value: Value::Int(443) }.put(9, &mut span);
    Attr { key: b"http.response.status_code", value: Value::Int(200) }.put(9, &mut span);
    put_text(9, "network.protocol.version", "1.1", &mut span);
    put_text(9, "user_agent.original", "okhttp/4.12.0", &mut span);
    put_text(9, "thread.name", "http-nio-8080-exec-7", &mut span);
    span.extend([0x7a, 0, 0x85, 0x01, 1, 1, 0, 0]);
    span
}

fn put_text(field: u32, key: &str, value: &str, out: &mut Vec<u8>) {
    Attr { key: key.as_bytes(), value: Value::Str(value.as_bytes()) }.put(field, out);
}

fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|(number, value)| put_len_field(*number, value, &mut out));
    out
}
