//! Addresses and URLs.

use core::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::{LIST, TEXT, pure};
use crate::rules::functions::{Converter, Given, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] = &[
    pure("IsInCIDR", &[must("target", TEXT), must("networks", LIST)], Types::BOOL, is_in_cidr),
    pure("URL", &[must("url_string|uri", TEXT)], Types::MAP, url),
];

fn is_in_cidr<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let (text, networks) = (given.text(0)?, given.list(1)?);
    let address: IpAddr = text.parse().map_err(|_| Trouble(format!("`{text}` is no address")))?;
    for network in networks {
        let Value::Str(network) = network.open() else {
            return Err(Trouble::new("wanted a list of strings"));
        };
        let (base, bits) = cidr(&network).ok_or_else(|| Trouble(format!("`{network}` is no network")))?;
        if contains(base, bits, address) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (base, bits) = text.split_once('/')?;
    let (base, bits): (IpAddr, u32) = (base.parse().ok()?, bits.parse().ok()?);
    (bits <= if base.is_ipv4() { 32 } else { 128 }).then_some((base, bits))
}

fn contains(base: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (base, address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            base.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            base.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// The parts of a URL under their names in the semantic conventions (RFC 3986, appendix B).
fn url<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let original = given.text(0)?.into_owned();
    if original.chars().any(char::is_control) {
        return Err(Trouble::new("a URL has no control characters"));
    }
    let (rest, fragment) = cut(&original, '#');
    let (rest, query) = cut(rest, '?');
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, authority),
    };
    let (domain, port) = match host.rsplit_once(':') {
        Some((domain, port)) if !port.contains(']') => (domain, port),
        _ => (host, ""),
    };
    let mut map = Map::default();
    let mut put = |key: &'static str, value: &str| map.set(key, Value::text(value.to_owned()));
    put("url.original", &original);
    put("url.domain", domain.trim_start_matches('[').trim_end_matches(']'));
    put("url.scheme", &scheme.to_ascii_lowercase());
    let path = decoded(path);
    put("url.path", &path);
    fragment.into_iter().for_each(|fragment| put("url.fragment", &decoded(fragment)));
    query.filter(|query| !query.is_empty()).into_iter().for_each(|query| put("url.query", query));
    let file = path.rsplit('/').next().unwrap_or_default();
    if let Some((_, extension)) = file.rsplit_once('.').filter(|(_, extension)| !extension.is_empty()) {
        put("url.extension", extension);
    }
    if let Some(user_info) = user_info {
        let (user, password) = cut(user_info, ':');
        put("url.user_info", user_info);
        put("url.username", &decoded(user));
        password.into_iter().for_each(|password| put("url.password", &decoded(password)));
    }
    if !port.is_empty() {
        let port: u16 = port.parse().map_err(|_| Trouble(format!("`{port}` is no port")))?;
        map.set("url.port", Value::Int(i64::from(port)));
    }
    Ok(Value::Map(map))
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn is_scheme(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
