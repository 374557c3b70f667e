//! What is wrong with a rule: where in it, what was expected, and the nearest thing that would do.
//!
//! Mistakes are collected: a user mends a file once. A rule is the user's own text, so it is quoted.

use std::fmt;
use std::ops::Range;

use super::group::Part;

/// Lines longer than this are shown from a little before the fault.
const SHOWN_MAX: usize = 120;

/// One thing wrong with one statement or condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which statement of which group.
    pub part: Part,
    /// The whole text of it.
    pub source: String,
    /// The bytes of `source` that are at fault; empty at its end.
    pub at: Range<usize>,
    /// Lower case, quotes what is wrong, ends in a hint where there is one.
    pub text: String,
}

impl Mistake {
    /// Line and column, both from 1; columns count characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = self.source.get(..self.at.start).unwrap_or(&self.source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

impl Mistake {
    /// The line at fault with a mark below what is wrong in it.
    pub fn excerpt(&self) -> String {
        let (line, column) = self.line_and_column();
        let shown = self.source.lines().nth(line - 1).unwrap_or_default();
        // Tabs and control characters would shift the caret or speak to the terminal.
        let shown: Vec<char> = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let skipped = if shown.len() > SHOWN_MAX { column.saturating_sub(SHOWN_MAX / 2) } else { 0 };
        let window: String = shown.iter().skip(skipped).take(SHOWN_MAX).collect();
        let at_fault = self.source.get(self.at.clone()).unwrap_or_default();
        let wide = at_fault.lines().next().unwrap_or_default().chars().count().clamp(1, SHOWN_MAX);
        let gap = " ".repeat(column - 1 - skipped);
        format!("  | {}\n  | {gap}{}", window.trim_end(), "^".repeat(wide))
    }
}

/// What is quoted may have control characters in it, which would speak to the terminal.
pub fn write_visibly(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|letter| match letter.is_control() {
        true => write!(f, "{}", letter.escape_debug()),
        false => write!(f, "{letter}"),
    })
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}, line {line}, column {column}: ", self.part)?;
        write_visibly(&self.text, f)?;
        write!(f, "\n{}", self.excerpt())
    }
}
