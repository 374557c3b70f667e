//! A call that ended without a reply: what that says of the upstream, and of whether it saw the call.
//!
//! HTTP/2 says so in so many words: a stream it refused, or above the last one of a GOAWAY, was not looked
//! at (RFC 9113, 6.8 and 8.7), so sending it again at once can not double anything.

use super::classify::{self, Verdict};

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The call was not looked at; its connection takes no more.
    Unheard,
    /// The call was not looked at; its connection is as good as before.
    TurnedAway,
    /// This call alone; its connection is as good as before.
    Call,
    /// The connection, perhaps after the upstream had read the call.
    Connection,
    /// The reply: larger than we read, or against the protocol.
    Reply,
}

/// A call without a whole reply.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub end: End,
    pub message: String,
}

impl Broken {
    /// A reply that stopped where more should have come.
    pub fn short(message: &str) -> Self {
        Self { end: End::Call, message: message.to_owned() }
    }

    /// The connection may carry the next call.
    pub fn leaves_connection(&self) -> bool {
        matches!(self.end, End::Call | End::TurnedAway)
    }

    /// The verdict of it, on a connection that had `served` before or not.
    pub fn verdict(self, served: bool) -> Verdict {
        match self.end {
            End::Unheard | End::TurnedAway => classify::unheard(self.message),
            End::Call => classify::call_cut(self.message),
            End::Connection => classify::cut(served, self.message),
            End::Reply => classify::reply_too_large(self.message),
        }
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self { end: end(&error), message: words(&error) }
    }
}

fn end(error: &hyper::Error) -> End {
    if error.is_canceled() || error.is_closed() {
        return End::Unheard;
    }
    if error.is_parse_too_large() {
        return End::Reply;
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    let Some(h2) = source else { return End::Connection };
    match h2.reason() {
        Some(h2::Reason::REFUSED_STREAM) if h2.is_reset() => End::TurnedAway,
        // Our own side found the headers or trailers larger than it may read, or unreadable.
        Some(h2::Reason::ENHANCE_YOUR_CALM | h2::Reason::PROTOCOL_ERROR) if h2.is_library() => End::Reply,
        Some(_) if h2.is_go_away() && h2.is_remote() => End::Unheard,
        Some(_) if h2.is_reset() => End::Call,
        _ => End::Connection,
    }
}

/// An error with its causes: hyper's own text alone says little.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
