//! Where each rule is written: in the list itself, in a preset, or in a Collector's file; and the files behind.
//!
//! What a Collector's file says and can not be done here is a mistake, unless its entry says `unsupported: skip`:
//! then it is left out and told. The surprise: rules about resources run before all others, so a resource may not be
//! changed behind a rule that reads what is changed.

use std::collections::BTreeSet;
use std::path::Path;

use super::check::Check;
use super::collector::{self, Asked};
use super::mistake::{Mistake, did_you_mean, quoted};
use super::rule_list::{Rule, RuleList, Unsupported};
use super::source::Source;
use crate::rules::mentions::{
    Attribute, attribute_written, attributes_named, context_of_condition, context_of_statement,
};
use crate::rules::{Context, Group, Rules, presets};

/// A group of rules, and where its texts stand.
#[derive(Clone, Debug)]
pub struct Written {
    /// How messages call it: `rules[1]`, `transform/a.trace_statements`.
    pub label: String,
    pub group: Group,
    pub conditions: Vec<Source>,
    pub statements: Vec<Source>,
    pub from: Source,
}

impl Written {
    /// Where a text of it stands.
    pub fn place(&self, is_condition: bool, nth: usize) -> Source {
        let list = if is_condition { &self.conditions } else { &self.statements };
        list.get(nth).cloned().unwrap_or_default()
    }
}

impl Check<'_> {
    /// All groups behind the entries of the list, in order.
    pub(super) fn written(&mut self, list: &RuleList) -> Vec<Written> {
        let mut all: Vec<Written> = Vec::new();
        for (number, entry) in (1..).zip(&list.entries) {
            let label = format!("rules[{number}]");
            match (entry.collector(), entry.preset()) {
                (Some(path), _) => {
                    if let Some(part) = entry.has_rules() {
                        self.note(
                            &entry.from,
                            format!("`{label}`: `from_collector` stands without `{part}`"),
                        );
                    }
                    let taken = self.collected(path, entry);
                    all.extend(taken);
                }
                (None, Some(name)) => all.extend(self.preset(name, entry, &label)),
                (None, None) => {
                    let mut group = entry.group();
                    if group.name.is_none() && all.len() + 1 != number {
                        group.name = Some(number.to_string());
                    }
                    all.push(Written { label, group, ..entry.written() });
                }
            }
        }
        all
    }

    fn preset(&mut self, name: &str, entry: &Rule, label: &str) -> Option<Written> {
        let Some(group) = presets::of(name) else {
            let hint = did_you_mean(name, presets::NAMES);
            self.note(&entry.from, format!("`{label}`: there is no preset {}{hint}", quoted(name)));
            return None;
        };
        if let Some(part) = entry.has_rules().filter(|_| !entry.is_alone()) {
            self.note(&entry.from, format!("`{label}`: `preset` stands without `{part}`"));
        }
        let statements = vec![entry.from.clone(); group.statements.len()];
        Some(Written {
            label: label.to_owned(),
            group,
            conditions: Vec::new(),
            statements,
            from: entry.from.clone(),
        })
    }

    /// The rules of a Collector's file, which is found from where the configuration is.
    fn collected(&mut self, path: &Path, entry: &Rule) -> Vec<Written> {
        let shown = path.display().to_string();
        let path = Path::new(self.file).parent().map_or_else(|| path.to_owned(), |folder| folder.join(path));
        let variables = &self.surroundings.variables;
        let asked = Asked { path: &path, shown: &shown, processors: entry.processors(), variables };
        let mut taken = collector::take(asked, self.files);
        self.mistakes.append(&mut taken.mistakes);
        self.notes.append(&mut taken.notes);
        let mut unsupported = taken.unsupported;
        for written in &mut taken.written {
            unsupported.extend(leave_out(written));
        }
        taken.written.retain(|written| !written.group.statements.is_empty());
        for (at, told) in too_late(&taken.written).into_iter().rev() {
            unsupported.push(told);
            taken.written.remove(at);
        }
        match entry.unsupported() {
            Unsupported::Refuse => self.mistakes.append(&mut unsupported),
            Unsupported::Skip => self.notes.extend(
                unsupported.iter().map(|told| format!("{}: {}; left out", told.place.place(""), told.text)),
            ),
        }
        taken.written
    }
}

/// One compilation tells nearly all that is wrong; what is left behind these is refused with the rest.
const ROUNDS_MAX: usize = 8;

/// Takes out of a group what can not be compiled, and says why. A group that is left without any of its conditions
/// goes whole: its statements would run on everything.
fn leave_out(written: &mut Written) -> Vec<Mistake> {
    let mut told = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let Err(mistakes) = Rules::compile(std::slice::from_ref(&written.group)) else { break };
        let at_fault = |is_condition: bool| -> BTreeSet<usize> {
            let of_kind = mistakes.iter().filter(|mistake| mistake.part.is_condition == is_condition);
            of_kind.map(|mistake| mistake.part.nth).collect()
        };
        let (conditions, statements) = (at_fault(true), at_fault(false));
        told.extend(mistakes.iter().map(|mistake| {
            let place = written.place(mistake.part.is_condition, mistake.part.nth);
            Mistake::new(place, format!("`{}`: {}", written.label, mistake.text))
                .with_below(mistake.excerpt())
        }));
        // Where nothing says what all of it is about, that is told once.
        let aimless = written.group.context.is_none() && context_of(&written.group).is_none();
        let Written { group, conditions: conditions_at, statements: statements_at, .. } = written;
        let had_conditions = !group.conditions.is_empty();
        keep_others(&mut group.conditions, &conditions);
        keep_others(conditions_at, &conditions);
        keep_others(&mut group.statements, &statements);
        keep_others(statements_at, &statements);
        let on_everything = had_conditions && group.conditions.is_empty();
        if aimless || on_everything || conditions.is_empty() && statements.is_empty() {
            group.statements.clear();
        }
        if group.statements.is_empty() {
            break;
        }
    }
    told
}

/// Keeps what does not stand at one of these places.
fn keep_others<T>(list: &mut Vec<T>, at: &BTreeSet<usize>) {
    let mut nth = 0..;
    list.retain(|_| nth.next().is_none_or(|nth| !at.contains(&nth)));
}

/// Groups that change a resource or scope behind rules that read what is changed: by their place in the list.
fn too_late(all: &[Written]) -> Vec<(usize, Mistake)> {
    /// What has been read of a resource or scope so far: by which rules, of which signal and context.
    struct Read<'w> {
        by: &'w Written,
        context: Context,
        whose: Context,
        attribute: Attribute,
    }
    let mut read: Vec<Read<'_>> = Vec::new();
    let mut late = Vec::new();
    for (at, written) in all.iter().enumerate() {
        let group = &written.group;
        let Some(context) = group.context.or_else(|| context_of(group)) else { continue };
        let clash = group.statements.iter().enumerate().find_map(|(nth, text)| {
            let attribute = attribute_written(text, context)?;
            let meets = |read: &&Read<'_>| {
                let same = read.attribute == attribute || read.attribute.is_none() || attribute.is_none();
                same && read.whose == context
                    && read.context > context
                    && read.by.group.signal == group.signal
            };
            read.iter().find(meets).map(|read| (nth, &read.by.label))
        });
        if let Some((nth, label)) = clash {
            let text = format!(
                "`{}`: rules about a {} run before all others, and `{label}` reads what this changes",
                written.label,
                context.name()
            );
            late.push((at, Mistake::new(written.place(false, nth), text)));
        }
        let conditions = group.conditions.iter().map(|text| (text, true));
        for (text, is_condition) in conditions.chain(group.statements.iter().map(|text| (text, false))) {
            for whose in [Context::Resource, Context::Scope] {
                let named = attributes_named(text, is_condition, whose).into_iter();
                read.extend(named.map(|attribute| Read { by: written, context, whose, attribute }));
            }
        }
    }
    late
}

fn context_of(group: &Group) -> Option<Context> {
    let conditions = group.conditions.iter().filter_map(|text| context_of_condition(text));
    let statements = group.statements.iter().filter_map(|text| context_of_statement(text));
    conditions.chain(statements).reduce(|a, b| if a > b { a } else { b })
}
