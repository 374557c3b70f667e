//! The command line. What `cargo test` passes on to every test program is understood or passed over.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

#[derive(Debug, Default)]
pub struct Options {
    pub name: Option<String>,
    pub grpc: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    /// Where to play the upstream of a client under test.
    pub client_listen: Option<SocketAddr>,
    /// Where to keep what was found about a stranger.
    pub results: Option<PathBuf>,
    /// Write the table instead of comparing it.
    pub write: bool,
    /// Only print the lines.
    pub list: bool,
    /// Beginnings of ids; none means all.
    pub only: Vec<String>,
}

const HELP: &str = "usage: [--grpc HOST:PORT] [--http HOST:PORT] [--client-listen HOST:PORT] [--name NAME] \
[--results FILE] | [--write] | [--list] [ID…]

--client-listen plays an upstream at that address. The peer under test is fed at --grpc and must forward
what it takes there, over OTLP/gRPC, over OTLP/HTTP, or both. Let it try again soon (pauses of a second at
most) and hold nothing back for long: a line waits 20 s for what it asks to see.";

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{HELP}"));
            match argument.as_str() {
                "--name" => options.name = Some(value()?),
                "--grpc" => options.grpc = Some(address(&value()?)?),
                "--http" => options.http = Some(address(&value()?)?),
                "--client-listen" => options.client_listen = Some(address(&value()?)?),
                "--results" => options.results = Some(value()?.into()),
                "--write" => options.write = true,
                "--list" => options.list = true,
                "--help" | "-h" => return Err(HELP.into()),
                // libtest's own.
                "--skip" | "--test-threads" | "--format" | "--color" | "-Z" => drop(value()?),
                _ if argument.starts_with('-') => {}
                _ => options.only.push(argument),
            }
        }
        match options.client_listen.is_some() && options.grpc.is_none() {
            true => Err(format!("a client is fed through its own receiver: say where with --grpc\n{HELP}")),
            false => Ok(options),
        }
    }

    /// Whether somebody else is asked.
    pub fn is_stranger(&self) -> bool {
        self.grpc.is_some() || self.http.is_some()
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| format!("{text:?} is no HOST:PORT\n{HELP}"))
}
