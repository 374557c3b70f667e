//! `spandrel docs`: prints the pages that are generated from tables in the code.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::inject;
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
        Page::Rules => rules::manual::reference(),
        Page::ConfigSchema => pretty(&config::schema()),
        Page::ValuesSchema => match serde_json::from_str(VALUES) {
            Ok(chart) => pretty(&config::of_values(with_parameters(chart))),
            Err(cause) => return super::fail(format!("values.json: {cause}")),
        },
    })
}

/// Where the values are that become parameters of injection.
const PARAMETERS: [(&str, &str); 8] = [
    ("image", "/image"),
    ("upstream", "/upstream"),
    ("environmentLabel", "/environmentLabel"),
    ("configMap", "/configMap"),
    ("cpuRequest", "/resources/properties/requests/properties/cpu"),
    ("memoryRequest", "/resources/properties/requests/properties/memory"),
    ("cpuLimit", "/resources/properties/limits/properties/cpu"),
    ("memoryLimit", "/resources/properties/limits/properties/memory"),
];

/// They may be what the policy takes.
fn with_parameters(mut chart: Value) -> Value {
    for (name, at) in PARAMETERS {
        let Some(value) = chart.pointer_mut(&format!("/properties/injection/properties{at}")) else {
            continue;
        };
        // Without these two the chart finds its own.
        let or_empty = if matches!(name, "image" | "upstream") { "^$|" } else { "" };
        let pattern = |what| inject::of_description(name, what);
        value["pattern"] = pattern("pattern").map(|pattern| format!("{or_empty}{pattern}")).into();
        if let Some(never) = pattern("never") {
            value["not"] = json!({ "pattern": never });
        }
    }
    chart
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
