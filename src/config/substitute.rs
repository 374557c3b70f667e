//! `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`, `${file:PATH[KEY]}` and `$$` in the values of
//! the file.
//!
//! What a variable or a file holds is taken as it is: it is never searched for further references, so data
//! can not turn into syntax. `SPANDREL_*` and `--set` are not substituted; the shell did that.

use super::files::Files;
use super::mistake::quoted;
use super::surroundings::Variables;

/// What is wrong with a reference, and where in the text it begins.
#[derive(Debug, PartialEq, Eq)]
pub struct BadReference {
    /// Bytes from the start of the text.
    pub at: usize,
    /// The reference as written.
    pub reference: String,
    pub text: String,
    /// It is a file that says nothing for now.
    pub may_come: bool,
}

/// What a variable stands for that is not set, where no default is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// It is a mistake.
    Wrong,
    /// Nothing, as for the Collector.
    Empty,
}

/// The text with every reference replaced.
///
/// # Errors
/// Every reference that is malformed, or names a variable that is not set and has no default. Empty
/// variables count as unset.
pub fn substitute(text: &str, variables: &Variables, files: &mut Files) -> Result<String, Vec<BadReference>> {
    substitute_with(text, variables, files, Unset::Wrong)
}

/// The same, with what is not set as `unset` says.
///
/// # Errors
/// As [`substitute`].
pub fn substitute_with(
    text: &str,
    variables: &Variables,
    files: &mut Files,
    unset: Unset,
) -> Result<String, Vec<BadReference>> {
    let mut out = String::with_capacity(text.len());
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let at = text.len() - rest.len() + dollar;
        let after = &rest[dollar + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(end) = inner.find('}') else {
                let text = "lacks its `}`; write `$$` for a plain `$`".to_owned();
                wrong.push(BadReference { at, reference: format!("${after}"), text, may_come: false });
                break;
            };
            let reference = &inner[..end];
            let of_file = reference.strip_prefix("file:");
            let value = match of_file {
                Some(name) => of_a_file(name, files),
                None => resolve(reference, variables, unset),
            };
            match value {
                Ok(value) => out.push_str(&value),
                Err(text) => {
                    let (reference, may_come) = (format!("${{{reference}}}"), of_file.is_some());
                    wrong.push(BadReference { at, reference, text, may_come });
                }
            }
            &inner[end + 1..]
        } else {
            out.push('$');
            after
        };
    }
    out.push_str(rest);
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// `PATH`, `PATH[KEY]`, either with `:-default`.
fn of_a_file(reference: &str, files: &mut Files) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    match (files.value(name), default) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(default)) => {
            files.excuse(name);
            Ok(default.to_owned())
        }
        (Err(wrong), None) => Err(format!("has no value: it {wrong}")),
    }
}

/// `env:NAME:-default`, `env:NAME`, `NAME:-default` or `NAME`.
fn resolve(inner: &str, variables: &Variables, unset: Unset) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let name = name.strip_prefix("env:").unwrap_or(name);
    if let Some((provider, _)) = name.split_once(':') {
        let provider = quoted(&format!("{provider}:"));
        return Err(format!("has an unknown provider {provider}; known are `env:` and `file:`"));
    }
    let mut chars = name.chars();
    let begins_well = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins_well || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(
            "does not name a variable; write it like `${env:NAME}` or `${env:NAME:-default}`".to_owned()
        );
    }
    match (variables.get(name), default) {
        (Some(value), _) => Ok(value.to_owned()),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) if unset == Unset::Empty => Ok(String::new()),
        (None, None) => {
            Err(format!("names a variable that is not set; set {name}, or write `${{env:{name}:-default}}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let variables = Variables::from([("SHA", "abc"), ("EMPTY", ""), ("TRICK", "${SHA}")]);
        let got = match substitute(text, &variables, &mut Files::default()) {
            Ok(text) => text,
            Err(wrong) => {
                wrong.into_iter().map(|w| format!("@{} {} {}\n", w.at, w.reference, w.text)).collect()
            }
        };
        assert_eq!(got.trim_end(), expect, "{text}");
    }

    #[test]
    fn references_are_replaced() {
        check("${env:SHA}", "abc");
        check("v-${SHA}-${SHA}!", "v-abc-abc!");
        check("${env:NONE:-fallback}", "fallback");
        check("${SHA:-unused}", "abc");
        check("${NONE:-}", "");
        check("${NONE:-a:-b}", "a:-b");
        check("${file:/none/x:-y}", "y");
    }

    /// Found by fuzzing: a whole paragraph, tabs and all, was repeated as the name of a provider.
    #[test]
    fn a_provider_is_quoted_like_any_other_word() {
        let long = format!("${{{}\t:x}}", "p".repeat(100));
        let Err(wrong) = substitute(&long, &Variables::default(), &mut Files::default()) else {
            panic!("it is no reference")
        };
        assert!(wrong[0].text.starts_with("has an unknown provider `ppp"), "{}", wrong[0].text);
        assert!(wrong[0].text.len() < 150 && !wrong[0].text.contains('\t'), "{}", wrong[0].text);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        check("${env:EMPTY:-x}", "x");
    }

    #[test]
    fn dollars_are_escaped_by_doubling_and_lone_ones_stand() {
        check("a$$b", "a$b");
        check("$${SHA}", "${SHA}");
        check("5$ and $SHA", "5$ and $SHA");
    }

    #[test]
    fn what_a_variable_holds_is_not_searched_again() {
        check("${TRICK}", "${SHA}");
    }

    #[test]
    fn mistakes_say_which_and_where() {
        check(
            "ab${env:GONE}",
            "@2 ${env:GONE} names a variable that is not set; set GONE, or write `${env:GONE:-default}`",
        );
        check("${vault:x}", "@0 ${vault:x} has an unknown provider `vault:`; known are `env:` and `file:`");
        check("${file:/none/x}", "@0 ${file:/none/x} has no value: it can't be read: no such file");
        check("${SHA", "@0 ${SHA lacks its `}`; write `$$` for a plain `$`");
        check(
            "${}",
            "@0 ${} does not name a variable; write it like `${env:NAME}` or `${env:NAME:-default}`",
        );
    }
}
