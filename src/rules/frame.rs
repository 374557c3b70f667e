//! What stands around an item while rules look at it. All of it is the caller's, and read only.

use crate::model::{Caller, Draw};
use crate::wire::{Signal, TraceId};

/// The surroundings of one item. What is not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// What a resource or scope is looked at for; not known, rules for any signal look at it.
    pub signal: Option<Signal>,
    /// The Resource message's body, with the resource rules' edits.
    pub resource: &'a [u8],
    /// The InstrumentationScope's.
    pub scope: &'a [u8],
    /// Not known: what `sample` says is decided by the item alone.
    pub trace: Option<&'a TraceFacts<'a>>,
    /// The Span bodies of the trace's root and of the nearest parent that is kept.
    pub root: Option<&'a [u8]>,
    pub parent: Option<&'a [u8]>,
    pub request: Option<&'a dyn Request>,
    /// Unix nanoseconds, for `Now()`.
    pub now: i64,
    /// For `UUID()`: 16 bytes that nobody can guess, new for each item.
    pub random: u128,
}

/// What is known of the joined trace.
#[derive(Clone, Debug, Default)]
pub struct TraceFacts<'a> {
    pub id: Option<TraceId>,
    pub name: Option<&'a str>,
    pub user: Option<&'a str>,
    pub session: Option<&'a str>,
    pub tags: Vec<&'a str>,
    pub environment: Option<&'a str>,
    pub release: Option<&'a str>,
    pub services: Vec<&'a str>,
    pub span_count: u64,
    /// Nanoseconds.
    pub duration: i64,
    /// Spans whose status is an error.
    pub errors: u64,
    /// What `sample` decided about a part of it that has left.
    pub drawn: Option<Draw>,
}

/// What is known of the request that an item came in.
pub trait Request: std::fmt::Debug {
    /// The first value of a header, whose name is in lower case.
    fn header(&self, name: &str) -> Option<&str>;
    /// The address of the other side, without its port.
    fn peer(&self) -> Option<&str>;
}

impl Request for Caller {
    fn header(&self, name: &str) -> Option<&str> {
        self.header(name)
    }

    fn peer(&self) -> Option<&str> {
        self.peer()
    }
}
