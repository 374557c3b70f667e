//! Which processors apply to a signal, and in which order: what `service.pipelines` says, or whoever asked.

use super::{KINDS, Reader, child, kind_of, parts_of};
use crate::config::mistake::{Mistake, did_you_mean, quoted};
use crate::config::source::Source;
use crate::config::tree::{Entry, Kind, Node};
use crate::wire::Signal;

/// The processors of a pipeline that are taken, and where they are named.
struct Pipeline<'n> {
    entry: &'n Entry,
    names: Vec<String>,
}

impl Reader<'_> {
    /// For each signal the names of the processors to take, in order.
    pub(super) fn order(&mut self, root: &Node, processors: &[Entry]) -> Vec<(Signal, Vec<String>)> {
        let known = processors.iter().filter(|entry| KINDS.contains(&kind_of(&entry.key)));
        let known: Vec<String> = known.map(|entry| entry.key.clone()).collect();
        if known.is_empty() {
            self.wrong(&root.at, "has no `transform` or `filter` among its `processors`".to_owned());
        }
        if !self.asked.processors.is_empty() {
            let names = self.asked_for(&known);
            return Signal::ALL.map(|signal| (signal, names.clone())).into();
        }
        let service = child(root, "service").and_then(|service| child(&service.value, "pipelines"));
        let Some(pipelines) = service else {
            return Signal::ALL.map(|signal| (signal, known.clone())).into();
        };
        let pipelines = parts_of(&pipelines.value);
        let order = Signal::ALL.map(|signal| (signal, self.of_signal(signal, pipelines, processors)));
        for idle in processors.iter().filter(|entry| known.contains(&entry.key)) {
            if !order.iter().any(|(_, names)| names.contains(&idle.key)) {
                self.note(&idle.at, &format!("`{}` is in no pipeline, and not taken", idle.key));
            }
        }
        order.into()
    }

    /// The processors the user names.
    fn asked_for(&mut self, known: &[String]) -> Vec<String> {
        let mut names = Vec::new();
        for (name, at) in self.asked.processors {
            if known.contains(name) {
                names.push(name.clone());
            } else {
                let hint = did_you_mean(name, known.iter().map(String::as_str));
                let text =
                    format!("{} has no `transform` or `filter` called {}{hint}", self.file, quoted(name));
                self.taken.mistakes.push(Mistake::new(at.clone(), text));
            }
        }
        names
    }

    /// What the pipelines of one signal say. Where they differ there is no telling which is meant.
    fn of_signal(&mut self, signal: Signal, pipelines: &[Entry], processors: &[Entry]) -> Vec<String> {
        let of_signal = pipelines.iter().filter(|entry| kind_of(&entry.key) == signal.name());
        let all: Vec<Pipeline<'_>> = of_signal.map(|entry| self.pipeline(entry, processors)).collect();
        let Some((first, others)) = all.split_first() else { return Vec::new() };
        if let Some(other) = others.iter().find(|other| other.names != first.names) {
            let text = format!(
                "the pipelines `{}` and `{}` run different rules; say which to take with `processors: [...]`",
                first.entry.key, other.entry.key
            );
            self.wrong(&other.entry.at, text);
        }
        first.names.clone()
    }

    fn pipeline<'n>(&mut self, entry: &'n Entry, processors: &[Entry]) -> Pipeline<'n> {
        let list = child(&entry.value, "processors");
        let items = match list.map(|list| &list.value.kind) {
            Some(Kind::List(items)) => items.as_slice(),
            _ => &[],
        };
        let (mut names, mut others): (Vec<String>, Vec<(String, Source)>) = Default::default();
        for item in items {
            let Some((name, _)) = self.scalar(item, &format!("service.pipelines.{}.processors", entry.key))
            else {
                continue;
            };
            if !KINDS.contains(&kind_of(&name)) {
                others.push((name, item.at.clone()));
            } else if processors.iter().any(|known| known.key == name) {
                names.push(name);
            } else {
                let hint = did_you_mean(&name, processors.iter().map(|known| known.key.as_str()));
                self.wrong(&item.at, format!("there is no processor {}{hint}", quoted(&name)));
            }
        }
        if let Some((_, at)) = others.first() {
            let all: Vec<String> = others.iter().map(|(name, _)| format!("`{name}`")).collect();
            let text = format!(
                "of `{}` only `transform` and `filter` are taken, not {}; look whether settings of ours do the same",
                entry.key,
                all.join(", ")
            );
            self.note(at, &text);
        }
        Pipeline { entry, names }
    }
}
