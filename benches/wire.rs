//! What the bytes cost: nanoseconds a span, and under callgrind instructions a span.
//!
//! ```text
//! cargo bench --bench wire                       # every step, ns a span, the best of several rounds
//! valgrind --tool=callgrind --toggle-collect='wire::once::*' \
//!     target/release/deps/wire-* walk_spans 20   # instructions = collected / (20 x 100 spans)
//! ```
//!
//! The request is the one of DESIGN §9: 100 spans of about 380 bytes with 8 attributes each.

#![allow(clippy::expect_used, reason = "a bench that can not go on stops, saying why")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use spandrel::wire::attr::{Attr, Value};
use spandrel::wire::block::{first_body, put_block_with};
use spandrel::wire::fields::put_len_field;
use spandrel::wire::splice::{self, Edit};
use spandrel::wire::{Detail, Index, Limits, Rope, Signal, walk};

const SPANS: usize = 100;
const ROUNDS: usize = 15;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let only = args.next();
    let runs: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let body = request();
    let index = walk(Signal::Traces, &body, Detail::Blocks, &Limits::default()).expect("a good request");
    assert_eq!((index.items, index.refused.items), (SPANS as u64, 0));
    println!("{} spans, {} bytes a span", SPANS, body.len() / SPANS);

    let steps: [(&str, &dyn Fn()); 4] = [
        ("walk_spans", &|| once::walk_spans(&body)),
        ("walk_blocks", &|| once::walk_blocks(&body)),
        ("splice", &|| once::splice(&body, &index)),
        ("pass_on", &|| once::pass_on(&body, &index)),
    ];
    for (name, step) in steps.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let rounds = if only.is_some() { 1 } else { ROUNDS };
        let best = (0..rounds).map(|_| round(step, runs)).fold(f64::INFINITY, f64::min);
        println!("{name:12} {:8.1} ns a span", best / SPANS as f64);
    }
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

    /// What the join needs.
    #[inline(never)]
    pub fn walk_spans(body: &Bytes) {
        let _ = black_box(walk(Signal::Traces, black_box(body), Detail::Spans, &Limits::default()));
    }

    /// What passing on needs.
    #[inline(never)]
    pub fn walk_blocks(body: &Bytes) {
        let _ = black_box(walk(Signal::Traces, black_box(body), Detail::Blocks, &Limits::default()));
    }

    /// Two labels into the one resource of the request.
    #[inline(never)]
    pub fn splice(body: &Bytes, index: &Index) {
        black_box(labelled(body, index));
    }

    /// The same, and the block written with it.
    #[inline(never)]
    pub fn pass_on(body: &Bytes, index: &Index) {
        let mut out = Rope::default();
        for entry in &index.resources {
            put_block_with(body, entry.block, &labelled(body, index), &mut out);
        }
        black_box(out);
    }

    fn labelled(body: &Bytes, index: &Index) -> Vec<u8> {
        let label =
            |key, value: &'static str| Edit { key, value: Value::Str(value.as_bytes()), overwrite: false };
        let edits = [label("deployment.environment.name", "production"), label("service.version", "4f1d0c2")];
        let resource = index.resources.first().map(|entry| first_body(body, index, &entry.head));
        splice::attributes(&resource.unwrap_or_default(), splice::RESOURCE_ATTRIBUTES, &edits)
    }
}

fn request() -> Bytes {
    let mut scope = message(&[(1, &message(&[(1, b"io.opentelemetry.http")]))]);
    (0..SPANS).for_each(|nth| put_len_field(2, &span(nth as u64), &mut scope));
    let mut resource = Vec::new();
    for (key, value) in
        [("service.name", "checkout"), ("telemetry.sdk.language", "python"), ("host.name", "node-17")]
    {
        put_text(1, key, value, &mut resource);
    }
    let block = message(&[(1, &resource), (2, &scope)]);
    message(&[(1, &block)]).into()
}

fn span(nth: u64) -> Vec<u8> {
    let id = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut span = message(&[(1, &[id, id].concat()), (2, &id), (4, &id), (5, b"POST /api/v1/orders/{id}")]);
    span.extend([6 << 3, 2]);
    for tag in [7 << 3 | 1, 8 << 3 | 1] {
        span.push(tag);
        span.extend((1_760_000_000_000_000_000 + nth).to_le_bytes());
    }
    put_text(9, "http.request.method", "POST", &mut span);
    put_text(9, "url.path", "/api/v1/orders/4711", &mut span);
    put_text(9, "http.route", "/api/v1/orders/{id}", &mut span);
    put_text(9, "server.address", "checkout.internal", &mut span);
    put_text(9, "user_agent.original", "okhttp/4.12.0", &mut span);
    put_text(9, "network.protocol", "1.1", &mut span);
    Attr { key: b"http.response.status_code", value: Value::Int(200) }.put(9, &mut span);
    Attr { key: b"server.port", value: Value::Int(8443) }.put(9, &mut span);
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
