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
use crate::trained;

/// The program that is measured, and whether it was trained.
pub struct Built {
    pub file: PathBuf,
    pub trained: bool,
}

impl Built {
    /// In words that follow its name.
    pub fn how(&self) -> &'static str {
        match self.trained {
            true => "as its image has it, trained on these loads (`cargo bench --bench peers -- trained`)",
            false => "as `cargo build --release` alone makes it: this compiler has no `llvm-profdata`",
        }
    }
}

/// As the image has it, but with line tables; where that can not be, as Cargo alone builds it. Beside it stands one that
/// Cargo built with the benches, and so with what their dependencies ask of its own.
pub static PROGRAM: LazyLock<Built> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
    match trained::program("bench", &directory, None) {
        Some(file) => Built { file, trained: true },
        None => Built { file: trained::build("bench", &directory.join("plain"), &[]), trained: false },
    }
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
        let mut command = Command::new(&PROGRAM.file);
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
