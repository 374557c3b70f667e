//! What must hold of a row, and whether it does.
//!
//! Ratios are taken in each round between runs that stood side by side, and the middle one counts: a machine that
//! others use too is slow now and then, for all of them.

use crate::contender::Peer;
use crate::figure::{Figure, Spread};
use crate::measure::Measured;

/// One mark. The first contender of a row is ours.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// Ours takes at most so much of the peer's time.
    Of(Peer, f64),
    /// Nothing is lost, and every trace leaves in one request.
    Whole,
    /// So many of the peer's resource blocks, for the same spans.
    Blocks(Peer, f64),
    /// MiB at most.
    Resident(f64),
    /// The second contender takes so many µs more than the first.
    More(f64),
    /// What the second takes more is so much of what the fourth takes more than the third.
    MoreOf(f64),
    /// The second takes at most so many times what the first does.
    Within(f64),
}

/// A mark, what was measured, and whether it is met; none: there was no peer to measure.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub what: &'static str,
    pub mark: String,
    pub measured: String,
    pub met: Option<bool>,
}

impl Verdict {
    /// Of a number that is to be at most `most`.
    pub fn at_most(what: &'static str, mark: String, measured: f64, words: String, most: f64) -> Self {
        Self { what, mark, measured: words, met: Some(measured <= most) }
    }

    pub fn word(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        }
    }
}

impl Mark {
    pub fn judge(self, what: &'static str, all: &[Measured]) -> Verdict {
        let (spread, digits) = match self {
            Mark::Of(peer, _) => (ratio(all, of_peer(all, peer), Figure::cpu_us), 2),
            Mark::Blocks(peer, _) => (ratio(all, of_peer(all, peer), Figure::blocks), 4),
            Mark::Within(_) => (ratio_of(all.get(1), all.first(), Figure::cpu_us), 2),
            Mark::Resident(_) => (of_each(all.first(), |run| run.peak_mib), 0),
            Mark::More(_) => (more(all, 0), 2),
            Mark::MoreOf(_) => {
                let (ours, theirs) = (more(all, 0), more(all, 2));
                let share = ours.zip(theirs).map(|(ours, theirs)| ours.median / theirs.median);
                (Spread::of(share.into_iter()), 2)
            }
            Mark::Whole => return whole(what, all),
        };
        let sound = all.first().is_some_and(|ours| ours.runs.iter().all(|run| run.faults.is_empty()));
        Verdict {
            what,
            mark: self.words(),
            measured: spread.map_or_else(|| "–".to_owned(), |spread| spread.words(digits)),
            met: spread.map(|spread| spread.median <= self.most() && sound),
        }
    }

    /// Whether noise may decide it: what is compared is nearly the same.
    pub fn is_close(self) -> bool {
        matches!(self, Mark::Of(Peer::Nginx, _) | Mark::Within(_))
    }

    fn most(self) -> f64 {
        match self {
            Mark::Of(_, most) | Mark::Blocks(_, most) => most,
            Mark::Resident(most) | Mark::More(most) | Mark::MoreOf(most) | Mark::Within(most) => most,
            Mark::Whole => 1.0,
        }
    }

    fn words(self) -> String {
        match self {
            Mark::Of(peer, most) => format!("≤ {} {}", share(most), peer.name()),
            Mark::Whole => "nothing lost, 100 % of traces whole".to_owned(),
            Mark::Blocks(peer, most) => format!("resource blocks out ≤ {} {}", share(most), peer.name()),
            Mark::Resident(most) => format!("resident ≤ {most} MiB"),
            Mark::More(most) => format!("≤ {most} µs more a span"),
            Mark::MoreOf(most) => format!("more, ≤ {} the Collector's more", share(most)),
            Mark::Within(most) => format!("≤ {most} × the first"),
        }
    }
}

/// `0.7 ×`, or `1/30 of` where that is what it is.
fn share(most: f64) -> String {
    let part = most.recip().round();
    if part >= 2.0 && (part * most - 1.0).abs() < 1e-9 {
        format!("1/{part} of")
    } else {
        format!("{most} ×")
    }
}

fn of_peer(all: &[Measured], peer: Peer) -> Option<&Measured> {
    all.iter().find(|measured| measured.contender.peer() == Some(peer))
}

fn ratio(all: &[Measured], peer: Option<&Measured>, of: fn(&Figure) -> f64) -> Option<Spread> {
    ratio_of(all.first(), peer, of)
}

fn ratio_of(one: Option<&Measured>, other: Option<&Measured>, of: fn(&Figure) -> f64) -> Option<Spread> {
    Spread::of(one?.runs.iter().zip(&other?.runs).map(|(one, other)| of(one) / of(other)))
}

fn of_each(measured: Option<&Measured>, of: fn(&Figure) -> f64) -> Option<Spread> {
    Spread::of(measured?.runs.iter().map(of))
}

/// µs that the contender behind `at` takes more than that one.
fn more(all: &[Measured], at: usize) -> Option<Spread> {
    let (plain, with) = (all.get(at)?, all.get(at + 1)?);
    Spread::of(plain.runs.iter().zip(&with.runs).map(|(plain, with)| with.cpu_us() - plain.cpu_us()))
}

fn whole(what: &'static str, all: &[Measured]) -> Verdict {
    let runs: &[Figure] = all.first().map_or(&[], |ours| &ours.runs);
    let whole: u64 = runs.iter().map(|run| run.seen.whole).sum();
    let traces: u64 = runs.iter().filter_map(|run| run.traces).sum();
    let lost: u64 = runs.iter().map(|run| run.sent.saturating_sub(run.seen.items)).sum();
    Verdict {
        what,
        mark: Mark::Whole.words(),
        measured: format!("{whole} of {traces} traces whole, {lost} spans lost"),
        met: Some(whole == traces && lost == 0 && runs.iter().all(|run| run.faults.is_empty())),
    }
}
