//! Counts requests and items at the edge. What is counted on every request is looked up once.

use std::sync::Arc;

use prometheus::IntCounter;

use super::respond::Caller;
use crate::telemetry::Meters;
use crate::wire::Signal;
use crate::wire::reply::Encoding;

const CALLERS: [Caller; 3] = [Caller::Grpc, Caller::Http(Encoding::Protobuf), Caller::Http(Encoding::Json)];

/// Handles of one signal over one transport.
#[derive(Debug)]
struct Cell {
    received: IntCounter,
    ok: IntCounter,
}

/// The edge's counters.
#[derive(Debug)]
pub struct Tally {
    meters: Arc<Meters>,
    cells: [[Cell; 3]; 4],
}

impl Tally {
    pub fn new(meters: Arc<Meters>) -> Self {
        let cell = |signal: Signal, caller: Caller| Cell {
            received: meters.received_items.with_label_values(&[signal.name(), caller.name()]),
            ok: meters.requests.with_label_values(&[signal.name(), caller.name(), "ok"]),
        };
        let cells = Signal::ALL.map(|signal| CALLERS.map(|caller| cell(signal, caller)));
        Self { meters, cells }
    }

    fn cell(&self, signal: Signal, caller: Caller) -> &Cell {
        let transport = match caller {
            Caller::Grpc => 0,
            Caller::Http(Encoding::Protobuf) => 1,
            Caller::Http(Encoding::Json) => 2,
        };
        &self.cells[signal as usize][transport]
    }

    /// Items found by a walk, refused ones included.
    pub fn received(&self, signal: Signal, caller: Caller, items: u64) {
        self.cell(signal, caller).received.inc_by(items);
    }

    /// Items counted as received that are not taken after all.
    pub fn refused(&self, signal: Signal, reason: &str, items: u64) {
        if items > 0 {
            self.meters.receiver_refused_items.with_label_values(&[signal.name(), reason]).inc_by(items);
        }
    }

    /// Names and texts of a JSON request taken by leniency.
    pub fn lenient_json(&self, count: u64) {
        if count > 0 {
            self.meters.lenient_json.with_label_values::<&str>(&[]).inc_by(count);
        }
    }

    /// A request answered. `signal` is unknown when the path is.
    pub fn answered(&self, signal: Option<Signal>, caller: Caller, outcome: &str) {
        match signal {
            Some(signal) if outcome == "ok" => self.cell(signal, caller).ok.inc(),
            _ => {
                let signal = signal.map_or("unknown", Signal::name);
                self.meters.requests.with_label_values(&[signal, caller.name(), outcome]).inc();
            }
        }
    }
}
