//! HTTP/2: replies that go on, and callers that do not wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio_stream::StreamExt;

use super::abuse::until;
use super::fixture::*;
use crate::model::relay::{BoxError, Relay, Relayed, Streamed};

const PIECE: usize = 64 << 10;
/// More than the windows of a connection, several times.
const PIECES: usize = 256;

/// A server beyond, which answers as the path says, and counts what it still has to do.
#[derive(Debug, Default)]
struct Beyond {
    open: Arc<AtomicUsize>,
}

/// Counts for as long as it is kept.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Relay for Beyond {
    fn forward(self: Arc<Self>, request: Request<Streamed>, _: bool) -> Relayed {
        let open = Open::new(&self.open);
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            let whole = std::iter::repeat_with(|| Ok(Frame::data(Bytes::from(vec![7; PIECE]))));
            let mut frames: Vec<Result<_, BoxError>> = whole.take(PIECES).collect();
            match path.as_str() {
                "/api/silent" => std::future::pending().await,
                "/api/broken" => frames.push(Err("gone".into())),
                "/api/told" => {
                    let trailers =
                        HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("e"))]);
                    frames.push(Ok(Frame::trailers(trailers)));
                }
                _ => {}
            }
            let frames = tokio_stream::iter(frames).map(move |frame| {
                let _open = &open;
                frame
            });
            let response = Response::builder()
                .header("connection", "keep-alive, x-hop")
                .header("x-hop", "1")
                .header("keep-alive", "timeout=5")
                .header("transfer-encoding", "chunked");
            Ok(response.body(StreamBody::new(frames).boxed_unsync()).unwrap())
        })
    }

    fn page(&self, _: &Uri) -> Option<HeaderValue> {
        None
    }
}

async fn edge() -> (Edge, Arc<AtomicUsize>) {
    let beyond = Beyond::default();
    let open = beyond.open.clone();
    (Edge::with(With { relay: Some(Arc::new(beyond)), ..With::default() }).await, open)
}

#[tokio::test]
async fn a_reply_that_goes_on_comes_whole_without_what_was_said_of_another_connection() {
    let (edge, open) = edge().await;
    let mut sender = edge.http2().await;
    for (path, tag) in [("/api/whole", ""), ("/api/told", "e")] {
        let reply = sender.send_request(request("POST", path, &[], "")).await.unwrap();
        let reply = Answer::of(reply).await;
        assert_eq!((reply.status, reply.body.len()), (200, PIECES * PIECE), "{path}");
        for gone in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
            assert_eq!(reply.header(gone), "", "{path}: {gone}");
        }
        assert!(httpdate::parse_http_date(reply.header("date")).is_ok(), "{path}: {:?}", reply.headers);
        assert_eq!(reply.header("etag"), tag);
    }
    assert_eq!(open.load(Relaxed), 0);
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_no_shorter_one() {
    let (edge, _) = edge().await;
    let reply = edge.http2().await.send_request(request("POST", "/api/broken", &[], "")).await.unwrap();
    let error = reply.into_body().collect().await.unwrap_err();
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
}

#[tokio::test]
async fn what_a_caller_takes_back_is_done_no_more() {
    let (edge, open) = edge().await;
    let mut sender = edge.http2().await;
    let waits = tokio::spawn(sender.send_request(request("POST", "/api/silent", &[], "")));
    until(|| open.load(Relaxed) == 1).await;
    waits.abort();
    until(|| open.load(Relaxed) == 0).await;
    // The same of a reply that has begun, and waits for room.
    let reply = sender.send_request(request("POST", "/api/whole", &[], "")).await.unwrap();
    until(|| open.load(Relaxed) == 1).await;
    drop(reply);
    until(|| open.load(Relaxed) == 0).await;
}

#[tokio::test]
async fn refusals_say_their_length_and_grpc_does_not() {
    let edge = Edge::start().await;
    let refused = edge.http2().await.send_request(request("GET", "/v1/traces", &[], "")).await.unwrap();
    let refused = Answer::of(refused).await;
    assert_eq!(refused.header(CONTENT_LENGTH.as_str()), refused.body.len().to_string());
    let taken = edge.framed(&[], frame(0, &traces())).await;
    assert_eq!((taken.header("grpc-status"), taken.header(CONTENT_LENGTH.as_str())), ("0", ""));
}
