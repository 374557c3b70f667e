//! The price table: what a token of each kind costs, per model.
//!
//! The file has the shape in which Langfuse publishes its own, so that one is read as it is: a JSON array of
//! entries (or an object with `version` and `models`), each with `modelName`, `matchPattern`, perhaps
//! `startDate`, and `pricingTiers` or plain `prices`, in USD per token by usage key. An entry that can not
//! be understood refuses the whole file: a wrong price is worse than none. No file is opened here.
//!
//! The surprise: patterns are written for Postgres but run in linear time here; one that needs more than
//! that (look-around, back references) is refused by name.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde_json::value::RawValue;

use super::cost::{Cost, Source};
use super::decimal::Decimal;
use super::json;
use super::usage::Usage;

/// A checked price table.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// What the file calls itself; empty where it says nothing.
    pub version: String,
    /// In the order in which they are asked: newest start first, then the longest pattern.
    models: Vec<Model>,
}

#[derive(Clone, Debug)]
struct Model {
    name: String,
    pattern: Regex,
    /// As it is written: ISO 8601 in UTC sorts as text.
    start: Option<String>,
    /// By priority, the default last.
    tiers: Vec<Tier>,
}

#[derive(Clone, Debug)]
struct Tier {
    name: String,
    is_default: bool,
    priority: i64,
    conditions: Vec<Condition>,
    prices: Vec<(String, Decimal)>,
}

#[derive(Clone, Debug)]
enum Condition {
    /// The sum over usage keys that match, against a number.
    Usage { pattern: Regex, operator: Operator, value: Decimal },
    /// A model parameter that is one of these.
    Parameter { name: String, values: Vec<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Neq,
}

/// Why a price file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceFault {
    #[error("the price file is not JSON: {0}")]
    NotJson(String),
    #[error("the price file is neither an array of models nor an object with `models`")]
    NoModels,
    #[error("the price file has {0} models; at most {max} are read", max = Prices::MODELS_MAX)]
    TooMany(usize),
    #[error("price entry {entry} (`{model}`): `{field}` {problem}")]
    Entry { entry: usize, model: String, field: String, problem: String },
}

impl Prices {
    pub const MODELS_MAX: usize = 10_000;
    /// Heap bytes that one compiled pattern may take.
    const PATTERN_BYTES_MAX: usize = 1 << 20;

    /// Reads a price file.
    ///
    /// # Errors
    /// [`PriceFault`], naming the entry and its field.
    pub fn parse(bytes: &[u8]) -> Result<Self, PriceFault> {
        let text = std::str::from_utf8(bytes).map_err(|error| PriceFault::NotJson(error.to_string()))?;
        let not_json = |error: serde_json::Error| PriceFault::NotJson(error.to_string());
        let whole: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        let (version, list) = match json::object(whole.get()) {
            Ok(fields) => {
                let raw = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw);
                let version = raw("version").map(json::plain).unwrap_or_default().into_owned();
                (version, raw("models").or_else(|| raw("data")).ok_or(PriceFault::NoModels)?)
            }
            Err(_) => (String::new(), whole.get()),
        };
        let entries: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| PriceFault::NoModels)?;
        if entries.len() > Self::MODELS_MAX {
            return Err(PriceFault::TooMany(entries.len()));
        }
        let models = entries.iter().enumerate().map(|(at, raw)| Entry::of(at, raw.get())?.model());
        let mut models = models.collect::<Result<Vec<_>, _>>()?;
        models.sort_by(|a, b| {
            b.start.cmp(&a.start).then_with(|| b.pattern.as_str().len().cmp(&a.pattern.as_str().len()))
        });
        Ok(Self { version, models })
    }

    pub fn len(&self) -> usize {
        self.models.len()
    }

    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// What `usage` of `model` costs: each bucket times the price of exactly its key, others nothing.
    /// `None` for a model or a usage that the table knows no price of, and for sums that fit no decimal.
    pub fn cost<'a>(
        &'a self,
        model: &str,
        usage: &Usage<'_>,
        parameter: impl Fn(&str) -> Option<String>,
    ) -> Option<Cost<'a>> {
        let model = self.models.iter().find(|known| known.pattern.is_match(model))?;
        let tier = model.tiers.iter().find(|tier| tier.applies(usage, &parameter))?;
        let mut parts = Vec::new();
        for (key, price) in &tier.prices {
            let units = if key == "total" { Some(usage.total()) } else { usage.get(key) };
            if let Some(units) = units {
                parts.push((Cow::Borrowed(key.as_str()), price.times(units)?));
            }
        }
        if parts.is_empty() || usage.is_empty() {
            return None;
        }
        Cost::of_parts(parts, Source::Table { model: &model.name, tier: &tier.name })
    }
}

impl Tier {
    fn applies(&self, usage: &Usage<'_>, parameter: impl Fn(&str) -> Option<String>) -> bool {
        self.is_default || self.conditions.iter().all(|condition| condition.holds(usage, &parameter))
    }
}

impl Condition {
    fn holds(&self, usage: &Usage<'_>, parameter: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Usage { pattern, operator, value } => {
                let matching = usage.buckets().filter(|bucket| pattern.is_match(bucket.0));
                let sum = Decimal::from(matching.fold(0, |sum, bucket| bucket.1.saturating_add(sum)));
                match operator {
                    Operator::Gt => sum > *value,
                    Operator::Gte => sum >= *value,
                    Operator::Lt => sum < *value,
                    Operator::Lte => sum <= *value,
                    Operator::Eq => sum == *value,
                    Operator::Neq => sum != *value,
                }
            }
            Self::Parameter { name, values } => parameter(name).is_some_and(|said| values.contains(&said)),
        }
    }
}

/// One entry that is being read: it knows its place, for what is wrong with it.
struct Entry<'a> {
    at: usize,
    name: String,
    fields: Vec<(String, &'a str)>,
}

impl<'a> Entry<'a> {
    fn of(at: usize, raw: &'a str) -> Result<Self, PriceFault> {
        let mut entry = Self { at, name: String::new(), fields: Vec::new() };
        entry.fields = json::object(raw).map_err(|_| entry.fault("entry", "is not an object"))?;
        entry.name = entry.text(&entry.fields, "modelName")?;
        Ok(entry)
    }

    fn fault(&self, field: impl Into<String>, problem: impl Into<String>) -> PriceFault {
        let model = if self.name.is_empty() { "?" } else { &self.name };
        PriceFault::Entry {
            entry: self.at,
            model: model.to_owned(),
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// A field that is there and not null.
    fn raw(fields: &[(String, &'a str)], name: &str) -> Option<&'a str> {
        fields.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw).filter(|raw| *raw != "null")
    }

    fn text(&self, fields: &[(String, &'a str)], name: &str) -> Result<String, PriceFault> {
        let raw = Self::raw(fields, name).ok_or_else(|| self.fault(name, "is missing"))?;
        json::string(raw).map(Cow::into_owned).ok_or_else(|| self.fault(name, "is not a string"))
    }

    fn list(&self, raw: &'a str, name: &str) -> Result<Vec<&'a str>, PriceFault> {
        let list: Vec<&RawValue> =
            serde_json::from_str(raw).map_err(|_| self.fault(name, "is not an array"))?;
        Ok(list.into_iter().map(RawValue::get).collect())
    }

    fn pattern(&self, text: &str, name: &str, ignore_case: bool) -> Result<Regex, PriceFault> {
        let mut builder = RegexBuilder::new(text);
        let compiled = builder.size_limit(Prices::PATTERN_BYTES_MAX).case_insensitive(ignore_case).build();
        compiled.map_err(|error| {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "is too large".to_owned(),
                // The last line says what is wrong; those before it draw where.
                error => error.to_string().lines().last().unwrap_or_default().replace("error: ", ""),
            };
            self.fault(name, format!("is no pattern that can be matched in linear time: {why}"))
        })
    }

    fn model(&self) -> Result<Model, PriceFault> {
        let pattern = self.pattern(&self.text(&self.fields, "matchPattern")?, "matchPattern", false)?;
        let start = match Self::raw(&self.fields, "startDate") {
            Some(_) => Some(self.text(&self.fields, "startDate")?),
            None => None,
        };
        let mut tiers = match (Self::raw(&self.fields, "pricingTiers"), Self::raw(&self.fields, "prices")) {
            (Some(raw), _) => {
                let tiers = self.list(raw, "pricingTiers")?;
                tiers
                    .into_iter()
                    .enumerate()
                    .map(|(at, raw)| self.tier(at, raw))
                    .collect::<Result<Vec<_>, _>>()?
            }
            (None, Some(raw)) => vec![Tier {
                name: "Standard".to_owned(),
                is_default: true,
                priority: 0,
                conditions: Vec::new(),
                prices: self.prices(raw, "prices")?,
            }],
            (None, None) => return Err(self.fault("pricingTiers", "is missing, and so is `prices`")),
        };
        if tiers.iter().filter(|tier| tier.is_default).count() != 1 {
            return Err(self.fault("pricingTiers", "must have exactly one tier with `isDefault`"));
        }
        tiers.sort_by_key(|tier| (tier.is_default, tier.priority));
        Ok(Model { name: self.name.clone(), pattern, start, tiers })
    }

    fn tier(&self, at: usize, raw: &'a str) -> Result<Tier, PriceFault> {
        let path = |field: &str| format!("pricingTiers[{at}].{field}");
        let fields =
            json::object(raw).map_err(|_| self.fault(format!("pricingTiers[{at}]"), "is not an object"))?;
        let is_default = match Self::raw(&fields, "isDefault") {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => return Err(self.fault(path("isDefault"), "is not a boolean")),
        };
        let priority = match Self::raw(&fields, "priority") {
            Some(raw) => raw.parse().map_err(|_| self.fault(path("priority"), "is not a whole number"))?,
            None => 0,
        };
        let conditions = match Self::raw(&fields, "conditions") {
            Some(raw) => self.list(raw, &path("conditions"))?,
            None => Vec::new(),
        };
        if conditions.is_empty() != is_default {
            let problem = "must be empty in the default tier, and only there";
            return Err(self.fault(path("conditions"), problem));
        }
        let conditions = conditions.into_iter().map(|raw| self.condition(raw, &path("conditions")));
        let prices = Self::raw(&fields, "prices").ok_or_else(|| self.fault(path("prices"), "is missing"))?;
        Ok(Tier {
            name: Self::raw(&fields, "name").map(json::plain).unwrap_or_default().into_owned(),
            is_default,
            priority,
            conditions: conditions.collect::<Result<_, _>>()?,
            prices: self.prices(prices, &path("prices"))?,
        })
    }

    fn condition(&self, raw: &'a str, path: &str) -> Result<Condition, PriceFault> {
        let fields = json::object(raw).map_err(|_| self.fault(path, "has one that is not an object"))?;
        if Self::raw(&fields, "modelParameter").is_some() {
            let values = Self::raw(&fields, "values").ok_or_else(|| self.fault(path, "has no `values`"))?;
            let values =
                self.list(values, path)?.into_iter().map(|raw| json::plain(raw).into_owned()).collect();
            return Ok(Condition::Parameter { name: self.text(&fields, "modelParameter")?, values });
        }
        if Self::raw(&fields, "usageDetailPattern").is_none() {
            return Err(self.fault(path, "has one with neither `usageDetailPattern` nor `modelParameter`"));
        }
        let ignore_case = Self::raw(&fields, "caseSensitive") != Some("true");
        let pattern = self.text(&fields, "usageDetailPattern")?;
        let operator = match &*self.text(&fields, "operator")? {
            "gt" => Operator::Gt,
            "gte" => Operator::Gte,
            "lt" => Operator::Lt,
            "lte" => Operator::Lte,
            "eq" => Operator::Eq,
            "neq" => Operator::Neq,
            other => {
                let problem = format!("has the operator `{other}`; expected gt, gte, lt, lte, eq or neq");
                return Err(self.fault(path, problem));
            }
        };
        let value = Self::raw(&fields, "value").and_then(|raw| raw.parse().ok());
        let value = value.ok_or_else(|| self.fault(path, "has a `value` that is not a number"))?;
        Ok(Condition::Usage { pattern: self.pattern(&pattern, path, ignore_case)?, operator, value })
    }

    fn prices(&self, raw: &'a str, path: &str) -> Result<Vec<(String, Decimal)>, PriceFault> {
        let fields = json::object(raw).map_err(|_| self.fault(path, "is not an object"))?;
        if fields.is_empty() {
            return Err(self.fault(path, "has no price"));
        }
        let price = |(key, raw): (String, &str)| match raw.parse::<Decimal>() {
            Ok(price) if !price.is_negative() => Ok((key, price)),
            _ => {
                let problem = format!("is `{raw}`; expected a number of USD per token, 0 or more");
                Err(self.fault(format!("{path}.{key}"), problem))
            }
        };
        fields.into_iter().map(price).collect()
    }
}

#[cfg(test)]
mod tests;
