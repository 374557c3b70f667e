//! The file and variables a user writes, checked and turned into each part's settings.
//!
//! In order: `raw` is the table of settings, in the user's words; `gather` fills it from the file,
//! `SPANDREL_*` and `--set`; `found`, `otel` and `vendor` add what the surroundings know; `check` makes it a
//! [`Plan`], or says everything that is wrong with it. Nothing here listens, connects or logs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::page::links::Links;
use crate::semantics::Dialect;
use crate::telemetry::logs;
use crate::{export, join, queue, receive, rules};

mod check;
mod collector;
mod edge;
mod endpoint;
mod field;
mod file;
pub mod found;
mod gather;
mod mistake;
mod otel;
mod prices;
mod print;
mod proxy;
mod raw;
mod reference;
mod rule_list;
mod schema;
mod source;
mod substitute;
mod surroundings;
mod tree;
mod upstreams;
mod vendor;
mod words;
mod written;

pub use found::cgroup_limit;
pub use mistake::{Mistake, Mistakes};
pub use reference::reference;
pub use rule_list::{RuleFile, rule_file};
pub use schema::{of_values, schema};
pub use source::Source;
pub use surroundings::{Surroundings, Variables};

/// Everything `pipeline` needs, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub receive: receive::Settings,
    pub labels: rules::labels::Settings,
    /// What is written on spans.
    pub stamps: rules::stamp::Settings,
    /// What is written on single spans, and the prices that are shown.
    pub particulars: rules::particulars::Settings,
    /// What the user wants changed beyond that.
    pub rules: Arc<rules::Rules>,
    /// Where environment and release came from, for people: `env GITHUB_SHA`, `spandrel.yaml:3`.
    pub labels_from: LabelsFrom,
    /// `None`: pass through.
    pub join: Option<join::Settings>,
    /// Evaluations become scores at the vendor's whose dialect it is.
    pub scores: Option<Dialect>,
    pub batch: queue::batcher::Settings,
    /// Empty: joined traces are shown and kept here, nothing is forwarded.
    pub upstreams: Vec<export::Settings>,
    /// The process-wide byte budget.
    pub memory: usize,
    /// Nobody gave it: it follows the cgroup's limit, which may change while we run.
    pub memory_follows: bool,
    /// How long the end may take.
    pub drain: Duration,
    pub admin: Option<SocketAddr>,
    /// What of `admin` tells nothing of traces, for others to ask.
    pub probes: Option<SocketAddr>,
    /// Bytes of `memory` for the latest joined traces.
    pub recent: usize,
    pub links: Links,
    /// Count what joined traces add up to, by service, environment and model.
    pub rollup_metrics: bool,
    pub lanes: usize,
    pub log: logs::Settings,
    /// What is in force and may surprise: to be said once, at start.
    pub notes: Vec<String>,
    /// What is wrong with a file that was left out because of it.
    pub refused: Option<String>,
}

/// Where the labels came from; `None` where there is no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsFrom {
    pub environment: Option<String>,
    pub release: Option<String>,
}

/// What the command line says about configuration.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The file; else `SPANDREL_CONFIG`, else `/etc/spandrel/spandrel.yaml` if it is there.
    pub file: Option<PathBuf>,
    /// `path=value`, each.
    pub set: Vec<String>,
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub plan: Plan,
    /// The file it came from, as named; `None` when there was none.
    pub file: Option<String>,
    /// All files it was read from, that one first: who follows changes looks at these.
    pub files: Vec<PathBuf>,
    raw: raw::Raw,
}

impl Loaded {
    /// The configuration in force as YAML, each value with where it came from, secrets masked.
    pub fn print(&self) -> String {
        print::print(&self.raw, self.file.as_deref().unwrap_or("-"))
    }
}

/// Reads the configuration this process is meant to run with.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn load(ask: &Ask) -> Result<Loaded, Mistakes> {
    load_in(ask, &Surroundings::of_process())
}

/// As [`load`], but a file that can not be used is left out and said in the plan: variables and arguments alone
/// hold then.
///
/// # Errors
/// Every mistake, if it is not the file's alone.
pub fn load_regardless(ask: &Ask) -> Result<Loaded, Mistakes> {
    let surroundings = Surroundings::of_process();
    load_in(ask, &surroundings).or_else(|mistakes| {
        let without = settle(Some(mistakes.file.clone()), String::new(), &ask.set, Vec::new(), &surroundings);
        let Ok(mut without) = without else { return Err(mistakes) };
        without.plan.refused = Some(mistakes.to_string());
        Ok(without)
    })
}

/// Reads a configuration as it would be in other surroundings.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn load_in(ask: &Ask, surroundings: &Surroundings) -> Result<Loaded, Mistakes> {
    let path = file::find(ask.file.as_deref(), surroundings);
    let mut mistakes = Vec::new();
    let text = path.as_deref().map_or_else(String::new, |path| file::read(path, &mut mistakes));
    let name = path.as_deref().map(Path::display).map(|p| p.to_string());
    settle(name, text, &ask.set, mistakes, surroundings)
}

/// Reads a configuration that is not in a file.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn load_text(text: &str, surroundings: &Surroundings) -> Result<Loaded, Mistakes> {
    settle(None, text.to_owned(), &[], Vec::new(), surroundings)
}

/// From the text of the file to a plan; `mistakes` are those found on the way to it.
fn settle(
    name: Option<String>,
    text: String,
    set: &[String],
    mut mistakes: Vec<Mistake>,
    surroundings: &Surroundings,
) -> Result<Loaded, Mistakes> {
    let variables = &surroundings.variables;
    let (mut notes, mut files) = (Vec::new(), Vec::new());
    files.extend(name.as_deref().map(PathBuf::from));
    let mut raw = raw::Raw::default();
    match tree::read(&text, &mut mistakes) {
        Ok(root) => gather::from_file(&root, &mut raw, variables, &mut mistakes),
        Err(mistake) => mistakes.push(mistake),
    }
    gather::from_variables(variables, &mut raw, &mut mistakes);
    gather::from_arguments(set, &mut raw, &mut mistakes);
    vendor::fill(&mut raw, variables);
    let named = upstreams::settle(&mut raw, &mut mistakes);
    if !named {
        otel::fill(&mut raw, variables, &mut mistakes);
    }
    vendor::complete(&mut raw, variables, &mut mistakes);
    found::fill(&mut raw, surroundings);
    let file = name.clone().unwrap_or_else(|| "-".to_owned());
    let plan = check::Check {
        file: &file,
        surroundings,
        mistakes: &mut mistakes,
        notes: &mut notes,
        files: &mut files,
    }
    .plan(&mut raw);
    if mistakes.is_empty() {
        Ok(Loaded { plan: Plan { notes, ..plan }, file: name, files, raw })
    } else {
        mistakes.sort_by_key(|mistake| mistake.place.order());
        mistakes.dedup();
        Err(Mistakes { file, text, list: mistakes })
    }
}

#[cfg(test)]
mod tests;
