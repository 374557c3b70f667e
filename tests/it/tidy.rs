//! The rules of the house that no compiler knows.
//!
//! Each test names what breaks its rule and where, so that the message is the review.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{proxy, root};

/// Functions longer than `LINES_MAX`, with their lengths. They may get shorter and leave the list;
/// nothing may join it, nothing on it may grow.
const LONG: &[(&str, &str, usize)] = &[];
const LINES_MAX: usize = 90;

/// Modules that are told everything: no sockets, no clock, no runtime, no files.
const PURE: &[&str] = &["wire", "rules", "semantics", "join"];

#[test]
fn imports_go_down_the_layers() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        for (number, line) in code_lines(&text) {
            for other in mentioned(line) {
                let (Some(mine), Some(theirs)) = (layers.get(own), layers.get(other)) else { continue };
                if own != other && theirs >= mine {
                    let at = format!("{}:{number}", path.display());
                    wrong.push(format!("{at}: `{own}` imports `{other}`, which is not below it"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_parts_know_no_world() {
    let banned = ["tokio", "hyper", "std::net", "std::fs", "std::thread", "Instant", "SystemTime"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !module(&path).is_some_and(|own| PURE.contains(&own)) {
            continue;
        }
        for (number, line) in code_lines(&text) {
            let found = banned.iter().filter(|word| contains_word(line, word));
            wrong.extend(found.map(|word| format!("{}:{number}: {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "pure parts that reach for the world:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "files without a `//!` header: {silent:#?}");
}

/// CI stops at a quote that is left open before it has run anything, and nobody else runs its script.
#[test]
fn every_shell_script_can_be_read() {
    let scripts = tracked().into_iter().filter(|path| {
        let first = fs::read(path).unwrap_or_default();
        first.starts_with(b"#!/usr/bin/env bash") || first.starts_with(b"#!/bin/sh")
    });
    let mut read = 0;
    for script in scripts {
        let told = Command::new("bash").arg("-n").arg(&script).output().expect("bash runs");
        assert!(told.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&told.stderr));
        read += 1;
    }
    assert!(read > 1, "CI's script and the tests' own were found");
}

#[test]
fn nothing_is_left_for_later_and_nothing_names_this_machine() {
    // Put together here, or this file would break its own rule.
    let banned = [
        ["TB", "D"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["todo", "!("],
        ["unimple", "mented!("],
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["registry.npm", "js"],
        ["py", "pi.org"],
        ["files.python", "hosted"],
        ["repo.mav", "en"],
        ["repo1.mav", "en"],
        ["proxy.gol", "ang"],
        ["static.cra", "tes.io"],
        ["index.cra", "tes.io"],
    ]
    .map(|halves| halves.concat());
    let mut wrong = Vec::new();
    for path in tracked() {
        // A binary file is nobody's prose.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let found = banned.iter().filter(|word| line.contains(word.as_str()));
            wrong.extend(found.map(|word| format!("{}:{}: {word}", path.display(), number + 1)));
        }
    }
    assert!(wrong.is_empty(), "words that do not belong here:\n{}", wrong.join("\n"));
}

#[test]
fn long_functions_do_not_get_longer() {
    let mut seen = BTreeMap::new();
    for (path, text) in sources() {
        for (name, lines) in functions(&text) {
            if lines > LINES_MAX {
                seen.insert((path.display().to_string(), name), lines);
            }
        }
    }
    let known = |file: &str, name: &str| LONG.iter().find(|(f, n, _)| (*f, *n) == (file, name));
    for ((file, name), lines) in &seen {
        let allowed = known(file, name).map_or(LINES_MAX, |(_, _, lines)| *lines);
        assert!(*lines <= allowed, "`{name}` in {file} has {lines} lines, more than {allowed}");
    }
    for (file, name, lines) in LONG {
        let now = seen.get(&((*file).into(), (*name).into()));
        assert_eq!(now, Some(lines), "`{name}` in {file} is shorter now: update or remove its line in LONG");
    }
}

/// `docs/config.md`, `docs/metrics.md`, `docs/semantics.md` and `docs/rules.md` are what the program itself prints.
#[tokio::test]
async fn generated_pages_are_fresh() {
    for page in ["config", "metrics", "semantics", "rules"] {
        let path = root().join(format!("docs/{page}.md"));
        let Ok(written) = fs::read_to_string(&path) else { continue };
        let output = proxy::command().args(["docs", page]).output().await.expect("the binary runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "`spandrel docs {page}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(printed, written, "stale: run `spandrel docs {page} > docs/{page}.md`");
    }
}

/// The modules that `src/lib.rs` names, with the height they stand at: a comment begins the next one.
fn layers() -> BTreeMap<String, usize> {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    let (mut layers, mut layer, mut in_modules) = (BTreeMap::new(), 0, false);
    for line in map.lines() {
        if let Some((_, name)) =
            line.strip_suffix(';').and_then(|line| line.strip_prefix("pub use ")?.split_once("::"))
        {
            layers.insert(name.to_owned(), layer);
            in_modules = true;
        } else if line.starts_with("// ") && in_modules {
            layer += 1;
            in_modules = false;
        }
    }
    assert!(layers.len() > 5, "no layers found in src/lib.rs");
    layers
}

/// Every `.rs` file below `src` but those that only hold tests, its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    gather(&root().join("src"), &mut files);
    let is_test = |path: &Path| relative(path).iter().any(|part| part == "tests" || part == "tests.rs");
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let rust = files.into_iter().filter(|path| is_rust(path) && !is_test(path));
    rust.map(|path| (relative(&path), fs::read_to_string(&path).expect("a text"))).collect()
}

/// Every file of the checkout that is not ignored.
fn tracked() -> Vec<PathBuf> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let git = std::process::Command::new("git").args(list).current_dir(root()).output();
    if let Ok(output) = git
        && output.status.success()
    {
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        return names.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    }
    // No git, as in an unpacked archive: nothing is built in such places but `target`.
    let mut files = Vec::new();
    gather(root(), &mut files);
    files.iter().map(|path| relative(path)).filter(|path| !path.starts_with("target")).collect()
}

fn gather(directory: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            gather(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(root()).expect("below the root").into()
}

/// The top module a file of `src` belongs to; `None` for the map and the entry point.
fn module(path: &Path) -> Option<&str> {
    let mut parts = path.strip_prefix("src").ok()?.components();
    let first = parts.next()?.as_os_str().to_str()?;
    match first {
        "lib.rs" | "main.rs" | "hot.rs" | "edge.rs" | "cold.rs" => None,
        _ => Some(first.strip_suffix(".rs").unwrap_or(first)),
    }
}

/// Lines that are code of the part itself, numbered from 1: no comments, and nothing of its tests,
/// which may look at anything.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = own.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

/// The modules a line mentions as `crate::name` or in `crate::{name, …}`.
fn mentioned(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        let parts: Vec<&str> = group.map_or_else(|| vec![rest], |group| group.split(',').collect());
        let word = |part: &'_ str| part.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        names.extend(parts.into_iter().map(|part| {
            let part = part.trim();
            &part[..word(part).unwrap_or(part.len())]
        }));
    }
    names
}

fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The functions of a formatted file and how many lines each has.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some(name) = function_name(code) else { continue };
        let close = format!("{indent}}}");
        // One written on one line, and a declaration without a body, are short enough.
        if line.ends_with(['}', ';']) {
            continue;
        }
        if let Some(end) = lines[start..].iter().position(|line| *line == close) {
            functions.push((name.to_owned(), end + 1));
        }
    }
    functions
}

fn function_name(code: &str) -> Option<&str> {
    let before = code.find("fn ")?;
    let words = ["pub", "pub(super)", "pub(crate)", "async", "const"];
    if !code[..before].split_whitespace().all(|word| words.contains(&word)) {
        return None;
    }
    code[before + 3..].split(['(', '<']).next()
}

#[test]
fn a_long_function_is_seen_and_a_short_one_is_measured() {
    let text = "pub async fn a<T>() {\n    b\n}\n\nimpl X {\n    fn c(&self) {\n    }\n}\n";
    assert_eq!(functions(text), [("a".into(), 3), ("c".into(), 2)]);
}

#[test]
fn an_import_is_read_however_it_is_written() {
    assert_eq!(mentioned("use crate::{export, join, queue::lanes};"), ["export", "join", "queue"]);
    assert_eq!(mentioned("fn f(x: &crate::wire::Index) -> crate::model::Time {"), ["wire", "model"]);
}
