//! What a trace and its observations mean, as JSON: the rows of the tables that Langfuse and InteractiveAI
//! show, in snake_case.
//!
//! Times are RFC 3339, latencies seconds, costs USD as exact decimal numbers, payloads the JSON they are.
//! A payload that was cut is the beginning of its text, and `…_bytes` beside it says how long it was.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::Summary;
use super::proto::{Complaint, Content, Cost, Count, Datum, Levels, Properties, Score, Tokens};
use super::summary::Span;
use super::when::rfc3339;

/// What a trace means.
#[derive(Debug, serde::Serialize)]
pub struct TraceRows<'a> {
    id: String,
    /// The earliest start.
    timestamp: String,
    /// Seconds from the earliest start to the latest end.
    latency: f64,
    /// The trace's own, else its root's.
    input: Option<Payload<'a>>,
    output: Option<Payload<'a>>,
    #[serde(flatten)]
    lengths: Lengths,
    user: Option<&'a str>,
    session: Option<&'a str>,
    /// The root's, else the first that any span says.
    environment: Option<&'a str>,
    release: Option<&'a str>,
    version: Option<&'a str>,
    tags: &'a [String],
    metadata: Metadata<'a>,
    public: bool,
    /// The worst of `observation_levels`.
    level: &'a str,
    observation_levels: LevelRow,
    /// All spans, those beyond `observations` included.
    observation_count: u32,
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    tokens: TokenRow,
    /// Tokens by bucket.
    usage: Buckets<'a>,
    /// Null where no observation has a cost.
    model_cost: Option<Usd<'a>>,
    input_cost: Option<Usd<'a>>,
    output_cost: Option<Usd<'a>>,
    scores: Vec<ScoreRow<'a>>,
    languages: &'a [String],
    /// Span ids, by start.
    critical_path: Vec<String>,
    /// What could not be read, at most 32.
    complaints: Vec<ComplaintRow<'a>>,
    complaint_count: u64,
}

/// What one span means.
#[derive(Debug, serde::Serialize)]
pub struct ObservationRow<'a> {
    id: String,
    /// Null for a root.
    parent_id: Option<String>,
    r#type: &'a str,
    name: &'a str,
    level: &'a str,
    status_message: Option<&'a str>,
    model: Option<&'a str>,
    model_parameters: Option<Payload<'a>>,
    /// Tokens by bucket, `total` among them.
    usage: Option<UsageRow<'a>>,
    /// USD by usage key, `total` among them.
    cost: Option<CostRow<'a>>,
    /// Why its tokens are not in the trace's.
    #[serde(skip_serializing_if = "str::is_empty")]
    usage_left_out: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cost_left_out: &'a str,
    input: Option<Payload<'a>>,
    output: Option<Payload<'a>>,
    #[serde(flatten)]
    lengths: Lengths,
    metadata: Metadata<'a>,
    environment: Option<&'a str>,
    release: Option<&'a str>,
    version: Option<&'a str>,
    session_id: Option<&'a str>,
    user_id: Option<&'a str>,
    tags: &'a [String],
    scope: &'a str,
    start: String,
    /// Null when it has not ended.
    end: Option<String>,
    /// What Spandrel wrote on it.
    given: &'a [String],
    /// The parent it named before it was mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_parent_id: Option<String>,
}

impl<'a> TraceRows<'a> {
    pub fn of(summary: &'a Summary) -> Self {
        let properties: &Properties = &summary.properties;
        let tokens = properties.tokens.unwrap_or_default();
        let cost = properties.cost.as_ref();
        Self {
            id: summary.trace.to_string(),
            timestamp: rfc3339(summary.start_unix_nano),
            latency: summary.duration.as_secs_f64(),
            input: properties.input.as_ref().map(Payload),
            output: properties.output.as_ref().map(Payload),
            lengths: Lengths::of(properties.input.as_ref(), properties.output.as_ref()),
            user: properties.user.as_deref(),
            session: properties.session.as_deref(),
            environment: properties.environment.as_deref(),
            release: properties.release.as_deref().or(summary.release()),
            version: properties.version.as_deref(),
            tags: &properties.tags,
            metadata: Metadata(&properties.metadata),
            public: properties.public,
            level: &properties.level,
            observation_levels: LevelRow::of(properties.levels.unwrap_or_default()),
            observation_count: summary.span_count,
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            total_tokens: tokens.total,
            tokens: TokenRow { input: tokens.input, output: tokens.output, total: tokens.total },
            usage: Buckets(&properties.usage),
            model_cost: cost.map(|cost| Usd(&cost.total)),
            input_cost: cost.and_then(|cost| cost.input.as_deref()).map(Usd),
            output_cost: cost.and_then(|cost| cost.output.as_deref()).map(Usd),
            scores: properties.scores.iter().map(ScoreRow::of).collect(),
            languages: &properties.languages,
            critical_path: properties.critical_path.iter().map(|id| hex(id)).collect(),
            complaints: properties.complaints.iter().map(ComplaintRow::of).collect(),
            complaint_count: properties.complaint_count,
        }
    }
}

impl<'a> ObservationRow<'a> {
    pub fn of(span: &'a Span) -> Self {
        let said = &span.observation;
        let former = &said.former_parent;
        Self {
            id: span.id.to_string(),
            parent_id: (!span.parent.is_none()).then(|| span.parent.to_string()),
            r#type: &said.r#type,
            name: &said.name,
            level: &said.level,
            status_message: said.status_message.as_deref(),
            model: said.model.as_deref(),
            model_parameters: said.model_parameters.as_ref().map(Payload),
            usage: said.tokens.map(|tokens| UsageRow { buckets: &said.usage, tokens }),
            cost: said.cost.as_ref().map(CostRow),
            usage_left_out: &said.tokens_left_out,
            cost_left_out: &said.cost_left_out,
            input: said.input.as_ref().map(Payload),
            output: said.output.as_ref().map(Payload),
            lengths: Lengths::of(said.input.as_ref(), said.output.as_ref()),
            metadata: Metadata(&said.metadata),
            environment: said.environment.as_deref(),
            release: said.release.as_deref().or(span.process.release.as_deref()),
            version: said.version.as_deref(),
            session_id: said.session.as_deref(),
            user_id: said.user.as_deref(),
            tags: &said.tags,
            scope: &said.scope,
            start: rfc3339(span.start_unix_nano),
            end: span.end_unix_nano().map(rfc3339),
            given: &said.given,
            former_parent_id: (!former.is_empty()).then(|| hex(former)),
        }
    }
}

/// A payload: JSON, or of what was cut its beginning.
#[derive(Debug)]
struct Payload<'a>(&'a Content);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Content { text, cut, .. } = self.0;
        // What another instance sent need not be JSON.
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if !cut => raw.serialize(out),
            _ => out.collect_str(&format_args!("{text}…")),
        }
    }
}

/// How long payloads were that were cut.
#[derive(Debug, serde::Serialize)]
struct Lengths {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<u64>,
}

impl Lengths {
    fn of(input: Option<&Content>, output: Option<&Content>) -> Self {
        let cut = |content: Option<&Content>| content.filter(|c| c.cut).map(|c| c.bytes);
        Self { input_bytes: cut(input), output_bytes: cut(output) }
    }
}

#[derive(Debug)]
struct Metadata<'a>(&'a [Datum]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|datum| (&datum.key, datum.value.as_ref().map(Payload))))
    }
}

#[derive(Debug)]
struct Buckets<'a>(&'a [Count]);

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|bucket| (&bucket.name, bucket.tokens)))
    }
}

#[derive(Debug)]
struct UsageRow<'a> {
    buckets: &'a [Count],
    tokens: Tokens,
}

impl Serialize for UsageRow<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let buckets = self.buckets.iter().map(|bucket| (bucket.name.as_str(), bucket.tokens));
        out.collect_map(buckets.chain([("total", self.tokens.total)]))
    }
}

#[derive(Debug)]
struct CostRow<'a>(&'a Cost);

impl Serialize for CostRow<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        for part in &self.0.parts {
            map.serialize_entry(&part.name, &Usd(&part.usd))?;
        }
        map.serialize_entry("total", &Usd(&self.0.total))?;
        map.end()
    }
}

/// A decimal number as it is: a double would change it.
#[derive(Debug)]
struct Usd<'a>(&'a str);

impl Serialize for Usd<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(number) => number.serialize(out),
            Err(_) => out.serialize_none(),
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct TokenRow {
    input: u64,
    output: u64,
    total: u64,
}

/// By the names that SDKs write.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct LevelRow {
    debug: u32,
    default: u32,
    warning: u32,
    error: u32,
}

impl LevelRow {
    fn of(levels: Levels) -> Self {
        let Levels { debug, default, warning, error } = levels;
        Self { debug, default, warning, error }
    }
}

#[derive(Debug, serde::Serialize)]
struct ScoreRow<'a> {
    name: &'a str,
    value: Option<f64>,
    label: Option<&'a str>,
    comment: Option<&'a str>,
    observation_id: String,
}

impl<'a> ScoreRow<'a> {
    fn of(score: &'a Score) -> Self {
        Self {
            name: &score.name,
            value: score.value,
            label: score.label.as_deref(),
            comment: score.comment.as_deref(),
            observation_id: hex(&score.observation_id),
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct ComplaintRow<'a> {
    key: &'a str,
    text: &'a str,
}

impl<'a> ComplaintRow<'a> {
    fn of(complaint: &'a Complaint) -> Self {
        Self { key: &complaint.key, text: &complaint.text }
    }
}

/// Lower case, of an id in a message.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
