//! `spandrel docs`: prints the pages that are generated from tables in the code.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::config;
use crate::rules;
use crate::semantics;
use crate::telemetry::meters;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    Metrics,
    Config,
    Semantics,
    Rules,
}

pub fn run(page: Page) -> ExitCode {
    super::print(&match page {
        Page::Metrics => meters::reference(),
        Page::Config => config::reference(),
        Page::Semantics => semantics::reference(),
        Page::Rules => rules::manual::reference(),
    })
}
