//! Times and durations. `Now()` is what the caller says it is.

use super::{DURATION, INT, TEXT, TIME, calendar, pure};
use crate::rules::civil::{Civil, SECOND, weekday};
use crate::rules::functions::{Argument, Converter, Given, Parameter, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;
use crate::rules::zones::Zone;

const OF_TIME: &[Parameter] = &[must("value|time", TIME)];
/// Month and day names of other languages are not built in.
const LOCALES: Takes = Takes::Choice(&["en", "en-US", "en-GB"]);
const OF_DURATION: &[Parameter] = &[must("value|duration", DURATION)];

pub const CONVERTERS: &[Converter] = &[
    Converter {
        name: "Now",
        parameters: &[],
        gives: Types::TIME,
        is_constant: false,
        run: |given| Ok(Value::Time(given.scene.frame.now)),
    },
    pure(
        "Time",
        &[
            must("target|time", TEXT),
            must("format", TEXT),
            may("location", Takes::Zone),
            may("locale", LOCALES),
        ],
        Types::TIME,
        time,
    ),
    pure("FormatTime", &[must("time", TIME), must("format", TEXT)], Types::STR, |given| {
        let (time, format) = (given.time(0)?, given.text(1)?);
        Ok(Value::text(calendar::write(time, &format)?))
    }),
    pure("TruncateTime", &[must("time", TIME), must("duration", DURATION)], Types::TIME, truncate),
    pure("Duration", &[must("duration|value", TEXT)], Types::DURATION, duration),
    pure("Unix", &[must("seconds", INT), may("nanoseconds", INT)], Types::TIME, unix),
    pure("UnixNano", OF_TIME, Types::INT, |given| Ok(Value::Int(given.time(0)?))),
    pure("UnixMicro", OF_TIME, Types::INT, |given| Ok(Value::Int(given.time(0)?.div_euclid(1_000)))),
    pure("UnixMilli", OF_TIME, Types::INT, |given| Ok(Value::Int(given.time(0)?.div_euclid(1_000_000)))),
    pure("UnixSeconds", OF_TIME, Types::INT, |given| Ok(Value::Int(given.time(0)?.div_euclid(SECOND)))),
    pure("Year", OF_TIME, Types::INT, |given| part(given, |at| at.year)),
    pure("Month", OF_TIME, Types::INT, |given| part(given, |at| at.month)),
    pure("Day", OF_TIME, Types::INT, |given| part(given, |at| at.day)),
    pure("Hour", OF_TIME, Types::INT, |given| part(given, |at| at.hour)),
    pure("Minute", OF_TIME, Types::INT, |given| part(given, |at| at.minute)),
    pure("Second", OF_TIME, Types::INT, |given| part(given, |at| at.second)),
    pure("Nanosecond", OF_TIME, Types::INT, |given| part(given, |at| at.nanosecond)),
    pure("Weekday", OF_TIME, Types::INT, |given| Ok(Value::Int(weekday(given.time(0)?)))),
    pure("Hours", OF_DURATION, Types::DOUBLE, |given| in_units(given, 3600 * SECOND)),
    pure("Minutes", OF_DURATION, Types::DOUBLE, |given| in_units(given, 60 * SECOND)),
    pure("Seconds", OF_DURATION, Types::DOUBLE, |given| in_units(given, SECOND)),
    pure("Milliseconds", OF_DURATION, Types::INT, |given| Ok(Value::Int(given.duration(0)? / 1_000_000))),
    pure("Microseconds", OF_DURATION, Types::INT, |given| Ok(Value::Int(given.duration(0)? / 1_000))),
    pure("Nanoseconds", OF_DURATION, Types::INT, |given| Ok(Value::Int(given.duration(0)?))),
];

fn part<'a>(given: &mut Given<'_, 'a>, part: fn(Civil) -> i64) -> Result<Value<'a>, Trouble> {
    Ok(Value::Int(part(Civil::of(given.time(0)?))))
}

fn in_units<'a>(given: &mut Given<'_, 'a>, unit: i64) -> Result<Value<'a>, Trouble> {
    let nanos = given.duration(0)?;
    // Whole units and the rest apart, as Go does, so that neither loses digits.
    Ok(Value::Double((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64))
}

fn time<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, format) = (given.text(0)?, given.text(1)?);
    let zone = match given.arguments.get(2) {
        Some(Argument::Zone(zone)) => zone,
        _ => &Zone::UTC,
    };
    Ok(Value::Time(calendar::read(&text, &format, zone, given.scene.frame.now)?))
}

/// Down to a multiple of the duration since the year 1, as Go counts.
fn truncate<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (time, unit) = (given.time(0)?, given.duration(1)?);
    if unit <= 0 {
        return Ok(Value::Time(time));
    }
    const FROM_YEAR_ONE: i128 = 62_135_596_800 * SECOND as i128;
    let over = (i128::from(time) + FROM_YEAR_ONE).rem_euclid(i128::from(unit)) as i64;
    time.checked_sub(over).map(Value::Time).ok_or_else(|| Trouble::new("a time outside 1677 to 2262"))
}

fn unix<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let seconds = given.int(0)?;
    let nanos = match given.value(1) {
        Value::Int(nanos) => nanos,
        _ => 0,
    };
    let whole = seconds.checked_mul(SECOND).and_then(|whole| whole.checked_add(nanos));
    whole.map(Value::Time).ok_or_else(|| Trouble::new("a time outside 1677 to 2262"))
}

/// As Go's `ParseDuration`: numbers with units, one after another.
fn duration<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    let bad = || Trouble(format!("`{text}` is no duration; write it like `1h30m`, `1.5s`, `300ms`"));
    let (minus, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    if rest == "0" {
        return Ok(Value::Duration(0));
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut nanos = 0_i128;
    while !rest.is_empty() {
        let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(len);
        let len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(len);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 || whole.len() > 19 {
            return Err(bad());
        }
        let digits = |text: &str| if text.is_empty() { Ok(0_i128) } else { text.parse().map_err(|_| bad()) };
        nanos += digits(whole)? * unit + digits(fraction)? * unit / 10_i128.pow(fraction.len() as u32);
        rest = tail;
    }
    let nanos = if minus { -nanos } else { nanos };
    i64::try_from(nanos).map(Value::Duration).map_err(|_| bad())
}
