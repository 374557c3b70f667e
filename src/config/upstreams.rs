//! Upstreams: from the table to the exporters' settings, or what is wrong with them.

use http::{HeaderName, HeaderValue, Uri};

use super::check::Check;
use super::endpoint;
use super::mistake::{Mistake, is_secret, quoted};
use super::proxy;
use super::raw::{self, Raw, Upstream};
use super::source::Source;
use super::vendor;
use super::words::{Compression, Protocol};
use crate::export;
use crate::model::origin::HOPS;
use crate::receive::Listen;
use crate::wire::{Signal, Signals};

/// Headers that belong to the protocol, not to the user.
const OUR_HEADERS: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    HOPS,
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Makes `upstream: …` the endpoint of `upstreams.default`, and drops upstreams without an endpoint.
/// Returns whether anything was said of upstreams, be it that there is none.
pub fn settle(raw: &mut Raw, mistakes: &mut Vec<Mistake>) -> bool {
    let short = raw.upstream.clone();
    if short.from != Source::Default {
        let endpoint = &mut raw.upstreams.entry("default", &short.from).endpoint;
        if endpoint.from.rank() == short.from.rank() {
            let text =
                "`upstream` is short for `upstreams.default.endpoint`, which is given too; give one of them";
            mistakes.push(Mistake::new(short.from.clone(), text));
        } else if endpoint.from.rank() < short.from.rank() {
            endpoint.put(short.value, short.from);
        }
        raw.upstream.put(None, Source::Default);
    }
    let named = !raw.upstreams.entries.is_empty();
    raw.upstreams.entries.retain_mut(|(name, from, upstream)| {
        mistakes.extend(of_gateways(name, upstream));
        let endpoint = &upstream.endpoint;
        // Emptied on purpose (`--set upstream=`, `${env:NAME:-}`) there is none; never given, it was forgotten.
        if endpoint.from == Source::Default {
            let text = format!("`upstreams.{name}` lacks an `endpoint`; write it like `http://gateway:4317`");
            mistakes.push(Mistake::new(from.clone(), text));
        }
        endpoint.value.is_some()
    });
    named
}

/// Makes `gateway` an endpoint; whatever is wrong with it. Of the two what was said later counts, as a variable is
/// after the file.
fn of_gateways(name: &str, upstream: &mut Upstream) -> Option<Mistake> {
    let (gateway, endpoint) = (&upstream.gateway, &mut upstream.endpoint);
    let written = gateway.value.as_deref()?;
    let wrong =
        |text: String| Mistake::new(gateway.from.clone(), format!("`upstreams.{name}.gateway`: {text}"));
    if endpoint.from != Source::Default && endpoint.from.rank() > gateway.from.rank() {
        upstream.gateway.put(None, Source::Default);
        return None;
    }
    if endpoint.from != Source::Default && endpoint.from.rank() == gateway.from.rank() {
        return Some(wrong("is in place of `endpoint`, which is given too; give one of them".to_owned()));
    }
    let tls = &upstream.tls;
    let is_guarded = tls.insecure_skip_verify.value
        || [&tls.ca_file, &tls.cert_file].into_iter().any(|file| file.value.is_some());
    let scheme = if is_guarded { "https" } else { "http" };
    // An empty endpoint is an upstream taken away; this one is only wrong.
    endpoint.put(None, gateway.from.clone());
    let like = "write it like `dns:spandrel-gateway.observability:4317`";
    let Some(at) = written.strip_prefix("dns:").filter(|at| !at.is_empty() && !at.contains('/')) else {
        return Some(wrong(format!("{} is no name to be asked for; {like}", quoted(written))));
    };
    let has_port = at.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let at = if has_port { at.to_owned() } else { format!("{at}:4317") };
    endpoint.put(Some(format!("{scheme}://{at}")), gateway.from.clone());
    None
}

/// What somebody takes from us; without upstreams everything is kept here.
pub fn taken(upstreams: &[export::Settings]) -> Signals {
    match upstreams {
        [] => Signals::ALL,
        upstreams => upstreams.iter().flat_map(|upstream| upstream.signals.iter()).collect(),
    }
}

impl Check<'_> {
    /// `notes`: log records join their spans.
    pub(super) fn upstreams(
        &mut self,
        raw: &mut Raw,
        listen: &[Listen],
        notes: bool,
    ) -> Vec<export::Settings> {
        let mut upstreams = Vec::new();
        let lent = self.keys(raw);
        let is_vendors = raw.dialect.value.reads_langfuse();
        let gateways = export::Gateways { hold: raw.join.hold.value };
        for (name, _, upstream) in &mut raw.upstreams.entries {
            let has_gateways = upstream.gateway.value.is_some();
            let settings = self.upstream(name, upstream, listen).map(|settings| match has_gateways {
                // They are our own, inside: no proxy leads there.
                true => export::Settings { gateways: Some(gateways), proxy: None, ..settings },
                false => settings,
            });
            upstreams.extend(settings.map(|settings| match is_vendors && name == vendor::UPSTREAM {
                true => export::Settings {
                    base: vendor::base(&settings.endpoint, settings.exact),
                    lent: lent.clone(),
                    ..settings
                },
                false => settings,
            }));
        }
        let mut nobodys = taken(&upstreams).others();
        if notes && nobodys.has(Signal::Logs) && !nobodys.has(Signal::Traces) {
            nobodys = nobodys.iter().filter(|signal| *signal != Signal::Logs).collect();
            let text = "no upstream takes logs: of those only GenAI events are taken, on their spans";
            self.notes.push(text.to_owned());
        }
        let nobodys = nobodys.names(", ");
        if !nobodys.is_empty() {
            self.notes.push(format!("no upstream takes {nobodys}: callers that send them are refused"));
        }
        upstreams
    }

    /// An exact address is one signal's, and gRPC has none.
    fn exact(&mut self, path: &str, raw: &Upstream, protocol: Protocol) {
        if !raw.exact.value {
            return;
        }
        if protocol == Protocol::Grpc {
            let text = format!("`{path}.exact`: gRPC's addresses are given by the signal; leave `exact` out");
            self.note(&raw.exact.from, text);
        }
        if raw.signals.value.iter().count() != 1 {
            let text = format!("`{path}.exact`: an exact address is one signal's; name one in `signals`");
            self.note(&raw.exact.from, text);
        }
    }

    fn upstream(&mut self, name: &str, raw: &mut Upstream, listen: &[Listen]) -> Option<export::Settings> {
        let path = format!("upstreams.{name}");
        let url = raw.endpoint.value.clone()?;
        let exact = raw.exact.value;
        let protocol = raw.protocol.value.or(exact.then_some(Protocol::HttpProtobuf));
        let (uri, protocol) = match endpoint::read(&url, protocol, exact) {
            Ok(read) => read,
            Err(wrong) => {
                self.note(&raw.endpoint.from, format!("`{path}.endpoint`: {wrong}"));
                return None;
            }
        };
        let shown = uri.to_string();
        let shown = if exact { &shown } else { shown.trim_end_matches('/') };
        raw.endpoint.put(Some(shown.to_owned()), raw.endpoint.from.clone());
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
        self.exact(&path, raw, protocol);
        if protocol == Protocol::Grpc && !matches!(uri.path(), "" | "/") {
            let wrong = format!(
                "{} has a path, which gRPC has no use for; did you mean `protocol: http/protobuf`?",
                quoted(&url)
            );
            self.note(&raw.endpoint.from, format!("`{path}.endpoint`: {wrong}"));
        }
        let proxy = self.proxy(&path, &raw.endpoint.from, &uri, listen);
        self.tls(&path, &raw.tls, uri.scheme_str() == Some("https"));
        let longest = format!("{path}.retry.max");
        self.at_most((&format!("{path}.retry.initial"), &mut raw.retry.initial), (&longest, &raw.retry.max));
        Some(export::Settings {
            name: name.to_owned(),
            endpoint: uri,
            gateways: None,
            exact,
            signals: raw.signals.value,
            default: raw.default.value,
            protocol: match protocol {
                Protocol::Grpc => export::Protocol::Grpc,
                Protocol::HttpProtobuf => export::Protocol::HttpProtobuf,
                Protocol::HttpJson => export::Protocol::HttpJson,
            },
            headers: self.headers(&path, raw),
            lent: None,
            base: None,
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
            proxy,
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

    /// The proxy the surroundings name for this endpoint; said, since a variable may surprise.
    fn proxy(&mut self, path: &str, from: &Source, uri: &Uri, listen: &[Listen]) -> Option<export::Proxy> {
        let proxy = match proxy::of(uri, &self.surroundings.variables) {
            Ok(proxy) => proxy?,
            Err((name, wrong)) => {
                self.note(&Source::Borrowed(name), wrong);
                return None;
            }
        };
        let host = if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
        let scheme = if proxy.tls { "https" } else { "http" };
        let at = format!("{scheme}://{host}:{}", proxy.port);
        self.notes.push(format!("`{path}` is reached through the proxy {at}"));
        let Some(Listen::Tcp(ours)) =
            at.parse().ok().and_then(|at| endpoint::leads_to(&at, listen, self.surroundings))
        else {
            return Some(proxy);
        };
        let wrong = format!("`{path}`: its proxy {at} leads back to us: we listen on {ours}");
        self.note(from, wrong);
        None
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
}
