//! A joined trace read into a small owned tree, for showing.
//!
//! `semantics` reads it; here it is made one's own. Bounded whatever the trace is: at most
//! [`Summary::SPANS_MAX`] spans are taken apart, texts are clipped, payloads are cut, and what was left out
//! is said. It never fails: a body that can not be walked shows as a trace without spans. Spans stand in
//! the order a tree is printed, with their depth.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::meaning::{Reader, clip};
use super::proto::{Observation, Properties, Provenance};
use super::provenance::Done;
use super::{provenance, scores};
use crate::model::{Reason, Repairs};
use crate::semantics::around::{Around, UNKNOWN_SERVICE};
use crate::semantics::rollup::{Row, Trace};
use crate::watch::JoinedTrace;
use crate::wire::span::Status;
use crate::wire::{SpanId, TraceId};

/// One joined trace, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub trace: TraceId,
    /// What a span says the trace is called, else what its root is called.
    pub name: String,
    /// Distinct service names, in the order of the tree.
    pub services: Vec<String>,
    /// All spans of the trace, those left out of `spans` included.
    pub span_count: u32,
    /// Spans shown whose status is an error.
    pub errors: u32,
    /// Unix time of the earliest start, nanoseconds.
    pub start_unix_nano: u64,
    /// From the earliest start to the latest end.
    pub duration: Duration,
    pub reason: Reason,
    /// From the first span's arrival to leaving.
    pub held: Duration,
    /// From the last span's arrival to leaving.
    pub quiet: Duration,
    pub left_unix_nano: u64,
    pub requests: u32,
    pub repairs: Repairs,
    /// Times that something of it left: late spans leave by themselves.
    pub parts: u32,
    /// What it means.
    pub properties: Properties,
    /// Whence came what was written on its spans; `None` where nothing is written.
    pub provenance: Option<Provenance>,
    /// Depth first, siblings by start time.
    pub spans: Vec<Span>,
}

/// The process a span comes from, as its resource says. Spans of one resource share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// `service.name`; `unknown_service` when the resource names none, as SDKs do.
    pub service: String,
    /// By the keys of `semantics::environment`, the best there is.
    pub environment: Option<String>,
    /// `langfuse.release`, or `service.version`.
    pub release: Option<String>,
}

/// One span, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub id: SpanId,
    /// `SpanId::NONE` for a root.
    pub parent: SpanId,
    /// The parent is named but not in this trace.
    pub orphan: bool,
    pub depth: u32,
    pub process: Arc<Process>,
    pub name: String,
    /// `Span.SpanKind`.
    pub kind: u8,
    pub start_unix_nano: u64,
    /// `None`: it has not ended.
    pub duration: Option<Duration>,
    pub status: Status,
    pub message: String,
    /// What it means.
    pub observation: Observation,
}

impl Summary {
    /// Spans taken apart at most.
    pub const SPANS_MAX: usize = Trace::OBSERVATIONS_MAX;
    /// Characters of any one text kept.
    pub const TEXT_MAX: usize = 256;

    /// Reads a trace. Costs a walk and some allocations a span: never call it on a lane.
    pub fn read(joined: &JoinedTrace) -> Self {
        let trace = Trace::read(&joined.body, None);
        let mut reader = Reader::default();
        let index = joined.index();
        let scores = scores::of(&joined.body, &index);
        let properties = Properties { scores, ..reader.trace(&trace) };
        let spans = spans(&trace, &mut reader, &provenance::by_span(joined, &index));
        let provenance = joined.said.as_deref().map(|said| provenance::of(said, &joined.given));
        Self {
            trace: joined.trace,
            name: clip(provenance::name(joined.said.as_deref()).unwrap_or(&trace.name)),
            services: trace.services.iter().map(|service| clip(service)).collect(),
            // A body that can not be walked has spans all the same.
            span_count: match trace.observation_count {
                0 => joined.spans,
                read => u32::try_from(read).unwrap_or(u32::MAX),
            },
            errors: count(spans.iter().filter(|span| span.status == Status::Error).count()),
            start_unix_nano: trace.timestamp,
            duration: trace.latency,
            reason: joined.reason,
            held: joined.held,
            quiet: joined.quiet,
            left_unix_nano: joined.left_unix_nano,
            requests: joined.requests,
            repairs: joined.repairs,
            parts: 1,
            properties,
            provenance,
            spans,
        }
    }

    /// Reads a trace that left in parts as the one it is; `None` of none.
    pub fn read_parts(parts: &[Arc<JoinedTrace>]) -> Option<Self> {
        let whole = JoinedTrace::of_parts(parts)?;
        Some(Self { parts: count(parts.len()), ..Self::read(&whole) })
    }

    /// Spans not shown, because there are too many.
    pub fn left_out(&self) -> u32 {
        self.span_count.saturating_sub(count(self.spans.len()))
    }

    /// The environment, when all spans have the same.
    pub fn environment(&self) -> Option<&str> {
        self.shared(|p| p.environment.as_deref())
    }

    /// The release, when all spans have the same.
    pub fn release(&self) -> Option<&str> {
        self.shared(|p| p.release.as_deref())
    }

    fn shared(&self, of: fn(&Process) -> Option<&str>) -> Option<&str> {
        let said = of(&self.spans.first()?.process)?;
        self.spans.iter().all(|s| of(&s.process) == Some(said)).then_some(said)
    }
}

impl Span {
    /// `Span.SpanKind`, lower case.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "internal",
            2 => "server",
            3 => "client",
            4 => "producer",
            5 => "consumer",
            _ => "unspecified",
        }
    }

    /// `None` when it has not ended.
    pub fn end_unix_nano(&self) -> Option<u64> {
        let nanos = u64::try_from(self.duration?.as_nanos()).unwrap_or(u64::MAX);
        Some(self.start_unix_nano.saturating_add(nanos))
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// In the order of the tree.
fn spans(trace: &Trace<'_>, reader: &mut Reader, done: &HashMap<SpanId, Done>) -> Vec<Span> {
    let mut processes: HashMap<Process, Arc<Process>> = HashMap::new();
    let mut span = |row: &Row<'_>| {
        let process = process(&row.observation.around);
        let process = match processes.get(&process) {
            Some(known) => known.clone(),
            None => processes.entry(process.clone()).or_insert(Arc::new(process)).clone(),
        };
        let done = done.get(&row.observation.id).copied().unwrap_or_default();
        Span::of(row, process, done, reader)
    };
    trace.observations.iter().map(&mut span).collect()
}

fn process(around: &Around<'_>) -> Process {
    Process {
        service: clip(around.service.unwrap_or(UNKNOWN_SERVICE)),
        environment: around.environment.into_iter().flatten().next().map(clip),
        release: around.release.or(around.service_version).map(clip),
    }
}

impl Span {
    fn of(row: &Row<'_>, process: Arc<Process>, done: Done, reader: &mut Reader) -> Self {
        let read = &row.observation;
        let nanos = read.end.saturating_sub(read.start);
        let mut observation = reader.observation(row);
        observation.given = provenance::names(done.given);
        observation.former_parent = done.former_parent.map(|id| id.0.to_vec()).unwrap_or_default();
        Self {
            id: read.id,
            parent: read.parent,
            orphan: row.orphan,
            depth: row.depth,
            process,
            name: clip(read.span_name),
            kind: read.span_kind,
            start_unix_nano: read.start,
            duration: (read.end != 0).then(|| Duration::from_nanos(nanos)),
            status: read.status,
            message: clip(read.status_text),
            observation,
        }
    }
}
