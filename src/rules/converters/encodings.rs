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
        variant => {
            engine(variant).decode(bytes).map_err(|error| Trouble(format!("not {variant}: {error}")))?
        }
    };
    String::from_utf8(bytes).map(Value::text).map_err(|_| Trouble::new("what was decoded is no text"))
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
