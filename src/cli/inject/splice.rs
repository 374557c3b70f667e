//! Text put into a manifest between marks, and taken out again: what is left then is the manifest as it was, byte
//! for byte.
//!
//! Between lines it is whole lines. Inside `[ ]` and `{ }`, and behind a last line without an end, the line is broken
//! and mended again.

use super::yaml::{Entry, Kind, Node};
use std::fmt::Write;

const BEGIN: &str = "# spandrel inject: begin";
const END: &str = "# spandrel inject: end";
/// Behind a mark: the line was broken for it.
const BROKEN: &str = ", line broken";

/// Something to put in.
#[derive(Clone, Debug)]
pub struct Insertion {
    at: usize,
    broken: bool,
    text: String,
}

/// A manifest and what is to be put into it.
#[derive(Debug)]
pub struct Splice<'a> {
    text: &'a str,
    insertions: Vec<Insertion>,
}

impl<'a> Splice<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, insertions: Vec::new() }
    }

    /// Puts items at the beginning of the list that `map` has under `key`, and the key too where there is none.
    /// `below` is the line of the key that `map` is the value of, where it stands below one.
    ///
    /// # Errors
    /// Why nothing can be put there, with the line.
    pub fn items(
        &mut self,
        map: &Node,
        below: Option<usize>,
        key: &str,
        items: &[Node],
    ) -> Result<(), String> {
        match map.entry(key) {
            None => self.key(map, below, key, items),
            Some(entry) => self.at_the_head_of(entry, items),
        }
    }

    fn at_the_head_of(&mut self, entry: &Entry, items: &[Node]) -> Result<(), String> {
        match &entry.value.kind {
            Kind::List { flow: true, items: others } => {
                let comma = if others.is_empty() { "" } else { "," };
                let flow: Vec<String> = items.iter().map(show_flow).collect();
                self.broken(entry.value.start + 1, entry.column + 2, &format!("{}{comma}", flow.join(",")));
                Ok(())
            }
            Kind::List { flow: false, items: others } => {
                // The dash stands before the first item, be it on its line or not.
                let dash = others.first().map_or(entry.column, |first| self.dash_before(first));
                self.lines(entry.line, dash, &show_items(items, dash));
                Ok(())
            }
            Kind::Null if self.text[entry.start..].lines().next().is_some_and(ends_with_colon) => {
                self.lines(entry.line, entry.column, &show_items(items, entry.column));
                Ok(())
            }
            _ => Err(format!(
                "line {}: `{}` is no list; write its entries below it, or leave it out",
                entry.line, entry.key
            )),
        }
    }

    fn key(&mut self, map: &Node, below: Option<usize>, key: &str, items: &[Node]) -> Result<(), String> {
        let Kind::Map { flow, entries } = &map.kind else {
            return Err(format!("line {}: a mapping was expected here, written out", map.line));
        };
        if *flow {
            let comma = if entries.is_empty() { "" } else { "," };
            let list: Vec<String> = items.iter().map(show_flow).collect();
            let column = self.column(map.start) + 2;
            self.broken(map.start + 1, column, &format!("{key}: [{}]{comma}", list.join(",")));
            return Ok(());
        }
        let own_line = entries.iter().find(|entry| self.begins_its_line(entry));
        let (Some(first), Some(own)) = (entries.first(), own_line) else {
            return Err(format!(
                "line {}: nothing can be put in here; give each key a line of its own",
                map.line
            ));
        };
        let line = match below {
            Some(line) if line < first.line => line,
            _ => own.line - 1,
        };
        let pad = " ".repeat(first.column);
        let text = format!("{pad}{key}:\n{}", show_items(items, first.column));
        self.lines(line, first.column, &text);
        Ok(())
    }

    /// Lines behind the line of this number.
    fn lines(&mut self, line: usize, indent: usize, text: &str) {
        let at = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let pad = " ".repeat(indent);
        if at == self.text.len() && !self.text.ends_with('\n') {
            return self.insertions.push(Insertion {
                at,
                broken: true,
                text: format!("{pad}{BEGIN}{BROKEN}\n{text}{pad}{END}{BROKEN}\n"),
            });
        }
        self.insertions.push(Insertion {
            at,
            broken: false,
            text: format!("{pad}{BEGIN}\n{text}{pad}{END}\n"),
        });
    }

    /// Within a line.
    fn broken(&mut self, at: usize, indent: usize, text: &str) {
        let pad = " ".repeat(indent);
        let text = format!("{pad}{BEGIN}{BROKEN}\n{pad}{text}\n{pad}{END}{BROKEN}\n{pad}");
        self.insertions.push(Insertion { at, broken: true, text });
    }

    /// The manifest with all of it.
    pub fn done(mut self) -> String {
        self.insertions.sort_by_key(|insertion| insertion.at);
        let mut out = String::new();
        let mut from = 0;
        for Insertion { at, broken, text } in &self.insertions {
            let _ = write!(out, "{}{}{text}", &self.text[from..*at], if *broken { "\n" } else { "" });
            from = *at;
        }
        out.push_str(&self.text[from..]);
        out
    }

    fn column(&self, at: usize) -> usize {
        at - self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    fn begins_its_line(&self, entry: &Entry) -> bool {
        let line = self.text[..entry.start].rfind('\n').map_or(0, |end| end + 1);
        self.text[line..entry.start].bytes().all(|byte| byte == b' ')
    }

    fn dash_before(&self, item: &Node) -> usize {
        self.text[..item.start].rfind('-').map_or(0, |dash| self.column(dash))
    }
}

/// Without what was put in, and how many times something was.
///
/// # Errors
/// A beginning without an end.
pub fn remove(text: &str) -> Result<(String, usize), String> {
    let mut out = String::new();
    let mut removed = 0;
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let line = rest[..begin].rfind('\n').map_or(0, |end| end + 1);
        let broken = rest[begin + BEGIN.len()..].starts_with(BROKEN);
        let end = if broken { format!("{END}{BROKEN}\n") } else { format!("{END}\n") };
        let Some(end) = rest[begin..].find(&end).map(|at| begin + at + end.len()) else {
            return Err(format!("`{BEGIN}` without an end; take out by hand what was put in"));
        };
        if broken {
            // The break before the mark, and what the rest of the line was moved in by.
            out.push_str(rest[..line].strip_suffix('\n').unwrap_or(&rest[..line]));
            let pad = &rest[line..begin];
            rest = rest[end..].strip_prefix(pad).unwrap_or(&rest[end..]);
        } else {
            out.push_str(&rest[..line]);
            rest = &rest[end..];
        }
        removed += 1;
    }
    out.push_str(rest);
    Ok((out, removed))
}

/// A key with nothing behind it but a remark.
fn ends_with_colon(line: &str) -> bool {
    line.split(" #").next().is_some_and(|line| line.trim_end().ends_with(':'))
}

/// Items of a list below each other, their dashes in this column.
fn show_items(items: &[Node], column: usize) -> String {
    let mut out = String::new();
    for item in items {
        let block = show_block(item, column + 2);
        let _ = writeln!(out, "{}- {}", " ".repeat(column), block.trim_start());
    }
    out
}

/// A value on lines of its own, as the template has it: what is in braces there stays in braces.
fn show_block(node: &Node, column: usize) -> String {
    let pad = " ".repeat(column);
    match &node.kind {
        Kind::Map { flow: false, entries } => {
            let line = |entry: &Entry| match &entry.value.kind {
                Kind::Map { flow: false, .. } => {
                    format!("{pad}{}:\n{}", entry.key, show_block(&entry.value, column + 2))
                }
                Kind::List { flow: false, items } => {
                    format!("{pad}{}:\n{}", entry.key, show_items(items, column + 2).trim_end())
                }
                _ => format!("{pad}{}: {}", entry.key, show_flow(&entry.value)),
            };
            entries.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        _ => format!("{pad}{}", show_flow(node)),
    }
}

/// A value on one line.
fn show_flow(node: &Node) -> String {
    match &node.kind {
        Kind::Map { entries, .. } => {
            let entries: Vec<String> =
                entries.iter().map(|entry| format!("{}: {}", entry.key, show_flow(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Kind::List { items, .. } => {
            format!("[{}]", items.iter().map(show_flow).collect::<Vec<_>>().join(", "))
        }
        Kind::Scalar { text, plain } => {
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            if *plain && text.chars().all(safe) {
                text.clone()
            } else {
                serde_json::Value::from(text.as_str()).to_string()
            }
        }
        Kind::Null | Kind::Alias => "null".to_owned(),
    }
}
