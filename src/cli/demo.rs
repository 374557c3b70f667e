//! `spandrel demo`.

use std::process::ExitCode;

use crate::config::Plan;

pub fn run(plan: Plan) -> ExitCode {
    let _ = plan;
    super::fail("`demo` is not built yet")
}
