//! Finds and reads the configuration file, within bounds.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::files::{Files, reason};
use super::gather::CONFIG_VARIABLE;
use super::mistake::Mistake;
use super::source::Source;
use super::surroundings::Surroundings;

/// Where a package or an image puts it. Not the working directory: what a program does should not
/// depend on where it happens to be started.
const INSTALLED: &str = "etc/spandrel/spandrel.yaml";
/// Larger than any honest file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file to read: the one named, else the installed one if it is there. One that is not may come.
pub fn find(named: Option<&Path>, surroundings: &Surroundings, files: &mut Files) -> Option<PathBuf> {
    let by_variable = || surroundings.variables.get(CONFIG_VARIABLE).map(PathBuf::from);
    let installed = surroundings.root.join(INSTALLED);
    let found = named.map(Path::to_owned).or_else(by_variable);
    let found = found.or_else(|| Some(installed.clone()).filter(|path| path.exists()));
    files.begin(found.as_deref());
    if found.is_none() {
        files.await_file(&installed);
    }
    found
}

/// Its text; empty when it can not be had, and then `mistakes` says why.
pub fn read(path: &Path, files: &mut Files, mistakes: &mut Vec<Mistake>) -> String {
    read_text(path, files).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        String::new()
    })
}

fn read_text(path: &Path, files: &mut Files) -> Result<String, Mistake> {
    let whole = |text: String| Mistake::new(Source::WholeFile, text);
    if path.is_dir() {
        return Err(whole(format!("is a directory; name the file in it{}", only_yaml_in(path))));
    }
    let bytes = if is_pipe(path) { read_once(path) } else { files.read(path, FILE_BYTES_MAX) };
    let bytes = bytes.map_err(|wrong| {
        let hint = if wrong.starts_with("is larger") { "; is it a configuration?" } else { "" };
        whole(format!("{wrong}{hint}"))
    })?;
    let text = String::from_utf8(bytes).map_err(|wrong| {
        let valid = &wrong.as_bytes()[..wrong.utf8_error().valid_up_to()];
        let before = String::from_utf8_lossy(valid);
        let (line, last) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default());
        let column = last.chars().count() + 1;
        Mistake::new(Source::File { line, column }, "not UTF-8; save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A hint when a directory holds exactly one YAML file, as a mounted ConfigMap does.
fn only_yaml_in(dir: &Path) -> String {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut yaml = files.filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    match (yaml.next(), yaml.next()) {
        (Some(only), None) => format!(", as in `{}`", only.display()),
        _ => String::new(),
    }
}

/// Whether it is a pipe or the like, as shells make of `<(…)`: it can be read once.
pub fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|of| !of.is_file() && !of.is_dir())
}

fn read_once(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| format!("can't be read: {}", reason(&cause)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err("is larger than 1MiB".to_owned()) } else { Ok(bytes) }
}
