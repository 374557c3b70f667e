//! Log lines about ourselves, on standard error.
//!
//! Standard output belongs to traces. Nothing of what passes through is ever logged, only counts.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub level: LevelFilter,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    /// One object a line.
    Json,
}

/// Begins to log. Libraries below speak from `warn` up, whatever the level: their `debug` is theirs.
/// A second call changes nothing.
pub fn start(settings: Settings) {
    let json = match settings.format {
        Format::Auto => !stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter(settings.level)).with_writer(stderr);
    let set = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(stderr().is_terminal() && no_colour_unset()).with_target(false).try_init()
    };
    // Somebody else logs already (a test): theirs is as good.
    let _ = set;
}

fn filter(level: LevelFilter) -> EnvFilter {
    let others = level.min(LevelFilter::WARN);
    EnvFilter::new(format!("{others},spandrel={level}"))
}

/// `NO_COLOR` (no-color.org): set to anything but the empty string, there are no colours.
pub fn no_colour_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_not_louder_than_warnings() {
        assert_eq!(filter(LevelFilter::DEBUG).to_string(), "spandrel=debug,warn");
        assert_eq!(filter(LevelFilter::ERROR).to_string(), "spandrel=error,error");
    }
}
