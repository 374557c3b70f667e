//! Strings: where their plain stretches end, and their escapes both ways.
//!
//! Lone surrogates are refused (conformance J11): they have no UTF-8, and protobuf strings are UTF-8.

use super::error::{Outcome, mistake};

/// A string between its quotes, as it stands in the JSON.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
    /// Where `raw` begins in the request.
    pub at: usize,
}

impl Text<'_> {
    /// Appends the text meant.
    #[inline]
    pub fn decode_into(&self, out: &mut Vec<u8>) -> Outcome<()> {
        if self.escaped {
            return self.unescape_into(out);
        }
        out.extend_from_slice(self.raw);
        Ok(())
    }

    fn unescape_into(&self, out: &mut Vec<u8>) -> Outcome<()> {
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|&b| b == b'\\') {
            let (plain, escape) = rest.split_at(at);
            out.extend_from_slice(plain);
            let here = self.at + self.raw.len() - escape.len();
            let (c, len) = escape_value(escape)
                .ok_or_else(|| mistake(here, "an escape is not valid, or a surrogate stands alone"))?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = escape.get(len..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// The character an escape stands for, and the escape's length.
fn escape_value(escape: &[u8]) -> Option<(char, usize)> {
    let short = |c| Some((c, 2));
    match escape.get(1)? {
        b'"' => short('"'),
        b'\\' => short('\\'),
        b'/' => short('/'),
        b'b' => short('\u{8}'),
        b'f' => short('\u{c}'),
        b'n' => short('\n'),
        b'r' => short('\r'),
        b't' => short('\t'),
        b'u' => {
            let high = hex4(escape)?;
            if let Some(c) = char::from_u32(high) {
                return Some((c, 6));
            }
            let low = escape.get(6..).and_then(hex4)?;
            if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
                return None;
            }
            char::from_u32(0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00)).map(|c| (c, 12))
        }
        _ => None,
    }
}

/// The code unit in front of `escape`, which must read `\uXXXX`.
fn hex4(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

const EACH: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = EACH << 7;

/// How many bytes at the front are neither quote, backslash nor control character. Eight at a time: in
/// little-endian order the lowest set high bit of each test is exact, and the lowest is all we ask for.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = is(word, b'"') | is(word, b'\\') | below_space(word);
        if special != 0 {
            return i * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain = tail.iter().take_while(|&&b| b != b'"' && b != b'\\' && b >= b' ').count();
    words.len() * 8 + plain
}

#[inline]
const fn is(word: u64, byte: u8) -> u64 {
    let zeroed = word ^ (EACH * byte as u64);
    zeroed.wrapping_sub(EACH) & !zeroed & HIGH
}

#[inline]
const fn below_space(word: u64) -> u64 {
    word.wrapping_sub(EACH * b' ' as u64) & !word & HIGH
}

/// Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn put_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        put_escaped(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn put_escaped(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let (plain, rest) = text.split_at(plain_run(text));
        out.extend_from_slice(plain);
        let Some((&special, after)) = rest.split_first() else { return };
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        text = after;
    }
}
