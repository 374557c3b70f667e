//! One row of comma-separated values.

use super::{TEXT, pure};
use crate::rules::functions::{Converter, Given, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[pure(
    "ParseCSV",
    &[
        must("target", TEXT),
        must("headers|header", TEXT),
        may("delimiter", TEXT),
        may("header_delimiter", TEXT),
        may("mode", Takes::Choice(&["strict", "lazyQuotes", "ignoreQuotes"])),
    ],
    Types::MAP,
    parse_csv,
)];

fn parse_csv<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (row, headers) = (given.text(0)?, given.text(1)?);
    let delimiter = given.text_or(2, ",")?;
    let header_delimiter = given.text_or(3, "")?;
    let mode = given.text_or(4, "strict")?;
    let delimiter = single(&delimiter)?;
    let header_delimiter = if header_delimiter.is_empty() { delimiter } else { single(&header_delimiter)? };
    let names: Vec<&str> = headers.split(header_delimiter).collect();
    let row = row.trim_matches(['\n', '\r']);
    let fields = match &*mode {
        "ignoreQuotes" => row.split(delimiter).map(str::to_owned).collect(),
        mode => fields(row, delimiter, mode == "lazyQuotes")?,
    };
    if fields.len() != names.len() {
        return Err(Trouble(format!("{} fields for {} headers", fields.len(), names.len())));
    }
    let pair = |(name, field): (&str, String)| (name.to_owned().into(), Value::text(field));
    Ok(Value::Map(names.into_iter().zip(fields).map(pair).collect()))
}

fn single(delimiter: &str) -> Result<char, Trouble> {
    let mut letters = delimiter.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(Trouble(format!("`{delimiter}` is no single character"))),
    }
}

/// As RFC 4180 has it; `lazy` lets quotes stand where they do not belong.
pub fn fields(row: &str, delimiter: char, lazy: bool) -> Result<Vec<String>, Trouble> {
    let mut fields = Vec::new();
    let mut letters = row.chars().peekable();
    loop {
        let mut field = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next() {
                    Some('"') if letters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') if letters.peek().is_none_or(|next| *next == delimiter) => break,
                    Some('"') if !lazy => return Err(Trouble::new("text behind a closing quote")),
                    Some(letter) => field.push(letter),
                    None if lazy => break,
                    None => return Err(Trouble::new("a quote that does not close")),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != delimiter) {
                if letter == '"' && !lazy {
                    return Err(Trouble::new("a quote in a field that does not begin with one"));
                }
                field.push(letter);
            }
        }
        fields.push(field);
        if letters.next().is_none() {
            return Ok(fields);
        }
    }
}
