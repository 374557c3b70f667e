//! The chart and the injection, against a real API server with the real helm: `cargo test --test kube -- --ignored`.
//!
//! helm, kubectl, kubeconform, etcd and the API server are built from their Go modules (`tools/go.mod`) into
//! `target/kube`, once: some ten minutes on two cores, and nothing but Go has to be there. No kubelet runs, so pods
//! are stored and looked at, never started. With `UPDATE=1` what is expected is written anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails, saying where")]

mod chart;
mod cluster;
mod flat;
mod injection;
mod library;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    root().join("helm/spandrel")
}

/// The program under test.
fn spandrel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.env_clear();
    command
}

/// What a command writes to standard output, and to standard error; and whether it succeeded.
fn ran(command: &mut Command) -> (bool, String, String) {
    let output = command.output().unwrap_or_else(|fault| panic!("can't run {command:?}: {fault}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// What a command that must succeed writes to standard output.
fn output(command: &mut Command) -> String {
    let (well, out, err) = ran(command);
    assert!(well, "{command:?} failed:\n{out}\n{err}");
    out
}

/// Holds a text against the one in a file, or writes it there.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(path, text).expect("a writable checkout");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == text {
        return;
    }
    let number = expected.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    let show =
        |text: &str| text.lines().skip(number.saturating_sub(2)).take(12).collect::<Vec<_>>().join("\n");
    panic!(
        "{} is not as expected from line {}; if it is as it should be, run once with UPDATE=1\n-- expected:\n{}\n-- is:\n{}",
        path.display(),
        number + 1,
        show(&expected),
        show(text)
    );
}
