//! Base64 and hexadecimal.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::{ANY, TEXT, pure};
use crate::rules::functions::{Converter, Given, Takes, may, must};
use crate::rules::render::hex;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const VARIANTS: Takes = Takes::Choice(&["base64", "base64-raw", "base64-url", "base64-raw-url"]);
const ENCODINGS: Takes = Takes::Choice(&[
    "base64",
    "base64-raw",
    "base64-url",
    "base64-raw-url",
    "utf-8",
    "us-ascii",
    "iso-8859-1",
    "windows-1252",
    "utf-16",
    "utf-16le",
    "utf-16be",
]);

pub const CONVERTERS: &[Converter] = &[
    pure("Base64Encode", &[must("value|target", TEXT), may("variant", VARIANTS)], Types::STR, |given| {
        let (text, variant) = (given.text(0)?, given.text_or(1, "base64")?);
        Ok(Value::text(engine(&variant).encode(text.as_bytes())))
    }),
    pure("Base64Decode", &[must("value|target", TEXT)], Types::STR, |given| {
        let text = given.text(0)?;
        decoded(text.as_bytes(), "base64")
    }),
    pure(
        "Decode",
        &[must("value|target", Takes::Value(Types::STR.or(Types::BYTES))), must("encoding", ENCODINGS)],
        Types::STR,
        |given| {
            let encoding = given.text(1)?;
            match given.value(0) {
                Value::Str(text) => decoded(text.as_bytes(), &encoding),
                Value::Bytes(bytes) => decoded(&bytes, &encoding),
                other => Err(Trouble::wanted("a string or bytes", &other)),
            }
        },
    ),
    pure("Hex", &[must("value|target", ANY)], Types::STR.or(Types::NIL), hexed),
];

fn engine(variant: &str) -> &'static GeneralPurpose {
    match variant {
        "base64-raw" => &STANDARD_NO_PAD,
        "base64-url" => &URL_SAFE,
        "base64-raw-url" => &URL_SAFE_NO_PAD,
        _ => &STANDARD,
    }
}

/// Only what is text: OTLP's strings are UTF-8.
fn decoded<'a>(bytes: &[u8], encoding: &str) -> Result<Value<'a>, Trouble> {
    let bytes = match encoding {
        "utf-8" | "us-ascii" => bytes.to_vec(),
        "iso-8859-1" => {
            return Ok(Value::text(bytes.iter().map(|byte| char::from(*byte)).collect::<String>()));
        }
        "windows-1252" => {
            return Ok(Value::text(bytes.iter().map(|byte| windows_1252(*byte)).collect::<String>()));
        }
        "utf-16" | "utf-16le" | "utf-16be" => return utf_16(bytes, encoding),
        variant => {
            engine(variant).decode(bytes).map_err(|error| Trouble(format!("not {variant}: {error}")))?
        }
    };
    String::from_utf8(bytes).map(Value::text).map_err(|_| Trouble::new("what was decoded is no text"))
}

/// Latin-1 with letters and signs where that has control characters.
fn windows_1252(byte: u8) -> char {
    const OTHERS: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let other = byte.checked_sub(0x80).and_then(|at| OTHERS.get(usize::from(at)));
    other.copied().unwrap_or(char::from(byte))
}

/// The order of the bytes is the mark's at the beginning, or the higher first.
fn utf_16<'a>(bytes: &[u8], encoding: &str) -> Result<Value<'a>, Trouble> {
    let (little, bytes) = match (encoding, bytes) {
        ("utf-16", [0xff, 0xfe, rest @ ..]) => (true, rest),
        ("utf-16", [0xfe, 0xff, rest @ ..]) => (false, rest),
        (encoding, bytes) => (encoding == "utf-16le", bytes),
    };
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units =
        pairs.iter().map(|pair| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
    let text: Option<String> = char::decode_utf16(units).map(Result::ok).collect();
    match text.filter(|_| odd.is_empty()) {
        Some(text) => Ok(Value::text(text)),
        None => Err(Trouble(format!("not {encoding}"))),
    }
}

/// Numbers by their eight bytes, the highest first.
fn hexed<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(Value::text(match given.value(0) {
        Value::Int(number) => hex(&number.to_be_bytes()),
        Value::Double(number) => hex(&number.to_be_bytes()),
        Value::Bool(truth) => hex(&[u8::from(truth)]),
        Value::Str(text) => hex(text.as_bytes()),
        Value::Bytes(bytes) => hex(&bytes),
        _ => return Ok(Value::Nil),
    }))
}
