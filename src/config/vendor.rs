//! A vendor's dialect: `upstreams.default` is the vendor's server, and what its SDKs are told by variables we are
//! told too. Read from `interactiveai` 1.1.9 and `langfuse` 5.0.4.
//!
//! Like an SDK, and unlike the exporters' variables, this begins with the address of the server, to which the
//! path of its OTLP endpoint is added. Upstreams of other names are plain OTLP. The surprise: the address a
//! service's SDK is given often is ours, and then the self-loop check refuses to start, as it should.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};

use super::check::Check;
use super::mistake::{Mistake, quoted};
use super::raw::{Keys, Raw, Upstream};
use super::source::Source;
use super::surroundings::Variables;
use super::words::{Compression, Protocol};
use crate::semantics::Dialect;
use crate::wire::Signal;

/// The upstream that is the vendor's.
pub const UPSTREAM: &str = "default";
/// Where its server takes OTLP.
const API: &str = "/api/public/otel";
/// What is written as the release; `service.version` is shown as the version of every observation.
const RELEASE_KEY: &str = "langfuse.release";

/// A vendor as its SDK knows it.
struct Vendor {
    name: &'static str,
    /// How its variables begin.
    prefix: &'static str,
    /// Where its SDK sends when it is not told.
    home: &'static str,
}

fn of(dialect: Dialect) -> Option<Vendor> {
    let name = dialect.name();
    match dialect {
        Dialect::Otel => None,
        Dialect::Langfuse => Some(Vendor { name, prefix: "LANGFUSE_", home: "https://cloud.langfuse.com" }),
        Dialect::InteractiveAi => {
            Some(Vendor { name, prefix: "INTERACTIVEAI_", home: "https://app.interactive.ai" })
        }
    }
}

/// Makes the vendor's server an upstream where nobody named one, and takes the keys its SDK would.
pub fn fill(raw: &mut Raw, variables: &Variables) {
    let Some(vendor) = of(raw.dialect.value) else { return };
    let get = |name: &str| {
        let name = format!("{}{name}", vendor.prefix);
        Some((variables.get(&name)?.trim().to_owned(), Source::Borrowed(name)))
    };
    for (slot, name) in [(&mut raw.keys.public, "PUBLIC_KEY"), (&mut raw.keys.secret, "SECRET_KEY")] {
        if let (None, Some((value, from))) = (&slot.value, get(name)) {
            slot.put(Some(value), from);
        }
    }
    if raw.release_key.from == Source::Default {
        raw.release_key.put(RELEASE_KEY.to_owned(), derived(&vendor));
    }
    if raw.upstream.from != Source::Default {
        return;
    }
    let home =
        || (vendor.home.to_owned(), Source::Derived(format!("where the SDK of {} sends", vendor.name)));
    let (base, from) = get("BASE_URL").or_else(|| get("HOST")).unwrap_or_else(home);
    let endpoint = &mut raw.upstreams.entry(UPSTREAM, &from).endpoint;
    if endpoint.from == Source::Default {
        endpoint.put(Some(base), from);
    }
}

/// What its server takes and what not, once the upstreams are settled.
pub fn complete(raw: &mut Raw, variables: &Variables, mistakes: &mut Vec<Mistake>) {
    let Some(vendor) = of(raw.dialect.value) else { return };
    let mut entries = raw.upstreams.entries.iter_mut();
    let Some((.., upstream)) = entries.find(|(name, ..)| name == UPSTREAM) else { return };
    lead_to_the_api(upstream, variables.get(&format!("{}OTEL_TRACES_EXPORT_PATH", vendor.prefix)));
    let mut wrong = |from: &Source, leaf: &str, what: &str| {
        let text = format!("`upstreams.{UPSTREAM}.{leaf}`: {} takes {what}", vendor.name);
        mistakes.push(Mistake::new(from.clone(), text));
    };
    let Upstream { protocol, compression, signals, .. } = upstream;
    match protocol.value {
        None => protocol.put(Some(Protocol::HttpProtobuf), derived(&vendor)),
        Some(Protocol::Grpc) => wrong(&protocol.from, "protocol", "no gRPC; leave `protocol` out"),
        Some(Protocol::HttpProtobuf | Protocol::HttpJson) => {}
    }
    if compression.value == Compression::Zstd {
        wrong(&compression.from, "compression", "gzip alone; leave `compression` out");
    }
    if signals.from == Source::Default {
        signals.put([Signal::Traces].into_iter().collect(), derived(&vendor));
    }
}

fn derived(vendor: &Vendor) -> Source {
    Source::Derived(format!("the dialect {}", vendor.name))
}

/// Makes the server's address the endpoint's. Who wrote the endpoint's own wrote the same.
fn lead_to_the_api(upstream: &mut Upstream, path: Option<&str>) {
    let Some(url) = upstream.endpoint.value.as_deref().filter(|_| !upstream.exact.value) else { return };
    let scheme = if url.contains("://") { "" } else { "http://" };
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(Signal::Traces.http_path()).unwrap_or(base);
    let base = format!("{scheme}{}", base.strip_suffix(API).unwrap_or(base));
    let from = upstream.endpoint.from.clone();
    let usual = format!("{API}{}", Signal::Traces.http_path());
    match path.map(|path| path.trim_matches('/')).filter(|path| *path != usual.trim_matches('/')) {
        Some(path) => {
            upstream.endpoint.put(Some(format!("{base}/{path}")), from.clone());
            upstream.exact.put(true, from);
        }
        None => upstream.endpoint.put(Some(format!("{base}{API}")), from),
    }
}

/// The address of the server that has this endpoint.
pub fn base(endpoint: &Uri, exact: bool) -> Option<Uri> {
    let (scheme, authority) = (endpoint.scheme()?.clone(), endpoint.authority()?.clone());
    let path = endpoint.path().trim_end_matches('/');
    let path = path.strip_suffix(Signal::Traces.http_path()).unwrap_or(path);
    let prefix = path.strip_suffix(API).unwrap_or(if exact { "" } else { path });
    Uri::builder().scheme(scheme).authority(authority).path_and_query(format!("{prefix}/")).build().ok()
}

/// Credentials for all are configured as a header.
fn has_authorization(raw: &Raw) -> bool {
    let vendors = raw.upstreams.entries.iter().filter(|(name, ..)| name == UPSTREAM);
    let mut headers = vendors.flat_map(|(.., upstream)| &upstream.headers.entries);
    headers.any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
}

impl Check<'_> {
    /// `authorization` of the project whose keys are given.
    pub(super) fn keys(&mut self, raw: &Raw) -> Option<HeaderValue> {
        let Keys { public, secret } = &raw.keys;
        let Some(vendor) = of(raw.dialect.value) else {
            for (leaf, slot) in [("public", public), ("secret", secret)] {
                if slot.value.is_some() {
                    let hint = "set `dialect` to the vendor whose keys they are";
                    self.note(&slot.from, format!("`keys.{leaf}`: the dialect `otel` has no keys; {hint}"));
                }
            }
            return None;
        };
        let (public, secret) = match (&public.value, &secret.value) {
            (Some(public), Some(secret)) => (public, secret),
            (None, None) => {
                if !has_authorization(raw) {
                    let names = format!("`keys`, or {0}PUBLIC_KEY and {0}SECRET_KEY", vendor.prefix);
                    self.notes.push(format!("only callers with keys of their own get through: give {names}"));
                }
                return None;
            }
            (Some(_), None) => {
                let text =
                    format!("`keys.public` needs a `keys.secret` beside it, or {}SECRET_KEY", vendor.prefix);
                self.note(&public.from, text);
                return None;
            }
            (None, Some(_)) => {
                let text =
                    format!("`keys.secret` needs a `keys.public` beside it, or {}PUBLIC_KEY", vendor.prefix);
                self.note(&secret.from, text);
                return None;
            }
        };
        if public.contains(':') {
            let text = format!("`keys.public`: {} has a colon, which no public key has", quoted(public));
            self.note(&raw.keys.public.from, text);
        }
        let mut value =
            HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(format!("{public}:{secret}"))))
                .ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Plan, Surroundings, load_text};
    use super::*;

    fn surroundings(variables: Variables) -> Surroundings {
        Surroundings {
            variables,
            root: "nowhere".into(),
            resolve: |_| Vec::new(),
            is_ours: |address| address.is_loopback(),
        }
    }

    fn load<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Result<Plan, String> {
        let loaded = load_text(text, &surroundings(variables.into())).map_err(|wrong| wrong.to_string())?;
        // What is printed is the same configuration.
        let again = load_text(&loaded.print(), &surroundings(variables.into())).unwrap();
        assert_eq!(again.plan.upstreams[0].endpoint, loaded.plan.upstreams[0].endpoint);
        assert_eq!(again.plan.upstreams[0].base, loaded.plan.upstreams[0].base);
        Ok(loaded.plan)
    }

    #[track_caller]
    fn goes_to<const N: usize>(text: &str, variables: [(&str, &str); N], endpoint: &str, base: &str) {
        let plan = load(text, variables).unwrap();
        let upstream = &plan.upstreams[0];
        assert_eq!(upstream.endpoint.to_string(), endpoint);
        assert_eq!(upstream.base.as_ref().map(Uri::to_string).as_deref(), Some(base));
        assert_eq!(upstream.protocol, crate::export::Protocol::HttpProtobuf);
        assert_eq!(upstream.signals.names(","), "traces");
    }

    const KEYS: [(&str, &str); 2] = [("LANGFUSE_PUBLIC_KEY", "pk-1"), ("LANGFUSE_SECRET_KEY", "sk-2")];

    #[test]
    fn a_dialect_and_the_sdks_variables_are_a_whole_configuration() {
        let plan = load("dialect: langfuse", KEYS).unwrap();
        let [upstream] = &plan.upstreams[..] else { panic!("{:?}", plan.upstreams) };
        assert_eq!(upstream.endpoint, "https://cloud.langfuse.com/api/public/otel");
        assert_eq!(upstream.lent.as_ref().unwrap(), "Basic cGstMTpzay0y");
        assert_eq!(upstream.compression, crate::export::Compression::Gzip);
        assert!(upstream.request_max < 5_000_000);
        assert_eq!((plan.labels.dialect, &*plan.labels.release_key), (Dialect::Langfuse, "langfuse.release"));
        let plan = load("dialect: interactiveai", KEYS).unwrap();
        assert_eq!(plan.upstreams[0].endpoint, "https://app.interactive.ai/api/public/otel");
        assert_eq!(plan.upstreams[0].lent, None, "another vendor's keys");
        assert!(plan.notes.iter().any(|note| note.contains("INTERACTIVEAI_SECRET_KEY")), "{:?}", plan.notes);
    }

    #[test]
    fn the_address_is_the_configurations_the_variables_or_the_sdks() {
        let [base, host] =
            [("LANGFUSE_BASE_URL", "https://b.example/"), ("LANGFUSE_HOST", "http://h.example")];
        let otel = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        goes_to(
            "dialect: langfuse",
            [base, host, otel],
            "https://b.example/api/public/otel",
            "https://b.example/",
        );
        goes_to("dialect: langfuse", [host], "http://h.example/api/public/otel", "http://h.example/");
        let check = |upstream: &str, endpoint: &str, own_base: &str| {
            let text = format!("dialect: langfuse\nupstream: {upstream}\n");
            goes_to(&text, [base], endpoint, own_base);
        };
        let own = "https://own.example/lf/api/public/otel";
        for written in ["", "/", "/api/public/otel", "/api/public/otel/v1/traces"] {
            check(&format!("https://own.example/lf{written}"), own, "https://own.example/lf/");
        }
        check("own.example", "http://own.example/api/public/otel", "http://own.example/");
        let named = "dialect: langfuse\nupstreams: {default: {parallel: 2}}\n";
        goes_to(named, [base], "https://b.example/api/public/otel", "https://b.example/");
    }

    #[test]
    fn the_vendors_own_variables_say_environment_and_release_first() {
        let said = |dialect: &str| {
            let variables = [
                ("INTERACTIVEAI_TRACING_ENVIRONMENT", "i"),
                ("LANGFUSE_TRACING_ENVIRONMENT", "l"),
                ("INTERACTIVEAI_RELEASE", "1"),
                ("LANGFUSE_RELEASE", "2"),
                ("GITHUB_SHA", "3"),
            ];
            let labels =
                load(&format!("dialect: {dialect}\nupstream: http://h\n"), variables).unwrap().labels;
            (labels.environment.unwrap(), labels.release.unwrap())
        };
        assert_eq!(said("langfuse"), ("l".to_owned(), "2".to_owned()));
        assert_eq!(said("interactiveai"), ("i".to_owned(), "1".to_owned()));
        assert_eq!(said("otel"), ("i".to_owned(), "1".to_owned()));
    }

    #[test]
    fn spans_may_have_a_path_of_their_own() {
        let base = ("LANGFUSE_BASE_URL", "https://b.example");
        let path = |path| [base, ("LANGFUSE_OTEL_TRACES_EXPORT_PATH", path)];
        let own = "https://b.example/in/spans";
        goes_to("dialect: langfuse", path("in/spans"), own, "https://b.example/");
        assert_eq!(
            load("dialect: langfuse", path("/in/spans")).unwrap().receive.traces_at.unwrap(),
            "/in/spans"
        );
        let usual = "https://b.example/api/public/otel";
        goes_to("dialect: langfuse", path("/api/public/otel/v1/traces"), usual, "https://b.example/");
    }

    #[test]
    fn evaluations_become_scores_where_that_is_asked_for() {
        assert_eq!(load("dialect: langfuse", KEYS).unwrap().scores, None);
        let on = "scores: {evaluations: true}\n";
        let plan = load(&format!("dialect: interactiveai\n{on}"), KEYS).unwrap();
        assert_eq!(plan.scores, Some(Dialect::InteractiveAi));
        assert!(plan.join.unwrap().evaluations && plan.receive.evaluations && plan.receive.notes);
        let check = |text: &str, expect: &str| {
            let wrong = load(&format!("{text}\n{on}"), KEYS).unwrap_err();
            assert!(wrong.contains(expect), "{wrong}");
        };
        check("upstream: http://h", "the dialect `otel` has no scores; set `dialect`");
        check("dialect: langfuse\njoin: {logs: off}", "`scores.evaluations` needs log records");
        check("dialect: langfuse\njoin: {scope: off}", "leave `join.logs` and `join.scope` out");
    }

    #[test]
    fn other_upstreams_are_plain_and_take_the_rest() {
        let text = "dialect: langfuse\nupstreams: {rest: {endpoint: 'http://collector:4317'}}\n";
        let plan = load(text, KEYS).unwrap();
        let names: Vec<_> =
            plan.upstreams.iter().map(|u| (&*u.name, u.base.is_some(), u.lent.is_some())).collect();
        assert_eq!(names, [("rest", false, false), ("default", true, true)]);
        assert!(plan.receive.signals.has(Signal::Logs));
        let alone = load("dialect: langfuse", KEYS).unwrap();
        assert!(!alone.receive.signals.has(Signal::Logs));
        let none = load_text("dialect: langfuse\nupstream: ''\n", &surroundings(KEYS.into())).unwrap();
        assert!(none.plan.upstreams.is_empty(), "emptied on purpose");
        let otel = load_text("", &surroundings(KEYS.into())).unwrap();
        assert!(otel.plan.upstreams.is_empty(), "the dialect is asked for, never guessed");
    }

    #[test]
    fn what_can_not_work_is_said() {
        let check = |text: &str, expect: &str| {
            let wrong = load(text, [("LANGFUSE_BASE_URL", "http://127.0.0.1:4318")]).unwrap_err();
            assert!(wrong.contains(expect), "{wrong}");
            assert!(!wrong.contains("hush"), "{wrong}");
        };
        check("dialect: langfuse", "leads back to us: we listen on 127.0.0.1:4318");
        let to = "dialect: langfuse\nupstreams: {default: {endpoint: 'https://a.example'";
        check(&format!("{to}, protocol: grpc}}}}"), "langfuse takes no gRPC; leave `protocol` out");
        check(&format!("{to}, compression: zstd}}}}"), "langfuse takes gzip alone");
        check("keys: {public: a, secret: hush}", "the dialect `otel` has no keys; set `dialect`");
        let half = "dialect: langfuse\nupstream: https://a.example\nkeys: {secret: hush}\n";
        check(half, "`keys.secret` needs a `keys.public` beside it, or LANGFUSE_PUBLIC_KEY");
        check("dialect: langfus", "did you mean `langfuse`?");
    }
}
