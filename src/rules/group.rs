//! What the user writes: statements in groups, each about one kind of thing.

use std::fmt;

use crate::wire::Signal;

/// What a group's statements run on, once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Context {
    Resource,
    Scope,
    Span,
    SpanEvent,
    Log,
    Metric,
    DataPoint,
}

impl Context {
    pub const ALL: [Self; 7] =
        [Self::Resource, Self::Scope, Self::Span, Self::SpanEvent, Self::Log, Self::Metric, Self::DataPoint];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Span => "span",
            Self::SpanEvent => "spanevent",
            Self::Log => "log",
            Self::Metric => "metric",
            Self::DataPoint => "datapoint",
        }
    }

    /// The one of this name; `instrumentation_scope` is the scope's older one.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = if name == "instrumentation_scope" { "scope" } else { name };
        Self::ALL.into_iter().find(|context| context.name() == name)
    }

    /// The signal whose items these are; `None` where they belong to all.
    pub const fn signal(self) -> Option<Signal> {
        match self {
            Self::Resource | Self::Scope => None,
            Self::Span | Self::SpanEvent => Some(Signal::Traces),
            Self::Log => Some(Signal::Logs),
            Self::Metric | Self::DataPoint => Some(Signal::Metrics),
        }
    }
}

/// What happens when a statement fails on an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub enum ErrorMode {
    /// The next statement runs; the failure is counted, and told once.
    #[default]
    Ignore,
    /// The next statement runs; the failure is counted.
    Silent,
    /// No statement runs on this item any more, and it goes on as it came. (The Collector would refuse the
    /// whole request, which has been accepted here already.)
    Propagate,
}

impl ErrorMode {
    pub const ALL: [Self; 3] = [Self::Ignore, Self::Silent, Self::Propagate];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Silent => "silent",
            Self::Propagate => "propagate",
        }
    }
}

/// Statements that belong together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// For messages and counters.
    pub name: Option<String>,
    /// Inferred from the paths when it is not given.
    pub context: Option<Context>,
    /// Of rules about resources and scopes: those of this signal only; else of all.
    pub signal: Option<Signal>,
    pub error_mode: ErrorMode,
    /// The statements run where any of these holds, or where there are none.
    pub conditions: Vec<String>,
    pub statements: Vec<String>,
}

/// A statement or a condition of a group, numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub group: usize,
    pub name: Option<String>,
    pub is_condition: bool,
    pub nth: usize,
}

/// Counted from 1, as people count.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "group `{name}`")?,
            None => write!(f, "group {}", self.group + 1)?,
        }
        let what = if self.is_condition { "condition" } else { "statement" };
        write!(f, ", {what} {}", self.nth + 1)
    }
}
