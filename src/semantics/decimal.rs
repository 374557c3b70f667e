//! Money without rounding: a whole number and how many of its digits stand behind the point.
//!
//! Prices per token are tiny and sums are long, so a double would show `0.30000000000000004`. Nothing is
//! ever rounded: what does not fit is `None`. Enough for 10^10 USD in steps of 10^-27.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `mantissa / 10^scale`, without zeros at the end, so that equal numbers are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Not a decimal number, or one of too many digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number of at most {} digits", Decimal::DIGITS_MAX)]
pub struct NotADecimal;

impl Decimal {
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// Digits a number read from text may have, in front of and behind the point each.
    pub const DIGITS_MAX: u32 = 27;

    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The number that was written: a double holds any decimal of 15 digits, and its shortest form is it.
    pub fn from_f64(number: f64) -> Option<Self> {
        format!("{number:e}").parse().ok()
    }

    /// The nearest double, to be written as an attribute.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(0.0)
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Some(Self { mantissa: self.at(scale)?.checked_add(other.at(scale)?)?, scale }.plain())
    }

    pub fn times(self, count: u64) -> Option<Self> {
        Some(Self { mantissa: self.mantissa.checked_mul(i128::from(count))?, ..self }.plain())
    }

    /// The mantissa with `scale` digits behind the point, which are no fewer than there are.
    fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    fn plain(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self { mantissa: i128::from(number), scale: 0 }
    }
}

impl FromStr for Decimal {
    type Err = NotADecimal;

    /// As JSON writes numbers: `12`, `-0.5`, `1.5e-7`; also with a plus.
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| NotADecimal)?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || digits.ends_with('.') || digits.len() > 64 {
            return Err(NotADecimal);
        }
        let mut mantissa = 0i128;
        for digit in whole.bytes().chain(behind.bytes()) {
            let digit = char::from(digit).to_digit(10).ok_or(NotADecimal)?;
            mantissa =
                mantissa.checked_mul(10).and_then(|m| m.checked_add(digit.into())).ok_or(NotADecimal)?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        let scale = i64::try_from(behind.len()).map_err(|_| NotADecimal)? - i64::from(exponent);
        Self::scaled(mantissa, scale).ok_or(NotADecimal)
    }
}

impl Decimal {
    fn scaled(mantissa: i128, scale: i64) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        let number = match u32::try_from(scale) {
            Ok(scale) if scale <= 128 => Self { mantissa, scale }.plain(),
            Ok(_) => return None,
            Err(_) => {
                let power = 10i128.checked_pow(u32::try_from(scale.unsigned_abs()).ok()?)?;
                Self { mantissa: mantissa.checked_mul(power)?, scale: 0 }
            }
        };
        let most = 10i128.checked_pow(Self::DIGITS_MAX)?;
        (number.scale <= Self::DIGITS_MAX && number.mantissa.abs() < most).then_some(number)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.at(scale), other.at(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Whose whole part does not fit is the one further from zero.
            (None, _) => self.mantissa.cmp(&0),
            (_, None) => 0.cmp(&other.mantissa),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, behind) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{behind}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_read_as_json_writes_them_and_print_plainly() {
        let cases = [
            ("0", "0"),
            ("-0", "0"),
            ("12", "12"),
            ("0.50", "0.5"),
            ("1.5e-7", "0.00000015"),
            ("5E-7", "0.0000005"),
            ("1e3", "1000"),
            ("-2.25e-5", "-0.0000225"),
            ("100", "100"),
            ("+3", "3"),
            ("0e999999", "0"),
        ];
        for (text, expect) in cases {
            assert_eq!(decimal(text).to_string(), expect, "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", ".", "1.", ".5", "1e", "0x1", "NaN", "inf", "1e99", "1e-99", "1 ", "--1", "٣"] {
            assert_eq!(text.parse::<Decimal>(), Err(NotADecimal), "{text}");
        }
        assert_eq!("9".repeat(28).parse::<Decimal>(), Err(NotADecimal));
    }

    #[test]
    fn sums_do_not_drift() {
        let tenth = decimal("0.1");
        let sum = (0..10).try_fold(Decimal::ZERO, |sum, _| sum.checked_add(tenth)).unwrap();
        assert_eq!(sum, decimal("1"));
        assert_eq!(decimal("0.00000015").times(20), Some(decimal("0.000003")));
    }

    #[test]
    fn a_double_reads_as_the_number_that_was_written() {
        for (number, expect) in [(2.25e-5, "0.0000225"), (0.1, "0.1"), (3.0, "3"), (-1.5, "-1.5")] {
            assert_eq!(Decimal::from_f64(number), Some(decimal(expect)));
            assert_eq!(decimal(expect).to_f64(), number);
        }
        assert_eq!(Decimal::from_f64(f64::NAN), None);
        assert_eq!(Decimal::from_f64(f64::INFINITY), None);
        assert_eq!(Decimal::from_f64(1e300), None);
    }

    #[test]
    fn what_does_not_fit_is_none_and_order_holds() {
        let most = decimal(&"9".repeat(27));
        assert_eq!(most.times(u64::MAX), None);
        assert_eq!(most.checked_add(decimal("1e-27")), None);
        assert!(most > decimal("1e-27") && decimal("1e-27") < most && decimal("-1") < Decimal::ZERO);
    }
}
