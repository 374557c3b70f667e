//! The filled table -> a [`Plan`], or what does not fit together in it.

use http::{HeaderName, HeaderValue};

use super::endpoint;
use super::mistake::{Mistake, is_secret, quoted};
use super::raw::{self, Raw, Upstream};
use super::source::Source;
use super::surroundings::Surroundings;
use super::words::{Compression, ListenAt, Protocol, Scope, Size, Word};
use super::{LabelsFrom, Log, Plan};
use crate::receive::Listen;
use crate::{export, join, queue, receive, rules};

/// Connections open at once. An SDK keeps one or two, so this is a thousand processes; each costs
/// tens of kilobytes that the byte budget does not see.
const CONNECTIONS_MAX: usize = 4_096;

/// Headers that belong to the protocol, not to the user.
const OUR_HEADERS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Makes `upstream: …` the endpoint of `upstreams.default`, and drops upstreams without an endpoint.
pub fn settle_upstreams(raw: &mut Raw, mistakes: &mut Vec<Mistake>) {
    let short = raw.upstream.clone();
    if let Some(url) = &short.value {
        let endpoint = &mut raw.upstreams.entry("default", &short.from).endpoint;
        if endpoint.value.is_some() && endpoint.from.rank() == short.from.rank() {
            let text =
                "`upstream` is short for `upstreams.default.endpoint`, which is given too; give one of them";
            mistakes.push(Mistake::new(short.from.clone(), text));
        } else if endpoint.from.rank() <= short.from.rank() {
            endpoint.put(Some(url.clone()), short.from.clone());
        }
    }
    raw.upstream.put(None, Source::Default);
    raw.upstreams.entries.retain(|(name, from, upstream)| {
        let kept = upstream.endpoint.value.is_some();
        // Emptied on purpose, by `upstream: ""` or `--set upstream=`: there is none. Never given: forgotten.
        if !kept && upstream.endpoint.from == Source::Default && short.from == Source::Default {
            let text = format!("`upstreams.{name}` lacks an `endpoint`; write it like `http://gateway:4317`");
            mistakes.push(Mistake::new(from.clone(), text));
        }
        kept
    });
}

/// What a check works with.
pub struct Check<'a> {
    pub file: &'a str,
    pub surroundings: &'a Surroundings,
    pub mistakes: &'a mut Vec<Mistake>,
    pub notes: &'a mut Vec<String>,
}

impl Check<'_> {
    /// Checks everything, whatever was wrong before. The plan is only good without mistakes.
    pub fn plan(&mut self, raw: &mut Raw) -> Plan {
        let listen = self.listen(raw);
        let upstreams = self.upstreams(raw, &listen);
        let memory = raw.memory.value.map_or(0, |size| size.0);
        self.labels(raw);
        Plan {
            receive: receive::Settings {
                listen,
                request_max: self.request_max(raw, memory),
                connections_max: CONNECTIONS_MAX,
                join: raw.join.scope.value != Scope::Off,
            },
            labels: labels(raw),
            labels_from: self.labels_from(raw),
            join: self.join(raw, memory),
            batch: self.batch(raw, memory),
            upstreams,
            memory,
            admin: raw.admin.value.0,
            lanes: raw.lanes.value,
            log: Log { level: raw.log.level.value, format: raw.log.format.value },
            notes: Vec::new(),
        }
    }

    fn note(&mut self, from: &Source, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(from.clone(), text));
    }

    fn listen(&mut self, raw: &Raw) -> Vec<Listen> {
        let raw::Receive { grpc, http, unix, .. } = &raw.receive;
        let mut listen: Vec<Listen> = Vec::new();
        for (path, slot) in [("receive.grpc", grpc), ("receive.http", http)] {
            let ListenAt::At(at) = &slot.value else { continue };
            if is_taken(at, &listen) {
                let text = format!(
                    "`{path}`: {} is listened on already; every listener speaks gRPC and HTTP, so one is enough: write `{path}: off`",
                    show(&slot.value)
                );
                self.note(&slot.from, text);
            }
            listen.push(at.clone());
        }
        listen.extend(unix.value.clone().map(Listen::Unix));
        if listen.is_empty() {
            self.note(&grpc.from, "`receive`: nothing to listen on; give `grpc`, `http` or `unix`");
        }
        if let Some(admin) = raw.admin.value.0
            && is_taken(&Listen::Tcp(admin), &listen)
        {
            let from = if raw.admin.from == Source::Default { &grpc.from } else { &raw.admin.from };
            self.note(from, format!("`admin`: {admin} is listened on for OTLP already"));
        }
        listen
    }

    /// A request larger than all memory could never be taken, and telling its caller to try again later
    /// would be a lie: it is refused for its size instead.
    fn request_max(&mut self, raw: &Raw, memory: usize) -> usize {
        let asked = &raw.receive.max_request;
        if asked.value.0 > memory && asked.from != Source::Default {
            let (asked, memory) = (show(&asked.value), show(&Size(memory)));
            self.notes.push(format!(
                "requests above {memory} are refused: `receive.max_request` {asked} is more than `memory`"
            ));
        }
        asked.value.0.min(memory)
    }

    fn join(&mut self, raw: &Raw, memory: usize) -> Option<join::Settings> {
        let raw::Join { scope, quiet, idle, hold } = &raw.join;
        for (low_name, low, high_name, high) in [("quiet", quiet, "idle", idle), ("idle", idle, "hold", hold)]
        {
            if low.value > high.value {
                let from = if low.from.rank() >= high.from.rank() { &low.from } else { &high.from };
                let text = format!(
                    "`join.{low_name}` {} is longer than `join.{high_name}` {}; a trace would never leave by the former",
                    quoted(&show(&low.value)),
                    quoted(&show(&high.value))
                );
                self.note(from, text);
            }
        }
        let scope = match scope.value {
            Scope::Trace => join::Scope::Trace,
            Scope::Local => join::Scope::Local,
            Scope::Off => return None,
        };
        Some(join::Settings {
            scope,
            quiet: quiet.value,
            idle: idle.value,
            hold: hold.value,
            // The rest is for requests at the edge and batches on their way out.
            held_bytes_max: memory / 4 * 3,
            ..join::Settings::default()
        })
    }

    fn batch(&mut self, raw: &Raw, memory: usize) -> queue::batcher::Settings {
        let bytes = &raw.batch.bytes;
        let least = raw.upstreams.entries.iter().min_by_key(|(_, _, upstream)| upstream.max_request.value.0);
        if let Some((name, _, upstream)) = least
            && bytes.value > upstream.max_request.value
        {
            let from = if bytes.from == Source::Default { &upstream.max_request.from } else { &bytes.from };
            let text = format!(
                "`batch.bytes` {} is more than `upstreams.{name}.max_request` {}; lower the one or raise the other",
                quoted(&show(&bytes.value)),
                quoted(&show(&upstream.max_request.value))
            );
            self.note(from, text);
        }
        if memory != 0 && bytes.value.0 > memory {
            let text = format!("`batch.bytes` {} is more than `memory`", quoted(&show(&bytes.value)));
            self.note(&bytes.from, text);
        }
        queue::batcher::Settings { bytes: bytes.value.0, age: raw.batch.age.value }
    }

    fn upstreams(&mut self, raw: &mut Raw, listen: &[Listen]) -> Vec<export::Settings> {
        let mut upstreams = Vec::new();
        for (name, _, upstream) in &mut raw.upstreams.entries {
            upstreams.extend(self.upstream(name, upstream, listen));
        }
        upstreams
    }

    fn upstream(&mut self, name: &str, raw: &mut Upstream, listen: &[Listen]) -> Option<export::Settings> {
        let path = format!("upstreams.{name}");
        let url = raw.endpoint.value.clone()?;
        let (uri, protocol) = match endpoint::read(&url, raw.protocol.value) {
            Ok(read) => read,
            Err(wrong) => {
                self.note(&raw.endpoint.from, format!("`{path}.endpoint`: {wrong}"));
                return None;
            }
        };
        raw.endpoint.put(Some(uri.to_string().trim_end_matches('/').to_owned()), raw.endpoint.from.clone());
        if raw.protocol.value.is_none() {
            raw.protocol.put(Some(protocol), Source::Derived("from the endpoint".to_owned()));
        }
        if let Some(Listen::Tcp(ours)) = endpoint::leads_to(&uri, listen, self.surroundings) {
            let wrong = format!(
                "{} leads back to us: we listen on {ours}; data would go round for ever",
                quoted(&url)
            );
            self.note(&raw.endpoint.from, format!("`{path}.endpoint`: {wrong}"));
        }
        if protocol == Protocol::Grpc && !matches!(uri.path(), "" | "/") {
            let wrong = format!(
                "{} has a path, which gRPC has no use for; did you mean `protocol: http/protobuf`?",
                quoted(&url)
            );
            self.note(&raw.endpoint.from, format!("`{path}.endpoint`: {wrong}"));
        }
        self.tls(&path, &raw.tls, uri.scheme_str() == Some("https"));
        self.retry(&path, &raw.retry);
        Some(export::Settings {
            name: name.to_owned(),
            endpoint: uri,
            protocol: match protocol {
                Protocol::Grpc => export::Protocol::Grpc,
                Protocol::HttpProtobuf => export::Protocol::HttpProtobuf,
                Protocol::HttpJson => export::Protocol::HttpJson,
            },
            headers: self.headers(&path, raw),
            compression: match raw.compression.value {
                Compression::None => export::Compression::None,
                Compression::Gzip => export::Compression::Gzip,
                Compression::Zstd => export::Compression::Zstd,
            },
            tls: export::Tls {
                ca_file: raw.tls.ca_file.value.clone(),
                cert_file: raw.tls.cert_file.value.clone(),
                key_file: raw.tls.key_file.value.clone(),
                insecure_skip_verify: raw.tls.insecure_skip_verify.value,
            },
            timeout: raw.timeout.value,
            retry: export::Retry {
                initial: raw.retry.initial.value,
                max: raw.retry.max.value,
                give_up: raw.retry.give_up.value,
            },
            parallel: raw.parallel.value,
            request_max: raw.max_request.value.0,
        })
    }

    /// Someone who writes `tls` expects TLS: sending in the clear would be worse than not starting.
    fn tls(&mut self, path: &str, tls: &raw::Tls, in_use: bool) {
        let files = [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)];
        let given = files.iter().find(|(_, slot)| slot.value.is_some());
        if let Some((leaf, slot)) = given
            && !in_use
        {
            self.note(
                &slot.from,
                format!("`{path}.tls.{leaf}` is given, but the endpoint does not begin with `https://`"),
            );
        }
        match (&tls.cert_file.value, &tls.key_file.value) {
            (Some(_), None) => {
                self.note(&tls.cert_file.from, format!("`{path}.tls.cert_file` needs a `key_file` beside it"))
            }
            (None, Some(_)) => {
                self.note(&tls.key_file.from, format!("`{path}.tls.key_file` needs a `cert_file` beside it"))
            }
            _ => {}
        }
        if tls.insecure_skip_verify.value && in_use {
            self.notes.push(format!("`{path}.tls.insecure_skip_verify`: whoever answers is trusted"));
        }
    }

    fn retry(&mut self, path: &str, retry: &raw::Retry) {
        if retry.initial.value > retry.max.value {
            let from = if retry.initial.from.rank() >= retry.max.from.rank() {
                &retry.initial.from
            } else {
                &retry.max.from
            };
            let (initial, max) = (show(&retry.initial.value), show(&retry.max.value));
            self.note(from, format!("`{path}.retry.initial` `{initial}` is longer than `max` `{max}`"));
        }
    }

    /// Values are never quoted: they may be credentials.
    fn headers(&mut self, path: &str, raw: &Upstream) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (key, slot) in &raw.headers.entries {
            let path = format!("`{path}.headers`");
            let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else {
                self.note(&slot.from, format!("{path}: {} is not a header name", quoted(key)));
                continue;
            };
            if OUR_HEADERS.contains(&name.as_str()) {
                self.note(&slot.from, format!("{path}: `{name}` belongs to the protocol and can not be set"));
            }
            if headers.iter().any(|(known, _)| *known == name) {
                self.note(&slot.from, format!("{path}: `{name}` is given twice; case makes no difference"));
            }
            match HeaderValue::from_str(&slot.value) {
                Ok(mut value) => {
                    value.set_sensitive(is_secret(name.as_str()));
                    headers.push((name, value));
                }
                Err(_) => self.note(
                    &slot.from,
                    format!("{path}: the value of `{name}` has characters no header may have"),
                ),
            }
        }
        headers
    }

    /// Two settings must not write one attribute: keys are unique (conformance A9).
    fn labels(&mut self, raw: &Raw) {
        let mut written = Vec::new();
        if raw.environment.value.is_some() {
            written.push(("deployment.environment.name", "environment"));
            written.extend(
                raw.legacy_environment.value.then_some(("deployment.environment", "legacy_environment")),
            );
        }
        if raw.release.value.is_some() {
            let key = raw.release_key.value.as_str();
            if let Some((_, by)) = written.iter().find(|(attribute, _)| *attribute == key) {
                self.note(
                    &raw.release_key.from,
                    format!("`release_key`: {} is what `{by}` writes", quoted(key)),
                );
            }
            written.push((key, "release"));
        }
        for (key, slot) in &raw.resource.entries {
            if let Some((_, by)) = written.iter().find(|(attribute, _)| attribute == key) {
                self.note(
                    &slot.from,
                    format!("`resource`: {} is what `{by}` writes; give one of them", quoted(key)),
                );
            }
        }
    }

    fn labels_from(&self, raw: &Raw) -> LabelsFrom {
        let from = |slot: &super::field::Slot<Option<String>>| {
            slot.value.is_some().then(|| slot.from.describe(self.file))
        };
        LabelsFrom { environment: from(&raw.environment), release: from(&raw.release) }
    }
}

fn labels(raw: &Raw) -> rules::labels::Settings {
    rules::labels::Settings {
        environment: raw.environment.value.clone(),
        release: raw.release.value.clone(),
        release_key: raw.release_key.value.clone(),
        legacy_environment: raw.legacy_environment.value,
        resource: raw.resource.entries.iter().map(|(key, slot)| (key.clone(), slot.value.clone())).collect(),
        enforce: raw.enforce.value,
    }
}

/// Port 0 is any free port, so it never clashes.
fn is_taken(at: &Listen, listen: &[Listen]) -> bool {
    listen.contains(at) && !matches!(at, Listen::Tcp(address) if address.port() == 0)
}

fn show(word: &impl Word) -> String {
    word.show().unwrap_or_default()
}
