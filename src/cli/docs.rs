//! `spandrel docs`: prints the pages that are generated from tables in the code.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::config;
use crate::semantics;
use crate::telemetry::meters;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    Metrics,
    Config,
    Semantics,
    /// The JSON Schema of a configuration, for editors.
    ConfigSchema,
    /// helm/spandrel/values.schema.json.
    ValuesSchema,
}

/// What the chart's values are beside the gateway's configuration.
const VALUES: &str = include_str!("docs/values.json");

pub fn run(page: Page) -> ExitCode {
    super::print(&match page {
        Page::Metrics => meters::reference(),
        Page::Config => config::reference(),
        Page::Semantics => semantics::reference(),
        Page::ConfigSchema => pretty(&config::schema()),
        Page::ValuesSchema => match serde_json::from_str(VALUES) {
            Ok(chart) => pretty(&config::of_values(chart)),
            Err(cause) => return super::fail(format!("values.json: {cause}")),
        },
    })
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
