//! Attribute keys that layers above look for, told by how they begin: the walk marks the spans that have
//! one, so that nobody need read the others again.
//!
//! What the keys mean is `semantics`' affair; a test there says that each of them begins like one of
//! these. The one surprise: it is a hint. A span that is marked may have none of them.

/// The first four bytes of keys that matter, as they stand on the wire.
const BEGINNINGS: [[u8; 4]; 12] = [
    *b"lang", // langfuse.*
    *b"user", // user.id
    *b"sess", // session.id
    *b"gen_", // gen_ai.*
    *b"llm.", // llm.token_count.*, llm.model_name
    *b"open", // openinference.span.kind
    *b"trac", // traceloop.*
    *b"ai.t", // ai.telemetry.*
    *b"tag.", // tag.tags
    *b"endu", // enduser.id
    *b"inpu", // input.value
    *b"span", // spandrel.*
];

/// Whether `key` begins like one that matters.
#[inline(always)]
pub fn begins(key: &[u8]) -> bool {
    let Some(start) = key.first_chunk::<4>() else { return false };
    // Compared as numbers: a handful of instructions for each attribute of each span.
    let start = u32::from_le_bytes(*start);
    let mut found = false;
    let mut at = 0;
    while at < BEGINNINGS.len() {
        found |= start == u32::from_le_bytes(BEGINNINGS[at]);
        at += 1;
    }
    found
}

/// The same of a KeyValue's body with the key in front, as encoders write it.
#[inline(always)]
pub fn begins_plain(key_value: &[u8]) -> bool {
    key_value.get(2..).is_some_and(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_by_their_beginnings() {
        for key in ["langfuse.trace.name", "user.id", "gen_ai.usage.input_tokens", "tag.tags"] {
            assert!(begins(key.as_bytes()), "{key}");
        }
        for key in ["", "url", "http.request.method", "server.address", "Langfuse.x"] {
            assert!(!begins(key.as_bytes()), "{key}");
        }
        assert!(begins_plain(b"\x0a\x07user.id\x12\x03\x0a\x01x"));
        assert!(!begins_plain(b"\x0a"));
    }
}
