//! Whether a trace may leave, why, and when to ask again.

use std::time::Duration;

use super::Settings;
use super::habit::Expect;
use super::notes::Notes;
use super::order::Order;
use super::patterns::Patterns;
use super::shapes::Shapes;
use super::tally::Tallies;
use super::trace::{Marks, Record, Trace};
use crate::model::{Reason, Time};

/// What is to be done with a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Leave(Reason),
    /// Nothing to do before this time, if nothing comes.
    Wait(Time),
}

/// Asking a large trace costs about this much for each span …
const ASKING: Duration = Duration::from_nanos(200);
/// … and is to take no more than one part in this many of the time.
const ASKING_SHARE: u32 = 20;

/// What judging needs besides the trace. `order` and `tallies` are its to use; after
/// `Leave(Complete)` they are those of that trace.
pub(super) struct Judge<'a> {
    pub settings: &'a Settings,
    pub shapes: &'a Shapes,
    pub notes: &'a Notes,
    pub order: &'a mut Order,
    pub tallies: &'a mut Tallies,
}

impl Judge<'_> {
    /// Decides about one trace. Asked again for every quiet time: cheap where traces are small, rare
    /// where they are large.
    pub fn judge(&mut self, patterns: &mut Patterns, trace: &Trace, now: Time) -> Verdict {
        if trace.late {
            return Verdict::Leave(Reason::Late);
        }
        let aged = trace.first + self.settings.hold;
        if now >= aged {
            return Verdict::Leave(Reason::Aged);
        }
        let quiet = trace.last + quiet_for(trace, self.settings);
        if now < quiet {
            return Verdict::Wait(quiet.min(aged));
        }
        let idle = trace.last + self.settings.idle;
        if now >= idle {
            return Verdict::Leave(Reason::Idle);
        }
        if !trace.has_root() || trace.is_known_to_miss_parents() {
            return Verdict::Wait(idle.min(aged));
        }
        let is_known = self.is_like_one_before(patterns, trace);
        if !is_known {
            self.order.link(trace);
            if self.order.orphans > 0 {
                return Verdict::Wait(idle.min(aged));
            }
        }
        let wait = match is_known || self.is_usual(trace) {
            true => None,
            false => {
                let patient = trace.last + unsure_quiet(trace, self.settings);
                self.expected(trace).map(|(_, until)| until).chain([patient]).max()
            }
        };
        match wait {
            Some(until) if until > now => Verdict::Wait(until.min(idle).min(aged)),
            _ if self.without_notes(trace).is_some() => Verdict::Wait(idle.min(aged)),
            _ => Verdict::Leave(Reason::Complete),
        }
    }

    /// Whether it is just like a usual one that left before, whose tree and tallies are then its own.
    fn is_like_one_before(&mut self, patterns: &mut Patterns, trace: &Trace) -> bool {
        let Some(pattern) = patterns.find(trace, self.shapes.changes()) else { return false };
        self.order.recall(&pattern.worked, pattern.is_in_order(trace));
        self.tallies.recall(&pattern.tallies, &pattern.roles);
        true
    }

    /// Whether it is just like all traces of its shapes were. The trace must have been linked.
    fn is_usual(&mut self, trace: &Trace) -> bool {
        if !trace.steady {
            return false;
        }
        self.tallies.count(trace, self.order);
        let (shapes, tallies) = (self.shapes, &*self.tallies);
        let usual = |(record, at): (&Record, u32)| shapes.is_usual(record.shape, &tallies.of(at));
        self.tallies.usual = trace.records.iter().zip(0..).all(usual);
        self.tallies.usual
    }

    /// A span that experience says is to have log records, and has not.
    pub fn without_notes<'t>(&self, trace: &'t Trace) -> Option<&'t Record> {
        if !self.settings.notes {
            return None;
        }
        // Only spans with GenAI attributes ever have any.
        let noted = trace.records.iter().filter(|record| record.marks.has(Marks::NOTED));
        let mut wanting =
            noted.filter_map(|record| Some((record, self.shapes.wants(record.shape)?))).peekable();
        wanting.peek()?;
        let here = self.notes.here(trace);
        wanting.find(|(record, wants)| !here.satisfies(record.id, *wants)).map(|(record, _)| record)
    }

    /// Children that experience says are still to come: of which span, and until when to wait. The trace
    /// must have been linked.
    pub fn expected<'t>(&'t mut self, trace: &'t Trace) -> impl Iterator<Item = (&'t Record, Time)> {
        self.tallies.count(trace, self.order);
        let (shapes, tallies, quiet) = (self.shapes, &*self.tallies, self.settings.quiet);
        trace.records.iter().zip(0..).filter_map(move |(record, at)| {
            let arrived = trace.first + Duration::from_millis(record.after_ms.into());
            match shapes.expect(record.shape, &tallies.of(at), quiet) {
                Expect::Nothing => None,
                Expect::Child(Some(lag)) => Some((record, arrived + lag)),
                Expect::Child(None) | Expect::Unknown => Some((record, Time(u64::MAX))),
            }
        })
    }
}

/// Silence after which it is worth asking whether a trace may leave. One of which nothing ever varied only has to
/// outlast what varies for the first time; if it has as many spans as one that left, all that is to come is here, and
/// it is asked at once: its bytes are still in the processor's cache.
pub(super) fn quiet_for(trace: &Trace, settings: &Settings) -> Duration {
    if trace.looks_whole {
        return Duration::ZERO;
    }
    let is_steady = trace.steady && !trace.is_large();
    if is_steady { hasty(settings.quiet) } else { unsure_quiet(trace, settings) }
}

/// Asked for at each arrival: dividing a `Duration` takes four times as long.
fn hasty(quiet: Duration) -> Duration {
    Duration::from_nanos(quiet.as_nanos() as u64 / 10)
}

fn unsure_quiet(trace: &Trace, settings: &Settings) -> Duration {
    if !trace.is_large() {
        return settings.quiet;
    }
    let spans = u32::try_from(trace.records.len()).unwrap_or(u32::MAX);
    settings.quiet.max(ASKING.saturating_mul(spans).saturating_mul(ASKING_SHARE)).min(settings.idle)
}
