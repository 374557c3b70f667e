//! What editors and converters look like from outside: names, parameters, and what they are handed.

use std::borrow::Cow;
use std::sync::Arc;

use super::compare::Single;
use super::lambda::Lambda;
use super::patterns::Pattern;
use super::program::{Expr, Path};
use super::scene::Scene;
use super::table::Table;
use super::trouble::Trouble;
use super::types::Types;
use super::value::Value;
use super::xml::xpath::XPath;
use super::zones::Zone;
use super::{grok::Grok, mask::Mask};
use crate::model::Destination;

/// What may be written in the place of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Anything that can have a value of these types.
    Value(Types),
    /// A constant of these types.
    Constant(Types),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A regular expression, as a constant.
    Pattern,
    /// The same, with the names of known patterns in it.
    Grok,
    Glob,
    /// An XPath, as a constant.
    XPath,
    /// The name of a time zone, as a constant; empty is UTC.
    Zone,
    /// A regular expression or the name of something that is known to be secret.
    Mask,
    /// The name of a table, as a constant.
    Table,
    /// The name of a converter from a string to a string.
    Converter,
    /// A lambda with so many parameters, whose body can have a value of these types.
    Lambda(usize, Types),
    /// As `Value`, worked out only when the function asks for it.
    Later(Types),
    /// A path that can be written to.
    Place,
    /// The same, where a map is.
    MapPlace,
}

#[derive(Debug)]
pub struct Parameter {
    /// In snake case; `a|b` where it has two names.
    pub name: &'static str,
    pub takes: Takes,
    pub optional: bool,
}

pub const fn must(name: &'static str, takes: Takes) -> Parameter {
    Parameter { name, takes, optional: false }
}

pub const fn may(name: &'static str, takes: Takes) -> Parameter {
    Parameter { name, takes, optional: true }
}

/// A function that gives a value and changes nothing.
#[derive(Debug)]
pub struct Converter {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
    pub gives: Types,
    /// The same arguments always give the same value.
    pub is_constant: bool,
    pub run: for<'s, 'a> fn(&mut Given<'s, 'a>) -> Result<Value<'a>, Trouble>,
}

/// A function that changes the item, or decides about it.
#[derive(Debug)]
pub struct Editor {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
    pub run: for<'s, 'a> fn(&mut Deed<'s, 'a>) -> Result<(), Trouble>,
}

/// An argument, made ready.
#[derive(Debug)]
pub enum Argument {
    Absent,
    Value(Expr),
    Pattern(Box<Pattern>),
    Grok(Box<Grok>),
    Mask(Box<Mask>),
    Table(Arc<Table>),
    XPath(XPath),
    Zone(Zone),
    Converter(&'static Converter),
    Lambda(Box<Lambda>),
    Later(Expr),
    Route(Destination),
    Place(Path),
}

/// The arguments of a converter, evaluated; constants stand where they were written.
pub struct Given<'s, 'a> {
    pub values: &'s mut [Value<'a>],
    pub arguments: &'a [Argument],
    pub scene: &'s Scene<'a>,
}

/// The arguments of an editor, evaluated likewise, and the item they are for.
pub struct Deed<'s, 'a> {
    pub values: &'s mut [Value<'a>],
    pub arguments: &'a [Argument],
    pub scene: &'s mut Scene<'a>,
}

/// What both are handed is taken the same way.
macro_rules! take_arguments {
    ($of:ident) => {
        impl<'a> $of<'_, 'a> {
            /// Takes the value of an argument; nil when it was left out.
            pub fn value(&mut self, nth: usize) -> Value<'a> {
                self.unread(nth).open()
            }

            /// The same, not looked into.
            pub fn unread(&mut self, nth: usize) -> Value<'a> {
                match self.arguments.get(nth) {
                    Some(Argument::Value(Expr::Constant(value))) => value.borrowed(),
                    _ => self.values.get_mut(nth).map(std::mem::take).unwrap_or_default(),
                }
            }

            /// # Errors
            /// When it is no string.
            pub fn text(&mut self, nth: usize) -> Result<Cow<'a, str>, Trouble> {
                if let Some(Argument::Value(Expr::Constant(Value::Str(text)))) = self.arguments.get(nth) {
                    return Ok(Cow::Borrowed(text));
                }
                match self.value(nth) {
                    Value::Str(text) => Ok(text),
                    other => Err(Trouble::wanted("a string", &other)),
                }
            }

            /// # Errors
            /// When it is there and no string.
            pub fn text_or(&mut self, nth: usize, default: &'a str) -> Result<Cow<'a, str>, Trouble> {
                match self.value(nth) {
                    Value::Nil => Ok(Cow::Borrowed(default)),
                    Value::Str(text) => Ok(text),
                    other => Err(Trouble::wanted("a string", &other)),
                }
            }

            /// # Errors
            /// When it is no integer.
            pub fn int(&mut self, nth: usize) -> Result<i64, Trouble> {
                match self.value(nth) {
                    Value::Int(number) => Ok(number),
                    other => Err(Trouble::wanted("an integer", &other)),
                }
            }

            /// # Errors
            /// When it is no list.
            pub fn list(&mut self, nth: usize) -> Result<Vec<Value<'a>>, Trouble> {
                match self.value(nth) {
                    Value::List(list) => Ok(list),
                    other => Err(Trouble::wanted("a list", &other)),
                }
            }

            /// A boolean that is false when it was left out.
            pub fn truth(&mut self, nth: usize) -> bool {
                self.value(nth) == Value::Bool(true)
            }

            /// # Errors
            /// When the argument is no pattern, which the compiler sees to.
            pub fn pattern(&self, nth: usize) -> Result<&'a Pattern, Trouble> {
                match self.arguments.get(nth) {
                    Some(Argument::Pattern(pattern)) => Ok(pattern),
                    _ => Err(Trouble::new("wanted a pattern")),
                }
            }
        }
    };
}

take_arguments!(Given);
take_arguments!(Deed);

impl<'a> Given<'_, 'a> {
    /// # Errors
    /// When the argument is no lambda, which the compiler sees to.
    pub fn lambda(&self, nth: usize) -> Result<&'a Lambda, Trouble> {
        match self.arguments.get(nth) {
            Some(Argument::Lambda(lambda)) => Ok(lambda),
            _ => Err(Trouble::new("wanted a lambda")),
        }
    }

    /// Works out an argument that was left for later.
    ///
    /// # Errors
    /// As [`Expr::value`].
    pub fn later(&self, nth: usize) -> Result<Value<'a>, Trouble> {
        match self.arguments.get(nth) {
            Some(Argument::Later(expr)) => expr.value(self.scene),
            _ => Ok(Value::Nil),
        }
    }

    /// Works out the elements of a list that was left for later, one by one.
    ///
    /// # Errors
    /// As [`Expr::value`], when it is no list, and whatever `take` finds.
    pub fn each(
        &self,
        nth: usize,
        mut take: impl FnMut(Value<'_>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        if let Some(Argument::Later(Expr::List(all))) = self.arguments.get(nth) {
            return all.iter().try_for_each(|one| match one.peek(self.scene) {
                Single::Str(text) => take(Value::of_utf8(text)),
                _ => take(one.value(self.scene)?),
            });
        }
        match self.later(nth)?.open() {
            Value::List(all) => all.into_iter().try_for_each(take),
            other => Err(Trouble::wanted("a list", &other)),
        }
    }

    /// # Errors
    /// When it is no time.
    pub fn time(&mut self, nth: usize) -> Result<i64, Trouble> {
        match self.value(nth) {
            Value::Time(nanos) => Ok(nanos),
            other => Err(Trouble::wanted("a time", &other)),
        }
    }

    /// # Errors
    /// When it is no duration.
    pub fn duration(&mut self, nth: usize) -> Result<i64, Trouble> {
        match self.value(nth) {
            Value::Duration(nanos) => Ok(nanos),
            other => Err(Trouble::wanted("a duration", &other)),
        }
    }
}

/// A converter applied to one value: what `replace_pattern(…, SHA256)` does with each match.
///
/// # Errors
/// What the converter finds wrong with it.
pub fn convert<'a>(converter: &Converter, value: Value<'a>, scene: &Scene<'a>) -> Result<Value<'a>, Trouble> {
    (converter.run)(&mut Given { values: &mut [value], arguments: &[], scene })
}
