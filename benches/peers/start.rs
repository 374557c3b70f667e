//! What a program is before it has anything to do: how soon it answers, what it holds, how large its file is.

use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::Content;
use crate::contender::Contender;
use crate::figure::Spread;
use crate::load::{Load, Pace, Sender, now};
use crate::mark::Verdict;
use crate::ours;
use crate::program::Program;
use crate::rows::Findings;
use crate::sink::{Sink, Wanted};

const ALL: [Contender; 3] = [
    Contender::spandrel("Spandrel", ""),
    Contender::NGINX,
    Contender::collector("Collector", &["resource", "batch"]),
];
const LOAD: Load = Load {
    transport: Transport::Grpc,
    content: Content::Flat(10),
    gzip: false,
    pace: Pace::Full { one_in: 1 },
};
const STARTS: usize = 11;
const PATIENCE: Duration = Duration::from_secs(20);
/// What is done after a start is done by then.
const SETTLED: Duration = Duration::from_secs(2);

/// From exec to the first OK.
pub fn first_ok(bench: &Bench, what: &'static str) -> Findings {
    each(bench, what, STARTS, "ms", 10.0, |started| started.took.as_secs_f64() * 1e3, Duration::ZERO)
}

/// Resident after one export and some quiet.
pub fn idle(bench: &Bench, what: &'static str) -> Findings {
    each(bench, what, bench.rounds, "MiB", 8.0, |started| started.program.rss_mib(), SETTLED)
}

struct Started {
    program: Program,
    took: Duration,
}

fn each(
    bench: &Bench,
    what: &'static str,
    times: usize,
    unit: &str,
    most: f64,
    of: fn(&Started) -> f64,
    quiet: Duration,
) -> Findings {
    let mut findings = Findings::default();
    for contender in ALL.iter().filter(|one| one.is_here()) {
        let values = (0..times).map(|_| of(&bench.runtime.block_on(started(contender, quiet))));
        let Some(spread) = Spread::of(values.collect::<Vec<_>>().into_iter()) else { continue };
        findings.said.push(format!("{what}, {}: {} {unit}", contender.name, spread.words(1)));
        if contender.peer().is_none() {
            let mark = format!("≤ {most} {unit}");
            findings.verdicts.push(Verdict::at_most(what, mark, spread.median, spread.words(1), most));
        }
    }
    findings
}

async fn started(contender: &Contender, quiet: Duration) -> Started {
    let sink = Sink::start(Wanted::of(LOAD.content)).await;
    let began = now();
    let program = contender.spawn(&LOAD, sink.address());
    let answered = tokio::time::timeout(PATIENCE, Sender::new(LOAD, 0).first_ok(program.address)).await;
    answered.expect("the program answers");
    let took = began.elapsed();
    tokio::time::sleep(quiet).await;
    Started { program, took }
}

/// The file of the program that was measured, without its symbols.
pub fn size(_: &Bench, what: &'static str) -> Findings {
    const MOST: f64 = 10.0;
    let directory = tempfile::tempdir().unwrap();
    let bare = directory.path().join("spandrel");
    let stripped = Command::new("strip").arg("-o").arg(&bare).arg(&ours::PROGRAM.file).status();
    let mark = format!("≤ {MOST} MB");
    let verdict = match stripped {
        Ok(status) if status.success() => {
            let megabytes = std::fs::metadata(&bare).unwrap().len() as f64 / 1e6;
            Verdict::at_most(what, mark, megabytes, format!("{megabytes:.1} MB"), MOST)
        }
        _ => Verdict { what, mark, measured: "there is no `strip` here".to_owned(), met: None },
    };
    Findings { said: Vec::new(), verdicts: vec![verdict] }
}
