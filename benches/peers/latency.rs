//! Time that callers and traces wait, at a rate no program is busy at.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::Content;
use crate::contender::{Contender, Peer};
use crate::figure::Spread;
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

/// The acknowledgement through Spandrel, beside that of the sink itself.
pub fn acknowledgement(bench: &Bench, what: &'static str) -> Findings {
    let load = load(Content::Flat(100));
    let (mut direct, mut nginx, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        direct.push(bench.runtime.block_on(through(bench, &load, None)));
        if bench.has(Peer::Nginx) {
            nginx.push(bench.runtime.block_on(through(bench, &load, Some(Contender::NGINX))));
        }
        ours.push(bench.runtime.block_on(through(bench, &load, Some(SPANDREL))));
    }
    let mut findings = Findings::default();
    for (name, all) in [("the sink itself", &direct), ("nginx", &nginx), ("Spandrel", &ours)] {
        if let Some([half, most]) = quantiles_of(all) {
            findings.said.push(format!("{what}, {name}: p50 {} ms, p99 {} ms", half.words(2), most.words(2)));
        }
    }
    for (nth, name, most) in [(0, "p50", 0.3), (1, "p99", 2.0)] {
        let added = Spread::of(ours.iter().zip(&direct).map(|(ours, direct)| ours[nth] - direct[nth]));
        let Some(added) = added else { continue };
        let (mark, words) = (format!("{name} ≤ {most} ms more than the sink itself"), added.words(2));
        findings.verdicts.push(Verdict::at_most(what, mark, added.median, words, most));
    }
    findings
}

/// p50 and p99 in ms of the acknowledgement, through somebody or not.
async fn through(bench: &Bench, load: &Load, contender: Option<Contender>) -> [f64; 2] {
    let sink = Sink::start(Wanted::of(load.content)).await;
    let program = match &contender {
        Some(contender) => Some(contender.start(load, sink.address()).await),
        None => None,
    };
    let to: SocketAddr = program.as_ref().map_or(sink.address(), |program| program.address);
    let sender = Sender::new(*load, 0);
    let warm = sender.full(to, WARM).await;
    let sent = sender.steady(to, RATE, bench.steady).await;
    sink.wait_for(warm.taken + sent.taken, SILENCE).await;
    let arrived = sink.seen().items;
    assert_eq!(arrived, warm.taken + sent.taken, "every span sent must arrive");
    assert_eq!(sent.later + sent.refused + sent.held_back, 0, "every call must be taken");
    quantiles(sent.latencies)
}

/// From when the last part of a trace was sent to when the whole of it was at the sink.
pub fn hold(bench: &Bench, what: &'static str) -> Findings {
    let mut findings = Findings::default();
    let runs = |contender: Contender| -> Vec<[f64; 2]> {
        (0..bench.rounds).map(|_| bench.runtime.block_on(held(bench, &contender))).collect()
    };
    if let Some([half, most]) = quantiles_of(&runs(SPANDREL)) {
        let words = (half.words(0), most.words(0));
        findings
            .said
            .push(format!("{what}, with batches of up to 200 ms: p50 {} ms, p99 {} ms", words.0, words.1));
    }
    if let Some(spreads) = quantiles_of(&runs(UNBATCHED)) {
        for (spread, name, most) in [(spreads[0], "p50", 60.0), (spreads[1], "p99", 250.0)] {
            let mark = format!("{name} ≤ {most} ms");
            findings.verdicts.push(Verdict::at_most(what, mark, spread.median, spread.words(0), most));
        }
    }
    findings
}

async fn held(bench: &Bench, contender: &Contender) -> [f64; 2] {
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
    assert_eq!(seen.items, sent.taken, "every span sent must arrive");
    let mut waits = Vec::new();
    for (complete, traces) in &sent.completed {
        let arrived = traces.iter().filter_map(|trace| seen.arrivals.get(trace));
        waits.extend(arrived.map(|at| at.saturating_duration_since(*complete)));
    }
    let complete = sent.completed.iter().map(|(_, traces)| traces.len()).sum::<usize>();
    assert_eq!(waits.len(), complete, "every trace must come whole");
    quantiles(waits)
}

/// p50 and p99 in milliseconds.
fn quantiles(mut all: Vec<Duration>) -> [f64; 2] {
    all.sort();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    [at(0.5), at(0.99)]
}

fn quantiles_of(runs: &[[f64; 2]]) -> Option<[Spread; 2]> {
    let of = |nth: usize| Spread::of(runs.iter().map(|run| run[nth]));
    Some([of(0)?, of(1)?])
}
