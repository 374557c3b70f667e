//! Requests that are not OTLP, where a platform stands behind us whose SDK's host is set to us: its calls are
//! handed on, and a person's browser is sent to the platform's own pages.
//!
//! The surprise: not everyone who may send may borrow our credentials. They open the platform's whole API, and a
//! web page can make a browser call loopback. So they are lent to callers that showed a credential of ours; and
//! where none is asked for, to those that call us by an address, as no page from elsewhere does without
//! saying so.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, LOCATION, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::{Broken, Coming, drain};
use super::conn::lingers;
use super::refusal::{Refusal, quoted};
use super::respond::{self, Reply};
use crate::model::Relay;
use crate::model::origin::{HOPS, HOPS_MAX, hops};

/// Where the platform's API begins. What a browser gets outside of it is a page.
const API: &str = "/api/";
/// How a browser says whether one site's page calls another.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a browser that asks for this finds it, if it is a page.
pub fn page(relay: &dyn Relay, parts: &Parts) -> Option<Response<Reply>> {
    let looks = parts.method == Method::GET || parts.method == Method::HEAD;
    if !looks || parts.uri.path().starts_with(API) {
        return None;
    }
    let mut response = respond::nothing(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(LOCATION, relay.page(&parts.uri)?);
    Some(response)
}

/// Whether a request may be handed on at all.
///
/// # Errors
/// A method that is for proxies or would show the caller what we added; a loop.
pub fn check(parts: &Parts) -> Result<(), Refusal> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method(quoted(parts.method.as_str())));
    }
    if !parts.uri.path().starts_with('/') {
        return Err(Refusal::Path(quoted(parts.uri.path())));
    }
    let hops = hops(parts.headers.get_all(HOPS).iter().map(|value| value.as_bytes()));
    if hops > HOPS_MAX { Err(Refusal::Loop { hops }) } else { Ok(()) }
}

/// Hands a request on. `is_known`: the caller has shown a credential of ours.
pub async fn hand_on(
    relay: &Arc<dyn Relay>,
    parts: Parts,
    body: Coming,
    is_known: bool,
) -> Result<Response<Reply>, Refusal> {
    let may_borrow = is_known || calls_an_address(&parts);
    let body = Rest { body: Some(body), lingers: lingers(&parts) };
    let request = http::Request::from_parts(parts, body.map_err(Into::into).boxed_unsync());
    let reply = relay.clone().forward(request, may_borrow).await.map_err(Refusal::Unreached)?;
    Ok(reply.map(|body| Reply::Stream(tonic::body::Body::new(body))))
}

/// A body on its way. What of it nobody wants, because there is no server or it has replied, is read all the same
/// where its sender could not see a reply before: see [`lingers`].
struct Rest {
    body: Option<Coming>,
    lingers: usize,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| self.lingers > 0 && !body.is_end_stream())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(drain(body, self.lingers));
        }
    }
}

/// Whether we are called by an IP address or as `localhost`, and not by a web page: its origin would be named,
/// and one that had its own name lead here would call us by that.
fn calls_an_address(parts: &Parts) -> bool {
    let of_page = parts.headers.contains_key(ORIGIN) || parts.headers.contains_key(SEC_FETCH_SITE);
    let called = parts.uri.authority().cloned().or_else(|| host(&parts.headers));
    let is_address = called.is_some_and(|called| {
        let bare = called.host().trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
    });
    is_address && !of_page
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    Authority::try_from(headers.get(HOST)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = http::Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn credentials_are_not_lent_to_web_pages() {
        let check = |uri, headers: &[(&str, &str)], expect| {
            assert_eq!(calls_an_address(&asked("GET", uri, headers)), expect, "{uri} {headers:?}");
        };
        for host in ["127.0.0.1:4318", "localhost:4318", "LOCALHOST", "[::1]:4318", "10.1.2.3"] {
            check("/api/public/projects", &[("host", host)], true);
            check("/api/public/projects", &[("host", host), ("origin", "https://evil.example")], false);
            check("/api/public/projects", &[("host", host), ("sec-fetch-site", "cross-site")], false);
        }
        // A name that leads to loopback is what a rebinding page calls us by.
        check("/api/public/projects", &[("host", "evil.example:4318")], false);
        check("/api/public/projects", &[("host", "not a host")], false);
        check("/api/public/projects", &[], false);
        check("http://evil.example/api/public/projects", &[("host", "127.0.0.1")], false);
    }

    #[test]
    fn what_is_for_proxies_or_goes_round_is_not_handed_on() {
        let check = |method, uri, headers: &[(&str, &str)]| {
            check(&asked(method, uri, headers)).map_err(|refusal| refusal.http().as_u16())
        };
        assert_eq!(check("PATCH", "/api/public/x", &[("spandrel-hops", "8")]), Ok(()));
        assert_eq!(check("PATCH", "/api/public/x", &[("spandrel-hops", "9")]), Err(508));
        assert_eq!(check("TRACE", "/api/public/x", &[]), Err(405));
        assert_eq!(check("CONNECT", "server.example:443", &[]), Err(405));
        assert_eq!(check("OPTIONS", "*", &[]), Err(404));
    }
}
