//! Why a trace left the join, and what was odd in it.

/// Why a trace left the join (DESIGN, "The join").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// A root is here, every named parent is here, no expected child is outstanding.
    Complete = 0,
    /// Nothing new for one flush interval and a bit.
    Idle = 1,
    /// Held for as long as a trace may be.
    Aged = 2,
    /// The byte budget needed room.
    Pressure = 3,
    /// Shutting down.
    Drain = 4,
    /// Came after its trace had left: forwarded at once.
    Late = 5,
}

impl Reason {
    pub const ALL: [Reason; 6] =
        [Reason::Complete, Reason::Idle, Reason::Aged, Reason::Pressure, Reason::Drain, Reason::Late];

    pub const fn name(self) -> &'static str {
        match self {
            Reason::Complete => "complete",
            Reason::Idle => "idle",
            Reason::Aged => "aged",
            Reason::Pressure => "pressure",
            Reason::Drain => "drain",
            Reason::Late => "late",
        }
    }
}

/// What was found odd in a trace, and mended or noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Spans that came more than once and were collapsed to the more complete one.
    pub duplicates: u32,
    /// Spans whose named parent is not in the trace.
    pub orphans: u32,
    /// Spans whose parent was eight zero bytes: read as roots.
    pub zero_parents: u32,
    /// Spans that name themselves, or each other in a ring, as parents.
    pub cycles: u32,
    /// Resources that were given an environment or a release they lacked.
    pub labelled: u32,
}

impl Repairs {
    /// Of two parts of one trace.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            duplicates: self.duplicates.saturating_add(other.duplicates),
            orphans: self.orphans.saturating_add(other.orphans),
            zero_parents: self.zero_parents.saturating_add(other.zero_parents),
            cycles: self.cycles.saturating_add(other.cycles),
            labelled: self.labelled.saturating_add(other.labelled),
        }
    }
}

/// What sampling decided about a trace: all parts of it follow, those that come late too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    Out,
    /// It stayed: at this threshold, or because nobody asked.
    Kept(Option<u64>),
}
