//! What is not OTLP, on its way through: the words in which the two edges speak of it.
//!
//! An SDK whose host is set to us asks its server for more than it exports: projects, prompts, scores. `receive`
//! has the caller and `export` the way to the server, and neither sees the other; they meet here. Nothing here
//! forwards anything.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;

/// What a body breaks off with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body that is passed on as it comes.
pub type Streamed = UnsyncBoxBody<Bytes, BoxError>;
/// The server's reply, once its head is here.
pub type Relayed = Pin<Box<dyn Future<Output = Result<Response<Streamed>, Unreached>> + Send>>;

/// The way to the server behind us.
pub trait Relay: fmt::Debug + Send + Sync {
    /// Hands a request on; its path is the caller's. A caller without `authorization` that `may_borrow` is lent
    /// the configured one.
    fn forward(self: Arc<Self>, request: Request<Streamed>, may_borrow: bool) -> Relayed;

    /// The address of a page of the server's own, for a person's browser.
    fn page(&self, asked: &Uri) -> Option<HeaderValue>;
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// As many requests are on their way as may be.
    Busy,
    /// No connection, or one that ended before a reply began. In words.
    Unreachable(String),
    /// No reply began within this.
    Silent(Duration),
}

/// What belongs to one connection and not to the message (RFC 9110, 7.6.1), and what only we read.
const STAYS: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes what belongs to the connection it came by, and what that connection's own header names.
pub fn leave_what_stays(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&STAYS) {
        headers.remove(name);
    }
}
