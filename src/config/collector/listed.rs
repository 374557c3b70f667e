//! A list of statements as the `transform` processor has it, made into groups of ours.
//!
//! There a statement about a span may write to its resource; here each thing is written by rules of its own, once.
//! So what such a list writes further out goes into groups of its own, as far as it reads nothing further in.

use super::{Reader, Text};
use crate::config::written::Written;
use crate::rules::mentions::{context_of_condition, context_of_statement, written_by};
use crate::rules::{Context, ErrorMode, Group};
use crate::wire::Signal;

/// Statements that belong together, as they were written.
#[derive(Debug)]
pub(super) struct Listed {
    pub label: String,
    pub context: Option<Context>,
    pub conditions: Vec<Text>,
    pub statements: Vec<Text>,
    pub mode: ErrorMode,
}

impl Listed {
    /// Nothing yet.
    pub fn of(label: String, mode: ErrorMode) -> Self {
        Self { label, context: None, conditions: Vec::new(), statements: Vec::new(), mode }
    }

    /// The context of a statement that has to be of a group of its own.
    fn outer(&self, statement: &str) -> Option<Context> {
        let unnamed = || context_of_statement(statement).filter(|_| self.context.is_none());
        let written = written_by(statement).or_else(unnamed)?;
        let conditions = self.conditions.iter().all(|(text, _)| context_of_condition(text) == Some(written));
        let alone = context_of_statement(statement) == Some(written) && conditions;
        (alone && Some(written) != self.context).then_some(written)
    }

    /// Statements in runs of one context each. Those that keep things for each other stay together.
    fn runs(&self) -> Vec<(Option<Context>, Vec<Text>)> {
        let keeps = self.statements.iter().any(|(text, _)| text.contains("cache"));
        let mut runs: Vec<(Option<Context>, Vec<Text>)> = Vec::new();
        for (text, at) in &self.statements {
            let context = if keeps { None } else { self.outer(text) }.or(self.context);
            match runs.last_mut() {
                Some((last, run)) if *last == context => run.push((text.clone(), at.clone())),
                _ => runs.push((context, vec![(text.clone(), at.clone())])),
            }
        }
        runs
    }
}

impl Reader<'_> {
    /// Takes a list of statements of one signal.
    pub(super) fn listed(&mut self, signal: Signal, listed: Listed) {
        let runs = listed.runs();
        let several = runs.len() > 1;
        for (nth, (context, statements)) in (1..).zip(runs) {
            let label = if several { format!("{}/{nth}", listed.label) } else { listed.label.clone() };
            let (statements, places): (Vec<_>, Vec<_>) = statements.into_iter().unzip();
            let (conditions, conditions_at) = listed.conditions.iter().cloned().unzip();
            let group = Group {
                name: Some(label.clone()),
                context,
                signal: Some(signal),
                error_mode: listed.mode,
                conditions,
                statements,
            };
            let from = places.first().cloned().unwrap_or_default();
            let written = Written { label, group, conditions: conditions_at, statements: places, from };
            self.taken.written.push(written);
        }
    }
}
