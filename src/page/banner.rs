//! What is said at the start: where it listens, where data goes, what will be written on it.
//!
//! Plain text from plain facts; whoever starts the process fills them in.

use std::fmt::Write as _;

/// The facts. Empty lists and `None` have a sentence of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banner {
    /// `127.0.0.1:4317`, `unix:/run/spandrel.sock`.
    pub listening: Vec<String>,
    pub upstreams: Vec<Forward>,
    /// Where what is not OTLP goes.
    pub beyond: Option<String>,
    pub environment: Option<Written>,
    pub release: Option<Written>,
    /// Further static resource attributes.
    pub resource: Vec<(String, String)>,
    /// What resources say themselves is overwritten.
    pub enforce: bool,
    /// `trace scope`, `local scope`, or `off`.
    pub join: String,
    /// The byte budget.
    pub memory: usize,
    pub admin: Option<String>,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub name: String,
    /// Where it does not take all: `traces, logs`.
    pub signals: Option<String>,
    pub endpoint: String,
    pub protocol: String,
}

/// A value that is written where it is missing, and where it came from: `configuration`, `GITHUB_SHA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub key: String,
    pub value: String,
    pub source: String,
}

impl Banner {
    /// Several lines, each ended.
    pub fn render(&self) -> String {
        let mut out = format!("spandrel {}\n", env!("CARGO_PKG_VERSION"));
        let mut say = |what: &str, how: &str| {
            let _ = writeln!(out, "  {what:<12} {how}");
        };
        say("listening", &format!("{} (OTLP over gRPC and HTTP on each)", list(&self.listening)));
        self.upstreams.iter().for_each(|upstream| say("forwarding", &upstream.sentence()));
        if let Some(base) = &self.beyond {
            say("handing on", &format!("what else an SDK asks, to {base}"));
        }
        if self.upstreams.is_empty() {
            say("forwarding", "nowhere: joined traces are shown here (set `upstream` to send them on)");
        }
        say("environment", &self.written(self.environment.as_ref(), "SPANDREL_ENVIRONMENT"));
        say("release", &self.written(self.release.as_ref(), "SPANDREL_RELEASE"));
        if !self.resource.is_empty() {
            let pairs: Vec<String> =
                self.resource.iter().map(|(key, value)| format!("{key}={value}")).collect();
            say("resource", &format!("{}, {}", list(&pairs), self.when()));
        }
        say("join", &self.join);
        say("memory", &bytes(self.memory));
        say("admin", &self.admin.as_ref().map_or_else(|| "off".to_owned(), |at| format!("http://{at}")));
        out
    }

    fn written(&self, written: Option<&Written>, variable: &str) -> String {
        match written {
            Some(Written { key, value, source }) => {
                format!("{key}={value} (from {source}), {}", self.when())
            }
            None => format!("left as it comes (set {variable} to fill it in where it is missing)"),
        }
    }

    fn when(&self) -> &'static str {
        if self.enforce { "always" } else { "where it is missing" }
    }
}

impl Forward {
    fn sentence(&self) -> String {
        let name = match self.name.as_str() {
            "default" => String::new(),
            name => format!(" as {name}"),
        };
        let signals = self.signals.as_ref().map(|some| format!(", {some} only")).unwrap_or_default();
        format!("{} ({}){name}{signals}", self.endpoint, self.protocol)
    }
}

fn list(all: &[String]) -> String {
    match all {
        [] => "nothing".to_owned(),
        all => all.join(", "),
    }
}

/// `64 MiB`, or the number when it is not a whole one.
fn bytes(n: usize) -> String {
    match n {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 10 << 20 => format!("{:.1} MiB", n as f64 / (1 << 20) as f64),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(banner: &Banner, expect: &str) {
        let whole = banner.render();
        let (first, rest) = whole.split_once('\n').unwrap();
        assert!(first.starts_with("spandrel "), "{first}");
        assert_eq!(rest.trim_end(), expect.trim_matches('\n'));
    }

    #[test]
    fn with_nothing_configured_it_says_that_traces_are_shown_here() {
        let banner = Banner {
            listening: vec!["127.0.0.1:4317".to_owned(), "127.0.0.1:4318".to_owned()],
            join: "trace scope".to_owned(),
            memory: 64 << 20,
            admin: Some("127.0.0.1:8888".to_owned()),
            ..Banner::default()
        };
        check(
            &banner,
            "
  listening    127.0.0.1:4317, 127.0.0.1:4318 (OTLP over gRPC and HTTP on each)
  forwarding   nowhere: joined traces are shown here (set `upstream` to send them on)
  environment  left as it comes (set SPANDREL_ENVIRONMENT to fill it in where it is missing)
  release      left as it comes (set SPANDREL_RELEASE to fill it in where it is missing)
  join         trace scope
  memory       64 MiB
  admin        http://127.0.0.1:8888
",
        );
    }

    #[test]
    fn every_value_says_where_it_came_from_and_when_it_is_written() {
        let written = |key: &str, value: &str, source: &str| {
            Some(Written { key: key.to_owned(), value: value.to_owned(), source: source.to_owned() })
        };
        let forward = |name: &str, endpoint: &str, protocol: &str| Forward {
            name: name.to_owned(),
            signals: (name == "archive").then(|| "traces, logs".to_owned()),
            endpoint: endpoint.to_owned(),
            protocol: protocol.to_owned(),
        };
        let banner = Banner {
            listening: vec!["unix:/run/spandrel.sock".to_owned()],
            upstreams: vec![
                forward("default", "http://gateway:4317", "grpc"),
                forward("archive", "https://otel.example.com", "http/protobuf"),
            ],
            beyond: Some("https://langfuse.example.com/".to_owned()),
            environment: written("deployment.environment.name", "production", "configuration"),
            release: written("service.version", "4f1c2d3", "GITHUB_SHA"),
            resource: vec![("team".to_owned(), "payments".to_owned())],
            enforce: true,
            join: "local scope".to_owned(),
            memory: 12_345_678,
            admin: None,
        };
        check(
            &banner,
            "
  listening    unix:/run/spandrel.sock (OTLP over gRPC and HTTP on each)
  forwarding   http://gateway:4317 (grpc)
  forwarding   https://otel.example.com (http/protobuf) as archive, traces, logs only
  handing on   what else an SDK asks, to https://langfuse.example.com/
  environment  deployment.environment.name=production (from configuration), always
  release      service.version=4f1c2d3 (from GITHUB_SHA), always
  resource     team=payments, always
  join         local scope
  memory       11.8 MiB
  admin        off
",
        );
    }
}
