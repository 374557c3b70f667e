//! OTTL's text, read into a tree that knows where each of its parts stands.
//!
//! The grammar is that of opentelemetry-collector-contrib `pkg/ottl` (LANGUAGE.md, grammar.go), with one
//! surprise: a sign before digits belongs to the number only where a value may begin, so `a -1` is a
//! subtraction here and an error there. Names mean nothing yet: `program` looks them up. Lambdas
//! (`(key, value) => …`) are read wherever a value may stand; whether one is wanted there is `compile`'s to say.

mod lexer;
mod parser;
#[cfg(test)]
mod tests;
pub mod tree;

pub use parser::{condition, statement};

use std::ops::Range;

/// Why a text is no statement, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub at: Range<usize>,
    pub text: String,
}

/// A longer statement is refused: nobody reads it, and it would only be somebody's attempt to fill memory.
pub const TEXT_MAX: usize = 64 << 10;
/// How deep values, calls and parentheses may nest.
pub const DEPTH_MAX: u32 = 64;
