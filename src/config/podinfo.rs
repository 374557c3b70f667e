//! One entry of a file of Kubernetes' downward API: labels or annotations as `key="value"` lines, the value quoted
//! as Go quotes.

use crate::model::nearest::did_you_mean;

/// The value of `key`; `None` if the file does not have it.
///
/// # Errors
/// A line before it, or its own, is no such line.
pub fn find(text: &str, key: &str) -> Result<Option<String>, String> {
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let (name, quoted) =
            line.split_once('=').ok_or_else(|| format!("line {number}: not like `key=\"value\"`"))?;
        if name == key {
            return unquoted(quoted.trim_end())
                .map(Some)
                .ok_or_else(|| format!("line {number}: the value is not quoted as Kubernetes quotes"));
        }
    }
    Ok(None)
}

/// What to say of a key that is not there.
pub fn lacks(text: &str, key: &str) -> String {
    let names = text.lines().filter_map(|line| Some(line.split_once('=')?.0));
    format!("has no `{key}`{}", did_you_mean(key, names))
}

/// A string as Go's `strconv.Quote` writes it; `None` if it is none.
fn unquoted(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let (mut bytes, mut letters) = (Vec::new(), inner.chars());
    while let Some(letter) = letters.next() {
        let mut put = |letter: char| bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        match letter {
            '"' => return None,
            '\\' => match letters.next()? {
                'a' => put('\x07'),
                'b' => put('\x08'),
                'f' => put('\x0c'),
                'n' => put('\n'),
                'r' => put('\r'),
                't' => put('\t'),
                'v' => put('\x0b'),
                literal @ ('\\' | '"' | '\'') => put(literal),
                // A byte that is no letter of its own.
                'x' => bytes.push(u8::try_from(number(&mut letters, 2)?).ok()?),
                'u' => put(char::from_u32(number(&mut letters, 4)?)?),
                'U' => put(char::from_u32(number(&mut letters, 8)?)?),
                _ => return None,
            },
            letter => put(letter),
        }
    }
    String::from_utf8(bytes).ok()
}

fn number(letters: &mut std::str::Chars<'_>, digits: usize) -> Option<u32> {
    let text: String = letters.by_ref().take(digits).collect();
    (text.len() == digits).then(|| u32::from_str_radix(&text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<Option<&str>, &str>) {
        let expect = expect.map(|value| value.map(str::to_owned)).map_err(str::to_owned);
        assert_eq!(find(text, "app.kubernetes.io/version"), expect, "{text}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_an_entry_or_none(text in "(a|=|\"|\\\\|u|U|x|0|é|\n){0,60}") {
            let _ = find(&text, "a");
        }
    }

    #[test]
    fn entries_are_unquoted_as_kubernetes_quotes_them() {
        check("app=\"shop\"\napp.kubernetes.io/version=\"1.2\"\n", Ok(Some("1.2")));
        check(
            r#"app.kubernetes.io/version="a\"b\\c\nd\té\u00e9\U0001f600\xc3\xa9=""#,
            Ok(Some("a\"b\\c\nd\téé😀é=")),
        );
        check("app.kubernetes.io/version=\"\"", Ok(Some("")));
        check("app=\"shop\"", Ok(None));
        check("", Ok(None));
        assert_eq!(lacks("version=\"1\"\napp=\"x\"", "verson"), "has no `verson`; did you mean `version`?");
    }

    #[test]
    fn what_is_no_entry_is_said_with_its_line() {
        check("app=\"shop\"\nnonsense\n", Err("line 2: not like `key=\"value\"`"));
        for value in ["1.2", "\"1", "\"a\"b\"", r#""\q""#, r#""\u12""#, r#""\xff""#, "\""] {
            let text = format!("app.kubernetes.io/version={value}");
            check(&text, Err("line 1: the value is not quoted as Kubernetes quotes"));
        }
    }
}
