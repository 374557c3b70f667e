//! The journey side by side with nginx passing the same bytes along: CPU µs a span of the program
//! alone, resident memory, deliveries counted. Run: `cargo bench --bench journey`.
//!
//! A number without a delivery count is not a number: the sink counts every span, looks for the
//! labels, and checks that joined traces came whole. Times on a shared machine wander; the ratios of
//! one run are what to read. nginx comes from the distribution; without it its rows are left out. `… -- rules`
//! shows what the ten rules of the rules bench cost, beside the Collector's transform processor with the same
//! statements if `COLLECTOR` names its program (`tests/conformance/collector/run` builds one).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a bench that can not go on stops, saying where"
)]

mod load;
mod program;
mod sink;

use std::sync::atomic::Ordering;
use std::time::Duration;

use load::{Load, Shape, Transport};
use program::Program;
use sink::Sink;

/// One row of the table.
struct Case {
    name: &'static str,
    transport: Transport,
    shape: Shape,
    join: bool,
}

const CASES: [Case; 5] = [
    Case { name: "gRPC, label + batch", transport: Transport::Grpc, shape: Shape::Flat, join: false },
    Case {
        name: "gRPC, traces over 3 services joined",
        transport: Transport::Grpc,
        shape: Shape::Services,
        join: true,
    },
    Case { name: "HTTP, label + batch", transport: Transport::Http, shape: Shape::Flat, join: false },
    Case {
        name: "HTTP, traces over 3 services joined",
        transport: Transport::Http,
        shape: Shape::Services,
        join: true,
    },
    Case { name: "gRPC, exports of 10 spans", transport: Transport::Grpc, shape: Shape::Small, join: false },
];

/// Who is measured.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Spandrel,
    Nginx,
    Collector,
}

/// What one run of one program measured.
struct Figure {
    cpu_us: f64,
    rss_mib: f64,
    spans_per_second: f64,
    note: String,
}

fn main() {
    // `cargo bench` passes `--bench`; a word picks the rows whose name contains it.
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if wanted.as_deref() == Some("rules") {
        return rules(&runtime, rounds);
    }
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|c| wanted.as_ref().is_none_or(|w| c.name.contains(w.as_str()))) {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            if program::has_nginx() {
                floor.push(runtime.block_on(measure(case, Who::Nginx, "")));
            }
            ours.push(runtime.block_on(measure(case, Who::Spandrel, "")));
        }
        let row = row(case, &median(ours), &median(floor));
        println!("{row}");
        rows.push(row);
    }
    let start = runtime.block_on(start_up());
    println!("{start}");
    if wanted.is_none() {
        write_page(&rows, &start);
    }
}

/// What ten rules cost: each program without and with them, turn by turn.
fn rules(runtime: &tokio::runtime::Runtime, rounds: usize) {
    const TEN: &str = include_str!("../rules/ten.ottl");
    let peer = std::env::var_os("COLLECTOR").map(|_| (Who::Collector, "Collector, batch", &CASES[0]));
    let ours = [
        (Who::Spandrel, "Spandrel, label + batch", &CASES[0]),
        (Who::Spandrel, "Spandrel, traces over 3 services joined", &CASES[1]),
    ];
    println!("| | CPU µs a span | with ten rules | more | peak MiB |\n|---|---|---|---|---|");
    for (who, name, case) in ours.into_iter().chain(peer) {
        let (mut plain, mut ruled) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(runtime.block_on(measure(case, who, "")));
            ruled.push(runtime.block_on(measure(case, who, TEN)));
        }
        let (Some(plain), Some(ruled)) = (median(plain), median(ruled)) else { return };
        let (cpu, with, more) = (plain.cpu_us, ruled.cpu_us, ruled.cpu_us - plain.cpu_us);
        println!("| {name} | {cpu:.2} | {with:.2} | {more:.2} | {:.0} |", ruled.rss_mib);
    }
}

/// Runs one load through one program.
async fn measure(case: &Case, who: Who, rules: &str) -> Figure {
    let sink = Sink::start(case.transport).await;
    let ours = who == Who::Spandrel;
    let program = match who {
        Who::Nginx => Program::nginx(case.transport, sink.address()).await,
        Who::Collector => Program::collector(sink.address(), rules).await,
        Who::Spandrel => Program::spandrel(case.transport, sink.address(), case.join, rules).await,
    };
    let load = Load::new(case.transport, case.shape);
    if case.join && ours {
        // Shapes are learned from traces that have left; until then each is waited for in full.
        let warm = load.run(program.address(), 150).await;
        sink.wait_for(warm, Duration::from_secs(30)).await;
    }
    sink.reset();
    load.refused.store(0, Ordering::Relaxed);
    let before = program.cpu();
    let began = std::time::Instant::now();
    let sent = load.run(program.address(), load.requests()).await;
    sink.wait_for(sent, Duration::from_secs(30)).await;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_us = (program.cpu() - before).as_secs_f64() * 1e6 / sent as f64;
    let seen = sink.seen();
    assert_eq!(seen.spans, sent, "{}: every span sent must arrive", case.name);
    let mut note =
        format!("{} spans in {} requests, {} resource blocks", seen.spans, seen.requests, seen.resources);
    if ours {
        assert_eq!(seen.unlabelled, 0, "{}: every resource must carry its labels", case.name);
    }
    let refused = load.refused.load(Ordering::Relaxed);
    if refused > 0 {
        note += &format!(", {refused} requests refused and sent again");
    }
    if case.join && ours {
        note += &format!(", {} of {} traces whole", seen.whole, sent / load::TRACE_SPANS as u64);
    }
    Figure { cpu_us, rss_mib: program.peak_rss_mib(), spans_per_second: sent as f64 / seconds, note }
}

fn median(mut figures: Vec<Figure>) -> Option<Figure> {
    figures.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle)
}

fn row(case: &Case, ours: &Option<Figure>, floor: &Option<Figure>) -> String {
    let Some(ours) = ours else { return String::new() };
    let (nginx, ratio) = floor.as_ref().map_or(("–".to_owned(), "–".to_owned()), |f| {
        (format!("{:.2}", f.cpu_us), format!("{:.2}", ours.cpu_us / f.cpu_us))
    });
    format!(
        "| {} | {:.2} | {nginx} | {ratio} | {:.0} | {:.0}k | {} |",
        case.name,
        ours.cpu_us,
        ours.rss_mib,
        ours.spans_per_second / 1e3,
        ours.note
    )
}

/// From exec to the first OK, and what it holds when idle.
async fn start_up() -> String {
    let mut times = Vec::new();
    let mut idle = 0.0;
    for _ in 0..11 {
        let sink = Sink::start(Transport::Grpc).await;
        let began = std::time::Instant::now();
        let program = Program::spawn_spandrel(Transport::Grpc, sink.address(), true, "");
        let load = Load::new(Transport::Grpc, Shape::Small);
        load.first_ok(program.address()).await;
        times.push(began.elapsed());
        idle = program.rss_mib();
    }
    times.sort();
    format!("start to first OK: median {:.1} ms; resident idle {idle:.1} MiB", times[5].as_secs_f64() * 1e3)
}

fn write_page(rows: &[String], start: &str) {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let page = format!(
        "# Benchmarks\n\nGenerated by `cargo bench --bench journey` on {model}, {cores} cores. \
         100-span requests of about 380 B a span (10-span where said), fresh ids, uncompressed, full speed; \
         CPU of the program alone, median of three runs, nginx passing the same bytes along in the same run. \
         Every span is counted at the sink.\n\n\
         | journey | CPU µs a span | nginx | ratio | peak MiB | spans/s | delivered |\n|---|---|---|---|---|---|---|\n{}\n\n{start}\n",
        rows.join("\n")
    );
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md"), page).unwrap();
}
