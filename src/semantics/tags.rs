//! Tags as SDKs write them: a list, a JSON list, a Python list's `repr`, or words between commas.
//!
//! The `repr` is a known fault of the Python SDKs: tags that travel as baggage (`as_baggage=True`) arrive
//! as the text `['a', 'b,c']`, of which servers make the tags `['a'`, `'b` and `c']`. It is read for what
//! was meant, and marked as odd, so that it can be mended on the wire too.

use std::borrow::Cow;

use crate::wire::attr::Value;

/// Tags read of one value at most; what is beyond stays where it is, and is counted.
pub const TAGS_MAX: usize = 100;
/// Texts longer than this are not taken apart.
const TEXT_MAX: usize = 64 << 10;

/// The tags of one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags<'a> {
    pub list: Vec<Cow<'a, str>>,
    /// Not said in a way that servers understand.
    pub odd: bool,
    /// Tags beyond [`TAGS_MAX`], and elements that are no text.
    pub left_out: usize,
}

/// Reads tags as Langfuse's server does (list, JSON list, comma, single), and the `repr` besides.
pub fn read(value: Value<'_>) -> Tags<'_> {
    match value {
        Value::Array(_) => of_elements(value),
        Value::Str(text) => std::str::from_utf8(text).map(of_text).unwrap_or_default(),
        _ => Tags::default(),
    }
}

fn of_elements(array: Value<'_>) -> Tags<'_> {
    let mut tags = Tags::default();
    for element in array.elements() {
        match element.text() {
            Some(tag) if tags.list.len() < TAGS_MAX => tags.list.push(Cow::Borrowed(tag)),
            _ => tags.left_out += 1,
        }
    }
    tags
}

fn of_text(text: &str) -> Tags<'_> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Tags::default();
    }
    if trimmed.len() > TEXT_MAX {
        return Tags { left_out: 1, ..Tags::default() };
    }
    if trimmed.starts_with('[') {
        if let Ok(list) = serde_json::from_str::<Vec<String>>(trimmed) {
            return capped(list.into_iter().map(Cow::Owned), false);
        }
        if let Some(list) = of_repr(trimmed) {
            return capped(list.into_iter().map(Cow::Owned), true);
        }
    }
    capped(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(Cow::Borrowed), false)
}

fn capped<'a>(all: impl Iterator<Item = Cow<'a, str>>, odd: bool) -> Tags<'a> {
    let mut tags = Tags { odd, ..Tags::default() };
    for tag in all {
        if tags.list.len() < TAGS_MAX { tags.list.push(tag) } else { tags.left_out += 1 }
    }
    tags
}

/// The strings of a Python list's `repr`; `None` when it is anything else.
fn of_repr(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut list = Vec::new();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (word, behind) = quoted(rest.get(1..)?, quote)?;
        list.push(word);
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(list)
}

/// A Python string literal up to its closing quote, and what is behind it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((word, text.get(at + 1..)?)),
            '\\' => word.push(escaped(&mut chars)?),
            c => word.push(c),
        }
    }
    None
}

/// The character an escape stands for (Python, "String and Bytes literals").
fn escaped(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let digits = match chars.next()?.1 {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        c @ ('\\' | '\'' | '"') => return Some(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, odd: bool, expect: &[&str]) {
        let tags = read(Value::Str(text.as_bytes()));
        assert_eq!(
            (tags.list.as_slice(), tags.odd),
            (expect.iter().map(|t| Cow::Borrowed(*t)).collect::<Vec<_>>().as_slice(), odd),
            "{text}"
        );
    }

    #[test]
    fn text_is_read_as_the_server_does() {
        check("a, b", false, &["a", "b"]);
        check("single", false, &["single"]);
        check(r#"["a", "b,c"]"#, false, &["a", "b,c"]);
        check("", false, &[]);
        check("[a, b", false, &["[a", "b"]);
    }

    #[test]
    fn a_python_repr_is_read_for_what_was_meant() {
        check("['a', 'b,c']", true, &["a", "b,c"]);
        check(r#"['it\'s', "it's", 'tab\t', '\xfc\u263a']"#, true, &["it's", "it's", "tab\t", "ü☺"]);
        check("['open", false, &["['open"]);
        check("['a' 'b']", false, &["['a' 'b']"]);
    }

    #[test]
    fn a_list_is_bounded_and_what_is_no_text_is_counted() {
        let mut array = Vec::new();
        for n in 0..10_000 {
            crate::wire::fields::put_len_field(1, &[0x0a, 1, b'a' + (n % 26) as u8], &mut array);
        }
        crate::wire::fields::put_len_field(1, &[0x18, 1], &mut array);
        let tags = read(Value::Array(&array));
        assert_eq!((tags.list.len(), tags.left_out), (TAGS_MAX, 10_001 - TAGS_MAX));
    }
}
