//! Log records that belong to spans, kept until their spans leave: GenAI content, mostly.
//!
//! They come before their span, with it or after it. A trace that leaves takes those of its spans along; what
//! is left waits for spans still to come. A record whose span has left is late, and lost here: it may still
//! go on as a log.
//!
//! Bounded in bytes and age; the oldest traces' records make room. The one surprise: a copy of a record (an
//! exporter that got no answer sends again) is kept like any other and found when its span leaves, because
//! looking for it as it comes would cost the square of a long conversation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;

use super::patience::Wants;
use super::strays::{Stray, Strays};
use super::trace::{Marks, Trace};
use crate::model::{Origin, TenantKey, Time};
use crate::semantics::events::Event;
use crate::semantics::score::RESPONSE_ID;
use crate::wire::attr::{self, Value};
use crate::wire::span::ATTRIBUTES;
use crate::wire::{SpanId, TraceId};

/// A prompt is sent when a call begins, its span when it has ended: the longest calls take minutes.
const KEEP: Duration = Duration::from_secs(600);
/// What the table takes for one trace, and for one record beside its bytes.
const ENTRY_OVERHEAD: usize = size_of::<(TraceId, Entry)>() + size_of::<(Time, TraceId)>() + 32;
const NOTE_OVERHEAD: usize = size_of::<Note>() + 48;

/// Records that will not go with a span, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unplaced {
    /// The span had left.
    pub late: u64,
    /// The span did not come for ten minutes, or before the process ended.
    pub no_span: u64,
    /// Too many bytes waited for their spans.
    pub no_room: u64,
}

impl Unplaced {
    pub const fn count(&self) -> u64 {
        self.late + self.no_span + self.no_room
    }
}

/// A record of a span, as the event it will be.
#[derive(Debug)]
pub(super) struct Note {
    pub span: SpanId,
    pub event: Event,
    origin: Arc<Origin>,
    came: Time,
}

impl Note {
    fn cost(&self) -> usize {
        NOTE_OVERHEAD + self.event.field.len()
    }
}

#[derive(Debug)]
struct Entry {
    /// When its oldest note came; tells tickets apart.
    since: Time,
    notes: Vec<Note>,
}

/// The notes of one join.
#[derive(Debug)]
pub(super) struct Notes {
    traces: HashMap<TraceId, Entry, RandomState>,
    /// Oldest first. Tickets of entries that were taken are stale.
    tickets: VecDeque<(Time, TraceId)>,
    bytes: usize,
    bytes_max: usize,
    unplaced: Unplaced,
    strays: Strays,
}

impl Notes {
    /// `evaluations`: those without a span are wanted.
    pub fn new(bytes_max: usize, evaluations: bool, hasher: RandomState) -> Self {
        let (tickets, unplaced) = Default::default();
        let (traces, strays) = (HashMap::with_hasher(hasher), Strays::new(evaluations));
        Self { traces, tickets, bytes: 0, bytes_max, unplaced, strays }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a note until its span leaves.
    pub fn keep(&mut self, now: Time, origin: Arc<Origin>, trace: TraceId, span: SpanId, event: Event) {
        let note = Note { span, event, origin, came: now };
        let cost = note.cost() + ENTRY_OVERHEAD;
        while self.bytes + cost > self.bytes_max {
            if !self.drop_oldest() {
                // Larger than all there may be.
                self.unplaced.no_room += 1;
                return self.strays.put((trace, span), note.event, &note.origin);
            }
        }
        self.bytes += note.cost();
        let entry = self.traces.entry(trace).or_insert_with(|| {
            self.bytes += ENTRY_OVERHEAD;
            self.tickets.push_back((now, trace));
            Entry { since: now, notes: Vec::new() }
        });
        entry.notes.push(note);
    }

    /// A note came for a span that had left.
    pub fn came_late(&mut self, of: (TraceId, SpanId), event: Event, origin: &Arc<Origin>) {
        self.unplaced.late += 1;
        self.strays.put(of, event, origin);
    }

    /// Takes the notes of those spans of a trace that are in it: by span, in the order of their events.
    pub fn take(&mut self, trace: &Trace) -> Vec<Note> {
        let Some(entry) = self.traces.get_mut(&trace.id) else { return Vec::new() };
        if entry.notes.iter().any(|note| note.span.is_none()) {
            find_spans(&mut entry.notes, trace);
        }
        let goes = |note: &mut Note| is_of(note, trace.tenant) && trace.find(note.span).is_some();
        let mut taken: Vec<_> = entry.notes.extract_if(.., goes).collect();
        self.bytes -= taken.iter().map(Note::cost).sum::<usize>();
        if entry.notes.is_empty() {
            self.traces.remove(&trace.id);
            self.bytes -= ENTRY_OVERHEAD;
        }
        taken.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        taken
    }

    /// Which spans of a trace have notes.
    pub fn here(&self, trace: &Trace) -> Here {
        let notes = self.traces.get(&trace.id).map(|entry| entry.notes.as_slice()).unwrap_or_default();
        let of = notes.iter().filter(|note| is_of(note, trace.tenant));
        let mut here: Vec<_> = of.map(|note| (note.span, note.event.is_last())).collect();
        here.sort_unstable();
        Here(here)
    }

    /// Lets go of notes that have waited for too long.
    pub fn age(&mut self, now: Time) {
        self.tidy();
        while let Some(&(since, trace)) = self.tickets.front()
            && now.since(since) > KEEP
        {
            self.tickets.pop_front();
            let Some(entry) = self.traces.get_mut(&trace).filter(|entry| entry.since == since) else {
                continue;
            };
            let old: Vec<_> = entry.notes.extract_if(.., |note| now.since(note.came) > KEEP).collect();
            self.unplaced.no_span += old.len() as u64;
            self.bytes -= old.iter().map(Note::cost).sum::<usize>();
            match entry.notes.iter().map(|note| note.came).min() {
                Some(oldest) => {
                    entry.since = oldest;
                    self.tickets.push_back((oldest, trace));
                }
                None => {
                    self.traces.remove(&trace);
                    self.bytes -= ENTRY_OVERHEAD;
                }
            }
            stray(&mut self.strays, trace, old);
        }
    }

    /// Lets go of all: no span will come.
    pub fn end(&mut self) {
        for (trace, entry) in self.traces.drain() {
            self.unplaced.no_span += entry.notes.len() as u64;
            stray(&mut self.strays, trace, entry.notes);
        }
        self.tickets.clear();
        self.bytes = 0;
    }

    /// Notes that will not go with a span, since the last call.
    pub fn take_unplaced(&mut self) -> Unplaced {
        std::mem::take(&mut self.unplaced)
    }

    /// Evaluations among the notes that will not go with a span, since the last call.
    pub fn take_strays(&mut self) -> Vec<Stray> {
        self.strays.take()
    }

    /// All notes of the oldest trace make room. Says whether there were any.
    fn drop_oldest(&mut self) -> bool {
        while let Some((since, trace)) = self.tickets.pop_front() {
            let Some(entry) = self.traces.remove(&trace) else { continue };
            if entry.since != since {
                self.traces.insert(trace, entry);
                continue;
            }
            self.unplaced.no_room += entry.notes.len() as u64;
            self.bytes -= ENTRY_OVERHEAD + entry.notes.iter().map(Note::cost).sum::<usize>();
            stray(&mut self.strays, trace, entry.notes);
            return true;
        }
        false
    }

    /// Stale tickets are never more than half for long.
    fn tidy(&mut self) {
        if self.tickets.len() > 64 + 2 * self.traces.len() {
            let traces = &self.traces;
            let is_good = |(since, trace): &(Time, TraceId)| {
                traces.get(trace).is_some_and(|entry| entry.since == *since)
            };
            self.tickets.retain(is_good);
        }
        // After a burst: room hardly used is given back.
        if self.traces.capacity() > 64 + 8 * self.traces.len() {
            self.traces.shrink_to(2 * self.traces.len());
            self.tickets.shrink_to(2 * self.tickets.len());
        }
    }
}

/// Spans that have notes, and whether it is the last of a call.
#[derive(Debug)]
pub(super) struct Here(Vec<(SpanId, bool)>);

impl Here {
    /// Whether a span has what it is to have.
    pub fn satisfies(&self, span: SpanId, wants: Wants) -> bool {
        let has = |last| self.0.binary_search(&(span, last)).is_ok();
        has(true) || (wants == Wants::Any && has(false))
    }
}

/// Notes that name a response are of the span that has it: of several the one with the least id, whichever came
/// first.
fn find_spans(notes: &mut [Note], trace: &Trace) {
    let mut spans: HashMap<&[u8], SpanId, RandomState> = HashMap::default();
    for record in trace.records.iter().filter(|record| record.marks.has(Marks::NOTED)) {
        if let Some(Value::Str(id)) = attr::find(trace.body(record.place), ATTRIBUTES, RESPONSE_ID.as_bytes())
        {
            let span = spans.entry(id).or_insert(record.id);
            *span = record.id.min(*span);
        }
    }
    for note in notes.iter_mut().filter(|note| note.span.is_none() && is_of(note, trace.tenant)) {
        let span = note.event.response_id().and_then(|id| spans.get(id));
        note.span = span.copied().unwrap_or_default();
    }
}

fn stray(strays: &mut Strays, trace: TraceId, notes: Vec<Note>) {
    notes.into_iter().for_each(|note| strays.put((trace, note.span), note.event, &note.origin));
}

/// As spans: what came without credentials belongs to whoever has the id.
fn is_of(note: &Note, tenant: TenantKey) -> bool {
    let own = note.origin.tenant;
    own == tenant || own == TenantKey::ANONYMOUS || tenant == TenantKey::ANONYMOUS
}

/// By span, then by time, place in a conversation, bytes: nothing of it depends on how it came.
fn place(note: &Note) -> (SpanId, u64, u8, &[u8]) {
    (note.span, note.event.time, note.event.rank, &note.event.field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::Scope;
    use bytes::Bytes;

    fn notes(bytes_max: usize) -> Notes {
        Notes::new(bytes_max, false, RandomState::with_seeds(1, 2, 3, 4))
    }

    fn keep(notes: &mut Notes, at: u64, trace: u8, len: usize) {
        let event = Event { field: Bytes::from(vec![0; len]), time: 0, rank: 0 };
        let origin = Arc::new(Origin { tenant: TenantKey(1), ..Origin::default() });
        notes.keep(Time::from_millis(at), origin, TraceId([trace; 16]), SpanId([1; 8]), event);
    }

    fn unplaced(late: u64, no_span: u64, no_room: u64) -> Unplaced {
        Unplaced { late, no_span, no_room }
    }

    #[test]
    fn the_oldest_make_room_and_what_fits_nowhere_is_counted() {
        let mut notes = notes(10_000);
        (0..100).for_each(|trace| keep(&mut notes, u64::from(trace), trace, 1_000));
        assert!(notes.bytes() <= 10_000 && notes.traces.len() > 5);
        let dropped = notes.take_unplaced();
        assert_eq!(dropped, unplaced(0, 0, 100 - notes.traces.len() as u64));
        assert!(notes.traces.contains_key(&TraceId([99; 16])));
        keep(&mut notes, 100, 100, 20_000);
        assert_eq!((notes.bytes(), notes.traces.len()), (0, 0), "it has taken all others with it");
        assert!(notes.tickets.is_empty());
    }

    #[test]
    fn what_nobody_takes_is_let_go_after_ten_minutes_each_by_itself() {
        let mut notes = notes(1 << 20);
        keep(&mut notes, 0, 1, 10);
        keep(&mut notes, 400_000, 1, 10);
        notes.age(Time::from_millis(600_000));
        assert_eq!(notes.take_unplaced(), unplaced(0, 0, 0));
        notes.age(Time::from_millis(600_001));
        assert_eq!(notes.take_unplaced(), unplaced(0, 1, 0));
        notes.age(Time::from_millis(1_000_001));
        assert_eq!((notes.take_unplaced(), notes.bytes()), (unplaced(0, 1, 0), 0));
    }

    #[test]
    fn tickets_of_what_was_taken_do_not_gather() {
        let mut notes = notes(1 << 20);
        for at in 0..10_000 {
            keep(&mut notes, at, 1, 10);
            let trace = Trace::new(TraceId([1; 16]), TenantKey(1), Scope::Trace, Time(0));
            assert_eq!(notes.take(&trace).len(), 0, "its span is not in it");
            notes.traces.clear();
            notes.age(Time::from_millis(at));
        }
        assert!(notes.tickets.len() < 100);
    }
}
