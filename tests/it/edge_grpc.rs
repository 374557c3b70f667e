//! OTLP/gRPC at the edge, line by line (conformance GS): framing, deadlines, and what a failure is called.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use spandrel::wire::Signal;
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Proxy, made};

/// What an Export call with this body and these headers ends with: `grpc-status` and its headers.
async fn called<B>(proxy: &Proxy, headers: &[(&str, &str)], body: B) -> (String, HeaderMap)
where
    B: hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let socket = TcpStream::connect(proxy.grpc()).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.unwrap();
    let driven = tokio::spawn(connection);
    let mut request = Request::post(format!("http://edge{}", Signal::Traces.grpc_path()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = sender.send_request(request.body(body).unwrap());
    let reply = tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time").unwrap();
    let (head, body) = reply.into_parts();
    let mut all = head.headers;
    all.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
    driven.abort();
    (all["grpc-status"].to_str().unwrap().to_owned(), all)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), message].concat()
}

#[tokio::test]
async fn gs11_a_second_message_on_a_unary_call_is_an_error() {
    let proxy = Proxy::with("").await;
    let message = framed(&made::request(made::trace(1, 1)).encode_to_vec());
    for tail in [message.as_slice(), &[0]] {
        let body = Full::new(Bytes::from([&message, tail].concat()));
        let (status, headers) = called(&proxy, &[], body).await;
        assert_eq!(status, "3", "{headers:?}");
        assert!(headers.contains_key("grpc-status-details-bin"));
    }
    let received = proxy.metrics().await.sum("spandrel_receiver_received_items_total", &[]);
    assert_eq!(received, 0, "nothing of it was taken");
}

#[tokio::test]
async fn gs13_a_call_ends_when_its_timeout_says() {
    let proxy = Proxy::with("").await;
    let message = framed(&made::request(made::trace(1, 1)).encode_to_vec());
    let half = Bytes::copy_from_slice(&message[..20]);
    let (more, rest) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::convert::Infallible>>(1);
    more.send(Ok(Frame::data(half))).await.unwrap();
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(rest));
    let (status, _) = called(&proxy, &[("grpc-timeout", "200m")], body).await;
    assert_eq!(status, "14", "it may come again");
    drop(more);
    proxy
        .await_metrics("its memory to be free", |metrics| {
            metrics.sum("spandrel_memory_used_bytes", &[]) < 4096
        })
        .await;
}
