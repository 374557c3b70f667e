//! Time that callers and traces wait, at a rate no program is busy at.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::Content;
use crate::contender::Contender;
use crate::figure::{Figure, Spread};
use crate::load::{Load, Pace, Sender};
use crate::mark::Verdict;
use crate::rows::Findings;
use crate::sink::{Sink, Wanted};

const RATE: u64 = 10_000;
const SPANDREL: Contender = Contender::spandrel("Spandrel", "memory: 256MiB");
/// Without the wait for a batch to fill, which is not the join's.
const UNBATCHED: Contender = Contender::spandrel("Spandrel", "memory: 256MiB\nbatch: {age: 1ms}");
const WARM: u64 = 15_000;
const SILENCE: Duration = Duration::from_secs(15);

const fn load(content: Content) -> Load {
    Load { transport: Transport::Grpc, content, gzip: false, pace: Pace::Steady { items: RATE } }
}

/// What was waited, and what must not have been.
struct Waits {
    p50: f64,
    p99: f64,
    fault: Option<String>,
}

/// The acknowledgement through Spandrel, beside that of the sink itself.
pub fn acknowledgement(bench: &Bench, what: &'static str) -> Findings {
    let load = load(Content::Flat(100));
    let (mut direct, mut nginx, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        direct.push(bench.runtime.block_on(through(bench, &load, None)));
        if Contender::NGINX.is_here() {
            nginx.push(bench.runtime.block_on(through(bench, &load, Some(Contender::NGINX))));
        }
        ours.push(bench.runtime.block_on(through(bench, &load, Some(SPANDREL))));
    }
    let named = [("the sink itself", &direct), ("nginx", &nginx), ("Spandrel", &ours)];
    let said = named.iter().filter_map(|(name, all)| words(what, name, all, 2)).collect();
    let added = |of: fn(&Waits) -> f64| {
        Spread::of(ours.iter().zip(&direct).map(|(ours, direct)| of(ours) - of(direct)))
    };
    let verdicts = [
        verdict(what, "p50 ≤ 0.3 ms more than the sink itself", 0.3, added(|waits| waits.p50), 2, &ours),
        verdict(what, "p99 ≤ 2 ms more than the sink itself", 2.0, added(|waits| waits.p99), 2, &ours),
    ];
    Findings { said, verdicts: verdicts.into_iter().flatten().collect() }
}

/// From when the last part of a trace was sent to when the whole of it was at the sink.
pub fn hold(bench: &Bench, what: &'static str) -> Findings {
    let runs = |contender: Contender| -> Vec<Waits> {
        (0..bench.rounds).map(|_| bench.runtime.block_on(held(bench, &contender))).collect()
    };
    let (batched, unbatched) = (runs(SPANDREL), runs(UNBATCHED));
    let of = |of: fn(&Waits) -> f64| Spread::of(unbatched.iter().map(of));
    let verdicts = [
        verdict(what, "p50 ≤ 60 ms", 60.0, of(|waits| waits.p50), 0, &unbatched),
        verdict(what, "p99 ≤ 250 ms", 250.0, of(|waits| waits.p99), 0, &unbatched),
    ];
    let said = words(what, "until it is at the sink in batches of up to 200 ms", &batched, 0);
    Findings { said: said.into_iter().collect(), verdicts: verdicts.into_iter().flatten().collect() }
}

fn verdict(
    what: &'static str,
    mark: &str,
    most: f64,
    spread: Option<Spread>,
    digits: usize,
    runs: &[Waits],
) -> Option<Verdict> {
    let (spread, fault) = (spread?, runs.iter().find_map(|run| run.fault.clone()));
    let met = fault.is_none() && spread.median <= most;
    let measured = [Some(format!("{} ms", spread.words(digits))), fault].into_iter().flatten();
    Some(Verdict {
        what,
        mark: mark.to_owned(),
        measured: measured.collect::<Vec<_>>().join("; "),
        met: Some(met),
    })
}

fn words(what: &str, name: &str, runs: &[Waits], digits: usize) -> Option<String> {
    let p50 = Spread::of(runs.iter().map(|run| run.p50))?.words(digits);
    let p99 = Spread::of(runs.iter().map(|run| run.p99))?.words(digits);
    Some(format!("{what}, {name}: p50 {p50} ms, p99 {p99} ms"))
}

/// Of the acknowledgement, through somebody or not.
async fn through(bench: &Bench, load: &Load, contender: Option<Contender>) -> Waits {
    let sink = Sink::start(Wanted::of(load.content)).await;
    let program = match &contender {
        Some(contender) => Some(contender.start(load, sink.address()).await),
        None => None,
    };
    let to: SocketAddr = program.as_ref().map_or(sink.address(), |program| program.address);
    let sender = Sender::new(*load, 0);
    let warm = sender.full(to, WARM).await;
    sink.wait_for(warm.taken, SILENCE).await;
    sink.reset();
    let sent = sender.steady(to, RATE, bench.steady).await;
    sink.wait_for(sent.taken, SILENCE).await;
    let faults = Figure::faults(&sent, &sink.seen(), false);
    Waits::of(sent.latencies, faults)
}

async fn held(bench: &Bench, contender: &Contender) -> Waits {
    let load = load(Content::Services);
    let sink = Sink::start(Wanted { arrivals: true, ..Wanted::of(load.content) }).await;
    let program = contender.start(&load, sink.address()).await;
    let sender = Sender::new(load, 0);
    // What a trace of this kind is like is learned first, at speed and then at this rate.
    let fast = sender.full(program.address, WARM).await;
    let slow = sender.steady(program.address, RATE, bench.steady / 2).await;
    sink.wait_for(fast.taken + slow.taken, SILENCE).await;
    sink.reset();
    let sent = sender.steady(program.address, RATE, bench.steady).await;
    sink.wait_for(sent.taken, SILENCE).await;
    let seen = sink.seen();
    let mut faults = Figure::faults(&sent, &seen, true);
    let (mut waits, mut parted) = (Vec::new(), 0);
    for (complete, traces) in &sent.completed {
        for trace in traces {
            match seen.arrivals.get(trace) {
                Some(arrived) => waits.push(arrived.saturating_duration_since(*complete)),
                None => parted += 1,
            }
        }
    }
    if parted > 0 {
        faults.push(format!("{parted} traces in more than one request"));
    }
    Waits::of(waits, faults)
}

impl Waits {
    /// In milliseconds.
    fn of(mut all: Vec<Duration>, faults: Vec<String>) -> Self {
        all.sort();
        let at = |part: f64| {
            let nth = (all.len().saturating_sub(1)) as f64 * part;
            all.get(nth as usize).map_or(f64::INFINITY, |wait| wait.as_secs_f64() * 1e3)
        };
        let fault = (!faults.is_empty()).then(|| faults.join(", "));
        Self { p50: at(0.5), p99: at(0.99), fault }
    }
}
