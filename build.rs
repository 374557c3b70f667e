//! Generates the inspection API's types and service from `proto/`, in Rust alone: no protoc needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["spandrel/v1/inspection.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".spandrel.v1.JoinedTrace").compile_fds(files)?;
    Ok(())
}
