//! Values that come from files which are replaced under a running process: read again when a file changes or
//! somebody asks, the last good one kept when they can not be used. Who holds one is never made to wait.
//!
//! Files are looked at by what the system says of them, not by their time alone: an atomic swap of a
//! symlink, which is how mounted secrets and ConfigMaps change, puts another file under the same name.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often files are looked at: a rotation leaves hours, a person who tries one out waits.
const EVERY: Duration = Duration::from_secs(2);

/// A file, and what was under its name when it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    pub path: PathBuf,
    stamp: Stamp,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stamp {
    Nothing,
    /// Device, inode, size and time of change: what tells a file from the one that was there before.
    Of(u64, u64, u64, i64, i64),
    /// It may have changed since, unseen.
    Unsure,
}

impl File {
    /// As it is now.
    pub fn now(path: PathBuf) -> Self {
        let of = std::fs::metadata(&path).ok();
        let stamp = of.map_or(Stamp::Nothing, |of| Stamp::of(&of));
        Self { path, stamp }
    }

    /// As it was when it was opened; `None`: its reader wants to look again.
    pub fn seen(path: PathBuf, of: Option<&Metadata>) -> Self {
        Self { path, stamp: of.map_or(Stamp::Unsure, Stamp::of) }
    }

    fn is_as_it_was(&self) -> bool {
        self.stamp != Stamp::Unsure && Self::now(self.path.clone()).stamp == self.stamp
    }
}

impl Stamp {
    fn of(of: &Metadata) -> Self {
        Self::Of(of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec())
    }
}

/// What one reading gave.
#[derive(Debug)]
pub struct Reading<T> {
    /// The files to look at from now on, whatever came of them.
    pub files: Vec<File>,
    /// `None`: they say what they said before.
    pub value: Result<Option<T>, String>,
}

type Read<T> = Box<dyn Fn() -> Reading<T> + Send + Sync>;

/// A value and the files it comes from.
pub struct Followed<T> {
    read: Read<T>,
    current: RwLock<Arc<T>>,
    /// How many values there were.
    version: AtomicU64,
    seen: Mutex<Seen>,
    asked: Notify,
}

/// What the last look saw.
struct Seen {
    files: Vec<File>,
    /// Why the files could not be used then. Said once, tried again at every look.
    wrong: Option<String>,
}

/// What there is to tell of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// There is a new value.
    Fresh,
    /// It was asked for, or could not be used before, and is what is in use.
    Same,
    /// The last good value stays.
    Unusable(String),
}

impl<T> Followed<T> {
    /// A value from the files that `read` names each time.
    ///
    /// # Errors
    /// As `read`.
    pub fn new(read: Read<T>) -> Result<Self, String> {
        let Reading { files, value } = read();
        let value = value?.ok_or("there is no first value")?;
        Ok(Self::from(value, files, read))
    }

    /// A value that was read before, from these files.
    pub fn from(value: T, files: Vec<File>, read: Read<T>) -> Self {
        Self {
            read,
            current: RwLock::new(Arc::new(value)),
            version: AtomicU64::new(0),
            seen: Mutex::new(Seen { files, wrong: None }),
            asked: Notify::new(),
        }
    }

    /// A value from nowhere, which stays.
    pub fn fixed(value: T) -> Self {
        Self::from(value, Vec::new(), Box::new(|| Reading { files: Vec::new(), value: Ok(None) }))
    }

    /// What was last read well.
    pub fn current(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another number, another value. Asked before `current`, it is never newer than that.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Has the files looked at soon, changed or not.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Reads again if a file changed, or if it was asked for. `Some` when there is something to tell of it.
    fn look(&self, asked: bool) -> Option<Looked> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked && seen.wrong.is_none() && seen.files.iter().all(File::is_as_it_was) {
            return None;
        }
        let Reading { files, value } = (self.read)();
        seen.files = files;
        match value {
            Ok(Some(fresh)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                self.version.fetch_add(1, Ordering::Release);
                seen.wrong = None;
                Some(Looked::Fresh)
            }
            Ok(None) => (seen.wrong.take().is_some() || asked).then_some(Looked::Same),
            Err(wrong) if seen.wrong.as_ref() == Some(&wrong) && !asked => None,
            Err(wrong) => {
                seen.wrong = Some(wrong.clone());
                Some(Looked::Unusable(wrong))
            }
        }
    }

    /// Looks at the files until `stop`, off whatever thread it runs on, and tells what became of each change.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken, tell: impl Fn(&Looked))
    where
        T: Send + Sync + 'static,
    {
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.look(asked)).await {
                Ok(None) => {}
                Ok(Some(looked)) => tell(&looked),
                Err(panic) => tell(&Looked::Unusable(format!("looking at it failed: {panic}"))),
            }
        }
    }
}

impl<T> fmt::Debug for Followed<T> {
    /// Without the value: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("version", &self.version).finish_non_exhaustive()
    }
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
            let files = vec![File::now(path.clone())];
            let text = std::fs::read_to_string(&path).map_err(|error| error.kind().to_string());
            let value = text.and_then(|text| text.parse::<u32>().map_err(|_| "no number".to_owned()));
            Reading { files, value: value.map(Some) }
        };
        let followed = Followed::new(Box::new(read)).unwrap();
        let look = || followed.look(false);
        assert_eq!((*followed.current(), look()), (11, None));
        write("2", "22");
        swap("2");
        assert_eq!((look(), *followed.current(), look()), (Some(Looked::Fresh), 22, None));
        write("2", "half");
        let wrong = Some(Looked::Unusable("no number".to_owned()));
        assert_eq!((look(), look(), *followed.current()), (wrong, None, 22));
        std::fs::remove_file(name("number")).unwrap();
        assert!(matches!(look(), Some(Looked::Unusable(_))));
        swap("1");
        assert_eq!((look(), *followed.current(), followed.version()), (Some(Looked::Fresh), 11, 2));
    }

    #[test]
    fn what_was_written_just_now_and_is_gone_is_seen_to_be_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("label");
        assert!(File::now(path.clone()).is_as_it_was());
        assert!(!File::seen(path.clone(), None).is_as_it_was());
        std::fs::write(&path, "1").unwrap();
        let seen = File::seen(path.clone(), std::fs::metadata(&path).ok().as_ref());
        assert!(seen.is_as_it_was());
        std::fs::remove_file(&path).unwrap();
        assert!(!seen.is_as_it_was());
    }

    #[test]
    fn what_is_asked_for_is_told_of_though_nothing_changed() {
        let same = Followed::fixed(1);
        assert_eq!((same.look(false), same.look(true), *same.current()), (None, Some(Looked::Same), 1));
    }
}
