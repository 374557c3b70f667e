//! `print-config`: what is in force, as YAML that is itself a configuration, with where each value
//! came from beside it. Secrets are masked.

use std::fmt::Write;

use super::field::{Field, Row, Seen};
use super::kept::SourceState;
use super::mistake::is_secret;
use super::raw::Raw;
use super::source::Source;

const MASK: &str = "*****";
/// Where the remarks stand, when the line is not longer.
const REMARK_COLUMN: usize = 44;

pub fn print(raw: &Raw, file: &str, sources: &[SourceState]) -> String {
    let mut out = String::new();
    let mut open: Vec<String> = Vec::new();
    raw.walk(Row { path: &[], doc: &[] }, &mut |row, seen| {
        if let Seen::List { entries, .. } = seen {
            return list(row.path, entries, file, &mut out);
        }
        let Seen::Leaf { value: Some(value), from, .. } = seen else { return };
        let Some((leaf, groups)) = row.path.split_last() else { return };
        let shared = open.iter().zip(groups).take_while(|(a, b)| a == b).count();
        for (depth, group) in groups.iter().enumerate().skip(shared) {
            let _ = writeln!(out, "{}{}:", indent(depth), scalar(group));
        }
        open = groups.to_vec();
        let secret = match groups {
            [.., group] if group == "headers" => is_secret(leaf),
            [keys] if keys == "keys" => leaf == "secret",
            // Tokens are a leaf beside the names of files; passwords are below their users.
            [receive, auth] if receive == "receive" && auth == "auth" => !leaf.ends_with("_file"),
            [receive, auth, _] => receive == "receive" && auth == "auth",
            _ => false,
        };
        let value = if secret { MASK.to_owned() } else { value };
        let line = format!("{}{}: {}", indent(groups.len()), scalar(leaf), scalar(&value.replace('$', "$$")));
        let _ = writeln!(out, "{line:REMARK_COLUMN$} # {}", from.describe(file));
    });
    for SourceState { name, wrong, .. } in sources {
        let how = wrong.as_deref().map_or_else(String::new, |wrong| format!(" {wrong}"));
        let _ = writeln!(out, "# source `{name}`{how}");
    }
    out
}

/// Lists stand at the top, and nothing in them is a secret.
fn list(path: &[String], entries: &[(String, &Source)], file: &str, out: &mut String) {
    if !entries.is_empty() {
        let _ = writeln!(out, "{}:", path.join("."));
    }
    for (entry, from) in entries {
        let line = format!("{}- {}", indent(1), entry.replace('$', "$$"));
        let _ = writeln!(out, "{line:REMARK_COLUMN$} # {}", from.describe(file));
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// Plain where YAML reads it back as the same text, else quoted; JSON's quoting is YAML's.
fn scalar(text: &str) -> String {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+@$[]".contains(c);
    let colons_inside = !text.ends_with(':');
    let is_plain =
        begins_well && colons_inside && text.chars().all(|c| plain(c) || c == ':') && text != "null";
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
