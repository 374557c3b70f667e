//! What left the join: one trace, for whoever looks, and what was done to it on the way.
//!
//! Built on a lane, and only while somebody looks. Everything a person is shown is read out of the body
//! later, elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{Reason, Repairs};
use crate::semantics::claims::Has;
use crate::semantics::context::Said;
use crate::wire::walk::{Detail, Index, Limits, walk};
use crate::wire::{Signal, TraceId};

/// Heap bytes the index of a trace may take while it is read.
const INDEX_BYTES_MAX: usize = 16 << 20;

/// A trace as it left the join, labelled and stamped.
#[derive(Clone, Debug)]
pub struct JoinedTrace {
    pub trace: TraceId,
    pub reason: Reason,
    /// From its first span's arrival to leaving.
    pub held: Duration,
    /// From its last span's arrival to leaving.
    pub quiet: Duration,
    /// Unix time of leaving, nanoseconds.
    pub left_unix_nano: u64,
    pub spans: u32,
    /// Requests its spans came in.
    pub requests: u32,
    pub repairs: Repairs,
    /// What the trace says of itself, and which span said it; `None` where nobody says anything, or nobody
    /// writes it anywhere.
    pub said: Option<Arc<Said>>,
    /// What was written on each span, in the order of the body; empty when nothing was on any.
    pub given: Box<[Has]>,
    /// Spans that were given another parent, or lost a mark.
    pub mended: u32,
    /// An ExportTraceServiceRequest of this trace alone, exactly as it goes upstream.
    pub body: Bytes,
}

impl JoinedTrace {
    /// The parts of one trace, oldest first, as the one trace they are; `None` of none. What was done to them
    /// adds up; why it left is the first one's to say, what the trace says of itself the last one's.
    pub fn of_parts(parts: &[Arc<Self>]) -> Option<Self> {
        let (first, later) = parts.split_first()?;
        let mut whole = Self::clone(first);
        if later.is_empty() {
            return Some(whole);
        }
        // Requests side by side are one request.
        let bodies: Vec<&[u8]> = parts.iter().map(|part| &*part.body).collect();
        whole.body = Bytes::from(bodies.concat());
        whole.given = given(parts);
        for part in later {
            whole.said = part.said.clone().or(whole.said);
            (whole.quiet, whole.left_unix_nano) = (part.quiet, part.left_unix_nano);
            whole.spans = whole.spans.saturating_add(part.spans);
            whole.requests = whole.requests.saturating_add(part.requests);
            whole.mended = whole.mended.saturating_add(part.mended);
            whole.repairs = whole.repairs.plus(part.repairs);
        }
        Some(whole)
    }

    /// Where its spans are; nothing of a body that can not be walked, or whose index would be too large.
    pub fn index(&self) -> Index {
        let limits = Limits { index_bytes: INDEX_BYTES_MAX, ..Limits::default() };
        walk(Signal::Traces, &self.body, Detail::Spans, &limits).unwrap_or_default()
    }

    /// What it takes to keep: its body, its facts, and its own size.
    pub fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| said.bytes());
        size_of::<Self>() + said + size_of_val::<[Has]>(&self.given) + self.body.len()
    }
}

/// What was written on the spans of all parts, in the order of their bodies.
fn given(parts: &[Arc<JoinedTrace>]) -> Box<[Has]> {
    if parts.iter().all(|part| part.given.is_empty()) {
        return Box::default();
    }
    let mut given = Vec::new();
    for part in parts {
        let behind = given.len() + part.spans as usize;
        given.extend_from_slice(&part.given);
        given.resize(behind, Has::NONE);
    }
    given.into()
}
