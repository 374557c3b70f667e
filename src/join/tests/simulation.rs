//! Generated traces over three services, in virtual time: every one must leave whole, in one piece.
//!
//! Operations are what real services have: calls always made, calls made only sometimes, far sides that
//! are not instrumented, children that outlive their parent, ids in span names. Each service exports on
//! its own timer with jitter, so the parts of a trace come in any order, up to a second apart.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng, seq::SliceRandom};

use super::make::*;
use crate::join::{Join, Leaving, Settings};
use crate::model::{Origin, Reason, Time};
use crate::wire::TraceId;

const MS: u64 = 1_000_000;
const SERVICES: [&str; 3] = ["in-prod", "orders", "agent"];
/// How often each exports, milliseconds; each time 20 % sooner or later.
const TIMERS: [u64; 3] = [210, 480, 25];

/// A span as an operation makes it, with what it calls.
struct Op {
    service: usize,
    name: &'static str,
    kind: u8,
    /// How often its parent makes it.
    chance: f64,
    /// It goes on this long after its parent has ended.
    outlives_ms: u64,
    calls: Vec<Op>,
}

fn op(service: usize, name: &'static str, kind: u8, calls: Vec<Op>) -> Op {
    Op { service, name, kind, chance: 1.0, outlives_ms: 0, calls }
}

fn sometimes(chance: f64, op: Op) -> Op {
    Op { chance, ..op }
}

fn handler(service: usize, name: &'static str, calls: Vec<Op>) -> Op {
    op(service, name, SERVER, calls)
}

fn call(service: usize, name: &'static str, to: Op) -> Op {
    op(service, name, CLIENT, vec![to])
}

fn query(service: usize, name: &'static str) -> Op {
    op(service, name, CLIENT, vec![])
}

/// The roots: the first two always make the same calls.
fn operations() -> Vec<Op> {
    let price = || {
        call(
            0,
            "POST /price",
            handler(1, "POST /price", vec![query(1, "SELECT prices"), op(1, "round", 1, vec![])]),
        )
    };
    let answer =
        || handler(2, "POST /agent/48213", vec![op(2, "plan", 1, vec![]), op(2, "chat gpt", CLIENT, vec![])]);
    vec![
        handler(
            0,
            "GET /cart",
            vec![query(0, "GET cart"), price(), call(0, "POST /agent", answer()), op(0, "render", 1, vec![])],
        ),
        handler(
            0,
            "GET /order",
            vec![
                call(
                    0,
                    "GET /orders",
                    handler(
                        1,
                        "GET /orders",
                        vec![
                            query(1, "SELECT orders"),
                            call(1, "POST /agent", answer()),
                            op(1, "map", 1, vec![]),
                        ],
                    ),
                ),
                op(0, "log", 1, vec![]),
                op(0, "audit", 1, vec![]),
            ],
        ),
        handler(
            0,
            "POST /checkout",
            vec![
                sometimes(0.3, price()),
                sometimes(0.5, call(0, "POST /agent", answer())),
                sometimes(0.9, query(0, "INSERT order")),
                sometimes(
                    0.9,
                    call(0, "POST /stock", handler(1, "POST /stock", vec![query(1, "UPDATE stock")])),
                ),
                op(0, "render", 1, vec![]),
                op(0, "audit", 1, vec![]),
            ],
        ),
        // No CLIENT span between: ids passed by hand, far side sometimes asked, sometimes not sampled.
        handler(
            0,
            "POST /ask",
            vec![
                op(
                    0,
                    "ask",
                    1,
                    vec![
                        sometimes(0.3, answer()),
                        sometimes(0.5, op(1, "look up", 1, vec![query(1, "SELECT facts")])),
                    ],
                ),
                call(
                    0,
                    "GET /facts",
                    sometimes(0.5, handler(1, "GET /facts", vec![sometimes(0.3, op(2, "rank", 1, vec![]))])),
                ),
                op(0, "log", 1, vec![]),
                op(0, "audit", 1, vec![]),
            ],
        ),
        // Streams: what is consumed, and sometimes what is written after, ends after the root.
        handler(
            0,
            "GET /stream",
            vec![
                Op { outlives_ms: 150, ..op(0, "write", 1, vec![]) },
                Op {
                    outlives_ms: 120,
                    chance: 0.5,
                    ..op(1, "consume", 5, vec![query(1, "INSERT event"), op(1, "notify", 4, vec![])])
                },
                op(0, "audit", 1, vec![]),
            ],
        ),
    ]
}

/// A span and when it arrives, by which service.
struct Sent {
    at: u64,
    service: usize,
    span: Span,
}

struct World {
    rng: SmallRng,
    ids: u64,
    /// Of each service, when it exports: ascending.
    exports: [Vec<u64>; 3],
    sent: Vec<Sent>,
}

impl World {
    fn new(end: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(42);
        let exports = TIMERS.map(|timer| {
            let (mut at, mut times) = (0, Vec::new());
            while at < end {
                at += timer * MS * rng.random_range(80..=120) / 100;
                times.push(at);
            }
            times
        });
        Self { rng, ids: 0, exports, sent: Vec::new() }
    }

    /// Makes the spans of one operation; returns how many, and when it ended.
    fn play(&mut self, op: &Op, trace: u64, parent: u64, start: u64) -> (usize, u64) {
        self.ids += 1;
        let id = self.ids;
        let (mut count, mut at) = (1, start + self.rng.random_range(1..3 * MS));
        for call in &op.calls {
            if self.rng.random_bool(call.chance) {
                let (spans, end) = self.play(call, trace, id, at);
                count += spans;
                at = if call.outlives_ms > 0 { at } else { end } + self.rng.random_range(1..MS);
            }
        }
        let mut span = span(trace, id, parent).of(SERVICES[op.service]).named(op.name).kind(op.kind);
        if let Some(plain) = op.name.strip_suffix("48213") {
            span = span.named(format!("{plain}{}", 10_000 + trace));
        }
        let end = at + op.outlives_ms * MS;
        (span.start, span.end) = (start, end);
        let exports = &self.exports[op.service];
        let export = exports[exports.partition_point(|&export| export < end)];
        // One export is several requests, as where an SDK's batches are small.
        self.sent.push(Sent { at: export + self.rng.random_range(0..3) * MS, service: op.service, span });
        (count, end)
    }
}

struct Outcome {
    /// Of each trace, its operation and its spans.
    made: HashMap<TraceId, (usize, usize)>,
    left: Vec<(Time, Leaving)>,
}

fn simulate(traces: u64, each_second: u64) -> Outcome {
    let end = traces * 1_000_000_000 / each_second + 60_000 * MS;
    let (mut world, operations) = (World::new(end), operations());
    let mut made = HashMap::new();
    for trace in 1..=traces {
        let which = world.rng.random_range(0..operations.len());
        let (spans, _) = world.play(&operations[which], trace, 0, trace * 1_000_000_000 / each_second);
        made.insert(trace_id(trace), (which, spans));
    }
    let mut sent = std::mem::take(&mut world.sent);
    sent.sort_by_key(|sent| (sent.at, sent.service));
    let mut join = Join::new(Settings { held_bytes_max: 2 << 30, ..settings() }, 1);
    let mut left = Vec::new();
    for export in sent.chunk_by_mut(|a, b| (a.at, a.service) == (b.at, b.service)) {
        left.extend(run(&mut join, Time(export[0].at)));
        export.shuffle(&mut world.rng);
        let spans: Vec<Span> = export.iter().map(|sent| sent.span.clone()).collect();
        let (body, index): (Bytes, _) = request(&spans);
        join.take(Time(export[0].at), &Origin::anonymous(), &body, &index, |_| true);
    }
    left.extend(run(&mut join, Time(u64::MAX)));
    assert_eq!(join.held_traces(), 0);
    Outcome { made, left }
}

impl Outcome {
    /// Every trace left once, with all its spans.
    fn check_whole(&self) {
        let mut seen = HashMap::new();
        for (at, leaving) in &self.left {
            let (which, spans) = self.made[&leaving.trace];
            assert_eq!(
                (leaving.span_count(), leaving.repairs.orphans, leaving.repairs.duplicates),
                (spans, 0, 0),
                "operation {which} at {at:?}: {:?} of {} traces left before; reason {:?}",
                leaving.trace,
                seen.len(),
                leaving.reason,
            );
            assert!(seen.insert(leaving.trace, ()).is_none(), "{:?} left twice", leaving.trace);
        }
        assert_eq!(seen.len(), self.made.len());
    }

    /// How long traces of some operations, the last `share` of them, were held after their last span.
    fn holds(&self, operations: &[usize], share: f64) -> Vec<Duration> {
        let skip = (self.left.len() as f64 * (1.0 - share)) as usize;
        let wanted = |l: &&(Time, Leaving)| operations.contains(&self.made[&l.1.trace].0);
        let holds = self.left.iter().skip(skip).filter(wanted).map(|(at, l)| at.since(l.last_arrival));
        let mut holds: Vec<Duration> = holds.collect();
        holds.sort_unstable();
        holds
    }
}

fn median(holds: &[Duration]) -> Duration {
    holds[holds.len() / 2]
}

#[test]
fn a_hundred_thousand_generated_traces_leave_whole_and_once_learned_soon() {
    let outcome = simulate(100_000, 400);
    outcome.check_whole();
    let (fixed, varying) = (outcome.holds(&[0, 1], 0.4), outcome.holds(&[2, 3, 4], 0.4));
    let complete = outcome.left.iter().filter(|(_, l)| l.reason == Reason::Complete).count();
    println!("complete {complete}; fixed: median {:?}, most {:?}", median(&fixed), fixed.last());
    println!("varying: median {:?}, most {:?}", median(&varying), varying.last());
    assert!(median(&fixed) < Duration::from_millis(100));
    // The longest lag is that of the slowest timer and of what outlives its parent; twice that is waited.
    let lag = Duration::from_millis(TIMERS[1] * 12 / 10 + 150);
    assert!(varying.last() < Some(&(lag * 2 + Duration::from_millis(100))), "{:?}", varying.last());
}
