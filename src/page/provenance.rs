//! Whence comes what was written on a trace's spans: which span said it, under which key, who lacked it, and
//! whose parent was mended.

use std::collections::HashMap;

use super::meaning::{Reader, clip};
use super::proto::{Fact, Provenance};
use crate::rules::stamp::FORMER_PARENT;
use crate::semantics::claims::{Has, METADATA, Text};
use crate::semantics::context::{self, Said};
use crate::semantics::{Content, SPAN_ATTRIBUTES, ids};
use crate::watch::JoinedTrace;
use crate::wire::SpanId;
use crate::wire::attr::{self, Value};
use crate::wire::index::{Index, SpanEntry};

/// What can be written on a span, as it is called here.
const GIVEN: [(Has, &str); 7] = [
    (Has::NAME, "name"),
    (Has::USER, "user"),
    (Has::SESSION, "session"),
    (Has::VERSION, "version"),
    (Has::TAGS, "tags"),
    (Has::METADATA, "metadata"),
    (Has::LATE, "late"),
];

/// What a trace says of itself, fact by fact.
pub fn of(said: &Said, given: &[Has]) -> Provenance {
    let texts =
        Text::ALL.into_iter().filter_map(|which| Some((name_of(which), which.has(), said.text(which)?)));
    let tags = said.tags.iter().map(|tag| ("tag", Has::TAGS, tag));
    let fact = |(what, has, fact): (&str, Has, &context::Fact)| Fact {
        what: what.to_owned(),
        value: clip(&fact.value),
        from: fact.from.0.to_vec(),
        key: fact.key.to_owned(),
        given: times(given, has),
    };
    let mut reader = Reader::default();
    let metadata = said.metadata.iter().map(|datum| Fact {
        what: format!("metadata.{}", clip(&datum.key)),
        value: match Value::of(&datum.value) {
            value @ Value::Str(_) => clip(value.text().unwrap_or_default()),
            value => reader.content(&Content::Value(value)).text,
        },
        from: datum.from.0.to_vec(),
        key: format!("{METADATA}{}", clip(&datum.key)),
        given: times(given, Has::METADATA),
    });
    Provenance {
        root: if said.root.is_none() { Vec::new() } else { said.root.0.to_vec() },
        facts: texts.chain(tags).map(fact).chain(metadata).collect(),
        disputed: said.disputed,
        left_out: said.left_out,
    }
}

/// What the trace is called, where the join worked it out: an earlier part may have named it.
pub fn name(said: Option<&Said>) -> Option<&str> {
    said?.text(Text::Name).map(|name| &*name.value)
}

/// What was done to one span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub given: Has,
    /// The parent it named before it was mended.
    pub former_parent: Option<SpanId>,
}

/// What was done to each span of whom something was done to. `given` stands in the order of the body.
pub fn by_span(joined: &JoinedTrace, index: &Index) -> HashMap<SpanId, Done> {
    if joined.given.is_empty() && joined.mended == 0 {
        return HashMap::new();
    }
    let done = |(at, entry): (usize, &SpanEntry)| {
        let given = joined.given.get(at).copied().unwrap_or(Has::NONE);
        let former = if joined.mended == 0 { None } else { former_parent(entry.body.of(&joined.body)) };
        (entry.span, Done { given, former_parent: former })
    };
    index.spans.iter().enumerate().map(done).collect()
}

fn former_parent(span: &[u8]) -> Option<SpanId> {
    let said = attr::find(span, SPAN_ATTRIBUTES, FORMER_PARENT.as_bytes())?;
    ids::parse_observation_id(said.text()?).ok()
}

/// The names of what was given.
pub fn names(given: Has) -> Vec<String> {
    GIVEN.iter().filter(|(has, _)| given.has(*has)).map(|(_, name)| (*name).to_owned()).collect()
}

fn times(given: &[Has], what: Has) -> u32 {
    u32::try_from(given.iter().filter(|given| given.has(what)).count()).unwrap_or(u32::MAX)
}

const fn name_of(which: Text) -> &'static str {
    match which {
        Text::Name => "name",
        Text::User => "user",
        Text::Session => "session",
        Text::Version => "version",
    }
}
