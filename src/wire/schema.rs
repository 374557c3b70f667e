//! The messages of OTLP as tables: field number -> name and kind. What the walk checks, it reads here.
//!
//! From opentelemetry-proto 1.11. Numbers that are not in a table are unknown fields: skipped,
//! never touched (conformance P06). Profiles are described no deeper than their outer structure.

use super::{Fault, Signal};

/// The fields of one message, by number.
#[derive(Debug)]
pub struct Table(&'static [Def]);

/// One field.
#[derive(Debug)]
pub struct Def {
    /// As in the .proto file; empty where the number is unassigned.
    pub name: &'static str,
    pub kind: Kind,
    pub repeated: bool,
}

/// What a field must look like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Unknown,
    Varint,
    /// A varint that names a string of a dictionary.
    Strindex,
    Fixed64,
    Fixed32,
    Str,
    Bytes,
    /// So many bytes or none; anything else is this fault (conformance P13).
    Id(usize, Fault),
    Message(&'static Table),
    KeyValue,
    /// An AnyValue: one level deeper.
    Any,
    /// Repeated varints, packed or not (conformance P10).
    Varints,
    /// Repeated 8-byte numbers, packed or not.
    Fixed64s,
}

impl Table {
    #[inline(always)]
    pub fn kind(&self, number: u32) -> Kind {
        self.0.get(number as usize).map_or(Kind::Unknown, |def| def.kind)
    }

    /// The table of the messages in a repeated field: in a Gauge, what its data points are.
    pub fn points(&self) -> &'static Table {
        match self.0.get(1) {
            Some(Def { kind: Kind::Message(table), repeated: true, .. }) => table,
            _ => &OPAQUE,
        }
    }

    /// The table of a singular message field: in a Metric, where the data points are.
    pub fn data(&self, number: u32) -> Option<&'static Table> {
        match self.0.get(number as usize)? {
            Def { kind: Kind::Message(table), repeated: false, .. } => Some(table),
            _ => None,
        }
    }

    /// The field's description, if the number is known here.
    pub fn def(&self, number: u32) -> Option<&'static Def> {
        self.0.get(number as usize).filter(|def| !def.name.is_empty())
    }
}

/// The export request of `signal`.
pub fn request(signal: Signal) -> &'static Table {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
        Signal::Profiles => &PROFILES,
    }
}

/// The resource block, the scope block and the item of `signal`.
pub fn levels(signal: Signal) -> (&'static Table, &'static Table, &'static Table) {
    match signal {
        Signal::Traces => (&RESOURCE_SPANS, &SCOPE_SPANS, &SPAN),
        Signal::Metrics => (&RESOURCE_METRICS, &SCOPE_METRICS, &METRIC),
        Signal::Logs => (&RESOURCE_LOGS, &SCOPE_LOGS, &LOG_RECORD),
        Signal::Profiles => (&RESOURCE_PROFILES, &SCOPE_PROFILES, &OPAQUE),
    }
}

const GAP: Def = Def { name: "", kind: Kind::Unknown, repeated: false };

const fn one(name: &'static str, kind: Kind) -> Def {
    Def { name, kind, repeated: false }
}

const fn many(name: &'static str, kind: Kind) -> Def {
    Def { name, kind, repeated: true }
}

const fn message(name: &'static str, table: &'static Table) -> Def {
    one(name, Kind::Message(table))
}

const fn messages(name: &'static str, table: &'static Table) -> Def {
    many(name, Kind::Message(table))
}

use Kind::{Any, Bytes, Fixed32, Fixed64, Fixed64s, Id, KeyValue, Str, Strindex, Varint, Varints};

static TRACES: Table = Table(&[GAP, messages("resource_spans", &RESOURCE_SPANS)]);
static METRICS: Table = Table(&[GAP, messages("resource_metrics", &RESOURCE_METRICS)]);
static LOGS: Table = Table(&[GAP, messages("resource_logs", &RESOURCE_LOGS)]);
static PROFILES: Table =
    Table(&[GAP, messages("resource_profiles", &RESOURCE_PROFILES), one("dictionary", Bytes)]);

static RESOURCE_SPANS: Table = Table(&[
    GAP,
    message("resource", &RESOURCE),
    messages("scope_spans", &SCOPE_SPANS),
    one("schema_url", Str),
]);
static RESOURCE_METRICS: Table = Table(&[
    GAP,
    message("resource", &RESOURCE),
    messages("scope_metrics", &SCOPE_METRICS),
    one("schema_url", Str),
]);
static RESOURCE_LOGS: Table = Table(&[
    GAP,
    message("resource", &RESOURCE),
    messages("scope_logs", &SCOPE_LOGS),
    one("schema_url", Str),
]);
static RESOURCE_PROFILES: Table =
    Table(&[GAP, one("resource", Bytes), messages("scope_profiles", &SCOPE_PROFILES)]);

static SCOPE_SPANS: Table =
    Table(&[GAP, message("scope", &SCOPE), messages("spans", &SPAN), one("schema_url", Str)]);
static SCOPE_METRICS: Table =
    Table(&[GAP, message("scope", &SCOPE), messages("metrics", &METRIC), one("schema_url", Str)]);
static SCOPE_LOGS: Table =
    Table(&[GAP, message("scope", &SCOPE), messages("log_records", &LOG_RECORD), one("schema_url", Str)]);
static SCOPE_PROFILES: Table = Table(&[GAP, one("scope", Bytes), many("profiles", Bytes)]);

/// A Profile: nobody looks into it.
static OPAQUE: Table = Table(&[]);

static RESOURCE: Table = Table(&[
    GAP,
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
    messages("entity_refs", &ENTITY_REF),
]);
static ENTITY_REF: Table = Table(&[
    GAP,
    one("schema_url", Str),
    one("type", Str),
    many("id_keys", Str),
    many("description_keys", Str),
]);
static SCOPE: Table = Table(&[
    GAP,
    one("name", Str),
    one("version", Str),
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
]);

pub static KEY_VALUE: Table =
    Table(&[GAP, one("key", Str), one("value", Any), one("key_strindex", Strindex)]);
pub static ANY_VALUE: Table = Table(&[
    GAP,
    one("string_value", Str),
    one("bool_value", Varint),
    one("int_value", Varint),
    one("double_value", Fixed64),
    message("array_value", &ARRAY_VALUE),
    message("kvlist_value", &KEY_VALUE_LIST),
    one("bytes_value", Bytes),
    one("string_value_strindex", Strindex),
]);
static ARRAY_VALUE: Table = Table(&[GAP, many("values", Any)]);
static KEY_VALUE_LIST: Table = Table(&[GAP, many("values", KeyValue)]);

pub static SPAN: Table = Table(&[
    GAP,
    one("trace_id", Id(16, Fault::TraceId)),
    one("span_id", Id(8, Fault::SpanId)),
    one("trace_state", Str),
    one("parent_span_id", Id(8, Fault::ParentId)),
    one("name", Str),
    one("kind", Varint),
    one("start_time_unix_nano", Fixed64),
    one("end_time_unix_nano", Fixed64),
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
    messages("events", &EVENT),
    one("dropped_events_count", Varint),
    messages("links", &LINK),
    one("dropped_links_count", Varint),
    message("status", &STATUS),
    one("flags", Fixed32),
]);
static EVENT: Table = Table(&[
    GAP,
    one("time_unix_nano", Fixed64),
    one("name", Str),
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
]);
static LINK: Table = Table(&[
    GAP,
    one("trace_id", Id(16, Fault::LinkId)),
    one("span_id", Id(8, Fault::LinkId)),
    one("trace_state", Str),
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
    one("flags", Fixed32),
]);
static STATUS: Table = Table(&[GAP, GAP, one("message", Str), one("code", Varint)]);

/// Ids of any length pass: an invalid one means "not associated with a span" (conformance D08).
pub static LOG_RECORD: Table = Table(&[
    GAP,
    one("time_unix_nano", Fixed64),
    one("severity_number", Varint),
    one("severity_text", Str),
    GAP,
    one("body", Any),
    many("attributes", KeyValue),
    one("dropped_attributes_count", Varint),
    one("flags", Fixed32),
    one("trace_id", Bytes),
    one("span_id", Bytes),
    one("observed_time_unix_nano", Fixed64),
    one("event_name", Str),
]);

pub static METRIC: Table = Table(&[
    GAP,
    one("name", Str),
    one("description", Str),
    one("unit", Str),
    GAP,
    message("gauge", &GAUGE),
    GAP,
    message("sum", &SUM),
    GAP,
    message("histogram", &HISTOGRAM),
    message("exponential_histogram", &EXPONENTIAL_HISTOGRAM),
    message("summary", &SUMMARY),
    many("metadata", KeyValue),
]);
static GAUGE: Table = Table(&[GAP, messages("data_points", &NUMBER_POINT)]);
static SUM: Table = Table(&[
    GAP,
    messages("data_points", &NUMBER_POINT),
    one("aggregation_temporality", Varint),
    one("is_monotonic", Varint),
]);
static HISTOGRAM: Table =
    Table(&[GAP, messages("data_points", &HISTOGRAM_POINT), one("aggregation_temporality", Varint)]);
static EXPONENTIAL_HISTOGRAM: Table =
    Table(&[GAP, messages("data_points", &EXPONENTIAL_POINT), one("aggregation_temporality", Varint)]);
static SUMMARY: Table = Table(&[GAP, messages("data_points", &SUMMARY_POINT)]);

static NUMBER_POINT: Table = Table(&[
    GAP,
    GAP,
    one("start_time_unix_nano", Fixed64),
    one("time_unix_nano", Fixed64),
    one("as_double", Fixed64),
    messages("exemplars", &EXEMPLAR),
    one("as_int", Fixed64),
    many("attributes", KeyValue),
    one("flags", Varint),
]);
static HISTOGRAM_POINT: Table = Table(&[
    GAP,
    GAP,
    one("start_time_unix_nano", Fixed64),
    one("time_unix_nano", Fixed64),
    one("count", Fixed64),
    one("sum", Fixed64),
    many("bucket_counts", Fixed64s),
    many("explicit_bounds", Fixed64s),
    messages("exemplars", &EXEMPLAR),
    many("attributes", KeyValue),
    one("flags", Varint),
    one("min", Fixed64),
    one("max", Fixed64),
]);
static EXPONENTIAL_POINT: Table = Table(&[
    GAP,
    many("attributes", KeyValue),
    one("start_time_unix_nano", Fixed64),
    one("time_unix_nano", Fixed64),
    one("count", Fixed64),
    one("sum", Fixed64),
    one("scale", Varint),
    one("zero_count", Fixed64),
    message("positive", &BUCKETS),
    message("negative", &BUCKETS),
    one("flags", Varint),
    messages("exemplars", &EXEMPLAR),
    one("min", Fixed64),
    one("max", Fixed64),
    one("zero_threshold", Fixed64),
]);
static BUCKETS: Table = Table(&[GAP, one("offset", Varint), many("bucket_counts", Varints)]);
static SUMMARY_POINT: Table = Table(&[
    GAP,
    GAP,
    one("start_time_unix_nano", Fixed64),
    one("time_unix_nano", Fixed64),
    one("count", Fixed64),
    one("sum", Fixed64),
    messages("quantile_values", &QUANTILE),
    many("attributes", KeyValue),
    one("flags", Varint),
]);
static QUANTILE: Table = Table(&[GAP, one("quantile", Fixed64), one("value", Fixed64)]);
static EXEMPLAR: Table = Table(&[
    GAP,
    GAP,
    one("time_unix_nano", Fixed64),
    one("as_double", Fixed64),
    one("span_id", Bytes),
    one("trace_id", Bytes),
    one("as_int", Fixed64),
    many("filtered_attributes", KeyValue),
]);
