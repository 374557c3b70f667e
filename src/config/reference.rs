//! docs/config.md, written from the table of settings.

use std::fmt::Write;

use super::field::{Field, Named, Row, Seen};
use super::gather::variable_of;
use super::raw::{Raw, Upstream};
use super::source::Source;

const HEAD: &str = "\
# Configuration

<!-- Generated: `spandrel docs config > docs/config.md`. Edit src/config/raw.rs instead. -->
";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(include_str!("reference.md"));
    // One upstream by the name the reader is to replace.
    let upstreams = Named { entries: vec![("NAME".to_owned(), Source::Default, Upstream::default())] };
    let raw = Raw { upstreams, ..Raw::default() };
    raw.walk(Row { path: &[], doc: &[] }, &mut |row, seen| describe(&mut page, row, seen));
    page
}

fn describe(page: &mut String, row: Row<'_>, seen: Seen<'_>) {
    let path = row.path.join(".");
    if path.is_empty() {
        return;
    }
    // The group of one named upstream says nothing its map has not said.
    if row.doc.is_empty() && matches!(seen, Seen::Group) {
        return;
    }
    let heading = if row.path.len() == 1 { "##" } else { "###" };
    let _ = writeln!(page, "\n{heading} `{path}`\n");
    match seen {
        Seen::Group => {}
        Seen::Map { wants } => {
            let _ = write!(page, "`{wants}`");
            if path != "upstreams" {
                let _ = write!(page, " · `{}=name=value,name2=value2`", variable_of(row.path));
            }
            page.push_str("\n\n");
        }
        Seen::List { wants, .. } => {
            let _ = writeln!(page, "{wants} · `{}`: one statement\n", variable_of(row.path));
        }
        Seen::Leaf { default, wants, range, .. } => {
            let _ = write!(page, "{wants}");
            if let Some((low, high)) = range {
                let _ = write!(page, " from `{low}` to `{high}`");
            }
            let _ = match default {
                "" => write!(page, " · not set by default"),
                _ => write!(page, " · default `{default}`"),
            };
            let _ = writeln!(page, " · `{}`\n", variable_of(row.path));
        }
    }
    for line in row.doc {
        let _ = writeln!(page, "{}", line.trim());
    }
}
