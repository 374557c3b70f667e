//! docs/benchmarks.md: what must hold, whether it does, and every figure behind it.

use std::fmt::Write as _;

use spandrel::wire::Signal;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::contender::Peer;
use crate::figure::{Figure, Spread};
use crate::load::Pace;
use crate::mark::Verdict;
use crate::measure::Measured;
use crate::ours;
use crate::rows::{How, Row};

/// What one row came to.
pub struct Done {
    pub row: &'static Row,
    pub measured: Vec<Measured>,
    pub said: Vec<String>,
    pub verdicts: Vec<Verdict>,
}

const HEAD: &str = "| what must hold | mark | measured | |\n|---|---|---|---|\n";
const FIGURES: &str = "| load | program | CPU µs a span | × nginx | × Collector | kernel | peak MiB | items/s | delivered, last run |\n\
                       |---|---|---|---|---|---|---|---|---|\n";

/// The marks of these rows as a table.
pub fn marks<'a>(done: impl Iterator<Item = &'a Done>) -> String {
    let mut table = HEAD.to_owned();
    for verdict in done.flat_map(|done| &done.verdicts) {
        let Verdict { what, mark, measured, .. } = verdict;
        let _ = writeln!(table, "| {what} | {mark} | {measured} | {} |", verdict.word());
    }
    table
}

/// Every program of these rows.
pub fn figures<'a>(done: impl Iterator<Item = &'a Done>) -> String {
    let mut table = FIGURES.to_owned();
    for Done { row, measured, .. } in done {
        for one in measured {
            table += &line(row, one, measured);
        }
    }
    table
}

fn line(row: &Row, one: &Measured, all: &[Measured]) -> String {
    let (Some(cpu), Some(last)) = (one.cpu(), one.runs.last()) else { return String::new() };
    let times = |peer| one.times(all, peer).map_or_else(|| "–".to_owned(), |times| format!("{times:.2}"));
    let middle =
        |of: fn(&Figure) -> f64| Spread::of(one.runs.iter().map(of)).map_or(0.0, |spread| spread.median);
    format!(
        "| {} | {} | {} | {} | {} | {:.0} % | {:.0} | {:.0}k | {} |\n",
        row.name,
        one.contender.name,
        cpu.words(2),
        times(Peer::Nginx),
        times(Peer::Collector),
        middle(Figure::kernel) * 100.0,
        one.runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max),
        middle(Figure::per_second) / 1e3,
        last.delivered()
    )
}

/// Writes the page of a run of all rows.
pub fn write(bench: &Bench, done: &[Done]) {
    let said: String =
        done.iter().flat_map(|done| &done.said).fold(String::new(), |all, said| all + "- " + said + "\n");
    let loads: String = done.iter().map(|done| load(done.row)).collect();
    let version = |peer: Peer| peer.version().unwrap_or("not there");
    let page = format!(
        "# Benchmarks\n\n\
         <!-- Generated: `cargo bench --bench peers`. -->\n\n\
         {}. nginx {}, Collector {}. Times of the program under test alone, user and kernel; {} rounds, {} where \
         nginx or another run of ours is what is held against, each with all programs of a row in turn, begun by \
         another, under the same load and in front of the same sink; middle (least–most). A ratio is that of one round, \
         the middle of them. The load generator and the sink share the cores with what is measured. The Collector, \
         which takes longest, is given a fifth of the items at full speed, and the first rounds only. Every item is \
         counted at the sink. Spans of a load differ in their ids and times; in the rows `varied` and `rules-varied` in \
         what they say too.\n\n\
         ```sh\ncargo bench --bench peers                     # all of it, this page; builds the Collector and, twice, Spandrel the first time\n\
         cargo bench --bench peers -- joined rules     # some rows\n\
         ROUNDS=1 ITEMS=300000 STEADY=3 MINUTE=10 cargo bench --bench peers -- steady overload    # less of it\n```\n\n\
         nginx comes from the distribution, the Collector is built by its own builder from its Go modules \
         (`tests/conformance/collector/build`), Spandrel {}.\n\n\
         ## What must hold\n\n{}\n## Side by side\n\n{loads}\n{}\n## By itself\n\n{said}",
        machine(),
        version(Peer::Nginx),
        version(Peer::Collector),
        bench.rounds,
        bench.rounds_where_close(),
        ours::PROGRAM.how(),
        marks(done.iter()),
        figures(done.iter()),
    );
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md"), page).unwrap();
}

/// What a row's programs are sent.
fn load(row: &Row) -> String {
    let How::SideBySide(side) = &row.how else { return String::new() };
    let templates = side.load.content.templates();
    let (items, bytes) = templates
        .iter()
        .fold((0, 0), |(items, bytes), one| (items + one.items, bytes + one.fresh(0).len() as u64));
    let pace = match side.load.pace {
        Pace::Full { .. } => "full speed".to_owned(),
        Pace::Steady { items } => format!("{items} a second"),
    };
    let gzip = if side.load.gzip { ", gzip" } else { "" };
    let kind = match side.load.content.signal() {
        Signal::Metrics => "data points",
        Signal::Logs => "records",
        Signal::Traces | Signal::Profiles => "spans",
    };
    let transport = match side.load.transport {
        Transport::Grpc => "gRPC",
        Transport::Http => "HTTP",
    };
    let (a_request, size) = (items / templates.len() as u64, bytes / items);
    format!(
        "- `{}`: {}; {a_request} {kind} a request, {size} B each, {transport}{gzip}, {pace}\n",
        row.name, row.what,
    )
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
