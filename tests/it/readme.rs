//! The README's commands, run as written.
//!
//! A `sh` block below a comment is run in a fresh directory, with the program on the path:
//!
//! - `<!-- test: NAME -->` must succeed;
//! - `<!-- test: NAME expect "TEXT" -->` must also write TEXT;
//! - `<!-- test: NAME until "TEXT" -->` goes on by itself: once it has written TEXT it is asked to
//!   stop, and must then succeed.
//!
//! `cargo run --release --` is the program that was built with the tests: building it once more,
//! optimised, would take minutes and say nothing about the README.
//!
//! A block below `<!-- file: NAME -->` is written to that file first. Blocks run one after the
//! other, for they use the ports a reader would use.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::harness::{PATIENCE, root};

#[tokio::test]
async fn its_commands_do_what_it_says() {
    // Written last: until then there is nothing to hold to.
    let Ok(text) = std::fs::read_to_string(root().join("README.md")) else { return };
    let blocks = parse(&text);
    let is_test = |block: &&Block| matches!(block.what, What::Test { .. });
    assert!(blocks.iter().any(|block| is_test(&block)), "no command of the README is tested");
    let directory = tempfile::tempdir().unwrap();
    for block in blocks {
        match block.what {
            What::File => std::fs::write(directory.path().join(&block.name), &block.body).unwrap(),
            What::Test { wait } => run(directory.path(), &block.name, &block.body, wait).await,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Block {
    what: What,
    name: String,
    body: String,
}

#[derive(Debug, PartialEq)]
enum What {
    File,
    Test { wait: Wait },
}

#[derive(Debug, PartialEq)]
enum Wait {
    Success,
    Expect(String),
    Until(String),
}

/// The marked blocks, in the order of the page.
fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mark = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some((kind, rest)) = mark.and_then(|mark| mark.split_once(": ")) else { continue };
        let (name, wish) = rest.split_once(' ').unwrap_or((rest, ""));
        let quoted =
            || wish.split('"').nth(1).unwrap_or_else(|| panic!("no quoted text in {line:?}")).to_owned();
        let what = match (kind, wish.split(' ').next()) {
            ("file", _) => What::File,
            ("test", Some("expect")) => What::Test { wait: Wait::Expect(quoted()) },
            ("test", Some("until")) => What::Test { wait: Wait::Until(quoted()) },
            ("test", Some("")) => What::Test { wait: Wait::Success },
            ("test", _) => panic!("neither `expect` nor `until` in {line:?}"),
            _ => continue,
        };
        let fence = lines.by_ref().find(|line| !line.trim().is_empty());
        assert!(fence.is_some_and(|fence| fence.starts_with("```")), "no block follows {line:?}");
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(Block { what, name: name.into(), body: body.join("\n") + "\n" });
    }
    blocks
}

async fn run(directory: &Path, name: &str, commands: &str, wait: Wait) {
    let commands = commands.replace("cargo run --release --", "spandrel");
    let mut child = shell(directory, &commands.replace("cargo run --release", "spandrel"));
    let mut output = read(&mut child);
    let mut written = String::new();
    let done = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = output.recv().await {
            written.push_str(&line);
            written.push('\n');
            if matches!(&wait, Wait::Until(text) if line.contains(text.as_str())) {
                stop(&child);
            }
        }
        child.wait().await.expect("our child")
    });
    let Ok(status) = done.await else {
        stop(&child);
        panic!("{name:?} did not come to an end; it wrote:\n{written}");
    };
    assert!(status.success(), "{name:?} failed ({status}):\n{written}");
    if let Wait::Expect(text) | Wait::Until(text) = wait {
        assert!(written.contains(&text), "{name:?} did not write {text:?}:\n{written}");
    }
}

fn shell(directory: &Path, commands: &str) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_spandrel")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-ec", commands])
        .env_clear()
        .env("PATH", format!("{}:{path}", program.display()))
        .env("HOME", directory)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .expect("a shell")
}

/// Asks the shell and all it started to stop: they are a process group of their own.
fn stop(child: &Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = id {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    }
}

/// Both of its outputs, line by line, as one.
fn read(child: &mut Child) -> mpsc::UnboundedReceiver<String> {
    fn forward(pipe: impl AsyncRead + Send + Unpin + 'static, to: mpsc::UnboundedSender<String>) {
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = to.send(line);
            }
        });
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    forward(child.stdout.take().expect("piped"), sender.clone());
    forward(child.stderr.take().expect("piped"), sender);
    receiver
}

#[test]
fn marked_blocks_are_found_and_others_are_not() {
    let page = concat!(
        "# T\n\n```sh\nnot me\n```\n\n<!-- file: a.yaml -->\n```yaml\na: 1\n```\n",
        "<!-- test: start until \"listening on\" -->\n\n```sh\nspandrel\n```\n",
        "<!-- a remark -->\n<!-- test: check -->\n```sh\nspandrel check\necho\n```\n",
    );
    let block = |what, name: &str, body: &str| Block { what, name: name.into(), body: body.into() };
    let until = Wait::Until("listening on".into());
    assert_eq!(
        parse(page),
        [
            block(What::File, "a.yaml", "a: 1\n"),
            block(What::Test { wait: until }, "start", "spandrel\n"),
            block(What::Test { wait: Wait::Success }, "check", "spandrel check\necho\n"),
        ]
    );
}

#[tokio::test]
async fn a_block_that_goes_on_is_stopped_once_it_has_said_its_word() {
    let directory = tempfile::tempdir().unwrap();
    let commands = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    run(directory.path(), "loop", commands, Wait::Until("ready".into())).await;
}

#[tokio::test]
#[should_panic(expected = "did not write")]
async fn a_block_that_does_not_say_what_it_should_fails() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "echo", "echo something", Wait::Expect("else".into())).await;
}
