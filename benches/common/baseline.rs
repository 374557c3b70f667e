//! What the steps cost when somebody last wrote it down: `benches/instructions/baseline.tsv`, instructions a span by step.
//!
//! The numbers are of one compiler and one kind of processor; elsewhere record them first, then compare.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/baseline.tsv");

pub fn read() -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(PATH).unwrap_or_default();
    let line = |line: &str| {
        let (step, instructions) = line.split_once('\t')?;
        Some((step.to_owned(), instructions.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

pub fn write(all: &BTreeMap<String, f64>) {
    let mut text = "step\tinstructions a span\n".to_owned();
    for (step, instructions) in all {
        let _ = writeln!(text, "{step}\t{instructions:.1}");
    }
    std::fs::write(PATH, text).expect("the checkout can be written to");
}

/// What became of a step: `+3.1 %`, `new`.
pub fn change(before: Option<&f64>, now: f64) -> String {
    match before {
        None => "new".to_owned(),
        Some(before) => format!("{:+.1} %", (now / before - 1.0) * 100.0),
    }
}
