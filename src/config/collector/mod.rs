//! Rules out of a Collector's configuration file: its `transform` and `filter` processors, as they are.
//!
//! What `service.pipelines` says decides which of them apply to a signal, and in which order. Whatever is there and
//! can not be done here is gathered with its place; who asked decides whether that is refused or left out. Two
//! surprises: only what these processors need is read, so that the rest of the file may say anything; and a variable
//! that is not set is empty, as it is for the Collector.

mod filter;
mod listed;
mod pipelines;
mod transform;

use std::path::Path;
use std::sync::Arc;

use super::file;
use super::files::Files;
use super::mistake::{Mistake, shown_line};
use super::source::Source;
use super::substitute::{Unset, substitute_with};
use super::surroundings::Variables;
use super::tree::{self, Entry, Kind, Node};
use super::written::Written;
use crate::rules::ErrorMode;
use crate::wire::Signal;

/// What is asked of a file.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub path: &'a Path,
    /// How messages call it.
    pub shown: &'a str,
    /// The processors to take, in this order; none: what the pipelines say.
    pub processors: &'a [(String, Source)],
    pub variables: &'a Variables,
}

/// What a file gave.
#[derive(Debug, Default)]
pub struct Taken {
    pub written: Vec<Written>,
    /// What can not be read, or does not fit together.
    pub mistakes: Vec<Mistake>,
    /// What the Collector does and this can not.
    pub unsupported: Vec<Mistake>,
    /// What is done otherwise than the Collector does it, or not at all because it is another's affair.
    pub notes: Vec<String>,
}

/// A text and where it stands.
type Text = (String, Source);

/// The file being read.
struct Reader<'a> {
    asked: Asked<'a>,
    files: &'a mut Files,
    file: Arc<str>,
    text: String,
    taken: Taken,
}

/// Takes the rules of a Collector's file.
pub fn take(asked: Asked<'_>, files: &mut Files) -> Taken {
    let mut mistakes = Vec::new();
    let text = file::read(asked.path, files, &mut mistakes);
    let root = tree::read(&text, &mut mistakes).map_err(|mistake| mistakes.push(mistake)).ok();
    let mut reader = Reader { asked, files, file: asked.shown.into(), text, taken: Taken::default() };
    reader.taken.mistakes =
        mistakes.into_iter().map(|mistake| reader.told(&mistake.place, mistake.text)).collect();
    if let Some(root) = root.filter(|_| reader.taken.mistakes.is_empty()) {
        reader.root(&root);
    }
    reader.taken
}

/// The kinds of processors whose rules are taken.
pub(super) const KINDS: [&str; 2] = ["transform", "filter"];

/// `transform` of `transform/a`.
fn kind_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

impl Reader<'_> {
    fn root(&mut self, root: &Node) {
        let processors = child(root, "processors").map(|entry| parts_of(&entry.value)).unwrap_or_default();
        for (signal, names) in self.order(root, processors) {
            for name in names {
                let Some(entry) = processors.iter().find(|entry| entry.key == name) else { continue };
                let parts = parts_of(&entry.value);
                match kind_of(&name) {
                    "transform" => self.transform(&name, signal, parts),
                    _ => self.filter(&name, signal, parts),
                }
            }
        }
    }

    /// A place in the file, for messages.
    fn told(&self, at: &Source, text: String) -> Mistake {
        let (line, column) = if let Source::File { line, column } = at { (*line, *column) } else { (0, 0) };
        let mistake = Mistake::new(self.at(at), text);
        match self.text.lines().nth(line.wrapping_sub(1)).and_then(|source| shown_line(source, line, column))
        {
            Some(below) => mistake.with_below(below),
            None => mistake,
        }
    }

    fn at(&self, at: &Source) -> Source {
        let (line, column) = if let Source::File { line, column } = at { (*line, *column) } else { (1, 1) };
        Source::Named { file: self.file.clone(), line, column }
    }

    fn wrong(&mut self, at: &Source, text: String) {
        let told = self.told(at, text);
        self.taken.mistakes.push(told);
    }

    fn unsupported(&mut self, at: &Source, text: String) {
        let told = self.told(at, text);
        if !self.taken.unsupported.contains(&told) {
            self.taken.unsupported.push(told);
        }
    }

    fn note(&mut self, at: &Source, text: &str) {
        let note = Mistake::new(self.at(at), text);
        let note = format!("{}: {}", note.place.place(""), note.text);
        if !self.taken.notes.contains(&note) {
            self.taken.notes.push(note);
        }
    }

    /// The text of a scalar with its references replaced.
    fn scalar(&mut self, node: &Node, what: &str) -> Option<Text> {
        let Kind::Scalar { text, .. } = &node.kind else {
            self.unsupported(&node.at, format!("`{what}`: wants a text"));
            return None;
        };
        match substitute_with(text, self.asked.variables, self.files, Unset::Empty) {
            Ok(text) => Some((text, self.at(&node.at))),
            Err(wrong) => {
                for bad in wrong {
                    self.unsupported(&node.at, format!("`{what}`: `{}` {}", bad.reference, bad.text));
                }
                None
            }
        }
    }

    /// The texts of a list.
    fn texts(&mut self, node: &Node, what: &str) -> Vec<Text> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.scalar(item, what)).collect(),
            Kind::Null => Vec::new(),
            Kind::Scalar { .. } | Kind::Map(_) => {
                self.unsupported(&node.at, format!("`{what}`: wants a list of texts"));
                Vec::new()
            }
        }
    }

    /// The error mode among the parts of a processor or a group; the Collector's default is ours.
    fn error_mode(&mut self, name: &str, parts: &[Entry]) -> Option<ErrorMode> {
        let entry = find(parts, "error_mode")?;
        let (text, _) = self.scalar(&entry.value, &format!("{name}.error_mode"))?;
        let mode = ErrorMode::ALL.into_iter().find(|mode| mode.name() == text);
        match mode {
            Some(ErrorMode::Propagate) => self.note(
                &entry.at,
                &format!(
                    "`{name}`: with `error_mode: propagate` the Collector drops the whole request of an item that \
                     fails; here that item alone goes on, as it came"
                ),
            ),
            Some(_) => {}
            None => self.unsupported(
                &entry.value.at,
                format!("`{name}.error_mode`: `{text}` is not `ignore`, `silent` or `propagate`"),
            ),
        }
        mode
    }

    /// Says which parts of a processor are not known here.
    fn check_parts(&mut self, name: &str, parts: &[Entry], known: &[&str]) {
        for part in parts.iter().filter(|part| !known.contains(&part.key.as_str())) {
            self.unsupported(&part.at, format!("`{name}.{}`: is not supported", part.key));
        }
    }
}

fn parts_of(node: &Node) -> &[Entry] {
    if let Kind::Map(entries) = &node.kind { entries } else { &[] }
}

fn find<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Entry> {
    entries.iter().find(|entry| entry.key == key)
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    find(parts_of(node), key)
}

/// The keys of a signal: `trace_statements` of `_statements`.
fn key_of(signal: Signal, rest: &str) -> String {
    let name = match signal {
        Signal::Traces => "trace",
        Signal::Metrics => "metric",
        Signal::Logs => "log",
        Signal::Profiles => "profile",
    };
    format!("{name}{rest}")
}

#[cfg(test)]
mod tests;
