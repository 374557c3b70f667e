//! How bad an observation is. Other logging vocabularies are translated; an error status counts as one.

use std::fmt;

use super::convention::Property;
use super::observation::Observation;
use crate::wire::span::Status;

/// From least to most severe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Debug,
    #[default]
    Default,
    Warning,
    Error,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Debug, Self::Default, Self::Warning, Self::Error];

    /// Upper case, as SDKs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Default => "DEFAULT",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// A level's name or what others call it, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        if is(&["debug", "trace", "verbose"]) {
            Some(Self::Debug)
        } else if is(&["default", "info", "ok"]) {
            Some(Self::Default)
        } else if is(&["warning", "warn"]) {
            Some(Self::Warning)
        } else if is(&["error", "fatal", "critical"]) {
            Some(Self::Error)
        } else {
            None
        }
    }

    pub(super) fn of(observation: &Observation<'_>) -> Self {
        let said = observation.best(Property::Level, |found| Self::parse(found.value()?.text()?));
        let by_status = if observation.status == Status::Error { Self::Error } else { Self::Default };
        said.unwrap_or(by_status)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether `word` is a level, under a key that holds one.
pub fn is_known(key: &str, word: &str) -> bool {
    key == "langfuse.observation.level" && Level::parse(word).is_some()
}

/// How many observations of a trace have each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    pub debug: u32,
    pub default: u32,
    pub warning: u32,
    pub error: u32,
}

impl Levels {
    pub fn count(&mut self, level: Level) {
        let count = match level {
            Level::Debug => &mut self.debug,
            Level::Default => &mut self.default,
            Level::Warning => &mut self.warning,
            Level::Error => &mut self.error,
        };
        *count = count.saturating_add(1);
    }

    /// The trace's own level: the worst there is.
    pub fn worst(self) -> Level {
        match self {
            Self { error: 1.., .. } => Level::Error,
            Self { warning: 1.., .. } => Level::Warning,
            Self { default: 1.., .. } => Level::Default,
            Self { debug: 1.., .. } => Level::Debug,
            _ => Level::Default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_level_speaks_for_the_trace() {
        let mut levels = Levels::default();
        assert_eq!(levels.worst(), Level::Default);
        for (level, worst) in [
            (Level::Debug, Level::Debug),
            (Level::Default, Level::Default),
            (Level::Warning, Level::Warning),
            (Level::Debug, Level::Warning),
            (Level::Error, Level::Error),
        ] {
            levels.count(level);
            assert_eq!(levels.worst(), worst);
        }
        assert_eq!(levels, Levels { debug: 2, default: 1, warning: 1, error: 1 });
    }

    #[test]
    fn other_vocabularies_are_understood() {
        for (word, level) in [
            ("DEBUG", Level::Debug),
            ("trace", Level::Debug),
            ("Verbose", Level::Debug),
            ("info", Level::Default),
            ("ok", Level::Default),
            ("warn", Level::Warning),
            ("fatal", Level::Error),
            ("CRITICAL", Level::Error),
        ] {
            assert_eq!(Level::parse(word), Some(level));
        }
        assert_eq!(Level::parse("loud"), None);
    }
}
