//! Patterns as the Collector's users write them, compiled for an engine that is linear in the text.
//!
//! Two dialects differ from ours. Go's `\d \w \s \b` are ASCII, and `[` in a class is a bracket: patterns are
//! rewritten to mean the same here. Globs are those of gobwas/glob, where `*` also matches a slash.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use regex::{Regex, RegexBuilder};

use super::hash::Hash;
use super::map::utf8;

/// Bytes a compiled pattern may take. A counted repetition of a counted repetition wants more.
pub const SIZE_MAX: usize = 1 << 20;

/// Verdicts that are remembered, in sets of so many, and the longest text of one: keys and names come again and
/// again.
const SETS: usize = 16;
const WAYS: usize = 4;
const KNOWN_LEN_MAX: usize = 64;

/// A pattern that remembers whether it matched.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    hash: Hash,
    /// Hashes of texts, the last bit of each being the verdict.
    known: [[AtomicU64; WAYS]; SETS],
}

impl Pattern {
    pub fn of(regex: Regex) -> Self {
        Self { regex, hash: Hash::new(), known: [const { [const { AtomicU64::new(0) }; WAYS] }; SETS] }
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.is_match_bytes(text.as_bytes())
    }

    /// The same of what should be UTF-8.
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        let hash = if text.len() > KNOWN_LEN_MAX { 0 } else { self.hash.of(text) };
        // Zero is what is there before anything is.
        let Some(set) = self.known.get(hash as usize / 2 % SETS).filter(|_| hash > 1) else {
            return self.regex.is_match(&utf8(text));
        };
        let word = set.iter().map(|known| known.load(Ordering::Relaxed)).find(|word| word ^ hash <= 1);
        word.map_or_else(|| self.learnt(text, hash, set), |word| word & 1 == 1)
    }

    #[cold]
    fn learnt(&self, text: &[u8], hash: u64, set: &[AtomicU64; WAYS]) -> bool {
        let verdict = self.regex.is_match(&utf8(text));
        let free = set.iter().find(|known| known.load(Ordering::Relaxed) == 0);
        // Whose turn it is to go nobody can guess.
        let place = free.or_else(|| set.get((hash >> 32) as usize % WAYS));
        place.into_iter().for_each(|known| known.store(hash & !1 | u64::from(verdict), Ordering::Relaxed));
        verdict
    }
}

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.regex
    }
}

/// # Errors
/// What is wrong with the pattern, in one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let build = RegexBuilder::new(&translated(pattern)).size_limit(SIZE_MAX).build();
    build.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("the pattern takes more than {SIZE_MAX} bytes"),
        error => {
            // The last line of a syntax error says what; those before it draw a caret.
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            format!("not a pattern: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    })
}

/// Go's dialect in the words of ours.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars().peekable();
    let mut class_letters: Option<u32> = None;
    while let Some(letter) = letters.next() {
        let place = class_letters;
        class_letters = class_letters.map(|count| count + 1);
        match (letter, place) {
            ('\\', _) => match (letters.next(), place) {
                (Some('d'), _) => out.push_str("[0-9]"),
                (Some('D'), _) => out.push_str("[^0-9]"),
                (Some('w'), _) => out.push_str("[0-9A-Za-z_]"),
                (Some('W'), _) => out.push_str("[^0-9A-Za-z_]"),
                (Some('s'), _) => out.push_str(r"[\t\n\f\r ]"),
                (Some('S'), _) => out.push_str(r"[^\t\n\f\r ]"),
                (Some('b'), None) => out.push_str(r"(?-u:\b)"),
                (Some('B'), None) => out.push_str(r"(?-u:\B)"),
                (Some('Q'), None) => {
                    let rest: String = letters.clone().collect();
                    let quoted = rest.split("\\E").next().unwrap_or_default();
                    out.push_str(&regex::escape(quoted));
                    let skip = quoted.chars().count() + if quoted.len() < rest.len() { 2 } else { 0 };
                    letters.by_ref().take(skip).for_each(drop);
                }
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push('\\'),
            },
            ('[', None) => {
                out.push('[');
                class_letters = Some(0);
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // A bracket that closes at once is a letter of the class.
            (']', Some(0)) => out.push_str(r"\]"),
            (']', Some(_)) => {
                out.push(']');
                class_letters = None;
            }
            ('[', Some(_)) if letters.peek() == Some(&':') => {
                // [:alpha:]
                out.push('[');
                for inner in letters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ('[' | '&' | '~', Some(_)) => out.extend(['\\', letter]),
            ('-', Some(_)) if letters.peek() == Some(&'-') => out.push_str(r"\-"),
            _ => out.push(letter),
        }
    }
    out
}

/// A glob that must match the whole text.
///
/// # Errors
/// As [`compile`].
pub fn glob(pattern: &str) -> Result<Regex, String> {
    let mut out = String::from(r"(?s)\A");
    let mut letters = pattern.chars().peekable();
    let mut choices = 0_u32;
    while let Some(letter) = letters.next() {
        match letter {
            '*' => {
                while letters.next_if_eq(&'*').is_some() {}
                out.push_str(".*");
            }
            '?' => out.push('.'),
            '{' => {
                choices += 1;
                out.push_str("(?:");
            }
            '}' if choices > 0 => {
                choices -= 1;
                out.push(')');
            }
            ',' if choices > 0 => out.push('|'),
            '[' => {
                let mut class: String = letters.by_ref().take_while(|c| *c != ']').collect();
                let not = class.starts_with(['!', '^']);
                if not {
                    class.remove(0);
                }
                let escaped =
                    class.replace('\\', r"\\").replace('[', r"\[").replace('&', r"\&").replace('^', r"\^");
                out.push_str(if not { "[^" } else { "[" });
                out.push_str(&escaped);
                out.push(']');
            }
            '\\' => out.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(r"\z");
    compile_plain(&out).map_err(|_| format!("`{pattern}` is not a glob"))
}

fn compile_plain(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(SIZE_MAX).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matched: &[&str], not: &[&str]) {
        let pattern = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        matched.iter().for_each(|text| assert!(pattern.is_match(text), "{pattern} on {text:?}"));
        not.iter().for_each(|text| assert!(!pattern.is_match(text), "{pattern} on {text:?}"));
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        check(r"^\d+$", &["12"], &["١٢", "x"]);
        check(r"^[^\s]\w\W$", &["ab ", "abü"], &[" b "]);
        check(r"\bab\b", &["x ab", "übab ab"], &["xab"]);
        check(r"^.$", &["ü"], &["ab"]);
        check(r"a\Bb", &["ab"], &["a b"]);
        // Letters fold as Unicode says, and scripts and categories are known.
        check(r"(?i)^straße Σ$", &["STRAßE ς"], &["strasse σ"]);
        check(r"^\p{Greek}\p{Lu}\pN[^\p{Latin}]$", &["αÄ٢я"], &["aÄ2я"]);
    }

    #[test]
    fn brackets_in_classes_are_letters() {
        check(r"^[[]$", &["["], &["x"]);
        check(r"^[]a]$", &["]", "a"], &["x"]);
        check(r"^[^]a]$", &["x"], &["]", "a"]);
        check(r"^[[:alpha:]&&]+$", &["a&"], &["1"]);
        check(r"^[A-Za-z0-9-_]+$", &["a-_"], &["."]);
        check(r"^[a\]]$", &["]"], &["\\"]);
        check(r"\Qa.b[\E+", &["a.b["], &["axb["]);
        check(r"password\=[^\s]*(\s?)", &["x password=1 y"], &["password 1"]);
    }

    #[test]
    fn what_is_no_pattern_or_too_large_says_so() {
        assert_eq!(compile("a(").unwrap_err(), "not a pattern: unclosed group");
        assert!(compile("((a{1000}){1000}){1000}").unwrap_err().contains("more than"));
    }

    #[test]
    fn globs_match_whole_texts() {
        let is = |pattern: &str, text: &str| glob(pattern).expect(pattern).is_match(text);
        assert!(is("/user/*/list/*", "/user/1/list/a/b"));
        assert!(!is("/user/*", "x/user/1"));
        assert!(is("a?c", "abc") && !is("a?c", "ac"));
        assert!(is("{GET,PUT} [!x-z]", "PUT a") && !is("{GET,PUT} [!x-z]", "PUT x"));
        assert!(is(r"a\*", "a*") && !is(r"a\*", "ab"));
        assert!(is("a.c", "a.c") && !is("a.c", "abc"));
    }
}
