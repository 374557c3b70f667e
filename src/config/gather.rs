//! Fills the table from the file, `SPANDREL_*` and `--set`, in that order: what comes later wins.

use super::field::{Field, Row, Seen};
use super::mistake::{Mistake, did_you_mean, quoted};
use super::raw::{Raw, Upstream};
use super::source::Source;
use super::substitute::substitute;
use super::surroundings::Variables;
use super::tree::{Entry, Kind, Node};

/// What every one of our variables begins with.
pub const PREFIX: &str = "SPANDREL_";
/// Names the file; no leaf of its own.
pub const CONFIG_VARIABLE: &str = "SPANDREL_CONFIG";
const UPSTREAMS_PREFIX: &str = "SPANDREL_UPSTREAMS_";

/// Takes everything the file says.
pub fn from_file(root: &Node, raw: &mut Raw, variables: &Variables, mistakes: &mut Vec<Mistake>) {
    FromFile { variables, mistakes }.fill(root, raw, "");
}

struct FromFile<'a> {
    variables: &'a Variables,
    mistakes: &'a mut Vec<Mistake>,
}

impl FromFile<'_> {
    fn fill(&mut self, node: &Node, field: &mut dyn Field, path: &str) {
        if let Kind::List(items) = &node.kind
            && self.entries(items, field, path)
        {
            return;
        }
        let wrong = match &node.kind {
            Kind::Null => return,
            Kind::Map(entries) if field.has_keys() => {
                let own_names = field.keys_have_dots();
                for entry in entries {
                    let (below, child) = child(field, path, entry);
                    match child {
                        // A key of ours without a value is as good as not written; a name of the user's own
                        // was meant to have one.
                        Ok(child) if own_names && matches!(entry.value.kind, Kind::Null) => {
                            if let Err(wrong) = child.take("", &entry.at) {
                                self.note(entry.at.clone(), &below, &wrong);
                            }
                        }
                        Ok(child) => self.fill(&entry.value, child, &below),
                        Err(wrong) => self.note(entry.at.clone(), path, &wrong),
                    }
                }
                return;
            }
            Kind::Map(_) => "wants a single value, not a mapping".to_owned(),
            Kind::List(items) => match self.items(items, path) {
                Some(items) => match field.take_list(items, &node.at) {
                    Ok(()) => return,
                    Err(wrong) => wrong,
                },
                None => return,
            },
            Kind::Scalar { text, source } => match self.value(&node.at, path, text, source) {
                Some(value) => match field.take(&value, &node.at) {
                    Ok(()) => return,
                    Err(wrong) => wrong,
                },
                None => return,
            },
        };
        let path = if path.is_empty() { "configuration" } else { path };
        self.note(node.at.clone(), path, &wrong);
    }

    /// Fills a list whose entries have parts; says whether it is one.
    fn entries(&mut self, items: &[Node], field: &mut dyn Field, path: &str) -> bool {
        for (nth, item) in items.iter().enumerate() {
            let Some(entry) = field.entry(&item.at) else { return false };
            self.fill(item, entry, &format!("{path}[{}]", nth + 1));
        }
        !items.is_empty()
    }

    /// The texts of a list; `None` when one is no text, which is noted.
    fn items(&mut self, items: &[Node], path: &str) -> Option<Vec<(String, Source)>> {
        let mut texts = Vec::new();
        for item in items {
            let Kind::Scalar { text, source } = &item.kind else {
                self.note(item.at.clone(), path, "wants texts in its list");
                return None;
            };
            texts.push((self.value(&item.at, path, text, source)?.trim().to_owned(), item.at.clone()));
        }
        Some(texts)
    }

    /// The scalar with its references replaced; mistakes in them point at each reference.
    fn value(&mut self, at: &Source, path: &str, text: &str, source: &str) -> Option<String> {
        substitute(text, self.variables)
            .map_err(|wrong| {
                for bad in wrong {
                    let at = within(at, source, &bad.reference);
                    self.note(at, path, &format!("{} {}", quoted(&bad.reference), bad.text));
                }
            })
            .ok()
    }

    fn note(&mut self, at: Source, path: &str, wrong: &str) {
        self.mistakes.push(Mistake::new(at, say(path, wrong)));
    }
}

/// What an entry of a mapping is about: `upstream` with keys of its own is short for `upstreams.default`.
fn child<'f>(
    field: &'f mut dyn Field,
    path: &str,
    entry: &Entry,
) -> (String, Result<&'f mut dyn Field, String>) {
    let is_map = matches!(entry.value.kind, Kind::Map(_));
    if is_map && path.is_empty() && entry.key == "upstream" {
        let all = field.child("upstreams", &entry.at);
        return ("upstreams.default".to_owned(), all.and_then(|all| all.child("default", &entry.at)));
    }
    (join(path, &entry.key), field.child(&entry.key, &entry.at))
}

/// Where `part` stands in the source of a scalar that begins at `at`.
fn within(at: &Source, source: &str, part: &str) -> Source {
    let (Source::File { line, column }, Some(offset)) = (at, source.find(part)) else { return at.clone() };
    let before = &source[..offset];
    match before.rsplit_once('\n') {
        None => Source::File { line: *line, column: column + before.chars().count() },
        Some((_, last)) => {
            Source::File { line: line + before.matches('\n').count(), column: last.chars().count() + 1 }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn say(path: &str, wrong: &str) -> String {
    if path.is_empty() { wrong.to_owned() } else { format!("`{path}`: {wrong}") }
}

/// Takes every `--set path=value`.
pub fn from_arguments(sets: &[String], raw: &mut Raw, mistakes: &mut Vec<Mistake>) {
    for set in sets {
        let Some((path, value)) = set.split_once('=') else {
            let text = "lacks a value; write `--set path=value`, as in `--set batch.bytes=2MiB`";
            mistakes.push(Mistake::new(Source::Set(set.clone()), text));
            continue;
        };
        let from = Source::Set(path.to_owned());
        if let Err(wrong) = put(raw, path, value, &from) {
            mistakes.push(Mistake::new(from, wrong));
        }
    }
}

/// Gives the leaf at a dotted path a value.
fn put(field: &mut dyn Field, path: &str, value: &str, from: &Source) -> Result<(), String> {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) if !field.keys_have_dots() => (key, Some(rest)),
        _ => (path, None),
    };
    let child = field.child(key, from)?;
    match rest {
        Some(rest) => put(child, rest, value, from),
        None => child.take(value, from),
    }
}

/// The variable that stands for a path.
pub fn variable_of(path: &[String]) -> String {
    let name: Vec<String> = path.iter().map(|part| part.to_uppercase().replace(['-', '.'], "_")).collect();
    format!("{PREFIX}{}", name.join("_"))
}

/// Takes every `SPANDREL_*` variable. One that means nothing is a mistake: it was meant.
pub fn from_variables(variables: &Variables, raw: &mut Raw, mistakes: &mut Vec<Mistake>) {
    let fixed = names(&Raw::default());
    let of_upstream = names(&Upstream::default());
    for name in variables.unreadable.iter().filter(|name| name.starts_with(PREFIX)) {
        mistakes.push(Mistake::new(Source::Variable(name.clone()), "is not UTF-8"));
    }
    let ours = variables
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && *name != CONFIG_VARIABLE && !is_service_link(name));
    for (name, value) in ours {
        let from = Source::Variable(name.to_owned());
        let taken = match path_of(name, &fixed, &of_upstream, raw) {
            Some(path) => put(raw, &path, value, &from),
            None => Err(format!("unknown variable{}", hint(name, &fixed, &of_upstream))),
        };
        if let Err(wrong) = taken {
            mistakes.push(Mistake::new(from, wrong));
        }
    }
}

/// Each leaf's and map's variable and dotted path.
fn names(table: &dyn Field) -> Vec<(String, String)> {
    let mut names = Vec::new();
    table.walk(Row { path: &[], doc: &[] }, &mut |row, seen| {
        let is_group = matches!(seen, Seen::Group) || row.path.join(".") == "upstreams";
        if !is_group {
            names.push((variable_of(row.path), row.path.join(".")));
        }
    });
    names
}

type Names = [(String, String)];

fn path_of(name: &str, fixed: &Names, of_upstream: &Names, raw: &Raw) -> Option<String> {
    if let Some((_, path)) = fixed.iter().find(|(known, _)| known == name) {
        return Some(path.clone());
    }
    let rest = name.strip_prefix(UPSTREAMS_PREFIX)?;
    // The longest leaf wins: `…_TLS_KEY_FILE` is not an upstream called `tls_key` with a `file`.
    let (upstream, leaf) = of_upstream
        .iter()
        .filter_map(|(known, path)| {
            let leaf = known.strip_prefix(PREFIX)?;
            let upstream = rest.strip_suffix(leaf)?.strip_suffix('_')?;
            (!upstream.is_empty()).then_some((upstream, path))
        })
        .min_by_key(|(upstream, _)| upstream.len())?;
    let spelled = |known: &str| known.to_uppercase().replace('-', "_") == upstream;
    let known = raw.upstreams.entries.iter().map(|(known, ..)| known).find(|known| spelled(known));
    let upstream = known.cloned().unwrap_or_else(|| upstream.to_lowercase());
    Some(format!("upstreams.{upstream}.{leaf}"))
}

fn hint(name: &str, fixed: &Names, of_upstream: &Names) -> String {
    let upstream =
        name.strip_prefix(UPSTREAMS_PREFIX).and_then(|rest| rest.split('_').next()).unwrap_or("DEFAULT");
    let spelled = of_upstream.iter().filter_map(|(known, _)| {
        Some(format!("{UPSTREAMS_PREFIX}{upstream}_{}", known.strip_prefix(PREFIX)?))
    });
    let known: Vec<String> = fixed.iter().map(|(known, _)| known.clone()).chain(spelled).collect();
    did_you_mean(name, known.iter().map(String::as_str))
}

/// Kubernetes sets `<NAME>_SERVICE_HOST`, `<NAME>_PORT_4317_TCP_ADDR` and the like in every pod for every
/// Service, so a Service called `spandrel` or `spandrel-gateway` writes variables under our prefix.
fn is_service_link(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let is_number = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || parts.last() == Some(&"PORT")
        || parts
            .windows(3)
            .any(|w| w[0] == "PORT" && is_number(&w[1]) && matches!(w[2], "TCP" | "UDP" | "SCTP"))
}
