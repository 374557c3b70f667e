//! XPath 1.0, the part of it that logs need: which nodes of a document an expression selects.
//!
//! All of location paths (the axes child, attribute, descendant, parent, self and ancestor, and their short
//! forms), predicates with comparisons, `and`, `or`, arithmetic-free, and the functions listed in
//! [`FUNCTIONS`]. Names are compared as they are written, prefix included. Compiled once; what it may cost on
//! one document is bounded, because `//a[//b]` looks at everything for everything.

mod evaluation;
mod parser;

use crate::rules::trouble::Trouble;

use super::Document;

/// Nodes that one evaluation may look at.
pub const VISITS_MAX: usize = 1 << 22;

/// With the least and the most arguments they take.
pub const FUNCTIONS: [(&str, usize, usize); 20] = [
    ("boolean", 1, 1),
    ("concat", 2, 16),
    ("contains", 2, 2),
    ("count", 1, 1),
    ("ends-with", 2, 2),
    ("false", 0, 0),
    ("last", 0, 0),
    ("local-name", 0, 1),
    ("lower-case", 1, 1),
    ("name", 0, 1),
    ("normalize-space", 0, 1),
    ("not", 1, 1),
    ("number", 0, 1),
    ("position", 0, 0),
    ("starts-with", 2, 2),
    ("string", 0, 1),
    ("string-length", 0, 1),
    ("substring-after", 2, 2),
    ("substring-before", 2, 2),
    ("true", 0, 0),
];

/// An expression that selects nodes.
#[derive(Debug)]
pub struct XPath(Vec<Path>);

/// A node, or an attribute of one by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    Node(usize),
    Attribute(usize, usize),
}

#[derive(Debug)]
struct Path {
    absolute: bool,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    axis: Axis,
    test: Test,
    predicates: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Axis {
    Child,
    Attribute,
    Descendant,
    DescendantOrSelf,
    Parent,
    SelfNode,
    Ancestor,
}

#[derive(Debug)]
enum Test {
    Name(String),
    AnyName,
    Text,
    Comment,
    AnyNode,
}

#[derive(Debug)]
enum Expr {
    Text(String),
    Number(f64),
    Path(Path),
    Call(&'static str, Vec<Expr>),
    Compare(Compare, Box<(Expr, Expr)>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Union(Vec<Path>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl XPath {
    /// # Errors
    /// What is wrong with the expression, in one line.
    pub fn of(text: &str) -> Result<Self, String> {
        parser::paths(text).map(Self)
    }

    /// What the expression selects, in the order of the document.
    ///
    /// # Errors
    /// When it would look at too many nodes.
    pub fn select(&self, document: &Document<'_>) -> Result<Vec<Item>, Trouble> {
        evaluation::select(&self.0, document)
    }
}
