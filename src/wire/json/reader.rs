//! JSON tokens (RFC 8259) off a byte slice, strict about syntax and silent about meaning.
//!
//! Holds no tree and does not recurse: what is skipped, however deep, costs one bit a level. The surprise:
//! strings are handed out raw; whoever wants one decoded asks [`text`](super::text).

use smallvec::SmallVec;

use super::error::{Outcome, mistake, quote};
use super::text::{self, Text};

/// A position in a JSON text, which must be valid UTF-8.
pub(super) struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, which stays where it is.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes `byte`, or says what stands there instead.
    #[inline]
    pub fn take(&mut self, byte: u8, wanted: &str) -> Outcome<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(wanted))
    }

    /// Moves to the next member or element of an open object or array; `false` when `close` was taken.
    #[inline]
    pub fn more(&mut self, close: u8, first: &mut bool) -> Outcome<bool> {
        let next = self.peek();
        if next == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if std::mem::take(first) {
            return Ok(true);
        }
        if next != Some(b',') {
            return Err(self.unexpected(if close == b'}' { "`,` or `}`" } else { "`,` or `]`" }));
        }
        self.at += 1;
        if self.peek() == Some(close) {
            return Err(mistake(self.at, "a comma must be followed by another value"));
        }
        Ok(true)
    }

    /// A member's name and the colon behind it.
    #[inline]
    pub fn name(&mut self) -> Outcome<Text<'a>> {
        let name = self.string()?;
        self.take(b':', "`:`")?;
        Ok(name)
    }

    /// A string, still escaped.
    #[inline]
    pub fn string(&mut self) -> Outcome<Text<'a>> {
        self.take(b'"', "a string in double quotes")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += text::plain_run(self.json.get(self.at..).unwrap_or_default());
            match self.json.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => {
                    return Err(mistake(self.at, "a control character in a string must be escaped"));
                }
                None => return Err(mistake(start - 1, "the string does not end")),
            }
        }
        let raw = self.json.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text { raw, escaped, at: start })
    }

    /// A number token of RFC 8259 grammar.
    #[inline]
    pub fn number(&mut self) -> Outcome<&'a [u8]> {
        self.peek();
        let rest = self.json.get(self.at..).unwrap_or_default();
        let len = number_len(rest).ok_or_else(|| self.unexpected("a number"))?;
        self.at += len;
        Ok(rest.get(..len).unwrap_or_default())
    }

    /// Takes `word` (`true`, `false`, `null`) if it stands here, whole.
    #[inline]
    pub fn literal(&mut self, word: &str) -> bool {
        self.peek();
        let rest = self.json.get(self.at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(word.as_bytes()) else { return false };
        if after.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return false;
        }
        self.at += word.len();
        true
    }

    /// Skips one value of any kind and depth.
    pub fn skip(&mut self) -> Outcome<()> {
        let mut open = Nesting::default();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(true);
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(false);
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            if self.close_what_ends(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes containers until one goes on (`false`) or none is open (`true`).
    fn close_what_ends(&mut self, open: &mut Nesting) -> Outcome<bool> {
        while let Some(object) = open.top() {
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if object {
                        self.name()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                _ => return Err(self.unexpected(if object { "`,` or `}`" } else { "`,` or `]`" })),
            }
            self.at += 1;
            open.pop();
        }
        Ok(true)
    }

    fn skip_scalar(&mut self) -> Outcome<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ if self.literal("true") || self.literal("false") || self.literal("null") => Ok(()),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// What was wanted, and what stands here instead.
    #[cold]
    pub fn unexpected(&mut self, wanted: &str) -> Box<super::error::Mistake> {
        let Some(_) = self.peek() else {
            return mistake(self.at, format!("the text ends where {wanted} should stand"));
        };
        let rest = self.json.get(self.at..).unwrap_or_default();
        let word = rest.iter().take(40).position(|b| b",:{}[]\" \r\n\t".contains(b)).unwrap_or(40).max(1);
        let found = quote(rest.get(..word).unwrap_or(rest));
        mistake(self.at, format!("expected {wanted}, found {found}"))
    }
}

/// The length of the number `rest` begins with.
fn number_len(rest: &[u8]) -> Option<usize> {
    let digits = |at: usize| rest.iter().skip(at).take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(rest.first() == Some(&b'-'));
    let whole = digits(at);
    // A leading zero stands alone.
    if whole == 0 || (whole > 1 && rest.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    if rest.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + (fraction > 0).then_some(fraction)?;
    }
    if let Some(b'e' | b'E') = rest.get(at) {
        at += 1 + usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        at += (exponent > 0).then_some(exponent)?;
    }
    Some(at)
}

/// Whether `text` is one whole number token.
pub(super) fn is_number(text: &[u8]) -> bool {
    number_len(text) == Some(text.len())
}

/// Which containers are open, a bit each: set for an object. A million levels take 125 kB.
#[derive(Default)]
struct Nesting {
    bits: SmallVec<[u64; 4]>,
    levels: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        let (word, bit) = (self.levels / 64, self.levels % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = *bits & !(1 << bit) | u64::from(object) << bit;
        }
        self.levels += 1;
    }

    fn top(&self) -> Option<bool> {
        let last = self.levels.checked_sub(1)?;
        self.bits.get(last / 64).map(|bits| bits >> (last % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.levels = self.levels.saturating_sub(1);
    }
}
