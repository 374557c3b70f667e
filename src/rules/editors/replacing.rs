//! The four `replace_…` editors: parts of a text by a pattern, whole texts by a glob.

use std::borrow::Cow;

use hashbrown::HashMap;
use regex::{Captures, Match, Regex};

use super::{RESULT_MAX, TEXT};
use crate::rules::functions::{self, Argument, Converter, Deed, Editor, Parameter, Takes, may, must};
use crate::rules::scene::Scene;
use crate::rules::trouble::Trouble;
use crate::rules::value::Value;

const FUNCTION: Parameter = may("function", Takes::Converter);
const FORMAT: Parameter = may("replacement_format", TEXT);
const REPLACEMENT: Parameter = must("replacement", TEXT);

pub const EDITORS: &[Editor] = &[
    Editor {
        name: "replace_pattern",
        parameters: &[
            must("target", Takes::Place),
            must("regex", Takes::Pattern),
            REPLACEMENT,
            FUNCTION,
            FORMAT,
        ],
        run: replace_pattern,
    },
    Editor {
        name: "replace_all_patterns",
        parameters: &[
            must("target", Takes::MapPlace),
            must("mode", Takes::Choice(&["key", "value"])),
            must("regex", Takes::Pattern),
            REPLACEMENT,
            FUNCTION,
            FORMAT,
        ],
        run: replace_all_patterns,
    },
    Editor {
        name: "replace_match",
        parameters: &[
            must("target", Takes::Place),
            must("pattern", Takes::Glob),
            REPLACEMENT,
            FUNCTION,
            FORMAT,
        ],
        run: replace_match,
    },
    Editor {
        name: "replace_all_matches",
        parameters: &[
            must("target", Takes::MapPlace),
            must("pattern", Takes::Glob),
            REPLACEMENT,
            FUNCTION,
            FORMAT,
        ],
        run: replace_all_matches,
    },
];

/// What comes in the place of a match.
struct Replacement<'a> {
    text: Cow<'a, str>,
    function: Option<&'static Converter>,
    format: Option<String>,
}

impl<'a> Replacement<'a> {
    /// The arguments from `nth` on.
    fn of(deed: &mut Deed<'_, 'a>, nth: usize) -> Result<Self, Trouble> {
        let text = deed.text(nth)?;
        let function = match deed.arguments.get(nth + 1) {
            Some(Argument::Converter(converter)) => Some(*converter),
            _ => None,
        };
        let format = match deed.arguments.get(nth + 2) {
            None | Some(Argument::Absent) => None,
            Some(_) => format_of(deed.value(nth + 2))?,
        };
        Ok(Self { text, function, format })
    }

    /// `expanded` as it will stand there: converted and formatted.
    fn finish(&self, expanded: String, scene: &Scene<'_>) -> Result<String, Trouble> {
        let Some(function) = self.function else { return Ok(expanded) };
        let converted = match functions::convert(function, Value::text(expanded), scene)?.open() {
            Value::Str(text) => text.into_owned(),
            other => return Err(Trouble::wanted("a string from the function", &other)),
        };
        Ok(match &self.format {
            Some(format) => format.replacen("%s", &converted, 1),
            None => converted,
        })
    }

    /// All matches of `pattern` in `text` replaced; `None` when there is none.
    fn parts(&self, pattern: &Regex, text: &str, scene: &Scene<'_>) -> Result<Option<String>, Trouble> {
        let mut out = String::new();
        let mut copied = 0;
        let mut put = |whole: Match<'_>, new: &str| {
            if copied == 0 {
                out.reserve(text.len() + new.len());
            }
            out.push_str(text.get(copied..whole.start()).unwrap_or_default());
            out.push_str(new);
            copied = whole.end();
            let longer = || Trouble(format!("the result would be longer than {RESULT_MAX} bytes"));
            if out.len() > RESULT_MAX { Err(longer()) } else { Ok(()) }
        };
        let mut found = false;
        if self.function.is_none() && !self.text.contains('$') {
            // Nobody asks what the groups found.
            for whole in pattern.find_iter(text) {
                found = true;
                put(whole, &self.text)?;
            }
        } else {
            for captures in pattern.captures_iter(text) {
                let Some(whole) = captures.get(0) else { continue };
                found = true;
                put(whole, &self.finish(self.expanded(&captures), scene)?)?;
            }
        }
        if found {
            out.push_str(text.get(copied..).unwrap_or_default());
        }
        Ok(found.then_some(out))
    }

    /// `$1` and `${name}` filled in.
    fn expanded(&self, captures: &Captures<'_>) -> String {
        if !self.text.contains('$') {
            return self.text.clone().into_owned();
        }
        let mut out = String::new();
        captures.expand(&self.text, &mut out);
        out
    }
}

/// A format of the user's; nil is none.
fn format_of(value: Value<'_>) -> Result<Option<String>, Trouble> {
    match value {
        Value::Str(format) if format.matches("%s").count() == 1 && format.matches('%').count() == 1 => {
            Ok(Some(format.into_owned()))
        }
        Value::Nil => Ok(None),
        _ => Err(Trouble::new("a replacement format has `%s` in it once, and no other `%`")),
    }
}

fn replace_pattern(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let (pattern, replacement) = (deed.pattern(1)?, Replacement::of(deed, 2)?);
    let Some(text) = deed.text_there()? else { return Ok(()) };
    match replacement.parts(pattern, &text, deed.scene)? {
        Some(new) => deed.set(Value::text(new)),
        None => Ok(()),
    }
}

fn replace_match(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let (pattern, replacement) = (deed.pattern(1)?, Replacement::of(deed, 2)?);
    match deed.text_there()? {
        Some(text) if pattern.is_match(&text) => {}
        _ => return Ok(()),
    }
    if replacement.function.is_none() {
        return deed.set(Value::Str(replacement.text));
    }
    let new = replacement.finish(replacement.text.clone().into_owned(), deed.scene)?;
    deed.set(Value::text(new))
}

fn replace_all_patterns(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let side = if deed.text(1)? == "key" { Side::Keys } else { Side::Values };
    let (pattern, replacement) = (deed.pattern(2)?, Replacement::of(deed, 3)?);
    change_all(deed, side, |text, scene| replacement.parts(pattern, text, scene))
}

fn replace_all_matches(deed: &mut Deed<'_, '_>) -> Result<(), Trouble> {
    let (pattern, replacement) = (deed.pattern(1)?, Replacement::of(deed, 2)?);
    change_all(deed, Side::Values, |text, scene| match pattern.is_match(text) {
        true => replacement.finish(replacement.text.clone().into_owned(), scene).map(Some),
        false => Ok(None),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Keys,
    Values,
}

/// Changes the target's keys, or those of its values that are strings.
fn change_all(
    deed: &mut Deed<'_, '_>,
    side: Side,
    new: impl Fn(&str, &Scene<'_>) -> Result<Option<String>, Trouble>,
) -> Result<(), Trouble> {
    let Value::Map(map) = deed.get()? else { return Err(Trouble::new("wanted a map")) };
    let mut changes: HashMap<String, String, ahash::RandomState> = HashMap::default();
    let mut made = 0;
    for entry in map.entries() {
        let text = match (side, entry.value.borrowed().open()) {
            (Side::Keys, _) => new(&entry.key, deed.scene)?,
            (Side::Values, Value::Str(text)) => new(&text, deed.scene)?,
            (Side::Values, _) => None,
        };
        made += text.as_ref().map_or(0, String::len);
        if made > RESULT_MAX {
            return Err(Trouble(format!("the results would be longer than {RESULT_MAX} bytes together")));
        }
        changes.extend(text.map(|text| (entry.key.clone().into_owned(), text)));
    }
    if changes.is_empty() {
        return Ok(());
    }
    deed.edit_map(|map| {
        match side {
            Side::Keys => map.rename(|key| changes.remove(key)),
            Side::Values => map.change(|key, _| changes.remove(key).map(Value::text)),
        }
        Ok(())
    })
}
