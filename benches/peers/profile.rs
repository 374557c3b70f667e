//! Where the instructions of the whole program go: `cargo bench --bench peers -- profile`.
//!
//! Spandrel runs under valgrind's callgrind, on one thread at a time and some fifty times slower, so there is nothing
//! to be read of time. Each load is sent twice, once short and once long, and what the long one took more is what
//! its spans took: neither start nor end is in it. The kernel's share is not seen; docs/benchmarks.md has it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::callgrind::Costs;
use crate::common::Content;
use crate::load::{Load, Pace, Sender};
use crate::ours;
use crate::program::Program;
use crate::sink::{Sink, Wanted};

/// A load, and what Spandrel is told beside it.
const LOADS: [(&str, Content, bool, &str); 3] = [
    ("label + batch", Content::Flat(100), false, "join: {scope: off}"),
    ("joined over 3 services", Content::Services, false, ""),
    ("label + batch, gzip in and out", Content::Flat(100), true, "join: {scope: off}"),
];
const SHORT: u64 = 15_000;
const LONG: u64 = 45_000;
/// Of what a stage takes, what is worth a line.
const LEAST: f64 = 0.005;
const SILENCE: Duration = Duration::from_secs(60);

/// Prints a table for each load.
pub fn print(bench: &Bench) {
    for (name, content, gzip, configuration) in LOADS {
        let load = Load { transport: Transport::Grpc, content, gzip, pace: Pace::Full { one_in: 1 } };
        let [short, long] =
            [SHORT, LONG].map(|items| bench.runtime.block_on(counted(&load, items, configuration)));
        let spans = (LONG - SHORT) as f64;
        let stages: BTreeMap<&String, f64> = long
            .stages
            .iter()
            .map(|(stage, cost)| (stage, cost.saturating_sub(short.stages.get(stage).copied().unwrap_or(0))))
            .map(|(stage, cost)| (stage, cost as f64 / spans))
            .collect();
        let all: f64 = stages.values().sum();
        println!("\n| {name} | instructions a span | |\n|---|---|---|\n| all, user space | {all:.0} | |");
        let mut stages: Vec<_> = stages.into_iter().filter(|(_, cost)| *cost > all * LEAST).collect();
        stages.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (stage, cost) in stages {
            println!("| {stage} | {cost:.0} | {:.0} % |", cost / all * 100.0);
        }
    }
}

/// What a run of `items` took, from start to end.
async fn counted(load: &Load, items: u64, configuration: &str) -> Costs {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("callgrind.out");
    let sink = Sink::start(Wanted::of(load.content)).await;
    let mut program: Program = ours::spawn_by(load, sink.address(), configuration, |file| {
        let mut command = Command::new("valgrind");
        command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
        command.arg(&ours::PROGRAM.file).arg("--config").arg(file);
        command
    });
    program = program.ready().await;
    let sent = Sender::new(*load, 0).full(program.address, items).await;
    sink.wait_for(sent.taken, SILENCE).await;
    assert_eq!(sink.seen().items, sent.taken, "every span sent must arrive");
    program.end();
    let text = std::fs::read_to_string(&out).expect("valgrind is installed and wrote what it counted");
    Costs::read(&text)
}
