//! A program under test: started, measured from `/proc`, ended by id.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running program that takes OTLP at `address`.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    _directory: TempDir,
}

/// Time on a processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub user: Duration,
    pub kernel: Duration,
}

impl Cpu {
    pub fn total(self) -> Duration {
        self.user + self.kernel
    }

    pub fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, kernel: self.kernel - before.kernel }
    }
}

pub fn free_port() -> SocketAddr {
    let [port] = free_ports();
    port
}

/// All of them different: they are let go together.
pub fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}

impl Program {
    /// Writes `text` as the file `name` and starts the program with it.
    pub fn start(
        address: SocketAddr,
        name: &str,
        text: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        std::fs::write(&file, text.replace("DIRECTORY", &directory.path().display().to_string())).unwrap();
        // What it says is worth reading only if it does not start, and then it can be asked by hand.
        let child = command(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, address, _directory: directory }
    }

    pub async fn ready(self) -> Self {
        let connected = async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connected).await.expect("the program listens");
        self
    }

    /// The process and its children (nginx works in them).
    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([own]).collect()
    }

    /// So far.
    pub fn cpu(&self) -> Cpu {
        let mut all = Cpu::default();
        for pid in self.pids() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields: Vec<&str> =
                stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
            // USER_HZ is 100 on every Linux a person meets.
            let time = |nth: usize| {
                let ticks = fields.get(nth).and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
                Duration::from_millis(ticks * 10_u64)
            };
            all.user += time(11);
            all.kernel += time(12);
        }
        all
    }

    pub fn rss_mib(&self) -> f64 {
        self.status_mib("VmRSS:")
    }

    pub fn peak_rss_mib(&self) -> f64 {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, key: &str) -> f64 {
        let of = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.pids().iter().filter_map(of).sum::<u64>() as f64 / 1024.0
    }

    /// Asks it to end, unless it has, and waits until then.
    pub fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}
