//! Spans and traces for the tests of this module, written by the oracle's encoder.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event};
use prost::Message;

use super::Observation;
use super::around::Around;

/// What can stand as an attribute's value in a test.
pub trait Said {
    fn said(self) -> Value;
}

impl Said for &str {
    fn said(self) -> Value {
        Value::StringValue(self.to_owned())
    }
}

impl Said for i64 {
    fn said(self) -> Value {
        Value::IntValue(self)
    }
}

impl Said for f64 {
    fn said(self) -> Value {
        Value::DoubleValue(self)
    }
}

impl Said for bool {
    fn said(self) -> Value {
        Value::BoolValue(self)
    }
}

impl<const N: usize> Said for [&str; N] {
    fn said(self) -> Value {
        let values = self.map(|text| AnyValue { value: Some(text.said()) }).to_vec();
        Value::ArrayValue(ArrayValue { values })
    }
}

impl Said for Value {
    fn said(self) -> Value {
        self
    }
}

fn pair(key: &str, value: impl Said) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value.said()) }),
        ..Default::default()
    }
}

/// A span that is being put together. It starts at `id` seconds and lasts one.
#[derive(Clone)]
pub struct Make(pub Span);

/// Span `id` below `parent`; 0 is none.
pub fn span(id: u8, parent: u8) -> Make {
    let bytes = |n: u8| if n == 0 { Vec::new() } else { vec![n; 8] };
    let start = u64::from(id) * 1_000_000_000;
    Make(Span {
        trace_id: vec![7; 16],
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: format!("span {id}"),
        kind: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000_000,
        ..Default::default()
    })
}

impl Make {
    pub fn with(mut self, key: &str, value: impl Said) -> Self {
        self.0.attributes.push(pair(key, value));
        self
    }

    pub fn event(mut self, name: &str, said: &[(&str, &str)]) -> Self {
        let attributes = said.iter().map(|(key, value)| pair(key, *value)).collect();
        self.0.events.push(Event { name: name.to_owned(), attributes, ..Default::default() });
        self
    }

    pub fn status(mut self, code: i32, message: &str) -> Self {
        self.0.status = Some(Status { code, message: message.to_owned() });
        self
    }

    pub fn lasting(mut self, start: u64, end: u64) -> Self {
        (self.0.start_time_unix_nano, self.0.end_time_unix_nano) = (start, end);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

/// Reads `make` with nothing around it, and gives what `read` makes of it.
pub fn reading<T>(make: &Make, read: impl FnOnce(&Observation<'_>) -> T) -> T {
    read(&Observation::of(&make.bytes(), Around::default()))
}

/// One resource block of a request.
pub fn block(resource: &[(&str, &str)], scope: &str, spans: impl IntoIterator<Item = Make>) -> ResourceSpans {
    let attributes = resource.iter().map(|(key, value)| pair(key, *value)).collect();
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope { name: scope.to_owned(), ..Default::default() }),
        spans: spans.into_iter().map(|make| make.0).collect(),
        ..Default::default()
    };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![scope_spans],
        ..Default::default()
    }
}

pub fn request(blocks: impl IntoIterator<Item = ResourceSpans>) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans: blocks.into_iter().collect() }.encode_to_vec()
}

/// A request of one block without a resource's word.
pub fn trace(spans: impl IntoIterator<Item = Make>) -> Vec<u8> {
    request([block(&[], "test", spans)])
}
