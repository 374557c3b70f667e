//! The messages of OTLP (opentelemetry-proto 1.11) by their JSON names, in the order most senders write them.

use super::schema::{Field, Kind, Message, Names};
use crate::wire::Signal;

use Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int32, Int64, Sfixed64, Sint32, Str, Uint32, Uint64,
};

/// The export request of `signal`.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
        Signal::Profiles => &PROFILES,
    }
}

/// What answers it. The count has field number 1 and a name of its own per signal.
pub(super) const fn response(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES_RESPONSE,
        Signal::Metrics => &METRICS_RESPONSE,
        Signal::Logs => &LOGS_RESPONSE,
        Signal::Profiles => &PROFILES_RESPONSE,
    }
}

/// A message that is usually shorter than 128 bytes.
const fn small(fields: &'static [Field]) -> Message {
    Message { fields, prefix: 1, level: false }
}

/// A message of some hundred bytes to some thousand.
const fn item(fields: &'static [Field]) -> Message {
    Message { fields, prefix: 2, level: false }
}

/// A message of many items.
const fn block(fields: &'static [Field]) -> Message {
    Message { fields, prefix: 3, level: false }
}

// Requests and the two levels of blocks.

static TRACES: Message = block(&[Field::messages("resourceSpans", 1, &RESOURCE_SPANS)]);
static METRICS: Message = block(&[Field::messages("resourceMetrics", 1, &RESOURCE_METRICS)]);
static LOGS: Message = block(&[Field::messages("resourceLogs", 1, &RESOURCE_LOGS)]);
static PROFILES: Message = block(&[
    Field::messages("resourceProfiles", 1, &RESOURCE_PROFILES),
    Field::message("dictionary", 2, &PROFILES_DICTIONARY),
]);

static RESOURCE_SPANS: Message = block(&[
    Field::message("resource", 1, &RESOURCE),
    Field::messages("scopeSpans", 2, &SCOPE_SPANS),
    Field::plain("schemaUrl", 3, Str),
]);
static RESOURCE_METRICS: Message = block(&[
    Field::message("resource", 1, &RESOURCE),
    Field::messages("scopeMetrics", 2, &SCOPE_METRICS),
    Field::plain("schemaUrl", 3, Str),
]);
static RESOURCE_LOGS: Message = block(&[
    Field::message("resource", 1, &RESOURCE),
    Field::messages("scopeLogs", 2, &SCOPE_LOGS),
    Field::plain("schemaUrl", 3, Str),
]);
static RESOURCE_PROFILES: Message = block(&[
    Field::message("resource", 1, &RESOURCE),
    Field::messages("scopeProfiles", 2, &SCOPE_PROFILES),
    Field::plain("schemaUrl", 3, Str),
]);

static SCOPE_SPANS: Message = block(&[
    Field::message("scope", 1, &SCOPE),
    Field::messages("spans", 2, &SPAN),
    Field::plain("schemaUrl", 3, Str),
]);
static SCOPE_METRICS: Message = block(&[
    Field::message("scope", 1, &SCOPE),
    Field::messages("metrics", 2, &METRIC),
    Field::plain("schemaUrl", 3, Str),
]);
static SCOPE_LOGS: Message = block(&[
    Field::message("scope", 1, &SCOPE),
    Field::messages("logRecords", 2, &LOG_RECORD),
    Field::plain("schemaUrl", 3, Str),
]);
static SCOPE_PROFILES: Message = block(&[
    Field::message("scope", 1, &SCOPE),
    Field::messages("profiles", 2, &PROFILE),
    Field::plain("schemaUrl", 3, Str),
]);

// What all signals share.

static RESOURCE: Message = item(&[
    Field::messages("attributes", 1, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 2, Uint32),
    Field::messages("entityRefs", 3, &ENTITY_REF),
]);
static SCOPE: Message = small(&[
    Field::plain("name", 1, Str),
    Field::plain("version", 2, Str),
    Field::messages("attributes", 3, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 4, Uint32),
]);
static ENTITY_REF: Message = small(&[
    Field::plain("schemaUrl", 1, Str),
    Field::plain("type", 2, Str),
    Field::repeated("idKeys", 3, Str),
    Field::repeated("descriptionKeys", 4, Str),
]);
static KEY_VALUE: Message = small(&[
    Field::plain("key", 1, Str),
    Field::message("value", 2, &ANY_VALUE),
    Field::plain("keyStrindex", 3, Int32),
]);
static ANY_VALUE: Message = Message {
    fields: &[
        Field::one_of("stringValue", 1, Str),
        Field::one_of("boolValue", 2, Bool),
        Field::one_of("intValue", 3, Int64),
        Field::one_of("doubleValue", 4, Double),
        Field::one_of("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        Field::one_of("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        Field::one_of("bytesValue", 7, Bytes),
        Field::one_of("stringValueStrindex", 8, Int32),
    ],
    prefix: 1,
    level: true,
};
static ARRAY_VALUE: Message = small(&[Field::messages("values", 1, &ANY_VALUE)]);
static KEY_VALUE_LIST: Message = small(&[Field::messages("values", 1, &KEY_VALUE)]);

// Traces.

static SPAN: Message = item(&[
    Field::plain("traceId", 1, Id),
    Field::plain("spanId", 2, Id),
    Field::plain("traceState", 3, Str),
    Field::plain("parentSpanId", 4, Id),
    Field::plain("flags", 16, Fixed32),
    Field::plain("name", 5, Str),
    Field::plain("kind", 6, Enum(&SPAN_KIND)),
    Field::plain("startTimeUnixNano", 7, Fixed64),
    Field::plain("endTimeUnixNano", 8, Fixed64),
    Field::messages("attributes", 9, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 10, Uint32),
    Field::messages("events", 11, &EVENT),
    Field::plain("droppedEventsCount", 12, Uint32),
    Field::messages("links", 13, &LINK),
    Field::plain("droppedLinksCount", 14, Uint32),
    Field::message("status", 15, &STATUS),
]);
static EVENT: Message = item(&[
    Field::plain("timeUnixNano", 1, Fixed64),
    Field::plain("name", 2, Str),
    Field::messages("attributes", 3, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 4, Uint32),
]);
static LINK: Message = small(&[
    Field::plain("traceId", 1, Id),
    Field::plain("spanId", 2, Id),
    Field::plain("traceState", 3, Str),
    Field::messages("attributes", 4, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 5, Uint32),
    Field::plain("flags", 6, Fixed32),
]);
static STATUS: Message =
    small(&[Field::plain("message", 2, Str), Field::plain("code", 3, Enum(&STATUS_CODE))]);

static SPAN_KIND: Names = Names {
    prefix: "SPAN_KIND_",
    rest: &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"],
};
static STATUS_CODE: Names = Names { prefix: "STATUS_CODE_", rest: &["UNSET", "OK", "ERROR"] };

// Logs.

static LOG_RECORD: Message = item(&[
    Field::plain("timeUnixNano", 1, Fixed64),
    Field::plain("observedTimeUnixNano", 11, Fixed64),
    Field::plain("severityNumber", 2, Enum(&SEVERITY)),
    Field::plain("severityText", 3, Str),
    Field::message("body", 5, &ANY_VALUE),
    Field::messages("attributes", 6, &KEY_VALUE),
    Field::plain("droppedAttributesCount", 7, Uint32),
    Field::plain("flags", 8, Fixed32),
    Field::plain("traceId", 9, Id),
    Field::plain("spanId", 10, Id),
    Field::plain("eventName", 12, Str),
]);

static SEVERITY: Names = Names {
    prefix: "SEVERITY_NUMBER_",
    rest: &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ],
};

// Metrics.

static METRIC: Message = item(&[
    Field::plain("name", 1, Str),
    Field::plain("description", 2, Str),
    Field::plain("unit", 3, Str),
    Field::one_of("gauge", 5, Kind::Message(&GAUGE)),
    Field::one_of("sum", 7, Kind::Message(&SUM)),
    Field::one_of("histogram", 9, Kind::Message(&HISTOGRAM)),
    Field::one_of("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
    Field::one_of("summary", 11, Kind::Message(&SUMMARY)),
    Field::messages("metadata", 12, &KEY_VALUE),
]);
static GAUGE: Message = item(&[Field::messages("dataPoints", 1, &NUMBER_DATA_POINT)]);
static SUM: Message = item(&[
    Field::messages("dataPoints", 1, &NUMBER_DATA_POINT),
    Field::plain("aggregationTemporality", 2, Enum(&TEMPORALITY)),
    Field::plain("isMonotonic", 3, Bool),
]);
static HISTOGRAM: Message = item(&[
    Field::messages("dataPoints", 1, &HISTOGRAM_DATA_POINT),
    Field::plain("aggregationTemporality", 2, Enum(&TEMPORALITY)),
]);
static EXPONENTIAL_HISTOGRAM: Message = item(&[
    Field::messages("dataPoints", 1, &EXPONENTIAL_HISTOGRAM_DATA_POINT),
    Field::plain("aggregationTemporality", 2, Enum(&TEMPORALITY)),
]);
static SUMMARY: Message = item(&[Field::messages("dataPoints", 1, &SUMMARY_DATA_POINT)]);

static NUMBER_DATA_POINT: Message = small(&[
    Field::messages("attributes", 7, &KEY_VALUE),
    Field::plain("startTimeUnixNano", 2, Fixed64),
    Field::plain("timeUnixNano", 3, Fixed64),
    Field::one_of("asDouble", 4, Double),
    Field::one_of("asInt", 6, Sfixed64),
    Field::messages("exemplars", 5, &EXEMPLAR),
    Field::plain("flags", 8, Uint32),
]);
static HISTOGRAM_DATA_POINT: Message = item(&[
    Field::messages("attributes", 9, &KEY_VALUE),
    Field::plain("startTimeUnixNano", 2, Fixed64),
    Field::plain("timeUnixNano", 3, Fixed64),
    Field::plain("count", 4, Fixed64),
    Field::optional("sum", 5, Double),
    Field::repeated("bucketCounts", 6, Fixed64),
    Field::repeated("explicitBounds", 7, Double),
    Field::messages("exemplars", 8, &EXEMPLAR),
    Field::plain("flags", 10, Uint32),
    Field::optional("min", 11, Double),
    Field::optional("max", 12, Double),
]);
static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = item(&[
    Field::messages("attributes", 1, &KEY_VALUE),
    Field::plain("startTimeUnixNano", 2, Fixed64),
    Field::plain("timeUnixNano", 3, Fixed64),
    Field::plain("count", 4, Fixed64),
    Field::optional("sum", 5, Double),
    Field::plain("scale", 6, Sint32),
    Field::plain("zeroCount", 7, Fixed64),
    Field::message("positive", 8, &BUCKETS),
    Field::message("negative", 9, &BUCKETS),
    Field::plain("flags", 10, Uint32),
    Field::messages("exemplars", 11, &EXEMPLAR),
    Field::optional("min", 12, Double),
    Field::optional("max", 13, Double),
    Field::plain("zeroThreshold", 14, Double),
]);
static BUCKETS: Message =
    small(&[Field::plain("offset", 1, Sint32), Field::repeated("bucketCounts", 2, Uint64)]);
static SUMMARY_DATA_POINT: Message = item(&[
    Field::messages("attributes", 7, &KEY_VALUE),
    Field::plain("startTimeUnixNano", 2, Fixed64),
    Field::plain("timeUnixNano", 3, Fixed64),
    Field::plain("count", 4, Fixed64),
    Field::plain("sum", 5, Double),
    Field::messages("quantileValues", 6, &VALUE_AT_QUANTILE),
    Field::plain("flags", 8, Uint32),
]);
static VALUE_AT_QUANTILE: Message =
    small(&[Field::plain("quantile", 1, Double), Field::plain("value", 2, Double)]);
static EXEMPLAR: Message = small(&[
    Field::messages("filteredAttributes", 7, &KEY_VALUE),
    Field::plain("timeUnixNano", 2, Fixed64),
    Field::one_of("asDouble", 3, Double),
    Field::one_of("asInt", 6, Sfixed64),
    Field::plain("spanId", 4, Id),
    Field::plain("traceId", 5, Id),
]);

static TEMPORALITY: Names =
    Names { prefix: "AGGREGATION_TEMPORALITY_", rest: &["UNSPECIFIED", "DELTA", "CUMULATIVE"] };

// Profiles (v1development).

static PROFILES_DICTIONARY: Message = block(&[
    Field::messages("mappingTable", 1, &MAPPING),
    Field::messages("locationTable", 2, &LOCATION),
    Field::messages("functionTable", 3, &FUNCTION),
    Field::messages("linkTable", 4, &PROFILE_LINK),
    Field::repeated("stringTable", 5, Str),
    Field::messages("attributeTable", 6, &KEY_VALUE_AND_UNIT),
    Field::messages("stackTable", 7, &STACK),
]);
static PROFILE: Message = block(&[
    Field::message("sampleType", 1, &VALUE_TYPE),
    Field::messages("samples", 2, &SAMPLE),
    Field::plain("timeUnixNano", 3, Fixed64),
    Field::plain("durationNano", 4, Uint64),
    Field::message("periodType", 5, &VALUE_TYPE),
    Field::plain("period", 6, Int64),
    // The specification's letter says hex for traceId and spanId only; the Collector and the published
    // serde types write this one in hex too.
    Field::plain("profileId", 7, Id),
    Field::plain("droppedAttributesCount", 8, Uint32),
    Field::plain("originalPayloadFormat", 9, Str),
    Field::plain("originalPayload", 10, Bytes),
    Field::repeated("attributeIndices", 11, Int32),
]);
static PROFILE_LINK: Message = small(&[Field::plain("traceId", 1, Id), Field::plain("spanId", 2, Id)]);
static VALUE_TYPE: Message =
    small(&[Field::plain("typeStrindex", 1, Int32), Field::plain("unitStrindex", 2, Int32)]);
static SAMPLE: Message = small(&[
    Field::plain("stackIndex", 1, Int32),
    Field::repeated("attributeIndices", 2, Int32),
    Field::plain("linkIndex", 3, Int32),
    Field::repeated("values", 4, Int64),
    Field::repeated("timestampsUnixNano", 5, Fixed64),
]);
static MAPPING: Message = small(&[
    Field::plain("memoryStart", 1, Uint64),
    Field::plain("memoryLimit", 2, Uint64),
    Field::plain("fileOffset", 3, Uint64),
    Field::plain("filenameStrindex", 4, Int32),
    Field::repeated("attributeIndices", 5, Int32),
]);
static STACK: Message = small(&[Field::repeated("locationIndices", 1, Int32)]);
static LOCATION: Message = small(&[
    Field::plain("mappingIndex", 1, Int32),
    Field::plain("address", 2, Uint64),
    Field::messages("lines", 3, &LINE),
    Field::repeated("attributeIndices", 4, Int32),
]);
static LINE: Message = small(&[
    Field::plain("functionIndex", 1, Int32),
    Field::plain("line", 2, Int64),
    Field::plain("column", 3, Int64),
]);
static FUNCTION: Message = small(&[
    Field::plain("nameStrindex", 1, Int32),
    Field::plain("systemNameStrindex", 2, Int32),
    Field::plain("filenameStrindex", 3, Int32),
    Field::plain("startLine", 4, Int64),
]);
static KEY_VALUE_AND_UNIT: Message = small(&[
    Field::plain("keyStrindex", 1, Int32),
    Field::message("value", 2, &ANY_VALUE),
    Field::plain("unitStrindex", 3, Int32),
]);

// Responses.

static TRACES_RESPONSE: Message = small(&[Field::message("partialSuccess", 1, &TRACES_PARTIAL)]);
static METRICS_RESPONSE: Message = small(&[Field::message("partialSuccess", 1, &METRICS_PARTIAL)]);
static LOGS_RESPONSE: Message = small(&[Field::message("partialSuccess", 1, &LOGS_PARTIAL)]);
static PROFILES_RESPONSE: Message = small(&[Field::message("partialSuccess", 1, &PROFILES_PARTIAL)]);

static TRACES_PARTIAL: Message =
    small(&[Field::plain("rejectedSpans", 1, Int64), Field::plain("errorMessage", 2, Str)]);
static METRICS_PARTIAL: Message =
    small(&[Field::plain("rejectedDataPoints", 1, Int64), Field::plain("errorMessage", 2, Str)]);
static LOGS_PARTIAL: Message =
    small(&[Field::plain("rejectedLogRecords", 1, Int64), Field::plain("errorMessage", 2, Str)]);
static PROFILES_PARTIAL: Message =
    small(&[Field::plain("rejectedProfiles", 1, Int64), Field::plain("errorMessage", 2, Str)]);
