//! `OTEL_EXPORTER_OTLP_*`, the variables every SDK knows, for our own upstreams.
//!
//! Only when nobody named an upstream in our own words: beside an application these variables often
//! point at us, and then the self-loop check refuses to start rather than sending data round and round.
//!
//! A signal's own variable beats the general one, and signals of which the same is said share an upstream: with
//! one alone nothing is lost while it is slow. `default` takes those that have no variable of their own; any
//! other is called by its signals. The surprise: a signal's own address is used as it stands, the general one
//! is a base. An own address that ends in the signal's path is the same as that base, and is read as one.

use percent_encoding::percent_decode_str;

use super::field::{Field, Row, Seen};
use super::mistake::{Mistake, quoted};
use super::raw::{Raw, Upstream};
use super::source::Source;
use super::surroundings::Variables;
use super::words::{Protocol, Word};
use crate::wire::{Signal, Signals};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_";

/// Makes upstreams from the variables, where an endpoint is among them.
pub fn fill(raw: &mut Raw, variables: &Variables, mistakes: &mut Vec<Mistake>) {
    let mut groups: Vec<Group> = Vec::new();
    for signal in Signal::ALL {
        let mut reading = Reading { variables, signal, own: false, mistakes };
        let Some((from, upstream)) = reading.upstream() else { continue };
        let own = reading.own;
        // An exact address is one signal's, even where another signal's is the same.
        let same = |group: &&mut Group| !upstream.exact.value && said(&group.upstream) == said(&upstream);
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.signals.push(signal);
                group.own &= own;
            }
            None => groups.push(Group { from, upstream, signals: vec![signal], own }),
        }
    }
    for Group { from, mut upstream, signals, own } in groups {
        let signals: Signals = signals.into_iter().collect();
        if signals != Signals::ALL {
            upstream.signals.put(signals, Source::Derived("from the same variables".to_owned()));
        }
        let name = if own { signals.names("-") } else { "default".to_owned() };
        *raw.upstreams.entry(&name, &from) = upstream;
    }
}

/// Signals of which the same is said.
struct Group {
    /// Where the first one's endpoint is from.
    from: Source,
    upstream: Upstream,
    signals: Vec<Signal>,
    /// Each of them has a variable of its own.
    own: bool,
}

/// What is said of an upstream, whoever said it.
fn said(upstream: &Upstream) -> Vec<(Vec<String>, Option<String>)> {
    let mut said = Vec::new();
    upstream.walk(Row { path: &[], doc: &[] }, &mut |row, seen| {
        if let Seen::Leaf { value, .. } = seen {
            said.push((row.path.to_vec(), value));
        }
    });
    said
}

/// Reads what is said for one signal.
struct Reading<'a> {
    variables: &'a Variables,
    signal: Signal,
    /// A variable of the signal's own was read.
    own: bool,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reading<'a> {
    /// `None`: nothing says where the signal goes.
    fn upstream(&mut self) -> Option<(Source, Upstream)> {
        let (name, url) = self.get("ENDPOINT")?;
        let mut upstream = Upstream::default();
        self.endpoint(&mut upstream, &name, url);
        self.options(&mut upstream);
        Some((Source::Borrowed(name), upstream))
    }

    /// An option's variable and value: the signal's own, else the general one.
    fn get(&mut self, option: &str) -> Option<(String, &'a str)> {
        let of = |name: String| Some((self.variables.get(&name)?.trim(), name));
        let own = of(format!("{GENERAL}{}_{option}", self.signal.name().to_uppercase()));
        let general = of(format!("{GENERAL}{option}"));
        self.own |= own.is_some();
        own.or(general).map(|(value, name)| (name, value))
    }

    fn take(&mut self, field: &mut dyn Field, text: &str, name: &str) {
        let from = Source::Borrowed(name.to_owned());
        if let Err(wrong) = field.take(text, &from) {
            self.note(from, wrong);
        }
    }

    /// What is wrong with a general variable is said once, not for every signal.
    fn note(&mut self, from: Source, wrong: String) {
        let mistake = Mistake::new(from, wrong);
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    fn endpoint(&mut self, upstream: &mut Upstream, name: &str, url: &str) {
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
        let is_own = name != format!("{GENERAL}ENDPOINT");
        let base = url.strip_suffix(self.signal.http_path()).filter(|base| !base.ends_with('/'));
        let (exact, url) = match (is_own && protocol != Protocol::Grpc, base) {
            (true, Some(base)) => (false, base),
            (true, None) => (true, url.as_str()),
            (false, _) => (false, url.trim_end_matches('/')),
        };
        if exact {
            upstream.exact.put(true, Source::Borrowed(name.to_owned()));
        }
        self.take(&mut upstream.endpoint, url, name);
    }

    fn options(&mut self, upstream: &mut Upstream) {
        if let Some((name, text)) = self.get("HEADERS") {
            for (key, value) in pairs(text) {
                let from = Source::Borrowed(name.clone());
                if let Err(wrong) =
                    upstream.headers.child(&key, &from).and_then(|slot| slot.take(&value, &from))
                {
                    self.note(from, format!("header {}: {wrong}", quoted(&key)));
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
                    self.note(Source::Borrowed(name), wrong);
                }
            }
        }
        let files = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];
        let Upstream { tls, endpoint, .. } = upstream;
        let is_own = endpoint.from != Source::Borrowed(format!("{GENERAL}ENDPOINT"));
        let in_the_clear = is_own && endpoint.value.as_ref().is_some_and(|url| url.starts_with("http://"));
        for (option, slot) in files.into_iter().zip([&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file])
        {
            match self.get(option) {
                // Meant for the general endpoint; this signal's own is in the clear.
                Some((name, _)) if in_the_clear && name == format!("{GENERAL}{option}") => {}
                Some((name, text)) => self.take(slot, text, &name),
                None => {}
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
