//! The `transform` processor: lists of statements, and lists of groups of them, for each signal.

use super::listed::Listed;
use super::{Reader, find, key_of, parts_of};
use crate::config::source::Source;
use crate::config::tree::{Entry, Kind};
use crate::rules::{Context, ErrorMode};
use crate::wire::Signal;

impl Reader<'_> {
    /// Takes what one `transform` says of a signal.
    pub(super) fn transform(&mut self, name: &str, signal: Signal, parts: &[Entry]) {
        let known = Signal::ALL.map(|signal| key_of(signal, "_statements"));
        let known: Vec<&str> =
            known.iter().map(String::as_str).chain(["error_mode", "flatten_data"]).collect();
        self.check_parts(name, parts, &known);
        if let Some(flatten) = find(parts, "flatten_data")
            && self.scalar(&flatten.value, "flatten_data").is_some_and(|(text, _)| text == "true")
        {
            let text = format!("`{name}.flatten_data`: is not supported; records keep their resources here");
            self.unsupported(&flatten.at, text);
        }
        let mode = self.error_mode(name, parts).unwrap_or_default();
        let key = key_of(signal, "_statements");
        let Some(list) = find(parts, &key) else { return };
        let label = format!("{name}.{key}");
        match &list.value.kind {
            Kind::Null => {}
            Kind::List(items) if items.is_empty() => {}
            Kind::List(_) if signal == Signal::Profiles => {
                self.unsupported(
                    &list.at,
                    format!("`{label}`: is not supported; profiles pass as they came"),
                );
            }
            Kind::List(items) => {
                let (plain, groups): (Vec<_>, Vec<_>) =
                    items.iter().partition(|item| matches!(item.kind, Kind::Scalar { .. }));
                let statements = plain.into_iter().filter_map(|item| self.scalar(item, &label)).collect();
                self.listed(signal, Listed { statements, ..Listed::of(label.clone(), mode) });
                for (nth, group) in (1..).zip(groups) {
                    self.group(signal, &format!("{label}[{nth}]"), parts_of(group), mode, &group.at);
                }
            }
            Kind::Scalar { .. } | Kind::Map(_) => {
                self.unsupported(&list.value.at, format!("`{label}`: wants a list of statements or groups"));
            }
        }
    }

    /// One group: `context`, `conditions`, `statements`, `error_mode`.
    fn group(&mut self, signal: Signal, label: &str, parts: &[Entry], mode: ErrorMode, at: &Source) {
        if parts.is_empty() {
            return self.unsupported(at, format!("`{label}`: wants a statement or a group of them"));
        }
        self.check_parts(label, parts, &["context", "conditions", "statements", "error_mode"]);
        let Ok(context) = self.context(label, signal, parts) else { return };
        let mode = self.error_mode(label, parts).unwrap_or(mode);
        let mut texts = |key: &str| {
            let what = format!("{label}.{key}");
            find(parts, key).map(|entry| self.texts(&entry.value, &what)).unwrap_or_default()
        };
        let (conditions, statements) = (texts("conditions"), texts("statements"));
        let listed = Listed { context, conditions, statements, ..Listed::of(label.to_owned(), mode) };
        self.listed(signal, listed);
    }

    /// The context a group names, if it names one.
    ///
    /// # Errors
    /// It is none that the signal has here; this has been told.
    pub(super) fn context(
        &mut self,
        label: &str,
        signal: Signal,
        parts: &[Entry],
    ) -> Result<Option<Context>, ()> {
        let Some(entry) = find(parts, "context") else { return Ok(None) };
        let Some((text, _)) = self.scalar(&entry.value, label) else { return Err(()) };
        let context = Context::of_name(&text.to_ascii_lowercase());
        match context.filter(|context| context.signal().is_none_or(|own| own == signal)) {
            Some(context) => Ok(Some(context)),
            None if text.is_empty() => Ok(None),
            None => {
                let of = signal.name();
                let text = format!("`{label}.context`: `{text}` is not supported for {of}");
                self.unsupported(&entry.value.at, text);
                Err(())
            }
        }
    }
}
