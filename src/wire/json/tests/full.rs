//! Requests with every field of every message set, written as literals: a field that is added to OTLP does
//! not compile until it is set here, and does not pass until our tables know it.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};
use opentelemetry_proto::tonic::profiles::v1development as profiles;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const TRACE_ID: [u8; 16] = *b"0123456789abcdef";
const SPAN_ID: [u8; 8] = *b"\x01\x02\xfe\xff\x80\x7f\x00\x10";

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn attribute(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.into(), value, key_strindex: 0 }
}

/// An attribute of each kind of value.
pub(super) fn attributes() -> Vec<KeyValue> {
    let list = KeyValueList { values: vec![attribute("deep", any(Value::BoolValue(true)))] };
    let array =
        ArrayValue { values: vec![AnyValue { value: None }, any(Value::KvlistValue(list.clone())).unwrap()] };
    vec![
        attribute("string", any(Value::StringValue("\u{1} \"quoted\" \\ ü 😀 /".into()))),
        attribute("empty string", any(Value::StringValue(String::new()))),
        attribute("false", any(Value::BoolValue(false))),
        attribute("least", any(Value::IntValue(i64::MIN))),
        attribute("double", any(Value::DoubleValue(-1.5e-300))),
        attribute("infinite", any(Value::DoubleValue(f64::NEG_INFINITY))),
        attribute("array", any(Value::ArrayValue(array))),
        attribute("list", any(Value::KvlistValue(list))),
        attribute("bytes", any(Value::BytesValue(vec![0xfb, 0xff, 0, 1]))),
        attribute("index", any(Value::StringValueStrindex(-3))),
        attribute("no value", None),
        KeyValue { key: "keyed".into(), value: any(Value::IntValue(0)), key_strindex: 9 },
    ]
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: attributes(),
        dropped_attributes_count: 1,
        entity_refs: vec![EntityRef {
            schema_url: "url".into(),
            r#type: "service".into(),
            id_keys: vec!["string".into(), String::new()],
            description_keys: vec!["list".into()],
        }],
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "scope".into(),
        version: "1".into(),
        attributes: attributes(),
        dropped_attributes_count: 2,
    })
}

pub(super) fn traces() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: TRACE_ID.into(),
        span_id: SPAN_ID.into(),
        trace_state: "ot=th:8;rv:7".into(),
        parent_span_id: SPAN_ID.into(),
        flags: u32::MAX,
        name: "name".into(),
        kind: 3,
        start_time_unix_nano: u64::MAX,
        end_time_unix_nano: 1,
        attributes: attributes(),
        dropped_attributes_count: 3,
        events: vec![Event {
            time_unix_nano: 4,
            name: "event".into(),
            attributes: attributes(),
            dropped_attributes_count: 5,
        }],
        dropped_events_count: 6,
        links: vec![Link {
            trace_id: TRACE_ID.into(),
            span_id: SPAN_ID.into(),
            trace_state: "state".into(),
            attributes: attributes(),
            dropped_attributes_count: 7,
            flags: 0x101,
        }],
        dropped_links_count: 8,
        status: Some(Status { message: "failed".into(), code: 2 }),
    };
    let scope_spans =
        ScopeSpans { scope: scope(), spans: vec![span, Span::default()], schema_url: "inner".into() };
    let block =
        ResourceSpans { resource: resource(), scope_spans: vec![scope_spans], schema_url: "outer".into() };
    ExportTraceServiceRequest { resource_spans: vec![block, ResourceSpans::default()] }
}

pub(super) fn logs() -> ExportLogsServiceRequest {
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: any(Value::KvlistValue(KeyValueList { values: attributes() })),
        attributes: attributes(),
        dropped_attributes_count: 3,
        flags: 0x80,
        trace_id: TRACE_ID.into(),
        span_id: SPAN_ID.into(),
        event_name: "event".into(),
    };
    let scope_logs = ScopeLogs { scope: scope(), log_records: vec![record], schema_url: "inner".into() };
    let block =
        ResourceLogs { resource: resource(), scope_logs: vec![scope_logs], schema_url: "outer".into() };
    ExportLogsServiceRequest { resource_logs: vec![block] }
}

fn exemplars() -> Vec<Exemplar> {
    let exemplar = Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: 1,
        span_id: SPAN_ID.into(),
        trace_id: TRACE_ID.into(),
        value: Some(exemplar::Value::AsInt(-5)),
    };
    vec![Exemplar { value: Some(exemplar::Value::AsDouble(0.0)), ..exemplar.clone() }, exemplar]
}

fn number_points() -> Vec<NumberDataPoint> {
    let point = NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        exemplars: exemplars(),
        flags: 1,
        value: Some(number_data_point::Value::AsInt(i64::MIN)),
    };
    let double = Some(number_data_point::Value::AsDouble(0.1));
    vec![NumberDataPoint { value: double, ..point.clone() }, point]
}

pub(super) fn metrics() -> ExportMetricsServiceRequest {
    let histogram_point = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: u64::MAX,
        sum: Some(0.0),
        bucket_counts: vec![0, 1, u64::MAX],
        explicit_bounds: vec![-0.5, 1e300],
        exemplars: exemplars(),
        flags: 1,
        min: Some(-1.0),
        max: Some(f64::INFINITY),
    };
    let exponential_point = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(4.5),
        scale: -10,
        zero_count: 6,
        positive: Some(Buckets { offset: i32::MIN, bucket_counts: vec![1, 300, u64::MAX] }),
        negative: Some(Buckets { offset: i32::MAX, bucket_counts: vec![] }),
        flags: 1,
        exemplars: exemplars(),
        min: Some(0.0),
        max: Some(1.0),
        zero_threshold: 1e-9,
    };
    let summary_point = SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: 4.0,
        quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 5.0 }],
        flags: 1,
    };
    let data = [
        Data::Gauge(Gauge { data_points: number_points() }),
        Data::Sum(Sum { data_points: number_points(), aggregation_temporality: 2, is_monotonic: true }),
        Data::Histogram(Histogram { data_points: vec![histogram_point], aggregation_temporality: 1 }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential_point],
            aggregation_temporality: 1,
        }),
        Data::Summary(Summary { data_points: vec![summary_point] }),
    ];
    let metrics = data.map(|data| Metric {
        name: "name".into(),
        description: "description".into(),
        unit: "By".into(),
        metadata: attributes(),
        data: Some(data),
    });
    let scope_metrics = ScopeMetrics { scope: scope(), metrics: metrics.into(), schema_url: "inner".into() };
    let block = ResourceMetrics {
        resource: resource(),
        scope_metrics: vec![scope_metrics],
        schema_url: "outer".into(),
    };
    ExportMetricsServiceRequest { resource_metrics: vec![block] }
}

pub(super) fn profiles() -> ExportProfilesServiceRequest {
    let unit = |at| Some(profiles::ValueType { type_strindex: at, unit_strindex: -at });
    let profile = profiles::Profile {
        sample_type: unit(1),
        samples: vec![profiles::Sample {
            stack_index: 1,
            attribute_indices: vec![0, -1, i32::MAX],
            link_index: 2,
            values: vec![i64::MIN, 0, i64::MAX],
            timestamps_unix_nano: vec![u64::MAX, 0],
        }],
        time_unix_nano: 1,
        duration_nano: u64::MAX,
        period_type: unit(2),
        period: -3,
        profile_id: TRACE_ID.into(),
        dropped_attributes_count: 4,
        original_payload_format: "pprof".into(),
        original_payload: vec![1, 0xff, 0],
        attribute_indices: vec![1, 2],
    };
    let scope_profiles =
        profiles::ScopeProfiles { scope: scope(), profiles: vec![profile], schema_url: "inner".into() };
    let block = profiles::ResourceProfiles {
        resource: resource(),
        scope_profiles: vec![scope_profiles],
        schema_url: "outer".into(),
    };
    let dictionary = profiles::ProfilesDictionary {
        mapping_table: vec![profiles::Mapping {
            memory_start: u64::MAX,
            memory_limit: 1,
            file_offset: 2,
            filename_strindex: 3,
            attribute_indices: vec![4],
        }],
        location_table: vec![profiles::Location {
            mapping_index: 1,
            address: u64::MAX,
            lines: vec![profiles::Line { function_index: 1, line: i64::MIN, column: 3 }],
            attribute_indices: vec![5],
        }],
        function_table: vec![profiles::Function {
            name_strindex: 1,
            system_name_strindex: 2,
            filename_strindex: 3,
            start_line: -4,
        }],
        link_table: vec![profiles::Link { trace_id: TRACE_ID.into(), span_id: SPAN_ID.into() }],
        string_table: vec![String::new(), "a".into()],
        attribute_table: vec![profiles::KeyValueAndUnit {
            key_strindex: 1,
            value: any(Value::StringValue("v".into())),
            unit_strindex: 2,
        }],
        stack_table: vec![profiles::Stack { location_indices: vec![0, 1] }],
    };
    ExportProfilesServiceRequest { resource_profiles: vec![block], dictionary: Some(dictionary) }
}
