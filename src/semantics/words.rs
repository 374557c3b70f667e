//! Attribute values turned into texts, numbers, truths and times, and what is wrong with those that are not.
//!
//! Lenient where meaning is plain: a number is a text, a text that writes a number is a count.

use std::borrow::Cow;

use super::complaint::Problem;
use super::convention::{Convention, On, Shape};
use super::decimal::Decimal;
use super::observation::{Found, Said};
use super::{json, kind, level};
use crate::wire::attr::Value;

/// A text, or a scalar written as one. An empty text says nothing.
pub fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(_) => value.text().filter(|text| !text.is_empty()).map(Cow::Borrowed),
        Value::Bool(truth) => Some(Cow::Borrowed(if truth { "true" } else { "false" })),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Double(number) => Some(Cow::Owned(number.to_string())),
        Value::Empty | Value::Array(_) | Value::Map(_) | Value::Bytes(_) => None,
    }
}

/// A whole number of 0 or more, also in a string.
pub fn count(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        Value::Double(number) => whole(number),
        Value::Str(_) => count_in(value.text()?),
        _ => None,
    }
}

/// A whole number of 0 or more as text: `12`, `12.0`, `1.2e1`.
pub fn count_in(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

/// Doubles hold whole numbers exactly up to 2^53.
fn whole(number: f64) -> Option<u64> {
    let fits = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    fits.then_some(number as u64)
}

/// A number; never out of a string, since the server takes none there (semantics, usage and cost).
pub fn number(value: Value<'_>) -> Option<Decimal> {
    match value {
        Value::Int(number) => number.to_string().parse().ok(),
        Value::Double(number) => Decimal::from_f64(number),
        _ => None,
    }
}

pub fn truth(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(truth),
        Value::Str(b"true") => Some(true),
        Value::Str(b"false") => Some(false),
        _ => None,
    }
}

/// When the first token came, in Unix nanoseconds: said as a time, or since the span's start in
/// milliseconds (AI SDK) or seconds (`gen_ai.response.time_to_first_chunk`).
pub fn completion_start(found: &Found<'_>, start: u64) -> Option<u64> {
    let value = found.value()?;
    if found.place.shape == Shape::Moment {
        let text = value.text()?;
        return instant(&json::plain(text));
    }
    let nanos_each = if found.place.convention == Convention::Framework { 1e6 } else { 1e9 };
    let passed = match value {
        Value::Double(number) => number,
        Value::Int(number) => number as f64,
        _ => value.text()?.parse().ok()?,
    };
    // A cast of a float saturates; what is no number or negative is no time.
    (passed >= 0.0).then(|| start.saturating_add((passed * nanos_each) as u64))
}

/// `2026-11-25T14:51:21.123456Z`, also with an offset, or without a zone: then UTC.
pub fn instant(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten()
    };
    let mark = |at: usize, marks: &str| text.get(at..at + 1).is_some_and(|c| marks.contains(c));
    if !(mark(4, "-") && mark(7, "-") && mark(10, "Tt ") && mark(13, ":") && mark(16, ":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(text.get(19..)?)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset(zone)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Nanoseconds behind the point, if there is one, and what follows.
fn fraction(rest: &str) -> Option<(u64, &str)> {
    let Some(behind) = rest.strip_prefix('.') else { return Some((0, rest)) };
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    let (digits, zone) = behind.split_at(end);
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    if digits.is_empty() { None } else { Some((nine.parse().ok()?, zone)) }
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=23).contains(&hours) && (0..=59).contains(&minutes))
        .then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days since 1970 of a date of the Gregorian calendar: years begin in March, so leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Why a place says nothing, judged by what the table expects there. Usage and cost judge themselves.
pub fn problem(found: &Found<'_>) -> Option<Problem> {
    let Said::Value(value) = found.said else { return None };
    let wrong = |wanted| Some(Problem::WrongType { wanted });
    match found.place.shape {
        Shape::Anything => None,
        // Usage, cost and the names of families are read elsewhere.
        Shape::Count | Shape::Number if found.place.on == On::Family => None,
        Shape::Text if matches!(value, Value::Array(_) | Value::Map(_) | Value::Bytes(_)) => {
            wrong("a string")
        }
        Shape::Text => None,
        Shape::Truth => {
            if truth(value).is_none() {
                wrong("a boolean")
            } else {
                None
            }
        }
        Shape::List => {
            if matches!(value, Value::Str(_) | Value::Array(_)) {
                None
            } else {
                wrong("an array of strings")
            }
        }
        Shape::Word => match value.text() {
            None => wrong("a string"),
            Some(word) => {
                let known = kind::is_known(found.key, word) || level::is_known(found.key, word);
                (!known).then_some(Problem::UnknownWord)
            }
        },
        _ if judges_itself(found) => None,
        Shape::Object => match value.text() {
            None => wrong("a JSON object in a string"),
            Some(text) => json::object(text).err(),
        },
        Shape::Count => {
            if count(value).is_none() {
                Some(Problem::NotACount)
            } else {
                None
            }
        }
        Shape::Number => {
            if completion_start(found, 0).is_none() {
                Some(Problem::NotANumber)
            } else {
                None
            }
        }
        Shape::Moment => match value.text() {
            None => wrong("a time in a string"),
            Some(text) => {
                if instant(&json::plain(text)).is_none() {
                    Some(Problem::NotAnInstant)
                } else {
                    None
                }
            }
        },
    }
}

fn judges_itself(found: &Found<'_>) -> bool {
    use super::convention::Property::{Cost, Usage};
    matches!(found.place.property, Usage | Cost)
}
