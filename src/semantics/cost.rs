//! What an observation cost, in USD: as it was given, or as a price table makes it.
//!
//! A given cost always wins, whole. There is always a total, since servers show none where only parts
//! stand. Nothing is rounded; what can not be added up is named.

use std::borrow::Cow;

use super::complaint::{Complaints, Problem};
use super::convention::Property;
use super::decimal::Decimal;
use super::observation::{Found, Observation};
use super::{json, words};

/// A cost by usage key, its sides and its total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost<'a> {
    /// By the key it was given or worked out under; without the total.
    pub parts: Vec<(Cow<'a, str>, Decimal)>,
    /// Parts whose key contains `input`; `None` without any.
    pub input: Option<Decimal>,
    pub output: Option<Decimal>,
    pub total: Decimal,
    pub source: Source<'a>,
}

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The attribute that said it.
    Given { key: &'a str },
    /// The entry of the price table and its tier.
    Table { model: &'a str, tier: &'a str },
}

impl<'a> Cost<'a> {
    /// `None` where no cost is given, or none that can be read.
    pub(super) fn given(observation: &Observation<'a>, complaints: &mut Complaints<'a>) -> Option<Self> {
        if observation.is_agent_operation() {
            return None;
        }
        let mut all: Vec<_> = observation.found(Property::Cost).collect();
        all.sort_by_key(|found| found.place.rank);
        let mut cost = all.iter().find_map(|found| Self::of_found(found, complaints))?;
        for found in all {
            let slot = match found.key {
                "llm.cost.prompt" => &mut cost.input,
                "llm.cost.completion" => &mut cost.output,
                _ => continue,
            };
            *slot = slot.or_else(|| found.value().and_then(words::number));
        }
        Some(cost)
    }

    fn of_found(found: &Found<'a>, complaints: &mut Complaints<'a>) -> Option<Self> {
        let source = Source::Given { key: found.key };
        let value = found.value()?;
        if found.place.rank == 0 {
            let Some(text) = value.text() else {
                complaints.add(found.key, Problem::WrongType { wanted: "a JSON object in a string" });
                return None;
            };
            return match json::object(text) {
                Ok(entries) => Self::of_details(entries, source, found.key, complaints),
                Err(problem) => {
                    complaints.add(found.key, problem);
                    None
                }
            };
        }
        let Some(total) = words::number(value) else {
            complaints.add(found.key, Problem::NotANumber);
            return None;
        };
        // A side alone is no whole cost.
        let is_whole = found.place.rank < super::convention::UNREAD;
        is_whole.then_some(Self { parts: Vec::new(), input: None, output: None, total, source })
    }

    fn of_details(
        entries: Vec<(String, &str)>,
        source: Source<'a>,
        key: &'a str,
        complaints: &mut Complaints<'a>,
    ) -> Option<Self> {
        let mut parts = Vec::with_capacity(entries.len());
        for (name, raw) in entries {
            match raw.parse::<Decimal>() {
                Ok(amount) => parts.push((Cow::Owned(name), amount)),
                Err(_) if raw == "null" => {}
                Err(_) => complaints.add(Cow::Owned(format!("{key}.{name}")), Problem::NotANumber),
            }
        }
        if parts.is_empty() {
            return None;
        }
        let cost = Self::of_parts(parts, source);
        if cost.is_none() {
            complaints.add(key, Problem::TooLarge);
        }
        cost
    }

    /// Takes `total` out of the parts, or adds them up. `None` when the sum fits no decimal.
    pub(super) fn of_parts(mut parts: Vec<(Cow<'a, str>, Decimal)>, source: Source<'a>) -> Option<Self> {
        let given = parts.iter().position(|part| part.0 == "total").map(|at| parts.remove(at).1);
        let side = |name: &str| {
            let mut amounts = parts.iter().filter(|part| part.0.contains(name)).map(|part| part.1).peekable();
            amounts.peek()?;
            amounts.try_fold(Decimal::ZERO, Decimal::checked_add)
        };
        let total = match given {
            Some(total) => total,
            None => parts.iter().map(|part| part.1).try_fold(Decimal::ZERO, Decimal::checked_add)?,
        };
        Some(Self { input: side("input"), output: side("output"), total, parts, source })
    }

    pub fn is_given(&self) -> bool {
        matches!(self.source, Source::Given { .. })
    }
}

/// The costs of a trace, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// `None` where no observation tells sides apart.
    pub input: Option<Decimal>,
    pub output: Option<Decimal>,
    pub total: Decimal,
}

impl Sum {
    /// `None` when it fits no decimal.
    pub fn plus(self, cost: &Cost<'_>) -> Option<Self> {
        let side = |sum: Option<Decimal>, more: Option<Decimal>| match (sum, more) {
            (Some(sum), Some(more)) => sum.checked_add(more).map(Some),
            (sum, more) => Some(sum.or(more)),
        };
        Some(Self {
            input: side(self.input, cost.input)?,
            output: side(self.output, cost.output)?,
            total: self.total.checked_add(cost.total)?,
        })
    }
}
