//! `spandrel run`.

use std::process::ExitCode;

use crate::config::Plan;

pub fn run(plan: Plan) -> ExitCode {
    let _ = plan;
    super::fail("`run` is not built yet")
}
