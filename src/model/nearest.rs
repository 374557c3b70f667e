//! Words for messages: the nearest known name, and values from outside made fit to be quoted.

/// `; did you mean …?` for the known name nearest to `name`, when one is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4);
    near.map(|(_, candidate)| format!("; did you mean `{candidate}`?")).unwrap_or_default()
}

/// A value from outside, fit to be quoted: no control characters, no more than a line.
pub fn quoted(value: &str) -> String {
    let more = if value.chars().nth(QUOTED_MAX).is_some() { "…" } else { "" };
    format!("`{}{more}`", escaped(value.chars().take(QUOTED_MAX)))
}

/// Control characters as escapes.
pub fn escaped(text: impl Iterator<Item = char>) -> String {
    let mut shown = String::new();
    for c in text {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

const QUOTED_MAX: usize = 80;
