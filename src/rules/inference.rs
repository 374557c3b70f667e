//! What a group is about, when it does not say: the paths tell.

use super::group::Context;
use super::syntax::tree;

/// The context that the paths ask for: the one furthest in, as the Collector infers it.
pub fn inferred<'t>(
    conditions: impl Iterator<Item = &'t tree::Expr>,
    statements: impl Iterator<Item = &'t tree::Statement>,
) -> Option<Context> {
    const ORDER: [Context; 7] = [
        Context::Log,
        Context::DataPoint,
        Context::Metric,
        Context::SpanEvent,
        Context::Span,
        Context::Resource,
        Context::Scope,
    ];
    let mut named = Vec::new();
    let mut note = |seen: Seen<'_>| {
        named.extend(match seen.first() {
            Some("root" | "parent" | "trace") => Some(Context::Span),
            Some(name) => Context::of_name(name),
            None => None,
        });
    };
    conditions.for_each(|condition| gather(condition, &mut note));
    for statement in statements {
        gather_call(&statement.editor, &mut note);
        statement.condition.iter().for_each(|condition| gather(condition, &mut note));
    }
    ORDER.into_iter().find(|context| named.contains(context))
}

/// What may say what a text is about.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'t> {
    Path(&'t [tree::Segment]),
    /// What needs no path and says by its name what it is about.
    Of(Context),
}

impl<'t> Seen<'t> {
    /// The name a path begins with.
    pub fn first(self) -> Option<&'t str> {
        match self {
            Seen::Path(segments) => segments.first().map(|first| first.name.as_str()),
            Seen::Of(context) => Some(context.name()),
        }
    }
}

/// Calls `note` with every path.
pub fn gather(expr: &tree::Expr, note: &mut dyn FnMut(Seen<'_>)) {
    use tree::Node;
    match &expr.node {
        Node::Path(segments) => {
            note(Seen::Path(segments));
            segments.iter().flat_map(|segment| &segment.keys).for_each(|key| gather(key, note));
        }
        Node::Call(call) => gather_call(call, note),
        Node::Lambda(parameters, body) => {
            // A parameter hides a context of its name.
            let is_own = |first: &str| parameters.iter().any(|parameter| parameter.name == first);
            gather(body, &mut |seen| {
                let hidden = matches!(seen, Seen::Path(_)) && seen.first().is_some_and(is_own);
                if !hidden {
                    note(seen)
                }
            });
        }
        Node::List(all) => all.iter().for_each(|one| gather(one, note)),
        Node::Map(all) => all.iter().for_each(|(_, one)| gather(one, note)),
        Node::Not(inner) => gather(inner, note),
        Node::Math(_, left, right)
        | Node::Compare(_, left, right)
        | Node::And(left, right)
        | Node::Or(left, right) => {
            gather(left, note);
            gather(right, note);
        }
        Node::Nil
        | Node::Bool(_)
        | Node::Int(_)
        | Node::Float(_)
        | Node::Text(_)
        | Node::Bytes(_)
        | Node::Name(_) => {}
    }
}

pub fn gather_call(call: &tree::Call, note: &mut dyn FnMut(Seen<'_>)) {
    match call.name.as_str() {
        "IsRootSpan" | "sample" => note(Seen::Of(Context::Span)),
        "convert_sum_to_gauge" | "convert_gauge_to_sum" => note(Seen::Of(Context::Metric)),
        _ => {}
    }
    call.arguments.iter().for_each(|argument| gather(&argument.value, note));
    call.keys.iter().for_each(|key| gather(key, note));
}
