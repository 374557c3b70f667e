//! `route("eu", "archive")`: which upstreams are meant. It is the one function that takes any number of arguments.

use super::Compiler;
use crate::model::Destination;
use crate::model::nearest::did_you_mean;
use crate::rules::functions::Argument;
use crate::rules::group::Context;
use crate::rules::syntax::tree::{Call, Expr, Node};

impl Compiler<'_> {
    /// The arguments of `route`, as one. `None` when there is a mistake.
    pub(super) fn route(&mut self, call: &Call) -> Option<Vec<Argument>> {
        if matches!(self.context, Context::SpanEvent | Context::DataPoint) {
            let whole = if self.context == Context::SpanEvent { "span" } else { "metric" };
            let (context, hint) = (self.context.name(), format!("ask it of the {whole}"));
            return self.wrong(&call.at, format!("a {context} goes where its {whole} goes; {hint}"));
        }
        if call.arguments.is_empty() {
            return self.wrong(&call.at, "`route` lacks the name of an upstream: `route(\"archive\")`");
        }
        let mut to = Some(Destination::NOWHERE);
        for argument in &call.arguments {
            if let Some((name, at)) = &argument.name {
                return self.wrong(at, format!("`route` takes no `{name}`, only names of upstreams"));
            }
            // Every name is looked at, so that all mistakes are told.
            to = self.upstream(&argument.value).and_then(|one| to.map(|to| to | one));
        }
        to.map(|to| vec![Argument::Route(to)])
    }

    fn upstream(&mut self, written: &Expr) -> Option<Destination> {
        let Node::Text(name) = &written.node else {
            let what = written.node.what();
            return self
                .wrong(&written.at, format!("`route` takes names of upstreams as strings, not {what}"));
        };
        let Some((nth, takes)) = self.upstreams.find(name) else {
            let hint = did_you_mean(name, self.upstreams.names());
            let names = self.upstreams.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let hint = match (names.is_empty(), hint.is_empty()) {
                (true, _) => "; there are no `upstreams`".to_owned(),
                (false, true) => format!("; there are {names}"),
                (false, false) => hint,
            };
            return self.wrong(&written.at, format!("no upstream is called `{name}`{hint}"));
        };
        match self.context.signal().filter(|signal| !takes.has(*signal)) {
            Some(signal) => {
                let text =
                    format!("the upstream `{name}` takes no {}, only {}", signal.name(), takes.names(", "));
                self.wrong(&written.at, text)
            }
            None => Some(Destination::of(nth)),
        }
    }
}
