//! What a run of the bench is given: how much and how often.

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::ours;

pub struct Bench {
    pub runtime: Runtime,
    /// Times that every row is run; those that last a minute once, those with a close mark more often.
    pub rounds: usize,
    /// Items of a measurement at full speed, at most.
    pub items: u64,
    /// How long a measurement at a steady rate takes.
    pub steady: Duration,
    /// How long "for a minute" is.
    pub minute: Duration,
}

impl Bench {
    /// As the environment says.
    pub fn new() -> Self {
        // Before anything is measured: it is built now.
        LazyLock::force(&ours::PROGRAM);
        Self {
            runtime: Self::runtime(),
            rounds: variable("ROUNDS", 3),
            items: variable("ITEMS", 2_000_000),
            steady: Duration::from_secs(variable("STEADY", 10)),
            minute: Duration::from_secs(variable("MINUTE", 60)),
        }
    }

    /// What nginx takes moves by half from one round to the next, and a ratio with it; so does one of ours to another.
    /// The middle of seven such ratios moves by some hundredths, as much as some marks are met or missed by. The
    /// Collector, which takes longest and is far off, is left out of what is more.
    pub const fn rounds_where_close(&self) -> usize {
        3 * self.rounds
    }

    /// The load and the sink share the cores with what they measure.
    pub fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }
}

fn variable<T: FromStr>(name: &str, usual: T) -> T {
    let Ok(text) = std::env::var(name) else { return usual };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}
