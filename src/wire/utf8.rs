//! Is it UTF-8? Nearly every string in telemetry is short and ASCII: that answer is worked out inline,
//! eight or sixteen bytes at a time; only what is not ASCII is handed to a real validator.

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Whether `text` is valid UTF-8 (proto3 `string`).
#[inline(always)]
pub fn is_valid(text: &[u8]) -> bool {
    is_ascii(text) || is_valid_beyond_ascii(text)
}

#[cold]
#[inline(never)]
fn is_valid_beyond_ascii(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

#[inline(always)]
fn is_ascii(text: &[u8]) -> bool {
    // First and last word overlap when the length is no multiple: cheaper than a loop over the rest.
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let ends = u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last);
            let inner = if text.len() > 16 { high_bits_inside(text) } else { 0 };
            (ends | inner) & HIGH_BITS == 0
        }
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & HIGH_BITS as u32 == 0
            }
            _ => text.iter().all(u8::is_ascii),
        },
    }
}

#[inline(always)]
fn high_bits_inside(text: &[u8]) -> u64 {
    let (words, _) = text.as_chunks::<8>();
    words.iter().fold(0, |bits, word| bits | u64::from_ne_bytes(*word))
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
    fn other_scripts_are_valid_and_surrogates_are_not() {
        assert!(is_valid("платёж ✓ 支払い".as_bytes()));
        assert!(!is_valid(b"\xed\xa0\x80"));
        assert!(!is_valid(b"long enough for two words \xc3"));
    }
}
