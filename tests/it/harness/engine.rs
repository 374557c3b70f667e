//! A container engine: the one that runs, or one of our own. Needs `docker`, and `dockerd` and root where none runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::root;

/// It is up within a second; a loaded machine is slow.
const LOOKS_MAX: usize = 300;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

pub struct Engine {
    socket: Option<PathBuf>,
    own: Option<(Child, tempfile::TempDir)>,
}

impl Engine {
    /// # Panics
    /// Saying what is missing.
    pub fn start() -> Self {
        assert!(has("docker"), "this test needs a container engine: `docker` is not on the path");
        let running = Self { socket: None, own: None };
        if running.ran(&["info"]).0 {
            return running;
        }
        assert!(
            has("dockerd") && has("runc"),
            "no engine runs, and `dockerd` and `runc` are not on the path (Debian: docker.io and runc)"
        );
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let log = std::fs::File::create(path("log")).expect("a writable directory");
        // Neither bridges nor rules of the firewall: the machine is left as it was.
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("-H")
            .arg(format!("unix://{}", path("sock").display()))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("dockerd is on the path");
        let engine = Self { socket: Some(path("sock")), own: Some((child, directory)) };
        for _ in 0..LOOKS_MAX {
            if engine.ran(&["info"]).0 {
                return engine;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let log = engine.own.as_ref().map(|(_, directory)| directory.path().join("log"));
        let log = std::fs::read_to_string(log.expect("ours")).unwrap_or_default();
        panic!("dockerd did not start; it needs root and cgroups:\n{log}");
    }

    fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        if let Some(socket) = &self.socket {
            docker.arg("-H").arg(format!("unix://{}", socket.display()));
        }
        docker.stdin(Stdio::null());
        docker
    }

    /// Whether it succeeded, and all it said.
    pub fn ran(&self, arguments: &[&str]) -> (bool, String) {
        // The classic builder is everywhere; the newer one is a plugin.
        let output = self.docker().args(arguments).env("DOCKER_BUILDKIT", "0").output();
        let output = output.expect("docker is on the path");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// What it says when it succeeds.
    pub fn said(&self, arguments: &[&str]) -> String {
        let (well, said) = self.ran(arguments);
        assert!(well, "docker {}:\n{said}", arguments.join(" "));
        said
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((child, directory)) = &mut self.own {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
            // What it leaves mounted, or the directory could not be removed.
            let left = directory.path().join("exec/netns/default");
            let _ = Command::new("umount").arg(left).stderr(Stdio::null()).status();
        }
    }
}

/// The program as the image has it: static, built in the checkout's target directory.
pub fn static_program() -> PathBuf {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let compiler = format!("CC_{}", target.replace('-', "_"));
    assert!(
        has("musl-gcc"),
        "the image's binary is built with musl: `musl-gcc` is not on the path (Debian: musl-tools)"
    );
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--bin", "spandrel", "--target", &target])
        .env(compiler, "musl-gcc")
        .current_dir(root())
        .output()
        .expect("cargo runs this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "has it its library? `rustup target add {target}`\n{said}");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("below the target directory");
    directory.join(target).join("release/spandrel")
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
