//! One span, read lazily: one pass over its fields finds the attributes that speak of a property, and each
//! property is worked out of them when it is asked for.
//!
//! Nothing is copied but keys' places; payloads are borrowed. A span without any attribute of the table
//! allocates nothing. The surprise: a value that can not be understood does not hide a worse-ranked one
//! that can; what was passed over so is in [`Observation::complaints`].

use std::borrow::Cow;

use super::around::Around;
use super::complaint::{Complaints, Problem};
use super::content::Content;
use super::convention::{self, On, Place, Property};
use super::cost::Cost;
use super::kind::Kind;
use super::level::Level;
use super::tags::{self, Tags};
use super::usage::Usage;
use super::{json, words};
use crate::wire::SpanId;
use crate::wire::attr::{self, Attr, Value};
use crate::wire::fields::{self, Fields, Payload};
use crate::wire::span::Status;

/// What one place says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    pub place: &'static Place,
    /// The attribute's key, or the event's name.
    pub key: &'a str,
    pub said: Said<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said<'a> {
    Value(Value<'a>),
    /// The body of a Span.Event message.
    Event(&'a [u8]),
}

/// A borrowed reading of one span.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    pub id: SpanId,
    /// `SpanId::NONE` for a root.
    pub parent: SpanId,
    pub span_name: &'a str,
    /// `Span.SpanKind` as its number.
    pub span_kind: u8,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds; 0 when the span has not ended.
    pub end: u64,
    pub status: Status,
    /// What goes with the status; see [`Self::status_message`].
    pub status_text: &'a str,
    pub around: Around<'a>,
    found: Vec<Found<'a>>,
    /// Attributes and events that would have been found, beyond [`Self::FOUND_MAX`].
    left_out: usize,
}

impl<'a> Observation<'a> {
    /// Attributes and events of one span that are kept at most.
    pub const FOUND_MAX: usize = 512;

    /// Reads the body of a Span message, in one pass. What is not well formed ends the reading.
    pub fn of(span: &'a [u8], around: Around<'a>) -> Self {
        let mut this = Self {
            id: SpanId::NONE,
            parent: SpanId::NONE,
            span_name: "",
            span_kind: 0,
            start: 0,
            end: 0,
            status: Status::Unset,
            status_text: "",
            around,
            found: Vec::new(),
            left_out: 0,
        };
        let mut rest = span;
        while !rest.is_empty() {
            if let Some(key_value) = usual_attribute(&mut rest) {
                this.attribute(key_value);
                continue;
            }
            let Ok(field) = fields::read(&mut rest) else { break };
            match (field.number, field.payload) {
                (9, Payload::Len(key_value)) => this.attribute(key_value),
                (11, Payload::Len(event)) => this.event(event),
                (2, Payload::Len(id)) => this.id = id.try_into().map(SpanId).unwrap_or_default(),
                (4, Payload::Len(id)) => this.parent = id.try_into().map(SpanId).unwrap_or_default(),
                (5, Payload::Len(name)) => this.span_name = text(name),
                (6, Payload::Varint(kind)) => this.span_kind = u8::try_from(kind).unwrap_or(0),
                (7, Payload::Fixed64(time)) => this.start = time,
                (8, Payload::Fixed64(time)) => this.end = time,
                (15, Payload::Len(status)) => this.status(status),
                _ => {}
            }
        }
        this
    }

    #[inline]
    fn attribute(&mut self, key_value: &'a [u8]) {
        let key = Attr::key_of(key_value);
        for place in convention::places(key) {
            self.note(Found { place, key: text(key), said: Said::Value(Attr::of(key_value).value) });
        }
    }

    fn event(&mut self, event: &'a [u8]) {
        let name = attr::messages(event, 2).last().unwrap_or_default();
        if name.starts_with(b"gen_ai.") {
            for place in convention::event_places(name) {
                self.note(Found { place, key: text(name), said: Said::Event(event) });
            }
        }
    }

    /// The last wins where a key stands twice; of a family's keys and of events each counts.
    fn note(&mut self, found: Found<'a>) {
        if matches!(found.place.on, On::Span | On::SpanOrResource)
            && let Some(before) = self.found.iter_mut().find(|before| std::ptr::eq(before.place, found.place))
        {
            *before = found;
        } else if self.found.len() < Self::FOUND_MAX {
            self.found.push(found);
        } else {
            self.left_out += 1;
        }
    }

    /// Repeated Status messages merge.
    fn status(&mut self, status: &'a [u8]) {
        for field in Fields::of(status) {
            match (field.number, field.payload) {
                (2, Payload::Len(message)) => self.status_text = text(message),
                (3, Payload::Varint(1)) => self.status = Status::Ok,
                (3, Payload::Varint(2)) => self.status = Status::Error,
                (3, Payload::Varint(_)) => self.status = Status::Unset,
                _ => {}
            }
        }
    }

    /// What was found for a property, in the order of the wire.
    pub fn found(&self, property: Property) -> impl Iterator<Item = &Found<'a>> {
        self.found.iter().filter(move |found| found.place.property == property)
    }

    /// Of what was found for a property and can be read, the best.
    pub fn best<T>(&self, property: Property, read: impl Fn(&Found<'a>) -> Option<T>) -> Option<T> {
        self.best_ranked(property, read).map(|(_, value)| value)
    }

    fn best_ranked<T>(&self, property: Property, read: impl Fn(&Found<'a>) -> Option<T>) -> Option<(u8, T)> {
        let readable = self.found(property).filter_map(|found| Some((found.place.rank, read(found)?)));
        readable.min_by_key(|(rank, _)| *rank)
    }

    fn text(&self, property: Property) -> Option<Cow<'a, str>> {
        self.best(property, |found| found.value().and_then(words::text))
    }

    /// The observation's type.
    pub fn kind(&self) -> Kind {
        Kind::of(self)
    }

    pub fn level(&self) -> Level {
        Level::of(self)
    }

    /// Said as an attribute, else with the span's status, else the error's type.
    pub fn status_message(&self) -> Option<Cow<'a, str>> {
        let (rank, said) =
            self.best_ranked(Property::StatusMessage, |found| found.value().and_then(words::text)).unzip();
        match rank {
            Some(rank) if rank < convention::UNREAD => said,
            _ if !self.status_text.is_empty() => Some(Cow::Borrowed(self.status_text)),
            _ => said,
        }
    }

    /// What the observation is called: what a tool or framework names it, else the span's name.
    pub fn name(&self) -> Cow<'a, str> {
        self.text(Property::Name).unwrap_or(Cow::Borrowed(self.span_name))
    }

    /// The model; `None` for agents' own spans, whose usage is their calls' (semantics of
    /// `gen_ai.operation.name`).
    pub fn model(&self) -> Option<Cow<'a, str>> {
        if self.is_agent_operation() { None } else { self.text(Property::Model) }
    }

    /// An object in a string, or the request's parameters one by one.
    pub fn model_parameters(&self) -> Option<Content<'a>> {
        self.content(Property::ModelParameters)
    }

    /// One model parameter, wherever it stands.
    pub fn model_parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        self.best(Property::ModelParameters, |found| {
            let value = found.value()?;
            if found.place.on == On::Family {
                return (found.name() == name).then(|| words::text(value)).flatten();
            }
            let object = json::object(value.text()?).ok()?;
            object.into_iter().find(|(key, _)| key == name).map(|(_, raw)| json::plain(raw))
        })
    }

    /// Unix nanoseconds at which the first token came.
    pub fn completion_start(&self) -> Option<u64> {
        self.best(Property::CompletionStart, |found| words::completion_start(found, self.start))
    }

    pub fn prompt_name(&self) -> Option<Cow<'a, str>> {
        self.text(Property::PromptName)
    }

    pub fn prompt_version(&self) -> Option<u64> {
        self.best(Property::PromptVersion, |found| found.value().and_then(words::count))
    }

    pub fn input(&self) -> Option<Content<'a>> {
        self.content(Property::Input)
    }

    pub fn output(&self) -> Option<Content<'a>> {
        self.content(Property::Output)
    }

    /// What `update_trace` wrote: gone in newer SDKs, whose root speaks by its own input.
    pub fn trace_input(&self) -> Option<Content<'a>> {
        self.content(Property::TraceInput)
    }

    pub fn trace_output(&self) -> Option<Content<'a>> {
        self.content(Property::TraceOutput)
    }

    fn content(&self, property: Property) -> Option<Content<'a>> {
        Content::of(self, property)
    }

    /// Tokens as they are shown, by bucket.
    pub fn usage(&self) -> Usage<'a> {
        Usage::of(self, &mut Complaints::default())
    }

    /// What the span says it cost.
    pub fn given_cost(&self) -> Option<Cost<'a>> {
        Cost::given(self, &mut Complaints::default())
    }

    pub fn user(&self) -> Option<Cow<'a, str>> {
        self.text(Property::User)
    }

    pub fn session(&self) -> Option<Cow<'a, str>> {
        self.text(Property::Session)
    }

    /// Tags that stand on this span, in the best place that has any.
    pub fn tags(&self) -> Tags<'a> {
        let some = |tags: &Tags<'a>| !tags.list.is_empty();
        self.best(Property::Tags, |found| found.value().map(tags::read).filter(some)).unwrap_or_default()
    }

    /// The observation's own metadata by key; see [`Self::trace_metadata`] for the trace's.
    pub fn metadata(&self) -> Vec<(&'a str, Value<'a>)> {
        self.pairs(Property::Metadata)
    }

    pub fn trace_metadata(&self) -> Vec<(&'a str, Value<'a>)> {
        self.pairs(Property::TraceMetadata)
    }

    /// By rank; of equal keys the best alone. A value that is not of a family stands under its whole key.
    fn pairs(&self, property: Property) -> Vec<(&'a str, Value<'a>)> {
        let mut all: Vec<_> = self.found(property).filter(|found| found.value().is_some()).collect();
        all.sort_by_key(|found| found.place.rank);
        let mut pairs: Vec<(&'a str, Value<'a>)> = Vec::with_capacity(all.len());
        for found in all {
            let Some(value) = found.value() else { continue };
            match pairs.iter_mut().find(|(name, _)| *name == found.name()) {
                None => pairs.push((found.name(), value)),
                // Twice under one key: the last, as for any attribute.
                Some(before) if self.is_repeated(found) => before.1 = value,
                Some(_) => {}
            }
        }
        pairs
    }

    fn is_repeated(&self, found: &Found<'a>) -> bool {
        self.found.iter().filter(|other| other.key == found.key && other.place == found.place).count() > 1
    }

    /// The span's own, or else its service's.
    pub fn version(&self) -> Option<Cow<'a, str>> {
        let (rank, said) =
            self.best_ranked(Property::Version, |found| found.value().and_then(words::text)).unzip();
        match rank {
            Some(rank) if rank < convention::UNREAD => said,
            _ => self.around.service_version.map(Cow::Borrowed).or(said),
        }
    }

    /// Key by key, the span before its resource: see [`super::environment`].
    pub fn environment(&self) -> Option<&'a str> {
        let mut span = [None; super::environment::KEYS.len()];
        for found in self.found(Property::Environment) {
            if let Some(slot) = span.get_mut(usize::from(found.place.rank)) {
                *slot = found.value().and_then(Value::text).filter(|text| !text.is_empty());
            }
        }
        super::best(span, self.around.environment)
    }

    /// `langfuse.release`, the span before its resource. A service's version is no release.
    pub fn release(&self) -> Option<&'a str> {
        let own = self.best(Property::Release, |found| found.value()?.text().filter(|text| !text.is_empty()));
        own.or(self.around.release)
    }

    pub fn trace_name(&self) -> Option<Cow<'a, str>> {
        self.text(Property::TraceName)
    }

    /// The name that the server reads; [`Self::trace_name`] takes what it does not, too.
    pub fn given_trace_name(&self) -> Option<Cow<'a, str>> {
        self.best(Property::TraceName, |found| {
            found.value().and_then(words::text).filter(|_| found.place.rank < convention::UNREAD)
        })
    }

    /// `Some` when the span says whether its trace may be seen by everybody.
    pub fn public(&self) -> Option<bool> {
        self.best(Property::Public, |found| found.value().and_then(words::truth))
    }

    /// `langfuse.internal.as_root`: its ids were given by hand.
    pub fn is_as_root(&self) -> bool {
        self.is_marked("langfuse.internal.as_root")
    }

    /// `langfuse.internal.is_app_root`: the first span its SDK exports of this trace.
    pub fn is_app_root(&self) -> bool {
        self.is_marked("langfuse.internal.is_app_root")
    }

    fn is_marked(&self, key: &str) -> bool {
        self.found(Property::Root).any(|found| found.key == key && found.value() == Some(Value::Bool(true)))
    }

    /// An agent's own span: model, usage and cost on it are those of the calls below it.
    pub fn is_agent_operation(&self) -> bool {
        self.found(Property::Type).any(|found| {
            found.key == "gen_ai.operation.name"
                && matches!(found.value(), Some(Value::Str(b"invoke_agent" | b"agent_step")))
        })
    }

    /// `InstrumentationScope.name`.
    pub fn scope(&self) -> &'a str {
        self.around.scope.unwrap_or_default()
    }

    /// Everything that could not be read, by name.
    pub fn complaints(&self) -> Complaints<'a> {
        let mut complaints = Complaints::default();
        for found in &self.found {
            if let Some(problem) = words::problem(found) {
                complaints.add(found.key, problem);
            }
        }
        Usage::of(self, &mut complaints);
        Cost::given(self, &mut complaints);
        if self.left_out > 0 {
            complaints.add("attributes", Problem::TooMany { most: Self::FOUND_MAX });
        }
        complaints
    }
}

impl<'a> Found<'a> {
    /// `None` for an event.
    pub fn value(&self) -> Option<Value<'a>> {
        match self.said {
            Said::Value(value) => Some(value),
            Said::Event(_) => None,
        }
    }

    /// Within its family; else the key.
    pub fn name(&self) -> &'a str {
        self.place.name_in(self.key)
    }
}

/// Takes an attribute off the front, if its tag and length are of one byte each: nine in ten fields are.
#[inline(always)]
fn usual_attribute<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [0x4a, len @ 0..=0x7f, tail @ ..] = *rest else { return None };
    let (key_value, behind) = tail.split_at_checked(usize::from(*len))?;
    *rest = behind;
    Some(key_value)
}

/// The walk has checked it; what is no text all the same reads as none.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
