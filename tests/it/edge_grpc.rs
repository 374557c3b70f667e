//! OTLP/gRPC at the edge, line by line (conformance GS): framing, deadlines, and what a failure is called.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use spandrel::wire::Signal;
use tokio::net::TcpStream;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

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

/// The services named by reflection at an address, and what it says of a symbol.
async fn reflected(address: std::net::SocketAddr, symbol: &str) -> (Vec<String>, MessageResponse) {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = ServerReflectionClient::new(channel.connect().await.unwrap());
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol(symbol.to_owned()),
    ];
    let questions =
        questions.map(|ask| ServerReflectionRequest { host: String::new(), message_request: Some(ask) });
    let mut replies =
        client.server_reflection_info(tokio_stream::iter(questions)).await.unwrap().into_inner();
    let listed = replies.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else { panic!("{listed:?}") };
    let described = replies.message().await.unwrap().unwrap().message_response.unwrap();
    (listed.service.into_iter().map(|service| service.name).collect(), described)
}

#[tokio::test]
async fn reflection_names_what_a_listener_serves() {
    let proxy = Proxy::with("").await;
    let (services, of_itself) = reflected(proxy.grpc(), "grpc.reflection.v1.ServerReflection").await;
    for signal in Signal::ALL {
        let service = signal.grpc_path().trim_start_matches('/').trim_end_matches("/Export");
        assert!(services.iter().any(|name| name == service), "{service} is not in {services:?}");
    }
    assert!(services.iter().any(|name| name == "grpc.health.v1.Health"), "{services:?}");
    assert!(matches!(of_itself, MessageResponse::FileDescriptorResponse(_)), "{of_itself:?}");
}

#[tokio::test]
async fn reflection_describes_the_inspection_api_on_the_admin_port() {
    let proxy = Proxy::with("").await;
    let (services, described) = reflected(proxy.admin(), "spandrel.v1.Inspection.Watch").await;
    assert!(services.iter().any(|name| name == "spandrel.v1.Inspection"), "{services:?}");
    let MessageResponse::FileDescriptorResponse(files) = described else { panic!("{described:?}") };
    let file = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
    assert!(file.contains("inspection.proto") && file.contains("WatchRequest"), "{file}");
}

#[tokio::test]
async fn reflection_asks_for_credentials_where_exports_do() {
    let ports = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
    let receive = format!("receive: {{{ports}, auth: {{bearer: [token]}}}}\nadmin: \"127.0.0.1:0\"\n");
    let proxy = Proxy::with(receive).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", proxy.grpc())).unwrap();
    let mut client = ServerReflectionClient::new(channel.connect().await.unwrap());
    let refused = client.server_reflection_info(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}
