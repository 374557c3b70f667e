//! The program: everything is in the library.

mod allocator;
mod leftovers;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_pages(spandrel::config::cgroup_limit("/".as_ref()));
    spandrel::cli::main(leftovers::give_back)
}
