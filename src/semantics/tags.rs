//! Tags, however they were written: an array, JSON in a string, a comma between them, one alone.
//!
//! The surprise: through baggage Python sends a list's repr (`['a', 'b,c']`), which servers split at its
//! commas. It is read here as the list it was, and marked, so that it can be mended on the wire too.

use std::borrow::Cow;

use super::{json, words};
use crate::wire::attr::Value;

/// Tags of one span or of a trace: each once, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags<'a> {
    pub list: Vec<Cow<'a, str>>,
    /// Beyond [`Tags::KEPT_MAX`].
    pub left_out: usize,
    /// Not written in a way that servers understand.
    pub odd: bool,
}

impl<'a> Tags<'a> {
    pub const KEPT_MAX: usize = 256;

    /// `None` of a value that holds none.
    pub fn read(value: Value<'a>) -> Option<Self> {
        let mut tags = Self::default();
        match value {
            Value::Array(_) => value.elements().filter_map(words::text).for_each(|tag| tags.add(tag)),
            Value::Str(_) => tags.add_written(value.text()?.trim()),
            _ => {}
        }
        (!tags.list.is_empty()).then_some(tags)
    }

    /// Adds one, unless it is there or says nothing.
    pub fn add(&mut self, tag: Cow<'a, str>) {
        if tag.is_empty() {
            return;
        }
        if self.list.len() >= Self::KEPT_MAX {
            self.left_out += usize::from(!self.list.contains(&tag));
        } else if !self.list.contains(&tag) {
            self.list.push(tag);
        }
    }

    pub fn append(&mut self, other: Self) {
        other.list.into_iter().for_each(|tag| self.add(tag));
        self.left_out += other.left_out;
    }

    fn add_written(&mut self, text: &'a str) {
        if text.starts_with('[') {
            if let Ok(list) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text) {
                return list.into_iter().for_each(|tag| self.add(json::plain(tag.get())));
            }
            if let Some(list) = python_list(text) {
                self.odd = true;
                return list.into_iter().for_each(|tag| self.add(Cow::Owned(tag)));
            }
        }
        text.split(',').for_each(|tag| self.add(Cow::Borrowed(tag.trim())));
    }
}

/// `['a', "b's"]`: strings alone, with Python's escapes. `None` of anything else.
fn python_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut list = Vec::new();
    while !rest.is_empty() {
        let (item, behind) = python_string(rest)?;
        list.push(item);
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(list)
}

/// The string at the beginning, and what is behind it.
fn python_string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut item = String::new();
    loop {
        match chars.next()? {
            '\\' => item.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'x' => code_point(&mut chars, 2)?,
                'u' => code_point(&mut chars, 4)?,
                'U' => code_point(&mut chars, 8)?,
                c @ ('\\' | '\'' | '"') => c,
                _ => return None,
            }),
            c if c == quote => return Some((item, chars.as_str())),
            c => item.push(c),
        }
    }
}

fn code_point(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let number = (0..digits).try_fold(0u32, |number, _| Some(number << 4 | chars.next()?.to_digit(16)?))?;
    char::from_u32(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_however_they_were_written() {
        let cases: &[(&str, &[&str])] = &[
            (r#"["a","b,c"]"#, &["a", "b,c"]),
            (r#"["a", 1, true]"#, &["a", "1", "true"]),
            ("['a', 'b,c']", &["a", "b,c"]),
            (r#"["it's", 'say "x"', 'back\\slash', '\xfc']"#, &["it's", "say \"x\"", "back\\slash", "ü"]),
            ("a, b ,a", &["a", "b"]),
            ("alone", &["alone"]),
            ("[broken, 'x", &["[broken", "'x"]),
        ];
        for (text, expect) in cases {
            let tags = Tags::read(Value::Str(text.as_bytes())).unwrap();
            assert_eq!(tags.list, *expect, "{text}");
            assert_eq!(tags.odd, text.contains('\'') && !text.starts_with("[broken"), "{text}");
        }
        for none in ["", "[]", " , "] {
            assert_eq!(Tags::read(Value::Str(none.as_bytes())), None, "{none}");
        }
    }

    #[test]
    fn ten_thousand_tags_are_bounded_and_the_rest_is_counted() {
        let text = (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let tags = Tags::read(Value::Str(text.as_bytes())).unwrap();
        assert_eq!((tags.list.len(), tags.left_out), (Tags::KEPT_MAX, 10_000 - Tags::KEPT_MAX));
    }
}
