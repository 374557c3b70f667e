//! Real SDKs in their own languages: fetched by their own package managers, once, when a test
//! first asks for them, into `target/sdk`.
//!
//! A tool chain that is missing fails the test that needs it; nothing is skipped in silence.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;

use super::root;

/// A program that has not ended by then hangs.
const PROGRAM_MAX: Duration = Duration::from_secs(120);

/// A language whose SDKs are set up: where its packages, or what was built, lie.
struct Kit {
    directory: PathBuf,
}

/// A program of `tests/sdk`, to be run.
pub struct Program {
    command: Command,
    name: String,
}

/// A program that serves until told to stop.
pub struct Service {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    name: String,
}

/// `python <script> …` with the Python SDKs.
pub async fn python(script: &str) -> Program {
    static KIT: OnceCell<Kit> = OnceCell::const_new();
    let kit = set_up(&KIT, "python", &["requirements.txt"], |directory| {
        step(directory, "python3", &["-m", "venv", "venv"]);
        let install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", "requirements.txt"];
        step(directory, "venv/bin/python", &install);
    });
    let mut program = Program::new(&kit.await.directory.join("venv/bin/python"), script);
    program.command.arg(source("python").join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    program
}

/// `node <script> …` with the Node SDK.
pub async fn node(script: &str) -> Program {
    static KIT: OnceCell<Kit> = OnceCell::const_new();
    let kit = set_up(&KIT, "node", &["package.json", "package-lock.json"], |directory| {
        step(directory, "npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    });
    let mut program = Program::new(Path::new("node"), script);
    program.command.arg(source("node").join(script));
    program.env("NODE_PATH", &kit.await.directory.join("node_modules").to_string_lossy());
    program
}

/// The Go program.
pub async fn go() -> Program {
    static KIT: OnceCell<Kit> = OnceCell::const_new();
    let kit = set_up(&KIT, "go", &["main.go", "go.mod", "go.sum"], |directory| {
        step(directory, "go", &["build", "-o", "emit", "."]);
    });
    Program::new(&kit.await.directory.join("emit"), "the Go program")
}

/// `java spandrel.<class>` with the Java SDK.
pub async fn java(class: &str) -> Program {
    let directory = java_kit().await;
    let mut program = Program::new(Path::new("java"), class);
    let classes = format!("{0}/sdk.jar:{0}/libs/*", directory.display());
    program.command.args(FAST_START).args(["-cp", &classes]).arg(format!("spandrel.{class}"));
    program
}

/// `java spandrel.<class>` with nothing but the Java agent: the class knows of no telemetry.
pub async fn java_agent(class: &str) -> Program {
    let directory = java_kit().await;
    let mut program = Program::new(Path::new("java"), class);
    let agent = format!("-javaagent:{}/agent/opentelemetry-javaagent.jar", directory.display());
    let classes = directory.join("sdk.jar");
    program.command.args(FAST_START).arg(agent).arg("-cp").arg(classes).arg(format!("spandrel.{class}"));
    program.env("OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED", "false");
    program.env("OTEL_INSTRUMENTATION_JAVA_HTTP_SERVER_ENABLED", "true");
    program.env("OTEL_INSTRUMENTATION_JAVA_HTTP_CLIENT_ENABLED", "true");
    program
}

/// A Java machine that is up in 2 seconds, not 15.
const FAST_START: [&str; 3] = ["-XX:TieredStopAtLevel=1", "-Xverify:none", "-XX:-UsePerfData"];

async fn java_kit() -> PathBuf {
    static KIT: OnceCell<Kit> = OnceCell::const_new();
    let kit = set_up(&KIT, "java", &["pom.xml", "src"], |directory| {
        step(directory, "mvn", &["-q", "-B", "package"]);
    });
    kit.await.directory.join("target")
}

impl Program {
    /// It inherits the path and the home, and no `OTEL_*`.
    fn new(program: &Path, name: &str) -> Self {
        let mut command = Command::new(program);
        command.env_clear();
        let kept = ["PATH", "HOME", "TMPDIR", "JAVA_HOME"];
        command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, name: name.into() }
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.command.env(name, value);
        self
    }

    pub fn arg(&mut self, argument: &str) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// Where an SDK sends to and how.
    pub fn exporting(&mut self, endpoint: &str, protocol: &str) -> &mut Self {
        self.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    }

    /// Runs it to its end; what it says about itself is the last line of its output, as JSON.
    pub async fn run(&mut self) -> Value {
        let name = &self.name;
        let output = tokio::time::timeout(PROGRAM_MAX, self.command.output()).await;
        let output = match output {
            Ok(Ok(output)) => output,
            Ok(Err(fault)) => panic!("can't run {name}: {fault}"),
            Err(_) => panic!("{name} did not end within {PROGRAM_MAX:?}"),
        };
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name} failed ({}):\n{out}\n{err}", output.status);
        let last = out.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|fault| panic!("{name} said no JSON: {fault}\n{out}\n{err}"))
    }

    /// Starts it as a service: it ends when its standard input does.
    pub fn serve(&mut self) -> Service {
        self.command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut child =
            self.command.spawn().unwrap_or_else(|fault| panic!("can't run {}: {fault}", self.name));
        let stdin = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Service { child, stdin, output, name: self.name.clone() }
    }
}

impl Service {
    /// The next line it writes.
    pub async fn line(&mut self) -> String {
        match tokio::time::timeout(PROGRAM_MAX, self.output.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(other) => panic!("{} ended instead of writing a line: {other:?}", self.name),
            Err(_) => panic!("{} wrote no line within {PROGRAM_MAX:?}", self.name),
        }
    }

    /// Closes its standard input and waits for its end.
    pub async fn stop(mut self) {
        drop(self.stdin.take());
        match tokio::time::timeout(PROGRAM_MAX, self.child.wait()).await {
            Ok(status) => assert!(status.expect("our child").success(), "{} ended badly", self.name),
            Err(_) => panic!("{} did not stop within {PROGRAM_MAX:?}", self.name),
        }
    }
}

fn source(language: &str) -> PathBuf {
    root().join("tests/sdk").join(language)
}

/// Sets a language up once in this process, and once on this disk for the same `inputs`.
async fn set_up(
    cell: &'static OnceCell<Kit>,
    language: &'static str,
    inputs: &'static [&'static str],
    build: impl FnOnce(&Path) + Send + 'static,
) -> &'static Kit {
    cell.get_or_init(|| async move {
        let work = tokio::task::spawn_blocking(move || set_up_on_disk(language, inputs, build));
        work.await.unwrap_or_else(|_| panic!("the {language} SDKs could not be set up; see above"))
    })
    .await
}

fn set_up_on_disk(language: &str, inputs: &[&str], build: impl FnOnce(&Path)) -> Kit {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sdk");
    fs::create_dir_all(&home).expect("a writable target directory");
    // Another test process may be at it: the first one builds, the others wait.
    let lock = File::create(home.join(format!("{language}.lock"))).expect("a writable target directory");
    lock.lock().expect("a lock");
    let directory = home.join(language);
    let mark = directory.join(".built-from");
    let fingerprint = fingerprint(language, inputs);
    if fs::read_to_string(&mark).is_ok_and(|built_from| built_from == fingerprint) {
        return Kit { directory };
    }
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("our own directory");
    }
    for (file, bytes) in files(language, inputs) {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().expect("below our directory")).expect("a writable target");
        fs::write(file, bytes).expect("a writable target directory");
    }
    build(&directory);
    fs::write(mark, fingerprint).expect("a writable target directory");
    Kit { directory }
}

fn fingerprint(language: &str, inputs: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    files(language, inputs).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The input files, with their paths below the language's directory.
fn files(language: &str, inputs: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    fn gather(base: &Path, path: PathBuf, into: &mut Vec<(PathBuf, Vec<u8>)>) {
        if path.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()).collect();
            entries.sort();
            entries.into_iter().for_each(|entry| gather(base, entry, into));
        } else {
            let bytes = fs::read(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
            into.push((path.strip_prefix(base).expect("below its base").into(), bytes));
        }
    }
    let base = source(language);
    let mut files = Vec::new();
    inputs.iter().for_each(|input| gather(&base, base.join(input), &mut files));
    files
}

/// One step of setting up, with the tester's own environment: proxies and mirrors are in it.
fn step(directory: &Path, program: &str, arguments: &[&str]) {
    let path = if program.contains('/') { directory.join(program) } else { program.into() };
    let output = std::process::Command::new(path).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|fault| {
        panic!("can't run {program:?}: {fault}; the tests with real SDKs need python3, node with npm, go, and java with mvn")
    });
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{program} {}` failed:\n{out}\n{err}", arguments.join(" "));
}
