//! Why a statement could not be carried out on one item. The item stays; the caller counts. What is quoted of
//! it may be long, so the text is shown up to a bound.

use std::fmt;

use super::mistake::write_visibly;
use super::value::Value;

/// Characters of a trouble that are shown.
const SHOWN_MAX: usize = 256;

/// Lower case, says what was found and what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl Trouble {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// About a value that nothing in OTLP can say.
    pub fn homeless(what: &str) -> Self {
        Self(format!("OTLP has no place for {what}"))
    }

    /// `wanted a string, found nil`.
    pub fn wanted(wanted: &str, found: &Value<'_>) -> Self {
        Self(format!("wanted {wanted}, found {}", found.what()))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_MAX) {
            None => write_visibly(&self.0, f),
            Some((end, _)) => {
                write_visibly(self.0.get(..end).unwrap_or_default(), f)?;
                f.write_str("…")
            }
        }
    }
}

impl std::error::Error for Trouble {}
