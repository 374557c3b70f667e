//! What could not be read of a span, named so that whoever wrote it can find it.
//!
//! A complaint changes nothing: the attribute goes on as it came. Bounded: what is beyond
//! [`Complaints::NAMED_MAX`] is counted.

use std::borrow::Cow;
use std::fmt;

/// One attribute that says nothing we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint<'a> {
    pub key: Cow<'a, str>,
    pub problem: Problem,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The value is of a type that says nothing here.
    WrongType { wanted: &'static str },
    /// A string that ought to be JSON and is not.
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    /// No word of the list that the convention gives.
    UnknownWord,
    /// No whole number, or a negative one.
    NotACount,
    /// No number that a decimal of 27 digits can hold.
    NotANumber,
    /// No date and time in ISO 8601.
    NotAnInstant,
    /// Too large for what it must be added to.
    TooLarge,
    /// More of them than are kept: the rest is not read.
    TooMany { most: usize },
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match self.problem {
            Problem::WrongType { wanted } => write!(f, "`{key}` is of the wrong type; expected {wanted}"),
            Problem::InvalidJson => write!(f, "`{key}` is not valid JSON; expected an object in a string"),
            Problem::NotAnObject => write!(f, "`{key}` is JSON, but not an object"),
            Problem::UnknownWord => write!(f, "`{key}` has a value that no convention defines"),
            Problem::NotACount => write!(f, "`{key}` is not a whole number of 0 or more"),
            Problem::NotANumber => write!(f, "`{key}` is not a number"),
            Problem::NotAnInstant => write!(f, "`{key}` is not a time; expected ISO 8601"),
            Problem::TooLarge => write!(f, "`{key}` is too large to be added up"),
            Problem::TooMany { most } => write!(f, "`{key}`: more than {most}, the rest is not read"),
        }
    }
}

/// The first few complaints, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints<'a> {
    pub named: Vec<Complaint<'a>>,
    /// All of them, the named ones included.
    pub count: u64,
}

impl<'a> Complaints<'a> {
    pub const NAMED_MAX: usize = 32;

    pub fn add(&mut self, key: impl Into<Cow<'a, str>>, problem: Problem) {
        self.count += 1;
        if self.named.len() < Self::NAMED_MAX {
            self.named.push(Complaint { key: key.into(), problem });
        }
    }

    pub fn append(&mut self, mut other: Self) {
        self.count += other.count;
        other.named.truncate(Self::NAMED_MAX.saturating_sub(self.named.len()));
        self.named.append(&mut other.named);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
