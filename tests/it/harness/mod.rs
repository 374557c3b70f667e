//! What the tests are written with: the program under test (`Proxy`), the backend it forwards to
//! (`Upstream`), a caller (`Client`), and ways to read what arrived.
//!
//! Nothing here sleeps for a result: a wait is for a line, a reply or a recorded request, and has
//! a limit after which it says what it has seen so far.

#![allow(dead_code, unused_imports, reason = "a toolbox: not every test uses every tool")]

pub mod authority;
pub mod bystander;
pub mod cgroup;
mod checks;
pub mod client;
pub mod engine;
pub mod frames;
pub mod known_set;
pub mod made;
pub mod metrics;
pub mod platform;
pub mod proxy;
pub mod raw;
pub mod read;
pub mod sdk;
pub mod upstream;
pub mod volume;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use checks::signal_of;
pub use client::{Client, Reply};
pub use metrics::Metrics;
pub use proxy::{Proxy, Start};
pub use upstream::{Answer, Received, Transport, Upstream};

/// How long a test waits for what must happen. Generous: a loaded machine is slow, not wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captured exports whose file names end like this, in the order of their names.
pub fn captures(suffix: &str) -> Vec<PathBuf> {
    let directory = root().join("tests/data/captures");
    let entries = std::fs::read_dir(&directory).expect("tests/data/captures is part of the checkout");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no capture ends in {suffix:?}");
    paths
}
