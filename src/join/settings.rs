//! How long to hold, how much, and what a root is.

use std::sync::Arc;
use std::time::Duration;

use crate::semantics::release;

/// What counts as a root (DESIGN, "The join").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The trace's own root: a span without a parent.
    Trace,
    /// Also a span whose parent lives in another process, by its kind, flags or mark: each process's subtree leaves by itself.
    Local,
}

/// How long to hold, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Work out what the trace says of itself beside environment and release.
    pub context: bool,
    /// With it, which span speaks for a trace and what that is called, though no span claims anything.
    pub named: bool,
    /// Keep log records that belong to spans, and let them go as events of their spans.
    pub notes: bool,
    /// Hand out evaluations that go with no span: see [`Stray`](super::Stray).
    pub evaluations: bool,
    /// Mend parents and root marks, for servers that need it.
    pub mend: bool,
    /// The attribute a root's release is read from, after the vendors' own.
    pub release_key: Arc<str>,
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
            context: false,
            named: false,
            notes: false,
            evaluations: false,
            mend: false,
            release_key: release::SERVICE_VERSION.into(),
        }
    }
}
