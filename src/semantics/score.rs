//! An evaluation as a score: what OTLP carries as an event of a span, a vendor's server takes by REST.
//!
//! OpenTelemetry's event is `gen_ai.evaluation.result` (semantic conventions, GenAI events); Langfuse's server reads
//! it nowhere. A number is NUMERIC; a label alone is CATEGORICAL; what is neither is no score, and nothing is
//! guessed. The id is worked out of what is scored, by what name and when, so that the same evaluation is the same
//! score however often it is sent. The one surprise: with a number, the label is not sent: a score has one value.

use ring::digest::{Context, SHA256};
use serde::Serialize;

use super::environment;
use crate::wire::attr::{Attr, Value, messages};
use crate::wire::fields::{Fields, Payload};
use crate::wire::noted::EVALUATION;
use crate::wire::{SpanId, TraceId};

/// Names the evaluated response, where its span is not known.
pub const RESPONSE_ID: &str = "gen_ai.response.id";

/// What an evaluation says of a span, or of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score<'a> {
    pub trace: TraceId,
    /// `SpanId::NONE`: of the trace.
    pub span: SpanId,
    pub name: &'a str,
    pub value: Scored<'a>,
    pub comment: Option<&'a str>,
    /// Unix nanoseconds.
    pub time: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scored<'a> {
    Numeric(f64),
    Categorical(&'a str),
}

/// Why an evaluation is no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoScore {
    #[error("it has no `gen_ai.evaluation.name`")]
    NoName,
    #[error("it has neither a finite `gen_ai.evaluation.score.value` nor a `gen_ai.evaluation.score.label`")]
    NoValue,
}

impl NoScore {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::NoValue => "no_value",
        }
    }
}

/// Whether the body of a span's Event message is an evaluation.
pub fn is_evaluation(event: &[u8]) -> bool {
    messages(event, 2).last() == Some(EVALUATION.as_bytes())
}

impl<'a> Score<'a> {
    /// Reads the body of an Event message of this span.
    ///
    /// # Errors
    /// What it lacks.
    pub fn of(trace: TraceId, span: SpanId, event: &'a [u8]) -> Result<Self, NoScore> {
        let (mut name, mut number, mut label, mut comment) = (None, None, None, None);
        for attr in messages(event, 3).map(Attr::of) {
            let text = || attr.value.text().filter(|text| !text.is_empty());
            match attr.key {
                b"gen_ai.evaluation.name" => name = text(),
                b"gen_ai.evaluation.score.value" => number = finite(attr.value),
                b"gen_ai.evaluation.score.label" => label = text(),
                b"gen_ai.evaluation.explanation" => comment = text(),
                _ => {}
            }
        }
        let name = name.ok_or(NoScore::NoName)?;
        let value = number.map(Scored::Numeric).or_else(|| label.map(Scored::Categorical));
        let time = Fields::of(event).filter_map(|field| match (field.number, field.payload) {
            (1, Payload::Fixed64(time)) => Some(time),
            _ => None,
        });
        let time = time.last().unwrap_or(0);
        Ok(Self { trace, span, name, value: value.ok_or(NoScore::NoValue)?, comment, time })
    }

    /// The same for the same evaluation: the first 16 bytes of the SHA-256 of trace, span, time and name, in hex.
    pub fn id(&self) -> String {
        let mut hash = Context::new(&SHA256);
        for part in [&self.trace.0[..], &self.span.0, &self.time.to_be_bytes(), self.name.as_bytes()] {
            hash.update(part);
        }
        // Written as a trace's id is: 16 bytes.
        hash.finish().as_ref().first_chunk().copied().map(TraceId).unwrap_or_default().to_string()
    }

    /// What is posted to Langfuse: `POST /api/public/scores`.
    pub fn langfuse(&self, environment: Option<&str>) -> Vec<u8> {
        json(&Langfuse {
            id: self.id(),
            trace_id: self.trace.to_string(),
            observation_id: self.observation(),
            name: self.name,
            value: self.value,
            data_type: self.value.kind(),
            comment: self.comment,
            environment: environment.map(normal),
        })
    }

    /// What is posted to InteractiveAI: `POST …/organizations/{org}/projects/{project}/scores`.
    pub fn interactiveai(&self, environment: Option<&str>) -> Vec<u8> {
        json(&InteractiveAi {
            id: self.id(),
            trace_id: self.trace.to_string(),
            observation_id: self.observation(),
            name: self.name,
            environment: environment.map(normal),
            value: self.value,
            comment: self.comment,
            data_type: self.value.kind(),
            timestamp: (self.time > 0).then(|| timestamp(self.time)),
        })
    }

    fn observation(&self) -> Option<String> {
        (!self.span.is_none()).then(|| self.span.to_string())
    }
}

impl Scored<'_> {
    const fn kind(self) -> &'static str {
        match self {
            Self::Numeric(_) => "NUMERIC",
            Self::Categorical(_) => "CATEGORICAL",
        }
    }
}

/// In the order of Langfuse's own reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Langfuse<'a> {
    id: String,
    trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    observation_id: Option<String>,
    name: &'a str,
    value: Scored<'a>,
    data_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
}

/// In the order of InteractiveAI's own SDK.
#[derive(Serialize)]
struct InteractiveAi<'a> {
    id: String,
    trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    observation_id: Option<String>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    value: Scored<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    data_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

/// Numbers and text always can be written.
fn json(score: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(score).unwrap_or_default()
}

fn normal(environment: &str) -> String {
    environment::normal(environment.as_bytes())
}

fn finite(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => number.is_finite().then_some(number),
        Value::Int(number) => Some(number as f64),
        _ => None,
    }
}

/// RFC 3339 in UTC, to the microsecond, as the SDK writes it.
fn timestamp(nanos: u64) -> String {
    let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last; eras of 400 years are alike.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + month / 10, (month + 2) % 12 + 1);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::super::events;
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use prost::Message;
    use serde_json::json;

    const TRACE: TraceId = TraceId([0xab; 16]);
    const SPAN: SpanId = SpanId([0xcd; 8]);
    /// 2026-11-22T11:39:40.775744Z
    const TIME: u64 = 1_795_347_580_775_744_999;

    fn text(text: &str) -> Any {
        Any::StringValue(text.into())
    }

    fn event(said: &[(&str, Any)]) -> Vec<u8> {
        let pair = |(key, value): &(&str, Any)| KeyValue {
            key: format!("gen_ai.evaluation.{key}"),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        };
        let attributes = said.iter().map(pair).collect();
        Event { name: EVALUATION.into(), time_unix_nano: TIME, attributes, ..Event::default() }
            .encode_to_vec()
    }

    #[test]
    fn a_number_is_numeric_and_a_label_alone_is_categorical() {
        let check = |said: &[(&str, Any)], expect: Result<Scored<'_>, NoScore>| {
            let named = [&[("name", text("Relevance"))], said].concat();
            let event = event(&named);
            assert!(is_evaluation(&event));
            assert_eq!(Score::of(TRACE, SPAN, &event).map(|score| score.value), expect, "{said:?}");
        };
        let (value, label) = ("score.value", "score.label");
        check(&[(value, Any::DoubleValue(0.92)), (label, text("relevant"))], Ok(Scored::Numeric(0.92)));
        check(&[(value, Any::IntValue(1))], Ok(Scored::Numeric(1.0)));
        check(&[(label, text("pass"))], Ok(Scored::Categorical("pass")));
        check(&[(value, Any::DoubleValue(f64::NAN)), (label, text("pass"))], Ok(Scored::Categorical("pass")));
        check(&[(value, text("0.92"))], Err(NoScore::NoValue));
        check(&[(value, Any::DoubleValue(f64::INFINITY))], Err(NoScore::NoValue));
        check(&[(label, text(""))], Err(NoScore::NoValue));
        check(&[], Err(NoScore::NoValue));
    }

    #[test]
    fn an_evaluation_without_a_name_is_no_score() {
        for said in [vec![], vec![("name", text(""))], vec![("name", Any::IntValue(1))]] {
            let event = event(&[&said[..], &[("score.value", Any::DoubleValue(1.0))]].concat());
            assert_eq!(Score::of(TRACE, SPAN, &event), Err(NoScore::NoName));
        }
        let other = Event { name: "gen_ai.choice".into(), ..Event::default() }.encode_to_vec();
        assert!(!is_evaluation(&other) && !is_evaluation(b""));
    }

    #[test]
    fn the_id_is_the_same_for_the_same_evaluation_and_no_other() {
        let event = event(&[("name", text("Relevance")), ("score.value", Any::DoubleValue(0.92))]);
        let score = Score::of(TRACE, SPAN, &event).unwrap();
        let others = [
            Score { trace: TraceId([1; 16]), ..score },
            Score { span: SpanId::NONE, ..score },
            Score { name: "relevance", ..score },
            Score { time: TIME + 1, ..score },
        ];
        assert!(others.iter().all(|other| other.id() != score.id()));
        assert_eq!(Score { value: Scored::Numeric(0.1), ..score }.id(), score.id());
        // sha256 of the parts one after the other, by another implementation.
        assert_eq!(score.id(), "8764ad4d39082f4f0f9ee1b1338c32ab");
    }

    #[test]
    fn each_vendor_is_sent_what_its_sdk_sends() {
        let said = [
            ("name", text("Relevance")),
            ("score.value", Any::DoubleValue(0.92)),
            ("explanation", text("Response is accurate")),
        ];
        let event = event(&said);
        let score = Score::of(TRACE, SPAN, &event).unwrap();
        let read = |body: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        let (id, trace, span) = (score.id(), TRACE.to_string(), SPAN.to_string());
        assert_eq!(
            read(score.langfuse(Some("Staging"))),
            json!({"id": id, "traceId": trace, "observationId": span, "name": "Relevance", "value": 0.92,
                "dataType": "NUMERIC", "comment": "Response is accurate", "environment": "staging"})
        );
        let snake = score.interactiveai(Some("staging"));
        assert_eq!(
            read(snake.clone()),
            json!({"id": id, "trace_id": trace, "observation_id": span, "name": "Relevance",
                "environment": "staging", "value": 0.92, "comment": "Response is accurate",
                "data_type": "NUMERIC", "timestamp": "2026-11-22T11:39:40.775744Z"})
        );
        let keys = |body: &[u8]| {
            let fields = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(body).unwrap();
            fields.keys().cloned().collect::<Vec<_>>()
        };
        let captured = include_bytes!("../../tests/data/captures/interactiveai.14-scores.http02.body.json");
        assert_eq!(keys(&snake), keys(captured));
        let of_trace =
            Score { span: SpanId::NONE, value: Scored::Categorical("good"), comment: None, ..score };
        assert_eq!(
            read(of_trace.langfuse(None)),
            json!({"id": of_trace.id(), "traceId": trace, "name": "Relevance", "value": "good",
                "dataType": "CATEGORICAL"})
        );
    }

    /// As OpenTelemetry's Python SDK sends it.
    #[test]
    fn a_captured_log_record_is_a_score() {
        let capture = include_bytes!("../../tests/data/captures/otel-python.eval-log-event.http01.pb");
        let request = ExportLogsServiceRequest::decode(&capture[..]).unwrap();
        let record = &request.resource_logs[0].scope_logs[0].log_records[0];
        let joined = events::Event::of(&record.encode_to_vec());
        let event = messages(&joined.field, events::SPAN_EVENTS).next().unwrap();
        assert!(is_evaluation(event));
        let expect = Score {
            trace: TRACE,
            span: SPAN,
            name: "Relevance",
            value: Scored::Numeric(0.92),
            comment: Some("Response is accurate"),
            time: 1_795_347_730_709_813_924,
        };
        assert_eq!(Score::of(TRACE, SPAN, event), Ok(expect));
        assert_eq!(joined.response_id(), Some(&b"chatcmpl-fake1"[..]));
    }

    #[test]
    fn times_are_dates() {
        let check = |seconds: u64, expect: &str| assert_eq!(timestamp(seconds * 1_000_000_000), expect);
        check(0, "1970-01-01T00:00:00.000000Z");
        check(951_782_399, "2000-02-28T23:59:59.000000Z");
        check(951_782_400, "2000-02-29T00:00:00.000000Z");
        check(4_107_542_399, "2100-02-28T23:59:59.000000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000000Z");
        assert_eq!(timestamp(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }
}
