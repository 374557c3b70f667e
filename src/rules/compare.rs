//! OTTL's table of comparisons (LANGUAGE.md, "Comparison Rules"): which types meet, and how.
//!
//! Whatever does not meet is "not equal": `!=` holds and nothing else does. Numbers meet as floats when one
//! of them is one, but not inside lists and maps, where Go's DeepEqual asks for the same type.

use std::cmp::Ordering;

use hashbrown::HashMap;

use super::map::{Entry, Map};
use super::syntax::tree::CompareOp;
use super::value::{LEVELS_MAX, Value};
use crate::wire::attr;

/// Maps up to this long are searched for each key, longer ones hashed.
const SEARCHED_MAX: usize = 32;

/// Whether `left op right` holds.
pub fn holds(op: CompareOp, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (Single::of(left), Single::of(right)) {
        (Single::Parts, Single::Parts) => {
            // They are equal or not; neither is less.
            let equal = same(left, right, 0);
            match op {
                CompareOp::Eq => equal,
                CompareOp::Ne => !equal,
                _ => false,
            }
        }
        (left, right) => singles(op, left, right),
    }
}

/// The same of values that have no parts, or one of them.
pub fn singles(op: CompareOp, left: Single<'_>, right: Single<'_>) -> bool {
    if let (Single::Str(left), Single::Str(right)) = (left, right) {
        match op {
            // Their lengths mostly say it.
            CompareOp::Eq => return left == right,
            CompareOp::Ne => return left != right,
            _ => {}
        }
    }
    let order = match (left, right) {
        (Single::Nil, Single::Nil) => Some(Ordering::Equal),
        (Single::Bool(a), Single::Bool(b)) => Some(a.cmp(&b)),
        (Single::Int(a), Single::Int(b)) => Some(a.cmp(&b)),
        (Single::Int(a), Single::Double(b)) => (a as f64).partial_cmp(&b),
        (Single::Double(a), Single::Int(b)) => a.partial_cmp(&(b as f64)),
        (Single::Double(a), Single::Double(b)) => a.partial_cmp(&b),
        // UTF-8 has the order of its letters.
        (Single::Str(a), Single::Str(b)) | (Single::Bytes(a), Single::Bytes(b)) => Some(a.cmp(b)),
        (Single::Time(a), Single::Time(b)) | (Single::Duration(a), Single::Duration(b)) => Some(a.cmp(&b)),
        _ => None,
    };
    match op {
        CompareOp::Eq => order == Some(Ordering::Equal),
        CompareOp::Ne => order != Some(Ordering::Equal),
        CompareOp::Lt => order == Some(Ordering::Less),
        CompareOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        CompareOp::Gt => order == Some(Ordering::Greater),
        CompareOp::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// A value as it is compared, read where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub enum Single<'v> {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(&'v [u8]),
    Bytes(&'v [u8]),
    Time(i64),
    Duration(i64),
    /// A list or a map.
    Parts,
}

impl<'v> Single<'v> {
    #[inline]
    pub fn of(value: &'v Value<'_>) -> Self {
        match value {
            Value::Nil => Single::Nil,
            Value::Bool(truth) => Single::Bool(*truth),
            Value::Int(number) => Single::Int(*number),
            Value::Double(number) => Single::Double(*number),
            Value::Str(text) => Single::Str(text.as_bytes()),
            Value::Bytes(bytes) => Single::Bytes(bytes),
            Value::Time(nanos) => Single::Time(*nanos),
            Value::Duration(nanos) => Single::Duration(*nanos),
            Value::List(_) | Value::Map(_) | Value::Message(..) => Single::Parts,
            Value::Any(body) => Self::of_any(body),
        }
    }

    /// Of the body of an AnyValue.
    #[inline]
    pub fn of_any(body: &'v [u8]) -> Self {
        match body {
            // As strings are written.
            [0x0a, len @ ..0x80, text @ ..] if text.len() == usize::from(*len) => Single::Str(text),
            _ => Self::of_read(attr::Value::of(body)),
        }
    }

    pub fn of_read(value: attr::Value<'v>) -> Self {
        match value {
            attr::Value::Empty => Single::Nil,
            attr::Value::Str(text) => Single::Str(text),
            attr::Value::Bool(truth) => Single::Bool(truth),
            attr::Value::Int(number) => Single::Int(number),
            attr::Value::Double(number) => Single::Double(number),
            attr::Value::Bytes(bytes) => Single::Bytes(bytes),
            attr::Value::Array(_) | attr::Value::Map(_) => Single::Parts,
        }
    }
}

/// Equality inside lists and maps: same type, same value.
fn same(left: &Value<'_>, right: &Value<'_>, level: u32) -> bool {
    if let (Value::Any(a), Value::Any(b)) = (left, right)
        && a == b
    {
        return true;
    }
    match (left.borrowed().open(), right.borrowed().open()) {
        _ if level > LEVELS_MAX => false,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b, level + 1))
        }
        (Value::Map(a), Value::Map(b)) => same_maps(&a, &b, level + 1),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => false,
        (a, b) => a == b,
    }
}

pub(super) fn same_maps(left: &Map<'_>, right: &Map<'_>, level: u32) -> bool {
    if left.len() != right.len() {
        return false;
    }
    if left.len() <= SEARCHED_MAX {
        let found =
            |entry: &Entry<'_>| right.get(&entry.key).is_some_and(|value| same(&entry.value, value, level));
        return left.entries().iter().all(found);
    }
    let mut values = HashMap::with_capacity_and_hasher(right.len(), ahash::RandomState::new());
    values.extend(right.entries().iter().map(|entry| (entry.key.as_ref(), &entry.value)));
    let found = |entry: &Entry<'_>| {
        values.get(entry.key.as_ref()).is_some_and(|value| same(&entry.value, value, level))
    };
    left.entries().iter().all(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    /// One value of each row of the table, in its order.
    fn rows() -> Vec<Value<'static>> {
        let map = |value| Value::Map([(Cow::Borrowed("k"), value)].into_iter().collect());
        vec![
            Value::Bool(true),
            Value::Int(1),
            Value::Double(1.0),
            Value::text("1"),
            Value::Bytes(Cow::Borrowed(b"1")),
            Value::Nil,
            Value::Time(1),
            Value::Duration(1),
            map(Value::Int(1)),
            Value::List(vec![Value::Int(1)]),
        ]
    }

    const OPS: [CompareOp; 6] =
        [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];

    #[track_caller]
    fn check(left: &Value<'_>, right: &Value<'_>, expect: [bool; 6]) {
        let got = OPS.map(|op| holds(op, left, right));
        assert_eq!(got, expect, "{left:?} against {right:?}, for {OPS:?}");
        // The same values, as attributes hold them.
        let (mut a, mut b) = (Vec::new(), Vec::new());
        if left.put(&mut a).is_ok() && right.put(&mut b).is_ok() {
            assert_eq!(
                OPS.map(|op| holds(op, &Value::Any(&a), &Value::Any(&b))),
                expect,
                "{left:?} {right:?}"
            );
            assert_eq!(OPS.map(|op| holds(op, &Value::Any(&a), right)), expect, "{left:?} {right:?}");
            assert_eq!(OPS.map(|op| holds(op, left, &Value::Any(&b))), expect, "{left:?} {right:?}");
        }
    }

    const EQUAL: [bool; 6] = [true, false, false, true, false, true];
    const LESS: [bool; 6] = [false, true, true, true, false, false];
    const MORE: [bool; 6] = [false, true, false, false, true, true];
    const APART: [bool; 6] = [false, true, false, false, false, false];

    #[test]
    fn types_that_do_not_meet_are_not_equal_and_nothing_else() {
        let rows = rows();
        for (i, left) in rows.iter().enumerate() {
            for (j, right) in rows.iter().enumerate() {
                let numbers = [1, 2].contains(&i) && [1, 2].contains(&j);
                let whole = i >= 8;
                match (i == j, whole) {
                    (true, true) => check(left, right, [true, false, false, false, false, false]),
                    (true, false) => check(left, right, EQUAL),
                    _ if numbers => check(left, right, EQUAL),
                    _ => check(left, right, APART),
                }
            }
        }
    }

    #[test]
    fn each_type_has_its_order() {
        let text = |t: &'static str| Value::text(t);
        let bytes = |b: &'static [u8]| Value::Bytes(Cow::Borrowed(b));
        for (less, more) in [
            (Value::Bool(false), Value::Bool(true)),
            (Value::Int(-2), Value::Int(3)),
            (Value::Int(1), Value::Double(1.5)),
            (Value::Double(0.5), Value::Int(1)),
            (Value::Double(0.5), Value::Double(1.5)),
            (text("B"), text("a")),
            (text(""), text("a")),
            (bytes(b"\x00"), bytes(b"\xff")),
            (Value::Time(1), Value::Time(2)),
            (Value::Duration(-1), Value::Duration(2)),
        ] {
            check(&less, &more, LESS);
            check(&more, &less, MORE);
        }
    }

    #[test]
    fn not_a_number_equals_nothing_and_neither_do_other_lists_and_maps() {
        check(&Value::Double(f64::NAN), &Value::Double(f64::NAN), APART);
        let one = |value| Value::List(vec![value]);
        check(&one(Value::Int(1)), &one(Value::Int(2)), APART);
        check(&one(Value::Int(1)), &one(Value::Double(1.0)), APART);
        check(&one(Value::Int(1)), &Value::List(vec![]), APART);
        let map = |pairs: &[(&'static str, i64)]| {
            Value::Map(pairs.iter().map(|(k, v)| (Cow::Borrowed(*k), Value::Int(*v))).collect())
        };
        let equal = [true, false, false, false, false, false];
        check(&map(&[("a", 1), ("b", 2)]), &map(&[("b", 2), ("a", 1)]), equal);
        check(&map(&[("a", 1)]), &map(&[("a", 1), ("b", 2)]), APART);
    }
}
