//! A program divided into parts that have nothing to do with each other.
//!
//! No part looks at what another writes, and no two write the same, so each can be carried out by itself, in any
//! order. What it makes of an item follows from the item's shape and from the cells that it reads.

use std::sync::Mutex;

use super::Recall;
use super::reach::{Cell, Reach};
use crate::rules::engine::{Outcome, Ready, Stop};
use crate::rules::group::Context;
use crate::rules::names::Tables;
use crate::rules::scene::Scene;

/// What is carried out as one: a statement, or a group with conditions of its own.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    group: usize,
    statement: Option<usize>,
}

#[derive(Debug)]
pub struct Part {
    /// In the order of the program.
    pub units: Vec<usize>,
    /// What it reads.
    pub cells: Vec<Cell>,
    /// More than its cells has a say, or they are too many.
    pub fickle: bool,
}

/// The program about items of one kind.
#[derive(Debug)]
pub struct Division {
    pub context: Context,
    pub units: Vec<Unit>,
    pub parts: Vec<Part>,
    /// What is remembered, while nobody is at work with it.
    idle: Mutex<Vec<Recall>>,
}

/// More would make reading rules slow: each unit is held against all others.
const UNITS_MAX: usize = 256;
/// What a part that is remembered reads at most.
const CELLS_MAX: usize = 6;

impl Division {
    /// `None` where nothing would be gained, or some statement reaches too far.
    pub(in crate::rules) fn of(context: Context, groups: &[Ready], names: &Tables) -> Option<Self> {
        let names = names.of(context);
        let (mut units, mut reaches) = (Vec::new(), Vec::new());
        for (group, ready) in groups.iter().enumerate() {
            if ready.context != context {
                // Events and points look at the item around them and change it.
                if ready.context.signal() == context.signal() {
                    return None;
                }
                continue;
            }
            let whole = [(None, ready.statements.as_slice())];
            let each = (0..).zip(ready.statements.chunks(1)).map(|(nth, one)| (Some(nth), one));
            let all: Vec<_> = if ready.conditions.is_empty() { each.collect() } else { whole.into() };
            for (statement, statements) in all {
                units.push(Unit { group, statement });
                reaches.push(Reach::of(ready, statements, names)?);
            }
            if ready.signal.is_some() || units.len() > UNITS_MAX {
                return None;
            }
        }
        let mut parts: Vec<(Vec<usize>, Reach<'_>)> = Vec::new();
        for (nth, reach) in reaches.into_iter().enumerate() {
            join(&mut parts, (vec![nth], reach), |part, new| part.meets(new, names));
        }
        for part in std::mem::take(&mut parts) {
            join(&mut parts, part, |part, new| part.reads == new.reads && part.fickle == new.fickle);
        }
        parts.sort_by_key(|(units, _)| units.iter().min().copied());
        Self::made(context, units, parts)
    }

    fn made(context: Context, units: Vec<Unit>, parts: Vec<(Vec<usize>, Reach<'_>)>) -> Option<Self> {
        let part = |(mut units, reach): (Vec<usize>, Reach<'_>)| {
            units.sort_unstable();
            let fickle = reach.fickle || reach.reads.len() > CELLS_MAX;
            Part { units, cells: reach.reads.into_iter().filter(|_| !fickle).collect(), fickle }
        };
        let parts: Vec<Part> = parts.into_iter().map(part).collect();
        let idle = Mutex::default();
        let gains = parts.iter().any(|part| !part.fickle);
        gains.then_some(Self { context, units, parts, idle })
    }

    /// What is remembered, or nothing yet: each thread at work has its own.
    pub fn borrow(&self) -> Recall {
        self.idle.lock().ok().and_then(|mut idle| idle.pop()).unwrap_or_default()
    }

    /// For whoever is next.
    pub fn give_back(&self, recall: Recall) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(recall);
        }
    }
}

impl Unit {
    pub(super) fn run<'a>(
        self,
        groups: &'a [Ready],
        scene: &mut Scene<'a>,
        outcome: &mut Outcome,
    ) -> Result<(), Stop> {
        let Some(group) = groups.get(self.group) else { return Ok(()) };
        match self.statement {
            Some(nth) => match group.statements.get(nth) {
                Some(statement) => group.step(statement, scene, outcome).map(|_| ()),
                None => Ok(()),
            },
            None => group.run(scene, outcome),
        }
    }
}

/// Adds `new` to the parts, as one with all that it belongs together with.
fn join<'r>(
    parts: &mut Vec<(Vec<usize>, Reach<'r>)>,
    mut new: (Vec<usize>, Reach<'r>),
    belong: impl Fn(&Reach<'r>, &Reach<'r>) -> bool,
) {
    let (met, apart) = std::mem::take(parts).into_iter().partition(|(_, part)| belong(part, &new.1));
    *parts = apart;
    let met: Vec<(Vec<usize>, Reach<'r>)> = met;
    for (units, reach) in met {
        new.0.extend(units);
        new.1.extend(reach);
    }
    parts.push(new);
}

#[cfg(test)]
mod tests {
    use crate::rules::tests::fixture::rules;
    use crate::rules::{Context, Rules};

    /// Of each part the statements, and whether more than bytes has a say; `None`: there are no parts.
    fn parts(statements: &[&str]) -> Option<Vec<(Vec<usize>, bool)>> {
        let Rules { divisions, .. } = &rules(Some(Context::Span), statements);
        let parts = divisions.first()?.parts.iter();
        Some(parts.map(|part| (part.units.clone(), part.fickle)).collect())
    }

    #[track_caller]
    fn check(statements: &[&str], expect: &[(&[usize], bool)]) {
        let expect: Vec<_> = expect.iter().map(|(units, fickle)| (units.to_vec(), *fickle)).collect();
        assert_eq!(parts(statements), Some(expect), "{statements:?}");
    }

    #[test]
    fn ten_usual_statements_have_little_to_do_with_each_other() {
        let ten: Vec<_> = include_str!("../../../benches/rules/ten.ottl").lines().collect();
        // The two about the URL; the two that take keys away, wherever they stand, look at no value.
        let expect: [(&[usize], bool); 8] = [
            (&[0], false),
            (&[1], false),
            (&[2], false),
            (&[3], false),
            (&[4], false),
            (&[5, 6], false),
            (&[7], false),
            (&[8, 9], false),
        ];
        check(&ten, &expect);
    }

    #[test]
    fn who_writes_what_another_looks_at_belongs_to_it() {
        let (a, b) = ("set(attributes[\"a\"], name)", "set(attributes[\"b\"], attributes[\"c\"])");
        check(&[a, b], &[(&[0], false), (&[1], false)]);
        check(&[a, b, "set(attributes[\"c\"], attributes[\"a\"])"], &[(&[0, 1, 2], false)]);
        check(&[a, b, "delete_matching_keys(attributes, \"^a\")"], &[(&[0, 2], false), (&[1], false)]);
        check(&[a, b, "keep_matching_keys(attributes, \"^a\")"], &[(&[0], false), (&[1, 2], false)]);
        check(&["set(status.code, 1)", a, "set(status.message, \"\")"], &[(&[0, 2], false), (&[1], false)]);
    }

    #[test]
    fn what_more_than_bytes_decides_is_not_to_be_known() {
        let now = "set(attributes[\"t\"], UnixNano(Now()))";
        check(&[now, "set(name, \"n\")"], &[(&[0], true), (&[1], false)]);
        check(&["sample(0.5) where name == \"n\"", "set(kind, 1)"], &[(&[0], true), (&[1], false)]);
        // Nothing is left to be known, or a statement reaches anywhere.
        for statements in [&[now][..], &["truncate_all(attributes, 9)"], &["set(cache[\"k\"], 1)"], &[]] {
            assert_eq!(parts(statements), None, "{statements:?}");
        }
    }
}
