//! Ids worked out from a seed, and ids that a person typed.
//!
//! Langfuse's and InteractiveAI's SDKs make the same trace id of the same seed in every process, so that
//! a score or a link can be made before the trace exists: the first 16 bytes of the seed's SHA-256; an
//! observation's id is the first 8. The digest is ring's, which TLS brings anyway: a pure function.

use ring::digest::{SHA256, digest};

use crate::wire::{SpanId, TraceId};

/// Why a seed or an id is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnId {
    #[error("the seed is empty; an SDK takes that for no seed and makes a random id")]
    EmptySeed,
    #[error("`{text}` has {length} characters; {what} has {wanted}: {hint}")]
    Length { text: String, length: usize, what: &'static str, wanted: usize, hint: &'static str },
    #[error("`{text}` has `{wrong}` at character {at}; {what} is lower-case hex (0-9, a-f): {hint}")]
    Character { text: String, wrong: char, at: usize, what: &'static str, hint: &'static str },
    #[error("`{text}` is all zeros, which OTLP reads as no id")]
    Zero { text: String },
}

/// The trace id of a seed, spaces and all.
///
/// # Errors
/// An empty seed.
pub fn trace_id(seed: &str) -> Result<TraceId, NotAnId> {
    first_bytes(seed).map(TraceId)
}

/// The observation id of a seed: the beginning of its trace id.
///
/// # Errors
/// An empty seed.
pub fn observation_id(seed: &str) -> Result<SpanId, NotAnId> {
    first_bytes(seed).map(SpanId)
}

/// Either of the two, as text.
///
/// # Errors
/// An empty seed.
pub fn of_seed(seed: &str, observation: bool) -> Result<String, NotAnId> {
    if observation {
        observation_id(seed).map(|id| id.to_string())
    } else {
        trace_id(seed).map(|id| id.to_string())
    }
}

fn first_bytes<const N: usize>(seed: &str) -> Result<[u8; N], NotAnId> {
    if seed.is_empty() {
        return Err(NotAnId::EmptySeed);
    }
    let hash = digest(&SHA256, seed.as_bytes());
    // 32 bytes; nobody asks for more.
    hash.as_ref().first_chunk().copied().ok_or(NotAnId::EmptySeed)
}

/// Reads a trace id as SDKs take it: 32 characters of lower-case hex, not all zero.
///
/// # Errors
/// Says what is wrong, and what to do instead.
pub fn parse_trace_id(text: &str) -> Result<TraceId, NotAnId> {
    parse(text, "a trace id", "make one from a seed with `spandrel id --seed`").map(TraceId)
}

/// Reads an observation's (a span's) id: 16 characters of lower-case hex, not all zero.
///
/// # Errors
/// Says what is wrong, and what to do instead.
pub fn parse_observation_id(text: &str) -> Result<SpanId, NotAnId> {
    parse(text, "an observation id", "make one from a seed with `spandrel id --seed … --observation`")
        .map(SpanId)
}

fn parse<const N: usize>(text: &str, what: &'static str, hint: &'static str) -> Result<[u8; N], NotAnId> {
    let quoted = || text.chars().take(64).collect::<String>();
    let is_hex = |c: &char| matches!(c, '0'..='9' | 'a'..='f');
    if let Some((at, wrong)) = text.chars().enumerate().find(|(_, c)| !is_hex(c)) {
        let hint = if wrong.is_ascii_hexdigit() { "write it in lower case" } else { hint };
        return Err(NotAnId::Character { text: quoted(), wrong, at: at + 1, what, hint });
    }
    let mut id = [0; N];
    if text.len() != 2 * N {
        return Err(NotAnId::Length { text: quoted(), length: text.len(), what, wanted: 2 * N, hint });
    }
    let nibble = |c: u8| if c <= b'9' { c.wrapping_sub(b'0') } else { c.wrapping_sub(b'a') + 10 };
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (byte, [high, low]) in id.iter_mut().zip(pairs) {
        *byte = nibble(*high) << 4 | nibble(*low);
    }
    if id == [0; N] { Err(NotAnId::Zero { text: quoted() }) } else { Ok(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_the_ids_that_the_sdks_give() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/captures/trace-id-vectors.json")).unwrap();
        let mut seen = 0;
        for vector in vectors.as_array().unwrap() {
            let seed = match vector["seed"].as_str().unwrap() {
                "'a' x 1000" => "a".repeat(1000),
                seed => seed.to_owned(),
            };
            let Some(expect) = vector["trace_id"].as_str() else {
                assert_eq!(trace_id(&seed), Err(NotAnId::EmptySeed));
                continue;
            };
            assert_eq!(trace_id(&seed).unwrap().to_string(), expect, "{seed}");
            assert_eq!(observation_id(&seed).unwrap().to_string(), vector["observation_id"], "{seed}");
            seen += 1;
        }
        assert_eq!(seen, 7);
    }

    #[test]
    fn an_id_reads_back() {
        let id = trace_id("your-trace-id").unwrap();
        assert_eq!(parse_trace_id(&id.to_string()), Ok(id));
        let id = observation_id("your-trace-id").unwrap();
        assert_eq!(parse_observation_id(&id.to_string()), Ok(id));
    }

    #[test]
    fn what_is_wrong_with_an_id_is_said() {
        let cases = [
            (
                "your-trace-id",
                "`your-trace-id` has `y` at character 1; a trace id is lower-case hex (0-9, a-f): make one from a seed with `spandrel id --seed`",
            ),
            (
                "F21c0b8fc2d39e41c10b1fdb8024101b",
                "`F21c0b8fc2d39e41c10b1fdb8024101b` has `F` at character 1; a trace id is lower-case hex (0-9, a-f): write it in lower case",
            ),
            (
                "f21c0b8fc2d39e41",
                "`f21c0b8fc2d39e41` has 16 characters; a trace id has 32: make one from a seed with `spandrel id --seed`",
            ),
            ("", "`` has 0 characters; a trace id has 32: make one from a seed with `spandrel id --seed`"),
            (
                "00000000000000000000000000000000",
                "`00000000000000000000000000000000` is all zeros, which OTLP reads as no id",
            ),
        ];
        for (text, expect) in cases {
            assert_eq!(parse_trace_id(text).unwrap_err().to_string(), expect);
        }
        assert!(parse_observation_id(&"ü".repeat(100_000)).unwrap_err().to_string().len() < 400);
        assert_eq!(
            trace_id("").unwrap_err().to_string(),
            "the seed is empty; an SDK takes that for no seed and makes a random id"
        );
    }
}
