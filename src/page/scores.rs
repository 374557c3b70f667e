//! Scores that travel with a trace: `gen_ai.evaluation.result` events on its spans (OTel GenAI, "Events").
//!
//! An event without a name, or with neither a value nor a label, says nothing. Scores that SDKs post over
//! REST never pass here.

use super::meaning::clip;
use super::proto::Score;
use crate::wire::SpanId;
use crate::wire::attr::{self, Value};
use crate::wire::index::Index;

/// Scores of one trace that are shown.
const SCORES_MAX: usize = 100;
/// `Span.events`, and what an event has: its name and its attributes.
const EVENTS: u32 = 11;
const NAME: u32 = 2;
const ATTRIBUTES: u32 = 3;

/// Of a request that holds one trace, in the order of the body.
pub fn of(body: &[u8], index: &Index) -> Vec<Score> {
    let events = index
        .spans
        .iter()
        .flat_map(|entry| attr::messages(entry.body.of(body), EVENTS).map(|event| (entry.span, event)));
    events.filter_map(|(span, event)| score(span, event)).take(SCORES_MAX).collect()
}

fn score(span: SpanId, event: &[u8]) -> Option<Score> {
    if attr::messages(event, NAME).last() != Some(b"gen_ai.evaluation.result") {
        return None;
    }
    let find = |key: &str| attr::find(event, ATTRIBUTES, key.as_bytes());
    let text = |key| find(key).and_then(Value::text).filter(|text| !text.is_empty()).map(clip);
    let value = match find("gen_ai.evaluation.score.value") {
        Some(Value::Double(value)) if value.is_finite() => Some(value),
        Some(Value::Int(value)) => Some(value as f64),
        _ => None,
    };
    let score = Score {
        name: text("gen_ai.evaluation.name")?,
        value,
        label: text("gen_ai.evaluation.score.label"),
        comment: text("gen_ai.evaluation.explanation"),
        observation_id: span.0.to_vec(),
    };
    (score.value.is_some() || score.label.is_some()).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use crate::page::testing::trace_of;
    use crate::watch::JoinedTrace;

    fn check(event: &str, pairs: &[(&str, Any)], expect: Option<(Option<f64>, Option<&str>)>) {
        let pair = |(key, value): &(&str, Any)| KeyValue {
            key: format!("gen_ai.evaluation.{key}"),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        };
        let event = Event {
            name: event.to_owned(),
            attributes: pairs.iter().map(pair).collect(),
            ..Event::default()
        };
        let span =
            Span { trace_id: vec![7; 16], span_id: vec![1; 8], events: vec![event], ..Span::default() };
        let scopes = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let blocks = vec![ResourceSpans { scope_spans: scopes, ..ResourceSpans::default() }];
        let body = ExportTraceServiceRequest { resource_spans: blocks }.encode_to_vec();
        let trace = JoinedTrace { body: body.into(), ..trace_of(1, 0) };
        let scores = of(&trace.body, &trace.index());
        let said = scores.first().map(|score| (score.value, score.label.as_deref()));
        assert_eq!(said, expect, "{pairs:?}");
    }

    #[test]
    fn a_score_has_a_name_and_a_value_or_a_label() {
        let text = |text: &str| Any::StringValue(text.to_owned());
        let event = "gen_ai.evaluation.result";
        let name = ("name", text("relevance"));
        let value = ("score.value", Any::DoubleValue(0.5));
        check(event, &[name.clone(), value.clone()], Some((Some(0.5), None)));
        check(event, &[name.clone(), ("score.label", text("good"))], Some((None, Some("good"))));
        check(event, &[name.clone(), ("score.value", Any::IntValue(1))], Some((Some(1.0), None)));
        check(event, std::slice::from_ref(&value), None);
        check(event, std::slice::from_ref(&name), None);
        check(event, &[name.clone(), ("score.value", Any::DoubleValue(f64::NAN))], None);
        check("another", &[name, value], None);
    }
}
