//! The file and variables a user writes, checked and turned into each part's settings.
//!
//! In order: `raw` is the table of settings, in the user's words; `gather` fills it from the file,
//! `SPANDREL_*` and `--set`; `found`, `otel` and `vendor` add what the surroundings know; `check` makes it a
//! [`Plan`], or says everything that is wrong with it. Nothing here listens, connects or logs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::page::links::Links;
use crate::semantics::Dialect;
use crate::telemetry::logs;
use crate::{export, join, queue, receive, rules};

mod again;
mod check;
mod collector;
mod edge;
mod endpoint;
mod environment;
mod field;
mod file;
mod files;
pub mod found;
mod gather;
mod kept;
mod mistake;
mod otel;
mod podinfo;
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

pub use again::{Change, Look, Standing};
pub use found::cgroup_limit;
pub use kept::SourceState;
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
    raw: raw::Raw,
    files: files::Files,
}

impl Loaded {
    /// What its values and tables come from, and how that stands.
    pub fn sources(&self) -> Vec<SourceState> {
        self.files.sources()
    }

    /// How many files are followed.
    #[cfg(test)]
    fn followed(&self) -> usize {
        self.files.seen().len()
    }

    /// The configuration in force as YAML, each value with where it came from, secrets masked; and what is followed.
    pub fn print(&self) -> String {
        print::print(&self.raw, self.file.as_deref().unwrap_or("-"), &self.sources())
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
    let mut files = files::Files::default();
    let (raw, text) = read(ask, &surroundings, &mut files);
    let file = text.name.clone();
    let mistakes = match checked(raw, text, &surroundings, &mut files) {
        Ok((plan, raw)) => return Ok(Loaded { plan, file, raw, files }),
        Err(mistakes) => mistakes,
    };
    let without = Text { name: file.clone(), ..Text::default() };
    let (raw, without) = gathered(without, &ask.set, &surroundings, &mut files);
    let Ok((plan, raw)) = checked(raw, without, &surroundings, &mut files) else { return Err(mistakes) };
    Ok(Loaded { plan: Plan { refused: Some(mistakes.to_string()), ..plan }, file, raw, files })
}

/// Reads a configuration as it would be in other surroundings.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn load_in(ask: &Ask, surroundings: &Surroundings) -> Result<Loaded, Mistakes> {
    let mut files = files::Files::default();
    let (raw, text) = read(ask, surroundings, &mut files);
    let file = text.name.clone();
    let (plan, raw) = checked(raw, text, surroundings, &mut files)?;
    Ok(Loaded { plan, file, raw, files })
}

/// Reads a configuration that is not in a file.
///
/// # Errors
/// Every mistake in it, not just the first.
pub fn load_text(text: &str, surroundings: &Surroundings) -> Result<Loaded, Mistakes> {
    let mut files = files::Files::default();
    let text = Text { name: None, text: text.to_owned(), mistakes: Vec::new() };
    let (raw, text) = gathered(text, &[], surroundings, &mut files);
    let (plan, raw) = checked(raw, text, surroundings, &mut files)?;
    Ok(Loaded { plan, file: None, raw, files })
}

/// A file's name and text, and what was wrong on the way to the table.
#[derive(Debug, Default)]
struct Text {
    name: Option<String>,
    text: String,
    mistakes: Vec<Mistake>,
}

/// What the file, variables and arguments say.
fn read(ask: &Ask, surroundings: &Surroundings, files: &mut files::Files) -> (raw::Raw, Text) {
    let path = file::find(ask.file.as_deref(), surroundings, files);
    let mut text = Text { name: path.as_deref().map(|path| path.display().to_string()), ..Text::default() };
    if let Some(path) = path.as_deref() {
        text.text = file::read(path, files, &mut text.mistakes);
    }
    gathered(text, &ask.set, surroundings, files)
}

/// The table, filled.
fn gathered(
    mut text: Text,
    set: &[String],
    surroundings: &Surroundings,
    files: &mut files::Files,
) -> (raw::Raw, Text) {
    let (variables, mistakes) = (&surroundings.variables, &mut text.mistakes);
    let mut raw = raw::Raw::default();
    match tree::read(&text.text, mistakes) {
        Ok(root) => gather::from_file(&root, &mut raw, (variables, files), mistakes),
        Err(mistake) => mistakes.push(mistake),
    }
    gather::from_variables(variables, &mut raw, mistakes);
    gather::from_arguments(set, &mut raw, mistakes);
    vendor::fill(&mut raw, variables);
    let named = upstreams::settle(&mut raw, mistakes);
    if !named {
        otel::fill(&mut raw, variables, mistakes);
    }
    vendor::complete(&mut raw, variables, mistakes);
    found::fill(&mut raw, surroundings, files);
    (raw, text)
}

/// From the table to a plan.
fn checked(
    mut raw: raw::Raw,
    text: Text,
    surroundings: &Surroundings,
    files: &mut files::Files,
) -> Result<(Plan, raw::Raw), Mistakes> {
    let Text { name, text, mut mistakes } = text;
    let mut notes = Vec::new();
    let file = name.unwrap_or_else(|| "-".to_owned());
    let mut check =
        check::Check { file: &file, files, surroundings, mistakes: &mut mistakes, notes: &mut notes };
    let plan = check.plan(&mut raw);
    if mistakes.is_empty() {
        Ok((Plan { notes, ..plan }, raw))
    } else {
        mistakes.sort_by_key(|mistake| mistake.place.order());
        mistakes.dedup();
        Err(Mistakes { file, text, list: mistakes })
    }
}

#[cfg(test)]
mod tests;
