//! What a request says, taken apart to the level at which nothing may get lost: an item with the
//! resource and scope it belongs to.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel::wire::Signal;

/// The labels the program may add to a resource that lacks them.
pub const ENVIRONMENT: &str = "deployment.environment.name";
pub const RELEASE: &str = "service.version";

/// A decoded export request.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
    Profiles(ExportProfilesServiceRequest),
}

/// One item with everything that says what it belongs to; `body` is the item's own encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub resource: Resource,
    pub resource_schema: String,
    pub scope: InstrumentationScope,
    pub scope_schema: String,
    pub body: Vec<u8>,
}

impl Export {
    pub fn decode(signal: Signal, bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        Ok(match signal {
            Signal::Traces => Self::Traces(Message::decode(bytes)?),
            Signal::Metrics => Self::Metrics(Message::decode(bytes)?),
            Signal::Logs => Self::Logs(Message::decode(bytes)?),
            Signal::Profiles => Self::Profiles(Message::decode(bytes)?),
        })
    }

    pub fn signal(&self) -> Signal {
        match self {
            Self::Traces(_) => Signal::Traces,
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
            Self::Profiles(_) => Signal::Profiles,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Traces(it) => it.encode_to_vec(),
            Self::Metrics(it) => it.encode_to_vec(),
            Self::Logs(it) => it.encode_to_vec(),
            Self::Profiles(it) => it.encode_to_vec(),
        }
    }

    pub fn json(&self) -> Vec<u8> {
        match self {
            Self::Traces(it) => serde_json::to_vec(it),
            Self::Metrics(it) => serde_json::to_vec(it),
            Self::Logs(it) => serde_json::to_vec(it),
            Self::Profiles(_) => panic!("the oracle writes no JSON for profiles"),
        }
        .expect("the oracle writes what it read")
    }

    /// Spans, metrics or log records, each with its resource and scope; a profiles request is one item.
    pub fn items(&self) -> Vec<Item> {
        macro_rules! flatten {
            ($blocks:expr, $scopes:ident, $items:ident) => {
                $blocks
                    .iter()
                    .flat_map(|block| block.$scopes.iter().map(move |scope| (block, scope)))
                    .flat_map(|(block, scope)| scope.$items.iter().map(move |item| (block, scope, item)))
                    .map(|(block, scope, item)| Item {
                        resource: block.resource.clone().unwrap_or_default(),
                        resource_schema: block.schema_url.clone(),
                        scope: scope.scope.clone().unwrap_or_default(),
                        scope_schema: scope.schema_url.clone(),
                        body: item.encode_to_vec(),
                    })
                    .collect()
            };
        }
        match self {
            Self::Traces(it) => flatten!(it.resource_spans, scope_spans, spans),
            Self::Metrics(it) => flatten!(it.resource_metrics, scope_metrics, metrics),
            Self::Logs(it) => flatten!(it.resource_logs, scope_logs, log_records),
            Self::Profiles(it) => vec![Item {
                resource: Resource::default(),
                resource_schema: String::new(),
                scope: InstrumentationScope::default(),
                scope_schema: String::new(),
                body: it.encode_to_vec(),
            }],
        }
    }

    pub fn resources(&self) -> Vec<Resource> {
        macro_rules! resources {
            ($blocks:expr) => {
                $blocks.iter().map(|block| block.resource.clone().unwrap_or_default()).collect()
            };
        }
        match self {
            Self::Traces(it) => resources!(it.resource_spans),
            Self::Metrics(it) => resources!(it.resource_metrics),
            Self::Logs(it) => resources!(it.resource_logs),
            Self::Profiles(it) => resources!(it.resource_profiles),
        }
    }

    /// Items as OTLP counts them: spans, data points, log records, profiles.
    pub fn count(&self) -> usize {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        match self {
            Self::Metrics(it) => it
                .resource_metrics
                .iter()
                .flat_map(|block| &block.scope_metrics)
                .flat_map(|scope| &scope.metrics)
                .map(|metric| match &metric.data {
                    Some(Data::Gauge(data)) => data.data_points.len(),
                    Some(Data::Sum(data)) => data.data_points.len(),
                    Some(Data::Histogram(data)) => data.data_points.len(),
                    Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                    Some(Data::Summary(data)) => data.data_points.len(),
                    None => 0,
                })
                .sum(),
            Self::Profiles(it) => it
                .resource_profiles
                .iter()
                .flat_map(|block| &block.scope_profiles)
                .map(|scope| scope.profiles.len())
                .sum(),
            Self::Traces(_) | Self::Logs(_) => self.items().len(),
        }
    }

    pub fn spans(&self) -> Vec<Span> {
        let Self::Traces(request) = self else { return Vec::new() };
        request
            .resource_spans
            .iter()
            .flat_map(|block| &block.scope_spans)
            .flat_map(|scope| scope.spans.iter().cloned())
            .collect()
    }
}

/// The text of an attribute, `None` where it is absent or no string.
pub fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The texts in an attribute's list, none where it is absent or no list.
pub fn list(attributes: &[KeyValue], key: &str) -> Vec<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::ArrayValue(list)) => list.values.into_iter().filter_map(|value| match value.value {
            Some(Value::StringValue(text)) => Some(text),
            _ => None,
        }),
        _ => return Vec::new(),
    }
    .collect()
}

/// An attribute whose value is text.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

/// Every resource says which environment and release it is of, each key once.
pub fn assert_labelled(export: &Export) {
    for resource in export.resources() {
        for label in [ENVIRONMENT, RELEASE] {
            let times = resource.attributes.iter().filter(|attribute| attribute.key == label).count();
            assert_eq!(times, 1, "{label:?} is on this resource {times} times: {resource:#?}");
        }
    }
}

/// What was sent came, all of it and nothing else, attribute for attribute. Only a label the
/// resource lacked may have been added.
pub fn assert_preserved(sent: &[Export], came: &[Export]) {
    let mut expected: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for item in sent.iter().flat_map(Export::items) {
        *expected.entry(key(&item)).or_default() += 1;
    }
    for item in came.iter().flat_map(Export::items) {
        let known = without_labels(&item).into_iter().find(|candidate| expected.contains_key(candidate));
        let Some(known) = known else { panic!("this came, but was never sent like that: {item:#?}") };
        let left = expected.get_mut(&known).expect("just found");
        *left -= 1;
        if *left == 0 {
            expected.remove(&known);
        }
    }
    let missing: usize = expected.values().sum();
    assert_eq!(missing, 0, "{missing} items were sent and never came");
}

/// An item as bytes, by which equal ones are known. The order of a resource's attributes says nothing.
fn key(item: &Item) -> Vec<u8> {
    let mut resource = item.resource.clone();
    resource.attributes.sort_by(|a, b| a.key.cmp(&b.key));
    let mut key = resource.encode_length_delimited_to_vec();
    key.extend(item.scope.encode_length_delimited_to_vec());
    key.extend(item.resource_schema.encode_length_delimited_to_vec());
    key.extend(item.scope_schema.encode_length_delimited_to_vec());
    key.extend(&item.body);
    key
}

/// The item as it is, and as it would be had any of the labels been added to it.
fn without_labels(item: &Item) -> Vec<Vec<u8>> {
    let added: [&[&str]; 4] = [&[], &[ENVIRONMENT], &[RELEASE], &[ENVIRONMENT, RELEASE]];
    let strip = |labels: &[&str]| {
        let mut item = item.clone();
        item.resource.attributes.retain(|attribute| !labels.contains(&attribute.key.as_str()));
        key(&item)
    };
    added.into_iter().map(strip).collect()
}
