//! Strings: put together, taken apart, written otherwise.

use super::{BOOL, INT, TEXT, pure, string_like};
use crate::rules::editors::RESULT_MAX;
use crate::rules::functions::{Converter, Given, Parameter, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const ONE: &[Parameter] = &[must("target|value", TEXT)];
const CASES: Takes = Takes::Choice(&["lower", "upper", "snake", "camel"]);

pub const CONVERTERS: &[Converter] = &[
    pure(
        "Concat",
        &[must("values|vals", Takes::Later(Types::LIST)), must("delimiter", TEXT)],
        Types::STR,
        concat,
    ),
    pure("Split", &[must("target", TEXT), must("delimiter", TEXT)], Types::LIST, split),
    pure(
        "Substring",
        &[must("target", TEXT), must("start", INT), must("length", INT), may("utf8_safe", BOOL)],
        Types::STR,
        substring,
    ),
    pure("ConvertCase", &[must("target", TEXT), must("to_case", CASES)], Types::STR, convert_case),
    pure("ToLowerCase", ONE, Types::STR, |given| cased(given, "lower")),
    pure("ToUpperCase", ONE, Types::STR, |given| cased(given, "upper")),
    pure("ToSnakeCase", ONE, Types::STR, |given| cased(given, "snake")),
    pure("ToCamelCase", ONE, Types::STR, |given| cased(given, "camel")),
    pure("Trim", &[must("target", TEXT), may("replacement", TEXT)], Types::STR, trim),
    pure("TrimPrefix", &[must("value|target", TEXT), must("prefix", TEXT)], Types::STR, |given| {
        let (text, part) = (given.text(0)?, given.text(1)?);
        Ok(Value::text(text.strip_prefix(&*part).unwrap_or(&text).to_owned()))
    }),
    pure("TrimSuffix", &[must("value|target", TEXT), must("suffix", TEXT)], Types::STR, |given| {
        let (text, part) = (given.text(0)?, given.text(1)?);
        Ok(Value::text(text.strip_suffix(&*part).unwrap_or(&text).to_owned()))
    }),
    pure("HasPrefix", &[must("value|target", TEXT), must("prefix", TEXT)], Types::BOOL, |given| {
        Ok(Value::Bool(given.text(0)?.starts_with(&*given.text(1)?)))
    }),
    pure("HasSuffix", &[must("value|target", TEXT), must("suffix", TEXT)], Types::BOOL, |given| {
        Ok(Value::Bool(given.text(0)?.ends_with(&*given.text(1)?)))
    }),
];

/// Room for what is put together mostly.
const SHORT: usize = 64;

/// Takes the values one by one: what is written as a list need not become one.
fn concat<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let delimiter = given.text(1)?;
    let mut out = String::with_capacity(SHORT);
    let mut nth = 0;
    given.each(0, |value| {
        if nth > 0 {
            out.push_str(&delimiter);
        }
        nth += 1;
        out.push_str(&string_like(value).unwrap_or_else(|| "<nil>".into()));
        if out.len() > RESULT_MAX {
            return Err(Trouble(format!("the result would be longer than {RESULT_MAX} bytes")));
        }
        Ok(())
    })?;
    Ok(Value::text(out))
}

fn split<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, delimiter) = (given.text(0)?, given.text(1)?);
    let owned = |part: &str| Value::text(part.to_owned());
    Ok(Value::List(match &*delimiter {
        "" => text.chars().map(|letter| Value::text(letter.to_string())).collect(),
        delimiter => text.split(delimiter).map(owned).collect(),
    }))
}

/// Never cuts a character in two, asked or not: OTLP's strings are UTF-8.
fn substring<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, start, length) = (given.text(0)?, given.int(1)?, given.int(2)?);
    let range = usize::try_from(start).ok().zip(usize::try_from(length).ok().filter(|length| *length > 0));
    let end = range.and_then(|(start, length)| start.checked_add(length)).filter(|end| *end <= text.len());
    let (Some((start, _)), Some(end)) = (range, end) else {
        return Err(Trouble(format!("{length} bytes from {start} are not in a string of {}", text.len())));
    };
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    let end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(end);
    Ok(Value::text(text.get(start..end).unwrap_or_default().to_owned()))
}

fn convert_case<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let case = given.text(1)?;
    cased(given, &case)
}

fn cased<'a>(given: &mut Given<'_, 'a>, case: &str) -> Result<Value<'a>, Trouble> {
    let text = given.text(0)?;
    Ok(Value::text(match case {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "snake" => words(&text).iter().map(|word| word.to_lowercase()).collect::<Vec<_>>().join("_"),
        _ => words(&text).iter().map(|word| capital(word)).collect(),
    }))
}

/// The words of a name: at `_`, `-`, `.` and blanks, and where a capital follows a small letter or ends a run
/// of capitals.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (nth, letter) in letters.iter().enumerate() {
        let before = nth.checked_sub(1).and_then(|at| letters.get(at));
        let behind = letters.get(nth + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|b| !b.is_uppercase() || (behind.is_some_and(|next| next.is_lowercase())));
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.push(*letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + &letters.as_str().to_lowercase()
}

fn trim<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, letters) = (given.text(0)?, given.text_or(1, " ")?);
    Ok(Value::text(text.trim_matches(|letter| letters.contains(letter)).to_owned()))
}
