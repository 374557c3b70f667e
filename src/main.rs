//! The program: everything is in the library.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_pages();
    spandrel::cli::main()
}
