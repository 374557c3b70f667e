//! Generates the inspection API's types and service from `proto/`, in Rust alone: no protoc needed. The
//! compiled file is kept beside them, for reflection to show.

use std::path::PathBuf;

const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let mut compiler = protox::Compiler::new([PROTO])?;
    compiler.include_imports(true).include_source_info(true).open_file("spandrel/v1/inspection.proto")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("inspection.bin"), compiler.encode_file_descriptor_set())?;
    let files = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".spandrel.v1.JoinedTrace")
        .compile_fds(files)?;
    Ok(())
}
