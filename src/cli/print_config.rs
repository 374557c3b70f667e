//! `spandrel print-config`: the configuration in force, and where each value came from.

use std::process::ExitCode;

use crate::config::Loaded;

pub fn run(loaded: Loaded) -> ExitCode {
    super::print(&loaded.print())
}
