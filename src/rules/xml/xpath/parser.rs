//! The text of an XPath to steps.

use super::{Axis, Compare, Expr, FUNCTIONS, Path, Step, Test};
use crate::model::nearest::did_you_mean;

/// Expressions in expressions.
const DEPTH_MAX: u32 = 32;

type Read<T> = Result<T, String>;

pub fn paths(text: &str) -> Read<Vec<Path>> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let paths = parser.union()?;
    parser.skip();
    match parser.rest() {
        "" => Ok(paths),
        rest => Err(format!("not an XPath: `{rest}` is more than expected")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn wants(&mut self, sign: &str) -> Read<()> {
        if self.takes(sign) { Ok(()) } else { self.unexpected(&format!("`{sign}`")) }
    }

    fn unexpected<T>(&self, wanted: &str) -> Read<T> {
        let found = match self.rest().chars().next() {
            Some(letter) => format!("`{}`", letter.escape_debug()),
            None => "the end".into(),
        };
        Err(format!("not an XPath: expected {wanted}, found {found}"))
    }

    /// A word that is an operator here: one that more of a name does not follow.
    fn takes_word(&mut self, word: &str) -> bool {
        self.skip();
        let behind = self.rest().strip_prefix(word);
        let found = behind.is_some_and(|behind| !behind.starts_with(goes_on));
        if found {
            self.at += word.len();
        }
        found
    }

    fn name(&mut self) -> Option<&'t str> {
        self.skip();
        let rest = self.rest();
        if !rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') {
            return None;
        }
        let mut len = rest.find(|letter| !goes_on(letter)).unwrap_or(rest.len());
        // One colon is a prefix's, two are an axis's.
        let behind = rest.get(len..).unwrap_or_default();
        if let Some(local) = behind.strip_prefix(':').filter(|local| !local.starts_with(':')) {
            len += 1 + local.find(|letter| !goes_on(letter)).unwrap_or(local.len());
        }
        self.at += len;
        rest.get(..len)
    }

    fn union(&mut self) -> Read<Vec<Path>> {
        let mut paths = vec![self.path()?];
        while self.takes("|") {
            paths.push(self.path()?);
        }
        Ok(paths)
    }

    fn path(&mut self) -> Read<Path> {
        let mut steps = Vec::new();
        let absolute = self.takes("/");
        if absolute && self.takes("/") {
            steps.push(anywhere());
        } else if absolute && !self.step_follows() {
            return Ok(Path { absolute, steps });
        }
        loop {
            steps.push(self.step()?);
            if self.takes("//") {
                steps.push(anywhere());
            } else if !self.takes("/") || !self.step_follows() {
                // The Collector's users write a slash at the end.
                return Ok(Path { absolute, steps });
            }
        }
    }

    fn step_follows(&mut self) -> bool {
        self.skip();
        self.rest().starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '*' | '@' | '.'))
    }

    fn step(&mut self) -> Read<Step> {
        let plain = |axis| Step { axis, test: Test::AnyNode, predicates: Vec::new() };
        if self.takes("..") {
            return Ok(plain(Axis::Parent));
        }
        if self.takes(".") {
            return Ok(plain(Axis::SelfNode));
        }
        let mut axis = if self.takes("@") { Axis::Attribute } else { Axis::Child };
        if self.takes("*") {
            return Ok(Step { axis, test: Test::AnyName, predicates: self.predicates()? });
        }
        let Some(mut name) = self.name() else {
            return self.unexpected("a step like `name`, `@name` or `*`");
        };
        if self.takes("::") {
            const AXES: [(&str, Axis); 7] = [
                ("child", Axis::Child),
                ("attribute", Axis::Attribute),
                ("descendant", Axis::Descendant),
                ("descendant-or-self", Axis::DescendantOrSelf),
                ("parent", Axis::Parent),
                ("self", Axis::SelfNode),
                ("ancestor", Axis::Ancestor),
            ];
            axis = match AXES.iter().find(|(known, _)| *known == name) {
                Some((_, axis)) => *axis,
                None => {
                    let hint = did_you_mean(name, AXES.iter().map(|(known, _)| *known));
                    return Err(format!("not an XPath: unknown axis `{name}`{hint}"));
                }
            };
            if self.takes("*") {
                return Ok(Step { axis, test: Test::AnyName, predicates: self.predicates()? });
            }
            name = match self.name() {
                Some(name) => name,
                None => return self.unexpected("a name behind `::`"),
            };
        }
        let test = match name {
            "text" | "comment" | "node" if self.takes("(") => {
                self.wants(")")?;
                match name {
                    "text" => Test::Text,
                    "comment" => Test::Comment,
                    _ => Test::AnyNode,
                }
            }
            _ => Test::Name(name.to_owned()),
        };
        Ok(Step { axis, test, predicates: self.predicates()? })
    }

    fn predicates(&mut self) -> Read<Vec<Expr>> {
        let mut all = Vec::new();
        while self.takes("[") {
            all.push(self.or()?);
            self.wants("]")?;
        }
        Ok(all)
    }

    fn or(&mut self) -> Read<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("not an XPath: nested deeper than {DEPTH_MAX} levels"));
        }
        let mut left = self.and()?;
        while self.takes_word("or") {
            left = Expr::Or(Box::new((left, self.and()?)));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Read<Expr> {
        let mut left = self.compared()?;
        while self.takes_word("and") {
            left = Expr::And(Box::new((left, self.compared()?)));
        }
        Ok(left)
    }

    fn compared(&mut self) -> Read<Expr> {
        const SIGNS: [(&str, Compare); 6] = [
            ("!=", Compare::Ne),
            ("<=", Compare::Le),
            (">=", Compare::Ge),
            ("=", Compare::Eq),
            ("<", Compare::Lt),
            (">", Compare::Gt),
        ];
        let left = self.operand()?;
        match SIGNS.iter().find(|(sign, _)| self.takes(sign)) {
            Some((_, compare)) => Ok(Expr::Compare(*compare, Box::new((left, self.operand()?)))),
            None => Ok(left),
        }
    }

    fn operand(&mut self) -> Read<Expr> {
        self.skip();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
            let inside = rest.get(1..).unwrap_or_default();
            let Some((text, _)) = inside.split_once(quote) else {
                return Err("not an XPath: a string has no closing quote".into());
            };
            self.at += text.len() + 2;
            return Ok(Expr::Text(text.to_owned()));
        }
        let unsigned = rest.strip_prefix('-').unwrap_or(rest);
        if unsigned.starts_with(|letter: char| letter.is_ascii_digit()) {
            let len = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
            let len = len + rest.len() - unsigned.len();
            let digits = rest.get(..len).unwrap_or_default();
            self.at += len;
            let number = digits.parse().map_err(|_| format!("not an XPath: `{digits}` is no number"))?;
            return Ok(Expr::Number(number));
        }
        if self.takes("(") {
            let inner = self.or()?;
            self.wants(")")?;
            return Ok(inner);
        }
        self.called()
    }

    /// A function's call, or paths.
    fn called(&mut self) -> Read<Expr> {
        let from = self.at;
        let name = self.name().filter(|name| !matches!(*name, "text" | "comment" | "node"));
        let Some(name) = name.filter(|_| self.takes("(")) else {
            self.at = from;
            let mut paths = self.union()?;
            return Ok(match (paths.pop(), paths.is_empty()) {
                (Some(path), true) => Expr::Path(path),
                (last, _) => Expr::Union(paths.into_iter().chain(last).collect()),
            });
        };
        let Some((name, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            let hint = did_you_mean(name, FUNCTIONS.iter().map(|(known, ..)| *known));
            return Err(format!("not an XPath: unknown function `{name}`{hint}"));
        };
        let mut arguments = Vec::new();
        while !self.takes(")") {
            if !arguments.is_empty() {
                self.wants(",")?;
            }
            arguments.push(self.or()?);
        }
        if !(*least..=*most).contains(&arguments.len()) {
            return Err(format!("not an XPath: `{name}` does not take {} arguments", arguments.len()));
        }
        Ok(Expr::Call(name, arguments))
    }
}

fn goes_on(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

fn anywhere() -> Step {
    Step { axis: Axis::DescendantOrSelf, test: Test::AnyNode, predicates: Vec::new() }
}
