//! A joined trace read into a small owned tree, for showing.
//!
//! Bounded whatever the trace is: at most [`Summary::SPANS_MAX`] spans are taken apart, texts are
//! clipped, and what was left out is said. It never fails: a body that can not be walked shows as a
//! trace without spans. Spans stand in the order a tree is printed, with their depth; parents that
//! are missing or that go round in a ring make their span a top-level one, so every span is shown once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::JoinedTrace;
use crate::model::{Reason, Repairs};
use crate::wire::attr::{self, Value};
use crate::wire::span::{SpanView, Status};
use crate::wire::walk::{Detail, Index, Limits, SpanEntry, walk};
use crate::wire::{Signal, SpanId, TraceId};

/// One joined trace, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub trace: TraceId,
    /// The name of the first top-level span.
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
    /// Depth first, siblings by start time.
    pub spans: Vec<Span>,
}

/// The process a span comes from, as its resource says. Spans of one resource share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `service.name`; `unknown_service` when the resource names none, as SDKs do.
    pub service: String,
    /// `deployment.environment.name`, or the deprecated `deployment.environment`.
    pub environment: Option<String>,
    /// `service.version`.
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
}

impl Summary {
    /// Spans taken apart at most.
    pub const SPANS_MAX: usize = 10_000;
    /// Characters of any one text kept.
    pub const TEXT_MAX: usize = 256;
    /// Heap bytes the index of a trace may take while it is read; a larger one is shown without spans.
    const INDEX_BYTES_MAX: usize = 16 << 20;

    /// Reads a trace. Costs a walk and an allocation a span: never call it on a lane.
    pub fn read(trace: &JoinedTrace) -> Self {
        let limits = Limits { index_bytes: Self::INDEX_BYTES_MAX, ..Limits::default() };
        let index = walk(Signal::Traces, &trace.body, Detail::Spans, &limits).unwrap_or_default();
        let spans = in_tree_order(read_spans(&trace.body, &index));
        let start_unix_nano = spans.iter().map(|s| s.start_unix_nano).min().unwrap_or(0);
        let end = spans.iter().map(Span::end_unix_nano).max().unwrap_or(0);
        Self {
            trace: trace.trace,
            name: spans.first().map(|s| s.name.clone()).unwrap_or_default(),
            services: services(&spans),
            span_count: trace.spans,
            errors: u32::try_from(spans.iter().filter(|s| s.status == Status::Error).count())
                .unwrap_or(u32::MAX),
            start_unix_nano,
            duration: Duration::from_nanos(end.saturating_sub(start_unix_nano)),
            reason: trace.reason,
            held: trace.held,
            quiet: trace.quiet,
            left_unix_nano: trace.left_unix_nano,
            requests: trace.requests,
            repairs: trace.repairs,
            spans,
        }
    }

    /// Spans not shown, because there are too many.
    pub fn left_out(&self) -> u32 {
        self.span_count.saturating_sub(u32::try_from(self.spans.len()).unwrap_or(u32::MAX))
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

    /// The start, when it has not ended.
    fn end_unix_nano(&self) -> u64 {
        let nanos = self.duration.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        self.start_unix_nano.saturating_add(nanos)
    }
}

fn services(spans: &[Span]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for span in spans {
        // Traces cross few services; a set would cost more than it saves and lose the order.
        if names.len() < 100 && !names.contains(&span.process.service) {
            names.push(span.process.service.clone());
        }
    }
    names
}

fn read_spans(body: &[u8], index: &Index) -> Vec<Span> {
    let processes: Vec<Arc<Process>> =
        index.resources.iter().map(|r| Arc::new(read_process(body, index, r.head.first))).collect();
    let unknown = Arc::new(Process { service: UNKNOWN_SERVICE.to_owned(), ..Process::default() });
    let process_of = |entry: &SpanEntry| {
        let resource = index.scopes.get(entry.scope as usize).map(|s| s.resource as usize);
        resource.and_then(|r| processes.get(r)).unwrap_or(&unknown).clone()
    };
    let taken = index.spans.iter().take(Summary::SPANS_MAX);
    taken.map(|entry| read_span(body, entry, process_of(entry))).collect()
}

fn read_span(body: &[u8], entry: &SpanEntry, process: Arc<Process>) -> Span {
    let view = SpanView(entry.body.of(body));
    let (status, message) = view.status();
    let start_unix_nano = view.start();
    let nanos = view.end().saturating_sub(start_unix_nano);
    Span {
        id: entry.span,
        parent: entry.parent,
        orphan: false,
        depth: 0,
        process,
        name: text(view.name()),
        kind: entry.kind,
        start_unix_nano,
        duration: entry.ended.then(|| Duration::from_nanos(nanos)),
        status,
        message: text(message),
    }
}

/// What SDKs put when nobody names the service (OpenTelemetry resource semantic conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Several Resource messages in one block are legal and merge: the last one that says it wins.
fn read_process(body: &[u8], index: &Index, pieces: (u32, u32)) -> Process {
    let pieces = index.pieces.get(pieces.0 as usize..pieces.1 as usize).unwrap_or_default();
    let say = |key: &str| {
        let found = pieces.iter().rev().find_map(|piece| attr::find(piece.of(body), 1, key.as_bytes()));
        match found {
            Some(Value::Str(s)) if !s.is_empty() => Some(text(s)),
            _ => None,
        }
    };
    Process {
        service: say("service.name").unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
        environment: say("deployment.environment.name").or_else(|| say("deployment.environment")),
        release: say("service.version"),
    }
}

/// At most [`Summary::TEXT_MAX`] characters, an ellipsis last when there was more.
fn text(bytes: &[u8]) -> String {
    // A character is at most four bytes: no need to read on.
    let most = bytes.get(..4 * Summary::TEXT_MAX + 4).unwrap_or(bytes);
    let whole = String::from_utf8_lossy(most);
    match whole.char_indices().nth(Summary::TEXT_MAX) {
        None => whole.into_owned(),
        Some((at, _)) => format!("{}…", whole.get(..at).unwrap_or_default()),
    }
}

/// Depth first, siblings by start time and id. Iterative: depth is whatever a caller sends.
fn in_tree_order(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|s| (s.start_unix_nano, s.id));
    let places = Places::of(&mut spans);
    let mut shown = vec![false; spans.len()];
    let mut order: Vec<(usize, u32)> = Vec::with_capacity(spans.len());
    // Tops first; what is still not shown then is a ring, entered at its earliest span.
    for top in places.tops.iter().copied().chain(0..spans.len()) {
        let mut open = vec![(top, 0)];
        while let Some((at, depth)) = open.pop() {
            if std::mem::replace(&mut shown[at], true) {
                continue;
            }
            order.push((at, depth));
            open.extend(places.children[at].iter().rev().map(|&child| (child, depth + 1)));
        }
    }
    let mut slots: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(at, depth)| Some(Span { depth, ..slots[at].take()? })).collect()
}

/// Who stands where, as indices into the sorted spans.
struct Places {
    /// Roots and orphans.
    tops: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl Places {
    fn of(spans: &mut [Span]) -> Self {
        let mut at: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (i, span) in spans.iter().enumerate() {
            at.entry(span.id).or_insert(i);
        }
        let mut places = Self { tops: Vec::new(), children: vec![Vec::new(); spans.len()] };
        for (i, span) in spans.iter_mut().enumerate() {
            match at.get(&span.parent) {
                _ if span.parent.is_none() => places.tops.push(i),
                Some(&parent) => places.children[parent].push(i),
                None => {
                    span.orphan = true;
                    places.tops.push(i);
                }
            }
        }
        places
    }
}
