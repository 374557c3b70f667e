//! What editors and converters look like from outside: names, parameters, and what they are handed.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::patterns::Pattern;
use super::program::{Expr, Path};
use super::scene::Scene;
use super::trouble::Trouble;
use super::types::Types;
use super::value::Value;
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
    /// A regular expression or the name of something that is known to be secret.
    Mask,
    /// The name of a converter from a string to a string.
    Converter,
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
    Converter(&'static Converter),
    Route(Destination),
    Place(Path),
}

/// The arguments of a converter, evaluated.
pub struct Given<'s, 'a> {
    pub values: SmallVec<[Value<'a>; 4]>,
    pub arguments: &'a [Argument],
    pub scene: &'s Scene<'a>,
}

/// The arguments of an editor, evaluated, and the item they are for.
pub struct Deed<'s, 'a> {
    pub values: SmallVec<[Value<'a>; 4]>,
    pub arguments: &'a [Argument],
    pub scene: &'s mut Scene<'a>,
}

/// What both are handed is taken the same way.
macro_rules! take_arguments {
    ($of:ident) => {
        impl<'a> $of<'_, 'a> {
            /// Takes the value of an argument; nil when it was left out.
            pub fn value(&mut self, nth: usize) -> Value<'a> {
                self.values.get_mut(nth).map(std::mem::take).unwrap_or_default().open()
            }

            /// # Errors
            /// When it is no string.
            pub fn text(&mut self, nth: usize) -> Result<Cow<'a, str>, Trouble> {
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

impl Given<'_, '_> {
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
    let values = std::iter::once(value).collect();
    (converter.run)(&mut Given { values, arguments: &[], scene })
}
