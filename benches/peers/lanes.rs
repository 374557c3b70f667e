//! What a second lane brings.
//!
//! On two cores the load, the sink and the I/O threads take most of both, so a second lane has no core to itself
//! and spans a second say nothing. So lanes are shown by themselves: threads that take their own traces out of the
//! same walked requests, at once and under one byte budget, as lanes do. Each is measured by its own processor time,
//! in which contention for memory and counters shows and another program on the machine does not. The whole program
//! with one and two is measured too: what a second lane costs there is time that does not become spans.

use std::sync::{Barrier, RwLock};
use std::time::Duration;

use spandrel::join::Settings;
use spandrel::queue::Budget;
use spandrel::queue::lanes::Lanes;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::Content;
use crate::common::lane::{self, Lane};
use crate::contender::Contender;
use crate::figure::Spread;
use crate::load::{Load, Pace};
use crate::mark::Verdict;
use crate::measure::SideBySide;
use crate::rows::Findings;

const WHOLE: SideBySide = SideBySide {
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
/// Rounds of three requests that are walked and then worked on, few enough to be warm as on arrival; how often.
const ROUNDS: u64 = 20;
const CHUNKS: u64 = 150;
const TIMES: usize = 5;
const LEAST: f64 = 1.7;

pub fn scaling(bench: &Bench, what: &'static str) -> Findings {
    let mut findings = Findings::default();
    if let Some(spread) = Spread::of((0..TIMES).map(|_| seconds(1) / seconds(2))) {
        findings.verdicts.push(Verdict {
            what,
            mark: format!("≥ {LEAST} ×"),
            measured: format!("{} × as fast, lanes alone, fed from memory", spread.words(2)),
            met: Some(spread.median >= LEAST),
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

/// Processor time of the slowest of `lanes` threads, which do all of it together.
fn seconds(lanes: usize) -> f64 {
    // Far from the rounds that are learned from.
    const FIRST: u64 = 1 << 20;
    let budget = Budget::new(1 << 30);
    let (turn, chunk) = (Barrier::new(lanes + 1), RwLock::new(Vec::new()));
    std::thread::scope(|scope| {
        let own = |own: usize| {
            let (budget, turn, chunk) = (&budget, &turn, &chunk);
            move || {
                let mut lane = Lane::new(budget, Settings::default());
                lane.learn(0);
                let (before, mut left) = (own_cpu(), 0);
                for _ in 0..CHUNKS {
                    turn.wait();
                    left += lane.work(&chunk.read().unwrap(), |trace| Lanes::of(trace, lanes) == own);
                    turn.wait();
                }
                (left, (own_cpu() - before).as_secs_f64())
            }
        };
        let threads: Vec<_> = (0..lanes).map(|nth| scope.spawn(own(nth))).collect();
        for nth in 0..CHUNKS {
            let from = FIRST + nth * ROUNDS;
            *chunk.write().unwrap() = lane::requests(from..from + ROUNDS);
            turn.wait();
            turn.wait();
        }
        let all: Vec<(usize, f64)> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let (left, sent) = (all.iter().map(|(left, _)| left).sum::<usize>(), CHUNKS * ROUNDS * 300);
        assert!(left as u64 > sent / 2, "most spans leave: {left} of {sent}");
        all.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max)
    })
}

/// Of the thread that asks.
fn own_cpu() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(said.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap())
}
