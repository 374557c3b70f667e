//! The program: everything is in the library.

mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_pages(spandrel::config::cgroup_limit("/".as_ref()));
    // Tests tell what a debug build holds from its own many pages, and count on those to stay.
    let settled: fn() = if cfg!(debug_assertions) { || {} } else { memory::give_back };
    spandrel::cli::main(settled)
}
