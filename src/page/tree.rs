//! A joined trace as a tree for a terminal.
//!
//! Names come from whoever sends spans, so no control character of theirs reaches the terminal.
//! Printing is bounded: [`LINES_MAX`] spans, [`DEPTH_MAX`] levels of drawing; the rest is said in a line.

use std::fmt::Write as _;
use std::time::Duration;

use super::Summary;
use super::proto::Properties;
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

    pub fn bold(self, text: &str) -> String {
        self.dress("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.dress("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.dress("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.dress("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.dress("33", text)
    }

    fn cyan(self, text: &str) -> String {
        self.dress("36", text)
    }
}

/// The whole picture.
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
        let _ = writeln!(out, "{}", paint.dim(&format!("  … and {}", count(hidden, "more span"))));
    }
    out
}

fn header(summary: &Summary, paint: Paint) -> String {
    let mut out = String::new();
    let errors = match summary.errors {
        0 => String::new(),
        n => format!(", {}", paint.red(&count(u64::from(n), "error"))),
    };
    let name = if summary.name.is_empty() { "(no name)".to_owned() } else { printable(&summary.name) };
    let _ = writeln!(
        out,
        "{}  {}  {}, {}, {}{errors}",
        paint.bold(&name),
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
    for said in meant(summary, paint) {
        let _ = writeln!(out, "  {said}");
    }
    if let Some(repaired) = repaired(summary.repairs) {
        let _ = writeln!(out, "  {}", paint.yellow(&repaired));
    }
    out
}

/// Whose trace it is, and what it took; a line each where there is something to say.
fn meant(summary: &Summary, paint: Paint) -> Vec<String> {
    let Properties { user, session, tags, tokens, cost, .. } = &summary.properties;
    let named = |what: &str, value: &str| format!("{what} {}", paint.green(&printable(&clip(value, 60))));
    let mut whose: Vec<String> = Vec::new();
    whose.extend(user.as_deref().map(|user| named("user", user)));
    whose.extend(session.as_deref().map(|session| named("session", session)));
    if !tags.is_empty() {
        whose.push(named("tags", &tags.join(", ")));
    }
    let mut took: Vec<String> = Vec::new();
    took.extend(tokens.map(|t| format!("{} tokens in, {} out, {} in all", t.input, t.output, t.total)));
    took.extend(cost.as_ref().map(|cost| format!("cost {} USD", paint.green(&printable(&cost.total)))));
    [whose, took].into_iter().filter(|said| !said.is_empty()).map(|said| said.join("  ")).collect()
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

pub fn count(n: u64, noun: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::{captured, trace_of, written};

    fn check(trace: &crate::watch::JoinedTrace, expect: &str) {
        assert_eq!(render(&Summary::read(trace), Paint::PLAIN).trim_end(), expect.trim());
    }

    #[test]
    fn the_captured_trace_over_three_services() {
        check(
            &captured(),
            "
orders-query  trace e74af16a04dc117a5df19dbb56d10845  3 services, 6 spans, 181 ms
  left complete, 51.3 ms after its last span; held 1.20 s; came in 3 requests
  user user-123  session session-abc  tags production, weather
  50 tokens in, 12 out, 62 in all
  repaired: 2 resources labelled, 1 duplicate collapsed
  handle_request         py-gateway    internal   181 ms  environment production  release 4f1c2d3
  └─ GET /orders         orders-db     server    95.8 ms  release 3.0.1
     ├─ SELECT orders    orders-db     client    68.2 µs
     └─ POST /agent      orders-db     client    94.4 ms
        └─ agent-worker  agent-worker  internal  5.06 ms
           └─ summarise  agent-worker  internal   106 µs
",
        );
    }

    #[test]
    fn environment_and_release_stand_in_the_header_when_all_agree_else_where_they_change() {
        let mut summary = Summary::read(&captured());
        summary.spans.iter_mut().for_each(|span| {
            std::sync::Arc::make_mut(&mut span.process).environment = Some("production".to_owned());
        });
        let picture = render(&summary, Paint::PLAIN);
        assert!(picture.contains("\n  environment production\n"), "{picture}");
        assert_eq!(picture.matches("release 3.0.1").count(), 1, "said where it changes: {picture}");
        summary.spans[5].status = Status::Error;
        summary.spans[5].message = "model timed out".to_owned();
        std::sync::Arc::make_mut(&mut summary.spans[5].process).environment = Some("staging".to_owned());
        let picture = render(&summary, Paint::PLAIN);
        assert!(!picture.contains("\n  environment"), "{picture}");
        assert!(picture.contains("106 µs  error: model timed out  environment staging"), "{picture}");
        assert_eq!(picture.matches("environment production").count(), 1, "once, at the top: {picture}");
    }

    #[test]
    fn branches_join_siblings_and_only_siblings() {
        let spans = [
            (1, 0, "a", 0, 100),
            (2, 1, "b", 1, 40),
            (3, 2, "c", 2, 30),
            (4, 1, "d", 50, 90),
            (5, 4, "e", 51, 52),
            (6, 4, "f", 53, 0),
        ];
        check(
            &written(&spans),
            "
a  trace 07070707070707070707070707070707  1 service, 6 spans, 100 ms
  left complete, 51.3 ms after its last span; held 1.20 s; came in 3 requests
  a        unknown_service  internal      100 ms
  ├─ b     unknown_service  internal     39.0 ms
  │  └─ c  unknown_service  internal     28.0 ms
  └─ d     unknown_service  internal     40.0 ms
     ├─ e  unknown_service  internal     1.00 ms
     └─ f  unknown_service  internal  unfinished
",
        );
    }

    #[test]
    fn orphans_rings_and_control_characters_are_shown_and_harmless() {
        let spans = [(1, 9, "or\u{1b}[2Jphan\u{202e}", 0, 1), (2, 3, "ring", 2, 3), (3, 2, "back", 4, 5)];
        check(
            &written(&spans),
            "
or\u{fffd}[2Jphan\u{fffd}  trace 07070707070707070707070707070707  1 service, 3 spans, 5.00 ms
  left complete, 51.3 ms after its last span; held 1.20 s; came in 3 requests
  or\u{fffd}[2Jphan\u{fffd}  unknown_service  internal  1.00 ms  parent 0000000000000009 is not here
  ring         unknown_service  internal  1.00 ms
  └─ back      unknown_service  internal  1.00 ms
",
        );
    }

    #[test]
    fn a_body_that_is_nothing_shows_as_a_trace_without_spans() {
        check(
            &crate::watch::JoinedTrace { spans: 4, ..trace_of(1, 10) },
            "
(no name)  trace 01000000000000000000000000000001  0 services, 4 spans, 0 ns
  left complete, 51.3 ms after its last span; held 1.20 s; came in 3 requests
  … and 4 more spans
",
        );
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let summary = Summary::read(&captured());
        let coloured = render(&summary, Paint::COLOUR);
        assert_ne!(coloured, render(&summary, Paint::PLAIN));
        let mut stripped = String::new();
        let mut pieces = coloured.split('\x1b');
        stripped.push_str(pieces.next().unwrap());
        pieces.for_each(|piece| stripped.push_str(piece.split_once('m').unwrap().1));
        // A coloured line keeps the spaces that end it when there is nothing to note.
        assert_eq!(stripped, render(&summary, Paint::PLAIN));
    }

    #[test]
    fn a_deep_trace_and_a_wide_one_are_cut_and_say_so() {
        let deep: Vec<_> = (1..=5_000).map(|n| (n, n - 1, "down", n, 6_000)).collect();
        let picture = render(&Summary::read(&written(&deep)), Paint::PLAIN);
        assert_eq!(picture.lines().filter(|l| l.contains("unknown_service")).count(), LINES_MAX);
        assert!(picture.contains("… and 4800 more spans"), "{picture}");
        assert!(picture.contains("(199 deep) down"), "{picture}");
        assert!(picture.len() < 100_000, "{}", picture.len());
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        let said =
            [0, 999, 1_500, 68_151, 999_999, 95_800_000, 1_230_000_000, 59_900_000_000, 125_000_000_000];
        let said: Vec<String> = said.into_iter().map(|n| human(Duration::from_nanos(n))).collect();
        let expect =
            ["0 ns", "999 ns", "1.50 µs", "68.2 µs", "1000 µs", "95.8 ms", "1.23 s", "59.9 s", "2m 05s"];
        assert_eq!(said, expect);
    }
}
