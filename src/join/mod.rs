//! The join: holds the spans of a trace until it is whole, then lets it go with a reason.
//!
//! Pure: `now` is passed in, bytes come in, decisions go out. No sockets, no clock, no config.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{Origin, Reason, Repairs, Time};
use crate::wire::block::BlockHead;
use crate::wire::{Index, TraceId};

/// What counts as a root (DESIGN, "The join").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The trace's own root: a span without a parent.
    Trace,
    /// Also a span whose parent lives in another process: each process's subtree leaves by itself.
    Local,
}

/// How long to hold, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub scope: Scope,
    /// A whole trace leaves after this much silence.
    pub quiet: Duration,
    /// An incomplete trace leaves after this much silence.
    pub idle: Duration,
    /// No trace is held longer than this.
    pub hold: Duration,
    /// Above this the oldest traces leave incomplete.
    pub held_bytes_max: usize,
    /// Traces remembered after they left.
    pub ledger_max: usize,
    /// Span shapes learned.
    pub shapes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: Scope::Trace,
            quiet: Duration::from_millis(50),
            idle: Duration::from_secs(6),
            hold: Duration::from_secs(30),
            held_bytes_max: 48 << 20,
            ledger_max: 65_536,
            shapes_max: 4_096,
        }
    }
}

/// A resource's or a scope's bytes, interned: equal bytes are one `Head` while anything holds them.
#[derive(Debug)]
pub struct Head {
    /// Unique in this process for as long as it runs; never used again for other bytes.
    pub id: u64,
    pub bytes: BlockHead,
}

/// Facts about a trace, as its own spans state them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    pub environment: Option<Arc<str>>,
    pub release: Option<Arc<str>>,
}

/// A trace (or one late part of it) on its way out. Blocks and spans are in an order that depends
/// on the spans alone, never on how they arrived; parents stand before their children.
#[derive(Debug)]
pub struct Leaving {
    pub trace: TraceId,
    /// Whose headers it travels with: the root span's, else the least of those seen that has any.
    pub origin: Arc<Origin>,
    pub reason: Reason,
    pub first_arrival: Time,
    pub last_arrival: Time,
    /// Requests its spans came in.
    pub requests: u32,
    pub repairs: Repairs,
    /// What the trace says of itself, or said before (the ledger).
    pub context: Context,
    pub blocks: Vec<LeavingBlock>,
    /// Bytes it was charged for while held.
    pub held_bytes: usize,
}

/// Spans of one resource and one scope.
#[derive(Debug)]
pub struct LeavingBlock {
    pub resource: Arc<Head>,
    pub scope: Arc<Head>,
    /// Bodies of Span messages (no tag, no length).
    pub spans: Vec<Bytes>,
}

/// The trace table of one lane.
#[derive(Debug)]
pub struct Join {
    settings: Settings,
}

impl Join {
    /// `seed` keys the hash of attacker-chosen ids.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let _ = seed;
        Self { settings }
    }

    /// Takes the spans of one request that `mine` says are this lane's. Returns spans taken.
    pub fn take(
        &mut self,
        now: Time,
        origin: &Arc<Origin>,
        body: &Bytes,
        index: &Index,
        mine: impl Fn(TraceId) -> bool,
    ) -> u64 {
        let _ = (now, origin, body, index, mine, &self.settings);
        todo!()
    }

    /// The next trace that must leave by `now`, if any. Call until `None`.
    pub fn leave(&mut self, now: Time) -> Option<Leaving> {
        let _ = now;
        todo!()
    }

    /// The oldest trace, out of turn: `Reason::Pressure` or `Reason::Drain`.
    pub fn push_out(&mut self, now: Time, reason: Reason) -> Option<Leaving> {
        let _ = (now, reason);
        todo!()
    }

    /// When `leave` should be asked next, if nothing comes before.
    pub fn next_due(&self) -> Option<Time> {
        todo!()
    }

    /// Bytes held, overhead included.
    pub fn held_bytes(&self) -> usize {
        todo!()
    }

    pub fn held_traces(&self) -> usize {
        todo!()
    }
}
