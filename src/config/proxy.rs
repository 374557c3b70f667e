//! The proxy variables every program knows: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in
//! capitals or not, read as curl reads them.
//!
//! `HTTPS_PROXY` is for endpoints that begin with `https://`, `HTTP_PROXY` for `http://`. Loopback is never
//! reached through a proxy, whatever `NO_PROXY` says: it is this machine's, and the proxy is not. A proxy
//! that could not be used is a mistake and not passed over: who sets one may have no other way out, or not
//! want one.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::proxy::matcher::Matcher;

use super::surroundings::Variables;
use crate::export::Proxy;

/// The proxy on the way to `endpoint`, if any.
///
/// # Errors
/// The variable that can not be used, and why. Its value may hold a password and is not quoted.
pub fn of(endpoint: &Uri, variables: &Variables) -> Result<Option<Proxy>, (String, String)> {
    if endpoint.host().is_none_or(is_loopback) {
        return Ok(None);
    }
    let encrypted = endpoint.scheme() == Some(&Scheme::HTTPS);
    let Some((name, value)) = chosen(encrypted, variables) else { return Ok(None) };
    let exceptions = first(&["NO_PROXY", "no_proxy"], variables).map_or("", |(_, value)| value);
    // Asked before the address is read: a proxy that is not used may be wrong.
    let excepted =
        Matcher::builder().all("http://proxy").no(exceptions).build().intercept(endpoint).is_none();
    if excepted {
        return Ok(None);
    }
    let wrong = |why: &str| (name.to_owned(), why.to_owned());
    let hint = "an address like `http://user:password@proxy:3128`";
    let not_one = || wrong(&format!("is not {hint}"));
    let intercept = Matcher::builder().all(value.trim()).build().intercept(endpoint).ok_or_else(not_one)?;
    let uri = intercept.uri();
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong(&format!("is a SOCKS proxy, which is not spoken here; give {hint}"))),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(not_one)?;
    Ok(Some(Proxy {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        // curl's default for a proxy without a port is 1080; nobody's proxy is there.
        port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        tls,
        credentials: intercept.basic_auth().cloned(),
    }))
}

/// The variable that decides, and its value.
fn chosen(encrypted: bool, variables: &Variables) -> Option<(&'static str, &str)> {
    let own: &[&'static str] = match encrypted {
        true => &["HTTPS_PROXY", "https_proxy"],
        // A web server sets `HTTP_PROXY` from a request's `Proxy` header for the programs it runs (httpoxy).
        false if variables.get("REQUEST_METHOD").is_some() => &["http_proxy"],
        false => &["HTTP_PROXY", "http_proxy"],
    };
    first(own, variables).or_else(|| first(&["ALL_PROXY", "all_proxy"], variables))
}

fn first<'a>(names: &[&'static str], variables: &'a Variables) -> Option<(&'static str, &'a str)> {
    names.iter().find_map(|name| Some((*name, variables.get(name)?)))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().map(|address| address.to_canonical());
    bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>(endpoint: &'static str, variables: [(&str, &str); N], expect: &str) {
        let said = match of(&Uri::from_static(endpoint), &Variables::from(variables)) {
            Ok(None) => "direct".to_owned(),
            Ok(Some(Proxy { host, port, tls, credentials })) => {
                let credentials = credentials.map(|value| format!(" {}", value.to_str().unwrap()));
                format!("{host}:{port}{}{}", if tls { " tls" } else { "" }, credentials.unwrap_or_default())
            }
            Err((name, why)) => format!("{name} {why}"),
        };
        assert_eq!(said, expect, "{endpoint} {variables:?}");
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_is_for_both() {
        let all = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2"), ("ALL_PROXY", "http://a:3")];
        check("https://h:4317", all, "s:1");
        check("http://h:4317", all, "p:2");
        check("https://h", [("all_proxy", "http://a:3")], "a:3");
        check("http://h", [("https_proxy", "http://s:1")], "direct");
        check("https://h", [("HTTPS_PROXY", "http://S:1"), ("https_proxy", "http://s:2")], "S:1");
        check("https://h", [], "direct");
    }

    #[test]
    fn addresses_are_read_with_credentials_and_without_a_scheme() {
        check(
            "https://h",
            [("HTTPS_PROXY", "http://us%40er:pa%3Ass@p:3128/")],
            "p:3128 Basic dXNAZXI6cGE6c3M=",
        );
        check("https://h", [("HTTPS_PROXY", "p:3128")], "p:3128");
        check("https://h", [("HTTPS_PROXY", "https://p")], "p:443 tls");
        check("https://h", [("HTTPS_PROXY", "http://[::1]:3128")], "::1:3128");
    }

    #[test]
    fn loopback_and_exceptions_are_reached_directly() {
        for endpoint in ["http://localhost:4317", "https://127.0.0.9", "http://[::1]:4317"] {
            check(endpoint, [("ALL_PROXY", "http://a:3")], "direct");
        }
        for except in ["h.example", ".example", "x, example", "*"] {
            check("https://h.example", [("ALL_PROXY", "http://a:3"), ("no_proxy", except)], "direct");
        }
        check("https://h.example", [("ALL_PROXY", "http://a:3"), ("NO_PROXY", "ample")], "a:3");
        check("https://10.1.2.3", [("ALL_PROXY", "http://a:3"), ("NO_PROXY", "10.0.0.0/8")], "direct");
        // What is not used may be wrong.
        check("https://h", [("HTTPS_PROXY", "socks5://s"), ("NO_PROXY", "h")], "direct");
    }

    #[test]
    fn what_can_not_be_used_is_said_and_not_quoted() {
        let hint = "an address like `http://user:password@proxy:3128`";
        check("https://h", [("HTTPS_PROXY", "http://secret@")], &format!("HTTPS_PROXY is not {hint}"));
        let socks = format!("all_proxy is a SOCKS proxy, which is not spoken here; give {hint}");
        check("https://h", [("all_proxy", "socks5://u:secret@p:1080")], &socks);
    }

    #[test]
    fn a_cgi_program_does_not_believe_its_callers() {
        check("http://h", [("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")], "direct");
        check("http://h", [("http_proxy", "http://p:2"), ("REQUEST_METHOD", "GET")], "p:2");
    }
}
