//! Headers of requests: their names are known before any request is, and some are nobody's to read.

use std::ops::Range;
use std::sync::Arc;

use super::Compiler;
use crate::rules::program::Expr;
use crate::rules::value::Value;

/// More headers than anybody tells requests apart by; each is looked for in every request.
const HEADERS_MAX: usize = 32;
/// They say who may do what. What they are worth to a rule, others are worth to whoever reads the data.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// The name of a header as requests are asked for it.
///
/// # Errors
/// There can be no such header, or it is nobody's to read.
pub fn readable(name: &str) -> Result<Arc<str>, String> {
    let name = name.to_ascii_lowercase();
    if SECRET.contains(&name.as_str()) {
        let hint = "have callers send what is needed in a header of its own, like `x-tenant`";
        return Err(format!("`{name}` is a credential, which no rule can read; {hint}"));
    }
    if http::HeaderName::try_from(&*name).is_err() {
        return Err(format!("`{name}` is not a header name"));
    }
    Ok(Arc::from(name))
}

impl Compiler<'_> {
    /// Notes which header a path is about. `None` when there is a mistake.
    pub(super) fn header(&mut self, keys: &[Expr], at: &Range<usize>) -> Option<()> {
        let [key] = keys else {
            return self.wrong(at, "a header is named like this: `header[\"x-tenant\"]`");
        };
        let Expr::Constant(Value::Str(name)) = key else {
            return self
                .wrong(at, "the name of a header is a constant: it is looked for before any rule runs");
        };
        let name = match readable(name) {
            Ok(name) => name,
            Err(wrong) => return self.wrong(at, wrong),
        };
        if self.headers.len() >= HEADERS_MAX && !self.headers.contains(&*name) {
            return self.wrong(at, format!("more than {HEADERS_MAX} different headers"));
        }
        self.headers.insert(name);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{Group, Rules};

    #[track_caller]
    fn check(statement: &str, expect: &str) {
        let group = Group { statements: vec![statement.to_owned()], ..Group::default() };
        let got = Rules::compile(&[group]).map(|rules| {
            let asked = rules.interest();
            let names: Vec<_> = asked.headers.iter().map(|name| name.to_string()).collect();
            format!("{}{}", names.join(","), if asked.peer { " peer" } else { "" })
        });
        let got = got.unwrap_or_else(|wrong| wrong.into_iter().map(|wrong| wrong.text).collect());
        assert!(got.contains(expect), "{got}");
    }

    #[test]
    fn what_rules_ask_of_requests_is_known_beforehand() {
        check(r#"set(span.name, header["X-Tenant"]) where header["x-b"] != nil"#, "x-b,x-tenant");
        check(r#"drop() where IsInCIDR(peer.address, ["10.0.0.0/8"]) and log.body == nil"#, " peer");
        check("drop() where span.name == nil", "");
    }

    #[test]
    fn credentials_and_names_that_are_worked_out_are_refused() {
        check(
            r#"set(span.name, header["Authorization"])"#,
            "`authorization` is a credential, which no rule can read",
        );
        check(r#"drop() where span.name == header["cookie"]"#, "`cookie` is a credential");
        check("set(span.name, header[span.name])", "the name of a header is a constant");
        check(r#"set(span.name, header["a b"])"#, "`a b` is not a header name");
        check("set(span.name, header)", "a header is named like this");
        let many = (0..33).map(|n| format!(r#"header["x-{n}"] == nil"#)).collect::<Vec<_>>().join(" and ");
        check(&format!("drop() where span.name == nil and {many}"), "more than 32 different headers");
    }
}
