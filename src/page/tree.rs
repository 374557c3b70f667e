//! A joined trace as a tree for a terminal.
//!
//! Names come from whoever sends spans, so no control character of theirs reaches the terminal.
//! Printing is bounded: [`LINES_MAX`] spans, [`DEPTH_MAX`] levels of drawing; the rest is said in a line.

use std::fmt::Write as _;
use std::time::Duration;

use super::Summary;
use super::summary::Span;
use crate::model::Repairs;
use crate::wire::span::Status;

/// Spans printed of one trace.
pub const LINES_MAX: usize = 200;
/// Levels drawn; deeper spans stand at this one with their depth written out.
pub const DEPTH_MAX: u32 = 24;

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    pub const PLAIN: Self = Self { on: false };
    pub const COLOUR: Self = Self { on: true };

    fn dress(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.dress("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.dress("2", text)
    }

    fn red(self, text: &str) -> String {
        self.dress("31", text)
    }

    fn green(self, text: &str) -> String {
        self.dress("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.dress("33", text)
    }

    fn cyan(self, text: &str) -> String {
        self.dress("36", text)
    }
}

/// The whole picture, ending in an empty line.
pub fn render(summary: &Summary, paint: Paint) -> String {
    let mut out = header(summary, paint);
    let rows = rows(summary);
    let widths = Widths::of(&rows);
    for row in &rows {
        out.push_str(&row.render(&widths, paint));
        out.push('\n');
    }
    let hidden = (summary.spans.len() - rows.len()) as u64 + u64::from(summary.left_out());
    if hidden > 0 {
        let _ = writeln!(out, "{}", paint.dim(&format!("  … and {} more", count(hidden, "span"))));
    }
    out.push('\n');
    out
}

fn header(summary: &Summary, paint: Paint) -> String {
    let mut out = String::new();
    let errors = match summary.errors {
        0 => String::new(),
        n => format!(", {}", paint.red(&count(u64::from(n), "error"))),
    };
    let _ = writeln!(
        out,
        "{} {}  {}, {}, {}{errors}",
        paint.bold(&printable(&summary.name)),
        paint.dim(&format!("trace {}", summary.trace)),
        count(summary.services.len() as u64, "service"),
        count(u64::from(summary.span_count), "span"),
        human(summary.duration),
    );
    let _ = writeln!(out, "  {}", paint.dim(&why(summary)));
    let said: Vec<String> = [("environment", summary.environment()), ("release", summary.release())]
        .into_iter()
        .filter_map(|(what, value)| value.map(|v| format!("{what} {}", paint.green(&printable(v)))))
        .collect();
    if !said.is_empty() {
        let _ = writeln!(out, "  {}", said.join("  "));
    }
    if let Some(repaired) = repaired(summary.repairs) {
        let _ = writeln!(out, "  {}", paint.yellow(&repaired));
    }
    out
}

/// `left complete, 52.0 ms after its last span; held 1.20 s; came in 4 requests`.
fn why(summary: &Summary) -> String {
    format!(
        "left {}, {} after its last span; held {}; came in {}",
        summary.reason.name(),
        human(summary.quiet),
        human(summary.held),
        count(u64::from(summary.requests), "request"),
    )
}

fn repaired(repairs: Repairs) -> Option<String> {
    let Repairs { duplicates, orphans, zero_parents, cycles, labelled } = repairs;
    let all = [
        (labelled, "resource", "labelled"),
        (duplicates, "duplicate", "collapsed"),
        (orphans, "span", "without its parent"),
        (zero_parents, "all-zero parent", "read as none"),
        (cycles, "span", "in a ring of parents"),
    ];
    let said: Vec<String> = all
        .into_iter()
        .filter(|(n, _, _)| *n > 0)
        .map(|(n, what, how)| format!("{} {how}", count(u64::from(n), what)))
        .collect();
    (!said.is_empty()).then(|| format!("repaired: {}", said.join(", ")))
}

/// One printed span, its columns not yet aligned.
struct Row {
    branch: String,
    name: String,
    service: String,
    kind: &'static str,
    duration: String,
    status: Status,
    notes: Vec<String>,
}

struct Widths {
    name: usize,
    service: usize,
    kind: usize,
    duration: usize,
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let widest = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
        Self {
            name: widest(|r| width(&r.branch) + width(&r.name)),
            service: widest(|r| width(&r.service)),
            kind: widest(|r| width(r.kind)),
            duration: widest(|r| width(&r.duration)),
        }
    }
}

impl Row {
    fn render(&self, widths: &Widths, paint: Paint) -> String {
        let gap = |width_max: usize, taken: usize| " ".repeat(width_max.saturating_sub(taken));
        let name = match self.status {
            Status::Error => paint.red(&self.name),
            Status::Unset | Status::Ok => self.name.clone(),
        };
        let line = format!(
            "  {}{name}{}  {}{}  {}{}  {}{}  {}",
            paint.dim(&self.branch),
            gap(widths.name, width(&self.branch) + width(&self.name)),
            paint.cyan(&self.service),
            gap(widths.service, width(&self.service)),
            paint.dim(self.kind),
            gap(widths.kind, width(self.kind)),
            gap(widths.duration, width(&self.duration)),
            self.duration,
            self.notes.join("  "),
        );
        line.trim_end().to_owned()
    }
}

fn rows(summary: &Summary) -> Vec<Row> {
    let shown = summary.spans.get(..LINES_MAX).unwrap_or(&summary.spans);
    let same_everywhere = (summary.environment().is_some(), summary.release().is_some());
    let branches = branches(shown);
    // The latest span at each depth: the parent of what is printed next.
    let mut above: Vec<&Span> = Vec::new();
    let mut rows = Vec::with_capacity(shown.len());
    for (span, branch) in shown.iter().zip(branches) {
        above.truncate(span.depth as usize);
        rows.push(Row {
            branch,
            name: printable(&clip(&span.name, 60)),
            service: printable(&clip(&span.process.service, 40)),
            kind: span.kind_name(),
            duration: span.duration.map_or_else(|| "unfinished".to_owned(), human),
            status: span.status,
            notes: notes(span, above.last().copied(), same_everywhere),
        });
        above.push(span);
    }
    rows
}

/// What a span says that neither the header nor its parent said already.
fn notes(span: &Span, parent: Option<&Span>, (environment_said, release_said): (bool, bool)) -> Vec<String> {
    let mut notes = Vec::new();
    if span.status == Status::Error {
        let message = printable(&clip(&span.message, 120));
        notes.push(if message.is_empty() { "error".to_owned() } else { format!("error: {message}") });
    }
    if span.orphan {
        notes.push(format!("parent {} is not here", span.parent));
    }
    let process = &span.process;
    let news = |said: bool, value: &Option<String>, above: Option<&Option<String>>| {
        if said || above == Some(value) { None } else { value.as_deref().map(printable) }
    };
    let environment = news(environment_said, &process.environment, parent.map(|p| &p.process.environment));
    let release = news(release_said, &process.release, parent.map(|p| &p.process.release));
    notes.extend(environment.map(|e| format!("environment {e}")));
    notes.extend(release.map(|r| format!("release {r}")));
    notes
}

/// The box drawing in front of each name. Read from the end, so that it is known whether a sibling follows.
fn branches(spans: &[Span]) -> Vec<String> {
    // follows[d]: a span at depth d comes below before anything shallower does.
    let mut follows = [false; DEPTH_MAX as usize + 1];
    let mut branches: Vec<String> = spans.iter().rev().map(|span| branch(span.depth, &mut follows)).collect();
    branches.reverse();
    branches
}

fn branch(depth: u32, follows: &mut [bool; DEPTH_MAX as usize + 1]) -> String {
    let drawn = depth.min(DEPTH_MAX) as usize;
    let mut out = String::new();
    for &sibling_follows in &follows[1..drawn.max(1)] {
        out.push_str(if sibling_follows { "│  " } else { "   " });
    }
    if drawn > 0 {
        out.push_str(if follows[drawn] { "├─ " } else { "└─ " });
    }
    if depth > DEPTH_MAX {
        let _ = write!(out, "({depth} deep) ");
    }
    follows[drawn] = true;
    follows[drawn + 1..].fill(false);
    out
}

/// A duration in the unit a person would choose, three figures.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_nanos() {
        0..1_000 => format!("{} ns", duration.as_nanos()),
        1_000..1_000_000 => format!("{} µs", figures(seconds * 1e6)),
        1_000_000..1_000_000_000 => format!("{} ms", figures(seconds * 1e3)),
        1_000_000_000..60_000_000_000 => format!("{} s", figures(seconds)),
        _ => format!("{}m {:02}s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

fn figures(number: f64) -> String {
    match number {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Columns taken, near enough: names are mostly ASCII.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn clip(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

/// Without control characters (a span's name could move the cursor or set the title) and without
/// those that turn the direction of writing.
pub fn printable(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}
