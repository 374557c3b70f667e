//! Lambdas at work: the values of their parameters, and what all of it may cost.
//!
//! A lambda multiplies whatever stands in it by the elements of a list somebody else sent. So everything
//! evaluated inside one is accounted for by its size, and an item whose lambdas together go over
//! [`EFFORT_MAX`] is left alone by the statement that does. The surprise: what a lambda gives may not nest
//! deeper than OTLP's values do, or folding could build a tower.

use std::cell::{Cell, RefCell};

use super::program::{Condition, Expr};
use super::scene::Scene;
use super::trouble::Trouble;
use super::value::{LEVELS_MAX, Value};

/// Units of work for the lambdas of one item, and for its whole messages: about a byte looked at each, a
/// fraction of a second in all.
pub const EFFORT_MAX: usize = 16 << 20;
/// What evaluating anything costs at least.
const STEP: usize = 8;
/// A path is searched for in its message, most of which is skipped.
const SKIPPED: usize = 16;

#[derive(Debug)]
pub struct Lambda {
    /// How many parameters of lambdas around this are bound before its own.
    pub outer: usize,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Value(Expr),
    Condition(Condition),
}

impl Lambda {
    /// The body's value with these arguments.
    ///
    /// # Errors
    /// As [`Expr::value`], and when the lambdas of this item have done too much.
    pub fn call<'a>(
        &'a self,
        scene: &Scene<'a>,
        arguments: impl IntoIterator<Item = Value<'a>>,
    ) -> Result<Value<'a>, Trouble> {
        scene.locals.enter(self.outer, arguments);
        let value = match &self.body {
            Body::Value(expr) => expr.value(scene),
            Body::Condition(condition) => condition.holds(scene).map(Value::Bool),
        };
        scene.locals.leave(self.outer);
        value
    }

    /// The same, of a body that is true or false.
    ///
    /// # Errors
    /// As [`Lambda::call`], and when it is neither.
    pub fn holds<'a>(
        &'a self,
        scene: &Scene<'a>,
        arguments: impl IntoIterator<Item = Value<'a>>,
    ) -> Result<bool, Trouble> {
        match self.call(scene, arguments)?.open() {
            Value::Bool(truth) => Ok(truth),
            other => Err(Trouble::wanted("a boolean from the lambda", &other)),
        }
    }
}

/// The arguments of the lambdas that are running, the outermost first, and the work done so far.
#[derive(Debug, Default)]
pub struct Locals<'a> {
    values: RefCell<Vec<Value<'a>>>,
    running: Cell<u32>,
    spent: Cell<usize>,
}

impl<'a> Locals<'a> {
    pub fn get(&self, nth: usize) -> Value<'a> {
        self.values.borrow().get(nth).cloned().unwrap_or_default()
    }

    fn enter(&self, outer: usize, arguments: impl IntoIterator<Item = Value<'a>>) {
        let mut values = self.values.borrow_mut();
        values.truncate(outer);
        values.extend(arguments);
        self.running.set(self.running.get() + 1);
    }

    fn leave(&self, outer: usize) {
        self.values.borrow_mut().truncate(outer);
        self.running.set(self.running.get() - 1);
    }

    /// Accounts for a value worked out inside a lambda, and for so many bytes in which it was searched for.
    ///
    /// # Errors
    /// When that was too much, or the value nests too deep.
    #[inline]
    pub fn account(&self, value: &Value<'_>, searched: impl FnOnce() -> usize) -> Result<(), Trouble> {
        if self.running.get() == 0 {
            return Ok(());
        }
        self.spend(weight(value, 0)?.saturating_add(searched() / SKIPPED))
    }

    /// Accounts for work whose size does not show in a value.
    ///
    /// # Errors
    /// When it was too much.
    pub fn spend(&self, units: usize) -> Result<(), Trouble> {
        let spent = self.spent.get().saturating_add(units);
        self.spent.set(spent);
        if spent > EFFORT_MAX {
            let told = "lambdas and whole messages (`events`, `data_points`) may look at";
            return Err(Trouble(format!("{told} {EFFORT_MAX} bytes of one item")));
        }
        Ok(())
    }
}

fn weight(value: &Value<'_>, level: u32) -> Result<usize, Trouble> {
    if level > LEVELS_MAX {
        return Err(Trouble(format!("nested deeper than {LEVELS_MAX} levels")));
    }
    let inside = match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Any(body) | Value::Message(_, body) => body.len(),
        Value::List(all) => {
            all.iter().try_fold(0_usize, |sum, one| Ok(sum.saturating_add(weight(one, level + 1)?)))?
        }
        Value::Map(map) => map.entries().iter().try_fold(0_usize, |sum, entry| {
            Ok(sum.saturating_add(entry.key.len()).saturating_add(weight(&entry.value, level + 1)?))
        })?,
        _ => 0,
    };
    Ok(inside.saturating_add(STEP))
}
