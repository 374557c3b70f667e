//! A joined trace as one JSON object on one line: for pipes, for `/traces`, for `spandrel tail --json`.
//!
//! Field names are documented here and kept. Ids are lower-case hex, Unix times are decimal strings
//! of nanoseconds (as in OTLP/JSON: they do not fit a double), durations are milliseconds.

use std::time::Duration;

use serde::Serialize;

use super::Summary;
use super::proto::{Fact, Provenance};
use super::rows::{ObservationRow, TraceRows, hex};
use super::summary::Span;
use crate::model::Repairs;
use crate::wire::span::Status;

/// One line, without spans when only an overview is wanted.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    trace_id: String,
    /// What a span says the trace is called, else what its root is called.
    name: &'a str,
    services: &'a [String],
    span_count: u32,
    /// Spans whose status is an error.
    errors: u32,
    start_unix_nano: String,
    duration_ms: f64,
    /// Why it left: complete, idle, aged, pressure, drain, late.
    reason: &'static str,
    /// From the first span's arrival to leaving.
    held_ms: f64,
    /// From the last span's arrival to leaving.
    quiet_ms: f64,
    left_unix_nano: String,
    /// Requests its spans came in.
    requests: u32,
    /// Times that something of it left: late spans leave by themselves.
    parts: u32,
    repairs: RepairsLine,
    #[serde(flatten)]
    rows: TraceRows<'a>,
    /// Null where nothing is written on spans.
    provenance: Option<ProvenanceLine<'a>>,
    /// How spans hang together.
    #[serde(skip_serializing_if = "Option::is_none")]
    spans: Option<Vec<SpanLine<'a>>>,
    /// What they mean, in the same order.
    #[serde(skip_serializing_if = "Option::is_none")]
    observations: Option<Vec<ObservationRow<'a>>>,
    /// Spans beyond what is shown.
    spans_left_out: u32,
}

#[derive(Debug, Serialize)]
struct RepairsLine {
    duplicates: u32,
    orphans: u32,
    zero_parents: u32,
    cycles: u32,
    labelled: u32,
}

#[derive(Debug, Serialize)]
struct SpanLine<'a> {
    span_id: String,
    /// Null for a root.
    parent_span_id: Option<String>,
    /// The parent is named but not in this trace.
    orphan: bool,
    depth: u32,
    service: &'a str,
    name: &'a str,
    kind: &'static str,
    start_unix_nano: String,
    /// Null when the span has not ended.
    duration_ms: Option<f64>,
    /// unset, ok, error.
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    status_message: &'a str,
    environment: Option<&'a str>,
    release: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The whole trace.
    pub fn of(summary: &'a Summary) -> Self {
        Self {
            spans: Some(summary.spans.iter().map(SpanLine::of).collect()),
            observations: Some(summary.spans.iter().map(ObservationRow::of).collect()),
            ..Self::overview(summary)
        }
    }

    /// The trace without its spans.
    pub fn overview(summary: &'a Summary) -> Self {
        Self {
            trace_id: summary.trace.to_string(),
            name: &summary.name,
            services: &summary.services,
            span_count: summary.span_count,
            errors: summary.errors,
            start_unix_nano: summary.start_unix_nano.to_string(),
            duration_ms: millis(summary.duration),
            reason: summary.reason.name(),
            held_ms: millis(summary.held),
            quiet_ms: millis(summary.quiet),
            left_unix_nano: summary.left_unix_nano.to_string(),
            requests: summary.requests,
            parts: summary.parts,
            repairs: RepairsLine::of(summary.repairs),
            rows: TraceRows::of(summary),
            provenance: summary.provenance.as_ref().map(ProvenanceLine::of),
            spans: None,
            observations: None,
            spans_left_out: summary.left_out(),
        }
    }

    /// The object and a line end.
    pub fn render(&self) -> String {
        // Strings, numbers and options only: nothing here that JSON can not say.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl RepairsLine {
    fn of(repairs: Repairs) -> Self {
        let Repairs { duplicates, orphans, zero_parents, cycles, labelled } = repairs;
        Self { duplicates, orphans, zero_parents, cycles, labelled }
    }
}

/// Whence comes what was written on spans.
#[derive(Debug, Serialize)]
struct ProvenanceLine<'a> {
    /// The span that speaks for the trace; null while none is known.
    root: Option<String>,
    facts: Vec<FactLine<'a>>,
    /// Claims that a span nearer to the root contradicts.
    disputed: u32,
    /// Claims that are too long, too many or of a type nobody reads.
    left_out: u32,
}

#[derive(Debug, Serialize)]
struct FactLine<'a> {
    /// name, user, session, version, tag, or `metadata.` and a key.
    what: &'a str,
    value: &'a str,
    /// The span that said it, and under which attribute.
    from: String,
    key: &'a str,
    /// Spans that lacked it and were given it.
    given: u32,
}

impl<'a> ProvenanceLine<'a> {
    fn of(provenance: &'a Provenance) -> Self {
        let fact = |fact: &'a Fact| FactLine {
            what: &fact.what,
            value: &fact.value,
            from: hex(&fact.from),
            key: &fact.key,
            given: fact.given,
        };
        Self {
            root: (!provenance.root.is_empty()).then(|| hex(&provenance.root)),
            facts: provenance.facts.iter().map(fact).collect(),
            disputed: provenance.disputed,
            left_out: provenance.left_out,
        }
    }
}

impl<'a> SpanLine<'a> {
    fn of(span: &'a Span) -> Self {
        Self {
            span_id: span.id.to_string(),
            parent_span_id: (!span.parent.is_none()).then(|| span.parent.to_string()),
            orphan: span.orphan,
            depth: span.depth,
            service: &span.process.service,
            name: &span.name,
            kind: span.kind_name(),
            start_unix_nano: span.start_unix_nano.to_string(),
            duration_ms: span.duration.map(millis),
            status: status_name(span.status),
            status_message: &span.message,
            environment: span.process.environment.as_deref(),
            release: span.process.release.as_deref(),
        }
    }
}

/// `Status.StatusCode`, lower case.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error => "error",
    }
}

/// Milliseconds with microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    // A u64 of microseconds is exact in a double for 285 years.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::page::proto;
    use crate::page::testing::{called, captured, trace_of};
    use crate::page::{tree, why};
    use crate::semantics::claims::Has;
    use crate::semantics::rollup::Trace;
    use crate::watch::JoinedTrace;

    /// `BLESS=1 cargo test` writes what there is now; read the difference before it is committed.
    fn check_golden(name: &str, trace: &JoinedTrace) {
        let line = Line::of(&Summary::read(trace)).render();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "one line");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let now = format!("{}\n", serde_json::to_string_pretty(&object).unwrap());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/page/golden").join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(now, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
    }

    /// What a capture holds, as a trace that nothing was done to.
    fn capture(name: &str) -> JoinedTrace {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/captures");
        let body = Bytes::from(std::fs::read(path.join(format!("{name}.http01.pb"))).unwrap());
        let read = Trace::read(&body, None);
        let (trace, spans) = (read.id, u32::try_from(read.observation_count).unwrap());
        JoinedTrace { trace, spans, body, ..trace_of(0, 0) }
    }

    #[test]
    fn the_captured_trace_as_a_line() {
        check_golden("xservice.json", &captured());
    }

    #[test]
    fn what_the_interactiveai_sdk_writes_as_lines() {
        for name in [
            "01-context-manager",
            "04-update-trace-span",
            "07-propagate-attributes",
            "08-deterministic-id",
            "13-all-types-levels",
            "15-baggage",
            "16-metadata-types",
        ] {
            let name = format!("interactiveai.{name}");
            check_golden(&format!("{name}.json"), &capture(&name));
        }
    }

    #[test]
    fn an_overview_has_no_spans() {
        let object = serde_json::to_value(Line::overview(&Summary::read(&captured()))).unwrap();
        assert_eq!(object["span_count"], 6);
        assert!(object.get("spans").is_none() && object.get("observations").is_none());
        assert_eq!(object["environment"], "production");
    }

    #[test]
    fn a_call_of_a_model_has_every_row() {
        let line = Line::of(&Summary::read(&called("gpt-4o", 120, 30, "0.0000225"))).render();
        let trace: serde_json::Value = serde_json::from_str(&line).unwrap();
        let counts = ["input_tokens", "output_tokens", "total_tokens", "observation_count", "errors"];
        assert_eq!(counts.map(|count| trace[count].as_u64().unwrap()), [120, 30, 150, 1, 0]);
        assert!(line.contains(r#""model_cost":0.0000225,"#), "as it was said, not as a double: {line}");
        assert_eq!((&trace["user"], &trace["session"]), (&"ann".into(), &"s-1".into()));
        assert_eq!(trace["tags"], serde_json::json!(["a", "b"]));
        assert_eq!((&trace["level"], &trace["latency"]), (&"DEFAULT".into(), &2.0.into()));
        assert_eq!(trace["input"]["question"], "how much?", "JSON as JSON");
        let observation = &trace["observations"][0];
        assert_eq!((&observation["type"], &observation["model"]), (&"generation".into(), &"gpt-4o".into()));
        assert_eq!(observation["usage"], serde_json::json!({"input": 120, "output": 30, "total": 150}));
        assert_eq!(observation["start"], "1970-01-01T00:00:01.000000000Z");
    }

    #[test]
    fn a_payload_that_is_too_long_is_cut_and_says_how_long_it_was() {
        let huge = "é".repeat(5 << 20);
        let span = crate::wire::attr::Attr {
            key: b"langfuse.observation.input",
            value: crate::wire::attr::Value::Str(huge.as_bytes()),
        };
        let mut body = called("m", 1, 1, "1").body.to_vec();
        // One more attribute for a span of its own, in a request beside the first.
        let mut fields = vec![0x0a, 16];
        fields.extend([7; 16]);
        fields.extend([0x12, 8, 2, 2, 2, 2, 2, 2, 2, 2]);
        span.put(crate::wire::span::ATTRIBUTES, &mut fields);
        for number in [2, 2, 1] {
            let mut outer = Vec::new();
            crate::wire::fields::put_len_field(number, &fields, &mut outer);
            fields = outer;
        }
        body.extend(fields);
        let trace = JoinedTrace { body: Bytes::from(body), ..called("m", 1, 1, "1") };
        let line = Line::of(&Summary::read(&trace)).render();
        assert!(line.contains("\"input_bytes\":10485760"), "{}", line.len());
        assert!(line.len() < 64 << 10, "{}", line.len());
    }

    #[test]
    fn a_trace_that_left_in_parts_is_shown_as_one() {
        let (first, late) = (called("m", 1, 2, "1"), capture("interactiveai.01-context-manager"));
        let late = JoinedTrace { given: [Has::USER].into(), spans: 1, ..late };
        let whole = JoinedTrace::of_parts(&[Arc::new(first), Arc::new(late)]).unwrap();
        assert_eq!(&*whole.given, [Has::NONE, Has::USER]);
        assert!(JoinedTrace::of_parts(&[]).is_none());
    }

    proptest! {
        /// Whatever the body is: it can be read, printed, sent, and read again.
        #[test]
        fn any_body_can_be_shown(
            cuts in prop::collection::vec((any::<u16>(), any::<u8>()), 0..40),
            at in any::<u16>(),
        ) {
            let whole = captured();
            let mut body = whole.body.to_vec();
            let len = body.len();
            for (place, byte) in cuts {
                body[usize::from(place) % len] = byte;
            }
            body.truncate(len - usize::from(at) % 64);
            let given: Box<[Has]> = [Has::NAME, Has::TAGS].into();
            let trace = JoinedTrace { body: Bytes::from(body), given, mended: 1, ..whole };
            let summary = Summary::read(&trace);
            let line = Line::of(&summary).render();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
            tree::render(&summary, tree::Paint::PLAIN);
            why::render(&summary);
            let sent = proto::JoinedTrace::of(&summary, Bytes::new()).into_summary();
            prop_assert_eq!(sent, summary);
        }
    }
}
