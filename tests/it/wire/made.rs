//! Requests made from a seed: as prost writes them, then made rough without changing what they mean.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
    exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spandrel::wire::Signal;
use spandrel::wire::fields::{Fields, Payload, put_len_field};
use spandrel::wire::varint;

pub struct Maker(SmallRng);

impl Maker {
    pub fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound.max(1))
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn many<T>(&mut self, bound: usize, make: fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(bound)).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: fn(&mut Self) -> T) -> Option<T> {
        self.chance(80).then(|| make(self))
    }

    pub fn text(&mut self) -> String {
        const CHARS: [char; 8] = ['a', 'b', '.', '_', '/', '7', 'ü', '✓'];
        let len = if self.chance(5) { 300 } else { 24 };
        // Half of all texts are ASCII alone.
        let chars = if self.chance(50) { &CHARS[..6] } else { &CHARS[..] };
        (0..self.below(len)).map(|_| chars[self.below(chars.len())]).collect()
    }

    fn id(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.0.random_range(1..=255)).collect()
    }

    pub fn key_value(&mut self) -> KeyValue {
        let key = if self.chance(50) { format!("key.{}", self.below(6)) } else { self.text() };
        KeyValue { key, value: self.maybe(|m| m.any_value(3)), ..Default::default() }
    }

    fn any_value(&mut self, levels: u32) -> AnyValue {
        let kinds = if levels == 0 { 6 } else { 8 };
        let value = match self.below(kinds) {
            0 => None,
            1 => Some(Value::StringValue(self.text())),
            2 => Some(Value::BoolValue(self.0.random())),
            3 => Some(Value::IntValue(self.0.random::<i64>() >> self.below(64))),
            4 => Some(Value::DoubleValue(self.below(1000) as f64)),
            5 => Some(Value::BytesValue(self.id(5))),
            6 => {
                let values = (0..self.below(3)).map(|_| self.any_value(levels - 1)).collect();
                Some(Value::ArrayValue(ArrayValue { values }))
            }
            _ => Some(Value::KvlistValue(KeyValueList { values: self.many(3, Self::key_value_flat) })),
        };
        AnyValue { value }
    }

    fn key_value_flat(&mut self) -> KeyValue {
        KeyValue { key: self.text(), value: Some(self.any_value(0)), ..Default::default() }
    }

    pub fn resource(&mut self) -> Resource {
        let attributes = self.many(8, Self::key_value);
        Resource { attributes, dropped_attributes_count: self.below(3) as u32, ..Default::default() }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.many(3, Self::key_value),
            dropped_attributes_count: self.below(3) as u32,
        }
    }

    pub fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: match self.below(4) {
                0 => vec![],
                1 => vec![0; 8],
                _ => self.id(8),
            },
            flags: self.below(0x400) as u32,
            name: self.text(),
            kind: self.below(8) as i32,
            start_time_unix_nano: self.0.random(),
            end_time_unix_nano: if self.chance(80) { self.0.random() } else { 0 },
            attributes: self.many(10, Self::key_value),
            dropped_attributes_count: self.below(3) as u32,
            events: self.many(3, |m| span::Event {
                name: m.text(),
                attributes: m.many(3, Self::key_value),
                time_unix_nano: m.0.random(),
                dropped_attributes_count: 0,
            }),
            links: self.many(3, |m| span::Link {
                trace_id: m.id(16),
                span_id: m.id(8),
                attributes: m.many(2, Self::key_value),
                ..Default::default()
            }),
            status: self.maybe(|m| Status { message: m.text(), code: m.below(3) as i32 }),
            ..Default::default()
        }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.0.random(),
            severity_text: self.text(),
            severity_number: self.below(30) as i32,
            body: self.maybe(|m| m.any_value(4)),
            attributes: self.many(6, Self::key_value),
            trace_id: if self.chance(50) { self.id(16) } else { self.id(5) },
            event_name: self.text(),
            flags: 1,
            ..Default::default()
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.many(4, Self::key_value),
            time_unix_nano: self.0.random(),
            exemplars: self.many(2, |m| Exemplar {
                filtered_attributes: m.many(2, Self::key_value),
                span_id: m.id(8),
                ..Default::default()
            }),
            flags: 1,
            value: Some(number_data_point::Value::AsInt(self.0.random())),
            ..Default::default()
        }
    }

    fn metric(&mut self) -> Metric {
        let data = match self.below(6) {
            0 => None,
            1 => Some(Data::Gauge(Gauge { data_points: self.many(4, Self::number_point) })),
            2 => Some(Data::Sum(Sum {
                data_points: self.many(4, Self::number_point),
                aggregation_temporality: 2,
                is_monotonic: true,
            })),
            3 => Some(Data::Histogram(Histogram {
                data_points: self.many(4, |m| HistogramDataPoint {
                    time_unix_nano: 1,
                    bucket_counts: (0..m.below(5)).map(|n| n as u64).collect(),
                    explicit_bounds: vec![0.5, 1.0],
                    sum: Some(1.0),
                    attributes: m.many(3, Self::key_value),
                    ..Default::default()
                }),
                aggregation_temporality: 1,
            })),
            4 => Some(Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.many(4, |m| ExponentialHistogramDataPoint {
                    time_unix_nano: 1,
                    scale: -3,
                    positive: Some(Buckets { offset: -1, bucket_counts: vec![1, 1 << 40] }),
                    attributes: m.many(3, Self::key_value),
                    ..Default::default()
                }),
                aggregation_temporality: 1,
            })),
            _ => Some(Data::Summary(Summary {
                data_points: self.many(4, |_| SummaryDataPoint {
                    time_unix_nano: 1,
                    quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 3.0 }],
                    ..Default::default()
                }),
            })),
        };
        Metric {
            name: self.text(),
            unit: self.text(),
            metadata: self.many(2, Self::key_value),
            data,
            ..Default::default()
        }
    }

    /// One item of `signal`, acceptable, as prost writes it.
    pub fn item(&mut self, signal: Signal) -> Vec<u8> {
        match signal {
            Signal::Traces => self.span().encode_to_vec(),
            Signal::Metrics => self.metric().encode_to_vec(),
            Signal::Logs | Signal::Profiles => self.log_record().encode_to_vec(),
        }
    }

    /// A request every item of which is acceptable, as prost writes it.
    pub fn request(&mut self, signal: Signal) -> Vec<u8> {
        match signal {
            Signal::Traces => {
                let resource_spans = self.many(4, |m| ResourceSpans {
                    resource: m.maybe(Self::resource),
                    scope_spans: m.many(4, |m| ScopeSpans {
                        scope: m.maybe(Self::scope),
                        spans: m.many(5, Self::span),
                        schema_url: m.text(),
                    }),
                    schema_url: m.text(),
                });
                ExportTraceServiceRequest { resource_spans }.encode_to_vec()
            }
            Signal::Metrics => {
                let resource_metrics = self.many(4, |m| ResourceMetrics {
                    resource: m.maybe(Self::resource),
                    scope_metrics: m.many(4, |m| ScopeMetrics {
                        scope: m.maybe(Self::scope),
                        metrics: m.many(5, Self::metric),
                        schema_url: m.text(),
                    }),
                    schema_url: m.text(),
                });
                ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
            }
            Signal::Logs | Signal::Profiles => {
                let resource_logs = self.many(4, |m| ResourceLogs {
                    resource: m.maybe(Self::resource),
                    scope_logs: m.many(4, |m| ScopeLogs {
                        scope: m.maybe(Self::scope),
                        log_records: m.many(5, Self::log_record),
                        schema_url: m.text(),
                    }),
                    schema_url: m.text(),
                });
                ExportLogsServiceRequest { resource_logs }.encode_to_vec()
            }
        }
    }

    /// The same message otherwise encoded: over-long varints, unknown fields and groups anywhere,
    /// superseded singular fields, a Resource in two parts.
    pub fn rough(&mut self, message: &[u8], kind: Kind) -> Vec<u8> {
        let mut out = Vec::new();
        for field in Fields::of(message) {
            if self.chance(10) {
                self.unknown_field(&mut out);
            }
            match field.payload {
                Payload::Len(body) => match kind.inner(field.number) {
                    Some(Kind::Resource) if self.chance(30) => self.in_two(field.number, body, &mut out),
                    Some(inner) => {
                        let body = self.rough(body, inner);
                        self.len_field(field.number, &body, &mut out);
                    }
                    None => {
                        if kind.is_superseded_by_repeating(field.number) && self.chance(20) {
                            let mut other = body.to_vec();
                            other.iter_mut().for_each(|byte| *byte = b'x');
                            self.len_field(field.number, &other, &mut out);
                        }
                        self.len_field(field.number, body, &mut out);
                    }
                },
                Payload::Varint(value) => {
                    if self.chance(10) {
                        self.varint(u64::from(field.number) << 3, &mut out);
                        self.varint(7, &mut out);
                    }
                    self.varint(u64::from(field.number) << 3, &mut out);
                    self.varint(value, &mut out);
                }
                Payload::Fixed64(value) => {
                    self.varint(u64::from(field.number) << 3 | 1, &mut out);
                    out.extend(value.to_le_bytes());
                }
                Payload::Fixed32(value) => {
                    self.varint(u64::from(field.number) << 3 | 5, &mut out);
                    out.extend(value.to_le_bytes());
                }
                Payload::Group => {}
            }
        }
        if self.chance(10) {
            self.unknown_field(&mut out);
        }
        out
    }

    fn in_two(&mut self, number: u32, body: &[u8], out: &mut Vec<u8>) {
        let mut fields = Fields::of(body);
        for _ in 0..self.below(4) {
            fields.next();
        }
        let first = &body[..body.len() - fields.rest().len()];
        self.len_field(number, first, out);
        self.len_field(number, fields.rest(), out);
    }

    fn len_field(&mut self, number: u32, body: &[u8], out: &mut Vec<u8>) {
        self.varint(u64::from(number) << 3 | 2, out);
        self.varint(body.len() as u64, out);
        out.extend_from_slice(body);
    }

    fn varint(&mut self, value: u64, out: &mut Vec<u8>) {
        let at = out.len();
        varint::put(value, out);
        if self.chance(5) {
            let more = self.below(varint::LEN_MAX - (out.len() - at) + 1);
            for _ in 0..more {
                *out.last_mut().unwrap() |= 0x80;
                out.push(0);
            }
        }
    }

    fn unknown_field(&mut self, out: &mut Vec<u8>) {
        let number = if self.chance(50) { 1000 } else { self.0.random_range(20..1 << 29) };
        match self.below(4) {
            0 => {
                varint::put(number << 3, out);
                self.varint(300, out);
            }
            1 => {
                varint::put(number << 3 | 1, out);
                out.extend([0xff; 8]);
            }
            2 => put_len_field(number as u32, b"\xff unknown", out),
            _ => {
                varint::put(number << 3 | 3, out);
                out.extend([0x08, 1, 0x13, 0x14]);
                varint::put(number << 3 | 4, out);
            }
        }
    }
}

/// Which messages lie in which, as far as they are made rough.
#[derive(Clone, Copy)]
pub enum Kind {
    Request(Signal),
    Block(Signal),
    Scope(Signal),
    Item(Signal),
    Resource,
    ScopeInfo,
    KeyValue,
    AnyValue,
    Array,
    Map,
    Event,
    Link,
    Data,
}

impl Kind {
    fn inner(self, number: u32) -> Option<Kind> {
        Some(match (self, number) {
            (Kind::Request(signal), 1) => Kind::Block(signal),
            (Kind::Block(_), 1) => Kind::Resource,
            (Kind::Block(signal), 2) => Kind::Scope(signal),
            (Kind::Scope(_), 1) => Kind::ScopeInfo,
            (Kind::Scope(signal), 2) => Kind::Item(signal),
            (Kind::Item(Signal::Traces), 9) | (Kind::Item(Signal::Logs), 6) => Kind::KeyValue,
            (Kind::Item(Signal::Traces), 11) => Kind::Event,
            (Kind::Item(Signal::Traces), 13) => Kind::Link,
            (Kind::Item(Signal::Logs), 5) => Kind::AnyValue,
            (Kind::Item(Signal::Metrics), 5 | 7 | 9 | 10 | 11) => Kind::Data,
            (Kind::Resource, 1) | (Kind::ScopeInfo, 3) | (Kind::Event, 3) | (Kind::Link, 4) => Kind::KeyValue,
            (Kind::KeyValue, 2) | (Kind::Array, 1) => Kind::AnyValue,
            (Kind::AnyValue, 5) => Kind::Array,
            (Kind::AnyValue, 6) => Kind::Map,
            (Kind::Map, 1) => Kind::KeyValue,
            _ => return None,
        })
    }

    /// Singular strings and ids: an earlier one does not count.
    fn is_superseded_by_repeating(self, number: u32) -> bool {
        match self {
            Kind::Item(Signal::Traces) => number <= 5,
            Kind::Block(_) | Kind::Scope(_) => number == 3,
            Kind::KeyValue => number == 1,
            _ => false,
        }
    }
}
