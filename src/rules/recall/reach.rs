//! What a statement looks at and what it may change, told from its program.
//!
//! Only what is certain is told. Statements that look at a whole list, at events, at the cache, reach too far to be
//! told apart from others.

use std::collections::BTreeSet;

use crate::rules::engine::Ready;
use crate::rules::functions::Argument;
use crate::rules::lambda::Body;
use crate::rules::names::{Names, Number};
use crate::rules::patterns::Pattern;
use crate::rules::program::{Call, Condition, Expr, Path, Statement};
use crate::rules::reading::{KIND, TRACE_STATE};
use crate::rules::spots::{Home, Spot};
use crate::rules::value::Value;

/// What is looked at by itself: its bytes say all there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// A field of the item, with all that is in it.
    Field(u32),
    /// The value of a named key among its attributes.
    Attribute(Number),
    Resource,
    Scope,
}

#[derive(Debug, Default)]
pub struct Reach<'r> {
    pub reads: BTreeSet<Cell>,
    writes: BTreeSet<Cell>,
    /// Takes keys away that match, or those that do not.
    takes: Vec<(&'r Pattern, bool)>,
    /// More than bytes have a say: the time, chance, the trace, the request, the work done so far.
    pub fickle: bool,
}

impl<'r> Reach<'r> {
    /// Of a statement, or of a whole group. `None`: it can not be told.
    pub fn of(group: &'r Ready, statements: &'r [(u32, Statement)], names: &Names) -> Option<Self> {
        let mut reach = Self::default();
        group.conditions.iter().try_for_each(|condition| reach.condition(condition))?;
        statements.iter().try_for_each(|(_, statement)| reach.statement(statement, names))?;
        (!group.caches).then_some(reach)
    }

    /// Whether it makes a difference which of them is carried out first, or that the other is.
    pub fn meets(&self, other: &Self, names: &Names) -> bool {
        let takes = |one: &Self, cell: &Cell| match cell {
            Cell::Attribute(number) => {
                let key = names.key(*number).as_bytes();
                one.takes.iter().any(|(pattern, matching)| pattern.is_match_bytes(key) == *matching)
            }
            _ => false,
        };
        let disturbs = |one: &Self, other: &Self| {
            other.cells().any(|cell| one.writes.contains(cell) || takes(one, cell))
        };
        disturbs(self, other) || disturbs(other, self) || !(self.takes.is_empty() || other.takes.is_empty())
    }

    pub fn extend(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
        self.takes.extend(other.takes);
        self.fickle |= other.fickle;
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.reads.iter().chain(&self.writes)
    }

    fn statement(&mut self, statement: &'r Statement, names: &Names) -> Option<()> {
        statement.condition.iter().try_for_each(|condition| self.condition(condition))?;
        let name = statement.editor.name;
        match (name, statement.arguments.all.as_slice()) {
            ("set" | "replace_pattern" | "replace_match" | "mask", [Argument::Place(path), others @ ..]) => {
                self.write(path, name == "set")?;
                others.iter().try_for_each(|argument| self.argument(argument))
            }
            ("delete_key", [Argument::Place(path), Argument::Value(Expr::Constant(Value::Str(key)))]) => {
                self.writes.insert(Cell::Attribute(names.number(names.field(), key)?));
                whole_list(path).then_some(())
            }
            ("delete_matching_keys", [Argument::Place(path), Argument::Pattern(pattern)]) => {
                self.take(path, pattern, true)
            }
            ("keep_matching_keys", [Argument::Place(path), Argument::Pattern(pattern)]) => {
                self.take(path, pattern, false)
            }
            ("drop" | "route", _) => Some(()),
            // It looks at the trace's id, which is another each time.
            ("sample", _) => {
                self.fickle = true;
                Some(())
            }
            _ => None,
        }
    }

    fn take(&mut self, path: &Path, pattern: &'r Pattern, matching: bool) -> Option<()> {
        self.takes.push((pattern, matching));
        whole_list(path).then_some(())
    }

    fn write(&mut self, path: &'r Path, anew: bool) -> Option<()> {
        let cell = match (path.home, path.spot) {
            (Home::Item, Spot::Attributes(_)) => Cell::Attribute(path.number?),
            (Home::Item, Spot::Text(place) | Spot::Number(place)) => {
                if place.within != 0 {
                    self.reads.insert(Cell::Field(place.field));
                }
                Cell::Field(place.field)
            }
            (
                Home::Item,
                spot @ (Spot::Bool(_)
                | Spot::Flags(_)
                | Spot::Fixed(_)
                | Spot::Moment(_)
                | Spot::Id(..)
                | Spot::IdText(..)
                | Spot::TraceState
                | Spot::KindText
                | Spot::KindName),
            ) => Cell::Field(field_of(spot)?),
            _ => return None,
        };
        self.writes.insert(cell);
        if !anew || (!path.keys.is_empty() && path.number.is_none()) {
            self.reads.insert(cell);
        }
        path.keys.iter().try_for_each(|key| self.expr(key))
    }

    fn condition(&mut self, condition: &'r Condition) -> Option<()> {
        match condition {
            Condition::Constant(_) => Some(()),
            Condition::Compare(_, left, right) => {
                self.expr(left)?;
                self.expr(right)
            }
            Condition::Match(call) => self.call(call),
            Condition::Truth(expr) => self.expr(expr),
            Condition::Not(inner) => self.condition(inner),
            Condition::And(sides) | Condition::Or(sides) => {
                self.condition(&sides.0)?;
                self.condition(&sides.1)
            }
        }
    }

    fn expr(&mut self, expr: &'r Expr) -> Option<()> {
        match expr {
            Expr::Constant(_) => Some(()),
            Expr::Path(path) => self.path(path),
            Expr::Local(_, keys) => keys.iter().try_for_each(|key| self.expr(key)),
            Expr::List(all) => all.iter().try_for_each(|one| self.expr(one)),
            Expr::Map(all) => all.iter().try_for_each(|(_, one)| self.expr(one)),
            Expr::Math(_, sides) => {
                self.expr(&sides.0)?;
                self.expr(&sides.1)
            }
            Expr::Call(call) => self.call(call),
        }
    }

    fn path(&mut self, path: &'r Path) -> Option<()> {
        match (path.home, path.spot) {
            (_, Spot::Cache) | (Home::Inner, _) => return None,
            (Home::Item, Spot::Attributes(_)) => _ = self.reads.insert(Cell::Attribute(path.number?)),
            (Home::Item, spot) => _ = self.reads.insert(Cell::Field(field_of(spot)?)),
            (Home::Resource, _) => _ = self.reads.insert(Cell::Resource),
            (Home::Scope, _) => _ = self.reads.insert(Cell::Scope),
            (Home::Root | Home::Parent | Home::Around, _) => self.fickle = true,
        }
        path.keys.iter().try_for_each(|key| self.expr(key))
    }

    fn call(&mut self, call: &'r Call) -> Option<()> {
        match call.converter.name {
            // It looks at the span by itself.
            "IsRootSpan" => _ = self.reads.insert(Cell::Field(PARENT)),
            // A time without a year is one of this year.
            name => self.fickle |= !call.converter.is_constant || name == "Time",
        }
        call.arguments.all.iter().try_for_each(|argument| self.argument(argument))?;
        call.keys.iter().try_for_each(|key| self.expr(key))
    }

    fn argument(&mut self, argument: &'r Argument) -> Option<()> {
        match argument {
            Argument::Absent
            | Argument::Pattern(_)
            | Argument::Grok(_)
            | Argument::Mask(_)
            | Argument::Table(_)
            | Argument::XPath(_)
            | Argument::Zone(_)
            | Argument::Route(_) => Some(()),
            Argument::Value(expr) | Argument::Later(expr) => self.expr(expr),
            Argument::Converter(converter) => {
                self.fickle |= !converter.is_constant;
                Some(())
            }
            // All lambdas of an item share what they may cost.
            Argument::Lambda(lambda) => {
                self.fickle = true;
                match &lambda.body {
                    Body::Value(expr) => self.expr(expr),
                    Body::Condition(condition) => self.condition(condition),
                }
            }
            Argument::Place(_) => None,
        }
    }
}

/// `Span.parent_span_id`.
const PARENT: u32 = 4;

fn whole_list(path: &Path) -> bool {
    path.home == Home::Item && matches!(path.spot, Spot::Attributes(_)) && path.keys.is_empty()
}

/// The field of an item that a spot is in; `None`: it is not in one alone.
fn field_of(spot: Spot) -> Option<u32> {
    Some(match spot {
        Spot::Text(place) | Spot::Number(place) | Spot::Bool(place) => place.field,
        Spot::Zigzag(field)
        | Spot::Flags(field)
        | Spot::Fixed(field)
        | Spot::Double(field)
        | Spot::Moment(field)
        | Spot::Id(field, _)
        | Spot::IdText(field, _)
        | Spot::Any(field)
        | Spot::AnyText(field)
        | Spot::Message(field, _)
        | Spot::Part(field, ..) => field,
        Spot::TraceState => TRACE_STATE.field,
        Spot::KindText | Spot::KindName => KIND.field,
        _ => return None,
    })
}
