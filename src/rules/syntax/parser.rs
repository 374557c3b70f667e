//! Tokens to a tree: one precedence climb for calculations, comparisons and conditions alike.
//!
//! Whether a condition may stand where it stands is not asked here: `program` knows what each place
//! takes and says it better than a grammar could.

use std::ops::Range;

use super::lexer::{Placed, Token, tokens};
use super::tree::{Argument, Call, CompareOp, Expr, MathOp, Node, Parameter, Segment, Statement};
use super::{DEPTH_MAX, Unreadable};

type Read<T> = Result<T, Unreadable>;

/// Reads `editor(…) where …`.
///
/// # Errors
/// [`Unreadable`] at the first token that does not fit.
pub fn statement(text: &str) -> Read<Statement> {
    let mut parser = Parser::of(text)?;
    let (name, name_at) = match parser.next() {
        Placed { token: Token::Lower(name), at } => (name, at),
        Placed { token: Token::Upper(name), at } => {
            let told =
                format!("a statement begins with an editor, and editors are lower case: `{name}` is not");
            return Err(Unreadable { at, text: told });
        }
        Placed { token: Token::End, at } => {
            return Err(Unreadable {
                at,
                text: "nothing here; a statement is like `set(span.name, \"x\")`".into(),
            });
        }
        other => return parser.unexpected(&other, "an editor"),
    };
    let editor = parser.call(name, name_at)?;
    if let Some(key) = editor.keys.first() {
        let text = "an editor has no value to look into; only paths and converters take brackets".into();
        return Err(Unreadable { at: key.at.clone(), text });
    }
    let condition = if parser.takes_word("where") { Some(parser.expression(0)?) } else { None };
    parser.end(if condition.is_some() { "`and`, `or` or the end" } else { "`where` or the end" })?;
    Ok(Statement { editor, condition })
}

/// Reads a condition that stands alone, without `where`.
///
/// # Errors
/// As [`statement`].
pub fn condition(text: &str) -> Read<Expr> {
    let mut parser = Parser::of(text)?;
    let condition = parser.expression(0)?;
    parser.end("`and`, `or` or the end")?;
    Ok(condition)
}

struct Parser {
    /// In reverse, so that the next one is popped.
    tokens: Vec<Placed>,
    depth: u32,
    /// Where the token taken last ends.
    last_end: usize,
}

/// How tightly an operator binds.
#[derive(Clone, Copy)]
enum Binary {
    Or,
    And,
    Compare(CompareOp),
    Math(MathOp),
}

impl Binary {
    const fn strength(self) -> u8 {
        match self {
            Binary::Or => 1,
            Binary::And => 2,
            Binary::Compare(_) => NOT + 1,
            Binary::Math(MathOp::Add | MathOp::Sub) => 5,
            Binary::Math(MathOp::Mul | MathOp::Div) => 6,
        }
    }

    fn node(self, left: Expr, right: Expr) -> Node {
        let (left, right) = (Box::new(left), Box::new(right));
        match self {
            Binary::Or => Node::Or(left, right),
            Binary::And => Node::And(left, right),
            Binary::Compare(op) => Node::Compare(op, left, right),
            Binary::Math(op) => Node::Math(op, left, right),
        }
    }
}

/// What `not` takes: anything that binds more tightly.
const NOT: u8 = 3;
/// What a sign takes: a single value.
const SIGN: u8 = 7;

impl Parser {
    fn of(text: &str) -> Read<Self> {
        let mut tokens = tokens(text)?;
        tokens.reverse();
        Ok(Self { tokens, depth: 0, last_end: 0 })
    }

    fn peek(&self) -> &Token {
        self.tokens.last().map_or(&Token::End, |placed| &placed.token)
    }

    fn next(&mut self) -> Placed {
        let end = self.last_end;
        let placed = self.tokens.pop().unwrap_or(Placed { token: Token::End, at: end..end });
        self.last_end = placed.at.end;
        placed
    }

    fn takes_sign(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(sign) if *sign == wanted);
        if found {
            self.next();
        }
        found
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Token::Lower(word) if word == wanted);
        if found {
            self.next();
        }
        found
    }

    fn wants_sign(&mut self, wanted: &'static str, or: &str) -> Read<()> {
        if self.takes_sign(wanted) {
            return Ok(());
        }
        let next = self.next();
        self.unexpected(&next, &format!("{or}`{wanted}`"))
    }

    fn end(&mut self, wanted: &str) -> Read<()> {
        match self.next() {
            Placed { token: Token::End, .. } => Ok(()),
            other => self.unexpected(&other, wanted),
        }
    }

    fn unexpected<T>(&self, found: &Placed, wanted: &str) -> Read<T> {
        let what = match &found.token {
            Token::Lower(word) | Token::Upper(word) => format!("`{word}`"),
            Token::Int(number) => format!("`{number}`"),
            Token::Float(number) => format!("`{number}`"),
            Token::Text(_) => "a string".into(),
            Token::Bytes(_) => "bytes".into(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".into(),
        };
        let hint = match &found.token {
            Token::Sign("=") => "; equality is `==`",
            _ => "",
        };
        Err(Unreadable { at: found.at.clone(), text: format!("expected {wanted}, found {what}{hint}") })
    }

    /// An expression whose operators all bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Read<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.next().at;
            return Err(Unreadable { at, text: format!("nested deeper than {DEPTH_MAX} levels") });
        }
        let mut left = self.operand(least)?;
        while let Some(operator) = self.operator().filter(|operator| operator.strength() >= least) {
            self.next();
            let right = self.expression(operator.strength() + 1)?;
            if let (Binary::Compare(_), Some(Binary::Compare(_))) = (operator, self.operator()) {
                let at = self.next().at;
                return Err(Unreadable { at, text: "comparisons do not chain; join two with `and`".into() });
            }
            let at = left.at.start..right.at.end;
            left = Expr { node: operator.node(left, right), at };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<Binary> {
        Some(match self.peek() {
            Token::Lower(word) if word == "or" => Binary::Or,
            Token::Lower(word) if word == "and" => Binary::And,
            Token::Sign("==") => Binary::Compare(CompareOp::Eq),
            Token::Sign("!=") => Binary::Compare(CompareOp::Ne),
            Token::Sign("<") => Binary::Compare(CompareOp::Lt),
            Token::Sign("<=") => Binary::Compare(CompareOp::Le),
            Token::Sign(">") => Binary::Compare(CompareOp::Gt),
            Token::Sign(">=") => Binary::Compare(CompareOp::Ge),
            Token::Sign("+") => Binary::Math(MathOp::Add),
            Token::Sign("-") => Binary::Math(MathOp::Sub),
            Token::Sign("*") => Binary::Math(MathOp::Mul),
            Token::Sign("/") => Binary::Math(MathOp::Div),
            _ => return None,
        })
    }

    fn operand(&mut self, least: u8) -> Read<Expr> {
        let first = self.next();
        let from = first.at.start;
        let node = match first.token {
            Token::Sign("(") if self.lambda_follows() => self.lambda()?,
            Token::Sign("(") => {
                let inner = self.expression(0)?;
                self.wants_sign(")", "an operator or ")?;
                inner.node
            }
            Token::Sign("[") => Node::List(self.listed("]", Self::value)?),
            Token::Sign("{") => Node::Map(self.listed("}", Self::entry)?),
            Token::Sign(sign @ ("-" | "+")) => self.signed(sign, from)?,
            Token::Int(number) => Node::Int(whole(number, false, &first.at)?),
            Token::Float(number) => Node::Float(number),
            Token::Text(text) => Node::Text(text),
            Token::Bytes(bytes) => Node::Bytes(bytes),
            Token::Upper(name) if matches!(self.peek(), Token::Sign("(")) => {
                Node::Call(self.call(name, first.at)?)
            }
            Token::Upper(name) => Node::Name(name),
            Token::Lower(word) => match word.as_str() {
                "nil" => Node::Nil,
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "not" if least <= NOT => Node::Not(Box::new(self.expression(NOT)?)),
                "and" | "or" | "not" | "where" => {
                    let keyword = Placed { token: Token::Lower(word), at: first.at };
                    return self.unexpected(&keyword, "a value");
                }
                _ => self.path_or_editor(word, first.at)?,
            },
            _ => return self.unexpected(&first, "a value"),
        };
        Ok(Expr { node, at: from..self.last_end })
    }

    fn value(&mut self) -> Read<Expr> {
        self.expression(0)
    }

    /// A number with its sign, or `-` before another value, which is zero less that value.
    fn signed(&mut self, sign: &str, from: usize) -> Read<Node> {
        let minus = sign == "-";
        match self.peek() {
            Token::Int(_) | Token::Float(_) => match self.next() {
                Placed { token: Token::Int(number), at } => Ok(Node::Int(whole(number, minus, &at)?)),
                Placed { token: Token::Float(number), .. } => {
                    Ok(Node::Float(if minus { -number } else { number }))
                }
                other => self.unexpected(&other, "a number"),
            },
            _ => {
                let value = self.expression(SIGN)?;
                let zero = Expr { node: Node::Int(0), at: from..from };
                Ok(if minus { Node::Math(MathOp::Sub, zero.into(), value.into()) } else { value.node })
            }
        }
    }

    /// What stands between commas until `close`; a comma before `close` is forgiven, as the Collector does.
    fn listed<T>(&mut self, close: &'static str, one: fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut all = Vec::new();
        while !self.takes_sign(close) {
            all.push(one(self)?);
            if !self.takes_sign(",") {
                self.wants_sign(close, "`,` or ")?;
                break;
            }
        }
        Ok(all)
    }

    /// Whether the open parenthesis is that of a lambda's parameters.
    fn lambda_follows(&self) -> bool {
        let mut ahead = self.tokens.iter().rev().map(|placed| &placed.token);
        let closing = ahead.find(|token| !matches!(token, Token::Lower(_) | Token::Sign(",")));
        matches!((closing, ahead.next()), (Some(Token::Sign(")")), Some(Token::Sign("=>"))))
    }

    fn lambda(&mut self) -> Read<Node> {
        let parameters = self.listed(")", Self::parameter)?;
        self.wants_sign("=>", "")?;
        Ok(Node::Lambda(parameters, Box::new(self.expression(0)?)))
    }

    fn parameter(&mut self) -> Read<Parameter> {
        match self.next() {
            Placed { token: Token::Lower(name), at } if !is_taken(&name) => Ok(Parameter { name, at }),
            other => self.unexpected(&other, "a parameter's name"),
        }
    }

    fn entry(&mut self) -> Read<(String, Expr)> {
        let key = match self.next() {
            Placed { token: Token::Text(key), .. } => key,
            other => return self.unexpected(&other, "a key in double quotes"),
        };
        self.wants_sign(":", "")?;
        Ok((key, self.value()?))
    }

    fn path_or_editor(&mut self, word: String, at: Range<usize>) -> Read<Node> {
        if matches!(self.peek(), Token::Sign("(")) {
            let told = format!("converters begin with an upper-case letter: `{word}` can not be called here");
            return Err(Unreadable { at, text: told });
        }
        let mut segments = vec![Segment { name: word, keys: self.keys()?, at }];
        while self.takes_sign(".") {
            match self.next() {
                Placed { token: Token::Lower(name), at } => {
                    segments.push(Segment { name, keys: self.keys()?, at });
                }
                other => return self.unexpected(&other, "a lower-case name after `.`"),
            }
        }
        Ok(Node::Path(segments))
    }

    fn keys(&mut self) -> Read<Vec<Expr>> {
        let mut keys = Vec::new();
        while self.takes_sign("[") {
            keys.push(self.value()?);
            self.wants_sign("]", "")?;
        }
        Ok(keys)
    }

    fn call(&mut self, name: String, name_at: Range<usize>) -> Read<Call> {
        self.wants_sign("(", "")?;
        let arguments = self.listed(")", Self::argument)?;
        let keys = self.keys()?;
        let at = name_at.start..self.last_end;
        Ok(Call { name, name_at, arguments, keys, at })
    }

    fn argument(&mut self) -> Read<Argument> {
        let named = matches!(
            self.tokens.as_slice(),
            [.., Placed { token: Token::Sign("="), .. }, Placed { token: Token::Lower(_), .. }]
        );
        let name = match named.then(|| (self.next(), self.next())) {
            Some((Placed { token: Token::Lower(name), at }, _)) => Some((name, at)),
            _ => None,
        };
        Ok(Argument { name, value: self.value()? })
    }
}

/// Whether a word means something of its own.
fn is_taken(word: &str) -> bool {
    matches!(word, "nil" | "true" | "false" | "not" | "and" | "or" | "where")
}

fn whole(number: u64, minus: bool, at: &Range<usize>) -> Read<i64> {
    let signed = if minus { -i128::from(number) } else { i128::from(number) };
    i64::try_from(signed)
        .map_err(|_| Unreadable { at: at.clone(), text: format!("`{signed}` does not fit 64 bits") })
}
