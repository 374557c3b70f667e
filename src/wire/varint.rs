//! Base-128 varints: at most ten bytes, over-long encodings accepted, overflow refused (conformance P08).

use super::Fault;

/// The longest encoding of 64 bits.
pub const LEN_MAX: usize = 10;

/// Takes one varint off the front of `rest`.
///
/// # Errors
/// [`Fault::Truncated`] when the bytes end in it, [`Fault::Varint`] when it does not fit 64 bits.
/// `rest` is left as it was.
#[inline(always)]
pub fn read(rest: &mut &[u8]) -> Result<u64, Fault> {
    match *rest {
        [byte, tail @ ..] if *byte < 0x80 => {
            *rest = tail;
            Ok(u64::from(*byte))
        }
        // Lengths of 128 to 16383 are what spans and their values have.
        [low, high, tail @ ..] if *high < 0x80 => {
            *rest = tail;
            Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
        }
        _ => read_long(rest),
    }
}

#[inline(never)]
fn read_long(rest: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0;
    for (i, &byte) in rest.iter().take(LEN_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            // The tenth byte holds the 64th bit and nothing else.
            if i + 1 == LEN_MAX && byte > 1 {
                return Err(Fault::Varint);
            }
            *rest = rest.get(i + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(if rest.len() < LEN_MAX { Fault::Truncated } else { Fault::Varint })
}

/// Bytes the shortest encoding of `value` takes: 1 to 10.
pub const fn len(value: u64) -> usize {
    // Every byte carries 7 bits; zero takes one byte all the same.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends the shortest encoding of `value`.
pub fn put(mut value: u64, out: &mut impl Extend<u8>) {
    while value >= 0x80 {
        out.extend([value as u8 | 0x80]);
        value >>= 7;
    }
    out.extend([value as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Result<u64, Fault>, left: usize) {
        let mut rest = bytes;
        assert_eq!(read(&mut rest), expect, "{bytes:02x?}");
        assert_eq!(rest.len(), left, "{bytes:02x?}");
    }

    #[test]
    fn every_length_reads_back_and_is_shortest() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(value, &mut bytes);
                assert_eq!(bytes.len(), len(value), "{value}");
                check(&bytes, Ok(value), 0);
            }
        }
    }

    #[test]
    fn overlong_is_read_and_overflow_is_not() {
        check(&[0x80, 0x00, 7], Ok(0), 1);
        check(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Ok(1), 0);
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX), 0);
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Err(Fault::Varint), 10);
        check(&[0x80; 11], Err(Fault::Varint), 11);
        check(&[0x80; 9], Err(Fault::Truncated), 9);
        check(&[], Err(Fault::Truncated), 0);
    }
}
