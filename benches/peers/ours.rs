//! Spandrel with what every row needs, and what each row says beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::caller::Transport;
use crate::common::{ENVIRONMENT, RELEASE};
use crate::contender::ten_rules;
use crate::load::Load;
use crate::program::{Program, free_ports};

/// The program that is measured: built by itself, as its users build it, but with line tables. Beside it stands one
/// that Cargo built with the benches, and so with what their dependencies ask of its own.
pub static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "bench", "--locked", "--bin", "spandrel", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the program can be built");
    target.join("release/spandrel")
});

/// Its configuration: `more` is what the row says, in YAML, in which `TEN` stands for ten rules.
fn configuration(load: &Load, [address, other]: [SocketAddr; 2], sink: SocketAddr, more: &str) -> String {
    let protocol = match load.transport {
        Transport::Grpc => "grpc",
        Transport::Http => "http/protobuf",
    };
    let compression = if load.gzip { "gzip" } else { "none" };
    let more = more.replace("TEN", &ten_rules());
    format!(
        "receive: {{grpc: '{address}', http: '{other}'}}\n\
         upstreams: {{default: {{endpoint: 'http://{sink}', protocol: {protocol}, compression: {compression}, \
         retry: {{max: 2s}}}}}}\n\
         environment: {ENVIRONMENT}\nrelease: {RELEASE}\nadmin: 'off'\n{more}\n"
    )
}

/// Started with these variables, perhaps not listening yet.
pub fn spawn(load: &Load, sink: SocketAddr, more: &str, variables: &[(&str, &str)]) -> Program {
    spawn_by(load, sink, more, |file| {
        let mut command = Command::new(&*PROGRAM);
        command.arg("--config").arg(file).envs(variables.iter().copied());
        command
    })
}

/// Started in another way, which is given the configuration's path.
pub fn spawn_by(
    load: &Load,
    sink: SocketAddr,
    more: &str,
    command: impl FnOnce(&Path) -> Command,
) -> Program {
    let ports = free_ports();
    Program::start(ports[0], "spandrel.yaml", &configuration(load, ports, sink, more), command)
}
