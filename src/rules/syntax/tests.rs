//! What reads as what. A tree is shown as a prefix form, which says all and is easy to compare.

use proptest::prelude::*;

use super::tree::{Call, Expr, Node};
use super::{condition, statement};

fn shown(expr: &Expr) -> String {
    let list = |all: &[Expr]| all.iter().map(shown).collect::<Vec<_>>().join(" ");
    match &expr.node {
        Node::Nil => "nil".into(),
        Node::Bool(truth) => truth.to_string(),
        Node::Int(number) => number.to_string(),
        Node::Float(number) => format!("{number:?}"),
        Node::Text(text) => format!("{text:?}"),
        Node::Bytes(bytes) => format!("0x{bytes:02x?}"),
        Node::Name(name) => name.clone(),
        Node::Path(segments) => {
            let one = |s: &super::tree::Segment| {
                s.keys.iter().fold(s.name.clone(), |all, key| format!("{all}[{}]", shown(key)))
            };
            segments.iter().map(one).collect::<Vec<_>>().join(".")
        }
        Node::List(all) => format!("[{}]", list(all)),
        Node::Map(all) => {
            let one = |(key, value): &(String, Expr)| format!("{key:?}:{}", shown(value));
            format!("{{{}}}", all.iter().map(one).collect::<Vec<_>>().join(" "))
        }
        Node::Call(call) => called(call),
        Node::Lambda(parameters, body) => {
            let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            format!("(fn [{}] {})", names.join(" "), shown(body))
        }
        Node::Math(op, a, b) => format!("({op:?} {} {})", shown(a), shown(b)),
        Node::Compare(op, a, b) => format!("({op:?} {} {})", shown(a), shown(b)),
        Node::Not(a) => format!("(not {})", shown(a)),
        Node::And(a, b) => format!("(and {} {})", shown(a), shown(b)),
        Node::Or(a, b) => format!("(or {} {})", shown(a), shown(b)),
    }
}

fn called(call: &Call) -> String {
    let one = |argument: &super::tree::Argument| match &argument.name {
        Some((name, _)) => format!("{name}={}", shown(&argument.value)),
        None => shown(&argument.value),
    };
    let arguments = call.arguments.iter().map(one).collect::<Vec<_>>().join(" ");
    call.keys.iter().fold(format!("{}({arguments})", call.name), |all, key| format!("{all}[{}]", shown(key)))
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let read = statement(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    let condition = read.condition.as_ref().map(|c| format!(" where {}", shown(c))).unwrap_or_default();
    assert_eq!(format!("{}{condition}", called(&read.editor)), expect, "{text}");
}

#[track_caller]
fn check_condition(text: &str, expect: &str) {
    assert_eq!(shown(&condition(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))), expect, "{text}");
}

#[test]
fn every_literal_reads() {
    check("set(a, nil)", "set(a nil)");
    check("set(a, [true, false, 1, -1, +1, 1.5, -.5, 2.5e-3])", "set(a [true false 1 -1 1 1.5 -0.5 0.0025])");
    check("set(a, -9223372036854775808)", "set(a -9223372036854775808)");
    check(r#"set(a, "q\"\\\n\t\x41\101\u00fc\U0001F600")"#, "set(a \"q\\\"\\\\\\n\\tAAü😀\")");
    check("set(a, 0x00fF)", "set(a 0x[00, ff])");
    check("set(a, STATUS_CODE_OK)", "set(a STATUS_CODE_OK)");
    check(r#"set(a, {"k": {"l": [1, {}]}, "m": b,})"#, r#"set(a {"k":{"l":[1 {}]} "m":b})"#);
}

#[test]
fn paths_are_indexed_by_key_number_and_expression() {
    check(
        r#"set(log.body["a"][0].b, resource.attributes[Concat(["a", x["y"]], ".")])"#,
        r#"set(log.body["a"][0].b resource.attributes[Concat(["a" x["y"]] ".")])"#,
    );
    check(r#"set(a, Split(b, ",")[1])"#, r#"set(a Split(b ",")[1])"#);
}

#[test]
fn arguments_are_positional_named_and_left_out() {
    check("flatten(a, depth=2, prefix = \"x\")", "flatten(a depth=2 prefix=\"x\")");
    check("drop()", "drop()");
    check("replace_match(a, \"b\", \"c\", SHA256)", "replace_match(a \"b\" \"c\" SHA256)");
}

#[test]
fn lambdas_reach_as_far_as_they_can() {
    check(
        "set(a, Filter(b, (_, v) => v == 1 or not v > 2), c)",
        "set(a Filter(b (fn [_ v] (or (Eq v 1) (not (Gt v 2))))) c)",
    );
    check("set(a, When(()=>b, 1, 2))", "set(a When((fn [] b) 1 2))");
    check("set(a, F(p=(x) => (y) => x + y))", "set(a F(p=(fn [x] (fn [y] (Add x y)))))");
    check("set(a, (b) + (c))", "set(a (Add b c))");
}

#[test]
fn calculations_have_precedence_and_run_from_the_left() {
    check("set(a, 1 + 2 * 3 - 4 / 2)", "set(a (Sub (Add 1 (Mul 2 3)) (Div 4 2)))");
    check("set(a, (1 + 2) * 3)", "set(a (Mul (Add 1 2) 3))");
    check("set(a, b-1)", "set(a (Sub b 1))");
    check("set(a, b - -1)", "set(a (Sub b -1))");
    check("set(a, -b * +c)", "set(a (Mul (Sub 0 b) c))");
}

#[test]
fn conditions_have_precedence_too() {
    check_condition("not a == 1 and b or c", "(or (and (not (Eq a 1)) b) c)");
    check_condition("a or b and not (c or d)", "(or a (and b (not (or c d))))");
    check_condition("1 + 1 >= 2 * b", "(Ge (Add 1 1) (Mul 2 b))");
    check_condition("IsMatch(a, \"x\") and true", "(and IsMatch(a \"x\") true)");
    check("drop() where (a != nil)", "drop() where (Ne a nil)");
}

#[test]
fn white_space_and_lines_are_free() {
    check("\tset ( a . b ,\n 1 )\n where\r\n c<2", "set(a.b 1) where (Lt c 2)");
}

#[track_caller]
fn refuse(text: &str, at: std::ops::Range<usize>, expect: &str) {
    let fault = statement(text).expect_err(text);
    assert_eq!((fault.at, fault.text.as_str()), (at, expect), "{text}");
}

#[test]
fn what_does_not_fit_is_pointed_at() {
    refuse("", 0..0, "nothing here; a statement is like `set(span.name, \"x\")`");
    refuse("Set(a, 1)", 0..3, "a statement begins with an editor, and editors are lower case: `Set` is not");
    refuse("set(a 1)", 6..7, "expected `,` or `)`, found `1`");
    refuse("set(a, 1", 8..8, "expected `,` or `)`, found the end");
    refuse("set(a, 1) when b", 10..14, "expected `where` or the end, found `when`");
    refuse("set(a, 1) where b = 1", 18..19, "expected `and`, `or` or the end, found `=`; equality is `==`");
    refuse("set(a, 'x')", 7..8, "`\\'` means nothing here; strings stand in double quotes");
    refuse("set(a, \"x", 7..9, "the string has no closing quote");
    refuse("set(a, \"\\d\")", 8..10, "`\\d` is no escape; for a backslash itself write `\\\\d`");
    refuse("set(a, 0x123)", 7..12, "`0x123` is not whole bytes; write two digits for each");
    refuse("set(a, 9223372036854775808)", 7..26, "`9223372036854775808` does not fit 64 bits");
    refuse(
        "set(a, lower(b))",
        7..12,
        "converters begin with an upper-case letter: `lower` can not be called here",
    );
    refuse(
        "set(a, 1)[0]",
        10..11,
        "an editor has no value to look into; only paths and converters take brackets",
    );
    refuse("set(a, 1) where 1 < b < 3", 22..23, "comparisons do not chain; join two with `and`");
    refuse("set(a, {b: 1})", 8..9, "expected a key in double quotes, found `b`");
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("set(a, {}1{})", "(".repeat(1000), ")".repeat(1000));
    assert!(statement(&deep).expect_err("deep").text.starts_with("nested deeper"));
    let not = format!("set(a, 1) where {}true", "not ".repeat(1000));
    assert!(statement(&not).expect_err("deep").text.starts_with("nested deeper"));
    let long = format!("set(a, \"{}\")", "x".repeat(super::TEXT_MAX));
    assert!(statement(&long).expect_err("long").text.contains("at most"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = statement(&text);
        let _ = condition(&text);
    }

    #[test]
    fn nothing_made_of_its_own_tokens_does_either(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "set", "(", ")", "[", "]", "{", "}", ",", ".", ":", "=", "==", "<", "+", "-", "*", "/", "not", "and",
            "or", "where", "nil", "true", "a", "Concat", "ENUM", "1", "1.5", "\"k\"", "0x00", "\\", "\"", " ",
        ]), 0..40)
    ) {
        let _ = statement(&words.concat());
        let _ = statement(&words.join(" "));
    }
}
