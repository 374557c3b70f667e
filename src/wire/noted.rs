//! Attribute keys and event names that layers above look for, told by how they begin: the walk marks the
//! spans that have one, and indexes the log records, so that nobody need read the others again.
//!
//! What the keys mean is `semantics`' affair; a test there says that each of them begins like one of
//! these. The one surprise: it is a hint. A span that is marked may have none of them.

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

/// Whether `key` begins like one that matters.
#[inline(always)]
pub fn begins(key: &[u8]) -> bool {
    key.first_chunk().is_some_and(|start| {
        let start = u32::from_le_bytes(*start);
        BITS & bit(start) != 0 && matters(start, key)
    })
}

#[inline(never)]
fn matters(start: u32, key: &[u8]) -> bool {
    match start {
        // Every HTTP span says `user_agent.original` and `server.address`.
        USER => key.get(4) == Some(&b'.'),
        SERVICE => key.get(4) == Some(&b'i'),
        _ => STARTS.contains(&start),
    }
}

/// The same of a KeyValue's body with the key in front, as encoders write it.
#[inline(always)]
pub fn begins_plain(key_value: &[u8]) -> bool {
    key_value.get(2..).is_some_and(begins)
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
        for key in
            ["langfuse.trace.name", "user.id", "gen_ai.usage.input_tokens", "tag.tags", "service.version"]
        {
            assert!(begins(key.as_bytes()), "{key}");
        }
        for key in
            ["", "url", "http.request.method", "server.address", "user_agent.original", "user", "Langfuse.x"]
        {
            assert!(!begins(key.as_bytes()), "{key}");
        }
        assert!(begins_plain(b"\x0a\x07user.id\x12\x03\x0a\x01x"));
        assert!(!begins_plain(b"\x0a"));
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
