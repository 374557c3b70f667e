//! Statements that are right each by itself and together are not.
//!
//! Events and points are either written one by one, by a group about them, or all at once, as the span's
//! `events` or the metric's `data_points`. What is one of the former could not be found again in the latter.

use super::engine::Ready;
use super::functions::Argument;
use super::group::{Context, Group, Part};
use super::mistake::Mistake;
use super::spots::{EVENTS, Spot};

/// A mistake for each statement that writes a list whose elements another group looks at.
pub fn between(ready: &[Ready], parts: &[Part], groups: &[Group]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for group in ready {
        for (number, statement) in &group.statements {
            let Some(Argument::Place(path)) = statement.arguments.all.first() else { continue };
            let (inner, list) = match path.spot {
                EVENTS => (Context::SpanEvent, "`events`"),
                Spot::DataPoints => (Context::DataPoint, "`data_points`"),
                _ => continue,
            };
            let Some(part) = parts.get(*number as usize).cloned() else { continue };
            if ready.iter().any(|other| other.context == inner) {
                let source = groups.get(part.group).and_then(|group| group.statements.get(part.nth));
                let source = source.cloned().unwrap_or_default();
                let hint =
                    format!("a group about {}s writes them one by one; do one or the other", inner.name());
                let text = format!("{list} can not be written as a whole: {hint}");
                mistakes.push(Mistake { part, at: 0..source.len(), source, text });
            }
        }
    }
    mistakes
}
