//! Why a statement could not be carried out on one item. The item stays; the caller counts.

use std::fmt;

use super::value::Value;

/// Lower case, says what was found and what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl Trouble {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `wanted a string, found nil`.
    pub fn wanted(wanted: &str, found: &Value<'_>) -> Self {
        Self(format!("wanted {wanted}, found {}", found.what()))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}
