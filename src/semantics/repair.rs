//! What a repair of double counts would change of a span on the wire. Only says it: writing is others' work.
//!
//! Nothing is deleted. An attribute whose tokens are counted elsewhere keeps its value under
//! [`KEPT_UNDER`] and its own key, where no server adds it up.

use super::complaint::Complaints;
use super::convention::{On, Property};
use super::doubles::{self, Part};
use super::observation::Observation;
use super::usage::Usage;

/// In front of the key of what is kept but must not be added up.
pub const KEPT_UNDER: &str = "spandrel.counted_elsewhere.";

/// One change of a span's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Rename {
        key: &'a str,
        to: String,
    },
    /// A string attribute, overwritten; what it was is kept under [`KEPT_UNDER`].
    Set {
        key: &'a str,
        text: String,
    },
}

/// The changes that make a span's usage and cost count once: all of it goes when those below it report
/// the same (`usage_double`, `cost_double`: see [`doubles::Claim`]), else parts that are on top of their whole.
pub fn changes<'a>(observation: &Observation<'a>, usage_double: bool, cost_double: bool) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    if cost_double {
        changes.extend(observation.found(Property::Cost).map(|found| kept(found.key)));
    }
    if usage_double {
        let counts = observation.found(Property::Usage).filter(|found| found.key != "gen_ai.usage.cost");
        changes.extend(counts.map(|found| kept(found.key)));
        return changes;
    }
    let usage = Usage::of(observation, &mut Complaints::default());
    let (apart, parts) = doubles::apart(&usage);
    if parts.is_empty() {
        return changes;
    }
    let details = observation.found(Property::Usage).find(|found| {
        found.place.rank == 0
            && found
                .value()
                .and_then(|value| value.text())
                .is_some_and(|text| super::json::object(text).is_ok())
    });
    match details {
        Some(found) => changes.push(Change::Set { key: found.key, text: written(&apart) }),
        None => changes.extend(parts.iter().filter_map(|part| renamed(observation, part))),
    }
    changes
}

fn kept(key: &str) -> Change<'_> {
    Change::Rename { key, to: format!("{KEPT_UNDER}{key}") }
}

/// Servers take the parts they know off the whole themselves, so a part goes under the name they know.
fn renamed<'a>(observation: &Observation<'a>, part: &Part<'_>) -> Option<Change<'a>> {
    let mut counts = observation.found(Property::Usage).filter(|found| found.place.on == On::Family);
    let found = counts.find(|found| found.name() == part.bucket)?;
    let known = match part.becomes {
        Some("output_reasoning_tokens") => "gen_ai.usage.reasoning.output_tokens",
        Some("input_cached_tokens") => "gen_ai.usage.cache_read.input_tokens",
        _ => return Some(kept(found.key)),
    };
    let is_said = observation.found(Property::Usage).any(|other| other.key == known);
    Some(if is_said { kept(found.key) } else { Change::Rename { key: found.key, to: known.to_owned() } })
}

/// As `usage_details` writes it.
fn written(usage: &Usage<'_>) -> String {
    let mut map: serde_json::Map<String, serde_json::Value> =
        usage.buckets().map(|(name, count)| (name.to_owned(), count.into())).collect();
    if let Some(total) = usage.given_total() {
        map.insert("total".to_owned(), total.into());
    }
    serde_json::Value::Object(map).to_string()
}

#[cfg(test)]
mod tests;
