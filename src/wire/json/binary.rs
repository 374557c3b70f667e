//! Ids in hex, other bytes in base64 (conformance J01, J06).

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding may be there or not; senders do both.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL_ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// What stands for an id that is not hex: one byte, a length no id has, so that the walk refuses the item
/// it belongs to and nothing else.
const NOT_AN_ID: &[u8] = b"?";

/// Appends the bytes of a hex id, in either case. An id of another length is written as it is, one that
/// is not hex as a single byte: the walk knows what the item is and refuses it alone.
///
/// # Errors
/// The id is base64: a mistake of the sender's library, in every id it sends.
#[inline]
pub(super) fn put_hex_id(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let start = out.len();
    let (pairs, odd) = text.as_chunks::<2>();
    let mut wrong = u8::from(!odd.is_empty());
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (nibble(*high), nibble(*low));
        wrong |= (high | low) & !0xf;
        high << 4 | low
    }));
    if wrong == 0 {
        return Ok(());
    }
    out.truncate(start);
    if is_base64_id(text) {
        return Err(
            "the id looks like base64; OTLP/JSON ids are hex (32 characters for a traceId, 16 for a spanId)",
        );
    }
    out.extend_from_slice(NOT_AN_ID);
    Ok(())
}

/// The value of a hex digit; above 15 for anything else.
#[inline]
const fn nibble(digit: u8) -> u8 {
    NIBBLES[digit as usize]
}

/// Looked up, since guessing between digits and letters costs more than the rest of reading an id.
static NIBBLES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// 16 bytes take 24 characters, or 22 without padding; 8 bytes take 12 or 11.
fn is_base64_id(text: &[u8]) -> bool {
    let mut id = Vec::new();
    matches!(text.len(), 24 | 22 | 12 | 11) && put_base64_decoded(text, &mut id) && matches!(id.len(), 8 | 16)
}

/// Appends what `text` encodes, in the standard or the URL-safe alphabet; `false` if it is neither.
pub(super) fn put_base64_decoded(text: &[u8], out: &mut Vec<u8>) -> bool {
    let url_safe = text.iter().any(|b| matches!(b, b'-' | b'_'));
    let engine = if url_safe { &URL_ENGINE } else { &STANDARD_ENGINE };
    let start = out.len();
    let done = engine.decode_vec(text, out).is_ok();
    if !done {
        out.truncate(start);
    }
    done
}

/// Appends `bytes` as standard base64, padded.
pub(super) fn put_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANDARD_ENGINE.encode(bytes).as_bytes());
}

/// Appends `bytes` as lower-case hex.
pub(super) fn put_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}
