//! `+ - * /` on numbers, times and durations.
//!
//! Integers wrap around as Go's do; an integer beside a float becomes one; dividing by zero is a trouble,
//! never a crash.

use super::syntax::tree::MathOp;
use super::trouble::Trouble;
use super::value::Value;

/// # Errors
/// When the types do not go together, on division by zero, and for times out of range.
pub fn calculate<'a>(op: MathOp, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Trouble> {
    use MathOp::{Add, Sub};
    Ok(match (left.open(), right.open(), op) {
        (Value::Int(a), Value::Int(b), op) => Value::Int(whole(op, a, b)?),
        (Value::Int(a), Value::Double(b), op) => Value::Double(float(op, a as f64, b)?),
        (Value::Double(a), Value::Int(b), op) => Value::Double(float(op, a, b as f64)?),
        (Value::Double(a), Value::Double(b), op) => Value::Double(float(op, a, b)?),
        (Value::Time(a), Value::Duration(b), Add) | (Value::Duration(a), Value::Time(b), Add) => {
            Value::Time(in_range(a.checked_add(b))?)
        }
        (Value::Time(a), Value::Duration(b), Sub) => Value::Time(in_range(a.checked_sub(b))?),
        (Value::Time(a), Value::Time(b), Sub) => Value::Duration(a.saturating_sub(b)),
        (Value::Duration(a), Value::Duration(b), Add) => Value::Duration(a.wrapping_add(b)),
        (Value::Duration(a), Value::Duration(b), Sub) => Value::Duration(a.wrapping_sub(b)),
        (left, right, _) => {
            let told = format!("{} and {} do not calculate with `{}`", left.what(), right.what(), sign(op));
            return Err(Trouble(told));
        }
    })
}

pub fn sign(op: MathOp) -> &'static str {
    match op {
        MathOp::Add => "+",
        MathOp::Sub => "-",
        MathOp::Mul => "*",
        MathOp::Div => "/",
    }
}

fn whole(op: MathOp, a: i64, b: i64) -> Result<i64, Trouble> {
    Ok(match op {
        MathOp::Add => a.wrapping_add(b),
        MathOp::Sub => a.wrapping_sub(b),
        MathOp::Mul => a.wrapping_mul(b),
        MathOp::Div if b == 0 => return Err(by_zero()),
        MathOp::Div => a.wrapping_div(b),
    })
}

fn float(op: MathOp, a: f64, b: f64) -> Result<f64, Trouble> {
    Ok(match op {
        MathOp::Add => a + b,
        MathOp::Sub => a - b,
        MathOp::Mul => a * b,
        MathOp::Div if b == 0.0 => return Err(by_zero()),
        MathOp::Div => a / b,
    })
}

fn by_zero() -> Trouble {
    Trouble::new("division by zero")
}

fn in_range(time: Option<i64>) -> Result<i64, Trouble> {
    time.ok_or_else(|| Trouble::new("a time outside 1677 to 2262"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use MathOp::{Add, Div, Mul, Sub};

    #[test]
    fn numbers_times_and_durations_calculate() {
        let (int, double) = (Value::Int, Value::Double);
        let (time, span) = (Value::Time, Value::Duration);
        for (op, a, b, expect) in [
            (Add, int(1), int(2), int(3)),
            (Div, int(-7), int(2), int(-3)),
            (Mul, int(i64::MAX), int(2), int(-2)),
            (Div, int(i64::MIN), int(-1), int(i64::MIN)),
            (Add, int(1), double(0.5), double(1.5)),
            (Div, double(1.0), int(4), double(0.25)),
            (Sub, time(5), time(2), span(3)),
            (Add, time(5), span(2), time(7)),
            (Add, span(2), time(5), time(7)),
            (Sub, time(5), span(2), time(3)),
            (Sub, span(2), span(5), span(-3)),
        ] {
            assert_eq!(calculate(op, a.clone(), b.clone()), Ok(expect), "{a:?} {} {b:?}", sign(op));
        }
    }

    #[test]
    fn what_has_no_result_is_a_trouble() {
        for (op, a, b, expect) in [
            (Div, Value::Int(1), Value::Int(0), "division by zero"),
            (Div, Value::Double(1.0), Value::Int(0), "division by zero"),
            (Mul, Value::Duration(1), Value::Int(2), "a duration and an integer do not calculate with `*`"),
            (Sub, Value::Duration(1), Value::Time(2), "a duration and a time do not calculate with `-`"),
            (Add, Value::text("a"), Value::Int(1), "a string and an integer do not calculate with `+`"),
            (Add, Value::Nil, Value::Int(1), "nil and an integer do not calculate with `+`"),
            (Add, Value::Time(i64::MAX), Value::Duration(1), "a time outside 1677 to 2262"),
        ] {
            assert_eq!(calculate(op, a, b), Err(Trouble::new(expect)));
        }
    }
}
