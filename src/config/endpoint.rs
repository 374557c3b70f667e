//! An upstream's endpoint: from what users write to a URL, and whether it leads back to ourselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::uri::Scheme;

use super::mistake::quoted;
use super::surroundings::Surroundings;
use super::words::Protocol;
use crate::receive::Listen;

/// Reads an endpoint. The protocol in the result is the one given, else what the endpoint suggests. What ends in
/// `/` is the same base without it, and another address where it is `exact`.
///
/// # Errors
/// What is wrong with it. The value is not quoted when it may hold a password.
pub fn read(text: &str, protocol: Option<Protocol>, exact: bool) -> Result<(Uri, Protocol), String> {
    let end_of = |text: &str| if exact { text.to_owned() } else { text.trim_end_matches('/').to_owned() };
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        return Err("holds a user or password; put them into `headers`, as `authorization`".to_owned());
    }
    let shown = quoted(text);
    let scheme = scheme.map(str::to_ascii_lowercase);
    match scheme.as_deref() {
        None | Some("http" | "https") => {}
        Some(known @ ("grpc" | "grpcs")) => {
            let meant = if known == "grpcs" { "https" } else { "http" };
            let meant = quoted(&format!("{meant}://{rest}"));
            return Err(format!(
                "{shown} has no scheme we know; did you mean {meant} with `protocol: grpc`?"
            ));
        }
        Some(_) => return Err(format!("{shown} has no scheme we know; it is `http://` or `https://`")),
    }
    if text.contains(['?', '#']) {
        let hint = "an endpoint is a scheme, a host, a port and a path";
        return Err(format!("{shown} has a query or fragment; {hint}"));
    }
    let url = format!("{}://{}", scheme.as_deref().unwrap_or("http"), end_of(rest));
    let uri: Uri = url.parse().map_err(|wrong| format!("{shown} is not a URL: {wrong}"))?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err(format!("{shown} has no host; write it like `http://gateway:4317`"));
    }
    let says_port = uri.authority().is_some_and(|authority| authority.as_str().len() > host.len());
    if says_port && uri.port_u16().unwrap_or(0) == 0 {
        let host = quoted(&format!("{host}:"));
        return Err(format!("{shown} has no port from 1 to 65535 after {host}"));
    }
    let protocol = protocol.unwrap_or_else(|| suggested(&uri));
    if scheme.is_none() && uri.port().is_none() {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
        let with_port = format!("http://{host}:{port}/{path}");
        return match end_of(&with_port).parse() {
            Ok(uri) => Ok((uri, protocol)),
            Err(wrong) => Err(format!("{shown} is not a URL: {wrong}")),
        };
    }
    Ok((uri, protocol))
}

/// gRPC has no path of its own, and 4318 is HTTP's port.
fn suggested(uri: &Uri) -> Protocol {
    let has_path = !matches!(uri.path(), "" | "/");
    if has_path || uri.port_u16() == Some(4318) { Protocol::HttpProtobuf } else { Protocol::Grpc }
}

/// Which of our own listeners the endpoint leads to, if any (faults F48).
pub fn leads_to<'a>(endpoint: &Uri, listen: &'a [Listen], surroundings: &Surroundings) -> Option<&'a Listen> {
    let default_port = if endpoint.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = endpoint.port_u16().unwrap_or(default_port);
    let same_port = |listen: &&Listen| matches!(listen, Listen::Tcp(address) if address.port() == port);
    // Port 0 is nobody's yet; and no name is looked up for a port that is not ours.
    let mut candidates = listen.iter().filter(same_port).peekable();
    candidates.peek()?;
    let addresses = addresses_of(endpoint.host()?, surroundings);
    candidates.find(|listen| match listen {
        Listen::Tcp(ours) => addresses.iter().any(|to| reaches(*to, ours.ip(), surroundings)),
        Listen::Unix(_) => false,
    })
}

fn addresses_of(host: &str, surroundings: &Surroundings) -> Vec<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return vec![address];
    }
    if bare.eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    (surroundings.resolve)(bare)
}

/// Whether a connection to `to` ends at a listener on `ours`.
fn reaches(to: IpAddr, ours: IpAddr, surroundings: &Surroundings) -> bool {
    let (to, ours) = (to.to_canonical(), ours.to_canonical());
    // Connecting to the unspecified address connects to loopback.
    let to = match to {
        IpAddr::V4(a) if a.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(a) if a.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => to,
    };
    let any_fits = match ours {
        IpAddr::V4(_) => to.is_ipv4(),
        // A listener on `[::]` takes IPv4 as well on most systems.
        IpAddr::V6(_) => true,
    };
    to == ours || (ours.is_unspecified() && any_fits && (surroundings.is_ours)(to))
}
