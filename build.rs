//! Says how the program is linked.

use std::env::{var, var_os};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Functions that came out alike are there once. lld can, which Rust links with on x86-64 unless told otherwise.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The image's binary: what places it in memory takes half a megabyte, packed a few kilobytes.
    if var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if can_link_with(FOLD) {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
}

/// Tried on a program that does nothing, with the linker and the flags that the real one gets.
fn can_link_with(argument: &str) -> bool {
    let (Some(rustc), Ok(target), Some(out)) = (var_os("RUSTC"), var("TARGET"), var_os("OUT_DIR")) else {
        return false;
    };
    let out = PathBuf::from(out);
    let source = out.join("nothing.rs");
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut command = Command::new(rustc);
    command.arg(source).arg("-o").arg(out.join("nothing")).args(["--target", &target]);
    if let Ok(linker) = var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    command.args(
        var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().split('\u{1f}').filter(|flag| !flag.is_empty()),
    );
    command.arg(format!("-Clink-arg={argument}"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
