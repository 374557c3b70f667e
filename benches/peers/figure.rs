//! What one run of one program measured, and what several of them come to.

use std::time::Duration;

use crate::program::Cpu;
use crate::sent::Sent;
use crate::sink::Seen;

/// One run.
#[derive(Clone, Debug)]
pub struct Figure {
    pub cpu: Cpu,
    pub peak_mib: f64,
    pub took: Duration,
    /// Items answered OK, and requests told to come again.
    pub sent: u64,
    pub later: u64,
    /// Requests not sent, as too many were on their way.
    pub held_back: u64,
    pub seen: Seen,
    /// Whole traces of so many; none where nobody joins.
    pub traces: Option<u64>,
    /// What must not be, in words.
    pub faults: Vec<String>,
}

impl Figure {
    /// Processor time of the program alone.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.total().as_secs_f64() * 1e6 / self.sent.max(1) as f64
    }

    /// The share of it that was the kernel's.
    pub fn kernel(&self) -> f64 {
        self.cpu.kernel.as_secs_f64() / self.cpu.total().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub fn per_second(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }

    /// Resource blocks that went out for each item.
    pub fn blocks(&self) -> f64 {
        self.seen.resources as f64 / self.seen.items.max(1) as f64
    }

    /// What arrived, in words.
    pub fn delivered(&self) -> String {
        let Seen { items, requests, resources, whole, .. } = &self.seen;
        let mut text = format!("{items} of {} in {requests} requests, {resources} blocks", self.sent);
        if let Some(traces) = self.traces {
            text += &format!("; {whole} of {traces} traces whole");
        }
        if self.later > 0 {
            text += &format!("; {} requests told to come again", self.later);
        }
        self.faults.iter().for_each(|fault| text += &format!("; **{fault}**"));
        text
    }

    /// What is wrong with a run of ours: something that did not arrive, or not as it should.
    pub fn faults(sent: &Sent, seen: &Seen, labels: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if seen.items < sent.taken {
            faults.push(format!("{} lost", sent.taken - seen.items));
        }
        if seen.items > sent.taken {
            faults.push(format!("{} twice", seen.items - sent.taken));
        }
        if labels && seen.unlabelled > 0 {
            faults.push(format!("{} blocks without labels", seen.unlabelled));
        }
        if sent.refused > 0 {
            let why = sent.first_refusal.as_deref().unwrap_or_default();
            faults.push(format!("{} requests refused: {why}", sent.refused));
        }
        if sent.held_back > 0 {
            faults.push(format!("{} requests held back, as too many were on their way", sent.held_back));
        }
        faults
    }
}

/// Least, middle and most of several runs.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Of none: nothing.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Some(Self { min: *values.first()?, median: values[values.len() / 2], max: *values.last()? })
    }

    /// `0.52 (0.50–0.55)`, or the one number where there is one.
    pub fn words(&self, digits: usize) -> String {
        let Self { min, median, max } = *self;
        if min == max {
            format!("{median:.digits$}")
        } else {
            format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
        }
    }
}
