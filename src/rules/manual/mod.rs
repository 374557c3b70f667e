//! The manual of the rules (`spandrel docs rules`): every function, path and bound, from the tables that the
//! compiler looks them up in. Only the sentences are written here, one for each name.

mod sentences;

use std::fmt::Write;

use self::sentences::SENTENCES;
use super::functions::Parameter;
use super::group::Context;
use super::spots::{self, Known};
use super::{converters, editors, keys, lambda, patterns, syntax, value, xml, zones};

/// As Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Editors\n\nA statement begins with one. Those marked * are ours, not OTTL's.\n\n| | |\n|---|---|\n");
    for editor in editors::all() {
        let ours = if OURS.contains(&editor.name) { " *" } else { "" };
        let _ = writeln!(
            page,
            "| `{}`{ours} | {} |",
            call(editor.name, editor.parameters),
            sentence(editor.name).unwrap_or_default()
        );
    }
    page.push_str("\n## Converters\n\n| | gives | |\n|---|---|---|\n");
    let mut all: Vec<_> = converters::all().collect();
    all.sort_by_key(|converter| converter.name);
    for converter in all {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            call(converter.name, converter.parameters),
            converter.gives.words(),
            sentence(converter.name).unwrap_or_default()
        );
    }
    paths(&mut page);
    bounds(&mut page);
    page
}

const OURS: [&str; 5] = ["rename", "mask", "drop", "sample", "route"];

fn sentence(name: &str) -> Option<&'static str> {
    SENTENCES.iter().find(|(known, _)| *known == name).map(|(_, sentence)| *sentence)
}

fn call(name: &str, parameters: &[Parameter]) -> String {
    let first = |parameter: &Parameter| parameter.name.split('|').next().unwrap_or_default();
    let one =
        |parameter: &Parameter| format!("{}{}", first(parameter), if parameter.optional { "?" } else { "" });
    format!("{name}({})", parameters.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn paths(page: &mut String) {
    page.push_str(PATHS);
    for context in Context::ALL {
        table(page, context.name(), spots::of_context(context));
    }
    for (name, about) in AROUND {
        if let Some((_, known)) = spots::reach(name, Context::Span) {
            let _ = write!(page, "\n### {name}\n\n{about}\n");
            if name != "root" && name != "parent" {
                rows(page, name, known);
            }
        }
    }
    let enums = spots::ENUMS.iter().map(|(name, number)| format!("`{name}` {number}"));
    let _ = write!(page, "\n### Enums\n\n{}.\n", enums.collect::<Vec<_>>().join(", "));
}

/// Paths that are no contexts, and what they are.
const AROUND: [(&str, &str); 6] = [
    ("root", "From spans and their events: the trace's first span; its paths are a span's. Read only."),
    ("parent", "From spans and their events: the nearest kept parent; its paths are a span's. Read only."),
    ("trace", "From spans and their events: the joined trace."),
    ("header", "The headers of the request that the item came in, like `header[\"x-tenant\"]`."),
    ("peer", "The other side of the connection that it came in."),
    ("otelcol", "The Collector's names for headers and the other side."),
];

fn table(page: &mut String, name: &str, known: &[Known]) {
    let _ = write!(page, "\n### {name}\n");
    rows(page, name, known);
}

fn rows(page: &mut String, first: &str, known: &[Known]) {
    page.push_str("\n| path | is | |\n|---|---|---|\n");
    for known in known {
        let dot = if known.name.is_empty() { "" } else { "." };
        let access = if known.writable { "" } else { "read only" };
        let _ = writeln!(page, "| `{first}{dot}{}` | {} | {access} |", known.name, known.types.words());
    }
}

fn bounds(page: &mut String) {
    let bounds = [
        ("bytes of one statement", syntax::TEXT_MAX),
        ("levels of parentheses, calls and lists in one", syntax::DEPTH_MAX as usize),
        ("statements together", super::engine::STATEMENTS_MAX),
        ("bytes a regular expression may take once compiled", patterns::SIZE_MAX),
        ("bytes that one statement may make of one value", editors::RESULT_MAX),
        ("levels of lists and maps that are looked into", value::LEVELS_MAX as usize),
        ("levels of lists and maps that are written", value::WRITTEN_MAX as usize),
        ("places of a list that writing may make", keys::MADE_MAX as usize),
        ("bytes that lambdas and whole messages of one item may look at", lambda::EFFORT_MAX),
        ("levels of elements in XML", xml::DEPTH_MAX),
        ("elements, texts and attributes in XML", xml::NODES_MAX),
        ("nodes that an XPath may look at", xml::xpath::VISITS_MAX),
    ];
    page.push_str(BOUNDS);
    for (what, bound) in bounds {
        let _ = writeln!(page, "| {bound} | {what} |");
    }
    let _ = write!(page, "\nTime zones are those of the IANA database, release {}.\n", zones::RELEASE);
}

const HEAD: &str = "\
# What rules can say

<!-- Generated: `spandrel docs rules > docs/rules.md`. Edit src/rules/ instead. -->

Rules are OTTL, the language of the Collector's transform and filter processors: `editor(…) where condition`.
Conditions compare (`== != < <= > >=`) and join with `and`, `or`, `not`; values are calculated with `+ - * /`;
converters stand wherever a value may. A `?` marks a parameter that may be left out; any may be named:
`flatten(attributes, depth=2)`. Where a function takes a lambda it looks like `(key, value) => value > 1`: the
parameters hide paths of their names, `_` is one that is not looked at, and keys look into them: `value[\"k\"]`.
";

const PATHS: &str = "
## Paths

A path begins with its context: `span.name`, `resource.attributes[\"service.name\"]`. A group that names its context
may leave it away. Lists and maps are looked into by keys: `log.body[\"user\"][\"tags\"][0]`; a key that is not there
is nil. What holds whole messages (`events`, `links`, `data_points`, `exemplars`) is a list of maps whose keys are
the paths of the same fields. From a span the resource and the scope can be read, and written by a group about them.
";

const BOUNDS: &str = "
## Bounds

What goes beyond one is a trouble: the statement does nothing to the item, is counted, and told once. So are a division
by zero, a value of another type than a function takes, and an index outside its list.

| | |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_its_sentence_and_no_sentence_is_left_over() {
        let names = || editors::all().map(|e| e.name).chain(converters::all().map(|c| c.name));
        let missing: Vec<_> = names().filter(|name| sentence(name).is_none()).collect();
        assert!(missing.is_empty(), "no sentence for {missing:?}");
        for (name, sentence) in SENTENCES {
            assert!(names().any(|known| known == *name), "`{name}` is no function");
            assert!(!sentence.contains('|') && !sentence.ends_with('.'), "{name}: {sentence}");
        }
    }

    #[test]
    fn the_page_says_all_there_is() {
        let page = reference();
        for part in [
            "`set(target, value)`",
            "| `span.events` | a list |",
            "`Find(source, predicate, mapper?)`",
            "| `trace.services` | a list | read only |",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
