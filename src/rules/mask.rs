//! What must not leave: card numbers, addresses, keys and tokens, or whatever a pattern says.
//!
//! The built-ins check what they find (a card number's check digit, a token's inside), so that order numbers
//! and ids stay. A text that is JSON is looked into value by value: what is masked there is still JSON,
//! and its other bytes stay as they were. The surprise: a number in JSON that is masked becomes a string.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::{Match, Regex};

use super::editors::RESULT_MAX;
use super::{patterns, render};

#[derive(Debug)]
pub struct Mask {
    finders: Vec<(Regex, Check)>,
}

/// Whether what a pattern found is what it looks like.
type Check = fn(&str, Match<'_>) -> bool;

/// Texts in texts that are JSON again.
const LEVELS_MAX: u32 = 4;

/// The names of what is known.
const BUILT_IN: [&str; 4] = ["card", "email", "key", "secrets"];

const CARD: &str = r"[2-6][0-9](?:[ -]?[0-9]){11,17}";
const EMAIL: &str = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}";
/// Each begins as only its issuer's do.
const ISSUED: &str = concat!(
    r"(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}",
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36}",
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[A-Za-z0-9+/=\s\\]+-----END (?:[A-Z]+ )*PRIVATE KEY-----",
);
const JWT: &str = r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*";
const BEARER: &str = r"(?i:bearer|basic)[ ]+[A-Za-z0-9._~+/-]{16,}=*";

impl Mask {
    /// A built-in by its name, or a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn of(what: &str) -> Result<Self, String> {
        let known: &[(&str, Check)] = match what {
            "card" => &[(CARD, is_card)],
            "email" => &[(EMAIL, is_whole_word)],
            "key" => &[(ISSUED, is_whole_word), (JWT, is_token), (BEARER, always)],
            "secrets" => {
                let parts = BUILT_IN.into_iter().take(3).map(Self::of).collect::<Result<Vec<_>, _>>()?;
                return Ok(Self { finders: parts.into_iter().flat_map(|part| part.finders).collect() });
            }
            pattern => {
                if !pattern.is_empty() && pattern.chars().all(|c| c.is_ascii_lowercase()) {
                    let names = BUILT_IN.join(", ");
                    return Err(format!(
                        "`{pattern}` is no built-in ({names}); write a pattern like `{pattern}.*`"
                    ));
                }
                return Ok(Self { finders: vec![(patterns::compile(pattern)?, always)] });
            }
        };
        let finder = |(pattern, check): &(&str, Check)| Ok((patterns::compile(pattern)?, *check));
        Ok(Self { finders: known.iter().map(finder).collect::<Result<_, String>>()? })
    }

    /// `text` with what was found in it replaced; `None` when nothing was.
    pub fn apply(&self, text: &str, with: &str) -> Option<String> {
        self.apply_at(text, with, 0)
    }

    fn apply_at(&self, text: &str, with: &str, level: u32) -> Option<String> {
        let is_json = text.trim_start().starts_with(['{', '[']) && level < LEVELS_MAX;
        if is_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            return self.in_json(text, with, level);
        }
        let mut changed: Option<String> = None;
        for (pattern, check) in &self.finders {
            let text = changed.as_deref().unwrap_or(text);
            let found: Vec<_> = pattern.find_iter(text).filter(|found| check(text, *found)).collect();
            if found.is_empty() {
                continue;
            }
            let mut out = String::with_capacity(text.len());
            let mut copied = 0;
            for found in found {
                out.push_str(text.get(copied..found.start()).unwrap_or_default());
                out.push_str(with);
                copied = found.end();
                if out.len() > RESULT_MAX {
                    break;
                }
            }
            out.push_str(text.get(copied..).unwrap_or_default());
            // Nothing of a secret stays only because what hides it grew too long.
            changed = Some(if out.len() > RESULT_MAX { with.to_owned() } else { out });
        }
        changed
    }

    /// The strings and numbers of a JSON text one by one. Keys are strings too.
    fn in_json(&self, text: &str, with: &str, level: u32) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut changed = false;
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let len = match letter {
                '"' => string_len(rest),
                '-' | '0'..='9' => rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
                other => other.len_utf8(),
            };
            let (token, tail) = rest.split_at_checked(len).unwrap_or((rest, ""));
            let new = match letter {
                '"' => serde_json::from_str::<String>(token)
                    .ok()
                    .and_then(|s| self.apply_at(&s, with, level + 1)),
                '-' | '0'..='9' => self.apply_at(token, with, level + 1),
                _ => None,
            };
            match new {
                Some(new) => {
                    render::put_string(&new, &mut out);
                    changed = true;
                    if out.len() > RESULT_MAX {
                        return Some(with.to_owned());
                    }
                }
                None => out.push_str(token),
            }
            rest = tail;
        }
        changed.then_some(out)
    }
}

/// Bytes of the JSON string that `text` begins with, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn always(_: &str, _: Match<'_>) -> bool {
    true
}

/// Nothing before or behind that would make it a part of something longer.
fn is_whole_word(text: &str, found: Match<'_>) -> bool {
    let before = text.get(..found.start()).and_then(|text| text.chars().next_back());
    let behind = text.get(found.end()..).and_then(|text| text.chars().next());
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !is_part(before) && !is_part(behind)
}

/// 13 to 19 digits, no more around them, the check digit right, and not one digit over and over.
fn is_card(text: &str, found: Match<'_>) -> bool {
    let digits: Vec<u32> = found.as_str().chars().filter_map(|c| c.to_digit(10)).collect();
    let varied = digits.iter().any(|digit| Some(digit) != digits.first());
    is_whole_word(text, found) && (13..=19).contains(&digits.len()) && varied && luhn(&digits)
}

/// The check of ISO/IEC 7812-1.
pub fn luhn(digits: &[u32]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(nth, digit)| match nth % 2 {
        0 => *digit,
        _ if *digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    });
    !digits.is_empty() && weighed.sum::<u32>() % 10 == 0
}

/// A token's head is JSON that names its algorithm (RFC 7519).
fn is_token(_: &str, found: Match<'_>) -> bool {
    let head = found.as_str().split('.').next().unwrap_or_default();
    let head = URL_SAFE_NO_PAD.decode(head).ok();
    let head = head.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    head.is_some_and(|head| head.get("alg").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(what: &str, text: &str, expect: &str) {
        let masked = Mask::of(what).expect(what).apply(text, "***");
        assert_eq!(masked.as_deref().unwrap_or(text), expect, "{what} on {text}");
        assert_eq!(masked.is_none(), text == expect);
    }

    #[test]
    fn cards_are_known_by_their_check_digit() {
        check("card", "paid with 4111 1111 1111 1111 today", "paid with *** today");
        check("card", "5555-5555-5555-4444,378282246310005", "***,***");
        check("card", "order 4111111111111112", "order 4111111111111112");
        check("card", "id a4111111111111111", "id a4111111111111111");
        check("card", "4444444444444444", "4444444444444444");
        check("card", "trace 41111111111111111234567", "trace 41111111111111111234567");
    }

    #[test]
    fn addresses_keys_and_tokens_are_found() {
        check("email", "to ann.b+c@mail.example.org, not a@b", "to ***, not a@b");
        check("key", "AKIAIOSFODNN7EXAMPLE and AKIAIOSFODNN7EXAMPLEXX", "*** and AKIAIOSFODNN7EXAMPLEXX");
        check("key", "Authorization: Bearer abcdefghijklmnop123", "Authorization: ***");
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
        check("key", &format!("t={token};"), "t=***;");
        let other = "eyJhaaaaaaaaaaaaaa.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
        check("key", other, other);
        check("secrets", "a@b.example 4111111111111111", "*** ***");
    }

    #[test]
    fn json_stays_json_and_the_rest_of_it_stays_as_it_was() {
        let text = r#"{ "mail" : "a\u0040b.example", "card":4111111111111111,"n":1.50, "in":"{\"m\":\"x@y.example\"}" }"#;
        let expect = r#"{ "mail" : "***", "card":"***","n":1.50, "in":"{\"m\":\"***\"}" }"#;
        check("secrets", text, expect);
        check("email", "[\"a\\\"@\", 1]", "[\"a\\\"@\", 1]");
        // What only looks like JSON is a text like any other.
        check("email", "{a@b.example", "{***");
    }

    #[test]
    fn a_pattern_masks_what_it_matches_and_a_misspelt_name_is_none() {
        check(r"\d{4}", "pin 1234", "pin ***");
        assert!(Mask::of("mail").unwrap_err().contains("card, email, key, secrets"));
    }
}
