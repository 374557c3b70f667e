//! Reading an upstream's reply, by itself: for `fuzz/`, which has no upstream.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;

use super::broken::Broken;
use super::classify::Verdict;
use super::{grpc, http as otlp_http};
use crate::wire::Signal;
use crate::wire::reply::Encoding;

/// What a reply was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Taken, but for so many items.
    Delivered { rejected: u64, message: String },
    /// To be sent again, after the pause it asked for.
    Retry { trouble: &'static str, after: Option<std::time::Duration>, message: String },
    /// Not wanted, now or ever.
    Refused { reason: &'static str, message: String },
    /// It ended before it said anything.
    Cut(String),
}

/// Reads a reply to a gRPC call. `now` is in Unix seconds.
pub async fn grpc(signal: Signal, reply: Response<Vec<Frame<Bytes>>>, now: u64) -> Read {
    Read::of(grpc::verdict(signal, reply.map(body), now).await)
}

/// Reads a reply to a request over HTTP that was in this encoding.
pub async fn http(signal: Signal, asked: Encoding, reply: Response<Vec<Frame<Bytes>>>, now: u64) -> Read {
    Read::of(otlp_http::verdict(signal, asked, reply.map(body), now).await)
}

fn body(frames: Vec<Frame<Bytes>>) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(tokio_stream::iter(frames.into_iter().map(Ok)))
}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Read {
    fn of(verdict: Result<Verdict, Broken>) -> Self {
        match verdict {
            Ok(Verdict::Delivered { rejected, message }) => Self::Delivered { rejected, message },
            Ok(Verdict::Retry(again)) => {
                Self::Retry { trouble: again.trouble.name(), after: again.after, message: again.message }
            }
            Ok(Verdict::Refused { reason, message }) => Self::Refused { reason: reason.name(), message },
            Err(broken) => Self::Cut(broken.message),
        }
    }
}
