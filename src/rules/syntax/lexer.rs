//! Text to tokens. White space separates and means nothing else.

use std::ops::Range;

use super::{TEXT_MAX, Unreadable};

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Begins with a lower-case letter: a path, an editor, a keyword, a name of an argument or of a lambda's
    /// parameter; or `_`, the parameter that nobody looks at.
    Lower(String),
    /// Begins with an upper-case letter: a converter or an enum.
    Upper(String),
    /// Digits; without the sign.
    Int(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// `( ) [ ] { } , . : = => == != < <= > >= + - * /`
    Sign(&'static str),
    End,
}

pub struct Placed {
    pub token: Token,
    pub at: Range<usize>,
}

/// Longest first, so that `==` is not two `=`.
const SIGNS: [&str; 21] = [
    "==", "!=", "<=", ">=", "=>", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "+", "-", "*",
    "/",
];

/// All tokens of `text`, the last of them [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<Placed>, Unreadable> {
    if text.len() > TEXT_MAX {
        let told = format!("{} bytes long; at most {TEXT_MAX} are read", text.len());
        return Err(Unreadable { at: 0..0, text: told });
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip(char::is_whitespace);
        let from = lexer.at;
        let token = lexer.token()?;
        let done = token == Token::End;
        tokens.push(Placed { token, at: from..lexer.at });
        if done {
            return Ok(tokens);
        }
    }
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn fault<T>(&self, from: usize, text: impl Into<String>) -> Result<T, Unreadable> {
        Err(Unreadable { at: from..self.at.max(from), text: text.into() })
    }

    fn token(&mut self) -> Result<Token, Unreadable> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let digit_follows = rest.get(1..).is_some_and(|tail| tail.starts_with(|c: char| c.is_ascii_digit()));
        if first.is_ascii_alphabetic() {
            let word = self.skip(is_of_a_name).to_owned();
            return Ok(if first.is_ascii_lowercase() { Token::Lower(word) } else { Token::Upper(word) });
        }
        if first == '_' && !rest.get(1..).is_some_and(|tail| tail.starts_with(is_of_a_name)) {
            self.at += 1;
            return Ok(Token::Lower("_".into()));
        }
        if first == '"' {
            return self.string();
        }
        if rest.starts_with("0x") {
            return self.bytes();
        }
        if first.is_ascii_digit() || (first == '.' && digit_follows && !self.follows_a_name()) {
            return self.number();
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        let from = self.at;
        self.at += first.len_utf8();
        let hint = match first {
            '\'' | '`' | '“' | '”' | '„' => "; strings stand in double quotes",
            '&' | '|' | '!' => "; write `and`, `or` and `not`",
            '$' => "; a variable is filled in by the configuration, before rules are read",
            _ => "",
        };
        self.fault(from, format!("`{}` means nothing here{hint}", first.escape_debug()))
    }

    /// In `tags.0` the point belongs to the path, which will be refused there by name.
    fn follows_a_name(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ']')
    }

    fn bytes(&mut self) -> Result<Token, Unreadable> {
        let from = self.at;
        self.at += 2;
        let digits = self.skip(|c| c.is_ascii_alphanumeric());
        if digits.is_empty() || digits.len() % 2 == 1 || !digits.is_ascii() {
            return self.fault(from, format!("`0x{digits}` is not whole bytes; write two digits for each"));
        }
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or_default(), 16);
        match (0..digits.len()).step_by(2).map(byte).collect() {
            Ok(bytes) => Ok(Token::Bytes(bytes)),
            Err(_) => self.fault(from, format!("`0x{digits}` has digits that are not hexadecimal")),
        }
    }

    fn number(&mut self) -> Result<Token, Unreadable> {
        let from = self.at;
        self.skip(|c| c.is_ascii_digit());
        let fraction =
            self.rest().strip_prefix('.').is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            self.at += 1;
            self.skip(|c| c.is_ascii_digit());
            let mut tail = self.rest().chars();
            if matches!(tail.next(), Some('e' | 'E')) {
                let signed = matches!(tail.clone().next(), Some('+' | '-'));
                self.at += 1 + usize::from(signed);
                self.skip(|c| c.is_ascii_digit());
            }
        }
        let digits = self.text.get(from..self.at).unwrap_or_default();
        if self.rest().starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            self.skip(is_of_a_name);
            let word = self.text.get(from..self.at).unwrap_or_default();
            return self.fault(from, format!("`{word}` is neither a number nor a name"));
        }
        let token = if fraction {
            digits.parse().ok().map(Token::Float)
        } else {
            digits.parse().ok().map(Token::Int)
        };
        match token {
            Some(token) => Ok(token),
            None => self.fault(from, format!("`{digits}` does not fit 64 bits")),
        }
    }

    fn string(&mut self) -> Result<Token, Unreadable> {
        let from = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let plain = self.skip(|c| c != '"' && c != '\\');
            bytes.extend_from_slice(plain.as_bytes());
            match self.rest().chars().next() {
                None => return self.fault(from, "the string has no closing quote"),
                Some('"') => break,
                Some(_) => self.escape(&mut bytes)?,
            }
        }
        self.at += 1;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Token::Text(text)),
            Err(_) => self.fault(from, "the string's escapes are not UTF-8; write bytes as 0x…"),
        }
    }

    /// One escape sequence, as Go's strings have them.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let from = self.at;
        self.at += 1;
        let Some(letter) = self.rest().chars().next() else {
            return self.fault(from, "the string has no closing quote");
        };
        self.at += letter.len_utf8();
        let plain = match letter {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' => b'\\',
            '"' => b'"',
            'x' => return self.code(from, 2, 16, out),
            'u' => return self.code(from, 4, 16, out),
            'U' => return self.code(from, 8, 16, out),
            '0'..='7' => {
                self.at -= 1;
                return self.code(from, 3, 8, out);
            }
            other => {
                let hint = format!("; for a backslash itself write `\\\\{other}`");
                return self.fault(from, format!("`\\{}` is no escape{hint}", other.escape_debug()));
            }
        };
        out.push(plain);
        Ok(())
    }

    fn code(&mut self, from: usize, digits: usize, radix: u32, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let code = self.rest().get(..digits).filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()));
        let value = code.and_then(|code| u32::from_str_radix(code, radix).ok());
        let Some(value) = value else {
            return self.fault(from, format!("an escape of this kind has {digits} digits"));
        };
        self.at += digits;
        // Two or three digits name a byte, more of them a character.
        if digits < 4
            && let Ok(byte) = u8::try_from(value)
        {
            out.push(byte);
        } else if let Some(letter) = char::from_u32(value).filter(|_| digits >= 4) {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            return self.fault(from, "an escape that names no character");
        }
        Ok(())
    }
}
