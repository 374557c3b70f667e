//! `rules`: conformance A4 line by line. `oracle`: prost as the judge, both directions. `full`: requests in
//! which every field of OTLP is set. `generate`: requests nobody would write.

mod full;
mod generate;
mod oracle;
mod rules;

use super::*;

const ROOMY: usize = 64 << 20;

fn parse(signal: Signal, json: &str) -> Result<Vec<u8>, JsonError> {
    to_protobuf(signal, json.as_bytes(), ROOMY)
}
