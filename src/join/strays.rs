//! Evaluations that go with no span, because theirs has left or will not come: what they are of is known all the
//! same, so whoever makes scores of them can have them. Empty unless somebody wants them.
//!
//! The surprise: this is where most evaluations come by. Judging an answer takes longer than its trace is held.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::Origin;
use crate::semantics::events::{Event, SPAN_EVENTS};
use crate::semantics::score;
use crate::wire::attr::messages;
use crate::wire::{SpanId, TraceId};

/// An evaluation without its span.
#[derive(Clone, Debug)]
pub struct Stray {
    pub trace: TraceId,
    /// `SpanId::NONE`: it names none.
    pub span: SpanId,
    /// Whose it is: its trace's, where that has left with headers, else its own.
    pub origin: Arc<Origin>,
    /// What its trace left with.
    pub environment: Option<Rc<str>>,
    field: Bytes,
}

impl Stray {
    /// The body of its Event message.
    pub fn event(&self) -> &[u8] {
        messages(&self.field, SPAN_EVENTS).next().unwrap_or_default()
    }
}

/// Strays since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Strays {
    wanted: bool,
    found: Vec<Stray>,
}

impl Strays {
    pub fn new(wanted: bool) -> Self {
        Self { wanted, found: Vec::new() }
    }

    /// Keeps an event that goes with no span, if it is an evaluation.
    pub fn put(&mut self, (trace, span): (TraceId, SpanId), event: Event, origin: &Arc<Origin>) {
        if !self.wanted {
            return;
        }
        let stray = Stray { trace, span, origin: origin.clone(), environment: None, field: event.field };
        if score::is_evaluation(stray.event()) {
            self.found.push(stray);
        }
    }

    pub fn take(&mut self) -> Vec<Stray> {
        std::mem::take(&mut self.found)
    }
}
