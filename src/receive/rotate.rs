//! What is read from files that are replaced under a running process: read again when they change, the
//! last good kept when they can not be used.
//!
//! They are looked at by what the system says of them, not by their time alone: an atomic swap of a
//! symlink, which is how mounted secrets change, puts another file under the same name.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::telemetry::Meters;

/// How often files are looked at: a rotation leaves hours, a person who tries one out waits.
const EVERY: Duration = Duration::from_secs(2);

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// A value and the files it comes from.
pub struct Rotating<T> {
    /// The `what` label of our metrics.
    what: &'static str,
    files: Vec<PathBuf>,
    read: Read<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
}

/// What the last look saw.
struct Seen {
    stamps: Vec<Option<Stamp>>,
    /// Why the files could not be used then. Said once, tried again at every look.
    wrong: Option<String>,
}

/// What tells a file from the one that was there before: device, inode, size and time of change.
type Stamp = (u64, u64, u64, i64, i64);

impl<T> Rotating<T> {
    /// # Errors
    /// As `read`.
    pub fn new(what: &'static str, files: Vec<PathBuf>, read: Read<T>) -> Result<Self, String> {
        // Before reading: what changes meanwhile is seen as changed.
        let seen = Mutex::new(Seen { stamps: stamps(&files), wrong: None });
        let current = RwLock::new(Arc::new(read()?));
        Ok(Self { what, files, read, current, seen })
    }

    /// What was last read well.
    pub fn current(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads again if a file changed. `Some` when there is something to tell of it.
    fn look(&self) -> Option<Result<(), String>> {
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now == seen.stamps && seen.wrong.is_none() {
            return None;
        }
        seen.stamps = now;
        match (self.read)() {
            Ok(fresh) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                seen.wrong = None;
                Some(Ok(()))
            }
            Err(wrong) if seen.wrong.as_ref() == Some(&wrong) => None,
            Err(wrong) => {
                seen.wrong = Some(wrong.clone());
                Some(Err(wrong))
            }
        }
    }

    /// Looks at the files until `stop`, and says what became of each change.
    pub async fn follow(self: Arc<Self>, meters: Arc<Meters>, stop: CancellationToken)
    where
        T: Send + Sync + 'static,
    {
        if self.files.is_empty() {
            return;
        }
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let this = self.clone();
            let looked = tokio::task::spawn_blocking(move || this.look()).await;
            let (what, outcome) = match looked {
                Ok(None) => continue,
                Ok(Some(Ok(()))) => {
                    tracing::info!("{} changed and are in use", self.what);
                    (self.what, "ok")
                }
                Ok(Some(Err(wrong))) => {
                    tracing::warn!("{} changed but can not be used, keeping the last: {wrong}", self.what);
                    (self.what, "failed")
                }
                Err(panic) => {
                    tracing::error!(%panic, "looking at {} failed", self.what);
                    (self.what, "failed")
                }
            };
            meters.reloads.with_label_values(&[what, outcome]).inc();
        }
    }
}

impl<T> fmt::Debug for Rotating<T> {
    /// Without the value: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotating").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let of = std::fs::metadata(path).ok()?;
        Some((of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_once_and_what_can_not_be_used_is_said_once_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let name = |version: &str| directory.path().join(version);
        let write = |version: &str, text: &str| std::fs::write(name(version), text).unwrap();
        // As Kubernetes does it: a link that is renamed over the last one.
        let swap = |version: &str| {
            std::os::unix::fs::symlink(name(version), name("next")).unwrap();
            std::fs::rename(name("next"), name("number")).unwrap();
        };
        write("1", "11");
        swap("1");
        let path = name("number");
        let read = move || {
            let text = std::fs::read_to_string(&path).map_err(|error| error.kind().to_string())?;
            text.parse::<u32>().map_err(|_| "no number".to_owned())
        };
        let rotating = Rotating::new("numbers", vec![name("number")], Box::new(read)).unwrap();
        assert_eq!((*rotating.current(), rotating.look()), (11, None));
        write("2", "22");
        swap("2");
        assert_eq!((rotating.look(), *rotating.current(), rotating.look()), (Some(Ok(())), 22, None));
        write("2", "half");
        let wrong = Some(Err("no number".to_owned()));
        assert_eq!((rotating.look(), rotating.look(), *rotating.current()), (wrong, None, 22));
        std::fs::remove_file(name("number")).unwrap();
        assert!(matches!(rotating.look(), Some(Err(_))));
        swap("1");
        assert_eq!((rotating.look(), *rotating.current()), (Some(Ok(())), 11));
    }
}
