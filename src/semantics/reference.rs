//! The page that says where each property is read: `docs/semantics.md`, printed by `spandrel docs semantics`.

use std::fmt::Write as _;

use super::convention::{On, Place, UNREAD, table};

/// The whole page.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    let mut places: Vec<&Place> = table().collect();
    // Stable: of equal ranks the table's own order.
    places.sort_by_key(|place| (place.property, place.rank));
    for alike in places.chunk_by(|a, b| a.property == b.property) {
        let name = alike.first().map_or("", |place| place.property.name());
        let _ = write!(page, "\n## {name}\n\n| | key | on | convention |\n|---|---|---|---|\n");
        for (n, place) in alike.iter().enumerate() {
            page.push_str(&row(n + 1, place));
        }
    }
    page
}

fn row(n: usize, place: &Place) -> String {
    let (any, on) = match place.on {
        On::Span => ("", "span"),
        On::Family => ("*", "span"),
        On::SpanOrResource => ("", "span, then resource"),
        On::Resource => ("", "resource"),
        On::Event => ("", "span event"),
    };
    let last = if place.rank >= UNREAD { " †" } else { "" };
    format!("| {n} | `{}{any}`{last} | {on} | {} |\n", place.key, place.convention.name())
}

const HEAD: &str = "\
# Where each property is read

<!-- Generated: `spandrel docs semantics > docs/semantics.md`. Edit src/semantics/convention/ instead. -->

Of several keys that say something, the first is believed: in the order
in which Langfuse's and InteractiveAI's servers ask them. Keys with † are not read there; they stand last.
`*` stands for any name. What can not be read is passed over and named in the trace's complaints.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_on_the_page_once() {
        let page = reference();
        assert_eq!(
            page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).count(),
            table().count()
        );
        assert!(page.contains("\n## user\n"));
        assert!(page.contains("| 1 | `langfuse.user.id` | span | Langfuse, InteractiveAI |"));
        assert!(page.contains("`enduser.id` † | span | OpenTelemetry |"));
    }
}
