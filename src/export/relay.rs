//! Hands on what is not OTLP to the server behind an upstream, over connections like those batches go by.
//!
//! A request goes as it came but for what belongs to the connection (RFC 9110, 7.6.1), and so does the reply;
//! bodies stream both ways and are never held whole. Nothing is followed, cached or read, and nothing is tried
//! again but what certainly was not heard: a connection that had rested may be gone when it is used. The
//! surprise: credentials are lent to a caller without its own only where `receive` says it may borrow them.

mod paced;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::paced::{Lent, Paced};
use super::broken::Broken;
use super::dial::Dialer;
use super::line::{Line, Live, Unsent};
use super::names::Resolver;
use super::target::Target;
use super::{Settings, SetupError};
use crate::model::origin::{HOPS, hops};
use crate::model::relay::{Relay, Relayed, Streamed, Unreached, leave_what_stays};
use crate::telemetry::Meters;

/// Requests on their way at once; one more is told to come again.
const AT_ONCE_MAX: usize = 64;
/// Connections kept for the next request; more are opened when more are needed.
const LINES: usize = 8;
/// From a request's head to its reply's. SDKs give up after seconds, uploads take longer.
const REPLY_MAX: Duration = Duration::from_secs(120);
/// The longest silence inside a body, either way.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Calls on connections that turn out to be gone, before the upstream counts as unreachable.
const ATTEMPTS_MAX: usize = 3;

/// What the `what` label tells apart; all else is `other`.
const KINDS: [&str; 10] = [
    "scores",
    "ingestion",
    "prompts",
    "media",
    "datasets",
    "dataset-items",
    "dataset-run-items",
    "traces",
    "observations",
    "projects",
];

/// The way to one server.
#[derive(Debug)]
struct Way {
    base: Uri,
    dialer: Dialer,
    lines: Vec<Arc<Line<Streamed>>>,
    /// Configured headers, `authorization` aside.
    fixed: HeaderMap,
    /// `authorization` for callers that may borrow it.
    lent: Option<HeaderValue>,
    room: Arc<Semaphore>,
    meters: Arc<Meters>,
}

/// The way to the server behind an upstream, if it has one that callers may want more of.
///
/// # Errors
/// The endpoint, a header or a TLS file can not be used.
pub fn relay(upstream: &Settings, meters: &Arc<Meters>) -> Result<Option<Arc<dyn Relay>>, SetupError> {
    let Some(base) = upstream.base.clone() else { return Ok(None) };
    let dialer = Dialer::new(upstream, &Target::new(upstream)?, Resolver::system())?;
    let mut fixed: HeaderMap = upstream.headers.iter().cloned().collect();
    let configured = fixed.remove(header::AUTHORIZATION);
    Ok(Some(Arc::new(Way {
        base,
        dialer,
        lines: (0..LINES).map(|_| Arc::default()).collect(),
        fixed,
        lent: configured.or_else(|| upstream.lent.clone()).map(sensitive),
        room: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        meters: meters.clone(),
    })))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

impl Relay for Way {
    fn forward(self: Arc<Self>, request: Request<Streamed>, may_borrow: bool) -> Relayed {
        Box::pin(async move {
            let what = kind(request.uri().path());
            let method = request.method().clone();
            let reply = self.exchange(self.outgoing(request, may_borrow)).await;
            let outcome = match &reply {
                Ok(reply) => class(reply.status().as_u16()),
                Err(Unreached::Busy) => "busy",
                Err(Unreached::Unreachable(_)) => "unreachable",
                Err(Unreached::Silent(_)) => "silent",
            };
            self.meters.relayed.with_label_values(&[what, known(&method), outcome]).inc();
            reply
        })
    }

    fn page(&self, asked: &Uri) -> Option<HeaderValue> {
        let address = HeaderValue::from_str(&self.address(asked)?.to_string()).ok()?;
        self.meters.relayed.with_label_values(&["page", "GET", "3xx"]).inc();
        Some(address)
    }
}

impl Way {
    /// Where a caller's path is found at the server.
    fn address(&self, asked: &Uri) -> Option<Uri> {
        let prefix = self.base.path().trim_end_matches('/');
        let path = format!("{prefix}{}", asked.path_and_query().map_or("/", PathAndQuery::as_str));
        let (scheme, authority) = (self.base.scheme()?.clone(), self.base.authority()?.clone());
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
    }

    /// The request as the server gets it.
    fn outgoing(&self, request: Request<Streamed>, may_borrow: bool) -> Request<Streamed> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.address(&parts.uri).unwrap_or_default();
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        let been_through = hops(headers.get_all(HOPS).iter().map(HeaderValue::as_bytes));
        leave_what_stays(headers);
        headers.extend(self.fixed.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.insert(HeaderName::from_static(HOPS), HeaderValue::from(been_through.saturating_add(1)));
        headers.append(header::VIA, HeaderValue::from_static("1.1 spandrel"));
        if let Some(lent) = self.lent.as_ref().filter(|_| may_borrow) {
            headers.entry(header::AUTHORIZATION).or_insert_with(|| lent.clone());
        }
        Request::from_parts(parts, body)
    }

    async fn exchange(&self, request: Request<Streamed>) -> Result<Response<Streamed>, Unreached> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| Unreached::Busy)?;
        // Whoever is alone always finds the same connection; the others spread.
        let busy = AT_ONCE_MAX.saturating_sub(self.room.available_permits() + 1);
        let Some(line) = self.lines.get(busy % LINES) else { return Err(Unreached::Busy) };
        let request = request.map(|body| Paced::new(body, SILENCE_MAX).boxed_unsync());
        let called = timeout_at(Instant::now() + REPLY_MAX, self.call(line, request)).await;
        let (mut reply, live) = called.map_err(|_| Unreached::Silent(REPLY_MAX))??;
        leave_what_stays(reply.headers_mut());
        let lent = Lent { line: line.clone(), live, _room: room };
        Ok(reply.map(|body| Paced::of_reply(body, SILENCE_MAX, lent).boxed_unsync()))
    }

    /// Calls until a connection is found that is heard.
    async fn call(
        &self,
        line: &Line<Streamed>,
        mut request: Request<Streamed>,
    ) -> Result<(Response<Incoming>, Live<Streamed>), Unreached> {
        let mut copy = bodiless(&request);
        let mut attempt = 1;
        loop {
            let mut live = match line.connection(&self.dialer).await {
                Ok(live) => live,
                Err(error) => return Err(self.unreachable(&error.to_string())),
            };
            let Unsent(error, unsent) = match live.try_send(request).await {
                Ok(reply) => return Ok((reply, live)),
                Err(unsent) => unsent,
            };
            let served = live.has_served();
            line.discard(live).await;
            match unsent.or_else(|| copy.take()).filter(|_| served && attempt < ATTEMPTS_MAX) {
                Some(again) => request = again,
                None => return Err(self.unreachable(&Broken::from(error).message)),
            }
            attempt += 1;
        }
    }

    fn unreachable(&self, why: &str) -> Unreached {
        let base = self.base.to_string();
        tracing::debug!(base, why, "a request could not be handed on");
        Unreached::Unreachable(format!("{}: {why}", base.trim_end_matches('/')))
    }
}

/// A copy of a request that has no body and asks for no change, so that it may be made twice.
fn bodiless(request: &Request<Streamed>) -> Option<Request<Streamed>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// What a path is about: the last of its parts that is known, so that the scores of a project are scores.
fn kind(path: &str) -> &'static str {
    let of_part = |part: &str| KINDS.into_iter().find(|kind| *kind == part);
    path.rsplit('/').find_map(of_part).unwrap_or("other")
}

fn known(method: &http::Method) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| method.as_str() == *known)
        .unwrap_or("other")
}

const fn class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests;
