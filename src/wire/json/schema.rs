//! How a message is described: names, numbers, kinds. The descriptions themselves are in `tables`.

/// One message: its fields, by slot. At most 32, so that a word can say which were seen.
#[derive(Debug)]
pub(super) struct Message {
    pub fields: &'static [Field],
    /// Bytes its length usually takes in front of it. A wrong guess costs a move of the body, no more.
    pub prefix: usize,
    /// An AnyValue: one more level of attribute nesting.
    pub level: bool,
}

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// lowerCamelCase, the only form that is valid OTLP/JSON (conformance J04).
    pub name: &'static str,
    pub number: u32,
    pub kind: Kind,
    pub rule: Rule,
}

/// How often a field stands, and whether its absence differs from its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Absent and default are the same; the default is not written.
    Plain,
    /// Absent and default differ.
    Optional,
    /// One of the message's only `oneof`: the last one wins over its siblings.
    OneOf,
    Repeated,
}

/// What a field holds, on the wire and in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Str,
    /// Hex in JSON.
    Id,
    /// Base64 in JSON.
    Bytes,
    Bool,
    Int32,
    Uint32,
    /// Zigzag.
    Sint32,
    Int64,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    /// The names by number; names are taken in lenient mode only (conformance J02).
    Enum(&'static Names),
    Message(&'static Message),
}

/// The values of an enum: all names begin with `prefix`.
#[derive(Debug)]
pub(super) struct Names {
    pub prefix: &'static str,
    pub rest: &'static [&'static str],
}

impl Names {
    pub fn number(&self, name: &[u8]) -> Option<i32> {
        let rest = name.strip_prefix(self.prefix.as_bytes())?;
        self.rest.iter().position(|known| known.as_bytes() == rest).and_then(|at| i32::try_from(at).ok())
    }
}

impl Message {
    /// The slot of `name`. Senders write fields in one order, so the search begins at `from`, the slot
    /// after the last hit.
    #[inline]
    pub fn slot(&self, name: &[u8], from: usize) -> Option<(usize, &'static Field)> {
        let hit = |at: usize| self.fields.get(at).filter(|f| f.name.as_bytes() == name).map(|f| (at, f));
        (from..self.fields.len()).find_map(hit).or_else(|| (0..from).find_map(hit))
    }

    /// The slot of a field number.
    pub fn slot_of(&self, number: u32) -> Option<(usize, &'static Field)> {
        self.fields.iter().enumerate().find(|(_, f)| f.number == number)
    }
}

impl Kind {
    /// The wire type of one value.
    pub const fn wire_type(self) -> u32 {
        match self {
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
            Kind::Str | Kind::Id | Kind::Bytes | Kind::Message(_) => 2,
            Kind::Fixed32 => 5,
            Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Sint32 => 0,
            Kind::Int64 | Kind::Uint64 | Kind::Enum(_) => 0,
        }
    }

    /// Repeated values of this kind share one length-prefixed record.
    pub const fn packs(self) -> bool {
        self.wire_type() != 2
    }
}

impl Field {
    pub const fn plain(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, rule: Rule::Plain }
    }

    pub const fn optional(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, rule: Rule::Optional }
    }

    pub const fn one_of(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, rule: Rule::OneOf }
    }

    pub const fn repeated(name: &'static str, number: u32, kind: Kind) -> Self {
        Self { name, number, kind, rule: Rule::Repeated }
    }

    /// A message field: absent and empty differ.
    pub const fn message(name: &'static str, number: u32, of: &'static Message) -> Self {
        Self::optional(name, number, Kind::Message(of))
    }

    pub const fn messages(name: &'static str, number: u32, of: &'static Message) -> Self {
        Self::repeated(name, number, Kind::Message(of))
    }
}
