//! Counts the instructions of a step: this program again, under valgrind's callgrind.

use std::process::{Command, Stdio};

use crate::meter::COLLECTED;

/// Instructions of so many runs of a step, in user space.
pub fn count(step: &str, runs: u64) -> u64 {
    let this = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={COLLECTED}"))
        .arg(this)
        .args(["--run", step, &runs.to_string()])
        .stdout(Stdio::null())
        .output()
        .expect("valgrind is installed (apt-get install valgrind)");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected
        .filter(|_| output.status.success())
        .unwrap_or_else(|| panic!("callgrind counted nothing:\n{said}"))
}
