//! What a compiled XPath selects.

use std::borrow::Cow;
use std::cell::Cell;

use super::{Axis, Compare, Expr, Item, Path, Step, Test, VISITS_MAX};
use crate::rules::trouble::Trouble;
use crate::rules::xml::{Document, Kind, local};

pub fn select(paths: &[Path], document: &Document<'_>) -> Result<Vec<Item>, Trouble> {
    let evaluation = Evaluation { document, visits: Cell::new(0) };
    let at = Context { item: Item::Node(0), position: 1, last: 1 };
    evaluation.union(paths, at)
}

struct Evaluation<'d> {
    document: &'d Document<'d>,
    visits: Cell<usize>,
}

/// The item that is looked at, and which of how many it is.
#[derive(Clone, Copy)]
struct Context {
    item: Item,
    position: usize,
    last: usize,
}

enum Value<'v> {
    Items(Vec<Item>),
    Text(Cow<'v, str>),
    Number(f64),
    Truth(bool),
}

impl<'d> Evaluation<'d> {
    fn visit(&self) -> Result<(), Trouble> {
        self.visits.set(self.visits.get() + 1);
        match self.visits.get() > VISITS_MAX {
            true => Err(Trouble(format!("the XPath looks at more than {VISITS_MAX} nodes"))),
            false => Ok(()),
        }
    }

    fn union(&self, paths: &[Path], at: Context) -> Result<Vec<Item>, Trouble> {
        let mut all = Vec::new();
        for path in paths {
            all.extend(self.path(path, at)?);
        }
        // Nodes are numbered in the order of the document.
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    fn path(&self, path: &Path, at: Context) -> Result<Vec<Item>, Trouble> {
        let mut items = vec![if path.absolute { Item::Node(0) } else { at.item }];
        for step in &path.steps {
            let mut next = Vec::new();
            for item in items {
                self.step(step, item, &mut next)?;
            }
            next.sort_unstable();
            next.dedup();
            items = next;
        }
        Ok(items)
    }

    fn step(&self, step: &Step, from: Item, out: &mut Vec<Item>) -> Result<(), Trouble> {
        let mut found = self.axis(step, from)?;
        for predicate in &step.predicates {
            let last = found.len();
            let mut kept = Vec::new();
            for (nth, item) in found.into_iter().enumerate() {
                let at = Context { item, position: nth + 1, last };
                let holds = match self.value(predicate, at)? {
                    Value::Number(number) => number == at.position as f64,
                    other => self.is_true(&other),
                };
                if holds {
                    kept.push(item);
                }
            }
            found = kept;
        }
        out.extend(found);
        Ok(())
    }

    /// What the step reaches, nearest first, before its predicates.
    fn axis(&self, step: &Step, from: Item) -> Result<Vec<Item>, Trouble> {
        let mut found = Vec::new();
        let mut add = |item| {
            self.visit()?;
            if self.fits(&step.test, item, step.axis) {
                found.push(item);
            }
            Ok(())
        };
        match (step.axis, from) {
            (Axis::SelfNode, item) => add(item)?,
            (Axis::Parent, Item::Attribute(owner, _)) => add(Item::Node(owner))?,
            (Axis::Parent, Item::Node(node)) => {
                self.document.parent(node).map_or(Ok(()), |parent| add(Item::Node(parent)))?;
            }
            (Axis::Ancestor, item) => {
                let mut above = match item {
                    Item::Attribute(owner, _) => Some(owner),
                    Item::Node(node) => self.document.parent(node),
                };
                while let Some(node) = above {
                    add(Item::Node(node))?;
                    above = self.document.parent(node);
                }
            }
            (Axis::Attribute, Item::Node(node)) => {
                let count = self.document.attributes(node).len();
                (0..count).try_for_each(|nth| add(Item::Attribute(node, nth)))?;
            }
            (Axis::Child, Item::Node(node)) => {
                self.document.children(node).iter().try_for_each(|child| add(Item::Node(*child)))?;
            }
            (Axis::Descendant | Axis::DescendantOrSelf, Item::Node(node)) => {
                let mut ahead = vec![node];
                while let Some(next) = ahead.pop() {
                    if next != node || step.axis == Axis::DescendantOrSelf {
                        add(Item::Node(next))?;
                    }
                    ahead.extend(self.document.children(next).iter().rev());
                }
            }
            (Axis::DescendantOrSelf, item) => add(item)?,
            (Axis::Attribute | Axis::Child | Axis::Descendant, Item::Attribute(..)) => {}
        }
        Ok(found)
    }

    fn fits(&self, test: &Test, item: Item, axis: Axis) -> bool {
        let kind = |node| self.document.kind(node);
        match (test, item) {
            (Test::AnyNode, _) => true,
            (Test::Name(name), Item::Node(node)) => {
                axis != Axis::Attribute && self.document.name(node) == Some(name)
            }
            (Test::AnyName, Item::Node(node)) => self.document.name(node).is_some(),
            (Test::Text, Item::Node(node)) => matches!(kind(node), Kind::Text(_) | Kind::Data(_)),
            (Test::Comment, Item::Node(node)) => matches!(kind(node), Kind::Comment(_)),
            (Test::Name(name), Item::Attribute(..)) => self.name(item) == name,
            (Test::AnyName, Item::Attribute(..)) => true,
            (Test::Text | Test::Comment, Item::Attribute(..)) => false,
        }
    }

    fn name(&self, item: Item) -> &'d str {
        match item {
            Item::Node(node) => self.document.name(node).unwrap_or_default(),
            Item::Attribute(node, nth) => {
                self.document.attributes(node).get(nth).map_or("", |attribute| attribute.name)
            }
        }
    }

    fn value<'e>(&self, expr: &'e Expr, at: Context) -> Result<Value<'e>, Trouble> {
        Ok(match expr {
            Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expr::Number(number) => Value::Number(*number),
            Expr::Path(path) => Value::Items(self.path(path, at)?),
            Expr::Union(paths) => Value::Items(self.union(paths, at)?),
            Expr::Call(name, arguments) => self.call(name, arguments, at)?,
            Expr::Compare(op, sides) => {
                Value::Truth(self.compare(*op, &self.value(&sides.0, at)?, &self.value(&sides.1, at)?)?)
            }
            Expr::And(sides) => Value::Truth(self.holds(&sides.0, at)? && self.holds(&sides.1, at)?),
            Expr::Or(sides) => Value::Truth(self.holds(&sides.0, at)? || self.holds(&sides.1, at)?),
        })
    }

    fn holds(&self, expr: &Expr, at: Context) -> Result<bool, Trouble> {
        self.value(expr, at).map(|value| self.is_true(&value))
    }

    fn is_true(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Items(items) => !items.is_empty(),
            Value::Text(text) => !text.is_empty(),
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::Truth(truth) => *truth,
        }
    }

    /// The text of an item; what is inside is paid for as if each node were visited.
    fn text_of(&self, item: Item) -> Result<String, Trouble> {
        let text = match item {
            Item::Node(node) => self.document.text_inside(node),
            Item::Attribute(node, nth) => {
                self.document.attributes(node).get(nth).map(|a| a.text().into_owned()).unwrap_or_default()
            }
        };
        self.visits.set(self.visits.get() + text.len() / 16);
        self.visit()?;
        Ok(text)
    }

    fn text<'v>(&self, value: Value<'v>) -> Result<Cow<'v, str>, Trouble> {
        Ok(match value {
            Value::Items(items) => match items.first() {
                Some(item) => Cow::Owned(self.text_of(*item)?),
                None => Cow::Borrowed(""),
            },
            Value::Text(text) => text,
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Truth(truth) => Cow::Borrowed(if truth { "true" } else { "false" }),
        })
    }

    fn number(&self, value: &Value<'_>) -> Result<f64, Trouble> {
        let of_text = |text: &str| text.trim().parse().unwrap_or(f64::NAN);
        Ok(match value {
            Value::Number(number) => *number,
            Value::Truth(truth) => f64::from(u8::from(*truth)),
            Value::Text(text) => of_text(text),
            Value::Items(items) => match items.first() {
                Some(item) => of_text(&self.text_of(*item)?),
                None => f64::NAN,
            },
        })
    }

    /// Of several items one that compares is enough.
    fn compare(&self, op: Compare, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Trouble> {
        match (left, right) {
            (Value::Items(items), other) | (other, Value::Items(items))
                if !matches!(other, Value::Truth(_)) =>
            {
                let is_left = matches!(left, Value::Items(_));
                for item in items {
                    let one = Value::Text(Cow::Owned(self.text_of(*item)?));
                    let holds = match is_left {
                        true => self.compare(op, &one, other)?,
                        false => self.compare(op, other, &one)?,
                    };
                    if holds {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::Truth(_), _) | (_, Value::Truth(_)) if matches!(op, Compare::Eq | Compare::Ne) => {
                Ok((self.is_true(left) == self.is_true(right)) == (op == Compare::Eq))
            }
            (Value::Text(a), Value::Text(b)) if matches!(op, Compare::Eq | Compare::Ne) => {
                Ok((a == b) == (op == Compare::Eq))
            }
            _ => {
                let (a, b) = (self.number(left)?, self.number(right)?);
                Ok(match op {
                    Compare::Eq => a == b,
                    Compare::Ne => a != b,
                    Compare::Lt => a < b,
                    Compare::Le => a <= b,
                    Compare::Gt => a > b,
                    Compare::Ge => a >= b,
                })
            }
        }
    }

    fn call<'e>(&self, name: &str, arguments: &'e [Expr], at: Context) -> Result<Value<'e>, Trouble> {
        let own = || Value::Items(vec![at.item]);
        let value = |nth: usize| match arguments.get(nth) {
            Some(argument) => self.value(argument, at),
            None => Ok(own()),
        };
        let text = |nth| value(nth).and_then(|value| self.text(value));
        let first_name = || -> Result<&str, Trouble> {
            match value(0)? {
                Value::Items(items) => Ok(items.first().map_or("", |item| self.name(*item))),
                _ => Ok(""),
            }
        };
        let owned = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
        Ok(match name {
            "true" => Value::Truth(true),
            "false" => Value::Truth(false),
            "position" => Value::Number(at.position as f64),
            "last" => Value::Number(at.last as f64),
            "not" => Value::Truth(!self.is_true(&value(0)?)),
            "boolean" => Value::Truth(self.is_true(&value(0)?)),
            "number" => Value::Number(self.number(&value(0)?)?),
            "count" => match value(0)? {
                Value::Items(items) => Value::Number(items.len() as f64),
                _ => Value::Number(f64::NAN),
            },
            "name" => owned(first_name()?),
            "local-name" => owned(local(first_name()?)),
            "contains" => Value::Truth(text(0)?.contains(&*text(1)?)),
            "starts-with" => Value::Truth(text(0)?.starts_with(&*text(1)?)),
            "ends-with" => Value::Truth(text(0)?.ends_with(&*text(1)?)),
            "string-length" => Value::Number(text(0)?.chars().count() as f64),
            "lower-case" => owned(&text(0)?.to_lowercase()),
            "normalize-space" => owned(&text(0)?.split_whitespace().collect::<Vec<_>>().join(" ")),
            "substring-before" => owned(text(0)?.split_once(&*text(1)?).map_or("", |(before, _)| before)),
            "substring-after" => owned(text(0)?.split_once(&*text(1)?).map_or("", |(_, behind)| behind)),
            "concat" => {
                let all: Result<Vec<_>, Trouble> = (0..arguments.len()).map(text).collect();
                Value::Text(Cow::Owned(all?.concat()))
            }
            _ => Value::Text(text(0)?),
        })
    }
}
