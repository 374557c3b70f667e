//! `Format` and `ParseInt`: Go's ways with `%…` and with digits.
//!
//! Of Go's verbs there are `%d %s %v %q %x %X %o %b %c %f %F %e %E %g %G %t %%` with flags, width and precision. What
//! does not fit is written into the result as Go does (`%!d(string=x)`), not refused.

use super::{INT, LIST, TEXT, pure, string_like};
use crate::rules::editors::RESULT_MAX;
use crate::rules::functions::{Converter, Given, must};
use crate::rules::render::{self, hex};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[
    pure("Format", &[must("format_string", TEXT), must("format_arguments|args", LIST)], Types::STR, format),
    pure("ParseInt", &[must("target", TEXT), must("base", INT)], Types::INT, parse_int),
];

/// Wider than this nothing is made.
const WIDTH_MAX: usize = 1024;

#[derive(Default)]
struct Verb {
    left: bool,
    plus: bool,
    zero: bool,
    blank: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

fn format<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, arguments) = (given.text(0)?, given.list(1)?);
    let mut arguments = arguments.into_iter();
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if out.len() > RESULT_MAX {
            return Err(Trouble(format!("the result would be longer than {RESULT_MAX} bytes")));
        }
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let verb = verb(&mut letters);
        match letters.next() {
            Some('%') => out.push('%'),
            None => out.push_str("%!(NOVERB)"),
            Some(letter) => match arguments.next() {
                None => out.push_str(&format!("%!{letter}(MISSING)")),
                Some(value) => out.push_str(&verb.written(letter, value.open())),
            },
        }
    }
    let extra: Vec<String> = arguments.map(|value| shown(&value.open())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(Value::text(out))
}

fn verb(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Verb {
    let mut verb = Verb::default();
    while let Some(flag) = letters.next_if(|letter| "-+0 #".contains(*letter)) {
        match flag {
            '-' => verb.left = true,
            '+' => verb.plus = true,
            '0' => verb.zero = true,
            ' ' => verb.blank = true,
            _ => verb.sharp = true,
        }
    }
    let number = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut digits = String::new();
        while let Some(digit) = letters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse::<usize>().ok().map(|number| number.min(WIDTH_MAX))
    };
    verb.width = number(letters);
    if letters.next_if_eq(&'.').is_some() {
        verb.precision = Some(number(letters).unwrap_or(0));
    }
    verb
}

/// `type=value`, as Go shows what it can not format.
fn shown(value: &Value<'_>) -> String {
    let kind = match value {
        Value::Nil | Value::Any(_) | Value::Message(..) => return "<nil>".into(),
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Double(_) => "float64",
        Value::Str(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::Time(_) => "time.Time",
        Value::Duration(_) => "time.Duration",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    };
    format!("{kind}={}", string_like(value.clone()).unwrap_or_default())
}

impl Verb {
    fn written(&self, letter: char, value: Value<'_>) -> String {
        let bad = || format!("%!{letter}({})", shown(&value));
        let text = match (letter, &value) {
            ('v', Value::Int(number)) | ('d', Value::Int(number)) => {
                return self.number(*number < 0, &number.unsigned_abs().to_string());
            }
            ('x', Value::Int(number)) => {
                return self.number(*number < 0, &format!("{:x}", number.unsigned_abs()));
            }
            ('X', Value::Int(number)) => {
                return self.number(*number < 0, &format!("{:X}", number.unsigned_abs()));
            }
            ('o', Value::Int(number)) => {
                return self.number(*number < 0, &format!("{:o}", number.unsigned_abs()));
            }
            ('b', Value::Int(number)) => {
                return self.number(*number < 0, &format!("{:b}", number.unsigned_abs()));
            }
            ('c', Value::Int(number)) => {
                u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
            }
            ('f' | 'F', Value::Double(number)) => {
                return self.number(
                    number.is_sign_negative(),
                    &format!("{:.*}", self.precision.unwrap_or(6), number.abs()),
                );
            }
            ('e' | 'E', Value::Double(number)) => {
                let text = exponent(&format!("{:.*e}", self.precision.unwrap_or(6), number.abs()));
                return self.number(number.is_sign_negative(), &cased(letter, text));
            }
            ('g' | 'G' | 'v', Value::Double(number)) => {
                let size = number.abs();
                let small = size == 0.0 || (1e-4..1e21).contains(&size) || !size.is_finite();
                let text = if small { render::plain_float(size) } else { exponent(&format!("{size:e}")) };
                return self.number(number.is_sign_negative(), &cased(letter, text));
            }
            ('t' | 'v', Value::Bool(truth)) => truth.to_string(),
            ('s' | 'v', Value::Nil) => {
                if letter == 'v' {
                    "<nil>".into()
                } else {
                    format!("%!{letter}(<nil>)")
                }
            }
            ('q', Value::Str(text)) => format!("{text:?}"),
            ('x', Value::Str(text)) => hex(text.as_bytes()),
            ('X', Value::Str(text)) => hex(text.as_bytes()).to_uppercase(),
            ('x', Value::Bytes(bytes)) => hex(bytes),
            (
                's' | 'v',
                Value::Str(_)
                | Value::Bytes(_)
                | Value::List(_)
                | Value::Map(_)
                | Value::Time(_)
                | Value::Duration(_),
            ) => {
                let text = string_like(value.clone()).unwrap_or_default();
                text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
            }
            _ => bad(),
        };
        self.padded(text)
    }

    fn number(&self, minus: bool, digits: &str) -> String {
        let sign = match (minus, self.plus, self.blank) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let room = self.width.unwrap_or(0).saturating_sub(sign.len());
        match self.zero && !self.left {
            true => format!("{sign}{digits:0>room$}"),
            false => self.padded(format!("{sign}{digits}")),
        }
    }

    fn padded(&self, text: String) -> String {
        let width = self.width.unwrap_or(0);
        if self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

fn cased(letter: char, text: String) -> String {
    if letter.is_uppercase() { text.to_uppercase() } else { text }
}

/// `1e5` as Go writes it: `1e+05`.
fn exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn parse_int<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, base) = (given.text(0)?, given.int(1)?);
    let bad =
        || Trouble(format!("`{}` is no integer of base {base}", text.chars().take(64).collect::<String>()));
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixed = |digits: &str| {
        let lower = digits.to_ascii_lowercase();
        let prefixes = [("0b", 2), ("0o", 8), ("0x", 16), ("0", 8)];
        let found =
            prefixes.into_iter().find(|(prefix, _)| lower.starts_with(prefix) && lower.len() > prefix.len());
        let (prefix, base) = found.unwrap_or(("", 10));
        (lower.get(prefix.len()..).unwrap_or_default().replace('_', ""), base)
    };
    let (digits, radix) = match base {
        0 => prefixed(digits),
        2..=36 => (digits.to_owned(), base as u32),
        _ => return Err(Trouble(format!("{base} is no base; there are 0 and 2 to 36"))),
    };
    if digits.starts_with(['+', '-']) {
        return Err(bad());
    }
    let number = i128::from_str_radix(&digits, radix).map_err(|_| bad())?;
    i64::try_from(if minus { -number } else { number }).map(Value::Int).map_err(|_| bad())
}
