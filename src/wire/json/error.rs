//! What is wrong with a JSON request, and where. Built on the way out of the nesting, so that a request
//! without mistakes never pays for knowing its path.

use thiserror::Error;

/// Why a JSON request can not be taken, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {what} (line {line}, column {column})")]
pub struct JsonError {
    pub what: String,
    /// In field names: `resourceSpans[0].scopeSpans[1].spans[17].kind`; `body` for the request itself.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A mistake on its way out. Boxed: the happy path should carry one pointer.
pub(super) type Outcome<T> = Result<T, Box<Mistake>>;

#[derive(Debug)]
pub(super) struct Mistake {
    what: String,
    at: usize,
    /// Innermost first.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Name(&'static str),
    Index(usize),
}

/// A mistake at byte `at`.
#[cold]
pub(super) fn mistake(at: usize, what: impl Into<String>) -> Box<Mistake> {
    Box::new(Mistake { what: what.into(), at, path: Vec::new() })
}

impl Mistake {
    #[cold]
    pub fn under(mut self: Box<Self>, name: &'static str) -> Box<Self> {
        self.path.push(Step::Name(name));
        self
    }

    #[cold]
    pub fn under_index(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.path.push(Step::Index(index));
        self
    }

    /// With line and column in `json`.
    pub fn located(self, json: &[u8]) -> JsonError {
        let before = json.get(..self.at).unwrap_or(json);
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        JsonError {
            line: 1 + before.iter().filter(|&&b| b == b'\n').count(),
            column: 1 + in_line.iter().filter(|&&b| b & 0xc0 != 0x80).count(),
            path: path_text(&self.path),
            what: self.what,
        }
    }
}

fn path_text(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Name(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    if path.is_empty() { "body".into() } else { path }
}

/// `bytes` as they may stand in a message: readable, and at most 40 characters.
pub(super) fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..160).unwrap_or(bytes));
    let mut shown: String = text.chars().take(40).map(|c| if c.is_control() { '·' } else { c }).collect();
    if shown.len() < bytes.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}
