//! Is it UTF-8? Nearly every string in telemetry is short and ASCII: that answer is worked out inline,
//! eight or sixteen bytes at a time; what is long or not ASCII is handed to a real validator, which takes as many at once
//! as the processor can.

/// From here on a call costs less than it spares: texts of prompts and answers, not of names.
const LONG: usize = 512;
const HIGH_BITS: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;

/// Whether `text` is valid UTF-8 (proto3 `string`).
#[inline(always)]
pub fn is_valid(text: &[u8]) -> bool {
    (text.len() < LONG && is_ascii(text)) || is_valid_by_library(text)
}

#[cold]
#[inline(never)]
fn is_valid_by_library(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// Whether no byte has its high bit set.
#[inline(always)]
pub fn is_ascii(text: &[u8]) -> bool {
    // First and last word overlap when the length is no multiple: cheaper than a loop over the rest.
    if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        let ends = u128::from_ne_bytes(*first) | u128::from_ne_bytes(*last);
        let inner = if text.len() > 32 { bits_inside(text) } else { 0 };
        return (ends | inner) & HIGH_BITS == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH_BITS as u64 == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & HIGH_BITS as u32 == 0;
    }
    text.iter().all(u8::is_ascii)
}

/// All whole words but the first, which the caller has seen.
#[inline(always)]
fn bits_inside(text: &[u8]) -> u128 {
    let (words, _) = text.as_chunks::<16>();
    let mut bits = 0;
    if let [_, words @ ..] = words {
        for word in words {
            bits |= u128::from_ne_bytes(*word);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_std_at_every_length_and_position() {
        for len in 0..70 {
            let mut text = vec![b'a'; len];
            assert!(is_valid(&text));
            for at in 0..len {
                for odd in [0x80, 0xc3, 0xff] {
                    text[at] = odd;
                    assert_eq!(is_valid(&text), std::str::from_utf8(&text).is_ok(), "{len} {at} {odd:x}");
                }
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn a_long_text_is_seen_to_its_last_byte() {
        for len in [LONG - 1, LONG, LONG + 1, 3 * LONG] {
            let mut text = vec![b'a'; len];
            assert!(is_valid(&text));
            for at in 0..len {
                text[at] = 0x80;
                assert!(!is_valid(&text), "{len} {at}");
                text[at] = b'a';
            }
            text[len - 2..].copy_from_slice("é".as_bytes());
            assert!(is_valid(&text));
        }
    }

    #[test]
    fn other_scripts_are_valid_and_surrogates_are_not() {
        assert!(is_valid("платёж ✓ 支払い".as_bytes()));
        assert!(!is_valid(b"\xed\xa0\x80"));
        assert!(!is_valid(b"long enough for two words \xc3"));
    }
}
