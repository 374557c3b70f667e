//! Writes what a trace says of itself on the spans that lack it, in the words its server reads.
//!
//! A span's own word is never overwritten. What is written is the same for every span that lacks the same,
//! so it is laid down once for each such set and copied behind the span. Spans that need more than that
//! (another parent, tags that servers misread) are rare: their fields are cut out and written anew.
//!
//! `otel` writes `user.id` and `session.id` where they are asked for, and nothing vendor-specific.

use smallvec::SmallVec;

use super::particulars::{Particular, Particulars};
use crate::semantics::claims::{Claims, Has, METADATA, TAG_KEYS, Text, is_long};
use crate::semantics::context::{Datum, Said, cut};
use crate::semantics::roots::{AS_ROOT, Mend};
use crate::semantics::{Dialect, SPAN_ATTRIBUTES, tags};
use crate::wire::SpanId;
use crate::wire::attr::{self, Attr, Value};
use crate::wire::cuts::{self, Cuts};
use crate::wire::fields::{self, Field, Payload};

/// The parent a span named before it was mended, in hexadecimal.
pub const FORMER_PARENT: &str = "spandrel.parent_span_id";
/// Marks a span that came after its trace had left.
pub const LATE: &str = "spandrel.late";
/// `Span.span_id`.
const SPAN_ID: u32 = 2;
/// `Span.parent_span_id`.
const PARENT: u32 = 4;
/// What a span that is rewritten grows by, at most, beside the whole tail: its former parent, and tags of
/// which each is a little longer as an element of a list.
const REWRITTEN_MAX: usize = 1024;
/// Mostly as long or shorter: a name, a user and a session.
const TAIL_USUAL: usize = 160;

/// What is written on spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub dialect: Dialect,
    /// The properties to write, as the bits that say that a span has them.
    pub properties: Has,
}

impl Settings {
    /// The properties a dialect's server reads on spans.
    pub const fn all(dialect: Dialect) -> Has {
        let ids = Has::USER.with(Has::SESSION);
        match dialect {
            Dialect::Otel => ids,
            Dialect::Langfuse | Dialect::InteractiveAi => {
                ids.with(Has::NAME).with(Has::VERSION).with(Has::TAGS).with(Has::METADATA)
            }
        }
    }
}

/// What the spans of one trace are given.
#[derive(Debug)]
pub struct Stamp<'a> {
    settings: Settings,
    said: Option<&'a Said>,
    late: bool,
    /// Metadata go out as JSON: the batch travels as that of an SDK whose server expects it.
    encoded: bool,
    /// What single spans are given.
    particulars: Particulars,
    /// What was laid down so far, by what it was laid down for.
    tails: SmallVec<[(Has, Vec<u8>); 4]>,
    /// Neighbours mostly have the same.
    last: Option<(Has, usize)>,
}

impl<'a> Stamp<'a> {
    pub fn new(settings: Settings, said: Option<&'a Said>, late: bool, encoded: bool) -> Self {
        Self {
            settings,
            said,
            late,
            encoded,
            particulars: Particulars::default(),
            tails: SmallVec::new(),
            last: None,
        }
    }

    /// The same, with what single spans are given.
    #[must_use]
    pub fn with(self, particulars: Particulars) -> Self {
        Self { particulars, ..self }
    }

    /// What is given to this span alone.
    pub fn particular(&self, span: &[u8]) -> Option<&Particular> {
        if self.particulars.is_empty() {
            return None;
        }
        let id = attr::messages(span, SPAN_ID).last()?.try_into().ok()?;
        self.particulars.get(&SpanId(id))
    }

    /// Bytes that all of them take.
    pub fn particulars_len(&self) -> usize {
        self.particulars.values().map(|particular| particular.tail.len()).sum()
    }

    /// Nothing is written on any span.
    pub fn is_nothing(&self) -> bool {
        !self.late && self.said.is_none() && self.particulars.is_empty()
    }

    /// Spans that are not mended go out as they came.
    pub fn changes_nothing(&self) -> bool {
        self.is_nothing() && !self.settings.dialect.reads_langfuse()
    }

    /// What a span grows by at most.
    pub fn growth(&mut self, has: Has, mend: Option<Mend>) -> usize {
        if self.rewrites(has, mend) {
            return self.tail(Has::NONE).len() + REWRITTEN_MAX;
        }
        if self.is_nothing() { 0 } else { self.tail(has).len() }
    }

    /// Whether the trace names a version that resources with one of their own do not want.
    pub fn has_version(&self) -> bool {
        self.said.is_some_and(|said| said.text(Text::Version).is_some())
    }

    /// What stands behind a span that has these of its own.
    pub fn tail(&mut self, has: Has) -> &[u8] {
        let at = match self.last {
            Some((same, at)) if same == has => at,
            _ => self.tail_for(self.lacks(has)),
        };
        self.last = Some((has, at));
        self.tails.get(at).map(|(_, tail)| tail.as_slice()).unwrap_or_default()
    }

    fn tail_for(&mut self, lacks: Has) -> usize {
        self.tails.iter().position(|(known, _)| *known == lacks).unwrap_or_else(|| {
            let mut tail = Vec::with_capacity(TAIL_USUAL);
            self.lay_down(lacks, &mut tail);
            self.tails.push((lacks, tail));
            self.tails.len() - 1
        })
    }

    /// What a span that has these of its own is given, by the bits that say that it then has it.
    pub fn gives(&self, span: &[u8], has: Has) -> Has {
        let lacks = self.lacks(has);
        let late = lacks.only(Has::LATE, Has::LATE);
        let Some(said) = self.said else { return late };
        let texts = Text::ALL.into_iter().filter(|which| said.text(*which).is_some());
        let mut gives = texts.fold(late, |gives, which| gives.with(lacks.only(which.has(), which.has())));
        if !said.tags.is_empty() {
            gives = gives.with(lacks.only(Has::TAGS, Has::TAGS));
        }
        let lacking = if has.has(Has::METADATA) {
            self.rewrites(has, None) && self.lacking(said, &Claims::of(span)).next().is_some()
        } else {
            lacks.has(Has::METADATA) && !said.metadata.is_empty()
        };
        if lacking { gives.with(Has::METADATA) } else { gives }
    }

    /// Whether a span needs more than something behind it.
    pub fn rewrites(&self, has: Has, mend: Option<Mend>) -> bool {
        let vendor = self.settings.dialect.reads_langfuse();
        mend.is_some() || (vendor && (has.has(Has::ODD) || has.has(Has::METADATA)))
    }

    /// What is cut out of a span and what stands behind it instead. `encoded`: its own SDK writes metadata
    /// as JSON.
    pub fn rewrite(&mut self, span: &[u8], has: Has, mend: Option<Mend>, encoded: bool) -> (Cuts, Vec<u8>) {
        let mut tail = self.tail(has).to_vec();
        let claims = Claims::of(span);
        let vendor = self.settings.dialect.reads_langfuse();
        let odd = vendor && has.has(Has::ODD);
        let decodes = vendor && encoded && !self.encoded && has.has(Has::METADATA);
        let particular = self.particular(span);
        let goes = |key: &[u8]| particular.is_some_and(|p| p.cut.iter().any(|cut| cut.as_bytes() == key));
        let mut pick = |field: &Field<'_>| match (field.number, field.payload) {
            (PARENT, _) => mend.is_some_and(|mend| mend.parent.is_some()),
            (SPAN_ATTRIBUTES, Payload::Len(body)) => {
                let attr = Attr::of(body);
                let unmarked = attr.key == AS_ROOT.as_bytes() && mend.is_some_and(|mend| mend.unmark);
                unmarked
                    || goes(attr.key)
                    || (odd && mend_text(attr, &mut tail))
                    || (decodes && decode(attr, &mut tail))
            }
            _ => false,
        };
        let cuts = cuts::of(span, &mut pick);
        if let Some((was, is)) = mend.and_then(|mend| mend.parent) {
            put_parent(was, is, &mut tail);
        }
        self.fill_metadata(&claims, &mut tail);
        tail.extend_from_slice(particular.map_or(&[], |particular| &particular.tail));
        (cuts, tail)
    }

    fn lacks(&self, has: Has) -> Has {
        let wanted = if self.said.is_some() { self.settings.properties } else { Has::NONE };
        let has = match self.settings.dialect {
            // Only the standard's own keys count.
            Dialect::Otel => {
                [(Has::USER_ID, Has::USER), (Has::SESSION_ID, Has::SESSION), (Has::LATE, Has::LATE)]
                    .into_iter()
                    .fold(Has::NONE, |own, (key, means)| own.with(has.only(key, means)))
            }
            Dialect::Langfuse | Dialect::InteractiveAi => has,
        };
        let late = if self.late { Has::LATE } else { Has::NONE };
        has.lacks(wanted.with(late))
    }

    fn lay_down(&self, lacks: Has, out: &mut Vec<u8>) {
        if lacks.has(Has::LATE) {
            put(LATE, Value::Bool(true), out);
        }
        let Some(said) = self.said else { return };
        for which in Text::ALL.into_iter().filter(|which| lacks.has(which.has())) {
            if let Some(fact) = said.text(which) {
                put(written_as(which), Value::Str(fact.value.as_bytes()), out);
            }
        }
        if lacks.has(Has::TAGS) && !said.tags.is_empty() {
            put_tags(said.tags.iter().map(|tag| &*tag.value), out);
        }
        if lacks.has(Has::METADATA) {
            said.metadata.iter().for_each(|datum| self.put_datum(&datum.key, &datum.value, out));
        }
    }

    /// The metadata of the trace that a span with some of its own lacks.
    fn fill_metadata(&self, claims: &Claims<'_>, out: &mut Vec<u8>) {
        let Some(said) = self.said else { return };
        self.lacking(said, claims).for_each(|datum| self.put_datum(&datum.key, &datum.value, out));
    }

    fn lacking<'d>(&self, said: &'d Said, claims: &Claims<'_>) -> impl Iterator<Item = &'d Datum> {
        let some = self.settings.properties.has(Has::METADATA) && claims.has.has(Has::METADATA);
        let data = if some { said.metadata.as_slice() } else { &[] };
        data.iter().filter(|datum| claims.metadata().all(|(own, _)| own != &*datum.key))
    }

    fn put_datum(&self, key: &str, body: &[u8], out: &mut Vec<u8>) {
        let key = [METADATA, key].concat();
        let json = self.encoded.then(|| json_of(Value::of(body)));
        let value = json.as_ref().map_or(Value::of(body), |json| Value::Str(json.as_bytes()));
        put(&key, value, out);
    }
}

const fn written_as(which: Text) -> &'static str {
    match which {
        Text::Name => "langfuse.trace.name",
        Text::User => "user.id",
        Text::Session => "session.id",
        Text::Version => "langfuse.version",
    }
}

fn put(key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    Attr { key: key.as_bytes(), value }.put(SPAN_ATTRIBUTES, out);
}

fn put_tags<'t>(tags: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) {
    let mut array = Vec::new();
    for tag in tags {
        let mut element = Vec::new();
        Value::Str(tag.as_bytes()).put(&mut element);
        fields::put_len_field(1, &element, &mut array);
    }
    put(TAG_KEYS[0], Value::Array(&array), out);
}

fn put_parent(was: SpanId, is: SpanId, out: &mut Vec<u8>) {
    if !is.is_none() {
        fields::put_len_field(PARENT, &is.0, out);
    }
    if !was.is_none() {
        put(FORMER_PARENT, Value::Str(was.to_string().as_bytes()), out);
    }
}

/// Writes tags and texts that servers misread as they are meant. Says whether it did.
fn mend_text(attr: Attr<'_>, out: &mut Vec<u8>) -> bool {
    let Ok(key) = std::str::from_utf8(attr.key) else { return false };
    if TAG_KEYS.contains(&key) {
        let read = tags::read(attr.value);
        let long = read.list.iter().any(|tag| is_long(tag));
        if !read.odd && !long {
            return false;
        }
        let mut array = Vec::new();
        for tag in &read.list {
            let mut element = Vec::new();
            Value::Str(cut(tag).as_bytes()).put(&mut element);
            fields::put_len_field(1, &element, &mut array);
        }
        put(key, Value::Array(&array), out);
        return true;
    }
    let is_text = Text::ALL.iter().any(|which| which.keys().0.contains(&key));
    let Some(text) = attr.value.text().filter(|text| is_text && cut(text).len() < text.len()) else {
        return false;
    };
    put(key, Value::Str(cut(text).as_bytes()), out);
    true
}

/// Writes a metadatum that is a text in JSON as the text. Says whether it did.
fn decode(attr: Attr<'_>, out: &mut Vec<u8>) -> bool {
    let Ok(key) = std::str::from_utf8(attr.key) else { return false };
    let is_metadatum = key.starts_with(METADATA) || key.starts_with("langfuse.observation.metadata.");
    let text = attr.value.text().filter(|text| is_metadatum && text.starts_with('"'));
    let Some(text) = text.and_then(|text| serde_json::from_str::<String>(text).ok()) else { return false };
    put(key, Value::Str(text.as_bytes()), out);
    true
}

fn json_of(value: Value<'_>) -> String {
    let json = match value {
        Value::Bool(truth) => truth.into(),
        Value::Int(number) => number.into(),
        Value::Double(number) => number.into(),
        other => match other.text() {
            // What is a JSON document already was decoded to itself.
            Some(text) if text.starts_with(['{', '[']) => return text.to_owned(),
            text => serde_json::Value::from(text.unwrap_or_default()),
        },
    };
    json.to_string()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    use super::*;
    use crate::semantics::claims::TEXT_MAX;
    use crate::semantics::context::Builder;

    const VENDOR: Settings =
        Settings { dialect: Dialect::Langfuse, properties: Settings::all(Dialect::Langfuse) };

    fn span(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out =
            Span { span_id: vec![3; 8], parent_span_id: vec![9; 8], ..Span::default() }.encode_to_vec();
        pairs.iter().for_each(|(key, value)| put(key, Value::Str(value.as_bytes()), &mut out));
        out
    }

    fn said(spans: &[&[(&str, &str)]]) -> std::sync::Arc<Said> {
        let mut builder = Builder::default();
        spans.iter().for_each(|pairs| builder.add(SpanId([1; 8]), &Claims::of(&span(pairs)), false));
        builder.finish().unwrap()
    }

    fn text(value: Option<AnyValue>) -> String {
        match value.and_then(|value| value.value) {
            Some(Any::StringValue(text)) => text,
            Some(Any::ArrayValue(list)) => {
                let all: Vec<_> = list.values.into_iter().map(|value| text(Some(value))).collect();
                format!("{all:?}")
            }
            other => format!("{other:?}"),
        }
    }

    /// The span as it goes out.
    fn stamped(stamp: &mut Stamp<'_>, span: &[u8], mend: Option<Mend>, encoded: bool) -> Span {
        let has = Claims::of(span).has;
        let mut out = crate::wire::Rope::default();
        let own = stamp.particular(span).map_or(0, |particular| particular.tail.len());
        let (cuts, tail) = if stamp.rewrites(has, mend) || own > 0 {
            stamp.rewrite(span, has, mend, encoded)
        } else {
            (Cuts::new(), stamp.tail(has).to_vec())
        };
        assert!(
            tail.len() <= cuts.iter().map(|c| c.len as usize).sum::<usize>() + own + stamp.growth(has, mend)
        );
        cuts::put_item(cuts::Item::Plain(span), &cuts, &tail, &[], &mut out);
        let item = out.into_bytes();
        let body = crate::wire::attr::messages(&item, 2).next().unwrap();
        Span::decode(body).unwrap()
    }

    fn pairs(span: Span) -> Vec<(String, String)> {
        span.attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
    }

    #[track_caller]
    fn check(settings: Settings, said: &Said, own: &[(&str, &str)], expect: &[(&str, &str)]) {
        let mut stamp = Stamp::new(settings, Some(said), false, false);
        let expect: Vec<_> = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs(stamped(&mut stamp, &span(own), None, false)), expect);
    }

    #[test]
    fn a_span_gets_what_it_lacks_and_keeps_its_own_word() {
        let said = said(&[&[
            ("langfuse.trace.name", "checkout"),
            ("user.id", "ann"),
            ("langfuse.trace.tags", "a,b"),
            ("langfuse.trace.metadata.k", "1"),
        ]]);
        let all = [
            ("langfuse.trace.name", "checkout"),
            ("user.id", "ann"),
            ("langfuse.trace.tags", r#"["a", "b"]"#),
            ("langfuse.trace.metadata.k", "1"),
        ];
        check(VENDOR, &said, &[], &all);
        let own = [("langfuse.user.id", "bob"), ("langfuse.tags", "mine")];
        check(VENDOR, &said, &own, &[own[0], own[1], all[0], all[3]]);
        let own = [("langfuse.trace.metadata.other", "2")];
        check(VENDOR, &said, &own, &[own[0], all[0], all[1], all[2], all[3]]);
        let own = [("langfuse.trace.metadata.k", "mine")];
        check(VENDOR, &said, &own, &[own[0], all[0], all[1], all[2]]);
    }

    #[test]
    fn otel_is_given_the_standards_keys_that_were_asked_for_and_no_others() {
        let said = said(&[&[("langfuse.user.id", "ann"), ("session.id", "s"), ("langfuse.trace.name", "n")]]);
        let asked = Settings { dialect: Dialect::Otel, properties: Has::USER };
        check(asked, &said, &[], &[("user.id", "ann")]);
        check(
            asked,
            &said,
            &[("langfuse.user.id", "ann")],
            &[("langfuse.user.id", "ann"), ("user.id", "ann")],
        );
        check(Settings::default(), &said, &[], &[]);
        let odd = [("langfuse.trace.tags", "['a', 'b']")];
        check(asked, &said, &odd, &[odd[0], ("user.id", "ann")]);
    }

    #[test]
    fn tags_and_texts_that_servers_misread_are_written_as_they_are_meant() {
        let said = said(&[&[("session.id", "s")]]);
        let long = "ü".repeat(TEXT_MAX + 50);
        let own = [("langfuse.trace.tags", "['a', 'b,c']"), ("user.id", long.as_str())];
        let cut = &long[..2 * TEXT_MAX];
        let expect = [("session.id", "s"), ("langfuse.trace.tags", r#"["a", "b,c"]"#), ("user.id", cut)];
        check(VENDOR, &said, &own, &expect);
    }

    #[test]
    fn metadata_are_json_where_the_server_expects_it_and_plain_elsewhere() {
        let said = said(&[&[("langfuse.trace.metadata.source", "web")]]);
        let mut json = Stamp::new(VENDOR, Some(&said), false, true);
        let own = |encoded| {
            pairs(stamped(
                &mut Stamp::new(VENDOR, Some(&said), false, false),
                &span(&[("langfuse.trace.metadata.k", r#""x""#)]),
                None,
                encoded,
            ))
        };
        assert_eq!(
            pairs(stamped(&mut json, &span(&[]), None, false)),
            [("langfuse.trace.metadata.source".into(), r#""web""#.into())]
        );
        assert!(own(true).contains(&("langfuse.trace.metadata.k".into(), "x".into())));
        assert!(own(false).contains(&("langfuse.trace.metadata.k".into(), r#""x""#.into())));
    }

    #[test]
    fn a_parent_that_is_changed_is_kept_in_an_attribute() {
        let mut stamp = Stamp::new(VENDOR, None, false, false);
        let is = SpanId([5; 8]);
        let mend = Mend { parent: Some((SpanId([9; 8]), is)), unmark: false };
        let changed = stamped(&mut stamp, &span(&[("k", "v")]), Some(mend), false);
        assert_eq!(
            (changed.parent_span_id.as_slice(), changed.span_id.as_slice()),
            (&[5; 8][..], &[3; 8][..])
        );
        let former = (FORMER_PARENT.to_owned(), "0909090909090909".to_owned());
        assert_eq!(pairs(changed), [("k".to_owned(), "v".to_owned()), former]);
        let mend = Mend { parent: Some((SpanId::NONE, SpanId::NONE)), unmark: false };
        assert!(stamped(&mut stamp, &span(&[]), Some(mend), false).parent_span_id.is_empty());
    }

    #[test]
    fn a_mark_that_is_no_root_goes() {
        let mut own = span(&[]);
        put(AS_ROOT, Value::Bool(true), &mut own);
        let mend = Mend { parent: None, unmark: true };
        let mut stamp = Stamp::new(VENDOR, None, false, false);
        assert_eq!(pairs(stamped(&mut stamp, &own, Some(mend), false)), []);
    }

    #[test]
    fn what_is_one_spans_own_takes_the_place_of_what_was_there() {
        let mut tail = Vec::new();
        put("spandrel.trace.spans", Value::Int(2), &mut tail);
        let particular = Particular { cut: vec!["spandrel.trace.spans".into()], tail };
        let all = Particulars::from_iter([(SpanId([3; 8]), particular)]);
        let mut stamp = Stamp::new(Settings::default(), None, false, false).with(all);
        let once = stamped(&mut stamp, &span(&[("k", "v")]), None, false);
        let again = stamped(&mut stamp, &once.encode_to_vec(), None, false);
        let keys: Vec<String> = again.attributes.into_iter().map(|pair| pair.key).collect();
        assert_eq!(keys, ["k", "spandrel.trace.spans"]);
    }

    #[test]
    fn a_late_span_is_marked_once() {
        let mut stamp = Stamp::new(Settings::default(), None, true, false);
        let once = stamped(&mut stamp, &span(&[]), None, false);
        assert_eq!(once.attributes.len(), 1);
        let again = stamped(&mut stamp, &once.encode_to_vec(), None, false);
        assert_eq!(again, once);
    }
}
