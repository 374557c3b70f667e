//! Attribute keys and event names that layers above look for, told by how they begin: the walk marks the
//! spans that have one, and indexes the log records, so that nobody need read the others again.
//!
//! What the keys mean is `semantics`' affair; a test there says that each of them begins like one of
//! these. The one surprise: all but what is said of usage is a hint. A span that is marked may have none of them.

use super::attr::{Attr, Value};

/// The first four bytes of a key as a number.
const fn start(key: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*key)
}

const LANGFUSE: u32 = start(b"lang");
/// `user.id`
const USER: u32 = start(b"user");
/// `session.id`
const SESSION: u32 = start(b"sess");
const GEN_AI: u32 = start(b"gen_");
/// `llm.token_count.*`, `llm.model_name`
const LLM: u32 = start(b"llm.");
/// `openinference.span.kind`
const OPENINFERENCE: u32 = start(b"open");
const TRACELOOP: u32 = start(b"trac");
const AI_TELEMETRY: u32 = start(b"ai.t");
/// `tag.tags`
const TAG: u32 = start(b"tag.");
const ENDUSER: u32 = start(b"endu");
/// `spandrel.*`
const OURS: u32 = start(b"span");
/// `deployment.environment.name`
const DEPLOYMENT: u32 = start(b"depl");
/// `service.version`
const SERVICE: u32 = start(b"serv");

const STARTS: [u32; 13] = [
    LANGFUSE,
    USER,
    SESSION,
    GEN_AI,
    LLM,
    OPENINFERENCE,
    TRACELOOP,
    AI_TELEMETRY,
    TAG,
    ENDUSER,
    OURS,
    DEPLOYMENT,
    SERVICE,
];

/// A bit for each of [`STARTS`]: the keys of nearly every attribute of every span have none of them.
const BITS: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < STARTS.len() {
        bits |= bit(STARTS[at]);
        at += 1;
    }
    bits
};

const fn bit(start: u32) -> u64 {
    1 << (start.wrapping_mul(0x9e37_79b1) >> 26)
}

/// What keys tell of the attributes they name, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted(u8);

impl Noted {
    pub const NOTHING: Self = Self(0);
    /// Layers above may look for one of them.
    pub const SOUGHT: Self = Self(1);
    /// One of them may claim something of the whole trace.
    pub const CLAIM: Self = Self(1 | 1 << 1);
    /// One of them is about tokens or cost.
    pub const USAGE: Self = Self(1 | 1 << 2);
    /// One of them may say where the span ran: its environment or release.
    pub const PLACE: Self = Self(1 | 1 << 1 | 1 << 3);

    pub fn has(self, what: Self) -> bool {
        self.0 & what.0 == what.0
    }

    #[inline(always)]
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What `key` tells of its attribute by how it begins.
#[inline(always)]
pub fn of(key: &[u8]) -> Noted {
    if may_matter(key) { told(key) } else { Noted::NOTHING }
}

/// The same of a KeyValue's body with the key in front, as encoders write it.
#[inline(always)]
pub fn of_plain(key_value: &[u8]) -> Noted {
    if key_value.get(2..).is_some_and(may_matter) { told(Attr::key_of(key_value)) } else { Noted::NOTHING }
}

#[inline(always)]
fn may_matter(key: &[u8]) -> bool {
    key.first_chunk().is_some_and(|start| BITS & bit(u32::from_le_bytes(*start)) != 0)
}

#[inline(never)]
fn told(key: &[u8]) -> Noted {
    let Some(start) = key.first_chunk().map(|start| u32::from_le_bytes(*start)) else {
        return Noted::NOTHING;
    };
    match start {
        // Every HTTP span says `user_agent.original` and `server.address`.
        USER if key.get(4) != Some(&b'.') => Noted::NOTHING,
        SERVICE if key.get(4) != Some(&b'i') => Noted::NOTHING,
        // Most of what a call to a model says is of the call alone.
        LANGFUSE | GEN_AI | LLM if is_usage(key) => Noted::USAGE,
        LANGFUSE if is_of_the_span_alone(key) => Noted::SOUGHT,
        GEN_AI if key != CONVERSATION => Noted::SOUGHT,
        LLM | OPENINFERENCE => Noted::SOUGHT,
        DEPLOYMENT | SERVICE => Noted::PLACE,
        LANGFUSE if matches!(key, b"langfuse.environment" | b"langfuse.release") => Noted::PLACE,
        _ if STARTS.contains(&start) => Noted::CLAIM,
        _ => Noted::NOTHING,
    }
}

/// The one attribute of GenAI's that speaks for more than its span.
const CONVERSATION: &[u8] = b"gen_ai.conversation.id";

fn is_usage(key: &[u8]) -> bool {
    let begins = |with: &[u8]| key.starts_with(with);
    begins(b"gen_ai.usage.")
        || begins(b"llm.token_count.")
        || begins(b"llm.cost.")
        || begins(b"llm.usage.")
        || matches!(key, b"langfuse.observation.usage_details" | b"langfuse.observation.cost_details")
}

fn is_of_the_span_alone(key: &[u8]) -> bool {
    key.strip_prefix(b"langfuse.observation.").is_some_and(|rest| !rest.starts_with(b"metadata."))
}

/// How the names of events begin that are part of what a span says: all of OpenTelemetry's GenAI events, those
/// that later versions of the conventions add as well.
const EVENTS: &[u8] = b"gen_ai.";
/// Where log records named their event before OTLP 1.6 had a field for it.
pub const EVENT_NAME: &str = "event.name";

/// The one event that may name no span: an evaluation, which may name the evaluated response in its place.
pub const EVALUATION: &str = "gen_ai.evaluation.result";

/// Whether a log record of an event with this name belongs to its span.
#[inline(always)]
pub fn is_event(name: &[u8]) -> bool {
    name.starts_with(EVENTS)
}

/// Whether a KeyValue's body names such an event.
#[inline(always)]
pub fn names_event(key_value: &[u8]) -> bool {
    // Nearly every attribute of every record ends here.
    key_value.get(2..6) == Some(b"even") && is_named(key_value)
}

#[inline(never)]
fn is_named(key_value: &[u8]) -> bool {
    let attr = Attr::of(key_value);
    attr.key == EVENT_NAME.as_bytes() && matches!(attr.value, Value::Str(name) if is_event(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_by_their_beginnings() {
        let cases = [
            (Noted::CLAIM, &["langfuse.trace.name", "user.id", "tag.tags", "langfuse.environments"][..]),
            (Noted::PLACE, &["langfuse.environment", "langfuse.release", "service.version"]),
            (Noted::PLACE, &["deployment.environment", "deployment.environment.name"]),
            (Noted::CLAIM, &["langfuse.observation.metadata.langfuse_user_id", "gen_ai.conversation.id"]),
            (
                Noted::USAGE,
                &["gen_ai.usage.input_tokens", "llm.token_count.prompt", "llm.usage.total_tokens"],
            ),
            (Noted::USAGE, &["langfuse.observation.usage_details", "langfuse.observation.cost_details"]),
            (Noted::SOUGHT, &["langfuse.observation.input", "gen_ai.response.id", "openinference.span.kind"]),
            (Noted::NOTHING, &["", "url", "http.request.method", "server.address", "user_agent.original"]),
            (Noted::NOTHING, &["user", "Langfuse.x"]),
        ];
        for (expect, keys) in cases {
            keys.iter().for_each(|key| assert_eq!(of(key.as_bytes()), expect, "{key}"));
        }
        assert_eq!(of_plain(b"\x0a\x07user.id\x12\x03\x0a\x01x"), Noted::CLAIM);
        assert_eq!(of_plain(b"\x0a\x04user\x12\x03\x0a\x01."), Noted::NOTHING);
        assert_eq!(of_plain(b"\x0a"), Noted::NOTHING);
    }

    #[test]
    fn what_is_told_of_several_is_told_of_all_together() {
        let mut all = Noted::USAGE;
        all.add(Noted::NOTHING);
        assert!(all.has(Noted::SOUGHT) && all.has(Noted::USAGE) && !all.has(Noted::CLAIM));
        all.add(Noted::CLAIM);
        assert!(all.has(Noted::USAGE) && all.has(Noted::CLAIM));
        assert!(!Noted::NOTHING.has(Noted::SOUGHT) && !Noted::SOUGHT.has(Noted::CLAIM));
    }

    #[test]
    fn genai_events_are_told_by_their_name_in_either_place() {
        let named = |key: &str, value| {
            let mut field = Vec::new();
            Attr { key: key.as_bytes(), value }.put(6, &mut field);
            names_event(&field[2..])
        };
        assert!(is_event(b"gen_ai.choice") && !is_event(b"gen_ai") && !is_event(b"app.checkout"));
        assert!(named("event.name", Value::Str(b"gen_ai.user.message")));
        assert!(!named("event.name", Value::Str(b"click")) && !named("event.name", Value::Int(1)));
        assert!(!named("event.names", Value::Str(b"gen_ai.choice")) && !names_event(b"\x0a\x04even"));
    }
}
