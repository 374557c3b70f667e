//! The program under test: started, measured from `/proc`, ended by id.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::Transport;

pub struct Program {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

pub fn has_nginx() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port on loopback")
}

/// Statements as a YAML list on one line, in which `$` means a variable.
fn quoted(statements: &str) -> String {
    let quote = |line: &str| format!("'{}'", line.replace('\'', "''").replace('$', "$$"));
    statements.lines().map(quote).collect::<Vec<_>>().join(", ")
}

impl Program {
    /// Spandrel, ready. `rules` are statements, one a line.
    pub async fn spandrel(transport: Transport, sink: SocketAddr, join: bool, rules: &str) -> Self {
        let program = Self::spawn_spandrel(transport, sink, join, rules);
        program.ready().await;
        program
    }

    pub fn spawn_spandrel(transport: Transport, sink: SocketAddr, join: bool, rules: &str) -> Self {
        let (address, other) = (free_port(), free_port());
        let protocol = match transport {
            Transport::Grpc => "grpc",
            Transport::Http => "http/protobuf",
        };
        let scope = if join { "trace" } else { "off" };
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("spandrel.yaml");
        std::fs::write(
            &config,
            format!(
                "receive: {{grpc: '{address}', http: '{other}'}}\nupstreams: {{sink: {{endpoint: 'http://{sink}', protocol: {protocol}, compression: none}}}}\n\
                 environment: production\nrelease: r1\njoin: {{scope: {scope}}}\nadmin: 'off'\nmemory: 256MiB\n{}",
                if rules.is_empty() { String::new() } else { format!("rules: [{}]\n", quoted(rules)) }
            ),
        )
        .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_spandrel"))
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, _dir: dir }
    }

    pub async fn nginx(transport: Transport, sink: SocketAddr) -> Self {
        let address = free_port();
        let (listen, pass) = match transport {
            Transport::Grpc => ("http2 on;", "grpc_pass grpc://sink; grpc_buffer_size 64k;"),
            Transport::Http => {
                ("", "proxy_pass http://sink; proxy_http_version 1.1; proxy_set_header Connection \"\";")
            }
        };
        // Older releases know `http2` only as a word of `listen`.
        let old = Command::new("nginx").arg("-v").output().is_ok_and(|o| {
            let text = String::from_utf8_lossy(&o.stderr).into_owned();
            let minor = text.split('.').nth(1).and_then(|m| m.parse::<u32>().ok());
            minor.is_some_and(|m| m < 25)
        });
        let (word, line) = match (transport, old) {
            (Transport::Grpc, true) => (" http2", ""),
            _ => ("", listen),
        };
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let config = dir.path().join("nginx.conf");
        let text = format!(
            "daemon off; pid {root}/pid; error_log stderr error; worker_processes auto;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_max_body_size 0; client_body_buffer_size 2m; keepalive_requests 1000000;\n\
             client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             upstream sink {{ server {sink}; keepalive 64; keepalive_requests 1000000; }}\n\
             server {{ listen {address}{word}; {line} location / {{ {pass} }} }} }}\n"
        );
        std::fs::File::create(&config).unwrap().write_all(text.as_bytes()).unwrap();
        let child = Command::new("nginx").arg("-c").arg(&config).stderr(Stdio::inherit()).spawn().unwrap();
        let program = Self { child, address, _dir: dir };
        program.ready().await;
        program
    }

    /// The Collector that `COLLECTOR` names, gRPC to gRPC, with these statements in its transform processor.
    pub async fn collector(sink: SocketAddr, rules: &str) -> Self {
        let address = free_port();
        let processors = if rules.is_empty() { "" } else { "transform" };
        let transform = match processors {
            "" => String::new(),
            _ => format!(
                "processors: {{transform: {{error_mode: ignore, trace_statements: [{}]}}}}\n",
                quoted(rules)
            ),
        };
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("collector.yaml");
        let text = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{address}'}}}}}}}}\n{transform}\
             exporters: {{otlp: {{endpoint: '{sink}', compression: none, tls: {{insecure: true}}, sending_queue: \
             {{sizer: items, queue_size: 1000000, block_on_overflow: true, batch: {{flush_timeout: 200ms, min_size: 8192, max_size: 8192}}}}}}}}\n\
             service: {{telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}, pipelines: \
             {{traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlp]}}}}}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let program = std::env::var_os("COLLECTOR").expect("the Collector's program");
        let child =
            Command::new(program).arg("--config").arg(&config).stderr(Stdio::inherit()).spawn().unwrap();
        let program = Self { child, address, _dir: dir };
        program.ready().await;
        program
    }

    async fn ready(&self) {
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process and its children (nginx works in them).
    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children =
            std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|p| p.parse().ok()).chain([own]).collect()
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = self
            .pids()
            .iter()
            .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
            .filter_map(|stat| {
                let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
                Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
            })
            .sum();
        // USER_HZ is 100 on every Linux a person meets.
        Duration::from_millis(ticks * 10)
    }

    fn status_mib(&self, key: &str) -> f64 {
        let kib: u64 = self
            .pids()
            .iter()
            .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok())
            .filter_map(|s| {
                s.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok())
            })
            .sum();
        kib as f64 / 1024.0
    }

    pub fn rss_mib(&self) -> f64 {
        self.status_mib("VmRSS:")
    }

    pub fn peak_rss_mib(&self) -> f64 {
        self.status_mib("VmHWM:")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
