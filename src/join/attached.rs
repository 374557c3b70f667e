//! The events that leave with the spans of one trace: notes, once each, and not where the span has them.

use bytes::Bytes;

use super::notes::Note;
use super::trace::Trace;
use crate::semantics::events;

/// What the spans of a trace take along.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// Whole fields of a span, by span and in order.
    fields: Vec<Bytes>,
    /// By the index of the record: which of the fields are its own.
    spans: Vec<Own>,
    /// Notes that add nothing: copies, and what a span had of its own.
    pub copies: u32,
}

/// The notes of one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub record: u32,
    pub fields: (u32, u32),
    /// One of them ends a call.
    pub has_last: bool,
}

impl Attached {
    /// `notes` are of spans in the trace, by span and in the order of their events.
    pub fn of(trace: &Trace, notes: &[Note]) -> Self {
        let mut attached = Self::default();
        for own in notes.chunk_by(|a, b| a.span == b.span) {
            let record = own.first().and_then(|note| trace.find(note.span));
            let Some((at, record)) = record.and_then(|at| Some((at, trace.records.get(at as usize)?))) else {
                continue;
            };
            let (span, from) = (trace.body(record.place), attached.fields.len());
            for same in own.chunk_by(|a, b| a.event == b.event) {
                let field = &same[0].event.field;
                let is_new = !events::has(span, field);
                if is_new {
                    attached.fields.push(field.clone());
                }
                attached.copies += same.len() as u32 - u32::from(is_new);
            }
            attached.spans.push(Own {
                record: at,
                fields: (from as u32, attached.fields.len() as u32),
                has_last: own.iter().any(|note| note.event.is_last()),
            });
        }
        attached.spans.sort_unstable_by_key(|own| own.record);
        attached
    }

    /// Whether no record has any.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The notes of a record, if it has any.
    pub fn own(&self, record: u32) -> Option<Own> {
        if self.is_empty() {
            return None;
        }
        let found = self.spans.binary_search_by_key(&record, |own| own.record).ok()?;
        self.spans.get(found).copied()
    }

    pub fn into_fields(self) -> Vec<Bytes> {
        self.fields
    }
}
