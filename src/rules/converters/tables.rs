//! Looking things up in tables, which were read when the rules were compiled.

use super::{ANY, pure, string_like};
use crate::rules::functions::{Argument, Converter, Given, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[pure(
    "Lookup",
    &[must("table", Takes::Table), must("key", ANY), may("column", Takes::Constant(Types::STR))],
    Types::STR.or(Types::NIL),
    lookup,
)];

/// Nil where there is no such row.
fn lookup<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let Some(Argument::Table(table)) = given.arguments.first() else {
        return Err(Trouble::new("wanted a table"));
    };
    let column = match given.value(2) {
        Value::Str(name) => table.column(Some(&name)),
        _ => table.column(None),
    };
    let column = column.map_err(Trouble)?;
    let found = match given.value(1) {
        Value::Str(key) => table.get(&key, column),
        other => string_like(other).and_then(|key| table.get(&key, column)),
    };
    Ok(found.map_or(Value::Nil, Value::text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::rules::{Frame, Group, Rules, Table, Upstreams};
    use crate::wire::Signal;

    fn compiled(statement: &str) -> Result<Rules, String> {
        let group = Group { statements: vec![statement.to_owned()], ..Group::default() };
        let table = Arc::new(Table::parse(b"service,team,tier\norders,shop,1\n7,seven,2\n").unwrap());
        let compiled = Rules::compile_with(&[group], Upstreams::default(), &mut |name| match name {
            "s.csv" => Ok(table.clone()),
            _ => Err("can't be read: no such file".to_owned()),
        });
        compiled.map_err(|wrong| wrong.into_iter().map(|wrong| wrong.text).collect())
    }

    /// Whether a condition about the table holds.
    #[track_caller]
    fn check(condition: &str) {
        let rules = compiled(&format!("drop() where log.flags == 0 and {condition}")).unwrap();
        assert!(rules.apply_item(Signal::Logs, &[], Frame::default()).dropped, "{condition}");
    }

    #[track_caller]
    fn refused(call: &str, expect: &str) {
        let got = compiled(&format!("set(log.body, {call})")).unwrap_err();
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn what_stands_in_a_table_is_found_and_what_does_not_is_nil() {
        check(r#"Lookup("s.csv", "orders") == "shop""#);
        check(r#"Lookup("s.csv", "orders", "tier") == "1""#);
        check(r#"Lookup("s.csv", 7, column="team") == "seven""#);
        check(r#"Lookup("s.csv", "cart") == nil"#);
        check(r#"Lookup("s.csv", log.body) == nil"#);
    }

    #[test]
    fn a_table_or_column_that_is_not_there_is_a_mistake() {
        refused(r#"Lookup("t.csv", "a")"#, "the table `t.csv` can't be read: no such file");
        refused(r#"Lookup("s.csv", "a", "teem")"#, "no column `teem`; did you mean `team`?");
        refused(r#"Lookup(log.body, "a")"#, "must be a constant");
        refused(r#"lookup("s.csv", "a")"#, "converters begin with an upper-case letter");
    }
}
