//! Finds and reads the configuration file, within bounds.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::gather::CONFIG_VARIABLE;
use super::mistake::Mistake;
use super::source::Source;
use super::surroundings::Surroundings;

/// Where a package or an image puts it. Not the working directory: what a program does should not
/// depend on where it happens to be started.
const INSTALLED: &str = "etc/spandrel/spandrel.yaml";
/// Larger than any honest file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file to read: the one named, else the installed one if it is there.
pub fn find(named: Option<&Path>, surroundings: &Surroundings) -> Option<PathBuf> {
    let by_variable = || surroundings.variables.get(CONFIG_VARIABLE).map(PathBuf::from);
    let installed = || Some(surroundings.root.join(INSTALLED)).filter(|path| path.exists());
    named.map(Path::to_owned).or_else(by_variable).or_else(installed)
}

/// Its text; empty when it can not be had, and then `mistakes` says why.
pub fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> String {
    read_text(path).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        String::new()
    })
}

fn read_text(path: &Path) -> Result<String, Mistake> {
    let whole = |text: String| Mistake::new(Source::WholeFile, text);
    if path.is_dir() {
        return Err(whole(format!("is a directory; name the file in it{}", only_yaml_in(path))));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| whole(format!("can't be read: {}", reason(&cause))))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(whole("is larger than 1MiB; is it a configuration?".to_owned()));
    }
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

/// The cause in plain words, without the operating system's number.
pub(super) fn reason(cause: &std::io::Error) -> String {
    match cause.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => cause.to_string(),
    }
}
