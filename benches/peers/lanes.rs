//! What a second lane brings.
//!
//! On two cores the load, the sink and the I/O threads take most of both, so a second lane has no core to itself
//! and spans a second say nothing. So lanes are shown by themselves: threads that take their own traces out of the
//! same walked requests, at once and under one byte budget, as lanes do. Each is measured by its own processor time,
//! in which contention for memory and counters shows and another program on the machine does not. What of it is ours
//! and what the machine's shows beside two lanes that share nothing, neither requests nor a budget, and beside the
//! instructions that a lane of two needs. The whole program with one and two is measured too: what a second lane costs
//! there is time that does not become spans.

use std::sync::{Arc, Barrier, RwLock};
use std::time::Duration;

use spandrel::join::Settings;
use spandrel::queue::Budget;
use spandrel::queue::lanes::Lanes;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::lane::{self, Lane, Walked};
use crate::common::{Content, baseline};
use crate::contender::Contender;
use crate::figure::Spread;
use crate::load::{Load, Pace};
use crate::mark::Verdict;
use crate::measure::SideBySide;
use crate::rows::Findings;

pub const WHOLE: SideBySide = SideBySide {
    load: Load {
        transport: Transport::Grpc,
        content: Content::Services,
        gzip: false,
        pace: Pace::Full { one_in: 1 },
    },
    contenders: &[
        Contender::spandrel("Spandrel, one lane", "memory: 256MiB\nlanes: 1"),
        Contender::spandrel("Spandrel, two lanes", "memory: 256MiB\nlanes: 2"),
    ],
    marks: &[],
};
/// Rounds of three requests that are walked and then worked on, few enough to be warm as on arrival; how often; and how
/// many trials: from one to the next what else the machine does moves each of them by a third.
const ROUNDS: u64 = 20;
const CHUNKS: u64 = 150;
const TIMES: usize = 45;
const LEAST: f64 = 1.7;
/// Lanes that share are held back by each other if they are slower than this beside lanes that share nothing.
const APART: f64 = 0.95;

pub fn scaling(bench: &Bench, what: &'static str) -> Findings {
    let mut findings = Findings::default();
    let trials: Vec<[f64; 3]> = (0..TIMES).map(trial).collect();
    let faster = Spread::of(trials.iter().map(|[one, two, _]| one / two));
    let apart = Spread::of(trials.iter().map(|[_, two, apart]| apart / two));
    let by_instructions = by_instructions();
    if let (Some(faster), Some(apart), Some(instructions)) = (faster, apart, by_instructions) {
        findings.verdicts.push(Verdict {
            what,
            mark: format!("≥ {LEAST} ×, or by instructions where lanes do not hold each other back"),
            measured: format!(
                "{instructions:.2} × by instructions (`join/lane`, `join/lane_of_two`); {} × in time, lanes alone, fed \
                 from memory, which is {} × the speed of two that share nothing",
                faster.words(2),
                apart.words(2)
            ),
            met: Some(faster.median >= LEAST || (instructions >= LEAST && apart.median >= APART)),
        });
    }
    for measured in WHOLE.run(bench, what).0 {
        let per_second = Spread::of(measured.runs.iter().map(|run| run.per_second() / 1e3));
        if let (Some(cpu), Some(per_second)) = (measured.cpu(), per_second) {
            findings.said.push(format!(
                "{what}, the whole program, {}: {} µs a span, {}k spans/s",
                measured.contender.name,
                cpu.words(2),
                per_second.words(0)
            ));
        }
    }
    findings
}

/// What one lane does of a span beside what each of two does, as last written down.
fn by_instructions() -> Option<f64> {
    let baseline = baseline::read();
    Some(baseline.get("join/lane")? / baseline.get("join/lane_of_two")?)
}

/// Seconds of one lane, of two, and of two that share nothing; begun by another of them than the trial before.
fn trial(nth: usize) -> [f64; 3] {
    const WAYS: [(usize, Shared); 3] = [(1, Shared::All), (2, Shared::All), (2, Shared::Nothing)];
    let mut took = [0.0; WAYS.len()];
    for way in (nth..nth + WAYS.len()).map(|way| way % WAYS.len()) {
        let (lanes, shared) = WAYS[way];
        took[way] = seconds(lanes, shared);
    }
    took
}

/// What lanes have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// Requests and the budget, as in the program.
    All,
    Nothing,
}

/// Processor time of the slowest of `lanes` threads, which do all of it together.
fn seconds(lanes: usize, shared: Shared) -> f64 {
    // Far from the rounds that are learned from.
    const FIRST: u64 = 1 << 20;
    const SPANS: u64 = CHUNKS * ROUNDS * 300;
    let stores = if shared == Shared::All { 1 } else { lanes };
    let stores: Vec<Store> = (0..stores).map(|_| Store::default()).collect();
    let turn = Barrier::new(lanes + 1);
    std::thread::scope(|scope| {
        let own = |own: usize| {
            let (turn, store) = (&turn, &stores[own % stores.len()]);
            move || {
                let mut lane = Lane::new(&store.budget, Settings::default());
                lane.learn(Content::Services, 0);
                let (before, mut left) = (own_cpu(), 0);
                for _ in 0..CHUNKS {
                    turn.wait();
                    left += lane.work(&store.chunk.read().unwrap(), |trace| Lanes::of(trace, lanes) == own);
                    turn.wait();
                }
                (left, (own_cpu() - before).as_secs_f64())
            }
        };
        let threads: Vec<_> = (0..lanes).map(|nth| scope.spawn(own(nth))).collect();
        for nth in 0..CHUNKS {
            let from = FIRST + nth * ROUNDS;
            stores.iter().for_each(|store| {
                *store.chunk.write().unwrap() = lane::requests(Content::Services, from..from + ROUNDS)
            });
            turn.wait();
            turn.wait();
        }
        let all: Vec<(usize, f64)> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let left = all.iter().map(|(left, _)| left).sum::<usize>();
        assert!(left as u64 > SPANS / 2, "most spans leave: {left} of {SPANS}");
        all.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max)
    })
}

/// What lanes are fed from, and what their batches are charged to.
struct Store {
    budget: Arc<Budget>,
    chunk: RwLock<Vec<Walked>>,
}

impl Default for Store {
    fn default() -> Self {
        Self { budget: Budget::new(1 << 30), chunk: RwLock::default() }
    }
}

/// Of the thread that asks.
fn own_cpu() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(said.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap())
}
