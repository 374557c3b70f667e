//! Log records that go with their spans, as the rules about logs leave them.
//!
//! What becomes an event is a copy: without this it would carry what the rules mask in the record itself. Where a
//! record belongs was settled when it came, so a rule that renames its event or its span moves nothing. The
//! surprise: where logs go on as logs too, the rules run on such a record twice, and what fails is counted once.

use bytes::Bytes;

use super::journey::Journey;
use crate::queue::Admitted;
use crate::rules::labels::Known;
use crate::rules::passing::Passing;
use crate::rules::{Context, Outcome, Request};
use crate::wire::index::{NoteEntry, Range};
use crate::wire::{Index, Signal, TraceId, block};

/// The records of one request that belong to spans of a lane, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Ruled {
    pub body: Bytes,
    /// Nothing but `notes`, in `body`.
    pub index: Index,
    pub dropped: u64,
    pub sampled_out: u64,
}

impl Journey {
    /// What the rules make of the records of `request` that belong to spans; `None`: no rule looks at any.
    pub(super) fn ruled_notes(
        &mut self,
        request: &Admitted,
        mine: impl Fn(TraceId) -> bool,
    ) -> Option<Ruled> {
        let by_resource = self.rules.rules.has_context(Context::Resource);
        if request.index.notes.is_empty() || !(by_resource || self.rules.concerns(Signal::Logs)) {
            return None;
        }
        let counted_later = self.shelf.takes(Signal::Logs);
        let (mut ruled, mut body) = (Ruled::default(), Vec::new());
        for entry in &request.index.resources {
            let within = |note: &&NoteEntry| {
                entry.block.at <= note.body.at && note.body.at < entry.block.at + entry.block.len
            };
            let notes: Vec<_> =
                request.index.notes.iter().filter(within).filter(|note| mine(note.trace)).collect();
            if notes.is_empty() {
                continue;
            }
            let resource = block::first_body(&request.body, &request.index, &entry.head);
            let caller = request.origin.caller.as_deref();
            let known = Known { header: self.labels.asked_of(caller), ..Known::default() };
            let resource = self.labels.label(&resource, known);
            let resource = self.rules.resource(Signal::Logs, resource, caller);
            if resource.dropped {
                ruled.dropped += notes.len() as u64;
                continue;
            }
            let (mut kept, mut sampled_out) = (0, 0);
            let see = |record: &[u8], outcome: &Outcome| {
                // They stand in the order of the request, and so do the records.
                let start = |note: &&NoteEntry| note.body.of(&request.body).as_ptr();
                let found = notes.binary_search_by_key(&record.as_ptr(), start).ok();
                let Some(note) = found.and_then(|found| notes.get(found)) else { return };
                if outcome.dropped || outcome.sampled_out {
                    sampled_out += u64::from(outcome.sampled_out);
                    return;
                }
                kept += 1;
                let at = u32::try_from(body.len()).unwrap_or(u32::MAX);
                body.extend(outcome.edits.apply(record));
                let len = u32::try_from(body.len()).unwrap_or(u32::MAX) - at;
                ruled.index.notes.push(NoteEntry { body: Range { at, len }, ..**note });
            };
            let (rules, now) = (&self.rules.rules, self.rules.now());
            let passing = Passing {
                rules,
                signal: Signal::Logs,
                resource: &resource.body,
                request: caller.map(|caller| caller as &dyn Request),
                now,
                random: rand::random,
                see,
            };
            let troubles = passing.apply(entry.block.of(&request.body)).troubles;
            if !counted_later {
                self.rules.count(&troubles);
            }
            ruled.sampled_out += sampled_out;
            ruled.dropped += notes.len() as u64 - kept - sampled_out;
        }
        ruled.body = body.into();
        Some(ruled)
    }
}
