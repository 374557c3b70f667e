//! Tokens that are counted twice, within a span and between a span and those below it.
//!
//! Within one: a count that is part of another (reasoning of the output, audio of the input) under a name
//! that servers keep as a bucket of its own. A total that was given decides: where it is the sum of all
//! buckets, nothing overlaps. Between spans: who only sums up the calls below it says nothing new.
//!
//! Nothing is lost by it: what was left out is in the result with the reason.

use std::borrow::Cow;
use std::fmt;

use super::complaint::Complaints;
use super::kind::Kind;
use super::usage::Usage;

/// Why tokens or costs are not part of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An agent, a chain or the like: those below it report their own.
    SumsUpThoseBelow,
    /// A call of a model that was reported by two libraries: one below it says the same.
    SaidBelow,
    /// A part on top of the whole that contains it.
    PartOfWhole,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SumsUpThoseBelow => "sums up the spans below it",
            Self::SaidBelow => "a span below it says the same",
            Self::PartOfWhole => "part of a whole that is counted",
        })
    }
}

/// A bucket that was taken out of the whole that contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// As it was said.
    pub bucket: Cow<'a, str>,
    /// As it is called where it does not overlap; `None`: the rest of the whole is it.
    pub becomes: Option<&'static str>,
    pub tokens: u64,
}

/// `usage` in buckets that do not overlap, and what overlapped.
pub fn apart<'a>(usage: &Usage<'a>) -> (Usage<'a>, Vec<Part<'a>>) {
    let mut apart = usage.clone();
    let mut parts = Vec::new();
    if usage.given_total() == Some(usage.sum()) {
        return (apart, parts);
    }
    let mut unnoted = Complaints::default();
    for (bucket, tokens) in usage.buckets() {
        let Some((side, becomes)) = part(bucket).or_else(|| known_part(bucket, usage)) else { continue };
        let Some(whole) = apart.get(side) else { continue };
        if becomes.is_some() && tokens > whole {
            // More than the whole has: no part of it.
            continue;
        }
        apart.remove(bucket);
        if let Some(becomes) = becomes {
            apart.set(Cow::Borrowed(side), whole - tokens, &mut unnoted);
            let before = apart.get(becomes).unwrap_or(0);
            apart.set(Cow::Borrowed(becomes), before.saturating_add(tokens), &mut unnoted);
        }
        parts.push(Part { bucket: Cow::Owned(bucket.to_owned()), becomes, tokens });
    }
    (apart, parts)
}

/// Of which side a bucket is a part by its name, and what such a part is called.
fn part(bucket: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match bucket {
        "reasoning_tokens" | "thoughts_tokens" | "details.reasoning_tokens" => {
            ("output", Some("output_reasoning_tokens"))
        }
        "cached_tokens" | "cached_input_tokens" | "details.cached_tokens" => {
            ("input", Some("input_cached_tokens"))
        }
        "audio.input_tokens" | "prompt_details.audio" => ("input", Some("input_audio_tokens")),
        "image.input_tokens" => ("input", Some("input_image_tokens")),
        "video.input_tokens" => ("input", Some("input_video_tokens")),
        "audio.output_tokens" => ("output", Some("output_audio_tokens")),
        "image.output_tokens" => ("output", Some("output_image_tokens")),
        "video.output_tokens" => ("output", Some("output_video_tokens")),
        "text.input_tokens" => ("input", None),
        "text.output_tokens" => ("output", None),
        _ => return None,
    })
}

/// A well-named part overlaps when the total that was given is made of input and output alone.
fn known_part(bucket: &str, usage: &Usage<'_>) -> Option<(&'static str, Option<&'static str>)> {
    let known = [
        ("input_cached_tokens", "input"),
        ("input_cache_read", "input"),
        ("input_cache_creation", "input"),
        ("input_audio_tokens", "input"),
        ("output_reasoning_tokens", "output"),
        ("output_reasoning", "output"),
        ("output_audio_tokens", "output"),
    ];
    let wholes = usage.get("input")?.checked_add(usage.get("output")?);
    let (name, side) = known.into_iter().find(|(name, _)| *name == bucket)?;
    (usage.given_total() == wholes).then_some((side, Some(name)))
}

/// What a span says of something that adds up, and what those below it say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<T> {
    pub own: Option<T>,
    /// The sum of what counts below; `None` when nobody says anything.
    pub below: Option<T>,
}

impl<T: PartialEq> Claim<T> {
    /// Whether the span's own word is left out of the sum, and why.
    pub fn is_double(&self, kind: Kind) -> Option<Why> {
        match (&self.own, &self.below) {
            (Some(_), Some(_)) if !kind.is_model_call() => Some(Why::SumsUpThoseBelow),
            (Some(own), Some(below)) if own == below => Some(Why::SaidBelow),
            _ => None,
        }
    }
}
