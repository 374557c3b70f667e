//! One group, read and compiled; what is wrong with it is gathered.

use super::compile::Compiler;
use super::editors;
use super::engine::{Ready, Rules};
use super::group::{Context, Group, Part};
use super::inference::{gather_call, inferred};
use super::mistake::Mistake;
use super::syntax::{self, Unreadable, tree};
use super::table::Tables;
use crate::model::nearest::did_you_mean;

/// Reads and compiles one group.
pub struct Reader<'g> {
    pub group: &'g Group,
    pub nth: usize,
    pub tables: &'g mut Tables<'g>,
    pub mistakes: &'g mut Vec<Mistake>,
    /// Something of it looks at the cache.
    pub caches: bool,
}

impl Reader<'_> {
    fn part(&self, is_condition: bool, nth: usize) -> Part {
        Part { group: self.nth, name: self.group.name.clone(), is_condition, nth }
    }

    fn wrong(&mut self, part: Part, source: &str, fault: Unreadable) {
        self.mistakes.push(Mistake { part, source: source.to_owned(), at: fault.at, text: fault.text });
    }

    pub fn read(&mut self, rules: &mut Rules) -> Option<Ready> {
        let (mut conditions, mut statements) = (Vec::new(), Vec::new());
        for (nth, text) in self.group.conditions.iter().enumerate() {
            match syntax::condition(text) {
                Ok(condition) => conditions.push((nth, condition)),
                Err(fault) => self.wrong(self.part(true, nth), text, fault),
            }
        }
        for (nth, text) in self.group.statements.iter().enumerate() {
            match syntax::statement(text) {
                Ok(statement) => statements.push((nth, statement)),
                Err(fault) => self.wrong(self.part(false, nth), text, fault),
            }
        }
        let trees = conditions.iter().map(|(_, condition)| condition);
        let context = self.group.context.or_else(|| inferred(trees, statements.iter().map(|(_, s)| s)));
        let Some(context) = context else {
            self.aimless(&statements);
            return None;
        };
        let bare = self.group.context.is_some();
        let mut ready = Ready {
            context,
            signal: self.group.signal,
            error_mode: self.group.error_mode,
            caches: false,
            conditions: Vec::new(),
            statements: Vec::new(),
        };
        for (nth, condition) in &conditions {
            let text = self.group.conditions.get(*nth).map_or("", String::as_str);
            let compiled =
                self.compiled(context, bare, self.part(true, *nth), text, rules, |c| c.condition(condition));
            ready.conditions.extend(compiled);
        }
        for (nth, statement) in &statements {
            let text = self.group.statements.get(*nth).map_or("", String::as_str);
            let part = self.part(false, *nth);
            let compiled =
                self.compiled(context, bare, part.clone(), text, rules, |c| c.statement(statement));
            if let Some(statement) = compiled {
                ready.statements.push((rules.parts.len() as u32, statement));
                rules.parts.push(part);
            }
        }
        ready.caches = self.caches;
        Some(ready)
    }

    /// Says that the statements name no context, and which one the first path may have meant.
    fn aimless(&mut self, statements: &[(usize, tree::Statement)]) {
        let Some((nth, statement)) = statements.first() else { return };
        let source = self.group.statements.get(*nth).cloned().unwrap_or_default();
        let editor = &statement.editor;
        if !editors::all().any(|known| known.name == editor.name) {
            let hint = did_you_mean(&editor.name, editors::all().map(|known| known.name));
            let text = format!("unknown editor `{}`{hint}", editor.name);
            return self.wrong(
                self.part(false, *nth),
                &source,
                Unreadable { at: editor.name_at.clone(), text },
            );
        }
        let mut names = Vec::new();
        gather_call(&statement.editor, &mut |seen| names.extend(seen.first().map(str::to_owned)));
        let known = || Context::ALL.map(Context::name);
        let meant = names.iter().map(|name| did_you_mean(name, known())).find(|hint| !hint.is_empty());
        let hint = meant.unwrap_or_else(|| format!("; begin one with its context ({})", known().join(", ")));
        let text = format!("no path says what this is about{hint}");
        self.wrong(self.part(false, *nth), &source, Unreadable { at: statement.editor.at.clone(), text });
    }

    fn compiled<T>(
        &mut self,
        context: Context,
        bare: bool,
        part: Part,
        text: &str,
        rules: &mut Rules,
        compile: impl FnOnce(&mut Compiler<'_>) -> Option<T>,
    ) -> Option<T> {
        let (reads, upstreams) = (rules.reads, &mut rules.upstreams);
        let (headers, names, tables) = (&mut rules.headers, &mut rules.names, &mut *self.tables);
        let mut compiler = Compiler {
            context,
            bare,
            locals: Vec::new(),
            mistakes: Vec::new(),
            reads,
            headers,
            names,
            tables,
            upstreams,
            caches: false,
        };
        let compiled = compile(&mut compiler);
        self.caches |= compiler.caches;
        let mistakes = std::mem::take(&mut compiler.mistakes);
        rules.reads = compiler.reads;
        mistakes.into_iter().for_each(|fault| self.wrong(part.clone(), text, fault));
        compiled
    }
}
