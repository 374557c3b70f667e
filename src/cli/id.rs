//! `spandrel id`: the id that SDKs make of a seed. `spandrel url`: where the UI shows a trace.

use std::process::ExitCode;

use crate::config::Loaded;
use crate::semantics::ids::{self, NotAnId};

/// Whose id, and of what.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What the id is made of, as it stands, spaces and all
    #[arg(long, value_name = "TEXT")]
    seed: String,

    /// The id of an observation (a span), not of a trace
    #[arg(long)]
    observation: bool,
}

/// Prints the id.
pub fn run(options: &Options) -> ExitCode {
    match ids::of_seed(&options.seed, options.observation) {
        Ok(id) => super::print(&format!("{id}\n")),
        Err(none) => wrong(&none),
    }
}

/// Prints the link to a trace.
pub fn url(trace: &str, loaded: &Loaded) -> ExitCode {
    let trace = match ids::parse_trace_id(trace) {
        Ok(trace) => trace,
        Err(none) => return wrong(&none),
    };
    match loaded.plan.links.of(trace) {
        Ok(link) => super::print(&format!("{link}\n")),
        Err(none) => super::fail(none),
    }
}

fn wrong(none: &NotAnId) -> ExitCode {
    eprintln!("spandrel: {none}");
    ExitCode::from(super::WRONG)
}
