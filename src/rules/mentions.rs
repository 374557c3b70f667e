//! What a text of the language is about, told without compiling it: for whoever has to put rules in order.
//!
//! A text that can not be read is about nothing; compiling it says why.

use super::group::Context;
use super::inference::{Seen, gather, gather_call, inferred};
use super::syntax::tree::{Argument, Expr, Node, Segment, Statement};
use super::syntax::{condition, statement};

/// The attribute of a resource or scope that a path leads to; `None`: all of them.
pub type Attribute = Option<String>;

/// The context that the paths of a condition ask for.
pub fn context_of_condition(text: &str) -> Option<Context> {
    condition(text).ok().and_then(|condition| inferred(std::iter::once(&condition), std::iter::empty()))
}

/// The context that the paths of a statement ask for.
pub fn context_of_statement(text: &str) -> Option<Context> {
    statement(text).ok().and_then(|statement| inferred(std::iter::empty(), std::iter::once(&statement)))
}

/// The context a statement writes to, as far as its path says it.
pub fn written_by(text: &str) -> Option<Context> {
    let statement = statement(text).ok()?;
    Context::of_name(&target(&statement)?.first()?.name)
}

/// What a statement of a rule about `whose` writes of its attributes; `None`: nothing.
pub fn attribute_written(text: &str, whose: Context) -> Option<Attribute> {
    let statement = statement(text).ok()?;
    let target = target(&statement)?;
    let rest = if target.first()?.name == whose.name() { target.get(1..)? } else { target };
    let list = rest.first().filter(|first| first.name == "attributes")?;
    let key = |expr: &Expr| if let Node::Text(key) = &expr.node { Some(key.clone()) } else { None };
    Some(match (list.keys.first(), statement.editor.arguments.get(1)) {
        (Some(first), _) => key(first),
        (None, Some(argument)) if statement.editor.name == "delete_key" => key(&argument.value),
        (None, _) => None,
    })
}

/// The attributes of `whose` that a statement, or a condition, reads or writes by its full path.
pub fn attributes_named(text: &str, is_condition: bool, whose: Context) -> Vec<Attribute> {
    let mut found = Vec::new();
    let mut note = |seen: Seen<'_>| {
        let Seen::Path([first, second, ..]) = seen else { return };
        if first.name == whose.name() && second.name == "attributes" {
            found.push(match second.keys.first().map(|key| &key.node) {
                Some(Node::Text(key)) => Some(key.clone()),
                _ => None,
            });
        }
    };
    if is_condition {
        condition(text).iter().for_each(|condition| gather(condition, &mut note));
    } else if let Ok(statement) = statement(text) {
        gather_call(&statement.editor, &mut note);
        statement.condition.iter().for_each(|condition| gather(condition, &mut note));
    }
    found
}

fn target(statement: &Statement) -> Option<&[Segment]> {
    match statement.editor.arguments.first() {
        Some(Argument { value: Expr { node: Node::Path(segments), .. }, .. }) => Some(segments),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_it_is_about() {
        assert_eq!(context_of_condition("resource.attributes[\"a\"] == span.name"), Some(Context::Span));
        assert_eq!(context_of_statement("set(resource.attributes[\"a\"], 1)"), Some(Context::Resource));
        assert_eq!(context_of_statement("set(attributes[\"a\"], 1)"), None);
        assert_eq!(written_by("set(resource.attributes[\"a\"], span.name)"), Some(Context::Resource));
        assert_eq!((context_of_condition("a =="), written_by("drop()")), (None, None));
    }

    #[test]
    fn the_attributes_a_rule_touches_are_known_by_their_keys() {
        let written = |text| attribute_written(text, Context::Resource);
        let all = Some(None);
        let key = |key: &str| Some(Some(key.to_owned()));
        assert_eq!(written("set(resource.attributes[\"a\"], 1)"), key("a"));
        assert_eq!(written("delete_key(attributes, \"b\")"), key("b"));
        assert_eq!(written("keep_keys(attributes, [\"b\"])"), all);
        assert_eq!(written("drop() where attributes[\"b\"] == 1"), None);
        let named = attributes_named(
            "set(span.attributes[\"x\"], resource.attributes[\"a\"]) where Len(resource.attributes) > 1",
            false,
            Context::Resource,
        );
        assert_eq!(named, [Some("a".to_owned()), None]);
    }
}
