//! Arguments: put in the order of the parameters, checked, and made ready.

use super::{Compiler, is_constant};
use crate::model::nearest::did_you_mean;
use crate::rules::functions::{Argument, Converter, Parameter, Takes};
use crate::rules::program::Expr;
use crate::rules::spots::{self, Home};
use crate::rules::syntax::tree::{self, Node};
use crate::rules::types::Types;
use crate::rules::value::Value;
use crate::rules::{converters, grok, mask, patterns};

impl Compiler<'_> {
    /// The arguments of a call in the order of the parameters.
    pub(super) fn arguments(
        &mut self,
        call: &tree::Call,
        parameters: &'static [Parameter],
    ) -> Option<Vec<Argument>> {
        let mut placed: Vec<Option<&tree::Expr>> = vec![None; parameters.len()];
        let mut named = false;
        let mut good = true;
        for (nth, argument) in call.arguments.iter().enumerate() {
            let place = match &argument.name {
                None if named => {
                    let text = "an argument without a name comes before those with one";
                    return self.wrong(&argument.value.at, text);
                }
                None => Some(nth),
                Some((name, at)) => {
                    named = true;
                    let place = parameters.iter().position(|parameter| is_called(parameter, name));
                    if place.is_none() {
                        let names = parameters.iter().flat_map(|parameter| parameter.name.split('|'));
                        let hint = did_you_mean(name, names);
                        good = false;
                        self.wrong::<()>(at, format!("`{}` takes no `{name}`{hint}", call.name));
                    }
                    place
                }
            };
            let Some(place) = place else { continue };
            match placed.get_mut(place) {
                Some(slot) if slot.is_none() => *slot = Some(&argument.value),
                Some(_) => return self.wrong(&argument.value.at, "this argument is given twice"),
                None => return self.wrong(&argument.value.at, too_many(call, parameters)),
            }
        }
        if !good {
            return None;
        }
        let ready: Vec<_> = placed
            .into_iter()
            .zip(parameters)
            .map(|(written, parameter)| match written {
                Some(written) => self.argument(written, parameter, call),
                None if parameter.optional => Some(Argument::Absent),
                None => {
                    let end = call.at.end.saturating_sub(1)..call.at.end;
                    self.wrong(
                        &end,
                        format!(
                            "`{}` lacks its `{}`: {}",
                            call.name,
                            first_name(parameter),
                            shape(call, parameters)
                        ),
                    )
                }
            })
            .collect();
        ready.into_iter().collect()
    }

    fn argument(
        &mut self,
        written: &tree::Expr,
        parameter: &Parameter,
        call: &tree::Call,
    ) -> Option<Argument> {
        let what = format!("`{}` of `{}`", first_name(parameter), call.name);
        match parameter.takes {
            Takes::Place | Takes::MapPlace => return self.place(written, parameter, &what),
            Takes::Converter => return self.converter(written, &what),
            _ => {}
        }
        let typed = self.value(written)?;
        let (wanted, constant) = match parameter.takes {
            Takes::Value(types) => (types, false),
            Takes::Constant(types) => (types, true),
            _ => (Types::STR, true),
        };
        let left_out = parameter.optional && matches!(typed.expr, Expr::Constant(Value::Nil));
        if !typed.types.meets(wanted) && !left_out {
            return self
                .wrong(&written.at, format!("{what} is {}, not {}", wanted.words(), typed.types.words()));
        }
        if constant && !is_constant(&typed.expr) {
            let found = written.node.what();
            return self.wrong(
                &written.at,
                format!("{what} is worked out once, so it must be a constant, not {found}"),
            );
        }
        let Expr::Constant(Value::Str(text)) = &typed.expr else { return Some(Argument::Value(typed.expr)) };
        let remembering = |regex| Argument::Pattern(Box::new(patterns::Pattern::of(regex)));
        let made = match parameter.takes {
            Takes::Pattern => patterns::compile(text).map(remembering),
            Takes::Glob => patterns::glob(text).map(remembering),
            Takes::Grok => grok::Grok::of(text, call).map(|grok| Argument::Grok(Box::new(grok))),
            Takes::Mask => mask::Mask::of(text).map(|mask| Argument::Mask(Box::new(mask))),
            Takes::Choice(choices) if !choices.contains(&text.as_ref()) => {
                let hint = did_you_mean(text, choices.iter().copied());
                Err(format!("{what} is one of {}, not `{text}`{hint}", choices.join(", ")))
            }
            _ => return Some(Argument::Value(typed.expr)),
        };
        match made {
            Ok(argument) => Some(argument),
            Err(text) => self.wrong(&written.at, text),
        }
    }

    fn place(&mut self, written: &tree::Expr, parameter: &Parameter, what: &str) -> Option<Argument> {
        let Node::Path(segments) = &written.node else {
            return self
                .wrong(&written.at, format!("{what} is a path to write to, not {}", written.node.what()));
        };
        let (path, known) = self.path(segments, &written.at)?;
        let around = matches!(path.home, Home::Resource | Home::Scope | Home::Root | Home::Parent);
        if !known.writable {
            return self.wrong(&written.at, format!("`{}` can be read, not written", named(segments)));
        }
        if around || (path.home == Home::Item && spots::own(self.context) == Home::Inner) {
            let own = segments.first().map_or("", |first| first.name.as_str());
            let text = match path.home {
                Home::Root | Home::Parent => {
                    format!("`{own}` is another span, which this rule can read and not write")
                }
                _ => format!(
                    "from a {} the {own} can be read, not written; write it in a group of its own",
                    self.context.name()
                ),
            };
            return self.wrong(&written.at, text);
        }
        let types = if path.keys.is_empty() { known.types } else { Types::ANY };
        if matches!(parameter.takes, Takes::MapPlace) && !types.meets(Types::MAP) {
            return self.wrong(
                &written.at,
                format!("{what} is a map, and `{}` is {}", named(segments), types.words()),
            );
        }
        Some(Argument::Place(path))
    }

    fn converter(&mut self, written: &tree::Expr, what: &str) -> Option<Argument> {
        let found = match &written.node {
            Node::Name(name) => converters::find(name),
            _ => None,
        };
        let fits = |c: &&'static Converter| {
            let one = c.parameters.iter().filter(|parameter| !parameter.optional).count() == 1;
            one && c
                .parameters
                .first()
                .is_some_and(|p| matches!(p.takes, Takes::Value(t) if t.meets(Types::STR)))
        };
        match found.filter(fits) {
            Some(converter) => Some(Argument::Converter(converter)),
            None => {
                let text = format!("{what} is the name of a converter that takes one string, like `SHA256`");
                self.wrong(&written.at, text)
            }
        }
    }
}

fn named(segments: &[tree::Segment]) -> String {
    segments.iter().map(|segment| segment.name.as_str()).collect::<Vec<_>>().join(".")
}

fn first_name(parameter: &Parameter) -> &'static str {
    parameter.name.split('|').next().unwrap_or_default()
}

/// The Collector's documentation writes some names in camel case.
fn is_called(parameter: &Parameter, name: &str) -> bool {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    parameter.name.split('|').any(|known| plain(known) == plain(name))
}

fn too_many(call: &tree::Call, parameters: &[Parameter]) -> String {
    format!("`{}` takes at most {}: {}", call.name, parameters.len(), shape(call, parameters))
}

/// `set(target, value)`.
fn shape(call: &tree::Call, parameters: &[Parameter]) -> String {
    let names = parameters.iter().map(|p| format!("{}{}", first_name(p), if p.optional { "?" } else { "" }));
    format!("`{}({})`", call.name, names.collect::<Vec<_>>().join(", "))
}

pub(super) fn is_settled(argument: &Argument) -> bool {
    match argument {
        Argument::Value(expr) => is_constant(expr),
        Argument::Place(_) => false,
        _ => true,
    }
}
