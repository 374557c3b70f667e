//! The tree of a statement. Every node knows the bytes of the text it came from.

use std::ops::Range;

/// `editor(…) where …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub editor: Call,
    pub condition: Option<Expr>,
}

/// Anything that has a value, or is true or false.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub node: Node,
    pub at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An upper-case name without parentheses: an enum, or a converter to be handed over.
    Name(String),
    Path(Vec<Segment>),
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
    Call(Call),
    /// `(parameters) => body`, which functions run.
    Lambda(Vec<Parameter>, Box<Expr>),
    Math(MathOp, Box<Expr>, Box<Expr>),
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

/// One name of a path with what stands in brackets behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub name: String,
    pub keys: Vec<Expr>,
    pub at: Range<usize>,
}

/// An editor or a converter with its arguments; keys only behind converters.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    pub name_at: Range<usize>,
    pub arguments: Vec<Argument>,
    pub keys: Vec<Expr>,
    pub at: Range<usize>,
}

/// A parameter of a lambda; `_` is one that its body does not look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: Option<(String, Range<usize>)>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MathOp {
    Add,
    Sub,
    Mul,
    Div,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Node {
    /// What it is, for messages: `a string`.
    pub fn what(&self) -> &'static str {
        match self {
            Node::Nil => "nil",
            Node::Bool(_) => "a boolean",
            Node::Int(_) => "an integer",
            Node::Float(_) => "a float",
            Node::Text(_) => "a string",
            Node::Bytes(_) => "bytes",
            Node::Name(_) => "a name",
            Node::Path(_) => "a path",
            Node::List(_) => "a list",
            Node::Map(_) => "a map",
            Node::Call(_) => "a call",
            Node::Lambda(..) => "a lambda",
            Node::Math(..) => "a calculation",
            Node::Compare(..) => "a comparison",
            Node::Not(_) | Node::And(..) | Node::Or(..) => "a condition",
        }
    }
}
