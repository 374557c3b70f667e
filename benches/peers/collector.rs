//! The OpenTelemetry Collector, built by its own builder, with the processors a row names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::caller::Transport;
use crate::common::{ENVIRONMENT, RELEASE};
use crate::contender::ten_rules;
use crate::load::Load;
use crate::program::{Program, free_port};

/// Its program, built before first use; none where it can not be built.
static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/collector/build");
    let output = Command::new(script).stderr(Stdio::inherit()).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
});

/// Its version. Asking builds it, which takes some ten minutes the first time; said once if that can not be.
pub static VERSION: LazyLock<Option<String>> = LazyLock::new(|| {
    let version = version();
    if version.is_none() {
        println!("the Collector can not be built here (it takes Go and its modules): it is left out");
    }
    version
});

fn version() -> Option<String> {
    let output = Command::new(PROGRAM.as_ref()?).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().rsplit(' ').next()?.to_owned())
}

/// Started, perhaps not listening yet.
pub fn spawn(load: &Load, sink: SocketAddr, processors: &[&str]) -> Program {
    let address = free_port();
    let compression = if load.gzip { "gzip" } else { "none" };
    let (protocol, exporter, endpoint) = match load.transport {
        Transport::Grpc => ("grpc", "otlp_grpc", sink.to_string()),
        Transport::Http => ("http", "otlp_http", format!("http://{sink}")),
    };
    let signal = load.content.signal().name();
    let text = format!(
        "receivers: {{otlp: {{protocols: {{{protocol}: {{endpoint: '{address}'}}}}}}}}\n\
         processors:\n\
         \x20 resource: {{attributes: [{{key: deployment.environment.name, value: {ENVIRONMENT}, action: insert}}, \
         {{key: service.version, value: {RELEASE}, action: insert}}]}}\n\
         \x20 batch: {{}}\n\
         \x20 groupbytrace: {{}}\n\
         \x20 transform: {{error_mode: ignore, trace_statements: [{}]}}\n\
         exporters: {{{exporter}: {{endpoint: '{endpoint}', compression: {compression}, tls: {{insecure: true}}, \
         sending_queue: {{block_on_overflow: true}}}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}, pipelines: \
         {{{signal}: {{receivers: [otlp], processors: [{}], exporters: [{exporter}]}}}}}}\n",
        ten_rules(),
        processors.join(", "),
    );
    Program::start(address, "collector.yaml", &text, |file| {
        let mut command = Command::new(PROGRAM.as_ref().expect("it was built before"));
        command.arg("--config").arg(file);
        command
    })
}
