//! Statements made ready to run: names looked up, patterns compiled, constants worked out.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::arithmetic::calculate;
use super::compare::{self, Single};
use super::entries::Which;
use super::functions::{Argument, Converter, Deed, Editor, Given};
use super::keys::{self, Key};
use super::names::Number;
use super::scene::Scene;
use super::spots::{Home, Spot};
use super::syntax::tree::{CompareOp, MathOp};
use super::trouble::Trouble;
use super::value::Value;

#[derive(Debug)]
pub enum Expr {
    Constant(Value<'static>),
    Path(Path),
    /// A parameter of a lambda around this, by its place among all that are bound.
    Local(usize, Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
    Math(MathOp, Box<(Expr, Expr)>),
    Call(Box<Call>),
}

#[derive(Debug)]
pub struct Path {
    pub home: Home,
    pub spot: Spot,
    pub keys: Vec<Expr>,
    /// The keys where all are constants, as they mostly are.
    ready: Option<Box<[Key<'static>]>>,
    /// Of an attribute with such a key and no other.
    pub number: Option<Number>,
}

#[derive(Debug)]
pub struct Call {
    pub converter: &'static Converter,
    pub arguments: Arguments,
    pub keys: Vec<Expr>,
}

#[derive(Debug)]
pub enum Condition {
    Constant(bool),
    Compare(CompareOp, Expr, Expr),
    /// `IsMatch`, which is asked more than anything else.
    Match(Box<Call>),
    /// A value that has to be true or false.
    Truth(Expr),
    Not(Box<Condition>),
    And(Box<(Condition, Condition)>),
    Or(Box<(Condition, Condition)>),
}

#[derive(Debug)]
pub struct Arguments {
    pub all: Vec<Argument>,
    /// Some have a value that has to be worked out; others are constants, places, patterns.
    vary: bool,
}

#[derive(Debug)]
pub struct Statement {
    pub editor: &'static Editor,
    pub arguments: Arguments,
    pub condition: Option<Condition>,
}

pub type Keys<'a> = SmallVec<[Key<'a>; 2]>;

type Values<'a> = SmallVec<[Value<'a>; 4]>;

impl Expr {
    /// # Errors
    /// Whatever stands in the way of a value: types that do not go together, converters that fail.
    pub fn value<'a>(&'a self, scene: &Scene<'a>) -> Result<Value<'a>, Trouble> {
        let value = self.worth(scene)?;
        scene.locals.account(&value, || match self {
            Expr::Path(_) => scene.item.base().len(),
            _ => 0,
        })?;
        Ok(value)
    }

    fn worth<'a>(&'a self, scene: &Scene<'a>) -> Result<Value<'a>, Trouble> {
        match self {
            Expr::Constant(value) => Ok(value.borrowed()),
            Expr::Path(path) => path.read(scene),
            Expr::Local(nth, keys) => keys::get(scene.locals.get(*nth), &evaluated(keys, scene)?),
            Expr::List(all) => {
                all.iter().map(|one| one.value(scene)).collect::<Result<_, _>>().map(Value::List)
            }
            Expr::Map(all) => {
                let pair = |(key, value): &'a (String, Expr)| Ok((key.as_str().into(), value.value(scene)?));
                all.iter().map(pair).collect::<Result<_, _>>().map(Value::Map)
            }
            Expr::Math(op, sides) => calculate(*op, sides.0.value(scene)?, sides.1.value(scene)?),
            Expr::Call(call) => call.value(scene),
        }
    }
}

impl Expr {
    /// The value where it can be compared as it stands; what has parts, or looks so, has to be worked out.
    #[inline(always)]
    pub fn peek<'s, 'a>(&'a self, scene: &'s Scene<'a>) -> Single<'s> {
        match self {
            Expr::Constant(value) => Single::of(value),
            Expr::Path(path) => path.peek(scene),
            _ => Single::Parts,
        }
    }
}

impl Path {
    pub fn new(home: Home, spot: Spot, keys: Vec<Expr>, number: Option<Number>) -> Self {
        let ready = keys.iter().map(|key| match key {
            Expr::Constant(key) => Key::of(key.clone()).ok(),
            _ => None,
        });
        Self { home, spot, ready: ready.collect(), keys, number }
    }

    /// # Errors
    /// As [`Expr::value`].
    pub fn keys<'a>(&'a self, scene: &Scene<'a>) -> Result<Cow<'a, [Key<'a>]>, Trouble> {
        match &self.ready {
            Some(ready) => Ok(Cow::Borrowed(ready)),
            None => evaluated(&self.keys, scene).map(|keys| Cow::Owned(keys.into_vec())),
        }
    }

    /// # Errors
    /// As [`Expr::value`].
    pub fn read<'a>(&'a self, scene: &Scene<'a>) -> Result<Value<'a>, Trouble> {
        if let Some(number) = self.number {
            let draft = scene.draft(self.home);
            return Ok(draft.map_or(Value::Nil, |draft| draft.entry(Which::Named(number))));
        }
        scene.read(self.home, self.spot, &self.keys(scene)?)
    }
}

impl Path {
    /// A field or an attribute as it is compared; what has parts, or looks so, has to be read.
    #[inline]
    pub fn peek<'s, 'a>(&'a self, scene: &'s Scene<'a>) -> Single<'s> {
        let Some(draft) = scene.draft(self.home) else { return Single::Parts };
        if let Some(number) = self.number {
            return draft.peek_entry(Which::Named(number));
        }
        match self.spot {
            Spot::Text(place) => draft.peek(place, |seen| matches!(seen, Single::Str(_))),
            Spot::Number(place) => draft.peek(place, |seen| matches!(seen, Single::Int(_))),
            _ => Single::Parts,
        }
    }
}

fn evaluated<'a>(keys: &'a [Expr], scene: &Scene<'a>) -> Result<Keys<'a>, Trouble> {
    keys.iter().map(|key| Key::of(key.value(scene)?)).collect()
}

impl Call {
    fn value<'a>(&'a self, scene: &Scene<'a>) -> Result<Value<'a>, Trouble> {
        let mut values = Values::new();
        self.arguments.work_out(scene, &mut values)?;
        let arguments = &self.arguments.all;
        let value = (self.converter.run)(&mut Given { values: &mut values, arguments, scene })
            .map_err(|trouble| Trouble(format!("{}: {trouble}", self.converter.name)))?;
        if self.keys.is_empty() { Ok(value) } else { keys::get(value, &evaluated(&self.keys, scene)?) }
    }
}

impl Arguments {
    pub fn new(all: Vec<Argument>) -> Self {
        let varies =
            |one: &Argument| matches!(one, Argument::Value(expr) if !matches!(expr, Expr::Constant(_)));
        Self { vary: all.iter().any(varies), all }
    }

    /// Works out those that are no constants, each in its place.
    fn work_out<'a>(&'a self, scene: &Scene<'a>, values: &mut Values<'a>) -> Result<(), Trouble> {
        for (nth, argument) in self.all.iter().enumerate() {
            match argument {
                Argument::Value(Expr::Constant(value)) => scene.locals.account(value, || 0)?,
                Argument::Value(expr) => {
                    let value = expr.value(scene)?;
                    values.resize_with(nth, Value::default);
                    values.push(value);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Condition {
    /// # Errors
    /// As [`Expr::value`]; what `and` and `or` need not look at is not looked at.
    pub fn holds<'a>(&'a self, scene: &Scene<'a>) -> Result<bool, Trouble> {
        Ok(match self {
            Condition::Constant(truth) => *truth,
            Condition::Compare(op, left, right) => {
                // Most compare a field with a constant: neither needs to be a value.
                match (left.peek(scene), right.peek(scene)) {
                    (Single::Parts, _) | (_, Single::Parts) => {
                        compare::holds(*op, &left.value(scene)?, &right.value(scene)?)
                    }
                    (left, right) => compare::singles(*op, left, right),
                }
            }
            Condition::Match(call) => {
                if let [Argument::Value(target), Argument::Pattern(pattern)] = call.arguments.all.as_slice()
                    && let Single::Str(text) = target.peek(scene)
                {
                    return Ok(pattern.is_match_bytes(text));
                }
                call.value(scene)? == Value::Bool(true)
            }
            Condition::Truth(expr) => match expr.value(scene)?.open() {
                Value::Bool(truth) => truth,
                other => return Err(Trouble::wanted("a boolean", &other)),
            },
            Condition::Not(inner) => !inner.holds(scene)?,
            Condition::And(sides) => sides.0.holds(scene)? && sides.1.holds(scene)?,
            Condition::Or(sides) => sides.0.holds(scene)? || sides.1.holds(scene)?,
        })
    }
}

impl Statement {
    /// Carries it out, if its condition holds; says whether it did.
    ///
    /// # Errors
    /// What stood in the way. Nothing has been written then.
    pub fn run<'a>(&'a self, scene: &mut Scene<'a>) -> Result<bool, Trouble> {
        if let Some(condition) = &self.condition
            && !condition.holds(scene)?
        {
            return Ok(false);
        }
        let arguments = &self.arguments.all;
        // Outside of lambdas constants are not accounted for.
        let done = if self.arguments.vary {
            let mut values = Values::new();
            self.arguments.work_out(scene, &mut values)?;
            (self.editor.run)(&mut Deed { values: &mut values, arguments, scene })
        } else {
            (self.editor.run)(&mut Deed { values: &mut [], arguments, scene })
        };
        match done {
            Ok(()) => Ok(true),
            Err(trouble) => Err(Trouble(format!("{}: {trouble}", self.editor.name))),
        }
    }
}
