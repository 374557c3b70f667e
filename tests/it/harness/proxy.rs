//! The program under test: the real binary, on free ports, with its own configuration file.
//!
//! It inherits nothing of the tester's environment but the path and the home: a CI machine's
//! `GITHUB_SHA` or a developer's `OTEL_*` would change what it labels.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use spandrel::wire::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::metrics::{Ledger, Metrics};
use super::{Client, PATIENCE, volume};

const PROGRAM: &str = env!("CARGO_BIN_EXE_spandrel");
const FILE: &str = "spandrel.yaml";
const FREE_PORTS: &str = "receive: {grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}\nadmin: \"127.0.0.1:0\"\n";

/// The running program. Killed when dropped.
pub struct Proxy {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    ports: Ports,
    directory: TempDir,
}

/// What to start it with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub config: String,
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
    /// A line of shell that runs first, in the same process: a limit it sets is the program's.
    pub before: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    grpc: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
}

/// What it has written so far, line by line.
#[derive(Clone)]
struct Lines(Arc<watch::Sender<Vec<String>>>);

impl Proxy {
    /// Starts with this configuration; ports that it does not name are free ones.
    pub async fn with(config: impl Into<String>) -> Self {
        Self::start(Start { config: config.into(), ..Start::default() }).await
    }

    /// Starts what can not run, and returns its exit code and what it wrote to standard error.
    pub async fn fails(start: Start) -> (i32, String) {
        let (child, _directory) = Self::spawn(start);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("it runs, though it should not").expect("it is our child");
        let code = output.status.code().expect("it was not killed");
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts, and returns when it says that it is ready.
    pub async fn start(start: Start) -> Self {
        let (mut child, directory) = Self::spawn(start);
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = Lines::of(child.stderr.take().expect("piped"));
        let ports = Ports::announced(&mut child, &stderr).await;
        let proxy = Self { child, stdout, stderr, ports, directory };
        proxy.await_ready().await;
        proxy
    }

    fn spawn(start: Start) -> (Child, TempDir) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join(FILE);
        std::fs::write(&file, text_of(&start.config)).expect("a writable directory");
        let mut command = start.before.as_deref().map_or_else(command, after);
        let child = command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .args(&start.arguments)
            .envs(start.variables)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built with the tests");
        (child, directory)
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    /// Puts another configuration into its file, in place; ports that it does not name stay.
    pub fn write(&self, config: &str) {
        std::fs::write(self.file(), text_of(config)).expect("a writable directory");
    }

    /// The same as Kubernetes does it: the file is a link into a directory whose name is a link, which is swapped.
    pub fn swap(&self, version: usize, config: &str) {
        volume::swap(self.directory.path(), version, &[(FILE, &text_of(config))]);
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// What it says of its readiness.
    pub async fn readiness(&self) -> String {
        Client::to(self.ports.admin).get("/readyz").await.text()
    }

    /// Where gRPC is expected; HTTP is served there too.
    pub fn grpc(&self) -> SocketAddr {
        self.ports.grpc
    }

    /// Where HTTP is expected; gRPC is served there too.
    pub fn http(&self) -> SocketAddr {
        self.ports.http
    }

    pub fn admin(&self) -> SocketAddr {
        self.ports.admin
    }

    /// A caller of the gRPC port.
    pub fn client(&self) -> Client {
        Client::to(self.ports.grpc)
    }

    /// A caller of the HTTP port.
    pub fn http_client(&self) -> Client {
        Client::to(self.ports.http)
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Its working directory, which holds its configuration and nothing else.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line on standard output that is as wanted, and returns it.
    pub async fn await_stdout(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.find(what, wanted).await
    }

    /// Waits for a line on standard error that is as wanted, and returns it.
    pub async fn await_stderr(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.find(what, wanted).await
    }

    /// Its metrics now.
    pub async fn metrics(&self) -> Metrics {
        let reply = Client::to(self.ports.admin).get("/metrics").await;
        assert!(reply.status.is_success(), "/metrics answered {reply:?}");
        Metrics::parse(&reply.text())
    }

    /// Waits until every item of the signal that was received has met its end at this upstream, and
    /// returns the sums: received = delivered + refused + lost.
    pub async fn await_settled(&self, signal: Signal, upstream: &str) -> Ledger {
        let mut last = None;
        let settled = async {
            loop {
                let ledger = self.metrics().await.ledger(signal, upstream);
                // Twice the same: a scrape may fall between two counters of one step.
                if ledger.is_settled() && last == Some(ledger) {
                    return ledger;
                }
                last = Some(ledger);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, settled).await {
            Ok(ledger) => ledger,
            Err(_) => {
                let all = Client::to(self.ports.admin).get("/metrics").await.text();
                let counted = all.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
                let counted: Vec<&str> = counted.collect();
                panic!("{} never settled at {upstream:?}: {last:?}\n{}", signal.name(), counted.join("\n"))
            }
        }
    }

    /// Waits until its metrics are as wanted.
    pub async fn await_metrics(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) {
        let come = async {
            while !wanted(&self.metrics().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let come = tokio::time::timeout(PATIENCE, come).await;
        assert!(come.is_ok(), "waited {PATIENCE:?} for {what}; it wrote:\n{}", self.stderr());
    }

    /// The most memory it ever had resident, bytes.
    pub fn resident_max(&self) -> usize {
        self.memory("VmHWM:")
    }

    /// The memory it has resident now, bytes.
    pub fn resident(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// Of that, the pages of the program itself: many in a debug build, and the kernel can drop them.
    pub fn resident_program(&self) -> usize {
        self.memory("RssFile:")
    }

    /// Processor time it has used.
    pub fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        // Behind the name, which may hold anything: `utime` and `stime` are the 12th and 13th (proc(5)).
        let fields = stat.rsplit(')').next().expect("it has a name").split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        // A tick is a hundredth of a second to whoever reads /proc.
        Duration::from_millis(ticks * 10)
    }

    fn memory(&self, what: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(what)).expect("it has memory");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok());
        kib.expect("a number of KiB") * 1024
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended().await
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.pid().try_into().ok().and_then(rustix::process::Pid::from_raw).expect("an id");
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Waits until it has stopped.
    pub async fn ended(&mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("it is our child"),
            Err(_) => panic!("it did not stop on SIGTERM; it wrote:\n{}", self.stderr()),
        }
    }

    async fn await_ready(&self) {
        let client = Client::to(self.ports.admin);
        let ready = async {
            while client.get("/readyz").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, ready).await.is_err() {
            panic!("it never was ready; it wrote:\n{}", self.stderr());
        }
    }
}

/// What is written for this configuration: ports that it does not name are free ones.
fn text_of(config: &str) -> String {
    let ports = if config.contains("receive:") { "" } else { FREE_PORTS };
    format!("{ports}{config}")
}

/// The binary, with nothing of the tester's environment that could change what it does.
pub fn command() -> Command {
    bare(PROGRAM)
}

/// A line of shell behind which the program sees files or directories in others' places, in a mount namespace of its
/// own (root always may have one). `$$` in a place is the program's process.
pub fn mounted(mounts: &[(&Path, &str)]) -> String {
    let mounts = mounts.iter().map(|(what, at)| format!("mount --bind {} {at} && ", what.display()));
    let mounts: String = mounts.collect();
    format!("exec unshare --map-root-user --mount sh -c '{mounts}exec \"$0\" \"$@\"' \"$0\" \"$@\";")
}

/// The same in place of a shell that has run this.
fn after(line: &str) -> Command {
    let mut shell = bare("sh");
    shell.arg("-c").arg(format!("{line} exec \"$0\" \"$@\"")).arg(PROGRAM);
    shell
}

fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    let kept = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"];
    command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

impl Ports {
    /// Reads the banner: `listening` with the addresses for gRPC and HTTP in this order, and `admin`.
    async fn announced(child: &mut Child, stderr: &Lines) -> Self {
        let mut lines = stderr.0.subscribe();
        let read = lines.wait_for(|lines| Self::parse(lines).is_some());
        tokio::select! {
            seen = tokio::time::timeout(PATIENCE, read) => match seen {
                Ok(Ok(lines)) => Self::parse(&lines).expect("just seen"),
                _ => panic!("it never said where it listens; it wrote:\n{}", stderr.text()),
            },
            ended = child.wait() => panic!("it ended at once ({ended:?}); it wrote:\n{}", stderr.text()),
        }
    }

    fn parse(lines: &[String]) -> Option<Self> {
        let after = |word: &'static str| {
            let lines = lines.iter().filter(move |line| line.trim_start().starts_with(word));
            lines
                .flat_map(|line| line.split([' ', ',']))
                .filter_map(|part| part.trim_start_matches("http://").parse::<SocketAddr>().ok())
        };
        let mut listening = after("listening");
        let (grpc, http) = (listening.next()?, listening.next()?);
        Some(Self { grpc, http, admin: after("admin").next()? })
    }
}

impl Lines {
    /// Reads to the end in the background, so that the program never waits for its reader.
    fn of(pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Self(Arc::new(watch::Sender::new(Vec::new())));
        let sender = lines.0.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                sender.send_modify(|lines| lines.push(line));
            }
        });
        lines
    }

    fn text(&self) -> String {
        self.0.borrow().join("\n")
    }

    async fn find(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.0.subscribe();
        let pick = |lines: &Vec<String>| lines.iter().find(|line| wanted(line)).cloned();
        let seen = lines.wait_for(|lines| pick(lines).is_some());
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(Ok(lines)) => pick(&lines).expect("just seen"),
            _ => panic!("waited {PATIENCE:?} for {what}, but it wrote:\n{}", self.text()),
        }
    }
}
