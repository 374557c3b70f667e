//! `k1=v1 k2=v2`, read and written.

use super::{BOOL, MAP, TEXT, pure, string_like};
use crate::rules::functions::{Converter, Given, may, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[
    pure(
        "ParseKeyValue",
        &[must("target", TEXT), may("delimiter", TEXT), may("pair_delimiter", TEXT)],
        Types::MAP,
        parse,
    ),
    pure(
        "ToKeyValueString",
        &[must("target", MAP), may("delimiter", TEXT), may("pair_delimiter", TEXT), may("sort_output", BOOL)],
        Types::STR,
        write,
    ),
];

fn delimiters<'a>(given: &mut Given<'_, 'a>) -> Result<(String, String), Trouble> {
    let (delimiter, between) = (given.text_or(1, "=")?.into_owned(), given.text_or(2, " ")?.into_owned());
    match delimiter.is_empty() || between.is_empty() || delimiter == between {
        true => Err(Trouble::new("the delimiters must differ, and not be empty")),
        false => Ok((delimiter, between)),
    }
}

fn parse<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, (delimiter, between)) = (given.text(0)?, delimiters(given)?);
    if text.is_empty() {
        return Err(Trouble::new("an empty string has no pairs"));
    }
    let mut map = Map::default();
    for pair in unquoted_parts(&text, &between)? {
        let Some((key, value)) = pair.split_once(&delimiter) else {
            return Err(Trouble(format!("`{pair}` is no pair with `{delimiter}` in it")));
        };
        map.set(key.trim().to_owned(), Value::text(value.trim().to_owned()));
    }
    Ok(Value::Map(map))
}

/// What stands between `delimiter`s outside quotes, without the quotes; empty parts are left out.
fn unquoted_parts(text: &str, delimiter: &str) -> Result<Vec<String>, Trouble> {
    let (mut parts, mut part, mut quote) = (Vec::new(), String::new(), None);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let (None, Some(tail)) = (quote, rest.strip_prefix(delimiter)) {
            parts.push(std::mem::take(&mut part));
            rest = tail;
            continue;
        }
        match quote {
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            Some(open) if open == letter => quote = None,
            _ => part.push(letter),
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    if quote.is_some() {
        return Err(Trouble::new("a quote that does not close"));
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

fn write<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let Value::Map(map) = given.value(0) else { return Err(Trouble::new("wanted a map")) };
    let ((delimiter, between), sorted) = (delimiters(given)?, given.truth(3));
    let safe = |text: String| {
        let quotes = text.contains(&delimiter) || text.contains(&between) || text.contains('"');
        if quotes { format!("\"{}\"", text.replace('"', "\\\"")) } else { text }
    };
    let mut pairs: Vec<(String, String)> = map
        .into_detached()
        .into_iter()
        .map(|entry| (entry.key.into_owned(), string_like(entry.value).unwrap_or_default().into_owned()))
        .collect();
    if sorted {
        pairs.sort();
    }
    let pairs = pairs.into_iter().map(|(key, value)| format!("{}{delimiter}{}", safe(key), safe(value)));
    Ok(Value::text(pairs.collect::<Vec<_>>().join(&between)))
}
