//! Where each property lives: one table, one file per convention.
//!
//! A [`Place`] is a key, the property it speaks of, and its rank: of several places that say something
//! the lowest rank is believed, as the Langfuse server resolves it. What the conventions say and the
//! server does not read stands last, from [`UNREAD`] on. Nothing here reads a value.
//!
//! The surprise: most spans of a trace carry none of these keys, so the question "is it one of ours?" is
//! answered from first byte and length alone, by a table that is worked out when we are compiled.

mod framework;
mod genai;
mod langfuse;
mod openinference;
mod openllmetry;

use std::sync::LazyLock;

use hashbrown::HashMap;

/// What a place speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    Type,
    Level,
    StatusMessage,
    Name,
    Model,
    ModelParameters,
    CompletionStart,
    PromptName,
    PromptVersion,
    Input,
    Output,
    Usage,
    Cost,
    User,
    Session,
    Tags,
    Metadata,
    Version,
    Environment,
    Release,
    TraceName,
    TraceInput,
    TraceOutput,
    TraceMetadata,
    Public,
    Root,
}

impl Property {
    /// As `docs/semantics.md` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "observation type",
            Self::Level => "level",
            Self::StatusMessage => "status message",
            Self::Name => "display name",
            Self::Model => "model",
            Self::ModelParameters => "model parameters",
            Self::CompletionStart => "completion start",
            Self::PromptName => "prompt name",
            Self::PromptVersion => "prompt version",
            Self::Input => "input",
            Self::Output => "output",
            Self::Usage => "usage",
            Self::Cost => "given cost",
            Self::User => "user",
            Self::Session => "session",
            Self::Tags => "tags",
            Self::Metadata => "observation metadata",
            Self::Version => "version",
            Self::Environment => "environment",
            Self::Release => "release",
            Self::TraceName => "trace name",
            Self::TraceInput => "trace input",
            Self::TraceOutput => "trace output",
            Self::TraceMetadata => "trace metadata",
            Self::Public => "public",
            Self::Root => "root marker",
        }
    }
}

/// Whose word a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Convention {
    /// Langfuse's SDKs and InteractiveAI's, which share the wire.
    Langfuse,
    /// OpenTelemetry's semantic conventions, GenAI's and general ones, current and deprecated.
    GenAi,
    OpenInference,
    OpenLlmetry,
    /// What single frameworks write under names of their own.
    Framework,
}

impl Convention {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Langfuse => "Langfuse, InteractiveAI",
            Self::GenAi => "OpenTelemetry",
            Self::OpenInference => "OpenInference",
            Self::OpenLlmetry => "OpenLLMetry",
            Self::Framework => "frameworks",
        }
    }
}

/// Where a place is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A span attribute of this key.
    Span,
    /// Span attributes whose key begins so; what follows is the name.
    Family,
    /// A span attribute, or else the same on the resource.
    SpanOrResource,
    /// A resource attribute.
    Resource,
    /// A span event of this name.
    Event,
}

/// What a value must be to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string, or a number or truth value written as one.
    Text,
    /// One of a closed list of words.
    Word,
    /// A JSON object in a string.
    Object,
    /// A whole number, not negative.
    Count,
    /// A number.
    Number,
    Truth,
    /// An array of strings, or a string that writes one.
    List,
    /// A date and time in ISO 8601.
    Moment,
    Anything,
}

/// One entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub property: Property,
    /// Lower is believed first.
    pub rank: u8,
    /// The whole key, the beginning of a family's keys, or an event's name.
    pub key: &'static str,
    pub on: On,
    pub shape: Shape,
    pub convention: Convention,
}

/// Ranks from here on belong to places that the server does not read.
pub const UNREAD: u8 = 100;

impl Place {
    const fn new(
        convention: Convention,
        property: Property,
        rank: u8,
        on: On,
        key: &'static str,
        shape: Shape,
    ) -> Self {
        Self { property, rank, key, on, shape, convention }
    }

    /// What follows the beginning that all keys of a family share; the key itself of other places.
    pub fn name_in<'a>(&self, key: &'a str) -> &'a str {
        if self.on == On::Family { key.get(self.key.len()..).unwrap_or_default() } else { key }
    }
}

/// A static, so that a place has one address and two are compared by it.
static TABLES: [&[Place]; 5] =
    [langfuse::PLACES, genai::PLACES, openinference::PLACES, openllmetry::PLACES, framework::PLACES];

/// The whole table, convention by convention.
pub fn table() -> impl Iterator<Item = &'static Place> {
    TABLES.into_iter().flatten()
}

/// The places a span attribute of this key speaks for; of nearly all keys none.
#[inline]
pub fn places(key: &[u8]) -> impl Iterator<Item = &'static Place> {
    let (exact, families): (&[&Place], &[&Place]) = if may_be_ours(key) { found(key) } else { (&[], &[]) };
    let in_family =
        families.iter().filter(|place| key.len() > place.key.len() && key.starts_with(place.key.as_bytes()));
    exact.iter().copied().chain(in_family.copied())
}

/// The places a span event of this name speaks for.
pub fn event_places(name: &[u8]) -> impl Iterator<Item = &'static Place> {
    table().filter(move |place| place.on == On::Event && place.key.as_bytes() == name)
}

#[inline]
fn may_be_ours(key: &[u8]) -> bool {
    let lengths = key.first().and_then(|first| GATE.get(usize::from(*first)));
    lengths.is_some_and(|lengths| lengths >> length_bit(key.len()) & 1 == 1)
}

/// Exact places, and families that might be: never called for keys the gate holds back.
#[cold]
fn found(key: &[u8]) -> (&'static [&'static Place], &'static [&'static Place]) {
    static INDEX: LazyLock<Index> = LazyLock::new(Index::new);
    let exact = INDEX.exact.get(key).map_or(&[][..], Vec::as_slice);
    (exact, &INDEX.families)
}

struct Index {
    exact: HashMap<&'static [u8], Vec<&'static Place>, ahash::RandomState>,
    families: Vec<&'static Place>,
}

impl Index {
    fn new() -> Self {
        let mut index = Self { exact: HashMap::default(), families: Vec::new() };
        for place in table() {
            match place.on {
                On::Span | On::SpanOrResource => {
                    index.exact.entry(place.key.as_bytes()).or_default().push(place);
                }
                On::Family => index.families.push(place),
                On::Resource | On::Event => {}
            }
        }
        index
    }
}

/// By first byte: a bit for each length a key of ours may have, the last for all longer ones.
static GATE: [u64; 128] = gate();

const fn length_bit(len: usize) -> u32 {
    if len < 63 { len as u32 } else { 63 }
}

const fn gate() -> [u64; 128] {
    let mut gate = [0; 128];
    let mut table = 0;
    while table < TABLES.len() {
        let mut at = 0;
        while at < TABLES[table].len() {
            let place = &TABLES[table][at];
            let first = place.key.as_bytes()[0] as usize;
            match place.on {
                On::Span | On::SpanOrResource => gate[first] |= 1 << length_bit(place.key.len()),
                // All lengths from one more than the beginning.
                On::Family => gate[first] |= u64::MAX << length_bit(place.key.len() + 1),
                On::Resource | On::Event => {}
            }
            at += 1;
        }
        table += 1;
    }
    gate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_by_its_key() {
        for place in table() {
            let key = match place.on {
                On::Span | On::SpanOrResource => place.key.to_owned(),
                On::Family => format!("{}x", place.key),
                On::Event => {
                    assert!(event_places(place.key.as_bytes()).any(|found| found == place));
                    continue;
                }
                On::Resource => continue,
            };
            assert!(places(key.as_bytes()).any(|found| found == place), "{key}");
        }
    }

    #[test]
    fn no_two_places_of_a_property_share_a_rank_unless_they_are_read_together() {
        let all: Vec<_> = table().collect();
        for (n, a) in all.iter().enumerate() {
            for b in all.iter().skip(n + 1).filter(|b| a.property == b.property && a.rank == b.rank) {
                let together = matches!(a.on, On::Family | On::Event) && a.on == b.on;
                assert!(together, "{} and {} both stand at {}", a.key, b.key, a.rank);
            }
        }
    }

    #[test]
    fn common_attributes_of_other_spans_do_not_pass_the_gate() {
        let common = [
            "http.request.method",
            "http.response.status_code",
            "url.full",
            "url.path",
            "server.address",
            "server.port",
            "network.protocol.version",
            "db.system.name",
            "db.query.text",
            "rpc.system",
            "code.function.name",
            "thread.id",
            "thread.name",
            "user_agent.original",
            "messaging.system",
            "peer.service",
            "net.peer.name",
            "exception.type",
            "client.address",
        ];
        for key in common {
            assert!(!may_be_ours(key.as_bytes()), "{key}");
            assert_eq!(places(key.as_bytes()).count(), 0);
        }
    }

    #[test]
    fn a_key_next_to_ours_is_not_ours() {
        for key in ["", "langfuse.observation.typo", "user.ix", "gen_ai.usage.", "\u{fc}ser.id"] {
            assert_eq!(places(key.as_bytes()).count(), 0, "{key}");
        }
    }
}
