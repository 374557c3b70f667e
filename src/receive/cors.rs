//! Browsers: only pages of origins that are named may send, and by default none are (conformance HS19).
//!
//! A browser asks before it sends OTLP, since neither media type is one it may send unasked. So a refused
//! question is all it takes; what else comes with an `origin` needs no refusing.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use super::refusal::{Refusal, quoted};
use super::respond::{self, Reply};

/// How long a browser may remember the answer: two hours, the most the common ones do.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// `scheme://host[:port]` each, in lower case as browsers write them, or `*` for all.
    pub fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// The answer to a browser's question; `None` when this is no such question, or nobody is allowed.
    pub fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Result<Response<Reply>, Refusal>> {
        let origin = headers.get(ORIGIN)?;
        let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.origins.is_empty() {
            return None;
        }
        if !self.allows(origin) {
            return Some(Err(Refusal::Origin(quoted(&String::from_utf8_lossy(origin.as_bytes())))));
        }
        let mut response = respond::nothing(StatusCode::NO_CONTENT);
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // An SDK's headers are the page's own affair; whoever trusts the page trusts them.
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(Ok(response))
    }

    /// Lets a page of an allowed origin read the response.
    pub fn mark(&self, asked: &HeaderMap, response: &mut Response<Reply>) {
        if self.origins.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = asked.get(ORIGIN).filter(|origin| self.allows(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|known| known == "*" || known.as_bytes() == origin.as_bytes())
    }
}
