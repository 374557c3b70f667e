//! Runs rules over captured requests as the journey would, and notes what becomes of each message.
//!
//! Spans of all requests are put together into traces first. There are no labels here: those are a matter of
//! where a process runs.

use std::collections::{BTreeSet, HashMap};

use super::capture::Captured;
use super::difference::Kind;
use crate::model::Caller;
use crate::rules::passing::Passing;
use crate::rules::whole::{self, Member};
use crate::rules::{Context, Frame, Outcome, Request, Rules, TraceFacts, Trouble};
use crate::wire::attr::messages;
use crate::wire::index::Range;
use crate::wire::{Detail, Index, Limits, Signal, TraceId, block, walk};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    Dropped,
    SampledOut,
}

/// One message that rules looked at.
#[derive(Debug)]
pub struct Looked {
    pub kind: Kind,
    pub signal: Signal,
    pub was: Vec<u8>,
    /// `None`: as it was.
    pub is: Option<Vec<u8>>,
    pub fate: Fate,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Tried {
    pub looked: Vec<Looked>,
    pub troubles: Vec<(u32, Trouble)>,
    /// Statements whose conditions held somewhere.
    pub matched: BTreeSet<u32>,
}

/// A rules' run over one capture.
#[derive(Debug)]
pub struct Trial<'a> {
    pub rules: &'a Rules,
    /// Who sent all of it.
    pub caller: &'a Caller,
    /// Unix nanoseconds.
    pub now: i64,
    /// What random values come of: the same for all runs that are compared.
    pub seed: u128,
    drawn: u128,
    tried: Tried,
}

/// A resource or scope after its rules.
#[derive(Clone, Debug, Default)]
struct Ruled {
    body: Vec<u8>,
    dropped: bool,
}

/// A span, and where it stands.
struct Span<'a> {
    body: &'a [u8],
    resource: Ruled,
    scope: Ruled,
}

impl<'a> Trial<'a> {
    pub fn of(rules: &'a Rules, caller: &'a Caller, now: i64, seed: u128) -> Self {
        Self { rules, caller, now, seed, drawn: 0, tried: Tried::default() }
    }

    /// Messages are noted in the order of the capture, traces behind all else, whatever becomes of them: runs of
    /// different rules can be laid side by side.
    ///
    /// # Errors
    /// When a request can not be followed.
    pub fn run(mut self, requests: &[Captured]) -> Result<Tried, String> {
        let mut order: Vec<TraceId> = Vec::new();
        let mut traces: HashMap<TraceId, Vec<Span<'_>>> = HashMap::new();
        for Captured { signal, body } in requests {
            let index = walk(*signal, body, Detail::Spans, &Limits::default()).map_err(|w| w.to_string())?;
            if *signal != Signal::Traces {
                self.blocks(*signal, body, &index);
                continue;
            }
            let resources: Vec<Ruled> = index
                .resources
                .iter()
                .map(|entry| {
                    let resource = block::first_body(body, &index, &entry.head);
                    self.head(Kind::Resource, *signal, &resource, &[])
                })
                .collect();
            let scopes: Vec<(Ruled, Ruled)> = index
                .scopes
                .iter()
                .map(|entry| {
                    let resource = resources.get(entry.resource as usize).cloned().unwrap_or_default();
                    let scope = block::first_body(body, &index, &entry.head);
                    (self.head(Kind::Scope, *signal, &scope, &resource.body), resource)
                })
                .collect();
            for entry in &index.spans {
                let (scope, resource) = scopes.get(entry.scope as usize).cloned().unwrap_or_default();
                let trace = traces.entry(entry.trace).or_insert_with(|| {
                    order.push(entry.trace);
                    Vec::new()
                });
                trace.push(Span { body: entry.body.of(body), resource, scope });
            }
        }
        for id in order {
            self.trace(id, traces.get(&id).map(Vec::as_slice).unwrap_or_default());
        }
        Ok(self.tried)
    }

    fn trace(&mut self, id: TraceId, spans: &[Span<'_>]) {
        let members: Vec<Member<'_>> = spans
            .iter()
            .map(|span| Member {
                span: span.body,
                resource: &span.resource.body,
                scope: &span.scope.body,
                request: Some(self.caller),
                dropped: span.resource.dropped || span.scope.dropped,
                to: None,
            })
            .collect();
        let facts = TraceFacts { id: Some(id), ..whole::facts(&members) };
        let (rules, now) = (self.rules, self.now);
        let ruled = whole::apply(rules, &members, &facts, now, || self.random());
        self.tried.troubles.extend(ruled.troubles);
        for (span, fated) in spans.iter().zip(ruled.spans) {
            let fate = match (ruled.sampled_out, fated.dropped) {
                (true, _) => Fate::SampledOut,
                (false, true) => Fate::Dropped,
                (false, false) => Fate::Stays,
            };
            self.note(Kind::Item, Signal::Traces, span.body, fated.written, fate, &fated.matched);
        }
    }

    fn blocks(&mut self, signal: Signal, body: &[u8], index: &Index) {
        for entry in &index.resources {
            let resource = block::first_body(body, index, &entry.head);
            let resource = self.head(Kind::Resource, signal, &resource, &[]);
            let range: Range = entry.block;
            for scope in messages(range.of(body), 2) {
                for head in messages(scope, 1) {
                    self.head(Kind::Scope, signal, head, &resource.body);
                }
            }
            // By where they begin. What is not seen went with its resource or scope.
            let mut seen = HashMap::new();
            let see = |item: &[u8], outcome: &Outcome| {
                let is = (!outcome.edits.is_empty()).then(|| outcome.edits.apply(item));
                let fate = match (outcome.sampled_out, outcome.dropped) {
                    (true, _) => Fate::SampledOut,
                    (false, true) => Fate::Dropped,
                    (false, false) => Fate::Stays,
                };
                seen.insert(item.as_ptr(), (is, fate, outcome.matched.clone()));
            };
            if !resource.dropped {
                let (rules, now, request) = (self.rules, self.now, Some(self.caller as &dyn Request));
                let random = || self.random();
                let resource = &resource.body;
                let passing = Passing { rules, signal, resource, request, now, random, see };
                let ruled = passing.apply(range.of(body));
                self.tried.troubles.extend(ruled.troubles);
            }
            for item in messages(range.of(body), 2).flat_map(|scope| messages(scope, 2)) {
                match seen.remove(&item.as_ptr()) {
                    Some((is, fate, matched)) => self.note(Kind::Item, signal, item, is, fate, &matched),
                    None => self.note(Kind::Item, signal, item, None, Fate::Dropped, &[]),
                }
            }
        }
    }

    fn random(&mut self) -> u128 {
        self.drawn += 1;
        // An odd number, so that no two are the same.
        self.seed.wrapping_add(self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    /// What becomes of a resource or scope.
    fn head(&mut self, kind: Kind, signal: Signal, body: &[u8], resource: &[u8]) -> Ruled {
        let (now, random, request) = (self.now, self.random(), Some(self.caller as &dyn Request));
        let frame = Frame { signal: Some(signal), resource, request, now, random, ..Frame::default() };
        let context = if kind == Kind::Resource { Context::Resource } else { Context::Scope };
        if !self.rules.has_context(context) {
            self.note(kind, signal, body, None, Fate::Stays, &[]);
            return Ruled { body: body.to_vec(), dropped: false };
        }
        let outcome = match kind {
            Kind::Resource => self.rules.apply_resource(body, frame),
            _ => self.rules.apply_scope(body, frame),
        };
        let is = (!outcome.edits.is_empty()).then(|| outcome.edits.apply(body));
        let dropped = outcome.dropped;
        let ruled = Ruled { body: is.clone().unwrap_or_else(|| body.to_vec()), dropped };
        self.tried.troubles.extend(outcome.troubles);
        let fate = if dropped { Fate::Dropped } else { Fate::Stays };
        self.note(kind, signal, body, is, fate, &outcome.matched);
        ruled
    }

    fn note(
        &mut self,
        kind: Kind,
        signal: Signal,
        was: &[u8],
        is: Option<Vec<u8>>,
        fate: Fate,
        matched: &[u32],
    ) {
        self.tried.matched.extend(matched);
        self.tried.looked.push(Looked { kind, signal, was: was.to_vec(), is, fate });
    }
}
