//! `CommunityID`: one name for both directions of a network flow (Community ID specification, version 1).

use core::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{INT, TEXT, pure};
use crate::rules::functions::{Converter, Given, Takes, may, must};
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const PROTOCOLS: [(&str, u8); 6] =
    [("ICMP", 1), ("TCP", 6), ("UDP", 17), ("RSVP", 46), ("ICMP6", 58), ("SCTP", 132)];

pub const CONVERTERS: &[Converter] = &[pure(
    "CommunityID",
    &[
        must("source_ip", TEXT),
        must("source_port", INT),
        must("destination_ip", TEXT),
        must("destination_port", INT),
        may("protocol", TEXT),
        may("seed", Takes::Value(Types::INT)),
    ],
    Types::STR,
    community_id,
)];

fn community_id<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let source = (address(&given.text(0)?)?, port(given.int(1)?)?);
    let destination = (address(&given.text(2)?)?, port(given.int(3)?)?);
    let name = given.text_or(4, "TCP")?;
    let protocol = PROTOCOLS.iter().find(|(known, _)| *known == name);
    let (_, protocol) = protocol.ok_or_else(|| Trouble(format!("`{name}` is no protocol that is known")))?;
    let seed = match given.value(5) {
        Value::Nil => 0,
        Value::Int(seed) => u16::try_from(seed).map_err(|_| Trouble(format!("{seed} is no seed")))?,
        other => return Err(Trouble::wanted("an integer", &other)),
    };
    // The lower end comes first: addresses of four bytes before those of sixteen.
    let order = |end: &(Vec<u8>, u16)| (end.0.len(), end.0.clone(), end.1);
    let (low, high) =
        if order(&source) <= order(&destination) { (source, destination) } else { (destination, source) };
    let flow = [
        &seed.to_be_bytes()[..],
        &low.0,
        &high.0,
        &[*protocol, 0],
        &low.1.to_be_bytes(),
        &high.1.to_be_bytes(),
    ];
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &flow.concat());
    Ok(Value::text(format!("1:{}", STANDARD.encode(hash))))
}

fn address(text: &str) -> Result<Vec<u8>, Trouble> {
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => Ok(address.octets().to_vec()),
        Ok(IpAddr::V6(address)) => Ok(address.octets().to_vec()),
        Err(_) => Err(Trouble(format!("`{text}` is no address"))),
    }
}

fn port(number: i64) -> Result<u16, Trouble> {
    u16::try_from(number).map_err(|_| Trouble(format!("{number} is no port")))
}
