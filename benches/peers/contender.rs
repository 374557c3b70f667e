//! Who is measured: Spandrel, nginx or the Collector, each with a configuration; and the floor below them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::caller::Transport;
use crate::common::Content;
use crate::floor::Between;
use crate::load::{Load, Pace, Sender};
use crate::program::Program;
use crate::{collector, floor, nginx, ours};

/// A program and how it is set up.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    pub name: &'static str,
    pub who: Who,
    /// Traces it is given first that stay open.
    pub open: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// What its configuration says beside where it listens and where it sends.
    Spandrel(&'static str),
    Nginx,
    /// Its processors, in order.
    Collector(&'static [&'static str]),
    /// What no program could run: see there.
    Floor(Between),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Nginx,
    Collector,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Nginx => "nginx",
            Peer::Collector => "the Collector",
        }
    }

    /// None where it can not be had.
    pub fn version(self) -> Option<&'static str> {
        match self {
            Peer::Nginx => nginx::VERSION.as_deref(),
            Peer::Collector => collector::VERSION.as_deref(),
        }
    }
}

impl Contender {
    pub const FLOOR: Self = Self::floor("hyper at both ends, unread", Between::Nothing);
    pub const NGINX: Self = Self { name: "nginx", who: Who::Nginx, open: 0 };

    pub const fn spandrel(name: &'static str, configuration: &'static str) -> Self {
        Self { name, who: Who::Spandrel(configuration), open: 0 }
    }

    pub const fn floor(name: &'static str, between: Between) -> Self {
        Self { name, who: Who::Floor(between), open: 0 }
    }

    pub const fn collector(name: &'static str, processors: &'static [&'static str]) -> Self {
        Self { name, who: Who::Collector(processors), open: 0 }
    }

    pub const fn with_open(self, open: u64) -> Self {
        Self { open, ..self }
    }

    pub fn peer(&self) -> Option<Peer> {
        match self.who {
            Who::Spandrel(_) | Who::Floor(_) => None,
            Who::Nginx => Some(Peer::Nginx),
            Who::Collector(_) => Some(Peer::Collector),
        }
    }

    /// Whether it can be measured here. Asking builds a Collector that is one.
    pub fn is_here(&self) -> bool {
        self.peer().is_none_or(|peer| peer.version().is_some())
    }

    /// The Collector takes five to thirty times as long, so it is given a fifth.
    pub fn share(&self) -> u64 {
        if self.peer() == Some(Peer::Collector) { 5 } else { 1 }
    }

    /// Whether a whole trace is to leave in one request.
    pub fn joins(&self) -> bool {
        match self.who {
            Who::Spandrel(configuration) => !configuration.contains("scope: off"),
            Who::Nginx => false,
            Who::Floor(between) => between == Between::Joined,
            Who::Collector(processors) => processors.contains(&"groupbytrace"),
        }
    }

    /// Whether both labels are to stand on every resource.
    pub fn labels(&self) -> bool {
        match self.who {
            Who::Spandrel(_) => true,
            Who::Nginx => false,
            Who::Floor(between) => between == Between::Joined,
            Who::Collector(processors) => processors.contains(&"resource"),
        }
    }

    /// Started, perhaps not listening yet.
    pub fn spawn(&self, load: &Load, sink: SocketAddr) -> Program {
        match self.who {
            Who::Spandrel(configuration) => ours::spawn(load, sink, configuration, &[]),
            Who::Nginx => nginx::spawn(load, sink),
            Who::Floor(between) => floor::spawn(between, load.transport, sink),
            Who::Collector(processors) => collector::spawn(load, sink, processors),
        }
    }

    pub async fn start(&self, load: &Load, sink: SocketAddr) -> Program {
        self.spawn(load, sink).ready().await
    }

    /// Opens the traces that are to stay open, and waits until nothing more is done with them.
    pub async fn prepare(&self, address: SocketAddr) {
        const SETTLED: Duration = Duration::from_secs(2);
        if self.open > 0 {
            let pace = Pace::Full { one_in: 1 };
            let orphans = Load { transport: Transport::Grpc, content: Content::Orphans, gzip: false, pace };
            Sender::new(orphans, 1).full(address, self.open).await;
            tokio::time::sleep(SETTLED).await;
        }
    }
}

/// The ten rules of the instruction benches as a YAML list on one line, in which `$` means a variable.
pub fn ten_rules() -> String {
    const TEN: &str = include_str!("../rules/ten.ottl");
    let quote = |line: &str| format!("'{}'", line.replace('\'', "''").replace('$', "$$"));
    TEN.lines().map(quote).collect::<Vec<_>>().join(", ")
}
