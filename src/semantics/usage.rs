//! Tokens of one observation, by bucket, as the Langfuse server works them out (semantics, usage).
//!
//! Given details are taken as they are. Else the conventions' counts are sorted into buckets that do not
//! overlap: what came from a cache is taken off the input, reasoning off the output. Counts under names
//! that nobody knows stay buckets of their own; that they may count twice is found in `doubles`.

use std::borrow::Cow;

use super::complaint::{Complaints, Problem};
use super::convention::Property;
use super::observation::{Found, Observation};
use super::{json, words};

/// Buckets in the order they came, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage<'a> {
    buckets: Vec<(Cow<'a, str>, u64)>,
    /// As it was given; [`Self::total`] works it out where it was not.
    given_total: Option<u64>,
}

/// What a person is shown of a usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub total: u64,
}

impl<'a> Usage<'a> {
    pub const BUCKETS_MAX: usize = 64;

    pub(super) fn of(observation: &Observation<'a>, complaints: &mut Complaints<'a>) -> Self {
        if observation.is_agent_operation() {
            return Self::default();
        }
        let mut usage = Self::default();
        let details = observation.found(Property::Usage).find(|found| found.place.rank == 0);
        match details.map(|found| usage.add_details(found, complaints)) {
            Some(true) => {}
            _ => usage.add_counts(observation, complaints),
        }
        usage
    }

    /// `false` when they can not be read, so that others may speak.
    fn add_details(&mut self, found: &Found<'a>, complaints: &mut Complaints<'a>) -> bool {
        let Some(text) = found.value().and_then(|value| value.text()) else {
            complaints.add(found.key, Problem::WrongType { wanted: "a JSON object in a string" });
            return false;
        };
        match json::object(text) {
            Ok(entries) if is_openai(&entries) => self.add_openai(&entries, complaints),
            Ok(entries) => entries.into_iter().for_each(|(name, raw)| self.add_entry(name, raw, complaints)),
            Err(problem) => {
                complaints.add(found.key, problem);
                // JSON of another kind counts as an empty object.
                return problem == Problem::NotAnObject;
            }
        }
        true
    }

    fn add_entry(&mut self, name: String, raw: &str, complaints: &mut Complaints<'a>) {
        match words::count_in(&json::plain(raw)) {
            Some(count) => self.set(Cow::Owned(name), count, complaints),
            None if raw == "null" => {}
            None => complaints.add(Cow::Owned(format!("{DETAILS}.{name}")), Problem::NotACount),
        }
    }

    /// `*_details.k` becomes `input_k` or `output_k` and is taken off the whole.
    fn add_openai(&mut self, entries: &[(String, &'a str)], complaints: &mut Complaints<'a>) {
        for (name, side) in OPENAI_WHOLES {
            let Some(mut whole) = count_of(entries, name) else { continue };
            let at = self.buckets.len();
            self.set(Cow::Borrowed(side), whole, complaints);
            let parts = entries.iter().filter(|(key, _)| details_of(key) == Some(name));
            for (part, raw) in parts.filter_map(|(_, raw)| json::object(raw).ok()).flatten() {
                if let Some(count) = words::count_in(&json::plain(raw)) {
                    whole = whole.saturating_sub(count);
                    self.set(Cow::Owned(format!("{side}_{part}")), count, complaints);
                }
            }
            if let Some(bucket) = self.buckets.get_mut(at) {
                bucket.1 = whole;
            }
        }
        self.given_total = count_of(entries, "total_tokens");
    }

    /// The conventions' counts, one attribute each.
    fn add_counts(&mut self, observation: &Observation<'a>, complaints: &mut Complaints<'a>) {
        let mut wholes = [None; WHOLES.len()];
        let mut parts = Self::default();
        let pydantic = observation.scope() == "pydantic-ai";
        let mut all: Vec<_> =
            observation.found(Property::Usage).filter(|found| found.place.rank > 0).collect();
        all.sort_by_key(|found| found.place.rank);
        for found in all {
            let Some(value) = found.value().filter(|_| found.key != COST) else { continue };
            let Some(count) = words::count(value) else {
                complaints.add(found.key, Problem::NotACount);
                continue;
            };
            let name = found.name();
            // Pydantic AI says everything twice; its details are the finer.
            let name = if pydantic { name.strip_prefix("details.").unwrap_or(name) } else { name };
            if let Some(at) = WHOLES.iter().position(|whole| whole.0 == name) {
                wholes[at] = Some(count);
            } else if TOTALS.contains(&name) {
                self.given_total = self.given_total.or(Some(count));
            } else {
                parts.set(Cow::Borrowed(alias(name)), count, complaints);
            }
        }
        for side in ["input", "output"] {
            let whole =
                WHOLES.iter().zip(wholes).find_map(|(whole, count)| count.filter(|_| whole.1 == side));
            let known = |(name, count): &(Cow<'a, str>, u64)| {
                PARTS.iter().any(|part| part.0 == name && part.1 == side).then_some(*count)
            };
            if let Some(whole) = whole {
                let off = parts.buckets.iter().filter_map(known).fold(0, u64::saturating_add);
                self.set(Cow::Borrowed(side), whole.saturating_sub(off), complaints);
            }
        }
        parts.buckets.into_iter().for_each(|(name, count)| self.set(name, count, complaints));
    }

    /// Sets a bucket; `total` is none, but what was given as the sum.
    pub fn set(&mut self, name: Cow<'a, str>, count: u64, complaints: &mut Complaints<'a>) {
        if name == "total" {
            self.given_total = Some(count);
        } else if let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.0 == name) {
            bucket.1 = count;
        } else if self.buckets.len() < Self::BUCKETS_MAX {
            self.buckets.push((name, count));
        } else {
            complaints.add("usage", Problem::TooMany { most: Self::BUCKETS_MAX });
        }
    }

    /// Key by key; sums saturate. Buckets beyond [`Self::BUCKETS_MAX`] count in the total alone.
    pub fn add(&mut self, other: &Self) {
        let total = self.total().saturating_add(other.total());
        for (name, count) in &other.buckets {
            let has_room = self.buckets.len() < Self::BUCKETS_MAX;
            match self.buckets.iter_mut().find(|bucket| bucket.0 == *name) {
                Some(bucket) => bucket.1 = bucket.1.saturating_add(*count),
                None if has_room => self.buckets.push((name.clone(), *count)),
                None => {}
            }
        }
        self.given_total = Some(total);
    }

    pub fn buckets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.buckets.iter().map(|(name, count)| (&**name, *count))
    }

    pub fn get(&self, name: &str) -> Option<u64> {
        self.buckets().find(|bucket| bucket.0 == name).map(|bucket| bucket.1)
    }

    pub fn remove(&mut self, name: &str) -> Option<u64> {
        let at = self.buckets.iter().position(|bucket| bucket.0 == name)?;
        Some(self.buckets.remove(at).1)
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.given_total.is_none()
    }

    /// As it was given, if it was.
    pub fn given_total(&self) -> Option<u64> {
        self.given_total
    }

    /// The sum of all buckets.
    pub fn sum(&self) -> u64 {
        self.buckets().fold(0, |sum, bucket| sum.saturating_add(bucket.1))
    }

    /// Given, or else the sum of all buckets.
    pub fn total(&self) -> u64 {
        self.given_total.unwrap_or_else(|| self.sum())
    }

    pub fn tokens(&self) -> Tokens {
        let of = |side: &str| {
            self.buckets()
                .filter(|bucket| bucket.0.contains(side))
                .fold(0u64, |sum, bucket| sum.saturating_add(bucket.1))
        };
        Tokens { input: of("input"), output: of("output"), total: self.total() }
    }
}

const DETAILS: &str = "langfuse.observation.usage_details";
const COST: &str = "gen_ai.usage.cost";

/// Counts of a whole side, in the order in which they are believed.
const WHOLES: [(&str, &str); 6] = [
    ("prompt_tokens", "input"),
    ("input_tokens", "input"),
    ("prompt", "input"),
    ("completion_tokens", "output"),
    ("output_tokens", "output"),
    ("completion", "output"),
];

const TOTALS: [&str; 4] = ["total_tokens", "total", "llm.usage.total_tokens", "ai.usage.tokens"];

/// Buckets that are part of a side, and are taken off it.
const PARTS: [(&str, &str); 4] = [
    ("input_cached_tokens", "input"),
    ("input_cache_creation", "input"),
    ("output_reasoning_tokens", "output"),
    ("output_audio_tokens", "output"),
];

/// What the conventions call those parts; any other name stays as it is.
fn alias(name: &str) -> &str {
    match name {
        "cache_read.input_tokens" | "cache_read_input_tokens" | "prompt_details.cache_read" => {
            "input_cached_tokens"
        }
        "cache_read_tokens" | "ai.usage.cachedInputTokens" => "input_cached_tokens",
        "cache_creation.input_tokens" | "cache_creation_input_tokens" | "prompt_details.cache_write" => {
            "input_cache_creation"
        }
        "cache_write_tokens" => "input_cache_creation",
        "reasoning.output_tokens" | "completion_details.reasoning" | "ai.usage.reasoningTokens" => {
            "output_reasoning_tokens"
        }
        "completion_details.audio" => "output_audio_tokens",
        _ => name,
    }
}

const OPENAI_WHOLES: [(&str, &str); 4] = [
    ("prompt_tokens", "input"),
    ("completion_tokens", "output"),
    ("input_tokens", "input"),
    ("output_tokens", "output"),
];

/// OpenAI's own shape, of its chat or its responses interface, and nothing else in it.
fn is_openai(entries: &[(String, &str)]) -> bool {
    let has = |name: &str| entries.iter().any(|(key, _)| key == name);
    let known = |key: &str| {
        key == "total_tokens" || OPENAI_WHOLES.iter().any(|whole| whole.0 == key) || details_of(key).is_some()
    };
    let chat = has("prompt_tokens") && has("completion_tokens");
    let responses = has("input_tokens") && has("output_tokens");
    has("total_tokens") && chat != responses && entries.iter().all(|(key, _)| known(key))
}

fn details_of(key: &str) -> Option<&str> {
    let whole = key.strip_suffix("_details")?;
    OPENAI_WHOLES.iter().map(|known| known.0).find(|known| *known == whole)
}

fn count_of(entries: &[(String, &str)], name: &str) -> Option<u64> {
    words::count_in(&json::plain(entries.iter().find(|(key, _)| key == name)?.1))
}

#[cfg(test)]
mod tests;
