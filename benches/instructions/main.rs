//! What single steps cost: instructions a span, beside what they cost when that was last written down.
//!
//! ```text
//! cargo bench --bench instructions                    # every step under callgrind, beside baseline.tsv
//! cargo bench --bench instructions -- join wire/walk  # steps whose names begin like this
//! cargo bench --bench instructions -- --record        # and writes baseline.tsv anew
//! cargo bench --bench instructions -- --clock join    # nanoseconds a span instead, the best of several rounds
//! ```
//!
//! Instructions do not wander with what else the machine does, so a change of one in a hundred shows. They are those
//! of user space and of one thread: what the kernel does, and what waits for memory, is measured by `benches/peers`.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench that can not go on stops, saying why"
)]

mod callgrind;
#[path = "../common/mod.rs"]
mod common;
mod join;
mod meter;
mod rules;
mod wire;

use common::baseline;
use meter::Meter;

/// As the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something that is measured.
pub struct Step {
    /// `family/step`.
    pub name: &'static str,
    /// How many spans a run goes over.
    pub spans: u64,
    /// Gets ready, and measures what counts.
    pub run: Box<dyn FnMut(&mut Meter)>,
}

const FAMILIES: [fn() -> Vec<Step>; 3] = [wire::steps, join::steps, rules::steps];
/// Runs that are counted, behind some that are not: memory is then where it will be.
const RUNS: u64 = 3;
const ROUNDS: usize = 15;

fn main() {
    // `cargo bench` passes `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [run, step, runs] = &words[..]
        && run == "--run"
    {
        return run_step(step, runs.parse().expect("a number of runs"));
    }
    let has = |word: &str| words.iter().any(|given| given == word);
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let steps = FAMILIES.iter().flat_map(|family| family());
    let steps =
        steps.filter(|step| wanted.is_empty() || wanted.iter().any(|w| step.name.starts_with(w.as_str())));
    if has("--clock") {
        return steps.for_each(clock);
    }
    let (before, mut all) = (baseline::read(), baseline::read());
    println!("{:<20} {:>10} {:>10}   instructions a span", "step", "now", "before");
    for Step { name, spans, .. } in steps {
        // What comes before the runs, and the first of them, is taken off.
        let now =
            (callgrind::count(name, 1 + RUNS) - callgrind::count(name, 1)) as f64 / (RUNS * spans) as f64;
        let then = before.get(name).map_or_else(|| "–".to_owned(), |then| format!("{then:.1}"));
        println!("{name:<20} {now:>10.1} {then:>10}   {}", baseline::change(before.get(name), now));
        all.insert(name.to_owned(), now);
    }
    if has("--record") {
        baseline::write(&all);
    }
}

/// Under callgrind.
fn run_step(name: &str, runs: u64) {
    let steps = FAMILIES.iter().flat_map(|family| family());
    let mut step = steps.into_iter().find(|step| step.name == name).expect("a step of this name");
    (0..runs).for_each(|_| (step.run)(&mut Meter::default()));
}

fn clock(mut step: Step) {
    let round = |step: &mut Step| {
        let mut meter = Meter::default();
        (step.run)(&mut meter);
        meter.took.as_nanos() as f64 / step.spans as f64
    };
    let best = (0..ROUNDS).map(|_| round(&mut step)).fold(f64::INFINITY, f64::min);
    println!("{:<20} {best:>8.1} ns a span", step.name);
}
