//! Every path that means something, and where in the item it leads.
//!
//! One table a context, as opentelemetry-collector-contrib documents them (pkg/ottl/contexts). What holds
//! whole messages (`events`, `links`, `data_points`, `exemplars`) is a list of maps here. The surprise:
//! `trace.…`, `root.…`, `parent.…`, `header[…]` and `peer.…` are ours, and read only.

use super::draft::Place;
use super::group::Context;
use super::messages::{Form, Numbers};
use super::points::Kind;
use super::types::Types;

/// A place in a message with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    Text(Place),
    /// A varint.
    Number(Place),
    Bool(Place),
    /// A varint that is signed the zigzag way.
    Zigzag(u32),
    /// A 4-byte number.
    Flags(u32),
    /// Eight bytes read as an unsigned integer.
    Fixed(u32),
    Double(u32),
    /// Unix nanoseconds as a time.
    Moment(u32),
    /// An id of so many bytes.
    Id(u32, usize),
    IdText(u32, usize),
    TraceState,
    KindText,
    KindName,
    /// A KeyValue list.
    Attributes(u32),
    /// An AnyValue.
    Any(u32),
    AnyText(u32),
    /// Which of a metric's data fields is there.
    MetricType,
    Temporality,
    Monotonic,
    /// Of a data point, whose kinds number their fields differently.
    Point(PointSpot),
    /// One message, as a map.
    Message(u32, Form),
    /// A part of it, under its key in the map.
    Part(u32, Form, &'static str),
    /// A list of them.
    Messages(u32, Form),
    /// A list of numbers.
    Numbers(u32, Numbers),
    /// A metric's points, of whatever kind.
    DataPoints,
    /// Those of this kind.
    PointsOf(Kind),
    /// How many events stand before this one.
    Nth,
    Trace(TraceSpot),
    Header,
    PeerAddress,
    /// What statements of one group keep for each other while they look at one item.
    Cache,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointSpot {
    Attributes,
    Flags,
    Count,
    Sum,
    ValueInt,
    ValueDouble,
    Scale,
    ZeroCount,
    BucketCounts,
    ExplicitBounds,
    Exemplars,
    QuantileValues,
    Positive,
    PositiveOffset,
    PositiveCounts,
    Negative,
    NegativeOffset,
    NegativeCounts,
}

/// What the joined trace is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSpot {
    Id,
    Name,
    User,
    Session,
    Tags,
    Environment,
    Release,
    Services,
    SpanCount,
    Duration,
    Errors,
}

/// Whose message a path leads into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// What the context is about, or what holds it: the span around an event, the metric around a point.
    Item,
    /// The event or the data point.
    Inner,
    Resource,
    Scope,
    Root,
    Parent,
    /// The trace, the request, the cache: no message.
    Around,
}

pub struct Known {
    pub name: &'static str,
    pub spot: Spot,
    pub types: Types,
    pub writable: bool,
}

const fn rw(name: &'static str, spot: Spot, types: Types) -> Known {
    Known { name, spot, types, writable: true }
}

const fn ro(name: &'static str, spot: Spot, types: Types) -> Known {
    Known { name, spot, types, writable: false }
}

const fn text(name: &'static str, field: u32) -> Known {
    rw(name, Spot::Text(Place::at(field)), Types::STR)
}

const fn count(name: &'static str, field: u32) -> Known {
    rw(name, Spot::Number(Place::at(field)), Types::INT)
}

const CACHE: Known = rw("cache", Spot::Cache, Types::MAP);

static RESOURCE: &[Known] =
    &[rw("attributes", Spot::Attributes(1), Types::MAP), count("dropped_attributes_count", 2), CACHE];
static SCOPE: &[Known] = &[
    text("name", 1),
    text("version", 2),
    rw("attributes", Spot::Attributes(3), Types::MAP),
    count("dropped_attributes_count", 4),
    CACHE,
];
const STATUS: u32 = 15;
/// `Span.events`.
pub const EVENTS: Spot = Spot::Messages(11, Form::Event);
static SPAN: &[Known] = &[
    rw("trace_id", Spot::Id(1, 16), Types::BYTES),
    rw("trace_id.string", Spot::IdText(1, 16), Types::STR),
    rw("span_id", Spot::Id(2, 8), Types::BYTES),
    rw("span_id.string", Spot::IdText(2, 8), Types::STR),
    rw("trace_state", Spot::TraceState, Types::STR),
    rw("parent_span_id", Spot::Id(4, 8), Types::BYTES),
    rw("parent_span_id.string", Spot::IdText(4, 8), Types::STR),
    text("name", 5),
    count("kind", 6),
    rw("kind.string", Spot::KindText, Types::STR),
    rw("kind.deprecated_string", Spot::KindName, Types::STR),
    rw("start_time_unix_nano", Spot::Fixed(7), Types::INT),
    rw("end_time_unix_nano", Spot::Fixed(8), Types::INT),
    rw("start_time", Spot::Moment(7), Types::TIME),
    rw("end_time", Spot::Moment(8), Types::TIME),
    rw("attributes", Spot::Attributes(9), Types::MAP),
    count("dropped_attributes_count", 10),
    count("dropped_events_count", 12),
    count("dropped_links_count", 14),
    rw("events", EVENTS, Types::LIST),
    rw("links", Spot::Messages(13, Form::Link), Types::LIST),
    rw("status", Spot::Message(STATUS, Form::Status), Types::MAP),
    rw("status.code", Spot::Number(Place { field: STATUS, within: 3 }), Types::INT),
    rw("status.message", Spot::Text(Place { field: STATUS, within: 2 }), Types::STR),
    rw("flags", Spot::Flags(16), Types::INT),
    CACHE,
];
static SPAN_EVENT: &[Known] = &[
    rw("time_unix_nano", Spot::Fixed(1), Types::INT),
    rw("time", Spot::Moment(1), Types::TIME),
    text("name", 2),
    rw("attributes", Spot::Attributes(3), Types::MAP),
    count("dropped_attributes_count", 4),
    ro("event_index", Spot::Nth, Types::INT),
    CACHE,
];
static LOG: &[Known] = &[
    rw("time_unix_nano", Spot::Fixed(1), Types::INT),
    rw("observed_time_unix_nano", Spot::Fixed(11), Types::INT),
    rw("time", Spot::Moment(1), Types::TIME),
    rw("observed_time", Spot::Moment(11), Types::TIME),
    count("severity_number", 2),
    text("severity_text", 3),
    rw("body", Spot::Any(5), Types::ANY),
    rw("body.string", Spot::AnyText(5), Types::STR),
    rw("attributes", Spot::Attributes(6), Types::MAP),
    count("dropped_attributes_count", 7),
    rw("flags", Spot::Flags(8), Types::INT),
    rw("trace_id", Spot::Id(9, 16), Types::BYTES),
    rw("trace_id.string", Spot::IdText(9, 16), Types::STR),
    rw("span_id", Spot::Id(10, 8), Types::BYTES),
    rw("span_id.string", Spot::IdText(10, 8), Types::STR),
    text("event_name", 12),
    CACHE,
];
static METRIC: &[Known] = &[
    text("name", 1),
    text("description", 2),
    text("unit", 3),
    ro("type", Spot::MetricType, Types::INT),
    rw("aggregation_temporality", Spot::Temporality, Types::INT.or(Types::NIL)),
    rw("is_monotonic", Spot::Monotonic, Types::BOOL.or(Types::NIL)),
    rw("metadata", Spot::Attributes(12), Types::MAP),
    rw("data_points", Spot::DataPoints, LIST_OR_NIL),
    CACHE,
];
const LIST_OR_NIL: Types = Types::LIST.or(Types::NIL);
const MAP_OR_NIL: Types = Types::MAP.or(Types::NIL);
const INT_OR_NIL: Types = Types::INT.or(Types::NIL);
static DATA_POINT: &[Known] = &[
    rw("attributes", Spot::Point(PointSpot::Attributes), Types::MAP),
    rw("start_time_unix_nano", Spot::Fixed(2), Types::INT),
    rw("time_unix_nano", Spot::Fixed(3), Types::INT),
    rw("start_time", Spot::Moment(2), Types::TIME),
    rw("time", Spot::Moment(3), Types::TIME),
    rw("value_double", Spot::Point(PointSpot::ValueDouble), Types::DOUBLE.or(Types::NIL)),
    rw("value_int", Spot::Point(PointSpot::ValueInt), Types::INT.or(Types::NIL)),
    rw("flags", Spot::Point(PointSpot::Flags), Types::INT),
    rw("count", Spot::Point(PointSpot::Count), Types::INT.or(Types::NIL)),
    rw("sum", Spot::Point(PointSpot::Sum), Types::DOUBLE.or(Types::NIL)),
    rw("scale", Spot::Point(PointSpot::Scale), INT_OR_NIL),
    rw("zero_count", Spot::Point(PointSpot::ZeroCount), INT_OR_NIL),
    rw("bucket_counts", Spot::Point(PointSpot::BucketCounts), LIST_OR_NIL),
    rw("explicit_bounds", Spot::Point(PointSpot::ExplicitBounds), LIST_OR_NIL),
    rw("exemplars", Spot::Point(PointSpot::Exemplars), LIST_OR_NIL),
    rw("quantile_values", Spot::Point(PointSpot::QuantileValues), LIST_OR_NIL),
    rw("positive", Spot::Point(PointSpot::Positive), MAP_OR_NIL),
    rw("positive.offset", Spot::Point(PointSpot::PositiveOffset), INT_OR_NIL),
    rw("positive.bucket_counts", Spot::Point(PointSpot::PositiveCounts), LIST_OR_NIL),
    rw("negative", Spot::Point(PointSpot::Negative), MAP_OR_NIL),
    rw("negative.offset", Spot::Point(PointSpot::NegativeOffset), INT_OR_NIL),
    rw("negative.bucket_counts", Spot::Point(PointSpot::NegativeCounts), LIST_OR_NIL),
    CACHE,
];
const TEXT_OR_NIL: Types = Types::STR.or(Types::NIL);
static TRACE: &[Known] = &[
    ro("id", Spot::Trace(TraceSpot::Id), Types::BYTES),
    ro("name", Spot::Trace(TraceSpot::Name), TEXT_OR_NIL),
    ro("user", Spot::Trace(TraceSpot::User), TEXT_OR_NIL),
    ro("session", Spot::Trace(TraceSpot::Session), TEXT_OR_NIL),
    ro("tags", Spot::Trace(TraceSpot::Tags), Types::LIST),
    ro("environment", Spot::Trace(TraceSpot::Environment), TEXT_OR_NIL),
    ro("release", Spot::Trace(TraceSpot::Release), TEXT_OR_NIL),
    ro("services", Spot::Trace(TraceSpot::Services), Types::LIST),
    ro("span_count", Spot::Trace(TraceSpot::SpanCount), Types::INT),
    ro("duration", Spot::Trace(TraceSpot::Duration), Types::DURATION),
    ro("errors", Spot::Trace(TraceSpot::Errors), Types::INT),
];
static HEADER: &[Known] = &[ro("", Spot::Header, TEXT_OR_NIL)];
static PEER: &[Known] = &[ro("address", Spot::PeerAddress, TEXT_OR_NIL)];
/// The Collector's names for the same.
static OTELCOL: &[Known] = &[
    ro("client.addr", Spot::PeerAddress, TEXT_OR_NIL),
    ro("client.metadata", Spot::Header, TEXT_OR_NIL),
    ro("grpc.metadata", Spot::Header, TEXT_OR_NIL),
];

/// The paths of a context.
pub fn of_context(context: Context) -> &'static [Known] {
    match context {
        Context::Resource => RESOURCE,
        Context::Scope => SCOPE,
        Context::Span => SPAN,
        Context::SpanEvent => SPAN_EVENT,
        Context::Log => LOG,
        Context::Metric => METRIC,
        Context::DataPoint => DATA_POINT,
    }
}

/// First names of paths that are no contexts of their own.
pub const AROUND: [&str; 6] = ["root", "parent", "trace", "header", "peer", "otelcol"];

/// What a path's first name makes reachable from `context`: whose message it is, and its paths.
pub fn reach(first: &str, context: Context) -> Option<(Home, &'static [Known])> {
    let spans = matches!(context, Context::Span | Context::SpanEvent);
    Some(match first {
        "root" if spans => (Home::Root, SPAN),
        "parent" if spans => (Home::Parent, SPAN),
        "trace" if spans => (Home::Around, TRACE),
        "header" => (Home::Around, HEADER),
        "peer" => (Home::Around, PEER),
        "otelcol" => (Home::Around, OTELCOL),
        _ => {
            let named = Context::of_name(first)?;
            let home = match (named, context) {
                (named, context) if named == context => own(context),
                (Context::Resource, _) => Home::Resource,
                (Context::Scope, Context::Resource) => return None,
                (Context::Scope, _) => Home::Scope,
                (Context::Span, Context::SpanEvent) | (Context::Metric, Context::DataPoint) => Home::Item,
                _ => return None,
            };
            (home, of_context(named))
        }
    })
}

/// Where a context's own paths lead.
pub const fn own(context: Context) -> Home {
    match context {
        Context::SpanEvent | Context::DataPoint => Home::Inner,
        _ => Home::Item,
    }
}

/// The enums of all contexts; their numbers are OTLP's but for `METRIC_DATA_TYPE_…`, which are the Collector's.
pub static ENUMS: &[(&str, i64)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
    ("STATUS_CODE_UNSET", 0),
    ("STATUS_CODE_OK", 1),
    ("STATUS_CODE_ERROR", 2),
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
    ("METRIC_DATA_TYPE_NONE", 0),
    ("METRIC_DATA_TYPE_GAUGE", 1),
    ("METRIC_DATA_TYPE_SUM", 2),
    ("METRIC_DATA_TYPE_HISTOGRAM", 3),
    ("METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM", 4),
    ("METRIC_DATA_TYPE_SUMMARY", 5),
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
    ("FLAG_NONE", 0),
    ("FLAG_NO_RECORDED_VALUE", 1),
];

impl Spot {
    /// Whether reading it means to look at a good part of the message around it.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::Messages(..) | Self::DataPoints | Self::PointsOf(_) | Self::Numbers(..))
    }
}
