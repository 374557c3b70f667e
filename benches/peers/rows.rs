//! Every row: what is sent, into whom, and what must hold. A new one is a few lines here.
//!
//! The first contender of a row is ours, and `Mark` says what is held against what.

use crate::bench::Bench;
use crate::caller::Transport::{Grpc, Http};
use crate::common::Content::{self, Flat, Llm, Logs, Metrics, Scattered, Services, Varied};
use crate::contender::{Contender, Peer};
use crate::floor::Between;
use crate::load::{Load, Pace};
use crate::mark::{Mark, Verdict};
use crate::measure::SideBySide;
use crate::{lanes, latency, start, strain};

pub struct Row {
    /// How it is asked for on the command line.
    pub name: &'static str,
    pub what: &'static str,
    pub how: How,
}

pub enum How {
    SideBySide(SideBySide),
    /// In a way of its own.
    Alone(fn(&Bench, &'static str) -> Findings),
}

/// What a row found in its own way.
#[derive(Debug, Default)]
pub struct Findings {
    pub said: Vec<String>,
    pub verdicts: Vec<Verdict>,
}

const LABEL: Contender = Contender::spandrel("Spandrel", "join: {scope: off}\nmemory: 256MiB");
const JOIN: Contender = Contender::spandrel("Spandrel", "memory: 256MiB");
const TEN_RULES: Contender =
    Contender::spandrel("Spandrel, ten rules", "join: {scope: off}\nmemory: 256MiB\nrules: [TEN]");
const LANGFUSE: Contender = Contender::spandrel(
    "Spandrel",
    "memory: 256MiB\ndialect: langfuse\nkeys: {public: pk-lf-1, secret: sk-lf-2}",
);
/// Traces that wait for what does not come stay for longer than the row takes.
const PATIENT: &str = "memory: 1GiB\njoin: {idle: 12s}";
const FEW_OPEN: Contender = Contender::spandrel("Spandrel, 10 traces open", PATIENT).with_open(10);
const MANY_OPEN: Contender = Contender::spandrel("Spandrel, 100,000 traces open", PATIENT).with_open(100_000);

const NGINX: Contender = Contender::NGINX;
const FLOOR: Contender = Contender::FLOOR;
const FLOOR_CHECKED: Contender = Contender::floor("hyper at both ends, checked", Between::Checked);
const FLOOR_JOINED: Contender = Contender::floor("hyper at both ends, checked, joined", Between::Joined);
const COLLECTOR: Contender = Contender::collector("Collector: resource, batch", &["resource", "batch"]);
const COLLECTOR_RULES: Contender =
    Contender::collector("Collector: resource, transform, batch", &["resource", "transform", "batch"]);
const COLLECTOR_JOINS: Contender =
    Contender::collector("Collector: groupbytrace, resource, batch", &["groupbytrace", "resource", "batch"]);

/// gRPC both ways, uncompressed, at full speed, with one in so many of the usual items.
const fn full(content: Content, one_in: u64) -> Load {
    Load { transport: Grpc, content, gzip: false, pace: Pace::Full { one_in } }
}

const fn steady(content: Content) -> Load {
    Load { pace: Pace::Steady { items: 50_000 }, ..full(content, 1) }
}

const fn beside(load: Load, contenders: &'static [Contender], marks: &'static [Mark]) -> How {
    How::SideBySide(SideBySide { load, contenders, marks })
}

pub const ROWS: &[Row] = &[
    Row {
        name: "grpc",
        what: "gRPC → gRPC, environment + release + batch",
        how: beside(
            full(Flat(100), 1),
            &[LABEL, NGINX, FLOOR, FLOOR_CHECKED, COLLECTOR],
            &[Mark::Of(Peer::Nginx, 0.7), Mark::Of(Peer::Collector, 1.0 / 5.0)],
        ),
    },
    Row {
        name: "varied",
        what: "gRPC → gRPC, same, of spans whose values differ as in a service at work",
        how: beside(
            full(Varied(100), 1),
            &[LABEL, NGINX, COLLECTOR],
            &[Mark::Of(Peer::Collector, 1.0 / 5.0)],
        ),
    },
    Row {
        name: "http",
        what: "HTTP → HTTP, same",
        how: beside(
            Load { transport: Http, ..full(Flat(100), 1) },
            &[LABEL, NGINX, FLOOR, FLOOR_CHECKED, COLLECTOR],
            &[Mark::Of(Peer::Nginx, 1.1), Mark::Of(Peer::Collector, 1.0 / 8.0)],
        ),
    },
    Row {
        name: "joined",
        what: "gRPC, traces over 3 services joined, labelled, batched",
        how: beside(
            full(Services, 1),
            &[JOIN, NGINX, FLOOR, FLOOR_JOINED, COLLECTOR_JOINS],
            &[
                Mark::Of(Peer::Nginx, 0.9),
                Mark::Of(Peer::Collector, 1.0 / 30.0),
                Mark::Whole,
                Mark::Blocks(Peer::Collector, 1.0 / 50.0),
            ],
        ),
    },
    Row {
        name: "scattered",
        what: "the same, each span of a trace in another request",
        how: beside(
            full(Scattered, 1),
            &[JOIN, NGINX, FLOOR, FLOOR_JOINED, COLLECTOR_JOINS],
            &[
                Mark::Of(Peer::Nginx, 0.9),
                Mark::Of(Peer::Collector, 1.0 / 30.0),
                Mark::Whole,
                Mark::Blocks(Peer::Collector, 1.0 / 50.0),
            ],
        ),
    },
    Row {
        name: "llm",
        what: "Langfuse context stamped on LLM spans (4 KB in + 4 KB out), HTTP as its SDKs and its server speak",
        how: beside(
            Load { transport: Http, ..full(Llm, 2) },
            &[LANGFUSE, NGINX, FLOOR, FLOOR_CHECKED, COLLECTOR, COLLECTOR_JOINS],
            &[Mark::Of(Peer::Nginx, 1.5), Mark::Whole],
        ),
    },
    Row {
        name: "rules",
        what: "ten rules",
        how: beside(
            full(Flat(100), 2),
            &[LABEL, TEN_RULES, COLLECTOR, COLLECTOR_RULES],
            &[Mark::More(0.5), Mark::MoreOf(0.25)],
        ),
    },
    Row {
        name: "rules-varied",
        what: "ten rules, of spans whose values differ as in a service at work",
        how: beside(
            full(Varied(100), 2),
            &[LABEL, TEN_RULES, COLLECTOR, COLLECTOR_RULES],
            &[Mark::MoreOf(0.25)],
        ),
    },
    Row {
        name: "gzip",
        what: "gzip in, gzip out",
        how: beside(
            Load { gzip: true, ..full(Flat(100), 4) },
            &[LABEL, COLLECTOR],
            &[Mark::Of(Peer::Collector, 0.5)],
        ),
    },
    Row {
        name: "small",
        what: "exports of 10 spans",
        how: beside(
            full(Flat(10), 2),
            &[LABEL, NGINX, FLOOR, FLOOR_CHECKED, COLLECTOR],
            &[Mark::Of(Peer::Nginx, 0.4), Mark::Of(Peer::Collector, 1.0 / 5.0)],
        ),
    },
    Row {
        name: "steady",
        what: "a steady 50,000 spans/s, label + batch",
        how: beside(steady(Flat(100)), &[LABEL, NGINX, FLOOR, FLOOR_CHECKED], &[Mark::Of(Peer::Nginx, 0.8)]),
    },
    Row {
        name: "steady-joined",
        what: "a steady 50,000 spans/s, joined",
        how: beside(
            steady(Services),
            &[JOIN, NGINX, FLOOR, FLOOR_JOINED],
            &[Mark::Of(Peer::Nginx, 1.1), Mark::Whole, Mark::Resident(64.0)],
        ),
    },
    Row {
        name: "metrics",
        what: "metrics, labelled + batched",
        how: beside(full(Metrics, 2), &[LABEL, COLLECTOR], &[Mark::Of(Peer::Collector, 0.25)]),
    },
    Row {
        name: "logs",
        what: "logs, labelled + batched",
        how: beside(full(Logs, 2), &[LABEL, COLLECTOR], &[Mark::Of(Peer::Collector, 0.25)]),
    },
    Row {
        name: "growth",
        what: "CPU a span while 10 and while 100,000 other traces are open",
        how: beside(full(Services, 1), &[FEW_OPEN, MANY_OPEN], &[Mark::Within(1.15)]),
    },
    Row { name: "lanes", what: "scaling, lanes 1 → 2 on two cores", how: How::Alone(lanes::scaling) },
    Row { name: "idle", what: "resident idle", how: How::Alone(start::idle) },
    Row { name: "start", what: "start to first OK", how: How::Alone(start::first_ok) },
    Row { name: "size", what: "stripped binary", how: How::Alone(start::size) },
    Row {
        name: "latency",
        what: "added latency at 10,000 spans/s (ack)",
        how: How::Alone(latency::acknowledgement),
    },
    Row {
        name: "hold",
        what: "hold after the last span of a complete trace",
        how: How::Alone(latency::hold),
    },
    Row {
        name: "overload",
        what: "2 × overload for a minute, limit 64 MiB",
        how: How::Alone(strain::overload),
    },
    Row {
        name: "down",
        what: "upstream down for a minute at 20,000 spans/s, limit 64 MiB",
        how: How::Alone(strain::down),
    },
];
