//! The inspection API's generated types, and a summary's way into them and back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::summary::{self, Summary};
use crate::model::{self, Reason};
use crate::wire::span::Status;
use crate::wire::{SpanId, TraceId};

#[allow(clippy::all, clippy::disallowed_methods, missing_docs)]
mod generated {
    tonic::include_proto!("spandrel.v1");
}

pub use generated::*;

/// `proto/` compiled, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inspection.bin"));

impl JoinedTrace {
    /// A summary as it is sent; `otlp` empty when nobody asked for it.
    pub fn of(summary: &Summary, otlp: Bytes) -> Self {
        let mut processes = Processes::default();
        let spans = summary.spans.iter().map(|span| Span::of(span, processes.place(&span.process))).collect();
        Self {
            trace_id: Bytes::copy_from_slice(&summary.trace.0),
            name: summary.name.clone(),
            services: summary.services.clone(),
            span_count: summary.span_count,
            errors: summary.errors,
            start_time_unix_nano: summary.start_unix_nano,
            duration_nano: nanos(summary.duration),
            reason: summary.reason.name().to_owned(),
            held_nano: nanos(summary.held),
            quiet_nano: nanos(summary.quiet),
            left_time_unix_nano: summary.left_unix_nano,
            requests: summary.requests,
            repairs: Some(Repairs::of(summary.repairs)),
            processes: processes.listed,
            spans,
            otlp,
            properties: Some(summary.properties.clone()),
            provenance: summary.provenance.clone(),
        }
    }

    /// The summary that was sent. Missing or odd parts read as empty, so that a newer or older
    /// instance can be watched too.
    pub fn into_summary(self) -> Summary {
        let processes: Vec<Arc<summary::Process>> =
            self.processes.into_iter().map(|p| Arc::new(p.into_process())).collect();
        let spans = self.spans.into_iter().map(|span| span.into_span(&processes)).collect();
        Summary {
            trace: TraceId(self.trace_id.as_ref().try_into().unwrap_or_default()),
            name: self.name,
            services: self.services,
            span_count: self.span_count,
            errors: self.errors,
            start_unix_nano: self.start_time_unix_nano,
            duration: Duration::from_nanos(self.duration_nano),
            reason: Reason::ALL.into_iter().find(|r| r.name() == self.reason).unwrap_or(Reason::Complete),
            held: Duration::from_nanos(self.held_nano),
            quiet: Duration::from_nanos(self.quiet_nano),
            left_unix_nano: self.left_time_unix_nano,
            requests: self.requests,
            repairs: self.repairs.unwrap_or_default().into_repairs(),
            parts: 1,
            properties: self.properties.unwrap_or_default(),
            provenance: self.provenance,
            spans,
        }
    }
}

/// Processes already listed, by where they stand: spans of one resource share an `Arc`.
#[derive(Default)]
struct Processes {
    listed: Vec<Process>,
    places: HashMap<*const summary::Process, u32>,
}

impl Processes {
    fn place(&mut self, process: &Arc<summary::Process>) -> u32 {
        *self.places.entry(Arc::as_ptr(process)).or_insert_with(|| {
            self.listed.push(Process {
                service: process.service.clone(),
                environment: process.environment.clone().unwrap_or_default(),
                release: process.release.clone().unwrap_or_default(),
            });
            u32::try_from(self.listed.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

impl Process {
    fn into_process(self) -> summary::Process {
        let said = |text: String| (!text.is_empty()).then_some(text);
        summary::Process {
            service: self.service,
            environment: said(self.environment),
            release: said(self.release),
        }
    }
}

impl Span {
    fn of(span: &summary::Span, process: u32) -> Self {
        let parent = if span.parent.is_none() { Vec::new() } else { span.parent.0.to_vec() };
        Self {
            span_id: span.id.0.to_vec(),
            parent_span_id: parent,
            orphan: span.orphan,
            depth: span.depth,
            process,
            name: span.name.clone(),
            kind: u32::from(span.kind),
            start_time_unix_nano: span.start_unix_nano,
            duration_nano: span.duration.map(nanos),
            status: match span.status {
                Status::Unset => 0,
                Status::Ok => 1,
                Status::Error => 2,
            },
            status_message: span.message.clone(),
            observation: Some(span.observation.clone()),
        }
    }

    fn into_span(self, processes: &[Arc<summary::Process>]) -> summary::Span {
        summary::Span {
            id: SpanId(self.span_id.as_slice().try_into().unwrap_or_default()),
            parent: SpanId(self.parent_span_id.as_slice().try_into().unwrap_or_default()),
            orphan: self.orphan,
            depth: self.depth,
            process: processes.get(self.process as usize).cloned().unwrap_or_default(),
            name: self.name,
            kind: u8::try_from(self.kind).unwrap_or(0),
            start_unix_nano: self.start_time_unix_nano,
            duration: self.duration_nano.map(Duration::from_nanos),
            status: match self.status {
                1 => Status::Ok,
                2 => Status::Error,
                _ => Status::Unset,
            },
            message: self.status_message,
            observation: self.observation.unwrap_or_default(),
        }
    }
}

impl Repairs {
    fn of(repairs: model::Repairs) -> Self {
        let model::Repairs { duplicates, orphans, zero_parents, cycles, labelled } = repairs;
        Self { duplicates, orphans, zero_parents, cycles, labelled }
    }

    fn into_repairs(self) -> model::Repairs {
        let Self { duplicates, orphans, zero_parents, cycles, labelled } = self;
        model::Repairs { duplicates, orphans, zero_parents, cycles, labelled }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::{captured, written};

    #[test]
    fn what_is_sent_reads_back_the_same() {
        for trace in [captured(), written(&[(1, 9, "orphan", 0, 0), (2, 1, "child", 1, 2)])] {
            let summary = Summary::read(&trace);
            let message = JoinedTrace::of(&summary, Bytes::new());
            assert!(message.processes.len() <= 3, "one a resource, not one a span");
            assert_eq!(message.into_summary(), summary);
        }
    }

    #[test]
    fn a_message_full_of_nonsense_reads_as_something() {
        let span = Span { span_id: vec![1; 3], process: 99, kind: 1_000, status: 77, ..Span::default() };
        let message = JoinedTrace { reason: "new".to_owned(), spans: vec![span], ..JoinedTrace::default() };
        let summary = message.into_summary();
        assert_eq!(summary.spans[0].id, SpanId::NONE);
        assert_eq!(summary.spans[0].kind_name(), "unspecified");
    }
}
