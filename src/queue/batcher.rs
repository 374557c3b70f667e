//! Collects labelled blocks and traces into batches, closed by size or age.

use std::time::Duration;

/// When a batch is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub bytes: usize,
    pub age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes: 1 << 20, age: Duration::from_millis(200) }
    }
}
