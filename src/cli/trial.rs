//! `spandrel try`: runs rules over a captured export and shows what they change, field by field. Nothing is sent.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::{HeaderMap, HeaderName, HeaderValue};

use apply::{Fate, Looked, Trial, Tried};
use difference::Kind;
use explain::Causes;

use super::{WRONG, fail, print};
use crate::config::{self, RuleFile};
use crate::model::nearest::quoted;
use crate::model::{Caller, Origin};
use crate::page::Form;
use crate::page::tree::{Paint, printable};
use crate::rules::Rules;

mod apply;
mod capture;
mod difference;
mod explain;

/// Larger than any request that is taken.
const CAPTURE_MAX: u64 = 1 << 30;

/// What to run over what.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A YAML file with `rules:`, or with the list alone; or a Collector's, for its transform and filter processors
    rules: PathBuf,

    /// An OTLP export request in protobuf or JSON, or JSON lines of them; `-` reads standard input
    capture: PathBuf,

    /// A header that every request of the capture came with, as in `--header x-tenant=acme`
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,

    /// Name the rule behind each change, and the rules that never matched
    #[arg(long)]
    explain: bool,
}

pub fn run(options: &Options) -> ExitCode {
    let file = match config::rule_file(&options.rules) {
        Ok(file) => file,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(WRONG);
        }
    };
    let caller = match caller(&options.header, &file.rules) {
        Ok(caller) => caller,
        Err(wrong) => {
            eprintln!("spandrel: {wrong}");
            return ExitCode::from(WRONG);
        }
    };
    let requests = read(&options.capture).and_then(|bytes| capture::read(&bytes));
    let now = crate::model::Clock::new().unix_nanos();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let seed = rand::random();
    let tried = requests.and_then(|requests| {
        let tried = Trial::of(&file.rules, &caller, now, seed).run(&requests)?;
        let causes = options.explain.then(|| explain::causes(&file, &requests, &tried, (&caller, now, seed)));
        Ok((tried, causes.transpose()?))
    });
    match tried {
        Ok((tried, causes)) => print(&Report { file, causes, paint: Form::paint_for_stdout() }.of(&tried)),
        Err(wrong) => fail(format!("{}: {wrong}", options.capture.display())),
    }
}

/// Whose requests the capture is taken for.
fn caller(given: &[String], rules: &Rules) -> Result<Caller, String> {
    let mut headers = HeaderMap::new();
    for header in given {
        let pair = header.split_once('=').ok_or_else(|| format!("{} is not `name=value`", quoted(header)))?;
        let name =
            HeaderName::try_from(pair.0).map_err(|_| format!("{} is no header's name", quoted(pair.0)))?;
        let value =
            HeaderValue::try_from(pair.1).map_err(|_| format!("{} is no header's value", quoted(pair.1)))?;
        headers.append(name, value);
    }
    Ok(Caller::of(&rules.interest(), &headers, None, Origin::anonymous()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|cause| format!("can't be read: {cause}"))?)
    };
    source.take(CAPTURE_MAX).read_to_end(&mut bytes).map_err(|cause| format!("can't be read: {cause}"))?;
    Ok(bytes)
}

/// Says what was tried.
struct Report {
    file: RuleFile,
    /// Why each message is as it is, if that is asked.
    causes: Option<Vec<Causes>>,
    paint: Paint,
}

impl Report {
    fn of(&self, tried: &Tried) -> String {
        let mut out = String::new();
        for note in &self.file.notes {
            let _ = writeln!(out, "{}", self.paint.dim(&format!("note: {}", printable(note))));
        }
        for (nth, looked) in tried.looked.iter().enumerate() {
            let causes = self.causes.as_ref().and_then(|causes| causes.get(nth)).cloned();
            self.looked(looked, &causes.unwrap_or_default(), &mut out);
        }
        self.troubles(tried, &mut out);
        if self.causes.is_some() {
            self.idle(tried, &mut out);
        }
        let items = || tried.looked.iter().filter(|looked| looked.kind == Kind::Item);
        let count = |wanted: fn(&Looked) -> bool| items().filter(|looked| wanted(looked)).count();
        let changed = count(|looked| looked.fate == Fate::Stays && looked.is.is_some());
        let (dropped, sampled_out) =
            (count(|looked| looked.fate == Fate::Dropped), count(|looked| looked.fate == Fate::SampledOut));
        let all = items().count();
        let rest = all - changed - dropped - sampled_out;
        let _ = writeln!(
            out,
            "{all} items: {changed} changed, {dropped} dropped, {sampled_out} sampled out, {rest} as they were"
        );
        out
    }

    fn looked(&self, looked: &Looked, causes: &Causes, out: &mut String) {
        let paint = self.paint;
        let title = printable(&difference::title(looked.kind, looked.signal, &looked.was));
        match (looked.fate, &looked.is) {
            (Fate::Stays, None) => {}
            (Fate::Stays, Some(is)) => {
                let _ = writeln!(out, "{} {}", paint.yellow("~"), paint.bold(&title));
                for changed in difference::between(looked.kind, looked.signal, &looked.was, is) {
                    let path = printable(&changed.path);
                    let shown = |value: &Option<String>| value.as_deref().map(printable).unwrap_or_default();
                    let (was, is) = (shown(&changed.was), shown(&changed.is));
                    let line = match (&changed.was, &changed.is) {
                        (None, _) => paint.green(&format!("+ {path}: {is}")),
                        (_, None) => paint.red(&format!("- {path}: {was}")),
                        _ => format!("{} -> {}", paint.red(&format!("~ {path}: {was}")), paint.green(&is)),
                    };
                    let _ = writeln!(out, "    {line}");
                    for number in causes.fields.get(&changed.path).into_iter().flatten() {
                        self.statement("  by", *number, out);
                    }
                }
            }
            (fate, _) => {
                let how = if fate == Fate::Dropped { "dropped" } else { "sampled out with its trace" };
                let _ = writeln!(out, "{} {}: {how}", paint.red("-"), paint.bold(&title));
                causes.fate.iter().for_each(|number| self.statement("by", *number, out));
            }
        }
    }

    fn troubles(&self, tried: &Tried, out: &mut String) {
        let mut told = std::collections::BTreeSet::new();
        for (number, trouble) in tried.troubles.iter().filter(|(number, _)| told.insert(*number)) {
            let times = tried.troubles.iter().filter(|(other, _)| other == number).count();
            let _ = writeln!(
                out,
                "{} {times} times: {}",
                self.paint.yellow("failed"),
                printable(&trouble.to_string())
            );
            self.statement("in", *number, out);
        }
    }

    fn idle(&self, tried: &Tried, out: &mut String) {
        let idle = (0..).zip(&self.file.statements).filter(|(number, _)| !tried.matched.contains(number));
        for (number, _) in idle {
            self.statement("never", number, out);
        }
    }

    fn statement(&self, how: &str, number: u32, out: &mut String) {
        if let Some((place, text)) = self.file.statements.get(number as usize) {
            let text = printable(&text.split_whitespace().collect::<Vec<_>>().join(" "));
            let _ = writeln!(out, "    {}", self.paint.dim(&format!("{how} {place}  {text}")));
        }
    }
}
