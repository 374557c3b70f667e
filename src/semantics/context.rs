//! What a trace says of itself, worked out once from the claims of all its spans.
//!
//! Spans are asked in the order of the tree, so the nearest to the root is believed, and how they arrived
//! has no part in it. Tags are everybody's, metadata key by key. What left of the trace earlier is asked
//! too (`resume`): first or last, as the caller knows who had the root.
//!
//! Bounded: what a trace may say is a few kilobytes. What is left out stays on the span that said it.

use std::sync::Arc;

use super::claims::{Claims, TEXT_MAX, Text, is_long};
use super::tags;
use crate::wire::SpanId;
use crate::wire::attr::Value;
use crate::wire::fields;

/// Metadata kept of one trace.
const METADATA_MAX: usize = 64;
/// Bytes of one metadatum, key and value, and of all.
const DATUM_BYTES_MAX: usize = 1024;
const METADATA_BYTES_MAX: usize = 8 << 10;
/// The `key` of a name that nobody claimed: the root's own.
pub const ROOTS_NAME: &str = "span name";

/// One fact, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// At most [`TEXT_MAX`] characters.
    pub value: Box<str>,
    pub from: SpanId,
    /// The attribute it stood under, or [`ROOTS_NAME`].
    pub key: &'static str,
}

/// One metadatum, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    pub key: Box<str>,
    /// The body of an AnyValue: text, number or truth, decoded where its SDK writes JSON.
    pub value: Box<[u8]>,
    pub from: SpanId,
}

/// What a trace says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    texts: [Option<Fact>; 4],
    /// In the order of the tree, none twice.
    pub tags: Vec<Fact>,
    pub metadata: Vec<Datum>,
    /// The span that speaks for the trace; `SpanId::NONE` while none is known.
    pub root: SpanId,
    /// Claims that another span, nearer to the root, contradicts.
    pub disputed: u32,
    /// Claims that are too long, too many or of a type nobody reads.
    pub left_out: u32,
}

impl Said {
    pub fn text(&self, which: Text) -> Option<&Fact> {
        self.texts[which as usize].as_ref()
    }

    fn is_empty(&self) -> bool {
        self.texts.iter().all(Option::is_none)
            && self.tags.is_empty()
            && self.metadata.is_empty()
            && self.root.is_none()
            && self.left_out == 0
    }

    /// Heap bytes it takes, for the byte budget.
    pub fn bytes(&self) -> usize {
        let facts = self.texts.iter().flatten().chain(&self.tags);
        let texts: usize = facts.map(|fact| fact.value.len() + size_of::<Fact>()).sum();
        let data = |datum: &Datum| datum.key.len() + datum.value.len() + size_of::<Datum>();
        size_of::<Self>() + texts + self.metadata.iter().map(data).sum::<usize>()
    }
}

/// Gathers what the spans of one trace claim. Whoever is added first is believed.
#[derive(Debug, Default)]
pub struct Builder {
    said: Said,
    metadata_bytes: usize,
    /// The name to fall back on, of an earlier part's root.
    fallback: Option<Fact>,
}

impl Builder {
    /// The claims of one span. `encoded`: its SDK writes metadata as JSON ([`encodes_metadata`]).
    pub fn add(&mut self, from: SpanId, claims: &Claims<'_>, encoded: bool) {
        for which in Text::ALL {
            if let Some((text, key)) = claims.text(which) {
                self.text(which, Fact { value: cut(text).into(), from, key });
            }
        }
        if let Some((value, key)) = claims.tags() {
            let read = tags::read(value);
            self.said.left_out = self.said.left_out.saturating_add(read.left_out as u32);
            for tag in &read.list {
                self.tag(Fact { value: cut(tag).into(), from, key });
            }
        }
        for (key, value) in claims.metadata() {
            match body_of(value, encoded) {
                Some(value) => self.datum(Datum { key: key.into(), value: value.into(), from }),
                None => self.leave_out(),
            }
        }
    }

    /// What left of the trace earlier said.
    pub fn resume(&mut self, earlier: &Said) {
        for which in Text::ALL {
            match earlier.text(which) {
                Some(fact) if fact.key == ROOTS_NAME => self.fallback = Some(fact.clone()),
                Some(fact) => self.text(which, fact.clone()),
                None => {}
            }
        }
        earlier.tags.iter().for_each(|tag| self.tag(tag.clone()));
        earlier.metadata.iter().for_each(|datum| self.datum(datum.clone()));
        if self.said.root.is_none() {
            self.said.root = earlier.root;
        }
    }

    /// The span that speaks for the trace, and what it is called where nobody has named the trace by now.
    pub fn root<'n>(&mut self, id: SpanId, name: impl FnOnce() -> &'n str) {
        if self.said.root.is_none() {
            self.said.root = id;
        }
        if self.said.text(Text::Name).is_some() || self.fallback.is_some() {
            return;
        }
        let name = name();
        if !name.is_empty() {
            self.fallback = Some(Fact { value: cut(name).into(), from: id, key: ROOTS_NAME });
        }
    }

    /// `None` when nobody says anything.
    pub fn finish(mut self) -> Option<Arc<Said>> {
        let name = &mut self.said.texts[Text::Name as usize];
        if name.is_none() {
            *name = self.fallback.take();
        }
        (!self.said.is_empty()).then(|| Arc::new(self.said))
    }

    fn text(&mut self, which: Text, fact: Fact) {
        let place = &mut self.said.texts[which as usize];
        match place {
            None => *place = Some(fact),
            Some(known) if known.value != fact.value => {
                self.said.disputed = self.said.disputed.saturating_add(1);
            }
            Some(_) => {}
        }
    }

    fn tag(&mut self, tag: Fact) {
        if self.said.tags.iter().any(|known| known.value == tag.value) {
            return;
        }
        if self.said.tags.len() < tags::TAGS_MAX { self.said.tags.push(tag) } else { self.leave_out() }
    }

    fn datum(&mut self, datum: Datum) {
        if let Some(known) = self.said.metadata.iter().find(|known| known.key == datum.key) {
            self.said.disputed = self.said.disputed.saturating_add(u32::from(known.value != datum.value));
            return;
        }
        let bytes = datum.key.len() + datum.value.len();
        let fits = bytes <= DATUM_BYTES_MAX && self.metadata_bytes + bytes <= METADATA_BYTES_MAX;
        if fits && self.said.metadata.len() < METADATA_MAX {
            self.metadata_bytes += bytes;
            self.said.metadata.push(datum);
        } else {
            self.leave_out();
        }
    }

    fn leave_out(&mut self) {
        self.said.left_out = self.said.left_out.saturating_add(1);
    }
}

/// Whether a scope (its message's body) is an SDK that writes every metadatum as JSON, texts in quotes:
/// Langfuse's from version 5 on.
pub fn encodes_metadata(scope: &[u8]) -> bool {
    let text = |number| crate::wire::attr::messages(scope, number).last().unwrap_or_default();
    text(1) == b"langfuse-sdk" && is_five_or_later(text(2))
}

/// Whether an SDK's version, as its header or its scope says it, is 5 or later.
pub fn is_five_or_later(version: &[u8]) -> bool {
    let major = version.split(|&byte| byte == b'.').next().and_then(|major| std::str::from_utf8(major).ok());
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 5)
}

/// The first [`TEXT_MAX`] characters.
pub fn cut(text: &str) -> &str {
    let end = if is_long(text) { text.char_indices().nth(TEXT_MAX) } else { None };
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// A metadatum as the body of an AnyValue; `None` for lists, maps and bytes, which no server takes as one.
fn body_of(value: Value<'_>, encoded: bool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let decoded = value.text().filter(|_| encoded).and_then(|text| serde_json::from_str(text).ok());
    match (value, decoded) {
        (Value::Str(_), Some(serde_json::Value::String(text))) => {
            fields::put_len_field(1, text.as_bytes(), &mut body);
        }
        (Value::Str(_), Some(serde_json::Value::Bool(truth))) => Value::Bool(truth).put(&mut body),
        (Value::Str(_), Some(serde_json::Value::Number(number))) => {
            number.as_i64().map(Value::Int).or(number.as_f64().map(Value::Double))?.put(&mut body);
        }
        (Value::Str(_) | Value::Bool(_) | Value::Int(_) | Value::Double(_), _) => value.put(&mut body),
        _ => return None,
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::SPAN_ATTRIBUTES;
    use crate::wire::attr::Attr;

    fn span(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in pairs {
            Attr { key: key.as_bytes(), value: Value::Str(value.as_bytes()) }.put(SPAN_ATTRIBUTES, &mut out);
        }
        out
    }

    fn id(n: u8) -> SpanId {
        SpanId([n; 8])
    }

    fn build(spans: &[&[(&str, &str)]]) -> Arc<Said> {
        let mut builder = Builder::default();
        for (pairs, n) in spans.iter().zip(1..) {
            builder.add(id(n), &Claims::of(&span(pairs)), false);
        }
        builder.finish().unwrap()
    }

    fn text(said: &Said, which: Text) -> Option<(&str, SpanId)> {
        said.text(which).map(|fact| (&*fact.value, fact.from))
    }

    #[test]
    fn the_nearest_to_the_root_is_believed_and_others_are_disputed() {
        let said = build(&[&[], &[("user.id", "ann")], &[("user.id", "bob")], &[("session.id", "s")]]);
        assert_eq!(text(&said, Text::User), Some(("ann", id(2))));
        assert_eq!(text(&said, Text::Session), Some(("s", id(4))));
        assert_eq!(said.disputed, 1);
    }

    #[test]
    fn tags_are_everybodys_and_metadata_go_key_by_key() {
        let said = build(&[
            &[("langfuse.trace.tags", "a,b"), ("langfuse.trace.metadata.k", "1")],
            &[("langfuse.trace.tags", "['b', 'c']"), ("langfuse.trace.metadata.k", "2")],
            &[("langfuse.trace.metadata.other", "3")],
        ]);
        let tags: Vec<&str> = said.tags.iter().map(|tag| &*tag.value).collect();
        assert_eq!(tags, ["a", "b", "c"]);
        let data: Vec<_> = said.metadata.iter().map(|d| (&*d.key, Value::of(&d.value))).collect();
        assert_eq!(data, [("k", Value::Str(b"1")), ("other", Value::Str(b"3"))]);
    }

    #[test]
    fn a_roots_name_stands_in_where_nobody_names_the_trace() {
        let mut builder = Builder::default();
        builder.root(id(1), || "GET /");
        assert_eq!(text(&builder.finish().unwrap(), Text::Name), Some(("GET /", id(1))));
        let mut builder = Builder::default();
        builder.root(id(1), || "GET /");
        builder.add(id(2), &Claims::of(&span(&[("langfuse.trace.name", "checkout")])), false);
        assert_eq!(text(&builder.finish().unwrap(), Text::Name), Some(("checkout", id(2))));
    }

    #[test]
    fn an_earlier_part_fills_gaps_and_its_roots_name_comes_last() {
        let mut builder = Builder::default();
        builder.root(id(1), || "root");
        builder.add(id(1), &Claims::of(&span(&[("user.id", "ann")])), false);
        let earlier = builder.finish().unwrap();
        let mut builder = Builder::default();
        builder.resume(&earlier);
        builder.add(
            id(2),
            &Claims::of(&span(&[("langfuse.trace.name", "named"), ("user.id", "bob")])),
            false,
        );
        let said = builder.finish().unwrap();
        assert_eq!(text(&said, Text::User), Some(("ann", id(1))));
        assert_eq!(text(&said, Text::Name), Some(("named", id(2))));
        assert_eq!((said.root, said.disputed), (id(1), 1));
    }

    #[test]
    fn metadata_written_as_json_are_read_for_what_was_meant() {
        let check = |text: &str, encoded, expect: Value<'_>| {
            let body = body_of(Value::Str(text.as_bytes()), encoded).unwrap();
            assert_eq!(Value::of(&body), expect, "{text}");
        };
        check(r#""web-app""#, true, Value::Str(b"web-app"));
        check(r#""123""#, true, Value::Str(b"123"));
        check("123", true, Value::Int(123));
        check("true", true, Value::Bool(true));
        check(r#"{"k":"v"}"#, true, Value::Str(br#"{"k":"v"}"#));
        check(r#""web-app""#, false, Value::Str(br#""web-app""#));
        check("not json", true, Value::Str(b"not json"));
    }

    #[test]
    fn what_a_trace_may_say_is_bounded() {
        let keys: Vec<String> = (0..500).map(|n| format!("langfuse.trace.metadata.k{n}")).collect();
        let long = "v".repeat(10 << 20);
        let mut pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "value")).collect();
        pairs.extend([("langfuse.trace.metadata.long", long.as_str()), ("user.id", long.as_str())]);
        let said = build(&[&pairs]);
        assert_eq!(said.metadata.len(), METADATA_MAX);
        assert_eq!(said.left_out as usize, 501 - METADATA_MAX);
        assert_eq!(said.text(Text::User).map(|user| user.value.len()), Some(TEXT_MAX));
        assert!(said.bytes() < 16 << 10);
    }

    #[test]
    fn sdks_that_write_json_are_known_by_their_scope() {
        let scope = |name: &str, version: &str| {
            let mut out = Vec::new();
            fields::put_len_field(1, name.as_bytes(), &mut out);
            fields::put_len_field(2, version.as_bytes(), &mut out);
            out
        };
        assert!(encodes_metadata(&scope("langfuse-sdk", "5.0.4")));
        assert!(encodes_metadata(&scope("langfuse-sdk", "12.1")));
        assert!(!encodes_metadata(&scope("langfuse-sdk", "4.18.0")));
        assert!(!encodes_metadata(&scope("interactiveai-sdk", "5.0.0")));
        assert!(!encodes_metadata(b""));
    }
}
