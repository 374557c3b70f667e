//! Where an upstream's calls go and which headers they carry, worked out once.
//!
//! A header the user configured wins over the caller's of the same name: who writes `authorization` for
//! an upstream means that credential and no other. Everything else of the caller's kept headers travels
//! with its data.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

use super::{Protocol, Settings, SetupError};
use crate::model::Origin;
use crate::model::origin::{HOPS, hops};
use crate::wire::Signal;

/// Conformance C11: the product, then the exporter it is.
pub(super) const USER_AGENT: &str =
    concat!("spandrel/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Headers that belong to the connection or say how the body is written. Setting them would make
/// requests that lie about themselves.
const OURS: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "keep-alive",
    "proxy-connection",
    HOPS,
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Where to connect: without brackets around an IPv6 address.
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// By `Signal as usize`.
    uris: [Uri; 4],
    /// What every call carries, the user's headers included.
    fixed: HeaderMap,
    /// `authorization` for callers without.
    lent: Option<HeaderValue>,
}

impl Target {
    /// # Errors
    /// A scheme other than `http` and `https`, no host, a path on a gRPC endpoint, a header that is not
    /// the user's to set.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let fail = |what: String| SetupError { name: settings.name.clone(), what };
        let endpoint = &settings.endpoint;
        let tls = match endpoint.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => {
                let hint = "it must begin with `http://` or `https://`";
                return Err(fail(format!("endpoint `{endpoint}`: {hint}")));
            }
        };
        let host = endpoint.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| fail(format!("endpoint `{endpoint}` names no host")))?;
        let path = endpoint.path().trim_end_matches('/');
        if settings.protocol == Protocol::Grpc && !path.is_empty() {
            let hint = "gRPC has no path; remove it, or set `protocol: http/protobuf`";
            return Err(fail(format!("endpoint `{endpoint}`: {hint}")));
        }
        let mut fixed = fixed_headers(settings).map_err(&fail)?;
        let authority = authority(fixed.remove(header::HOST), endpoint).map_err(&fail)?;
        let uri = |signal: Signal| {
            let path = match settings.protocol {
                Protocol::Grpc => signal.grpc_path().to_owned(),
                Protocol::HttpProtobuf | Protocol::HttpJson if settings.exact => {
                    endpoint.path_and_query().map_or("/", PathAndQuery::as_str).to_owned()
                }
                Protocol::HttpProtobuf | Protocol::HttpJson => with_query(path, signal.http_path(), endpoint),
            };
            let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
            let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query(path);
            uri.build().map_err(|error| fail(format!("endpoint `{endpoint}`: {error}")))
        };
        let [traces, metrics, logs, profiles] = Signal::ALL;
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: endpoint.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            uris: [uri(traces)?, uri(metrics)?, uri(logs)?, uri(profiles)?],
            fixed,
            lent: settings.lent.clone(),
        })
    }

    /// The absolute address of a signal.
    pub fn uri(&self, signal: Signal) -> Uri {
        self.uris.get(signal as usize).cloned().unwrap_or_default()
    }

    /// What calls with data of `origin` carry.
    pub fn headers(&self, origin: &Origin) -> HeaderMap {
        let mut headers = self.fixed.clone();
        let been_through =
            origin.headers.iter().filter(|(name, _)| &**name == HOPS).map(|(_, value)| &**value);
        headers
            .insert(HeaderName::from_static(HOPS), HeaderValue::from(hops(been_through).saturating_add(1)));
        for (name, value) in origin.headers.iter().filter(|(name, _)| &**name != HOPS) {
            let name = HeaderName::from_bytes(name.as_bytes());
            let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(value)) else { continue };
            if !self.fixed.contains_key(&name) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        if let Some(lent) = &self.lent {
            headers.entry(header::AUTHORIZATION).or_insert_with(|| lent.clone());
        }
        headers
    }
}

fn fixed_headers(settings: &Settings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        if OURS.contains(&name.as_str()) {
            return Err(format!("header `{name}` is set by spandrel itself; remove it from `headers`"));
        }
        let mut value = value.clone();
        // Configured headers are credentials more often than not: kept out of logs and HPACK tables.
        value.set_sensitive(name != header::USER_AGENT && name != header::HOST);
        headers.append(name.clone(), value);
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(settings.protocol.content_type()));
    let (compression, timeout) = match settings.protocol {
        Protocol::Grpc => ("grpc-encoding", Some(grpc_timeout(settings.timeout))),
        Protocol::HttpProtobuf | Protocol::HttpJson => ("content-encoding", None),
    };
    if let Some(encoding) = settings.compression.name() {
        headers.insert(HeaderName::from_static(compression), HeaderValue::from_static(encoding));
    }
    if let Some(timeout) = timeout {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert("grpc-timeout", timeout);
    }
    Ok(headers)
}

/// A configured `host` is what the upstream is called; where to connect stays the endpoint's.
fn authority(host: Option<HeaderValue>, endpoint: &Uri) -> Result<Authority, String> {
    let own = endpoint.authority().cloned().ok_or_else(|| format!("endpoint `{endpoint}` names no host"))?;
    let named = match host {
        Some(host) => {
            Authority::try_from(host.as_bytes()).map_err(|error| format!("header `host`: {error}"))?
        }
        None => own,
    };
    // `user:password@` is not sent: RFC 9110 forbids it, and it would land in access logs.
    match named.as_str().rsplit_once('@') {
        Some((_, bare)) => Authority::try_from(bare).map_err(|error| error.to_string()),
        None => Ok(named),
    }
}

fn with_query(base: &str, path: &str, endpoint: &Uri) -> String {
    match endpoint.path_and_query().and_then(PathAndQuery::query) {
        Some(query) => format!("{base}{path}?{query}"),
        None => format!("{base}{path}"),
    }
}

/// `grpc-timeout` has at most 8 digits, so a long one is told in seconds (gRPC over HTTP/2).
fn grpc_timeout(timeout: Duration) -> HeaderValue {
    let text = match timeout.as_millis() {
        ms @ 0..=99_999_999 => format!("{ms}m"),
        _ => format!("{}S", timeout.as_secs().min(99_999_999)),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("10S"))
}

impl Protocol {
    const fn content_type(self) -> &'static str {
        match self {
            Protocol::Grpc => "application/grpc",
            Protocol::HttpProtobuf => "application/x-protobuf",
            Protocol::HttpJson => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    fn target(
        endpoint: &'static str,
        protocol: Protocol,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Target, String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let settings = Settings { endpoint: Uri::from_static(endpoint), protocol, headers, ..settings(0) };
        Target::new(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a6_the_signal_path_is_appended_to_the_base() {
        let check = |endpoint, expect: &str| {
            let uri = target(endpoint, Protocol::HttpProtobuf, &[]).unwrap().uri(Signal::Logs);
            assert_eq!(uri.to_string(), expect);
        };
        check("http://h", "http://h/v1/logs");
        check("http://h:4318/", "http://h:4318/v1/logs");
        check("https://h/base//", "https://h/base/v1/logs");
        check("https://user:pass@h/base?key=1", "https://h/base/v1/logs?key=1");
    }

    #[test]
    fn a6_an_exact_endpoint_is_used_as_it_stands() {
        let check = |endpoint, expect: &str| {
            let base = settings(0);
            let protocol = Protocol::HttpProtobuf;
            let settings = Settings { endpoint: Uri::from_static(endpoint), exact: true, protocol, ..base };
            assert_eq!(Target::new(&settings).unwrap().uri(Signal::Logs).to_string(), expect);
        };
        check("http://h", "http://h/");
        check("http://h/any/path/", "http://h/any/path/");
        check("http://h:4318/v1/traces", "http://h:4318/v1/traces");
    }

    #[test]
    fn f48_what_is_sent_has_been_through_one_more() {
        let target = target("http://h", Protocol::HttpProtobuf, &[]).unwrap();
        let check = |values: &[&str], expect: &str| {
            let headers = values.iter().map(|value| (HOPS.into(), value.as_bytes().into())).collect();
            let headers = target.headers(&Origin { headers, ..Origin::default() });
            assert_eq!(headers.get_all(HOPS).iter().collect::<Vec<_>>(), [expect]);
        };
        check(&[], "1");
        check(&["3"], "4");
        check(&["3", "7", "many"], "8");
        check(&["4294967295"], "4294967295");
        check(&["-1"], "1");
    }

    #[test]
    fn authorization_is_lent_to_whom_has_none() {
        let lent = Some(HeaderValue::from_static("Basic ours"));
        let check = |configured: &[(&'static str, &'static str)], own: &[&str], expect: &str| {
            let headers = configured
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let settings = Settings { lent: lent.clone(), headers: headers.collect(), ..settings(0) };
            let target = Target::new(&settings).unwrap();
            let headers = own.iter().map(|value| ("authorization".into(), value.as_bytes().into())).collect();
            let headers = target.headers(&Origin { headers, ..Origin::default() });
            assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), [expect]);
        };
        check(&[], &[], "Basic ours");
        check(&[], &["Basic theirs"], "Basic theirs");
        check(&[("authorization", "Bearer for-all")], &["Basic theirs"], "Bearer for-all");
        check(&[("authorization", "Bearer for-all")], &[], "Bearer for-all");
    }

    #[test]
    fn ports_and_addresses_are_understood() {
        let check = |endpoint, expect: (&str, u16, bool)| {
            let target = target(endpoint, Protocol::Grpc, &[]).unwrap();
            assert_eq!((target.host.as_str(), target.port, target.tls), expect);
        };
        check("http://h", ("h", 80, false));
        check("https://h", ("h", 443, true));
        check("http://[::1]:4317/", ("::1", 4317, false));
    }

    #[test]
    fn what_can_not_work_is_said_with_a_hint() {
        let check = |endpoint, headers: &[_], expect: &str| {
            let error = target(endpoint, Protocol::Grpc, headers).unwrap_err();
            assert_eq!(error, format!("upstream `test`: {expect}"));
        };
        check("ftp://h", &[], "endpoint `ftp://h/`: it must begin with `http://` or `https://`");
        check("h:4317", &[], "endpoint `h:4317`: it must begin with `http://` or `https://`");
        check(
            "http://h/base",
            &[],
            "endpoint `http://h/base`: gRPC has no path; remove it, or set `protocol: http/protobuf`",
        );
        check(
            "http://h",
            &[("te", "gzip")],
            "header `te` is set by spandrel itself; remove it from `headers`",
        );
    }

    #[test]
    fn c11_a_configured_header_wins_over_the_callers() {
        let target =
            target("http://h", Protocol::HttpJson, &[("authorization", "ours"), ("host", "other")]).unwrap();
        let origin = Origin {
            headers: vec![
                ("authorization".into(), b"theirs".as_slice().into()),
                ("x-langfuse-sdk-name".into(), b"python".as_slice().into()),
            ],
            ..Origin::default()
        };
        let headers = target.headers(&origin);
        assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), ["ours"]);
        assert_eq!(headers["x-langfuse-sdk-name"], "python");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("spandrel/"));
        assert!(!headers.contains_key("host"));
        assert_eq!(target.uri(Signal::Traces).authority().unwrap(), "other");
    }

    #[test]
    fn timeouts_keep_to_eight_digits() {
        assert_eq!(grpc_timeout(Duration::from_secs(10)), "10000m");
        assert_eq!(grpc_timeout(Duration::from_secs(1_000_000)), "1000000S");
        assert_eq!(grpc_timeout(Duration::MAX), "99999999S");
    }
}
