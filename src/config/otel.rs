//! `OTEL_EXPORTER_OTLP_*`, the variables every SDK knows, for our own upstream.
//!
//! Only when nobody named an upstream in our own words: beside an application these variables often
//! point at us, and then the self-loop check refuses to start rather than sending data round and round.

use percent_encoding::percent_decode_str;

use super::field::Field;
use super::mistake::{Mistake, quoted};
use super::raw::{Raw, Upstream};
use super::source::Source;
use super::surroundings::Variables;
use super::words::{Protocol, Word};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";
const SIGNALS: [&str; 4] = ["TRACES", "METRICS", "LOGS", "PROFILES"];

/// Makes the upstream `default` from the variables, where an endpoint is among them.
pub fn fill(raw: &mut Raw, variables: &Variables, mistakes: &mut Vec<Mistake>, notes: &mut Vec<String>) {
    let general = variables.get(&format!("{GENERAL}ENDPOINT")).is_some();
    let endpoint = if general { format!("{GENERAL}ENDPOINT") } else { format!("{TRACES}ENDPOINT") };
    let Some(url) = variables.get(&endpoint) else { return };
    let mut reading = Reading { variables, traces: !general, mistakes };
    let upstream = raw.upstreams.entry("default", &Source::Borrowed(endpoint.clone()));
    reading.endpoint(upstream, &endpoint, url);
    reading.options(upstream);
    if general {
        note_unused(variables, notes);
    }
}

/// One upstream takes every signal, so what is meant for a single signal can not be followed.
fn note_unused(variables: &Variables, notes: &mut Vec<String>) {
    for (name, _) in variables.iter() {
        let signal = name.strip_prefix(GENERAL).and_then(|rest| rest.split('_').next());
        if signal.is_some_and(|signal| SIGNALS.contains(&signal)) {
            notes.push(format!("{name} is not used: every signal goes to {GENERAL}ENDPOINT"));
        }
    }
}

struct Reading<'a> {
    variables: &'a Variables,
    /// The traces' own endpoint is in use, so their own options win over the general ones.
    traces: bool,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reading<'a> {
    /// An option's variable and value.
    fn get(&self, option: &str) -> Option<(String, &'a str)> {
        let prefixes: &[&str] = if self.traces { &[TRACES, GENERAL] } else { &[GENERAL] };
        prefixes.iter().find_map(|prefix| {
            let name = format!("{prefix}{option}");
            let value = self.variables.get(&name)?.trim();
            Some((name, value))
        })
    }

    fn take(&mut self, field: &mut dyn Field, text: &str, name: &str) {
        let from = Source::Borrowed(name.to_owned());
        if let Err(wrong) = field.take(text, &from) {
            self.mistakes.push(Mistake::new(from, wrong));
        }
    }

    fn endpoint(&mut self, upstream: &mut Upstream, name: &str, url: &str) {
        let url = url.trim();
        let named = self.get("PROTOCOL");
        // The specification's default is http/protobuf; the gRPC port says otherwise.
        let on_grpc_port = url.trim_end_matches('/').ends_with(":4317");
        let fallback = if on_grpc_port { Protocol::Grpc } else { Protocol::HttpProtobuf };
        let protocol = named.as_ref().and_then(|(_, text)| Protocol::read(text).ok()).unwrap_or(fallback);
        match named {
            Some((name, text)) => self.take(&mut upstream.protocol, text, &name),
            None => {
                let how = format!("from {name}");
                upstream.protocol.put(Some(fallback), Source::Derived(how));
            }
        }
        let insecure = self.get("INSECURE").is_some_and(|(_, text)| text.eq_ignore_ascii_case("true"));
        let url = match (url.contains("://"), protocol) {
            // Without a scheme gRPC is over TLS unless it is said not to be (exporter specification).
            (false, Protocol::Grpc) if !insecure => format!("https://{url}"),
            (false, _) => format!("http://{url}"),
            (true, _) => url.to_owned(),
        };
        let url = if self.traces && protocol != Protocol::Grpc { self.base_of(name, &url) } else { url };
        self.take(&mut upstream.endpoint, &url, name);
    }

    /// A signal's endpoint is used as it stands; ours is a base that every signal's path is put below.
    fn base_of(&mut self, name: &str, url: &str) -> String {
        match url.trim_end_matches('/').strip_suffix("/v1/traces") {
            Some(base) => base.to_owned(),
            None => {
                let wrong =
                    format!("{} does not end in `/v1/traces`; give SPANDREL_UPSTREAM instead", quoted(url));
                self.mistakes.push(Mistake::new(Source::Borrowed(name.to_owned()), wrong));
                url.to_owned()
            }
        }
    }

    fn options(&mut self, upstream: &mut Upstream) {
        if let Some((name, text)) = self.get("HEADERS") {
            for (key, value) in pairs(text) {
                let from = Source::Borrowed(name.clone());
                if let Err(wrong) =
                    upstream.headers.child(&key, &from).and_then(|slot| slot.take(&value, &from))
                {
                    self.mistakes.push(Mistake::new(from, format!("header {}: {wrong}", quoted(&key))));
                }
            }
        }
        if let Some((name, text)) = self.get("COMPRESSION") {
            self.take(&mut upstream.compression, text, &name);
        }
        if let Some((name, text)) = self.get("TIMEOUT") {
            match text.parse::<u64>() {
                Ok(ms) => self.take(&mut upstream.timeout, &format!("{ms}ms"), &name),
                Err(_) => {
                    let wrong = format!("{} is not a whole number of milliseconds", quoted(text));
                    self.mistakes.push(Mistake::new(Source::Borrowed(name), wrong));
                }
            }
        }
        let files = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];
        let Upstream { tls, .. } = upstream;
        for (option, slot) in files.into_iter().zip([&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file])
        {
            if let Some((name, text)) = self.get(option) {
                self.take(slot, text, &name);
            }
        }
    }
}

/// `key=value,key2=value2` as the specification has it: split at the first `=`, values percent-decoded,
/// keys not, blanks round both dropped. What has no `=` is not a pair.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |value: &str| percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.trim().to_owned(), decode(v)))
        .collect()
}
