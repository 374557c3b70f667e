//! OTLP/JSON to the same protobuf bytes, and back, streaming: the crates lose data here.
//!
//! [`to_protobuf`] reads the text once and writes one buffer; there is no tree of values in between.
//! What OTLP calls a field stands in one table per message ([`tables`]), used in both directions.
//! Unknown names are skipped, whatever their value. A mistake the protobuf walk can pin on one item (an id
//! of the wrong length, values nested too deep) is passed on for the walk to refuse that item alone;
//! any other mistake refuses the request, with path, line and column.

mod binary;
mod error;
mod from_protobuf;
mod number;
mod reader;
mod schema;
mod tables;
mod text;
mod to_protobuf;
mod writer;

use super::Signal;

pub use error::JsonError;

/// What is taken beyond the letter of the OTLP/JSON mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also accept enum names (`"SPAN_KIND_SERVER"`) and snake_case field names, as the Collector does
    /// (conformance J02, J04). Off by default.
    pub lenient: bool,
}

/// Transcodes an OTLP/JSON export request to protobuf bytes. The result never exceeds `max` bytes.
///
/// # Errors
/// [`JsonError`] says what is wrong and where; the request is the sender's to mend, a retry does not help.
pub fn to_protobuf(signal: Signal, json: &[u8], max: usize) -> Result<Vec<u8>, JsonError> {
    to_protobuf_with(signal, json, max, Options::default())
}

/// [`to_protobuf`], with `options`.
///
/// # Errors
/// As [`to_protobuf`].
pub fn to_protobuf_with(
    signal: Signal,
    json: &[u8],
    max: usize,
    options: Options,
) -> Result<Vec<u8>, JsonError> {
    to_protobuf_noting(signal, json, max, options).map(|transcoded| transcoded.body)
}

/// A JSON request as protobuf, and what was odd about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcoded {
    pub body: Vec<u8>,
    /// Names and enums taken although OTLP/JSON does not have them: see [`Options::lenient`].
    pub leniencies: u64,
    /// The first name that would be one of OTLP's in lowerCamelCase, and was passed over (conformance J04).
    pub misspelt: Option<String>,
}

/// [`to_protobuf_with`], saying also what was odd.
///
/// # Errors
/// As [`to_protobuf`].
pub fn to_protobuf_noting(
    signal: Signal,
    json: &[u8],
    max: usize,
    options: Options,
) -> Result<Transcoded, JsonError> {
    to_protobuf::transcode(tables::request(signal), json, max, options)
}

/// Writes an export request (walked before, so well formed) as OTLP/JSON. Unknown fields have no JSON name
/// and are left out. Bytes that can not be followed end the message they are in.
pub fn from_protobuf(signal: Signal, body: &[u8]) -> Vec<u8> {
    from_protobuf::transcode(tables::request(signal), body)
}

/// An `Export*ServiceResponse` as protobuf, read leniently; `None` when it can not be read. No larger than
/// its JSON.
pub(super) fn response_to_protobuf(signal: Signal, json: &[u8]) -> Option<Vec<u8>> {
    let lenient = Options { lenient: true };
    to_protobuf::transcode(tables::response(signal), json, json.len(), lenient).ok().map(|read| read.body)
}

/// AnyValue levels written or shown: two more than the walk accepts (conformance P11), so that the walk
/// sees a value that is too deep, and refuses its item alone, while deeper levels cost nothing.
const LEVELS_MAX: u32 = 32;

#[cfg(test)]
mod tests;
