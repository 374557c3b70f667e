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
