//! What one span claims of its whole trace: name, user, session, version, tags and metadata, and whether
//! it calls itself a root. One pass over its attributes; nothing is copied.
//!
//! A claim may stand under several keys; the best is believed, as Langfuse's server reads them. Keys it
//! does not read (`enduser.id`, OpenLLMetry's associations) come last: they speak for the trace, but the
//! span that has no other still lacks the property as far as a server can see.

use crate::wire::attr::{Attr, Value, messages};
use crate::wire::noted::{self, Noted};

use super::{SPAN_ATTRIBUTES, tags};

/// Texts longer than this many characters are not kept by servers (SDKs' `propagate_attributes`).
pub const TEXT_MAX: usize = 200;

/// Whether a text has more characters than servers keep.
pub fn is_long(text: &str) -> bool {
    text.len() > TEXT_MAX && text.chars().nth(TEXT_MAX).is_some()
}

/// Yes-or-no facts about a span, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Has(u16);

impl Has {
    pub const NONE: Self = Self(0);
    /// The property, under a key that Langfuse's server reads.
    pub const NAME: Self = Self(1);
    pub const USER: Self = Self(1 << 1);
    pub const SESSION: Self = Self(1 << 2);
    pub const VERSION: Self = Self(1 << 3);
    pub const TAGS: Self = Self(1 << 4);
    /// Some trace metadata.
    pub const METADATA: Self = Self(1 << 5);
    /// `user.id` and `session.id` themselves.
    pub const USER_ID: Self = Self(1 << 6);
    pub const SESSION_ID: Self = Self(1 << 7);
    /// `langfuse.internal.as_root`, `langfuse.internal.is_app_root`.
    pub const AS_ROOT: Self = Self(1 << 8);
    pub const APP_ROOT: Self = Self(1 << 9);
    /// A value that servers misread or drop: tags as a `repr`, a text over [`TEXT_MAX`].
    pub const ODD: Self = Self(1 << 10);
    /// `spandrel.late`.
    pub const LATE: Self = Self(1 << 11);
    /// Something about tokens or cost.
    pub const USAGE: Self = Self(1 << 12);

    /// What the keys of a span's attributes tell by themselves.
    pub fn told(noted: Noted) -> Self {
        if noted.has(Noted::USAGE) { Self::USAGE } else { Self::NONE }
    }

    pub fn has(self, fact: Self) -> bool {
        self.0 & fact.0 != 0
    }

    pub const fn with(self, fact: Self) -> Self {
        Self(self.0 | fact.0)
    }

    /// What is in `wanted` and not in this.
    pub const fn lacks(self, wanted: Self) -> Self {
        Self(wanted.0 & !self.0)
    }

    /// `as_` where this has `fact`, else nothing.
    pub fn only(self, fact: Self, as_: Self) -> Self {
        if self.has(fact) { as_ } else { Self::NONE }
    }

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A text property of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Name,
    User,
    Session,
    Version,
}

/// Keys best first, and how many of them a Langfuse server reads.
type Keys = (&'static [&'static str], usize);

impl Text {
    pub const ALL: [Self; 4] = [Self::Name, Self::User, Self::Session, Self::Version];

    /// Where it is said.
    pub const fn keys(self) -> Keys {
        match self {
            Self::Name => (&["langfuse.trace.name"], 1),
            Self::User => (
                &[
                    "langfuse.user.id",
                    "user.id",
                    "langfuse.trace.metadata.langfuse_user_id",
                    "langfuse.observation.metadata.langfuse_user_id",
                    "ai.telemetry.metadata.userId",
                    "traceloop.association.properties.user_id",
                    "enduser.id",
                ],
                5,
            ),
            Self::Session => (
                &[
                    "langfuse.session.id",
                    "session.id",
                    "gen_ai.conversation.id",
                    "langfuse.trace.metadata.langfuse_session_id",
                    "langfuse.observation.metadata.langfuse_session_id",
                    "ai.telemetry.metadata.sessionId",
                    "traceloop.association.properties.session_id",
                ],
                6,
            ),
            Self::Version => (&["langfuse.version"], 1),
        }
    }

    /// The bit that says that a server finds it on the span.
    pub const fn has(self) -> Has {
        match self {
            Self::Name => Has::NAME,
            Self::User => Has::USER,
            Self::Session => Has::SESSION,
            Self::Version => Has::VERSION,
        }
    }
}

/// Where tags are said, best first.
pub const TAG_KEYS: [&str; 6] = [
    "langfuse.trace.tags",
    "langfuse.tags",
    "langfuse.trace.metadata.langfuse_tags",
    "langfuse.observation.metadata.langfuse_tags",
    "ai.telemetry.metadata.tags",
    "tag.tags",
];
/// In front of each key of the trace's metadata.
pub const METADATA: &str = "langfuse.trace.metadata.";
const METADATA_SHORT: &str = "langfuse.metadata.";
const AS_ROOT: &[u8] = super::roots::AS_ROOT.as_bytes();
const APP_ROOT: &[u8] = b"langfuse.internal.is_app_root";

/// A value, and the key it stood under.
pub type Claim<'a, T> = (T, &'static str);

/// What a span claims.
#[derive(Clone, Debug, Default)]
pub struct Claims<'a> {
    pub has: Has,
    texts: [Option<(u8, Claim<'a, &'a str>)>; 4],
    tags: Option<(u8, Claim<'a, Value<'a>>)>,
    span: &'a [u8],
}

impl<'a> Claims<'a> {
    /// Reads the body of a Span message.
    pub fn of(span: &'a [u8]) -> Self {
        let mut claims = Self { span, ..Self::default() };
        for key_value in messages(span, SPAN_ATTRIBUTES) {
            claims.read(Attr::key_of(key_value), key_value);
        }
        if claims.tags.is_some_and(|(_, (value, _))| is_odd(value)) {
            claims.has = claims.has.with(Has::ODD);
        }
        claims
    }

    pub fn text(&self, which: Text) -> Option<Claim<'a, &'a str>> {
        self.texts[which as usize].map(|(_, claim)| claim)
    }

    pub fn tags(&self) -> Option<Claim<'a, Value<'a>>> {
        self.tags.map(|(_, claim)| claim)
    }

    /// The trace's metadata: the key without what stands in front, and its value; the last of a key wins.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let all = if self.has.has(Has::METADATA) { self.span } else { &[] };
        messages(all, SPAN_ATTRIBUTES).filter_map(|key_value| {
            let key = std::str::from_utf8(Attr::key_of(key_value)).ok()?;
            Some((metadata_key(key)?, Attr::of(key_value).value))
        })
    }

    /// Whether it claims nothing of its trace.
    pub fn is_nothing(&self) -> bool {
        self.texts.iter().all(Option::is_none) && self.tags.is_none() && !self.has.has(Has::METADATA)
    }

    fn read(&mut self, key: &[u8], key_value: &'a [u8]) {
        // Most keys of most spans are told apart here.
        let noted = noted::of(key);
        self.note(Has::told(noted));
        if !noted.has(Noted::CLAIM) {
            return;
        }
        let value = || Attr::of(key_value).value;
        match key {
            AS_ROOT | APP_ROOT if value() == Value::Bool(true) => {
                self.note(if key == AS_ROOT { Has::AS_ROOT } else { Has::APP_ROOT });
            }
            b"spandrel.late" => self.note(Has::LATE),
            _ => self.claim(key, value),
        }
    }

    fn claim(&mut self, key: &[u8], value: impl Fn() -> Value<'a>) {
        for which in Text::ALL {
            let (keys, read) = which.keys();
            let Some(rank) = keys.iter().position(|wanted| wanted.as_bytes() == key) else { continue };
            let Some(text) = value().text().filter(|text| !text.is_empty()) else { return };
            self.note(match key {
                b"user.id" => Has::USER.with(Has::USER_ID),
                b"session.id" => Has::SESSION.with(Has::SESSION_ID),
                _ if rank < read => which.has(),
                _ => Has::NONE,
            });
            if is_long(text) {
                self.note(Has::ODD);
            }
            let place = &mut self.texts[which as usize];
            if place.is_none_or(|(best, _)| rank as u8 <= best) {
                *place = Some((rank as u8, (text, keys[rank])));
            }
            return;
        }
        if let Some(rank) = TAG_KEYS.iter().position(|wanted| wanted.as_bytes() == key) {
            self.note(Has::TAGS);
            if self.tags.is_none_or(|(best, _)| rank as u8 <= best) {
                self.tags = Some((rank as u8, (value(), TAG_KEYS[rank])));
            }
        } else if std::str::from_utf8(key).ok().and_then(metadata_key).is_some() {
            self.note(Has::METADATA);
        }
    }

    fn note(&mut self, fact: Has) {
        self.has = self.has.with(fact);
    }
}

fn is_odd(value: Value<'_>) -> bool {
    let read = tags::read(value);
    read.odd || read.list.iter().any(|tag| is_long(tag))
}

/// The key of a metadatum by itself; what SDKs use for other things is none.
fn metadata_key(key: &str) -> Option<&str> {
    let bare = key.strip_prefix(METADATA).or_else(|| key.strip_prefix(METADATA_SHORT))?;
    (!bare.is_empty() && !bare.starts_with("langfuse_")).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::super::{environment, release};
    use super::*;

    fn span(pairs: &[(&str, Value<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in pairs {
            Attr { key: key.as_bytes(), value: *value }.put(SPAN_ATTRIBUTES, &mut out);
        }
        out
    }

    #[test]
    fn every_key_is_one_the_walk_marks() {
        let texts = Text::ALL.into_iter().flat_map(|which| which.keys().0.iter().copied());
        let marks = [AS_ROOT, APP_ROOT].map(|mark| std::str::from_utf8(mark).unwrap());
        let all = texts.chain(TAG_KEYS).chain(marks).chain([METADATA, METADATA_SHORT, "spandrel.late"]);
        for key in all {
            assert!(noted::of(key.as_bytes()).has(Noted::CLAIM), "{key}");
        }
        for key in environment::KEYS.into_iter().chain(release::keys(release::SERVICE_VERSION)) {
            assert!(noted::of(key.as_bytes()).has(Noted::PLACE), "{key}");
        }
    }

    #[test]
    fn the_best_key_is_believed_wherever_it_stands() {
        let (a, b) = (Value::Str(b"a"), Value::Str(b"b"));
        for pairs in [[("user.id", a), ("langfuse.user.id", b)], [("langfuse.user.id", b), ("user.id", a)]] {
            let span = span(&pairs);
            assert_eq!(Claims::of(&span).text(Text::User), Some(("b", "langfuse.user.id")));
        }
        let span = span(&[("enduser.id", a)]);
        let claims = Claims::of(&span);
        assert_eq!(claims.text(Text::User), Some(("a", "enduser.id")));
        assert!(!claims.has.has(Has::USER), "no server reads it there");
    }

    #[test]
    fn what_is_of_the_wrong_type_or_empty_claims_nothing() {
        let span = span(&[
            ("user.id", Value::Int(7)),
            ("session.id", Value::Str(b"")),
            ("langfuse.internal.as_root", Value::Str(b"true")),
            ("langfuse.trace.metadata.", Value::Bool(true)),
        ]);
        assert!(Claims::of(&span).has.is_none());
    }

    #[test]
    fn metadata_are_named_without_what_stands_in_front() {
        let span = span(&[
            ("langfuse.trace.metadata.source", Value::Str(b"web")),
            ("langfuse.metadata.n", Value::Int(3)),
            ("langfuse.trace.metadata.langfuse_user_id", Value::Str(b"u")),
        ]);
        let claims = Claims::of(&span);
        let all: Vec<_> = claims.metadata().collect();
        assert_eq!(all, [("source", Value::Str(b"web")), ("n", Value::Int(3))]);
        assert_eq!(claims.text(Text::User).map(|(user, _)| user), Some("u"));
    }

    #[test]
    fn what_servers_misread_is_marked() {
        let long = "x".repeat(TEXT_MAX + 1);
        let odd =
            |key, text: &str| Claims::of(&span(&[(key, Value::Str(text.as_bytes()))])).has.has(Has::ODD);
        assert!(odd("user.id", &long) && !odd("user.id", &long[1..]));
        assert!(odd("langfuse.trace.tags", "['a', 'b']") && !odd("langfuse.trace.tags", "a,b"));
    }
}
