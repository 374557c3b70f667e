//! Numbers as the proto3 JSON mapping has them: integers also as `1e3` or `2.0`, doubles also as `NaN`,
//! `Infinity` and `-Infinity` (conformance J05, J07). What does not fit its field is refused, not rounded.

use super::reader::is_number;

/// Reads a number token as an integer between `min` and `max`.
///
/// # Errors
/// A sentence: not an integer, or out of range.
#[inline]
pub(super) fn integer(token: &[u8], min: i128, max: i128) -> Result<i128, &'static str> {
    let value = match plain_digits(token) {
        Some(value) => i128::from(value),
        None => scaled(token)?,
    };
    if (min..=max).contains(&value) { Ok(value) } else { Err("the number does not fit the field") }
}

/// Up to 19 digits and nothing else: every timestamp and nearly every count.
#[inline]
fn plain_digits(token: &[u8]) -> Option<u64> {
    if token.is_empty() || token.len() > 19 || (token.len() > 1 && token.first() == Some(&b'0')) {
        return None;
    }
    token.iter().try_fold(0u64, |value, &byte| {
        byte.is_ascii_digit().then(|| value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
    })
}

/// Signs, fractions and exponents. Loops at most 39 times: an i128 has no more digits.
fn scaled(token: &[u8]) -> Result<i128, &'static str> {
    const NOT_WHOLE: &str = "the field takes whole numbers only";
    const TOO_LARGE: &str = "the number does not fit the field";
    if !is_number(token) {
        return Err("the text is not a number");
    }
    let split = token.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(token.len());
    let (mantissa, exponent) = token.split_at_checked(split).unwrap_or((token, &[]));
    let mut value: i128 = 0;
    let mut scale: i64 = 0;
    let mut in_fraction = false;
    for &byte in mantissa {
        match byte {
            b'.' => in_fraction = true,
            b'0'..=b'9' => {
                let grown = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(byte - b'0')));
                value = grown.ok_or(TOO_LARGE)?;
                scale -= i64::from(in_fraction);
            }
            _ => {}
        }
    }
    scale = scale.saturating_add(exponent_value(exponent));
    while scale < 0 && value != 0 {
        if value % 10 != 0 {
            return Err(NOT_WHOLE);
        }
        value /= 10;
        scale += 1;
    }
    while scale > 0 && value != 0 {
        value = value.checked_mul(10).ok_or(TOO_LARGE)?;
        scale -= 1;
    }
    Ok(if token.first() == Some(&b'-') { -value } else { value })
}

/// What follows the mantissa: empty, or `e`, a sign, digits. Saturates.
fn exponent_value(exponent: &[u8]) -> i64 {
    let digits = exponent.iter().filter(|b| b.is_ascii_digit());
    let size =
        digits.fold(0i64, |value, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if exponent.contains(&b'-') { -size } else { size }
}

/// Reads a number token as a double.
///
/// # Errors
/// A sentence: no number, or beyond what a double holds.
pub(super) fn double(token: &[u8]) -> Result<f64, &'static str> {
    let number = std::str::from_utf8(token).ok().filter(|t| is_number(t.as_bytes()));
    let value = number.and_then(|t| t.parse::<f64>().ok()).ok_or("the text is not a number")?;
    if value.is_finite() { Ok(value) } else { Err("the number does not fit a double") }
}

/// Reads the text of a string as a double: a number, or one of the three names.
///
/// # Errors
/// As [`double`].
pub(super) fn double_text(text: &[u8]) -> Result<f64, &'static str> {
    match text {
        b"NaN" => Ok(f64::NAN),
        b"Infinity" => Ok(f64::INFINITY),
        b"-Infinity" => Ok(f64::NEG_INFINITY),
        number => double(number),
    }
}

/// Appends a double as JSON, shortest form that reads back the same.
pub(super) fn put_double(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        out.extend_from_slice(format!("{value:?}").as_bytes());
    }
}
