//! A table of comma-separated values that rules look things up in: the first column names a row, a header names
//! the columns.
//!
//! It is read whole or not at all: a row of another length, a key that stands there twice or a quote that does
//! not close is a mistake with its line, and no guess is made.

use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;

use super::converters::csv::fields;
use crate::model::nearest::did_you_mean;

/// Gives the table that a rule names.
pub type Tables<'t> = dyn FnMut(&str) -> Result<Arc<Table>, String> + 't;

/// Columns of a table: more than anybody looks at.
const COLUMNS_MAX: usize = 256;

/// Rows by their first column.
#[derive(Debug, Default)]
pub struct Table {
    /// Of all columns but the first.
    columns: Vec<Box<str>>,
    rows: HashMap<Box<str>, Box<[Box<str>]>, RandomState>,
}

impl Table {
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|wrong| {
            let before = bytes.get(..wrong.valid_up_to()).unwrap_or_default();
            format!("line {}: not UTF-8", before.iter().filter(|byte| **byte == b'\n').count() + 1)
        })?;
        let mut rows = Rows { rest: text.trim_start_matches('\u{feff}'), line: 1 };
        let (_, mut header) = rows.next().ok_or("is empty; its first line names the columns")??;
        if header.len() < 2 || header.len() > COLUMNS_MAX {
            let text = format!("line 1: {} columns; there are 2 to {COLUMNS_MAX}", header.len());
            return Err(format!("{text}, the first is what is looked up"));
        }
        let columns = header.split_off(1);
        let mut table = Self { columns, rows: HashMap::default() };
        for row in rows {
            let (line, mut row) = row?;
            let values = row.split_off(1);
            if values.len() != table.columns.len() {
                let (has, wants) = (values.len() + 1, table.columns.len() + 1);
                return Err(format!("line {line}: {has} fields, not {wants} as in the first line"));
            }
            let key = row.pop().unwrap_or_default();
            if table.rows.contains_key(&key) {
                return Err(format!("line {line}: `{key}` stands further up already"));
            }
            table.rows.insert(key, values.into());
        }
        Ok(table)
    }

    /// What stands in the row of `key`.
    pub fn get(&self, key: &str, column: usize) -> Option<&str> {
        self.rows.get(key)?.get(column).map(AsRef::as_ref)
    }

    /// The number of a column; the second of the file where none is named.
    ///
    /// # Errors
    /// There is no such column.
    pub fn column(&self, name: Option<&str>) -> Result<usize, String> {
        let Some(name) = name else { return Ok(0) };
        let found = self.columns.iter().position(|column| &**column == name);
        found.ok_or_else(|| {
            let known = || self.columns.iter().map(AsRef::as_ref);
            let hint = did_you_mean(name, known());
            let hint = if hint.is_empty() {
                format!("; there are {}", known().take(10).collect::<Vec<_>>().join(", "))
            } else {
                hint
            };
            format!("no column `{name}`{hint}")
        })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The rows of a text, with the lines they begin in. Quoted fields may go over several.
struct Rows<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Rows<'_> {
    type Item = Result<(usize, Vec<Box<str>>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let mut quoted = false;
            let end = self.rest.bytes().position(|byte| {
                quoted ^= byte == b'"';
                byte == b'\n' && !quoted
            });
            let (row, rest) = self.rest.split_at(end.map_or(self.rest.len(), |end| end + 1));
            let line = self.line;
            self.line += row.matches('\n').count();
            self.rest = rest;
            let row = row.strip_suffix('\n').unwrap_or(row);
            let row = row.strip_suffix('\r').unwrap_or(row);
            if row.trim().is_empty() {
                continue;
            }
            let read = fields(row, ',', false).map_err(|wrong| format!("line {line}: {wrong}"));
            return Some(read.map(|fields| (line, fields.into_iter().map(String::into_boxed_str).collect())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, key: &str, column: Option<&str>, expect: &str) {
        let got = Table::parse(text.as_bytes()).and_then(|table| {
            let column = table.column(column)?;
            Ok(table.get(key, column).unwrap_or("nil").to_owned())
        });
        assert_eq!(got.unwrap_or_else(|wrong| wrong), expect, "{text:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_table_or_a_mistake(bytes: Vec<u8>, text in "[a\",\n\r ]{0,40}") {
            let _ = Table::parse(&bytes);
            if let Ok(table) = Table::parse(text.as_bytes()) {
                proptest::prop_assert!(table.len() <= text.len());
            }
        }
    }

    #[test]
    fn a_row_is_found_by_its_first_column() {
        let text = "service,team,tier\r\norders,shop,1\r\n\r\npay,\"money, \"\"big\"\"\",2";
        check(text, "orders", None, "shop");
        check(text, "orders", Some("tier"), "1");
        check(text, "pay", Some("team"), "money, \"big\"");
        check(text, "cart", None, "nil");
        check("\u{feff}a,b\n\"x\ny\",\"1\n2\"\nz,3\n", "x\ny", None, "1\n2");
        check("a,b\n", "a", None, "nil");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        check("", "x", None, "is empty; its first line names the columns");
        check("a\n1", "x", None, "line 1: 1 columns; there are 2 to 256, the first is what is looked up");
        check("a,b\n1,2\n3\n", "x", None, "line 3: 1 fields, not 2 as in the first line");
        check("a,b\n1,\"2\n3\n", "x", None, "line 2: a quote that does not close");
        check("a,b\n1,2\n1,3\n", "x", None, "line 3: `1` stands further up already");
        check("a,owner\n", "x", Some("ownr"), "no column `ownr`; did you mean `owner`?");
        assert_eq!(Table::parse(b"a,b\n\xff").unwrap_err(), "line 2: not UTF-8");
    }
}
