//! What is wrong with a configuration: where, what, and what to try instead.
//!
//! Mistakes are collected, never thrown one at a time: a user mends a file once. Values that may be
//! secret are never quoted, and a line that may hold one is never shown.

use std::fmt;

use super::source::Source;
use crate::model::nearest::escaped;
pub use crate::model::nearest::{did_you_mean, quoted};

/// One thing wrong. The text is lower case, quotes the value and ends in a hint where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub place: Source,
    pub text: String,
    /// What is shown below instead of the line of the file.
    pub below: Option<String>,
}

impl Mistake {
    /// Keys stand in texts too, and some are of the user's own making: nothing in a text speaks to the terminal.
    pub fn new(place: Source, text: impl Into<String>) -> Self {
        Self { place, text: escaped(text.into().chars()), below: None }
    }

    /// With lines of its own below it, which are shown as they are.
    pub fn with_below(self, below: String) -> Self {
        Self { below: Some(below), ..self }
    }
}

/// Everything wrong with one configuration. Never empty.
#[derive(Clone, Debug)]
pub struct Mistakes {
    /// The file as the user named it, and its text, to show the lines at fault.
    pub file: String,
    pub text: String,
    pub list: Vec<Mistake>,
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, mistake) in self.list.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", mistake.place.place(&self.file), mistake.text)?;
            if let Some(below) = &mistake.below {
                write!(f, "\n{below}")?;
                continue;
            }
            let secret = mistake.text.starts_with("`receive.auth");
            if let Source::File { line, column } = mistake.place
                && !secret
            {
                self.write_line(f, line, column)?;
            }
        }
        Ok(())
    }
}

impl Mistakes {
    fn write_line(&self, f: &mut fmt::Formatter<'_>, line: usize, column: usize) -> fmt::Result {
        let source = self.text.lines().nth(line.saturating_sub(1));
        source
            .and_then(|source| shown_line(source, line, column))
            .map_or(Ok(()), |shown| write!(f, "\n{shown}"))
    }
}

/// A line of a file with a caret below the column, unless it may hold a secret.
pub fn shown_line(source: &str, line: usize, column: usize) -> Option<String> {
    if source.trim().is_empty() || source.chars().count() > LINE_SHOWN_MAX || may_hold_secret(source) {
        return None;
    }
    // Tabs and control characters would shift the caret or speak to the terminal.
    let shown: String = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let gap = " ".repeat(column.saturating_sub(1));
    Some(format!("  {number} | {}\n  {margin} | {gap}^", shown.trim_end()))
}

const LINE_SHOWN_MAX: usize = 200;

/// Whether a header of this name usually carries a credential.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "key", "token", "secret", "password", "cookie"].iter().any(|word| name.contains(word))
}

fn may_hold_secret(line: &str) -> bool {
    // Our own names that speak of keys and hold none.
    let line =
        ["key_file", "release_key"].iter().fold(line.to_ascii_lowercase(), |l, own| l.replace(own, ""));
    is_secret(&line)
}
