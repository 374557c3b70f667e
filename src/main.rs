//! The program: everything is in the library.

use std::process::ExitCode;

/// A request's bytes are taken by one thread and given back by another, and the join opens and closes
/// tens of thousands of traces a second: measured by `cargo bench --bench journey`, joining costs a fifth
/// less than with the C library's allocator; passing through, and memory when idle, are the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    spandrel::cli::main()
}
