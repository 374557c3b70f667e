//! `spandrel tail`.

use std::process::ExitCode;

pub fn run(address: &str) -> ExitCode {
    super::fail(format!("can't follow {address}: `tail` is not built yet"))
}
