//! The files a configuration names, read within bounds; what was read is remembered, so that it can be followed.
//!
//! One that may be without its file for a while (a label, a table of a running process) keeps what was last good
//! from load to load. The surprise: a file that changed within the last moments counts as changed when it is
//! looked at next, because the system's clock of files may not tell two writes in a row apart.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::RandomState;

use super::podinfo;
use crate::follow::File;
use crate::model::Clock;
use crate::rules::Table;

/// Larger than a table of services or tenants.
const TABLE_BYTES_MAX: u64 = 4 << 20;
/// Tables of one configuration; their bytes are not in the memory's budget.
const TABLES_MAX: usize = 16;
/// All annotations of a pod, however they are quoted.
const VALUE_FILE_BYTES_MAX: u64 = 1 << 20;
/// Longer than labels, releases and tokens.
const VALUE_BYTES_MAX: usize = 4096;

/// What a load has read so far.
#[derive(Clone, Default)]
pub struct Files {
    /// Where the configuration file is: what it names is found from there.
    base: PathBuf,
    seen: Vec<(File, u64)>,
    digest: u64,
    /// Tables by their names, as last good, and what this load found.
    tables: BTreeMap<String, Kept<Arc<Table>>>,
    /// Values the same way, by what is written between the braces.
    values: BTreeMap<String, Kept<String>>,
}

/// Something that a file gave, and whether it is what the file says now.
#[derive(Clone, Debug, Default)]
struct Kept<T> {
    good: Option<T>,
    /// `None`: this load has not asked yet.
    now: Option<Result<(), String>>,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// As it is written.
    pub name: String,
    /// Why what it says now can not be used; the last good value, if there is one, stays.
    pub wrong: Option<String>,
    /// Something of it is in use.
    pub has_value: bool,
}

impl Files {
    /// Begins a load of the configuration in `file`.
    pub fn begin(&mut self, file: Option<&Path>) {
        self.base = file.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        self.seen.clear();
        self.digest = 0;
        self.tables.values_mut().for_each(|kept| kept.now = None);
        self.values.values_mut().for_each(|kept| kept.now = None);
    }

    /// The table of a name. Once it was good, it stays what it was while its file can not be used.
    ///
    /// # Errors
    /// In words, to stand behind its name: there never was a good one.
    pub fn table(&mut self, name: &str) -> Result<Arc<Table>, String> {
        if self.tables.len() >= TABLES_MAX && !self.tables.contains_key(name) {
            return Err(format!("is one table too many: there can be {TABLES_MAX}"));
        }
        let mut kept = self.tables.remove(name).unwrap_or_default();
        if kept.now.is_none() {
            let path = self.path(name);
            let table = self.read(&path, TABLE_BYTES_MAX).and_then(|bytes| Table::parse(&bytes));
            kept.take(table.map(Arc::new));
        }
        let table = kept.in_use();
        self.tables.insert(name.to_owned(), kept);
        table
    }

    /// What a file says, trimmed; of one of Kubernetes' downward API (`path[key]`), what it says of the key. Once it
    /// was good, it stays what it was while its file can not be used; but a key that is gone has no value.
    ///
    /// # Errors
    /// In words, to stand behind its name: there is no value.
    pub fn value(&mut self, reference: &str) -> Result<String, String> {
        let mut kept = self.values.remove(reference).unwrap_or_default();
        if kept.now.is_none() {
            let (name, key) = match reference.strip_suffix(']').and_then(|text| text.split_once('[')) {
                Some((name, key)) => (name, Some(key)),
                None => (reference, None),
            };
            let path = self.path(name);
            let text = self.read(&path, VALUE_FILE_BYTES_MAX).and_then(text_of);
            match (text, key) {
                (Ok(text), Some(key)) => match podinfo::find(&text, key) {
                    Ok(Some(value)) => kept.take(of_label(value)),
                    Ok(None) => {
                        kept.good = None;
                        kept.take(Err(podinfo::lacks(&text, key)));
                    }
                    Err(wrong) => kept.take(Err(wrong)),
                },
                (Ok(text), None) => kept.take(of_label(text.trim().to_owned())),
                (Err(wrong), _) => kept.take(Err(wrong)),
            }
        }
        let value = kept.in_use();
        self.values.insert(reference.to_owned(), kept);
        value
    }

    /// That there is no such value is no news: it has a default.
    pub fn excuse(&mut self, reference: &str) {
        if let Some(kept) = self.values.get_mut(reference).filter(|kept| kept.good.is_none()) {
            kept.now = Some(Ok(()));
        }
    }

    /// Forgets what the last load did not ask for.
    pub fn forget_unasked(&mut self) {
        self.tables.retain(|_, kept| kept.now.is_some());
        self.values.retain(|_, kept| kept.now.is_some());
    }

    /// Everything that values come from while we run.
    pub fn sources(&self) -> Vec<SourceState> {
        let tables = self.tables.iter().filter_map(|(name, kept)| kept.state(name.clone()));
        let values = self.values.iter().filter_map(|(name, kept)| kept.state(format!("file:{name}")));
        values.chain(tables).collect()
    }

    /// Where a name in the configuration leads to.
    pub fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Has a file that is not there looked at.
    pub fn await_file(&mut self, path: &Path) {
        self.seen.push((File::now(path.to_owned()), 0));
    }

    /// What is to be looked at from now on.
    pub fn seen(&self) -> Vec<File> {
        self.seen.iter().map(|(file, _)| file.clone()).collect()
    }

    /// Of all that was read: equal for the same bytes under the same names.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The digest of the same files as they are now.
    pub fn digest_now(&self) -> u64 {
        self.seen.iter().fold(0, |digest, (File { path, .. }, max)| {
            let bytes = read(path, *max).map(|(_, bytes)| bytes);
            digest_of(digest, path, &bytes)
        })
    }

    /// The bytes of a file, at most `max`.
    ///
    /// # Errors
    /// In words, to stand behind its name. It is looked at again all the same.
    pub fn read(&mut self, path: &Path, max: u64) -> Result<Vec<u8>, String> {
        // Before reading: what changes meanwhile is seen as changed.
        let before = File::now(path.to_owned());
        let (file, bytes) = match read(path, max) {
            Ok((of, bytes)) => {
                (File::seen(path.to_owned(), Some(&of).filter(|of| is_settled(of))), Ok(bytes))
            }
            Err(wrong) => (before, Err(wrong)),
        };
        self.seen.push((file, max));
        self.digest = digest_of(self.digest, path, &bytes);
        bytes
    }
}

impl<T: Clone> Kept<T> {
    fn take(&mut self, found: Result<T, String>) {
        self.now = Some(found.map(|good| self.good = Some(good)));
    }

    fn in_use(&self) -> Result<T, String> {
        match (&self.good, &self.now) {
            (Some(good), _) => Ok(good.clone()),
            (None, Some(Err(wrong))) => Err(wrong.clone()),
            (None, _) => Err("was not read".to_owned()),
        }
    }

    /// `None` where this load did not ask for it.
    fn state(&self, name: String) -> Option<SourceState> {
        let wrong = self.now.clone()?.err();
        Some(SourceState { name, wrong, has_value: self.good.is_some() })
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    let is_binary = text.chars().any(|letter| letter.is_control() && !letter.is_whitespace());
    if is_binary { Err("is not text".to_owned()) } else { Ok(text) }
}

fn of_label(value: String) -> Result<String, String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("says more than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(value)
}

/// Whether its last change is longer ago than the system's clock of files takes to move on.
fn is_settled(of: &Metadata) -> bool {
    let now = Clock::new().unix_nanos() / 1_000_000_000;
    of.ctime().saturating_add(1) < i64::try_from(now).unwrap_or(i64::MAX)
}

fn digest_of(before: u64, path: &Path, bytes: &Result<Vec<u8>, String>) -> u64 {
    RandomState::with_seeds(1, 2, 3, 4).hash_one((before, path, bytes))
}

fn read(path: &Path, max: u64) -> Result<(Metadata, Vec<u8>), String> {
    let wrong = |cause| format!("can't be read: {}", reason(&cause));
    // Asked before it is opened: a pipe would be waited for.
    let metadata = std::fs::metadata(path).map_err(wrong)?;
    if metadata.is_dir() {
        return Err("is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    let (file, mut bytes) = (std::fs::File::open(path).map_err(wrong)?, Vec::new());
    let metadata = file.metadata().map_err(wrong)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > max {
        return Err(format!("is larger than {}", shown(max)));
    }
    Ok((metadata, bytes))
}

fn shown(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{}MiB", bytes >> 20) } else { format!("{}KiB", bytes >> 10) }
}

/// The cause in plain words, without the operating system's number.
pub(super) fn reason(cause: &std::io::Error) -> String {
    match cause.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ if cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "a link that leads to itself".to_owned()
        }
        _ => cause.to_string(),
    }
}

impl fmt::Debug for Files {
    /// Without what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[track_caller]
    fn check(make: impl FnOnce(&Path), expect: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.csv");
        make(&path);
        let mut files = Files::default();
        files.begin(Some(&directory.path().join("c.yaml")));
        assert_eq!(files.table("t.csv").unwrap_err(), expect);
        assert_eq!(files.seen().len(), 1, "it is looked at again");
    }

    #[test]
    fn what_can_not_be_used_is_said_and_waits_for_nobody() {
        check(|_| {}, "can't be read: no such file");
        check(|path| fs::create_dir(path).unwrap(), "is a directory");
        check(
            |path| std::os::unix::fs::symlink(path, path).unwrap(),
            "can't be read: a link that leads to itself",
        );
        check(|path| fs::File::create(path).unwrap().set_len(100 << 20).unwrap(), "is larger than 4MiB");
        check(|path| fs::write(path, b"a,b\n\x00\xff,1").unwrap(), "line 2: not UTF-8");
        check(
            |path| {
                let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).unwrap();
            },
            "is no regular file",
        );
    }

    #[test]
    fn a_table_that_was_good_stays_while_its_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (config, path) = (directory.path().join("c.yaml"), directory.path().join("t.csv"));
        let mut files = Files::default();
        let mut look = |text: &str| {
            fs::write(&path, text).unwrap();
            files.begin(Some(&config));
            let found = files.table("t.csv").map(|table| table.get("a", 0).unwrap_or("nil").to_owned());
            (found, files.sources().remove(0).wrong)
        };
        assert_eq!(look("k,v\na,1\n"), (Ok("1".into()), None));
        assert_eq!(
            look("k,v\na\n"),
            (Ok("1".into()), Some("line 2: 1 fields, not 2 as in the first line".into()))
        );
        assert_eq!(look("k,v\na,2\n"), (Ok("2".into()), None));
    }
}
