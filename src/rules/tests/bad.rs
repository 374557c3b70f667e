//! Rules that are wrong, each with the message it must give: `tests/data/rules/bad`.

use std::fs;
use std::path::Path;

use super::fixture::group;
use crate::rules::{Context, Rules};

/// `# context`, the statement, `---`, the message.
#[test]
fn every_bad_rule_is_told_where_and_what() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/rules/bad");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let (rule, expect) = text.split_once("\n---\n").expect("a message");
        let (context, statement) = rule.split_once('\n').expect("a context");
        let context = Context::of_name(context.trim_start_matches("# "));
        let got = match Rules::compile(&[group(context, &[statement])]) {
            Ok(_) => "nothing wrong".to_owned(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        if got.trim_end() != expect.trim_end() {
            wrong.push(format!("{}:\n{got}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}
