//! The conformance runner: OTLP line by line, asked of a program from outside.
//!
//! Without arguments, as `cargo test` runs it, it starts our own program, runs every line and compares
//! the table with `docs/conformance.md`. With arguments it asks any other server or collector:
//!
//! ```text
//! cargo test --test conformance -- --name NAME --grpc HOST:PORT --http HOST:PORT   # the server's lines
//!     [--client-listen HOST:PORT]   # plays the upstream there; the peer forwards to it over gRPC and HTTP
//!     [--results FILE]              # keeps what was found for the table
//! cargo test --test conformance -- --write    # our own lines, and the table written anew
//! cargo test --test conformance -- GS         # only lines whose id begins so
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a check that can't go on fails, saying where")]

mod backend;
mod call;
mod check;
mod client;
mod grpc;
#[path = "../it/harness/mod.rs"]
mod harness;
mod http;
mod json;
mod make;
mod options;
mod overload;
mod peer;
mod protobuf;
mod run;
mod server;
mod survive;
mod table;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let is_well = runtime.block_on(run::run(options));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
