//! Environment, release and static attributes, written on every resource that lacks them.
//!
//! A label's value is, in this order: what the resource says already (in any convention we read),
//! what the joined trace's root says, what the configuration says. A resource's own word is never
//! overwritten unless `enforce` is set, and then only by the configuration's. The configuration may leave the
//! environment to a header of the request, or to the Kubernetes namespace.

use std::sync::Arc;

use crate::model::Caller;
use crate::semantics::{Dialect, RESOURCE_ATTRIBUTES as ATTRIBUTES, environment, said};
use crate::wire::attr::{self, Value};
use crate::wire::splice::{self, Edit};

/// `deployment.environment.name`: OpenTelemetry semantic conventions 1.27 and later.
const ENVIRONMENT: &str = "deployment.environment.name";
/// Its deprecated name.
const ENVIRONMENT_OLD: &str = "deployment.environment";
/// Of the pod that a resource is in.
const NAMESPACE: &[u8] = b"k8s.namespace.name";
/// What Langfuse's and InteractiveAI's SDKs write: read always, written where the dialect has a server that
/// reads it.
const VENDOR_ENVIRONMENT: &str = "langfuse.environment";
const VENDOR_RELEASE: &str = "langfuse.release";

/// What to write. Empty strings are never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where neither `environment_header` nor `namespaces` say one.
    pub environment: Option<String>,
    /// In lower case.
    pub environment_header: Option<Arc<str>>,
    pub namespaces: Namespaces,
    pub release: Option<String>,
    /// The attribute the release is written as.
    pub release_key: String,
    /// Also write the deprecated `deployment.environment`.
    pub legacy_environment: bool,
    /// Further static resource attributes.
    pub resource: Vec<(String, String)>,
    /// Overwrite what resources say themselves.
    pub enforce: bool,
    /// What the upstream reads beyond OTLP.
    pub dialect: Dialect,
    /// Also write what a resource says in another convention's words. A sidecar does not: the gateway behind
    /// it knows what its backend reads, and would take the translation for the resource's own word.
    pub translate: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: None,
            environment_header: None,
            namespaces: Namespaces::default(),
            release: None,
            release_key: "service.version".to_owned(),
            legacy_environment: false,
            resource: Vec::new(),
            enforce: false,
            dialect: Dialect::Otel,
            translate: true,
        }
    }
}

/// What a trace says of itself, for the resources in it that say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known<'a> {
    pub environment: Option<&'a str>,
    pub release: Option<&'a str>,
    /// What the request says of the environment in the header that is configured for it.
    pub header: Option<&'a str>,
}

/// Environments by Kubernetes namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// A name, or a pattern in which `*` is any text, and what it stands for.
    patterns: Vec<(String, String)>,
    /// The environment of our own namespace.
    own: Option<String>,
}

impl Namespaces {
    /// `own` is our own pod's namespace.
    pub fn new(mut patterns: Vec<(String, String)>, own: Option<String>) -> Self {
        // Whole names first.
        patterns.sort_by_key(|(pattern, _)| pattern.contains('*'));
        let mut all = Self { patterns, own: None };
        all.own = own.and_then(|own| all.of(&own).map(str::to_owned));
        all
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn of(&self, namespace: &str) -> Option<&str> {
        let found = self.patterns.iter().find(|(pattern, _)| fits(pattern, namespace));
        found.map(|(_, environment)| environment.as_str())
    }

    /// The environment of a resource.
    fn environment(&self, resource: &[u8]) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        match text(attr::find(resource, ATTRIBUTES, NAMESPACE)) {
            Some(namespace) => self.of(namespace),
            None => self.own.as_deref(),
        }
    }
}

/// Whether `*` can be any text such that both are the same.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(before) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

impl Settings {
    /// What a caller says of the environment.
    pub fn asked_of<'c>(&self, caller: Option<&'c Caller>) -> Option<&'c str> {
        caller?.header(self.environment_header.as_deref()?).filter(|value| !value.is_empty())
    }

    /// The environment of what has no resource of its own: what our own would be labelled with.
    pub fn own_environment(&self) -> Option<&str> {
        self.namespaces.own.as_deref().or(self.environment.as_deref())
    }

    /// The Resource message `resource` with its labels, its keys unique, and all else bit for bit.
    pub fn apply(&self, resource: &[u8], known: Known<'_>) -> Vec<u8> {
        let by_namespace = || self.namespaces.environment(resource);
        let configured = known.header.or_else(by_namespace).or(self.environment.as_deref());
        let environment = self.value(environment::of(&[], resource), known.environment, configured);
        let own_release = text(attr::find(resource, ATTRIBUTES, self.release_key.as_bytes()))
            .or_else(|| said(&[VENDOR_RELEASE], resource, ATTRIBUTES)[0]);
        let release = self.value(own_release, known.release, self.release.as_deref());

        let vendors = self.dialect.reads_langfuse();
        let normal =
            environment.filter(|_| vendors).map(|(value, overwrite)| (environment::normal(value), overwrite));

        let mut edits = Vec::with_capacity(5 + self.resource.len());
        if let Some((value, overwrite)) = environment {
            edits.push(Edit { key: ENVIRONMENT, value: Value::Str(value), overwrite });
            if self.legacy_environment {
                edits.push(Edit { key: ENVIRONMENT_OLD, value: Value::Str(value), overwrite });
            }
        }
        if let Some((value, overwrite)) = release {
            edits.push(Edit { key: &self.release_key, value: Value::Str(value), overwrite });
            if vendors && self.release_key != VENDOR_RELEASE {
                edits.push(Edit { key: VENDOR_RELEASE, value: Value::Str(value), overwrite });
            }
        }
        if let Some((value, overwrite)) = &normal {
            let (value, overwrite) = (Value::Str(value.as_bytes()), *overwrite);
            edits.push(Edit { key: VENDOR_ENVIRONMENT, value, overwrite });
        }
        edits.extend(self.resource.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| Edit {
            key,
            value: Value::Str(value.as_bytes()),
            overwrite: self.enforce,
        }));
        // An empty string says nothing: it is no word to be kept, and must not keep the label out.
        let is_blank = |edit: &Edit<'_>| {
            matches!(attr::find(resource, ATTRIBUTES, edit.key.as_bytes()), Some(Value::Str(b"")))
        };
        edits.iter_mut().for_each(|edit| edit.overwrite |= is_blank(edit));
        splice::attributes(resource, ATTRIBUTES, &edits)
    }

    /// The value to write, and whether it replaces one that is there.
    fn value<'a>(
        &self,
        own: Option<&'a str>,
        known: Option<&'a str>,
        configured: Option<&'a str>,
    ) -> Option<(&'a [u8], bool)> {
        let configured = configured.filter(|value| !value.is_empty());
        let value = match configured {
            Some(value) if self.enforce => value,
            _ if own.is_some() && !self.translate => return None,
            _ => own.or(known).or(configured).filter(|value| !value.is_empty())?,
        };
        Some((value.as_bytes(), self.enforce && configured.is_some()))
    }
}

fn text(value: Option<Value<'_>>) -> Option<&str> {
    match value? {
        Value::Str(bytes) => std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;

    use super::*;

    fn resource(attributes: &[(&str, &str)]) -> Vec<u8> {
        let attributes = attributes
            .iter()
            .map(|(key, value)| KeyValue {
                key: (*key).to_owned(),
                value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
                ..KeyValue::default()
            })
            .collect();
        Resource { attributes, ..Resource::default() }.encode_to_vec()
    }

    fn read(bytes: &[u8]) -> Vec<(String, String)> {
        let text = |v: Option<AnyValue>| match v.and_then(|v| v.value) {
            Some(any_value::Value::StringValue(text)) => text,
            other => panic!("not text: {other:?}"),
        };
        let resource = Resource::decode(bytes).unwrap();
        resource.attributes.into_iter().map(|a| (a.key, text(a.value))).collect()
    }

    fn settings() -> Settings {
        Settings { environment: Some("staging".into()), release: Some("r1".into()), ..Settings::default() }
    }

    #[track_caller]
    fn check(settings: &Settings, known: Known<'_>, input: &[(&str, &str)], expect: &[(&str, &str)]) {
        let expect: Vec<_> = expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(read(&settings.apply(&resource(input), known)), expect);
    }

    #[test]
    fn the_environment_is_the_headers_else_the_namespaces_else_what_is_configured() {
        let patterns = [("*-prod", "any"), ("pay-prod", "production"), ("qa-*-eu*", "qa")];
        let patterns = || patterns.map(|(pattern, name)| (pattern.to_owned(), name.to_owned())).to_vec();
        let of = |own: Option<&str>| Settings {
            namespaces: Namespaces::new(patterns(), own.map(str::to_owned)),
            environment: Some("else".into()),
            ..Settings::default()
        };
        let check = |own, namespace: &str, known, expect: &str| {
            let input: &[_] = if namespace.is_empty() { &[] } else { &[("k8s.namespace.name", namespace)] };
            let labelled = read(&of(own).apply(&resource(input), known));
            assert_eq!(labelled.last().unwrap().1, expect, "{namespace}");
        };
        let nothing = Known::default();
        check(None, "pay-prod", nothing, "production");
        check(None, "cart-prod", nothing, "any");
        check(None, "qa-1-eu-2", nothing, "qa");
        check(Some("pay-prod"), "qa-1-us", nothing, "else");
        check(Some("pay-prod"), "", nothing, "production");
        check(None, "", nothing, "else");
        check(None, "pay-prod", Known { header: Some("blue"), ..nothing }, "blue");
        check(None, "pay-prod", Known { environment: Some("root"), header: Some("blue"), ..nothing }, "root");
    }

    #[test]
    fn a_silent_resource_gets_the_configured_labels() {
        check(
            &settings(),
            Known::default(),
            &[("service.name", "a")],
            &[("service.name", "a"), (ENVIRONMENT, "staging"), ("service.version", "r1")],
        );
    }

    #[test]
    fn the_root_speaks_before_the_configuration() {
        let known = Known { environment: Some("production"), release: Some("r9"), ..Known::default() };
        check(&settings(), known, &[], &[(ENVIRONMENT, "production"), ("service.version", "r9")]);
    }

    #[test]
    fn a_resource_keeps_its_own_word() {
        let known = Known { environment: Some("production"), release: Some("r9"), ..Known::default() };
        let own = [(ENVIRONMENT, "dev"), ("service.version", "7")];
        check(&settings(), known, &own, &own);
    }

    #[test]
    fn the_old_name_is_read_and_written_on_request() {
        let both = [(ENVIRONMENT_OLD, "dev"), (ENVIRONMENT, "dev")];
        check(&Settings::default(), Known::default(), &both[..1], &both);
        let legacy =
            Settings { legacy_environment: true, environment: Some("qa".into()), ..Settings::default() };
        check(&legacy, Known::default(), &[], &[(ENVIRONMENT, "qa"), (ENVIRONMENT_OLD, "qa")]);
    }

    #[test]
    fn a_sidecar_leaves_a_word_in_another_convention_to_the_gateway() {
        let sidecar = Settings { translate: false, ..settings() };
        let own = [("langfuse.release", "7"), (ENVIRONMENT_OLD, "dev")];
        check(&sidecar, Known::default(), &own, &own);
        check(&sidecar, Known::default(), &[], &[(ENVIRONMENT, "staging"), ("service.version", "r1")]);
    }

    #[test]
    fn enforce_lets_the_configuration_win() {
        let enforce = Settings { enforce: true, release: None, ..settings() };
        let own = [(ENVIRONMENT, "dev"), ("service.version", "7")];
        check(&enforce, Known::default(), &own, &[("service.version", "7"), (ENVIRONMENT, "staging")]);
    }

    #[test]
    fn a_vendors_dialect_writes_what_its_server_reads_and_otel_does_not() {
        let vendor = Settings {
            dialect: Dialect::Langfuse,
            environment: Some("Langfuse-Staging EU".into()),
            release_key: VENDOR_RELEASE.into(),
            ..settings()
        };
        let (label, default) = ((ENVIRONMENT, "Langfuse-Staging EU"), (VENDOR_ENVIRONMENT, "default"));
        check(&vendor, Known::default(), &[], &[label, (VENDOR_RELEASE, "r1"), default]);
        // What stands there stands, in whatever form.
        let own = [(VENDOR_ENVIRONMENT, "Production"), (VENDOR_RELEASE, "r2"), ("service.version", "7")];
        let labelled = [own[0], own[1], own[2], (ENVIRONMENT, "Production")];
        check(&vendor, Known::default(), &own, &labelled);
        let otel =
            Settings { dialect: Dialect::Otel, release_key: "service.version".into(), ..vendor.clone() };
        check(&otel, Known::default(), &[], &[label, ("service.version", "r1")]);
        // Other backends beside it may want their own key.
        let both = Settings { release_key: "service.version".into(), ..vendor };
        let written = [label, ("service.version", "r1"), (VENDOR_RELEASE, "r1"), default];
        check(&both, Known::default(), &[], &written);
    }

    #[test]
    fn an_empty_string_is_no_word_to_be_kept() {
        let known = Known { environment: Some("production"), ..Known::default() };
        let labels = [(ENVIRONMENT, "production"), ("service.version", "r1")];
        check(&settings(), known, &[(ENVIRONMENT, ""), ("service.version", "")], &labels);
        let old = [(ENVIRONMENT, ""), (ENVIRONMENT_OLD, "dev"), ("service.version", "7")];
        let mended = [(ENVIRONMENT_OLD, "dev"), ("service.version", "7"), (ENVIRONMENT, "dev")];
        check(&settings(), known, &old, &mended);
        check(&Settings::default(), Known::default(), &[(ENVIRONMENT, "")], &[(ENVIRONMENT, "")]);
    }

    #[test]
    fn static_attributes_fill_gaps_and_the_release_goes_where_it_is_told() {
        let named = Settings {
            release_key: "app.release".into(),
            resource: vec![("team".into(), "payments".into()), ("none".into(), String::new())],
            ..settings()
        };
        check(
            &named,
            Known::default(),
            &[("team", "own"), ("service.version", "7")],
            &[("team", "own"), ("service.version", "7"), (ENVIRONMENT, "staging"), ("app.release", "r1")],
        );
    }
}
