//! One row, its contenders turn by turn: the same load into each, the same sink behind each.

use std::time::Duration;

use crate::bench::Bench;
use crate::contender::{Contender, Peer};
use crate::figure::{Figure, Spread};
use crate::load::{Load, Sender, now};
use crate::mark::{Mark, Verdict};
use crate::sink::{Sink, Wanted};

/// Programs side by side.
#[derive(Clone, Copy, Debug)]
pub struct SideBySide {
    pub load: Load,
    pub contenders: &'static [Contender],
    pub marks: &'static [Mark],
}

/// One contender's runs.
#[derive(Clone, Debug)]
pub struct Measured {
    pub contender: Contender,
    pub runs: Vec<Figure>,
}

/// Items sent before anything is measured: the join learns which traces are whole, buffers grow, pools fill.
const WARM_REQUESTS: u64 = 150;
/// After this much silence what has not arrived is lost.
const SILENCE: Duration = Duration::from_secs(15);

impl SideBySide {
    /// All contenders in each round, each round begun by another: what has just ended leaves its mark on the machine.
    pub fn run(&self, bench: &Bench, what: &'static str) -> (Vec<Measured>, Vec<Verdict>) {
        let here = self.contenders.iter().filter(|one| one.is_here());
        let mut all: Vec<Measured> = here.map(|one| Measured { contender: *one, runs: Vec::new() }).collect();
        let count = all.len();
        let is_close = self.marks.iter().any(|mark| mark.is_close());
        let rounds = if is_close { bench.rounds_where_close() } else { bench.rounds };
        for round in 1..=rounds {
            for nth in 0..count {
                let Measured { contender, runs } = &mut all[(round + nth - 1) % count];
                if round > bench.rounds && contender.peer() == Some(Peer::Collector) {
                    continue;
                }
                let mut figure = bench.runtime.block_on(self.measure(bench, contender));
                if contender.peer().is_some() && figure.held_back > 0 {
                    // Seen of nginx, once in dozens of runs: it stood still for seconds. That is not what it costs.
                    println!("  {} stood still: measured again", contender.name);
                    figure = bench.runtime.block_on(self.measure(bench, contender));
                }
                println!(
                    "  {round}/{rounds}  {:<34} {:>7.2} µs  {:>4.0} MiB  {:>5.0}k/s  {}",
                    contender.name,
                    figure.cpu_us(),
                    figure.peak_mib,
                    figure.per_second() / 1e3,
                    figure.delivered()
                );
                runs.push(figure);
            }
        }
        let verdicts = self.marks.iter().map(|mark| mark.judge(what, &all)).collect();
        (all, verdicts)
    }

    /// Runs the load through one program.
    async fn measure(&self, bench: &Bench, contender: &Contender) -> Figure {
        let content = self.load.content;
        let sink = Sink::start(Wanted::of(content)).await;
        let program = contender.start(&self.load, sink.address()).await;
        let sender = Sender::new(self.load, 0);
        let request = content.templates().iter().map(|template| template.items).max().unwrap_or(1);
        let warm = sender.full(program.address, WARM_REQUESTS * request).await;
        sink.wait_for(warm.taken, SILENCE).await;
        contender.prepare(program.address).await;
        sink.reset();

        let (before, began) = (program.cpu(), now());
        let items = bench.items / contender.share();
        let sent = sender.at_its_pace(program.address, items, bench.steady).await;
        sink.wait_for(sent.taken, SILENCE).await;
        let (cpu, took, seen) = (program.cpu().since(before), began.elapsed(), sink.seen());

        let joins = contender.joins() && content.trace_spans() > 0;
        let mut faults = Figure::faults(&sent, &seen, contender.labels());
        if joins && contender.peer().is_none() && Wanted::of(content).stamps && seen.stamped < seen.items {
            faults.push(format!("{} spans without their session", seen.items - seen.stamped));
        }
        Figure {
            cpu,
            peak_mib: program.peak_rss_mib(),
            took,
            sent: sent.taken,
            later: sent.later,
            held_back: sent.held_back,
            traces: joins.then(|| sent.taken / content.trace_spans() as u64),
            seen,
            faults,
        }
    }
}

impl Measured {
    pub fn cpu(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().map(Figure::cpu_us))
    }

    /// How many times its time the first of `all`, ours, takes: the middle of the rounds.
    pub fn times(&self, all: &[Measured], peer: Peer) -> Option<f64> {
        let of = all.iter().find(|other| other.contender.peer() == Some(peer))?;
        let ratios = self.runs.iter().zip(&of.runs).map(|(own, other)| own.cpu_us() / other.cpu_us());
        Spread::of(ratios).map(|spread| spread.median)
    }
}
