//! Lambdas: their parameters become places among what is bound, their bodies programs.
//!
//! A parameter hides a path of its name, as in the Collector; nothing can be reached in one by `.`, keys can.

use std::ops::Range;

use super::{Compiler, Typed};
use crate::rules::functions::Argument;
use crate::rules::lambda::{Body, Lambda};
use crate::rules::program::Expr;
use crate::rules::syntax::tree::{self, Node};
use crate::rules::types::Types;

/// The parameter that is not looked at.
const BLANK: &str = "_";

impl Compiler<'_> {
    pub(super) fn lambda(
        &mut self,
        written: &tree::Expr,
        arity: usize,
        gives: Types,
        what: &str,
    ) -> Option<Argument> {
        let Node::Lambda(parameters, body) = &written.node else {
            let shape = ["() => …", "(value) => …", "(key, value) => …", "(sum, key, value) => …"];
            let shape = shape.get(arity).copied().unwrap_or_default();
            let found = written.node.what();
            return self.wrong(&written.at, format!("{what} is a lambda, like `{shape}`, not {found}"));
        };
        if parameters.len() != arity {
            let count = parameters.len();
            let hint = if count < arity { "; name those it does not need `_`" } else { "" };
            return self.wrong(&written.at, format!("{what} has {arity} parameters, not {count}{hint}"));
        }
        let named = || parameters.iter().filter(|parameter| parameter.name != BLANK);
        if let Some((_, twice)) = named()
            .enumerate()
            .find(|(nth, second)| named().take(*nth).any(|first| first.name == second.name))
        {
            return self.wrong(&twice.at, format!("two parameters are called `{}`", twice.name));
        }
        let outer = self.locals.len();
        self.locals.extend(parameters.iter().map(|parameter| parameter.name.clone()));
        let compiled = self.body(body);
        self.locals.truncate(outer);
        let (compiled, types) = compiled?;
        if !types.meets(gives) {
            let text = format!("{what} gives {}, not {}", gives.words(), types.words());
            return self.wrong(&body.at, text);
        }
        Some(Argument::Lambda(Box::new(Lambda { outer, body: compiled })))
    }

    fn body(&mut self, body: &tree::Expr) -> Option<(Body, Types)> {
        match &body.node {
            Node::Compare(..) | Node::Not(_) | Node::And(..) | Node::Or(..) => {
                Some((Body::Condition(self.condition(body)?), Types::BOOL))
            }
            _ => self.value(body).map(|typed| (Body::Value(typed.expr), typed.types)),
        }
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|local| local == name && name != BLANK)
    }

    pub(super) fn is_local(&self, segments: &[tree::Segment]) -> bool {
        segments.first().is_some_and(|first| first.name == BLANK || self.place_of(&first.name).is_some())
    }

    pub(super) fn local(&mut self, segments: &[tree::Segment], at: &Range<usize>) -> Option<Typed> {
        let first = segments.first()?;
        let Some(place) = self.place_of(&first.name) else {
            return self.wrong(at, "`_` is the parameter that is not looked at; give it a name");
        };
        if let Some(second) = segments.get(1) {
            let hint = format!("write `{}[\"{}\"]`", first.name, second.name);
            return self.wrong(&second.at, format!("`.` leads nowhere from a parameter; {hint}"));
        }
        let keys: Vec<_> = first.keys.iter().map(|key| self.key(key)).collect();
        let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Typed { expr: Expr::Local(place, keys), types: Types::ANY })
    }
}
