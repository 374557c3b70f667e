//! `docs/conformance.md`: our own findings beside those kept of others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::check::{Check, Finding, How, Level, Otherwise};
use crate::harness::root;
use crate::run::{Findings, NOT_YET, SECTIONS};

const PAGE: &str = "docs/conformance.md";
const README: &str = "README.md";
const FIGURES_BEGIN: &str = "<!-- conformance: written by the runner -->";
const FIGURES_END: &str = "<!-- /conformance -->";
const REGENERATE: &str = "cargo test --test conformance -- --write";

/// Characters kept of what was seen: others quote at length.
const WHY_MAX: usize = 160;

/// What was found of somebody else, as it was kept.
struct Kept {
    name: String,
    findings: BTreeMap<String, Finding>,
}

/// Keeps findings in a file: the name, then a line each, its parts divided by tabs.
pub fn keep(path: &Path, name: &str, findings: &Findings) -> std::io::Result<()> {
    let mut text = format!("{name}\n");
    for (id, finding) in findings {
        let why: String = finding.why().replace(['\t', '\n'], " ").chars().take(WHY_MAX).collect();
        let _ = writeln!(text, "{id}\t{}\t{why}", finding.word());
    }
    std::fs::write(path, text)
}

/// All that was kept, in the order of the files' names.
fn kept() -> Vec<Kept> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join("tests/conformance/results"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        let (name, lines) = text.split_once('\n')?;
        let line = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (id, word, why) = (parts.next()?, parts.next()?, parts.next()?);
            Some((id.to_owned(), Finding::read(word, why)?))
        };
        Some(Kept { name: name.into(), findings: lines.lines().filter_map(line).collect() })
    };
    paths.into_iter().filter_map(read).collect()
}

/// Writes the page and the README's figures, or says whether they are as they would be written.
pub fn compare_or_write(findings: &Findings, write: bool) -> bool {
    let kept = kept();
    let readme = std::fs::read_to_string(root().join(README)).expect("part of the checkout");
    let readme =
        with_figures(&readme, &figures(findings, &kept)).expect("the README has a place for figures");
    let mut fresh = true;
    for (path, text) in [(PAGE, page(findings, &kept)), (README, readme)] {
        let file = root().join(path);
        if write {
            std::fs::write(&file, text).expect("a writable checkout");
        } else if !std::fs::read_to_string(&file).is_ok_and(|written| written == text) {
            println!("{path} is not what this run found; regenerate it with `{REGENERATE}`");
            fresh = false;
        }
    }
    fresh
}

/// A text with these figures where it has some already.
fn with_figures(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(FIGURES_BEGIN)?;
    let (_, after) = rest.split_once(FIGURES_END)?;
    Some(format!("{before}{FIGURES_BEGIN}\n{figures}{FIGURES_END}{after}"))
}

/// Names of inside tests that no function has. A test may wear the ids of its lines in front of the name by
/// which the table calls it.
pub fn missing_tests(checks: &[Check]) -> Vec<&'static str> {
    let mut text = String::new();
    for place in ["src", "tests/it"] {
        gather(&root().join(place), &mut text);
    }
    let named = checks.iter().flat_map(|check| check.inside);
    let has = |test: &str| text.contains(&format!("fn {test}(")) || text.contains(&format!("_{test}("));
    named.filter(|test| !has(test)).copied().collect()
}

fn gather(directory: &Path, text: &mut String) {
    let entries = std::fs::read_dir(directory).expect("part of the checkout");
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// How a finding stands in the table.
fn mark(check: &Check, finding: Option<&Finding>, ours: bool) -> &'static str {
    match finding {
        _ if ours && NOT_YET.contains(&check.id) => "not yet",
        Some(Finding::Holds) => "yes",
        Some(Finding::Otherwise(Otherwise::DoesNot(_))) => "**no**",
        Some(Finding::Otherwise(Otherwise::NotApplicable(_))) => "n/a",
        // Ours is shown from inside then.
        _ if ours => "yes, inside",
        _ => "?",
    }
}

fn page(findings: &Findings, kept: &[Kept]) -> String {
    let mut page = format!(
        "# OTLP conformance, line by line

<!-- Generated: `{REGENERATE}`. Edit tests/conformance/ instead. -->

Each line is asked from outside, over real sockets, by the runner in `tests/conformance/`; its test is the function
of that name there. Where nothing of a line leaves the process, or not all of it, the tests named in small letters
show it from inside. `cargo test` runs all of this for Spandrel and fails when a line does not hold.

Levels: MUST, SHOULD and MAY are the OTLP specification's; *spec* is what it, gRPC, HTTP or protobuf say without such
a word; *ours* is nobody's rule but Spandrel's. Marks: yes; **no**; n/a, the line does not concern this peer;
?, it can not be seen from outside.

## In short

"
    );
    page.push_str(&figures(findings, kept));
    page.push_str("\nCounted are the lines that could be seen and concern the peer.\n");
    for (title, file, checks) in SECTIONS {
        section(&mut page, title, file, checks, findings, kept);
    }
    page
}

/// How many lines of each level hold, a column for each who was asked.
fn figures(findings: &Findings, kept: &[Kept]) -> String {
    let ours = format!("Spandrel {}", env!("CARGO_PKG_VERSION"));
    let names: Vec<&str> =
        std::iter::once(ours.as_str()).chain(kept.iter().map(|kept| kept.name.as_str())).collect();
    let mut rows = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for level in Level::ALL {
        let _ =
            write!(rows, "| {level} | {} |", held(level, |check| mark(check, findings.get(check.id), true)));
        for kept in kept {
            let held = held(level, |check| mark(check, kept.findings.get(check.id), false));
            let _ = write!(rows, " {held} |");
        }
        rows.push('\n');
    }
    rows
}

/// Of the lines of a level that can be seen and concern the peer: how many hold.
fn held(level: Level, mark: impl Fn(&Check) -> &'static str) -> String {
    let checks = SECTIONS.iter().flat_map(|(_, _, checks)| *checks).filter(|check| check.level == level);
    let marks: Vec<_> = checks.map(mark).filter(|mark| !["n/a", "?"].contains(mark)).collect();
    let held = marks.iter().filter(|mark| mark.starts_with("yes")).count();
    format!("{held} of {}", marks.len())
}

fn section(page: &mut String, title: &str, file: &str, checks: &[Check], findings: &Findings, kept: &[Kept]) {
    let others: String = kept.iter().map(|kept| format!(" {} |", kept.name)).collect();
    let rules = "---|".repeat(kept.len());
    let _ = write!(
        page,
        "\n## {title} (`{file}`)\n\n| line | level | the peer … | test | Spandrel |{others}\n|---|---|---|---|---|{rules}\n"
    );
    for check in checks {
        let mut tests: Vec<String> =
            check.inside.iter().map(|test| format!("<small>`{test}`</small>")).collect();
        if let How::Ask(name, _) = check.how {
            tests.insert(0, format!("`{name}`"));
        }
        let ours = mark(check, findings.get(check.id), true);
        let _ = write!(
            page,
            "| {} | {} | {} | {} | {ours} |",
            check.id,
            check.level,
            check.says,
            tests.join("<br>")
        );
        for kept in kept {
            let _ = write!(page, " {} |", mark(check, kept.findings.get(check.id), false));
        }
        page.push('\n');
    }
    for kept in kept {
        let seen: Vec<String> = checks.iter().filter_map(|check| seen(check, kept)).collect();
        if !seen.is_empty() {
            let _ = write!(page, "\nSeen of {}:\n\n{}\n", kept.name, seen.join("\n"));
        }
    }
}

/// What was seen of somebody else where a line does not hold.
fn seen(check: &Check, kept: &Kept) -> Option<String> {
    match kept.findings.get(check.id)? {
        finding @ Finding::Otherwise(Otherwise::DoesNot(_) | Otherwise::NotApplicable(_)) => {
            Some(format!("- {}: {}", check.id, finding.why()))
        }
        _ => None,
    }
}
