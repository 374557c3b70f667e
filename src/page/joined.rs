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
use crate::wire::TraceId;

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
    /// An ExportTraceServiceRequest of this trace alone, exactly as it goes upstream.
    pub body: Bytes,
}

impl JoinedTrace {
    /// What it takes to keep: its body, its facts, and its own size.
    pub fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| said.bytes());
        size_of::<Self>() + said + size_of_val::<[Has]>(&self.given) + self.body.len()
    }
}
