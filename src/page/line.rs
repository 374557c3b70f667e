//! A joined trace as one JSON object on one line: for pipes, for `/traces`, for `spandrel tail --json`.
//!
//! Field names are documented here and kept. Ids are lower-case hex, Unix times are decimal strings
//! of nanoseconds (as in OTLP/JSON: they do not fit a double), durations are milliseconds.

use std::time::Duration;

use serde::Serialize;

use super::Summary;
use super::summary::Span;
use crate::model::Repairs;
use crate::wire::span::Status;

/// One line, without spans when only an overview is wanted.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    trace_id: String,
    /// The name of the first top-level span.
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
    /// Null when spans differ, or none says it: then see the spans.
    environment: Option<&'a str>,
    release: Option<&'a str>,
    repairs: RepairsLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    spans: Option<Vec<SpanLine<'a>>>,
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
        Self { spans: Some(summary.spans.iter().map(SpanLine::of).collect()), ..Self::overview(summary) }
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
            environment: summary.environment(),
            release: summary.release(),
            repairs: RepairsLine::of(summary.repairs),
            spans: None,
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
    use super::*;
    use crate::page::testing::captured;

    #[test]
    fn the_captured_trace_as_a_line() {
        let line = Line::of(&Summary::read(&captured())).render();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "one line");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let golden: serde_json::Value = serde_json::from_str(include_str!("golden/xservice.json")).unwrap();
        assert_eq!(object, golden, "now: {}", serde_json::to_string_pretty(&object).unwrap());
    }

    #[test]
    fn an_overview_has_no_spans() {
        let object = serde_json::to_value(Line::overview(&Summary::read(&captured()))).unwrap();
        assert_eq!(object["span_count"], 6);
        assert!(object.get("spans").is_none());
    }
}
