//! Paths: which are known where, and what may stand in brackets behind them.

use std::ops::Range;

use super::Compiler;
use crate::model::nearest::did_you_mean;
use crate::rules::group::Context;
use crate::rules::program::{Expr, Path};
use crate::rules::spots::{self, Home, Known, Spot};
use crate::rules::syntax::tree;
use crate::rules::types::Types;
use crate::rules::value::Value;

impl Compiler<'_> {
    pub(super) fn key(&mut self, key: &tree::Expr) -> Option<Expr> {
        let typed = self.value(key)?;
        if !typed.types.meets(Types::STR.or(Types::INT)) {
            return self
                .wrong(&key.at, format!("a key is a string or an integer, not {}", typed.types.words()));
        }
        Some(typed.expr)
    }

    pub(super) fn path(
        &mut self,
        segments: &[tree::Segment],
        at: &Range<usize>,
    ) -> Option<(Path, &'static Known)> {
        let (first, last) = (segments.first()?, segments.last()?);
        let reached = spots::reach(&first.name, self.context);
        let (home, table, rest) = match reached {
            Some((home, table)) if segments.len() > 1 || first.name == "header" => {
                (home, table, segments.get(1..).unwrap_or_default())
            }
            _ if self.bare && Context::of_name(&first.name).is_none() && !is_elsewhere(&first.name) => {
                (spots::own(self.context), spots::of_context(self.context), segments)
            }
            _ => return self.wrong(&first.at, self.unreachable(&first.name)),
        };
        let name = rest.iter().map(|segment| segment.name.as_str()).collect::<Vec<_>>().join(".");
        let Some(known) = table.iter().find(|known| known.name == name) else {
            let hint = did_you_mean(&name, table.iter().map(|known| known.name));
            if name == "schema_url" {
                let text = "`schema_url` stands beside a resource or scope, not in it; rules do not reach it";
                return self.wrong(at, text);
            }
            let whose = if rest.len() < segments.len() { &first.name } else { self.context.name() };
            let names = table.iter().map(|k| k.name).collect::<Vec<_>>().join(", ");
            let hint = if hint.is_empty() { format!("; there are {names}") } else { hint };
            return self.wrong(at, format!("`{whose}` has no `{name}`{hint}"));
        };
        if let Some(early) = segments.iter().rev().skip(1).find(|segment| !segment.keys.is_empty()) {
            return self.wrong(&early.at, format!("`{}` can not be looked into here", early.name));
        }
        let keys: Vec<_> = last.keys.iter().map(|key| self.key(key)).collect();
        let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
        if !keys.is_empty() && !has_parts(known) {
            let text = format!("`{name}` is {}, which has no parts", known.types.words());
            return self.wrong(at, text);
        }
        if known.spot == Spot::Header {
            self.header(&keys, at)?;
        }
        let home = if known.spot == Spot::Cache { Home::Around } else { home };
        self.caches |= known.spot == Spot::Cache;
        self.reads.note(home, known.spot, self.context);
        let number = match keys.as_slice() {
            [Expr::Constant(Value::Str(key))] => self.names.numbered(self.context, home, known.spot, key),
            _ => None,
        };
        Some((Path::new(home, known.spot, keys, number), known))
    }

    fn unreachable(&self, first: &str) -> String {
        let context = self.context.name();
        if let Some((_, hint)) = ELSEWHERE.iter().find(|(name, _)| *name == first) {
            return format!("`{first}` is a context of the Collector's that is none here; {hint}");
        }
        let names = Context::ALL.map(Context::name).into_iter().chain(spots::AROUND);
        if names.clone().any(|name| name == first) {
            return match spots::reach(first, self.context) {
                Some(_) => {
                    format!("`{first}` alone is no value; name a field of it, like `{first}.attributes`")
                }
                None => format!("`{first}` can not be reached from a {context}"),
            };
        }
        let reachable = names.filter(|name| spots::reach(name, self.context).is_some());
        let hint = did_you_mean(first, reachable);
        let own =
            spots::of_context(self.context).iter().any(|known| known.name.split('.').next() == Some(first));
        let hint = if own { format!("; write `{context}.{first}`") } else { hint };
        format!("a path begins with what it is about, and `{first}` is nothing known{hint}")
    }
}

/// Contexts that the Collector has and these rules have not, and what to do instead.
const ELSEWHERE: [(&str, &str); 8] = [
    ("spanlink", "`span.links` is a list of them"),
    ("exemplar", "`datapoint.exemplars` is a list of them"),
    ("profile", PROFILES),
    ("profilesample", PROFILES),
    ("profilelocation", PROFILES),
    ("profilestack", PROFILES),
    ("profilecommon", PROFILES),
    ("context", "a header is `header[\"x-tenant\"]`"),
];
const PROFILES: &str = "profiles pass through unread, but for rules about their `resource`";

fn is_elsewhere(name: &str) -> bool {
    ELSEWHERE.iter().any(|(known, _)| *known == name)
}

fn has_parts(known: &Known) -> bool {
    matches!(known.spot, Spot::TraceState | Spot::Header) || known.types.meets(Types::MAP.or(Types::LIST))
}

pub(super) fn path_types(path: &Path, context: Context) -> Types {
    let known = spots::of_context(context).iter().find(|known| known.spot == path.spot);
    known.filter(|_| path.keys.is_empty()).map_or(Types::ANY, |known| known.types)
}
