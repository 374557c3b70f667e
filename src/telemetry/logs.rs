//! Log lines about ourselves, on standard error.
//!
//! Standard output belongs to traces. Nothing of what passes through is ever logged, only counts.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(stderr().is_terminal() && no_colour_unset()).with_target(false).boxed()
    };
    // Somebody else logs already (a test): theirs is as good.
    let _ = tracing_subscriber::registry().with(filter(settings.level)).with(lines).try_init();
}

fn filter(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("spandrel", level)
}

/// `NO_COLOR` (no-color.org): set to anything but the empty string, there are no colours.
pub fn no_colour_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_not_louder_than_warnings() {
        let check = |set, target: &str, level, expect| {
            assert_eq!(filter(set).would_enable(target, &level), expect, "{set}: {target} {level}");
        };
        check(LevelFilter::DEBUG, "spandrel::join", Level::DEBUG, true);
        check(LevelFilter::DEBUG, "h2::codec", Level::INFO, false);
        check(LevelFilter::DEBUG, "h2::codec", Level::WARN, true);
        check(LevelFilter::ERROR, "h2::codec", Level::WARN, false);
        check(LevelFilter::ERROR, "spandrel::join", Level::WARN, false);
    }
}
