//! The `filter` processor: whatever any condition holds for is dropped.
//!
//! Its conditions become those of a `drop()`, so that the children of a dropped span move to the nearest ancestor
//! that is kept, and what is lost is counted. Conditions about a resource are asked before those about what is in
//! it, as the processor does.

use super::{Reader, Text, find, key_of, parts_of};
use crate::config::source::Source;
use crate::config::tree::{Entry, Kind};
use crate::config::written::Written;
use crate::rules::mentions::context_of_condition;
use crate::rules::{Context, ErrorMode, Group};
use crate::wire::Signal;

/// The keys below `traces`, `metrics`, `logs` and what they are about.
const TRACES: &[(&str, Context)] =
    &[("resource", Context::Resource), ("span", Context::Span), ("spanevent", Context::SpanEvent)];
const METRICS: &[(&str, Context)] =
    &[("resource", Context::Resource), ("metric", Context::Metric), ("datapoint", Context::DataPoint)];
const LOGS: &[(&str, Context)] = &[("resource", Context::Resource), ("log_record", Context::Log)];

/// What the processor offered before it had conditions, and still does.
const MATCHES: [&str; 3] = ["include", "exclude", "regexp"];

impl Reader<'_> {
    /// Takes what one `filter` says of a signal.
    pub(super) fn filter(&mut self, name: &str, signal: Signal, parts: &[Entry]) {
        let known = Signal::ALL.map(|signal| key_of(signal, "_conditions"));
        let known = known.iter().map(String::as_str);
        let known: Vec<&str> =
            known.chain(["error_mode", "traces", "metrics", "logs", "profiles", "spans"]).collect();
        self.check_parts(name, parts, &known);
        let mode = self.error_mode(name, parts).unwrap_or_default();
        if signal == Signal::Traces
            && let Some(spans) = find(parts, "spans")
        {
            self.matches(name, "spans", parts_of(&spans.value), "traces: {span: [...]}");
        }
        if let Some(entry) = find(parts, signal.name()) {
            self.by_context(name, signal, mode, entry);
        }
        let key = key_of(signal, "_conditions");
        if let Some(entry) = find(parts, &key) {
            self.inferred(&format!("{name}.{key}"), signal, mode, entry);
        }
    }

    /// `traces: {resource: [...], span: [...]}`, each list about one context.
    fn by_context(&mut self, name: &str, signal: Signal, mode: ErrorMode, entry: &Entry) {
        let label = format!("{name}.{}", entry.key);
        let contexts = match signal {
            Signal::Traces => TRACES,
            Signal::Metrics => METRICS,
            Signal::Logs => LOGS,
            Signal::Profiles => {
                return self.unsupported(
                    &entry.at,
                    format!("`{label}`: is not supported; profiles pass as they came"),
                );
            }
        };
        let parts = parts_of(&entry.value);
        self.matches(name, &entry.key, parts, &format!("{}: {{{}: [...]}}", entry.key, contexts[1].0));
        let keys: Vec<&str> = contexts.iter().map(|(key, _)| *key).chain(MATCHES).collect();
        self.check_parts(&label, parts, &keys);
        for (key, context) in contexts {
            let Some(list) = find(parts, key) else { continue };
            let label = format!("{label}.{key}");
            let conditions = self.texts(&list.value, &label);
            self.dropping(label, signal, mode, Some(*context), conditions, &list.at);
        }
    }

    /// `trace_conditions`: conditions whose paths say what they are about, or groups of them.
    fn inferred(&mut self, label: &str, signal: Signal, mode: ErrorMode, entry: &Entry) {
        let items = match &entry.value.kind {
            Kind::Null => return,
            Kind::List(_) if signal == Signal::Profiles => {
                return self.unsupported(
                    &entry.at,
                    format!("`{label}`: is not supported; profiles pass as they came"),
                );
            }
            Kind::List(items) => items,
            Kind::Scalar { .. } | Kind::Map(_) => {
                let text = format!("`{label}`: wants a list of conditions or groups");
                return self.unsupported(&entry.value.at, text);
            }
        };
        let (plain, groups): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| matches!(item.kind, Kind::Scalar { .. }));
        let plain = plain.into_iter().filter_map(|item| self.scalar(item, label)).collect();
        self.by_paths(label, signal, mode, plain, &entry.at);
        for (nth, group) in (1..).zip(groups) {
            let (label, parts) = (format!("{label}[{nth}]"), parts_of(group));
            self.check_parts(&label, parts, &["context", "conditions", "error_mode"]);
            let Ok(context) = self.context(&label, signal, parts) else { continue };
            let mode = self.error_mode(&label, parts).unwrap_or(mode);
            let Some(list) = find(parts, "conditions") else {
                self.unsupported(&group.at, format!("`{label}`: wants a condition or a group of them"));
                continue;
            };
            let conditions = self.texts(&list.value, &label);
            match context {
                Some(_) => self.dropping(label, signal, mode, context, conditions, &list.at),
                None => self.by_paths(&label, signal, mode, conditions, &list.at),
            }
        }
    }

    /// Each condition is asked of what its own paths ask for, the outermost first.
    fn by_paths(&mut self, label: &str, signal: Signal, mode: ErrorMode, conditions: Vec<Text>, at: &Source) {
        let mut rest = conditions;
        for context in Context::ALL.map(Some).into_iter().chain([None]) {
            let own = rest.extract_if(.., |(text, _)| context_of_condition(text) == context).collect();
            let label = match context {
                Some(context) => format!("{label} ({})", context.name()),
                None => label.to_owned(),
            };
            self.dropping(label, signal, mode, None, own, at);
        }
    }

    fn dropping(
        &mut self,
        label: String,
        signal: Signal,
        error_mode: ErrorMode,
        context: Option<Context>,
        conditions: Vec<Text>,
        at: &Source,
    ) {
        if conditions.is_empty() {
            return;
        }
        let (conditions, places) = conditions.into_iter().unzip();
        let statements = vec!["drop()".to_owned()];
        let name = Some(label.clone());
        let group = Group { name, context, signal: Some(signal), error_mode, conditions, statements };
        let written =
            Written { label, group, conditions: places, statements: vec![self.at(at)], from: self.at(at) };
        self.taken.written.push(written);
    }

    /// What is matched by `include` and `exclude`.
    fn matches(&mut self, name: &str, key: &str, parts: &[Entry], instead: &str) {
        for part in parts.iter().filter(|part| MATCHES.contains(&part.key.as_str())) {
            let which = match part.key.as_str() {
                "include" => {
                    "with a condition that holds for what is to go, `not (...)` round what was included"
                }
                _ => "with a condition that holds for what was excluded",
            };
            let text = format!("`{name}.{key}.{}`: is not supported; write `{instead}` {which}", part.key);
            self.unsupported(&part.at, text);
        }
    }
}
