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
pub struct Measured {
    pub file: PathBuf,
    pub trained: bool,
}

impl Measured {
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
pub static PROGRAM: LazyLock<Measured> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
    match trained::program("bench", &directory, None) {
        Some(file) => Measured { file, trained: true },
        None => Measured { file: build("bench", &directory.join("plain"), &[]), trained: false },
    }
});

/// Builds the program with a profile of Cargo's, below `target`, with these flags of the compiler's beside the usual.
/// They are for the program alone, not for what its build runs: hence the name of the machine.
pub fn build(profile: &str, target: &Path, flags: &[String]) -> PathBuf {
    let usual = std::env::var("RUSTFLAGS").unwrap_or_default();
    let flags: Vec<&str> = usual.split_whitespace().chain(flags.iter().map(String::as_str)).collect();
    let machine = said_by_rustc("host-tuple").expect("rustc says what it compiles for");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "--locked",
            "--bin",
            "spandrel",
            "--target",
            &machine,
        ])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the program can be built");
    target.join(machine).join("release/spandrel")
}

/// What `rustc --print` prints of this.
pub fn said_by_rustc(what: &str) -> Option<String> {
    let said = Command::new("rustc").args(["--print", what]).output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

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
