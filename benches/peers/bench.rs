//! What a run of the bench is given: how much, how often, and which peers are there.

use std::str::FromStr;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::contender::Peer;
use crate::{collector, nginx};

pub struct Bench {
    pub runtime: Runtime,
    /// Times that every row is run; those that last a minute once.
    pub rounds: usize,
    /// Items of a measurement at full speed, at most.
    pub items: u64,
    /// How long a measurement at a steady rate takes.
    pub steady: Duration,
    /// How long "for a minute" is.
    pub minute: Duration,
    pub nginx: Option<String>,
    pub collector: Option<String>,
}

impl Bench {
    /// As the environment says; builds the Collector if that is still to be done.
    pub fn new() -> Self {
        let nginx = nginx::version();
        if nginx.is_none() {
            println!(
                "nginx is not installed (apt-get install nginx): what is measured beside it is left out"
            );
        }
        let collector = collector::version();
        if collector.is_none() {
            println!("the Collector can not be built (it takes Go and its modules): left out");
        }
        Self {
            // The load and the sink share the cores with what they measure.
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            rounds: variable("ROUNDS", 3),
            items: variable("ITEMS", 2_000_000),
            steady: Duration::from_secs(variable("STEADY", 10)),
            minute: Duration::from_secs(variable("MINUTE", 60)),
            nginx,
            collector,
        }
    }

    pub fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::Nginx => self.nginx.is_some(),
            Peer::Collector => self.collector.is_some(),
        }
    }
}

fn variable<T: FromStr>(name: &str, usual: T) -> T {
    let Ok(text) = std::env::var(name) else { return usual };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}
