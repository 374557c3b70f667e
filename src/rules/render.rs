//! Values as text: Go's way with numbers, JSON for what has parts, base64 and hex for bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::civil;
use super::value::{LEVELS_MAX, Value};

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A float without an exponent, as short as it reads back: Go's format `f` with precision -1.
pub fn plain_float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".into(),
        _ if number.is_infinite() => if number > 0.0 { "+Inf" } else { "-Inf" }.into(),
        _ => number.to_string(),
    }
}

/// A float as JSON has it in Go: with an exponent when it is very large or very small.
fn json_float(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) || !number.is_finite() {
        return plain_float(number);
    }
    let text = format!("{number:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

/// The value as JSON; keys in order, as Go's maps are written.
pub fn json(value: &Value<'_>) -> String {
    let mut out = String::new();
    put_json(value, 0, &mut out);
    out
}

fn put_json(value: &Value<'_>, level: u32, out: &mut String) {
    match value.borrowed().open() {
        _ if level > LEVELS_MAX => out.push_str("null"),
        Value::Nil | Value::Any(_) | Value::Message(..) => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Double(number) => out.push_str(&json_float(number)),
        Value::Str(text) => put_string(&text, out),
        Value::Bytes(bytes) => put_string(&base64(&bytes), out),
        Value::Time(nanos) => put_string(&civil::rfc3339(nanos), out),
        Value::Duration(nanos) => out.push_str(&nanos.to_string()),
        Value::List(all) => {
            out.push('[');
            for (nth, one) in all.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                put_json(one, level + 1, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.entries().iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (nth, entry) in entries.into_iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                put_string(&entry.key, out);
                out.push(':');
                put_json(&entry.value, level + 1, out);
            }
            out.push('}');
        }
    }
}

/// A JSON string, quotes included.
pub fn put_string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (number, plain, json) in [
            (1.0, "1", "1"),
            (-0.5, "-0.5", "-0.5"),
            (1e21, "1000000000000000000000", "1e+21"),
            (1e-7, "0.0000001", "1e-7"),
            (0.0, "0", "0"),
        ] {
            assert_eq!((plain_float(number).as_str(), json_float(number).as_str()), (plain, json));
        }
    }

    #[test]
    fn keys_are_sorted_and_strings_escaped() {
        let map = [
            ("b".into(), Value::List(vec![Value::Nil, Value::Bool(true)])),
            ("a\n".into(), Value::text("\"ü\u{1}")),
        ];
        let map = Value::Map(map.into_iter().collect());
        assert_eq!(json(&map), r#"{"a\n":"\"ü\u0001","b":[null,true]}"#);
    }
}
