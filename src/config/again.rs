//! The configuration, read again while one is in force.
//!
//! What is found is read and checked whole, as a start would. What can change under a running process is then
//! taken whole; all else stays as it is and is named. The surprise: the two are put together and checked once more,
//! because a rule or label that is right with the new settings may be wrong with those that stay.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::field::{Field, Row, Seen};
use super::files::Files;
use super::kept::SourceState;
use super::raw::{Raw, Rollups};
use super::{Ask, Loaded, Plan, Surroundings, Text, checked, file, read};
use crate::follow::File;

/// A configuration in force, and how it is read again.
#[derive(Debug)]
pub struct Standing {
    /// Its file is the one that was found: that it is gone is a mistake, and no other takes its place.
    ask: Ask,
    surroundings: Surroundings,
    raw: Raw,
    files: Files,
    /// Of the files it was made of.
    digest: u64,
    /// What the last look found unusable, by its digest.
    refused: Option<(u64, String)>,
}

/// What one look found.
#[derive(Debug)]
pub struct Look {
    /// What to look at from now on.
    pub files: Vec<File>,
    /// How what values come from stands.
    pub sources: Vec<SourceState>,
    /// `None`: nothing else than what is in force. Else, every mistake, as `check` would print it.
    pub outcome: Result<Option<Change>, String>,
}

/// A configuration that takes the place of the last.
#[derive(Debug)]
pub struct Change {
    pub plan: Plan,
    /// Settings that are written otherwise than they are in force.
    pub at_next_start: Vec<String>,
}

impl Loaded {
    /// What to run, and what reads it again. `ask` is what it was loaded by.
    pub fn standing(self, ask: Ask, surroundings: Surroundings) -> (Plan, Standing) {
        let Self { plan, raw, files, file } = self;
        let ask = Ask { file: file.map(PathBuf::from).or(ask.file), ..ask };
        let digest = files.digest();
        let refused = plan.refused.clone().map(|wrong| (digest, wrong));
        (plan, Standing { ask, surroundings, raw, files, digest, refused })
    }
}

impl Standing {
    /// What it is made of now.
    pub fn files(&self) -> Vec<File> {
        self.files.seen()
    }

    /// How what values come from stands.
    pub fn sources(&self) -> Vec<SourceState> {
        self.files.sources()
    }

    /// Looks at what is written now.
    pub fn look(&mut self) -> Look {
        let outcome = self.outcome();
        Look { files: self.files.seen(), sources: self.files.sources(), outcome }
    }

    fn outcome(&mut self) -> Result<Option<Change>, String> {
        if self.ask.file.as_deref().is_some_and(file::is_pipe) {
            return Err("the configuration came through a pipe, which can be read once only".to_owned());
        }
        let now = self.files.digest_now();
        match &self.refused {
            Some((digest, wrong)) if *digest == now => return Err(wrong.clone()),
            None if self.digest == now && self.files.digest() == now => return Ok(None),
            _ => {}
        }
        let outcome = self.read();
        let digest = self.files.digest();
        self.refused = outcome.as_ref().err().map(|wrong| (digest, wrong.clone()));
        if outcome.is_ok() && self.digest == digest {
            return Ok(None);
        }
        let (change, raw) = outcome?;
        self.files.forget_unasked();
        (self.raw, self.digest) = (raw, digest);
        Ok(Some(change))
    }

    /// What there is now, checked, as far as it can be taken.
    fn read(&mut self) -> Result<(Change, Raw), String> {
        let (raw, text) = read(&self.ask, &self.surroundings, &mut self.files);
        if let Some(found) = &text.name {
            self.ask.file = Some(PathBuf::from(found));
        }
        let again = Text { mistakes: Vec::new(), name: text.name.clone(), text: text.text.clone() };
        let (plan, raw) =
            checked(raw, text, &self.surroundings, &mut self.files).map_err(|wrong| wrong.to_string())?;
        let mixed = mixed(&self.raw, &raw);
        let at_next_start = differences(&mixed, &raw);
        if at_next_start.is_empty() {
            return Ok((Change { plan, at_next_start }, raw));
        }
        let (plan, raw) = checked(mixed, again, &self.surroundings, &mut self.files).map_err(|wrong| {
            let with = at_next_start.join("`, `");
            format!("right only with what takes effect at the next start (`{with}`): {wrong}")
        })?;
        Ok((Change { plan, at_next_start }, raw))
    }
}

/// What can change while we run as `new` has it, all else as it is.
fn mixed(running: &Raw, new: &Raw) -> Raw {
    let Raw {
        environment,
        release,
        legacy_environment,
        enforce,
        resource,
        context,
        usage,
        rules,
        rollups,
        ..
    } = new.clone();
    let rollups = Rollups { on_root: rollups.on_root, ..running.rollups.clone() };
    Raw {
        environment,
        release,
        legacy_environment,
        enforce,
        resource,
        context,
        usage,
        rules,
        rollups,
        ..running.clone()
    }
}

/// The paths whose values differ, and what stands elsewhere: upstreams are known by their places.
fn differences(a: &Raw, b: &Raw) -> Vec<String> {
    let (a, b) = (values(a), values(b));
    let of = |all: &[(String, String)]| all.iter().cloned().collect::<BTreeMap<_, _>>();
    let (mut differ, others) = (of(&a), of(&b));
    for (path, value) in others {
        match differ.get(&path) {
            Some(known) if *known == value => drop(differ.remove(&path)),
            _ => drop(differ.insert(path, value)),
        }
    }
    let moved = a.iter().zip(&b).find(|(a, b)| a != b).map(|(_, (path, _))| path.clone());
    let moved = moved.filter(|_| differ.is_empty());
    differ.into_keys().chain(moved).collect()
}

fn values(raw: &Raw) -> Vec<(String, String)> {
    let mut values = Vec::new();
    raw.walk(Row { path: &[], doc: &[] }, &mut |row, seen| {
        let value = match seen {
            Seen::Leaf { value, .. } => value.unwrap_or_default(),
            Seen::List { entries, .. } => {
                entries.iter().map(|(entry, _)| entry.as_str()).collect::<Vec<_>>().join("\n")
            }
            Seen::Group | Seen::Map { .. } => return,
        };
        values.push((row.path.join("."), value));
    });
    values
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Variables, load_in};

    fn standing(directory: &Path, text: &str) -> Standing {
        let file = directory.join("c.yaml");
        std::fs::write(&file, text).unwrap();
        let ask = Ask { file: Some(file), set: Vec::new() };
        let surroundings = Surroundings { variables: Variables::default(), ..Surroundings::of_process() };
        let loaded = load_in(&ask, &surroundings).unwrap_or_else(|wrong| panic!("{wrong}"));
        loaded.standing(ask, surroundings).1
    }

    /// What a second text makes of a first: the environment in force then, and what waits; `same`; or the mistake.
    #[track_caller]
    fn check(first: &str, second: &str, expect: &str) {
        let directory = tempfile::tempdir().unwrap();
        let mut standing = standing(directory.path(), first);
        std::fs::write(directory.path().join("c.yaml"), second).unwrap();
        let got = match standing.look().outcome {
            Ok(None) => "same".to_owned(),
            Ok(Some(Change { plan, at_next_start })) => {
                format!("{} {}", plan.labels.environment.unwrap_or_default(), at_next_start.join(","))
            }
            Err(wrong) => wrong.replace(&directory.path().display().to_string(), ""),
        };
        assert!(got.contains(expect), "{got}");
        assert!(matches!(standing.look().outcome, Ok(None) | Err(_)), "told once");
    }

    #[test]
    fn what_can_change_is_taken_and_what_can_not_is_named() {
        check("environment: a", "environment: a", "same");
        check("environment: a", "environment: b", "b ");
        check("environment: a", "environment: b\nmemory: 64MiB\nbatch: {age: 1s}", "b batch.age,memory");
        check("environment: a", "environment: b\nreceive: {grpc: \"127.0.0.1:1\"}", "b receive.grpc");
        check("upstream: http://a:1", "upstream: http://b:1\nenvironment: b", "b upstream");
        let (a, b) = ("a: {endpoint: \"http://a:1\"}", "b: {endpoint: \"http://b:1\"}");
        let both = |first: &str, then: &str| format!("upstreams: {{{first}, {then}}}\nenvironment: b");
        check(&both(a, b), &both(b, a), "b upstreams.b.endpoint");
        let vendors = "dialect: langfuse\nupstream: http://a:1\nkeys: {public: pk, secret: sk}\n";
        let changed = format!("{vendors}environment: b\nmemory: 64MiB\ncontext: [tags]");
        check(vendors, &changed, "b memory");
    }

    #[test]
    fn a_mistake_changes_nothing() {
        check("environment: a", "environmen: b", "/c.yaml:1:1: unknown key `environmen`");
        let mixed = "right only with what takes effect at the next start (`dialect`";
        check("join: {scope: local}", "dialect: otel\ncontext: [user]", "right only with what");
        check("dialect: otel", "dialect: langfuse\ncontext: [tags]", mixed);
    }

    #[test]
    fn an_installed_file_may_come_and_may_not_go() {
        let root = tempfile::tempdir().unwrap();
        let surroundings = Surroundings {
            variables: Variables::default(),
            root: root.path().to_owned(),
            ..Surroundings::of_process()
        };
        let loaded = load_in(&Ask::default(), &surroundings).unwrap_or_else(|wrong| panic!("{wrong}"));
        let (_, mut standing) = loaded.standing(Ask::default(), surroundings);
        assert!(matches!(standing.look().outcome, Ok(None)) && standing.files().len() == 1);
        let file = root.path().join("etc/spandrel/spandrel.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "environment: a").unwrap();
        assert!(matches!(standing.look().outcome, Ok(Some(_))));
        std::fs::remove_file(&file).unwrap();
        assert!(standing.look().outcome.unwrap_err().contains("no such file"));
    }

    #[test]
    fn what_a_broken_file_says_is_forgotten_once_it_says_what_is_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let mut standing = standing(directory.path(), "environment: a");
        let file = directory.path().join("c.yaml");
        std::fs::write(&file, "environment: [").unwrap();
        assert!(standing.look().outcome.is_err() && standing.look().outcome.is_err());
        std::fs::write(&file, "environment: a").unwrap();
        assert!(matches!(standing.look().outcome, Ok(None)));
        std::fs::remove_file(&file).unwrap();
        assert!(standing.look().outcome.unwrap_err().contains("no such file"));
    }
}
