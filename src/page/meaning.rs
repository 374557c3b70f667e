//! What a trace and its spans mean, owned and clipped, in the messages of the inspection API.
//!
//! The reading is `semantics`'; here it becomes something that can be kept, sent and printed. Bounded
//! whatever was said: texts are clipped, payloads are cut and say how long they were, and all payloads of
//! one trace together have a bound too. The surprise: what was cut is no longer JSON, but plain text.

use std::borrow::Cow;

use super::Summary;
use super::proto;
use crate::semantics::cost::Sum;
use crate::semantics::level::Levels;
use crate::semantics::rollup::{Row, Trace};
use crate::semantics::{Complaints, Content, Cost, Decimal, Usage};
use crate::wire::attr::Value;

/// Bytes of one payload that are shown.
pub const CONTENT_MAX: usize = 8 << 10;
/// Bytes of all payloads of one trace that are shown.
pub const CONTENTS_MAX: usize = 2 << 20;
/// Tags and metadata of one trace or span that are shown.
const ENTRIES_MAX: usize = 100;

/// Reads meanings until [`CONTENTS_MAX`] is spent.
#[derive(Debug)]
pub struct Reader {
    left: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { left: CONTENTS_MAX }
    }
}

impl Reader {
    /// The trace's, which should be read first: it matters most.
    pub fn trace(&mut self, trace: &Trace<'_>) -> proto::Properties {
        proto::Properties {
            input: trace.input.as_ref().map(|input| self.content(input)),
            output: trace.output.as_ref().map(|output| self.content(output)),
            environment: trace.environment.map(clip),
            release: trace.release.map(clip),
            version: trace.version.as_deref().map(clip),
            session: trace.session.as_deref().map(clip),
            user: trace.user.as_deref().map(clip),
            tags: tags(&trace.tags.list),
            metadata: self.metadata(&trace.metadata),
            public: trace.public,
            levels: Some(levels(trace.levels)),
            level: trace.levels.worst().name().to_owned(),
            usage: usage(&trace.usage),
            tokens: tokens(&trace.usage),
            cost: trace.cost.map(sum),
            languages: trace.languages.iter().map(|language| clip(language)).collect(),
            critical_path: trace.critical_path.iter().map(|id| id.0.to_vec()).collect(),
            complaints: complaints(&trace.complaints),
            complaint_count: trace.complaints.count,
            scores: Vec::new(),
        }
    }

    /// One span's. What was done to it (`given`, `former_parent`) is not the span's to say.
    pub fn observation(&mut self, row: &Row<'_>) -> proto::Observation {
        let observation = &row.observation;
        let why = |left_out: Option<crate::semantics::doubles::Why>| {
            left_out.map(|why| why.to_string()).unwrap_or_default()
        };
        proto::Observation {
            r#type: row.kind.name().to_owned(),
            name: clip(&observation.name()),
            level: row.level.name().to_owned(),
            status_message: observation.status_message().as_deref().map(clip),
            model: observation.model().as_deref().map(clip),
            model_parameters: observation.model_parameters().map(|given| self.content(&given)),
            usage: usage(&row.usage),
            tokens: tokens(&row.usage),
            cost: row.cost.as_ref().map(cost),
            tokens_left_out: why(row.usage_left_out),
            cost_left_out: why(row.cost_left_out),
            input: observation.input().map(|input| self.content(&input)),
            output: observation.output().map(|output| self.content(&output)),
            metadata: self.metadata(&observation.metadata()),
            environment: observation.environment().map(clip),
            release: observation.release().map(clip),
            version: observation.version().as_deref().map(clip),
            session: observation.session().as_deref().map(clip),
            user: observation.user().as_deref().map(clip),
            tags: tags(&observation.tags().list),
            given: Vec::new(),
            former_parent: Vec::new(),
            scope: clip(observation.scope()),
        }
    }

    fn metadata(&mut self, entries: &[(&str, Value<'_>)]) -> Vec<proto::Datum> {
        let shown = entries.iter().take(ENTRIES_MAX);
        let datum = |(key, value): &(&str, Value<'_>)| {
            let value = Content::Value(*value);
            proto::Datum { key: clip(key), value: Some(self.content(&value)) }
        };
        shown.map(datum).collect()
    }

    pub fn content(&mut self, content: &Content<'_>) -> proto::Content {
        let most = CONTENT_MAX.min(self.left);
        let shown = cut(content, most);
        self.left -= shown.text.len().min(self.left);
        shown
    }
}

/// A payload as JSON if it has at most `most` bytes, else the beginning of its text.
fn cut(content: &Content<'_>, most: usize) -> proto::Content {
    let bytes = content.bytes();
    if bytes <= most
        && let Ok(text) = serde_json::to_string(content)
        && text.len() <= most.saturating_mul(2)
    {
        return proto::Content { text, bytes: bytes as u64, cut: false };
    }
    let text = match content {
        Content::Value(Value::Str(text)) => beginning(text, most),
        // Flattened keys, lists and messages: the first text among them.
        Content::Parts(parts) => first_text(parts.iter().map(|(_, value)| *value), most),
        Content::Value(value) => first_text(value.elements(), most),
        Content::Messages(messages) => {
            first_text(messages.iter().flat_map(|message| message.attributes().map(|a| a.value)), most)
        }
    };
    proto::Content { text, bytes: bytes as u64, cut: true }
}

fn first_text<'v>(mut values: impl Iterator<Item = Value<'v>>, most: usize) -> String {
    let text = values.find_map(|value| if let Value::Str(text) = value { Some(text) } else { None });
    text.map(|text| beginning(text, most)).unwrap_or_default()
}

fn beginning(text: &[u8], most: usize) -> String {
    let text = text.get(..most).unwrap_or(text);
    // A character that was cut through goes.
    let whole = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    whole.to_owned()
}

/// At most [`Summary::TEXT_MAX`] characters, an ellipsis last when there was more.
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(Summary::TEXT_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

fn tags(tags: &[Cow<'_, str>]) -> Vec<String> {
    tags.iter().take(ENTRIES_MAX).map(|tag| clip(tag)).collect()
}

fn usage(usage: &Usage<'_>) -> Vec<proto::Count> {
    usage.buckets().map(|(name, tokens)| proto::Count { name: clip(name), tokens }).collect()
}

fn tokens(usage: &Usage<'_>) -> Option<proto::Tokens> {
    let crate::semantics::Tokens { input, output, total } = usage.tokens();
    (!usage.is_empty()).then_some(proto::Tokens { input, output, total })
}

fn cost(cost: &Cost<'_>) -> proto::Cost {
    let part =
        |(name, usd): &(Cow<'_, str>, Decimal)| proto::Amount { name: clip(name), usd: usd.to_string() };
    let parts = cost.parts.iter().take(ENTRIES_MAX).map(part).collect();
    proto::Cost { parts, ..sum(Sum { input: cost.input, output: cost.output, total: cost.total }) }
}

fn sum(sum: Sum) -> proto::Cost {
    let side = |side: Option<Decimal>| side.map(|usd| usd.to_string());
    proto::Cost {
        total: sum.total.to_string(),
        input: side(sum.input),
        output: side(sum.output),
        parts: Vec::new(),
    }
}

fn levels(Levels { debug, default, warning, error }: Levels) -> proto::Levels {
    proto::Levels { debug, default, warning, error }
}

fn complaints(complaints: &Complaints<'_>) -> Vec<proto::Complaint> {
    let named = complaints.named.iter();
    named.map(|c| proto::Complaint { key: clip(&c.key), text: clip(&c.to_string()) }).collect()
}
