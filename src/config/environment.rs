//! `environment:` of the file: a text, or a mapping that says how it is found for each resource.
//!
//! The two are one setting: what is given as a text, by whatever layer, takes the place of the whole mapping.

use super::check::Check;
use super::field::{Field, Pairs, Row, Seen, Slot, below, unknown};
use super::source::Source;
use crate::rules::labels::Namespaces;
use crate::rules::readable_header;

const KEYS: [&str; 3] = ["header", "by_namespace", "else"];

/// Where the environment of a resource comes from, in this order.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The request's.
    pub header: Slot<Option<String>>,
    pub by_namespace: Pairs,
    /// What holds where nothing above says anything.
    pub own: Slot<Option<String>>,
}

impl Default for Environment {
    fn default() -> Self {
        Self { header: Slot::new("", None), by_namespace: Pairs::default(), own: Slot::new("", None) }
    }
}

impl Environment {
    fn is_plain(&self) -> bool {
        self.header.value.is_none() && self.by_namespace.entries.is_empty()
    }

    /// Whether anything can be written.
    pub fn is_some(&self) -> bool {
        self.own.value.is_some() || !self.is_plain()
    }
}

impl Field for Environment {
    fn child(&mut self, key: &str, _: &Source) -> Result<&mut dyn Field, String> {
        match key {
            "header" => Ok(&mut self.header),
            "by_namespace" => Ok(&mut self.by_namespace),
            "else" => Ok(&mut self.own),
            _ => Err(unknown(key, &KEYS)),
        }
    }

    fn take(&mut self, text: &str, from: &Source) -> Result<(), String> {
        *self = Self::default();
        self.own.take(text, from)
    }

    fn walk(&self, row: Row<'_>, see: &mut dyn FnMut(Row<'_>, Seen<'_>)) {
        let (plain, path) = (self.is_plain(), |key| below(row.path, key));
        let absent = Slot::<Option<String>>::new("", None);
        if plain {
            self.own.walk(row, see);
        }
        let doc = &[
            "The header of a request that names its environment, like `x-environment`. Whoever may send may name any.",
        ];
        self.header.walk(Row { path: &path("header"), doc }, see);
        let doc = &[
            "Environments by Kubernetes namespace, as in `{payments-prod: production, \"*-staging\": staging}`; a `*`",
            "stands for any text, and the first that fits holds, whole names before others. It is the resource's own",
            "`k8s.namespace.name`, else that of Spandrel's own pod: in `OTEL_RESOURCE_ATTRIBUTES`, in `POD_NAMESPACE`,",
            "or in the files of its service account.",
        ];
        self.by_namespace.walk(Row { path: &path("by_namespace"), doc }, see);
        let doc =
            &["The environment where neither of these says one: what `environment: text` is short for."];
        let own = if plain { &absent } else { &self.own };
        own.walk(Row { path: &path("else"), doc }, see);
    }
}

impl Check<'_> {
    /// The header that names a request's environment.
    pub(super) fn environment_header(&mut self, environment: &Environment) -> Option<std::sync::Arc<str>> {
        let Slot { value, from, .. } = &environment.header;
        let name = value.as_deref()?;
        match readable_header(name) {
            Ok(name) => Some(name),
            Err(wrong) => {
                self.note(from, format!("`environment.header`: {wrong}"));
                None
            }
        }
    }

    /// Environments by namespace.
    pub(super) fn namespaces(&self, environment: &Environment) -> Namespaces {
        let entries = environment.by_namespace.entries.iter();
        let pairs = entries.map(|(pattern, slot)| (pattern.clone(), slot.value.clone()));
        // An empty one comes of a file that says nothing for now.
        let patterns: Vec<_> = pairs.filter(|(_, environment)| !environment.is_empty()).collect();
        let own = if patterns.is_empty() { None } else { self.surroundings.namespace() };
        Namespaces::new(patterns, own)
    }
}
