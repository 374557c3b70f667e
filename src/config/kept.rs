//! What may do without its file for a while: a label, a table of a running process. It keeps what was last good from
//! load to load, and says how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::Files;
use super::podinfo;
use crate::rules::Table;

/// Larger than a table of services or tenants.
const TABLE_BYTES_MAX: u64 = 4 << 20;
/// Tables of one configuration; their bytes are not in the memory's budget.
const TABLES_MAX: usize = 16;
/// All annotations of a pod, however they are quoted.
const VALUE_FILE_BYTES_MAX: u64 = 1 << 20;
/// Longer than labels, releases and tokens.
const VALUE_BYTES_MAX: usize = 4096;

/// All of them, by their names, and what the load at hand found.
#[derive(Clone, Default)]
pub struct Kept {
    tables: BTreeMap<String, Held<Arc<Table>>>,
    /// By what is written between the braces.
    values: BTreeMap<String, Held<String>>,
}

impl Kept {
    /// Begins a load.
    pub fn begin(&mut self) {
        self.tables.values_mut().for_each(Held::begin);
        self.values.values_mut().for_each(Held::begin);
    }
}

/// Something that a file gave, and whether it is what the file says now.
#[derive(Clone, Debug, Default)]
struct Held<T> {
    good: Option<T>,
    /// `None`: this load has not asked yet.
    now: Option<Result<(), String>>,
    /// There is no such file, or nothing of that name in it.
    absent: bool,
    /// That is no news: there is a default.
    excused: bool,
    /// It holds no value: what it says is what is wrong.
    is_complaint: bool,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// As it is written.
    pub name: String,
    /// Why what it says now can not be used; the last good value, if there is one, stays.
    pub wrong: Option<String>,
    /// What is in use meanwhile, for people; empty where that is said in `wrong`.
    pub meanwhile: &'static str,
}

impl Files {
    /// The table of a name. Once it was good, it stays what it was while its file can not be used.
    ///
    /// # Errors
    /// In words, to stand behind its name: there never was a good one.
    pub fn table(&mut self, name: &str) -> Result<Arc<Table>, String> {
        let asked = self.kept.tables.values().filter(|table| table.now.is_some()).count();
        if asked >= TABLES_MAX && self.kept.tables.get(name).is_none_or(|table| table.now.is_none()) {
            return Err(format!("is one table too many: there can be {TABLES_MAX}"));
        }
        let mut source = self.kept.tables.remove(name).unwrap_or_default();
        if source.now.is_none() {
            let path = self.path(name);
            let table = self.read(&path, TABLE_BYTES_MAX).and_then(|bytes| Table::parse(&bytes));
            source.take(table.map(Arc::new));
        }
        let table = source.in_use();
        self.kept.tables.insert(name.to_owned(), source);
        table
    }

    /// What a file says, trimmed; of one of Kubernetes' downward API (`path[key]`), what it says of the key. Once it
    /// was good, it stays what it was while its file can not be used; but a key that is gone has no value.
    ///
    /// # Errors
    /// In words, to stand behind its name: there is no value.
    pub fn value(&mut self, reference: &str) -> Result<String, String> {
        let mut source = self.kept.values.remove(reference).unwrap_or_default();
        if source.now.is_none() {
            let (name, key) = match reference.strip_suffix(']').and_then(|text| text.split_once('[')) {
                Some((name, key)) => (name, Some(key)),
                None => (reference, None),
            };
            let path = self.path(name);
            let text = self.read(&path, VALUE_FILE_BYTES_MAX).and_then(text_of);
            match (text, key) {
                (Ok(text), Some(key)) => match podinfo::find(&text, key) {
                    Ok(Some(value)) => source.take(of_label(value)),
                    Ok(None) => {
                        (source.good, source.absent) = (None, true);
                        source.take(Err(podinfo::lacks(&text, key)));
                    }
                    Err(wrong) => source.take(Err(wrong)),
                },
                (Ok(text), None) => source.take(of_label(text.trim().to_owned())),
                (Err(wrong), _) => {
                    source.absent = !path.exists();
                    source.take(Err(wrong));
                }
            }
        }
        let value = source.in_use();
        self.kept.values.insert(reference.to_owned(), source);
        value
    }

    /// That there is no such file or entry is no news: it has a default.
    pub fn excuse(&mut self, reference: &str) {
        if let Some(source) = self.kept.values.get_mut(reference) {
            source.excused = source.absent && source.good.is_none();
        }
    }

    /// What it says is what is wrong, and no value.
    pub fn take_as_complaint(&mut self, reference: &str) {
        if let Some(source) = self.kept.values.get_mut(reference)
            && let Some(said) = source.good.take()
        {
            (source.now, source.is_complaint) = (Some(Err(format!("says: {said}"))), true);
        }
    }

    /// Forgets what the last load did not ask for.
    pub fn forget_unasked(&mut self) {
        self.kept.tables.retain(|_, source| source.now.is_some());
        self.kept.values.retain(|_, source| source.now.is_some());
    }

    /// Everything that values come from while we run.
    pub fn sources(&self) -> Vec<SourceState> {
        let tables = self.kept.tables.iter().filter_map(|(name, source)| source.state(name.clone()));
        let values =
            self.kept.values.iter().filter_map(|(name, source)| source.state(format!("file:{name}")));
        values.chain(tables).collect()
    }
}

impl<T: Clone> Held<T> {
    fn begin(&mut self) {
        (self.now, self.absent, self.excused, self.is_complaint) = (None, false, false, false);
    }

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
        let wrong = self.now.clone()?.err().filter(|_| !self.excused);
        let meanwhile = match &self.good {
            _ if self.is_complaint => "",
            Some(_) => "its last good value stays",
            None => "there is no value",
        };
        Some(SourceState { name, wrong, meanwhile })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

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

    /// What a label's file is worth.
    #[track_caller]
    fn label(make: impl FnOnce(&Path), expect: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("label");
        make(&path);
        let mut files = Files::default();
        files.begin(Some(&directory.path().join("c.yaml")));
        assert_eq!(files.value("label").as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn a_label_is_a_short_text_or_none() {
        label(|path| fs::write(path, " v1\n\n").unwrap(), Ok("v1"));
        label(|path| fs::write(path, "").unwrap(), Ok(""));
        label(|_| {}, Err("can't be read: no such file"));
        label(|path| fs::create_dir(path).unwrap(), Err("is a directory"));
        label(
            |path| std::os::unix::fs::symlink(path, path).unwrap(),
            Err("can't be read: a link that leads to itself"),
        );
        label(|path| fs::File::create(path).unwrap().set_len(100 << 20).unwrap(), Err("is larger than 1MiB"));
        label(|path| fs::write(path, b"\x7fELF\x02\x01\x00").unwrap(), Err("is not text"));
        label(|path| fs::write(path, b"\xff\xfe").unwrap(), Err("is not text"));
        label(|path| fs::write(path, "x".repeat(4097)).unwrap(), Err("says more than 4096 bytes"));
    }

    #[test]
    fn a_default_excuses_what_is_not_there_and_not_what_is_of_no_use() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let mut wrong = |text: Option<&[u8]>| {
            let _ = text.map(|text| fs::write(directory.path().join("label"), text).unwrap());
            files.begin(Some(&directory.path().join("c.yaml")));
            assert!(files.value("label").is_err());
            files.excuse("label");
            files.sources().remove(0).wrong
        };
        assert_eq!((wrong(None), wrong(Some(b"\xff"))), (None, Some("is not text".into())));
    }

    #[test]
    fn a_complaint_is_told_as_it_stands_and_gives_no_value() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let mut look = |text: &str| {
            fs::write(directory.path().join("says"), text).unwrap();
            files.begin(Some(&directory.path().join("c.yaml")));
            let _ = files.value("says");
            files.take_as_complaint("says");
            (files.value("says").ok(), files.sources().remove(0))
        };
        let (value, SourceState { wrong, meanwhile, .. }) = look("no room\n");
        assert_eq!((value, wrong, meanwhile), (None, Some("says: no room".into()), ""));
        let unreadable = look("\0").1;
        assert_eq!(
            (unreadable.wrong.as_deref(), unreadable.meanwhile),
            (Some("is not text"), "there is no value")
        );
    }

    #[test]
    fn there_are_so_many_tables_and_no_more() {
        let mut files = Files::default();
        files.begin(None);
        let wrong = |files: &mut Files, n: usize| files.table(&format!("/none/{n}")).unwrap_err();
        (0..TABLES_MAX).for_each(|n| assert!(wrong(&mut files, n).contains("no such file")));
        assert!(wrong(&mut files, TABLES_MAX).contains("one table too many"));
        assert!(wrong(&mut files, 0).contains("no such file"), "it is known already");
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
