//! Where a value came from, for `print-config`, the banner and the messages about it.

use std::sync::Arc;

/// Where a value came from. Later layers win: see [`Source::rank`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// The table's own value.
    #[default]
    Default,
    /// Worked out from something else, which is named: the cgroup's limit, the endpoint's port.
    Derived(String),
    /// An environment variable that is not one of ours, named.
    Borrowed(String),
    /// The configuration file; both count from 1, columns in characters.
    File { line: usize, column: usize },
    /// The configuration file as a whole.
    WholeFile,
    /// A file that the configuration names; line and column as above.
    Named { file: Arc<str>, line: usize, column: usize },
    /// A `SPANDREL_*` variable, named.
    Variable(String),
    /// A `--set` argument, as written.
    Set(String),
}

impl Source {
    /// Higher wins over lower.
    pub fn rank(&self) -> u8 {
        match self {
            Source::Default => 0,
            Source::Derived(_) | Source::Borrowed(_) => 1,
            Source::File { .. } | Source::WholeFile | Source::Named { .. } => 2,
            Source::Variable(_) => 3,
            Source::Set(_) => 4,
        }
    }

    /// The order mistakes are told in: as the layers are read, and down the file.
    pub fn order(&self) -> (u8, usize, usize) {
        let (line, column) = match self {
            Source::File { line, column } => (*line, *column),
            // Behind the file that names it.
            Source::Named { line, column, .. } => (usize::MAX / 2 + line, *column),
            _ => (0, 0),
        };
        (self.rank(), line, column)
    }

    /// How a mistake begins: `file:line:column`, a variable, an argument.
    pub fn place(&self, file: &str) -> String {
        match self {
            Source::Default | Source::Derived(_) => "configuration".to_owned(),
            Source::Borrowed(name) | Source::Variable(name) => name.clone(),
            Source::File { line, column } => format!("{file}:{line}:{column}"),
            Source::WholeFile => file.to_owned(),
            Source::Named { file, line, column } => format!("{file}:{line}:{column}"),
            Source::Set(path) => format!("--set {path}"),
        }
    }

    /// How `print-config` and the banner say it.
    pub fn describe(&self, file: &str) -> String {
        match self {
            Source::Default => "default".to_owned(),
            Source::Derived(how) => how.clone(),
            Source::Borrowed(name) | Source::Variable(name) => format!("env {name}"),
            Source::File { line, .. } => format!("{file}:{line}"),
            Source::WholeFile => file.to_owned(),
            Source::Named { file, line, .. } => format!("{file}:{line}"),
            Source::Set(_) => "--set".to_owned(),
        }
    }
}
