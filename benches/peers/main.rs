//! Spandrel beside nginx, which passes the same bytes along, and the Collector, which does the same work: processor
//! time a span of the program alone, resident memory, waits; deliveries counted.
//!
//! ```text
//! cargo bench --bench peers                       # every row, some forty minutes: docs/benchmarks.md
//! cargo bench --bench peers -- joined rules       # some rows, by name (`rows.rs`); no page
//! ROUNDS=1 ITEMS=300000 STEADY=3 MINUTE=10 cargo bench --bench peers -- steady overload     # less of it
//! cargo bench --bench peers -- profile            # where instructions go, by stage, under callgrind
//! cargo bench --bench peers -- trained            # builds the program as it is released, and says where it is
//! ```
//!
//! It builds the program as its image has it (`trained.rs`), and the Collector, once, by its own builder through Go's
//! modules (a quarter of an hour for the one, ten minutes for the other), and takes nginx from the distribution; what is
//! not there is left out and said. A number without a delivery count is not a number: the sink counts every item, looks
//! for the labels, and checks that joined traces came whole. Times on a shared machine wander; the ratios of one round
//! are what to read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench that can not go on stops, saying where"
)]

mod bench;
mod caller;
mod callgrind;
mod collector;
#[path = "../common/mod.rs"]
mod common;
mod contender;
mod figure;
mod floor;
mod lanes;
mod latency;
mod load;
mod mark;
mod measure;
mod nginx;
mod ours;
mod page;
mod profile;
mod program;
mod rows;
mod sent;
mod sink;
mod start;
mod strain;
mod trained;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bench::Bench;
use mark::Verdict;
use page::Done;
use rows::{Findings, How, ROWS, Row};

fn main() {
    // `cargo bench` passes `--bench`.
    let names: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [word, file] = names.as_slice()
        && word == floor::WORD
    {
        return floor::run(file.as_ref());
    }
    if names == ["trained"] {
        return build_trained();
    }
    if names == ["profile"] {
        return profile::print(&Bench::new());
    }
    let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("there is no row `{unknown}`; there are {}", known.join(", "));
        std::process::exit(2);
    }
    let bench = Bench::new();
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    let done: Vec<Done> = ROWS.iter().filter(wanted).map(|row| guarded(&bench, row)).collect();
    println!("\n{}\n{}", page::marks(done.iter()), page::figures(done.iter()));
    if names.is_empty() {
        page::write(&bench, &done);
    }
}

/// The program as it is released, and where it is. `COUNTS` names a file to keep the counts in, or to take them from.
fn build_trained() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release");
    let kept = std::env::var_os("COUNTS").and_then(|file| std::path::absolute(file).ok());
    match trained::program("release", &directory, kept) {
        Some(file) => println!("{}", file.display()),
        None => {
            eprintln!("this compiler has no llvm-profdata: `rustup component add llvm-tools` brings it");
            std::process::exit(1);
        }
    }
}

/// A row that breaks off is not met, and the others go on.
fn guarded(bench: &Bench, row: &'static Row) -> Done {
    catch_unwind(AssertUnwindSafe(|| one(bench, row))).unwrap_or_else(|_| {
        let (mark, measured) = ("all of it".to_owned(), "it broke off".to_owned());
        let verdict = Verdict { what: row.what, mark, measured, met: Some(false) };
        Done { row, measured: Vec::new(), said: Vec::new(), verdicts: vec![verdict] }
    })
}

/// Runs a row and prints it as it goes.
fn one(bench: &Bench, row: &'static Row) -> Done {
    println!("{}: {}", row.name, row.what);
    let done = match &row.how {
        How::SideBySide(side) => {
            let (measured, verdicts) = side.run(bench, row.what);
            Done { row, measured, said: Vec::new(), verdicts }
        }
        How::Alone(run) => {
            let Findings { said, verdicts } = run(bench, row.what);
            Done { row, measured: Vec::new(), said, verdicts }
        }
    };
    done.said.iter().for_each(|said| println!("  {said}"));
    for verdict in &done.verdicts {
        println!("  {}: {} · {}", verdict.mark, verdict.measured, verdict.word().replace('*', ""));
    }
    done
}
