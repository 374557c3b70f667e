//! Ids: from text or bytes, or new ones out of the randomness that the caller gives.

use ring::digest;

use super::{ANY, pure};
use crate::rules::functions::{Converter, Given, Parameter, must};
use crate::rules::render::hex;
use crate::rules::spots::{Home, Spot};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;
use crate::rules::writing;

const ONE: &[Parameter] = &[must("bytes|string|value|target", ANY)];

pub const CONVERTERS: &[Converter] = &[
    pure("TraceID", ONE, Types::BYTES, |given| id(given, 16)),
    pure("SpanID", ONE, Types::BYTES, |given| id(given, 8)),
    pure("ProfileID", ONE, Types::BYTES, |given| id(given, 16)),
    Converter { name: "UUID", parameters: &[], gives: Types::STR, is_constant: false, run: uuid },
    Converter { name: "UUIDv7", parameters: &[], gives: Types::STR, is_constant: false, run: uuid_v7 },
    Converter {
        name: "IsRootSpan",
        parameters: &[],
        gives: Types::BOOL,
        is_constant: false,
        run: is_root_span,
    },
];

fn id<'a>(given: &mut Given<'_, 'a>, size: usize) -> Result<Value<'a>, Trouble> {
    match given.value(0) {
        Value::Bytes(bytes) if bytes.len() == size => Ok(Value::Bytes(bytes)),
        Value::Bytes(bytes) => Err(Trouble(format!("an id of {size} bytes has not {}", bytes.len()))),
        Value::Str(text) => Ok(Value::Bytes(writing::id(&text, size)?.into())),
        other => Err(Trouble::wanted("bytes or a string", &other)),
    }
}

fn uuid<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    Ok(Value::text(written(fresh(given), 4)))
}

/// The first six bytes are milliseconds (RFC 9562, section 5.7).
fn uuid_v7<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let millis = (given.scene.frame.now / 1_000_000).to_be_bytes();
    let mut bytes = fresh(given);
    bytes.iter_mut().zip(millis.get(2..).unwrap_or_default()).for_each(|(byte, new)| *byte = *new);
    Ok(Value::text(written(bytes, 7)))
}

/// Each call on an item gets bytes of its own: the caller's, hashed with how often they were asked for.
fn fresh(given: &Given<'_, '_>) -> [u8; 16] {
    let drawn = given.scene.drawn.get();
    given.scene.drawn.set(drawn.wrapping_add(1));
    let mut seed = given.scene.frame.random.to_be_bytes().to_vec();
    seed.extend_from_slice(&drawn.to_be_bytes());
    let digest = digest::digest(&digest::SHA256, &seed);
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn written(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn is_root_span<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let parent = given.scene.read(Home::Item, Spot::Id(4, 8), &[])?;
    Ok(Value::Bool(matches!(parent, Value::Bytes(id) if id.iter().all(|byte| *byte == 0))))
}
