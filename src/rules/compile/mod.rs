//! Trees to programs. Every name is looked up, every argument checked; each mistake says where it stands.

mod arguments;
pub mod headers;
mod lambdas;
mod paths;
mod routes;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::arithmetic;
use super::engine::Reads;
use super::frame::Frame;
use super::functions::{Argument, Converter, Editor};
use super::group::Context;
use super::names::Tables as Names;
use super::program::{Arguments, Call, Condition, Expr, Statement};
use super::scene::Scene;
use super::spots;
use super::syntax::{Unreadable, tree};
use super::table::Tables;
use super::types::Types;
use super::upstreams::Upstreams;
use super::value::Value;
use super::{converters, editors};
use crate::model::nearest::did_you_mean;
use arguments::is_settled;
use paths::path_types;
use tree::Node;

/// Compiles the statements of one context, gathering what is wrong with them.
pub struct Compiler<'t> {
    pub context: Context,
    /// Paths may leave the context's name away.
    pub bare: bool,
    /// The parameters of the lambdas around what is compiled.
    pub locals: Vec<String>,
    pub mistakes: Vec<Unreadable>,
    pub reads: Reads,
    /// Headers that are named.
    pub headers: &'t mut BTreeSet<Arc<str>>,
    /// Attributes that are.
    pub names: &'t mut Names,
    pub tables: &'t mut Tables<'t>,
    pub upstreams: &'t mut Upstreams,
    /// The cache is looked at.
    pub caches: bool,
}

/// A value and the types it can have.
struct Typed {
    expr: Expr,
    types: Types,
}

impl Compiler<'_> {
    fn wrong<T>(&mut self, at: &Range<usize>, text: impl Into<String>) -> Option<T> {
        self.mistakes.push(Unreadable { at: at.clone(), text: text.into() });
        None
    }

    /// `None` when there is a mistake.
    pub fn statement(&mut self, statement: &tree::Statement) -> Option<Statement> {
        let condition = statement.condition.as_ref().map(|condition| self.condition(condition));
        let call = &statement.editor;
        let Some(editor) = editors::all().find(|editor| editor.name == call.name) else {
            let hint = did_you_mean(&call.name, editors::all().map(|editor| editor.name));
            return self.wrong(&call.name_at, format!("unknown editor `{}`{hint}", call.name));
        };
        let (asked_of, contexts): (_, &[Context]) = match editor.name {
            "sample" => ("spans and log records", &[Context::Span, Context::Log]),
            "convert_sum_to_gauge" | "convert_gauge_to_sum" => ("metrics", &[Context::Metric]),
            _ => ("", &Context::ALL),
        };
        if !contexts.contains(&self.context) {
            let text = format!("`{}` is asked of {asked_of}, not of a {}", editor.name, self.context.name());
            return self.wrong(&call.name_at, text);
        }
        let arguments = match editor.name {
            "route" => self.route(call)?,
            _ => self.arguments(call, editor.parameters)?,
        };
        self.fits(editor, &arguments, call)?;
        if let [Argument::Place(path), Argument::Value(Expr::Constant(Value::Str(key)))] =
            arguments.as_slice()
            && editor.name == "delete_key"
            && path.keys.is_empty()
        {
            self.names.numbered(self.context, path.home, path.spot, key);
        }
        let arguments = Arguments::new(arguments);
        Some(Statement { editor, arguments, condition: condition.map_or(Some(None), |c| c.map(Some))? })
    }

    /// What `set` writes must be of a type that its target can have.
    fn fits(&mut self, editor: &Editor, arguments: &[Argument], call: &tree::Call) -> Option<()> {
        let (Some(Argument::Place(path)), Some(Argument::Value(Expr::Constant(value)))) =
            (arguments.first(), arguments.get(1))
        else {
            return Some(());
        };
        let wanted = path_types(path, self.context);
        if editor.name != "set" || matches!(value, Value::Nil) || wanted.meets(types_of(value)) {
            return Some(());
        }
        let at = call.arguments.get(1).map_or(call.at.clone(), |argument| argument.value.at.clone());
        self.wrong(&at, format!("the target takes {}, not {}", wanted.words(), value.what()))
    }

    /// `None` when there is a mistake.
    pub fn condition(&mut self, expr: &tree::Expr) -> Option<Condition> {
        match &expr.node {
            Node::Or(left, right) => {
                let (left, right) = (self.condition(left), self.condition(right));
                Some(Condition::Or(Box::new((left?, right?))))
            }
            Node::And(left, right) => {
                let (left, right) = (self.condition(left), self.condition(right));
                Some(Condition::And(Box::new((left?, right?))))
            }
            Node::Not(inner) => Some(Condition::Not(Box::new(self.condition(inner)?))),
            Node::Compare(op, left, right) => {
                let (left, right) = (self.value(left), self.value(right));
                Some(Condition::Compare(*op, left?.expr, right?.expr))
            }
            Node::Bool(truth) => Some(Condition::Constant(*truth)),
            _ => {
                let value = self.value(expr)?;
                if !value.types.meets(Types::BOOL) {
                    let what = value.types.words();
                    return self.wrong(&expr.at, format!("a condition is true or false; this is {what}"));
                }
                Some(match value.expr {
                    Expr::Constant(Value::Bool(truth)) => Condition::Constant(truth),
                    Expr::Call(call) if call.converter.name == "IsMatch" => Condition::Match(call),
                    other => Condition::Truth(other),
                })
            }
        }
    }

    fn value(&mut self, expr: &tree::Expr) -> Option<Typed> {
        let constant =
            |value: Value<'static>| Some(Typed { types: types_of(&value), expr: Expr::Constant(value) });
        match &expr.node {
            Node::Nil => constant(Value::Nil),
            Node::Bool(truth) => constant(Value::Bool(*truth)),
            Node::Int(number) => constant(Value::Int(*number)),
            Node::Float(number) => constant(Value::Double(*number)),
            Node::Text(text) => constant(Value::text(text.clone())),
            Node::Bytes(bytes) => constant(Value::Bytes(bytes.clone().into())),
            Node::Name(name) => match spots::ENUMS.iter().find(|(known, _)| known == name) {
                Some((_, number)) => constant(Value::Int(*number)),
                None => {
                    let hint = match converters::find(name) {
                        Some(_) => format!("; a converter is called with parentheses: `{name}(…)`"),
                        None => did_you_mean(name, spots::ENUMS.iter().map(|(known, _)| *known)),
                    };
                    self.wrong(&expr.at, format!("unknown enum `{name}`{hint}"))
                }
            },
            Node::Path(segments) if self.is_local(segments) => self.local(segments, &expr.at),
            Node::Path(segments) => {
                let (path, known) = self.path(segments, &expr.at)?;
                let types = if path.keys.is_empty() { known.types } else { Types::ANY };
                Some(Typed { expr: Expr::Path(path), types })
            }
            Node::List(all) => {
                let all: Vec<_> = all.iter().map(|one| self.value(one)).collect();
                let all: Option<Vec<_>> = all.into_iter().map(|one| one.map(|typed| typed.expr)).collect();
                Some(Typed { expr: folded(Expr::List(all?)), types: Types::LIST })
            }
            Node::Map(all) => {
                let all: Vec<_> = all.iter().map(|(key, one)| (key.clone(), self.value(one))).collect();
                let all: Option<Vec<_>> = all.into_iter().map(|(key, one)| Some((key, one?.expr))).collect();
                Some(Typed { expr: folded(Expr::Map(all?)), types: Types::MAP })
            }
            Node::Call(call) => self.call(call),
            Node::Lambda(..) => self.wrong(
                &expr.at,
                "a lambda is no value; it stands where a function runs it, like `Filter(tags, (_, v) => v != \"\")`",
            ),
            Node::Math(op, left, right) => self.math(*op, left, right, &expr.at),
            Node::Compare(..) | Node::Not(_) | Node::And(..) | Node::Or(..) => {
                self.wrong(&expr.at, format!("{} has no value; it stands behind `where`", expr.node.what()))
            }
        }
    }

    fn math(
        &mut self,
        op: tree::MathOp,
        left: &tree::Expr,
        right: &tree::Expr,
        at: &Range<usize>,
    ) -> Option<Typed> {
        const CALCULATES: Types = Types::NUMBER.or(Types::TIME).or(Types::DURATION);
        let (a, b) = (self.value(left), self.value(right));
        let (a, b) = (a?, b?);
        for (side, tree) in [(&a, left), (&b, right)] {
            if !side.types.meets(CALCULATES) {
                let sign = arithmetic::sign(op);
                let text = format!("`{sign}` takes numbers, times and durations, not {}", side.types.words());
                return self.wrong(&tree.at, text);
            }
        }
        if let (Expr::Constant(a), Expr::Constant(b)) = (&a.expr, &b.expr) {
            return match arithmetic::calculate(op, a.clone(), b.clone()) {
                Ok(value) => Some(Typed { types: types_of(&value), expr: Expr::Constant(value) }),
                Err(trouble) => self.wrong(at, trouble.0),
            };
        }
        Some(Typed { expr: Expr::Math(op, Box::new((a.expr, b.expr))), types: CALCULATES })
    }

    fn call(&mut self, call: &tree::Call) -> Option<Typed> {
        let Some(converter) = converters::find(&call.name) else {
            let hint = did_you_mean(&call.name, converters::all().map(|converter| converter.name));
            return self.wrong(&call.name_at, format!("unknown converter `{}`{hint}", call.name));
        };
        let arguments = self.arguments(call, converter.parameters);
        let keys: Vec<_> = call.keys.iter().map(|key| self.key(key)).collect();
        let (arguments, keys) = (arguments?, keys.into_iter().collect::<Option<Vec<_>>>()?);
        if let [Argument::Table(table), _, Argument::Value(Expr::Constant(Value::Str(column)))] =
            arguments.as_slice()
            && let Err(text) = table.column(Some(column))
        {
            return self.wrong(&call.at, text);
        }
        if converter.name == "IsRootSpan" && self.context != Context::Span {
            return self.wrong(&call.name_at, "`IsRootSpan` is asked of spans only");
        }
        if !keys.is_empty() && !converter.gives.meets(Types::LIST.or(Types::MAP)) {
            let text = format!("`{}` gives {}, which has no parts", call.name, converter.gives.words());
            return self.wrong(&call.at, text);
        }
        let types = if keys.is_empty() { converter.gives } else { Types::ANY };
        let steady = converter.is_constant
            && !depends_on_now(converter, &arguments)
            && keys.iter().all(is_constant)
            && arguments.iter().all(is_settled);
        let expr = Expr::Call(Box::new(Call { converter, arguments: Arguments::new(arguments), keys }));
        if !steady {
            return Some(Typed { expr, types });
        }
        match worked_out(&expr) {
            Ok(value) => Some(Typed { types: types_of(&value), expr: Expr::Constant(value) }),
            Err(trouble) => self.wrong(&call.at, format!("fails on every item: {trouble}")),
        }
    }
}

fn types_of(value: &Value<'_>) -> Types {
    match value {
        Value::Nil => Types::NIL,
        Value::Bool(_) => Types::BOOL,
        Value::Int(_) => Types::INT,
        Value::Double(_) => Types::DOUBLE,
        Value::Str(_) => Types::STR,
        Value::Bytes(_) => Types::BYTES,
        Value::Time(_) => Types::TIME,
        Value::Duration(_) => Types::DURATION,
        Value::List(_) => Types::LIST,
        Value::Map(_) => Types::MAP,
        Value::Any(_) | Value::Message(..) => Types::ANY,
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant(_))
}

/// `Time` of a format without a year means this year, or today.
fn depends_on_now(converter: &Converter, arguments: &[Argument]) -> bool {
    let says_year =
        |format: &str| ["%Y", "%y", "%D", "%x", "%F", "%c"].iter().any(|part| format.contains(part));
    let format = match arguments.get(1) {
        Some(Argument::Value(Expr::Constant(Value::Str(format)))) => Some(format),
        _ => None,
    };
    converter.name == "Time" && format.is_none_or(|format| !says_year(format))
}

/// A list or map of constants is one.
fn folded(expr: Expr) -> Expr {
    let constant = match &expr {
        Expr::List(all) => all.iter().all(is_constant),
        Expr::Map(all) => all.iter().all(|(_, one)| is_constant(one)),
        _ => false,
    };
    match constant.then(|| worked_out(&expr)) {
        Some(Ok(value)) => Expr::Constant(value),
        _ => expr,
    }
}

/// The value of what looks at no item.
fn worked_out(expr: &Expr) -> Result<Value<'static>, super::trouble::Trouble> {
    let nothing = Scene::of(Context::Resource, &[], Frame::default(), Names::NONE);
    Ok(expr.value(&nothing)?.into_owned())
}
