//! Says how the image's binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The image's binary: what places it in memory takes half a megabyte, packed a few kilobytes.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
