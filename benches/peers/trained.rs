//! The program as its image has it: built once to count what it does, in front of the loads of these rows, and once
//! more with the counts. `cargo bench --bench peers -- trained`
//!
//! A compiler that knows which way a program mostly goes lays that way out in one piece and the rest aside
//! ("Profile-guided Optimization" in the rustc book). A request that finds nothing in the processor's caches then waits
//! for less: docs/performance.md, "Trained". Counts are of one compiler and of one source: names in them are those of
//! functions as they were compiled. So they are made where they are used, and none are kept in the repository.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::contender::Who;
use crate::lanes;
use crate::load::{Load, Sender};
use crate::ours;
use crate::rows::{How, ROWS};
use crate::sink::{Sink, Wanted};

/// Functions are told to count before they are linked, so the program that counts is linked the quick way.
const COUNTING: [&str; 3] = ["-Cprofile-generate", "-Clinker-plugin-lto=no", "-Clto=off"];
/// Code that never ran is made small, however fast it was to be.
const COUNTED: &str = "-Cllvm-args=-pgso-lwss-only=false";
/// What the program is shown of each row.
const ITEMS: u64 = 200_000;
const STEADY: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);

/// Builds it with this profile of Cargo's below `directory`, with the counts in the file `kept`; where there is none yet,
/// they are made and left there. None where the compiler has no tool to merge them.
pub fn program(profile: &str, directory: &Path, kept: Option<PathBuf>) -> Option<PathBuf> {
    let counts = match kept {
        Some(kept) if kept.is_file() => kept,
        kept => counted(profile, directory, kept)?,
    };
    let flags = [format!("-Cprofile-use={}", counts.display()), COUNTED.to_owned()];
    Some(build(profile, &directory.join("trained"), &flags))
}

/// The counts of this source and this compiler, made unless they are there.
fn counted(profile: &str, directory: &Path, kept: Option<PathBuf>) -> Option<PathBuf> {
    let merger = merger()?;
    let program = build(profile, &directory.join("counting"), &COUNTING.map(str::to_owned));
    // Under the name of what counted, which would count the same again.
    let all = directory.join("counts");
    let counts = kept.unwrap_or_else(|| all.join(format!("{:016x}.profdata", digest(&program))));
    if !counts.is_file() {
        // What others were used for is of no more use.
        let _ = std::fs::remove_dir_all(&all);
        let _ = std::fs::remove_dir_all(directory.join("trained"));
        std::fs::create_dir_all(&all).unwrap();
        count(&program, &merger, &counts);
    }
    Some(counts)
}

/// Runs what counts in front of all that is measured of ours.
fn count(program: &Path, merger: &Path, counts: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Bench::runtime();
    for (load, configuration) in lessons() {
        runtime.block_on(lesson(program, &load, configuration, directory.path()));
    }
    // With what never ran: that it did not is what makes it small.
    let merged = Command::new(merger).args(["merge", "-o"]).arg(counts).arg(directory.path()).status();
    assert!(merged.is_ok_and(|status| status.success()), "{} merges what was counted", merger.display());
}

/// Every load that a row measures of ours, and what we are told beside it; and lanes that have threads of their own.
fn lessons() -> impl Iterator<Item = (Load, &'static str)> {
    let rows = ROWS.iter().filter_map(|row| match &row.how {
        How::SideBySide(side) => Some(side),
        How::Alone(_) => None,
    });
    rows.chain([&lanes::WHOLE]).flat_map(|side| {
        side.contenders.iter().filter_map(|contender| match contender.who {
            Who::Spandrel(configuration) => Some((side.load, configuration)),
            Who::Nginx | Who::Collector(_) | Who::Floor(_) => None,
        })
    })
}

async fn lesson(program: &Path, load: &Load, configuration: &str, counts: &Path) {
    let sink = Sink::start(Wanted::of(load.content)).await;
    let mut program = ours::spawn_by(load, sink.address(), configuration, |file| {
        let mut command = Command::new(program);
        command.arg("--config").arg(file).env("LLVM_PROFILE_FILE", counts.join("%p.profraw"));
        command
    });
    program = program.ready().await;
    let sent = Sender::new(*load, 0).at_its_pace(program.address, ITEMS, STEADY).await;
    sink.wait_for(sent.taken, SILENCE).await;
    // It writes its counts as it ends.
    program.end();
}

/// `llvm-profdata` of this very compiler, fetched where rustup is there to do it.
fn merger() -> Option<PathBuf> {
    let merger = PathBuf::from(said_by_rustc("target-libdir")?).parent()?.join("bin/llvm-profdata");
    if !merger.is_file() {
        let _ = Command::new("rustup").args(["component", "add", "llvm-tools"]).status();
    }
    merger.is_file().then_some(merger)
}

/// Builds the program with a profile of Cargo's, below `target`, with these flags of the compiler's beside the usual.
/// They are for the program alone, not for what its build runs: hence the name of the machine.
pub fn build(profile: &str, target: &Path, flags: &[String]) -> PathBuf {
    let usual = std::env::var("RUSTFLAGS").unwrap_or_default();
    let flags: Vec<&str> = usual.split_whitespace().chain(flags.iter().map(String::as_str)).collect();
    let machine = said_by_rustc("host-tuple").expect("rustc says what it compiles for");
    let mut cargo = Command::new(env!("CARGO"));
    // What Cargo says to whom it starts of their own package: ring is built again when that changes.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args(["build", "--quiet", "--locked", "--bin", "spandrel", "--profile", profile])
        .args(["--target", &machine, "--target-dir"])
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the program can be built");
    target.join(machine).join("release/spandrel")
}

/// What `rustc --print` prints of this.
fn said_by_rustc(what: &str) -> Option<String> {
    let said = Command::new("rustc").args(["--print", what]).output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

fn digest(file: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(file).expect("it was built"));
    hasher.finish()
}
