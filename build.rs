//! Says how the program is linked.

use std::env::{var, var_os};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Functions that came out alike are there once. lld can, which Rust links with on x86-64 unless told otherwise.
const FOLD: &str = "-Wl,--icf=all";
/// What places it in memory takes half a megabyte, packed a few kilobytes. glibc reads that since 2.36.
const PACK: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Into the image's binary its library is linked, and that can.
    let is_static = var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl");
    if linked_with(PACK).is_some_and(|nothing| is_static || runs(&nothing)) {
        println!("cargo::rustc-link-arg-bins={PACK}");
    }
    if linked_with(FOLD).is_some() {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
}

/// A program that does nothing, with the linker and the flags that the real one gets; none if they can not do it.
fn linked_with(argument: &str) -> Option<PathBuf> {
    let (rustc, target, out) = (var_os("RUSTC")?, var("TARGET").ok()?, PathBuf::from(var_os("OUT_DIR")?));
    let (source, program) = (out.join("nothing.rs"), out.join("nothing"));
    std::fs::write(&source, "fn main() {}").ok()?;
    let mut command = Command::new(rustc);
    command.arg(source).arg("-o").arg(&program).args(["--target", &target]);
    if let Ok(linker) = var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    command.args(
        var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().split('\u{1f}').filter(|flag| !flag.is_empty()),
    );
    command.arg(format!("-Clink-arg={argument}"));
    succeeds(&mut command).then_some(program)
}

/// Whether it runs here, and so where the real one is likely to. Told to count what it does, it leaves that beside it.
fn runs(program: &Path) -> bool {
    var("HOST") == var("TARGET")
        && succeeds(Command::new(program).current_dir(program.parent().unwrap_or(program)))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
