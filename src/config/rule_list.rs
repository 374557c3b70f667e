//! `rules:` of the file: a list of statements and of groups of them, compiled and checked at start.
//!
//! What the language says of a statement is shown below it as the user wrote it; where it stands in the file is
//! said before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::Check;
use super::field::{Field, Row, Seen, Slot, Texts, group};
use super::files::Files;
use super::mistake::{Mistake, Mistakes, did_you_mean, quoted};
use super::raw::Raw;
use super::source::Source;
use super::surroundings::Surroundings;
use super::tree::{self, Entry, Kind, Node};
use super::words::Word;
use super::written::Written;
use super::{file, gather};
use crate::export;
use crate::rules::{Context, ErrorMode, Group, Rules, Upstreams, presets};
use crate::wire::{Signal, Signals};

group! {
    /// A group of rules.
    RuleGroup {
        /// For messages and counters.
        name: Slot<Option<String>> = "";
        /// What the statements run on; else it is inferred from their paths.
        context: Slot<Option<Context>> = "";
        /// They run where any of these holds.
        conditions: Statements;
        statements: Statements;
        /// What happens when one fails.
        error_mode: Slot<ErrorMode> = "ignore";
        /// In place of them: rules that are known by a name.
        preset: Slot<Option<String>> = "";
        /// In place of them: those of a Collector's file, found from where the configuration is.
        from_collector: Slot<Option<PathBuf>> = "";
        /// Of that file, the processors to take, in this order.
        processors: Texts;
        /// What becomes of what can not be taken.
        unsupported: Slot<Unsupported> = "refuse";
    }
}

/// What becomes of what a Collector's file says and can not be done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Unsupported {
    Refuse,
    Skip,
}

impl Word for Unsupported {
    const WANTS: &'static str = "`refuse` or `skip`";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "skip" => Ok(Self::Skip),
            _ => Err(format!("is not one of {}{}", Self::WANTS, did_you_mean(text, ["refuse", "skip"]))),
        }
    }

    fn show(&self) -> Option<String> {
        Some(if *self == Self::Skip { "skip" } else { "refuse" }.to_owned())
    }
}

/// Texts that may have commas in them.
#[derive(Clone, Debug, Default)]
pub struct Statements(Texts);

impl Field for Statements {
    fn child(&mut self, key: &str, from: &Source) -> Result<&mut dyn Field, String> {
        self.0.child(key, from)
    }

    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        self.0.take_list(vec![(text.trim().to_owned(), from.clone())], from)
    }

    fn take_list(&mut self, items: Vec<(String, Source)>, from: &Source) -> Result<(), String> {
        self.0.take_list(items, from)
    }

    fn has_keys(&self) -> bool {
        false
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        self.0.walk(row, see);
    }
}

/// One entry of the list: a group, a statement by itself, a preset or a Collector's file.
#[derive(Clone, Debug)]
pub struct Rule {
    pub from: Source,
    group: RuleGroup,
    alone: bool,
}

impl Field for Rule {
    fn child(&mut self, key: &str, from: &Source) -> Result<&mut dyn Field, String> {
        self.group.child(key, from)
    }

    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        self.alone = true;
        self.group.statements.take(text, from)
    }

    /// The list shows its entries itself.
    fn walk(&self, _: Row<'_>, _: &mut dyn FnMut(Row<'_>, Seen<'_>)) {}
}

impl Rule {
    fn at(from: &Source) -> Self {
        Self { from: from.clone(), group: RuleGroup::default(), alone: false }
    }

    /// The Collector's file whose rules it stands for.
    pub fn collector(&self) -> Option<&Path> {
        self.group.from_collector.value.as_deref()
    }

    pub fn processors(&self) -> &[(String, Source)] {
        &self.group.processors.entries
    }

    pub fn unsupported(&self) -> Unsupported {
        self.group.unsupported.value
    }

    /// The preset it names, as a key or alone in the place of a statement.
    pub fn preset(&self) -> Option<&str> {
        let alone = || match self.group.statements.0.entries.as_slice() {
            [(text, _)] if self.alone => presets::NAMES.into_iter().find(|name| name == text),
            _ => None,
        };
        self.group.preset.value.as_deref().or_else(alone)
    }

    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// A key of a group that says something.
    pub fn has_rules(&self) -> Option<&'static str> {
        let RuleGroup { context, conditions, statements, .. } = &self.group;
        let all = [
            ("statements", !statements.0.entries.is_empty()),
            ("conditions", !conditions.0.entries.is_empty()),
            ("context", context.value.is_some()),
        ];
        all.into_iter().find(|(_, says)| *says).map(|(key, _)| key)
    }

    /// The rules, and where they are.
    pub fn written(&self) -> Written {
        let places = |list: &Statements| list.0.entries.iter().map(|(_, from)| from.clone()).collect();
        Written {
            label: String::new(),
            group: self.group(),
            conditions: places(&self.group.conditions),
            statements: places(&self.group.statements),
            from: self.from.clone(),
        }
    }

    pub fn group(&self) -> Group {
        let RuleGroup { name, context, conditions, statements, error_mode, .. } = &self.group;
        let texts = |list: &Statements| list.0.entries.iter().map(|(text, _)| text.clone()).collect();
        Group {
            name: name.value.clone(),
            context: context.value,
            signal: None,
            error_mode: error_mode.value,
            conditions: texts(conditions),
            statements: texts(statements),
        }
    }

    /// As YAML on one line; JSON's quoting is YAML's.
    fn show(&self) -> String {
        let RuleGroup { name, context, conditions, statements, error_mode, .. } = &self.group;
        let RuleGroup { preset, from_collector, processors, unsupported, .. } = &self.group;
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let list = |list: &Texts| {
            let all: Vec<String> = list.entries.iter().map(|(one, _)| text(one)).collect();
            (!all.is_empty()).then(|| format!("[{}]", all.join(", ")))
        };
        if let ([(statement, _)], true) = (statements.0.entries.as_slice(), self.alone) {
            return text(statement);
        }
        let parts = [
            ("name", name.value.as_deref().map(text)),
            ("context", context.value.show()),
            ("conditions", list(&conditions.0)),
            ("statements", list(&statements.0)),
            ("preset", preset.value.as_deref().map(text)),
            ("error_mode", error_mode.value.show().filter(|_| self.has_rules().is_some())),
            ("from_collector", from_collector.value.show().as_deref().map(text)),
            ("processors", list(processors)),
            ("unsupported", unsupported.value.show().filter(|_| from_collector.value.is_some())),
        ];
        let parts = parts.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
        format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
    }
}

/// The list, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct RuleList {
    pub entries: Vec<Rule>,
}

impl Field for RuleList {
    /// A Collector's file, or a preset, in the place of the list.
    fn child(&mut self, key: &str, from: &Source) -> Result<&mut dyn Field, String> {
        if !["from_collector", "processors", "unsupported", "preset"].contains(&key) {
            let key = quoted(key);
            return Err(format!("is a list of statements and groups; begin what {key} belongs to with `- `"));
        }
        if self.entries.is_empty() {
            self.entries.push(Rule::at(from));
        }
        match self.entries.last_mut() {
            Some(entry) => entry.child(key, from),
            None => Err("is a list".to_owned()),
        }
    }

    /// One statement, in the place of all that was.
    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        self.entries.clear();
        self.entry(from).map_or(Ok(()), |entry| entry.take(text, from))
    }

    fn entry(&mut self, from: &Source) -> Option<&mut dyn Field> {
        self.entries.push(Rule::at(from));
        self.entries.last_mut().map(|entry| entry as &mut dyn Field)
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        let entries: Vec<_> = self.entries.iter().map(|entry| (entry.show(), &entry.from)).collect();
        see(row, Seen::List { entries: &entries, wants: "a list of statements and groups" });
    }
}

impl Word for Context {
    const WANTS: &'static str = "`resource`, `scope`, `span`, `spanevent`, `log`, `metric` or `datapoint`";

    fn read(text: &str) -> Result<Self, String> {
        Self::of_name(text).ok_or_else(|| {
            let hint = did_you_mean(text, Self::ALL.map(Self::name));
            format!("is not one of {}{hint}", Self::WANTS)
        })
    }

    fn show(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}

impl Word for ErrorMode {
    const WANTS: &'static str = "`ignore`, `silent` or `propagate`";

    fn read(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            let hint = did_you_mean(text, Self::ALL.map(Self::name));
            format!("is not one of {}{hint}", Self::WANTS)
        })
    }

    fn show(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}

/// Rules read from a file of their own.
#[derive(Debug)]
pub struct RuleFile {
    pub rules: Arc<Rules>,
    /// What they were compiled of.
    pub groups: Vec<Group>,
    /// Where each statement stands, and its text, by its number.
    pub statements: Vec<(String, String)>,
    /// What is done otherwise than the file says, or not at all.
    pub notes: Vec<String>,
    files: Files,
}

impl RuleFile {
    /// Other groups with the tables of this file, if they are good rules.
    pub fn compile(&self, groups: &[Group]) -> Option<Rules> {
        let mut files = self.files.clone();
        Rules::compile_with(groups, Upstreams::default(), &mut |name| files.table(name)).ok()
    }
}

/// Reads the rules of a file that holds the list, or `rules:` among other settings, which are not looked at; or
/// those of a Collector's file.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn rule_file(path: &Path) -> Result<RuleFile, Mistakes> {
    let mut mistakes = Vec::new();
    let mut files = Files::default();
    files.begin(Some(path));
    let (file, text) = (path.display().to_string(), file::read(path, &mut files, &mut mistakes));
    let surroundings = Surroundings::of_process();
    let mut raw = Raw::default();
    match tree::read(&text, &mut mistakes) {
        Ok(root) if is_collectors(&root) => {
            let own = path.file_name().map(PathBuf::from);
            let mut rule = Rule::at(&Source::WholeFile);
            rule.group.from_collector.put(own, Source::WholeFile);
            raw.rules.entries.push(rule);
        }
        Ok(root) => match only_rules(root) {
            Ok(root) => {
                gather::from_file(&root, &mut raw, (&surroundings.variables, &mut files), &mut mistakes);
            }
            Err(mistake) => mistakes.push(mistake),
        },
        Err(mistake) if mistakes.is_empty() => mistakes.push(mistake),
        Err(_) => {}
    }
    let mut notes = Vec::new();
    let mut check = Check {
        file: &file,
        files: &mut files,
        surroundings: &surroundings,
        mistakes: &mut mistakes,
        notes: &mut notes,
    };
    // Nothing is sent: any upstream will do.
    let (rules, written) = check.rules(&raw.rules, Upstreams::default());
    if !mistakes.is_empty() {
        return Err(Mistakes { file, text, list: mistakes });
    }
    let parts = (0..).map_while(|number| rules.part(number));
    let statement = |part: &crate::rules::Part| {
        let written = written.get(part.group)?;
        let text = written.group.statements.get(part.nth)?.clone();
        Some((written.place(false, part.nth).describe(&file), text))
    };
    let statements = parts.filter_map(statement).collect();
    let groups = written.iter().map(|written| written.group.clone()).collect();
    Ok(RuleFile { rules, groups, statements, notes, files })
}

/// Whether a file is a Collector's configuration.
fn is_collectors(root: &Node) -> bool {
    let has = |key: &str| matches!(&root.kind, Kind::Map(all) if all.iter().any(|entry| entry.key == key));
    has("processors") && !has("rules")
}

/// The tree with nothing in it but `rules:`.
fn only_rules(root: Node) -> Result<Node, Mistake> {
    let at = root.at.clone();
    let rules = match root.kind {
        Kind::List(_) => Entry { key: "rules".to_owned(), at: at.clone(), value: root },
        Kind::Map(entries) => entries
            .into_iter()
            .find(|entry| entry.key == "rules")
            .ok_or_else(|| Mistake::new(at.clone(), "has no `rules`"))?,
        _ => return Err(Mistake::new(at, "is not a list of rules, nor a mapping with `rules`")),
    };
    Ok(Node { at, kind: Kind::Map(vec![rules]) })
}

impl Check<'_> {
    /// The rules, compiled, and where they were written; they may route to these upstreams.
    pub(super) fn rules(&mut self, list: &RuleList, upstreams: Upstreams) -> (Arc<Rules>, Vec<Written>) {
        for (nth, entry) in list.entries.iter().enumerate() {
            // What was written there and could not be taken has been told.
            let told = self.mistakes.iter().any(|mistake| mistake.place == entry.from);
            let stands_for_others = entry.collector().is_some() || entry.preset().is_some();
            if entry.group.statements.0.entries.is_empty() && !told && !stands_for_others {
                self.note(&entry.from, format!("`rules[{}]`: has no `statements`", nth + 1));
            }
        }
        let written = self.written(list);
        let groups: Vec<Group> = written.iter().map(|written| written.group.clone()).collect();
        match Rules::compile_with(&groups, upstreams, &mut |name| self.files.table(name)) {
            Ok(rules) => (Arc::new(rules), written),
            Err(mistakes) => {
                for mistake in mistakes {
                    let written = written.get(mistake.part.group);
                    let label = written.map_or("rules", |written| &written.label);
                    let place = written.map(|w| w.place(mistake.part.is_condition, mistake.part.nth));
                    let told =
                        Mistake::new(place.unwrap_or_default(), format!("`{label}`: {}", mistake.text));
                    self.mistakes.push(told.with_below(mistake.excerpt()));
                }
                (Arc::default(), written)
            }
        }
    }

    /// Says where `route` and the upstreams leave something without each other.
    pub(super) fn routed(&mut self, rules: &Rules, upstreams: &[export::Settings]) {
        for (nth, upstream) in upstreams.iter().enumerate() {
            if !upstream.default && !rules.routes().has(nth) {
                let name = &upstream.name;
                self.notes.push(format!(
                    "`upstreams.{name}` gets nothing: it is no default, and no rule routes to it"
                ));
            }
        }
        let takes = |default: bool| -> Signals {
            let takers = upstreams.iter().filter(|upstream| upstream.default || !default);
            takers.flat_map(|upstream| upstream.signals.iter()).collect()
        };
        let lost: Vec<_> =
            takes(false).iter().filter(|signal| !takes(true).has(*signal)).map(Signal::name).collect();
        if !lost.is_empty() {
            let what = lost.join(", ");
            self.notes.push(format!(
                "{what} that no rule routes are lost: no upstream that takes them is a default"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Surroundings, Variables, load_text};
    use crate::rules::Context;
    use crate::wire::Signal;

    const RULES: &str = r#"
rules:
  - set(span.attributes["env"], "prod, test")
  - name: pay
    context: log
    conditions: [severity_number > 8, 'IsMatch(body, "^a, b")']
    statements: replace_pattern(body, "(a), b", "$$1")
    error_mode: silent
  - {statements: [drop() where datapoint.value_int == 0]}
"#;

    fn surroundings() -> Surroundings {
        Surroundings { variables: Variables::default(), ..Surroundings::of_process() }
    }

    #[test]
    fn statements_and_groups_stand_in_one_list() {
        let one = r#"rules: delete_key(resource.attributes, "x")"#;
        let plan = load_text(one, &surroundings()).unwrap().plan;
        assert!(plan.rules.has_context(Context::Resource) && plan.rules.statements() == 1);
        let plan = load_text(RULES, &surroundings()).unwrap_or_else(|wrong| panic!("{wrong}")).plan;
        let has = Signal::ALL.map(|signal| plan.rules.has(signal));
        assert_eq!((plan.rules.statements(), has), (3, [true, true, true, false]));
    }

    #[test]
    fn what_is_printed_is_the_same_list() {
        let printed = load_text(RULES, &surroundings()).unwrap().print();
        let again = load_text(&printed, &surroundings()).unwrap_or_else(|wrong| panic!("{printed}\n{wrong}"));
        let rules = |text: &str| {
            text.lines()
                .skip_while(|l| !l.starts_with("rules:"))
                .take(4)
                .map(|l| l.split(" # ").next().unwrap_or_default().trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(rules(&printed), rules(&again.print()));
        assert!(printed.contains(r#"- "set(span.attributes[\"env\"], \"prod, test\")""#), "{printed}");
    }
}
