//! The files a configuration names, read within bounds; what was read is remembered, so that it can be followed.
//!
//! The surprise: a file that changed within the last moments counts as changed when it is
//! looked at next, because the system's clock of files may not tell two writes in a row apart.

use std::fmt;
use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ahash::RandomState;

use super::kept::Kept;
use crate::follow::File;
use crate::model::Clock;

/// What a load has read so far.
#[derive(Clone, Default)]
pub struct Files {
    /// Where the configuration file is: what it names is found from there.
    base: PathBuf,
    seen: Vec<(File, u64)>,
    digest: u64,
    /// What may do without its file for a while.
    pub(super) kept: Kept,
}

impl Files {
    /// Begins a load of the configuration in `file`.
    pub fn begin(&mut self, file: Option<&Path>) {
        self.base = file.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        self.seen.clear();
        self.digest = 0;
        self.kept.begin();
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
