//! Bodies meant to hurt: bombs, drips, floods. Memory stays bounded, others are served.

use std::convert::Infallible;

use bytes::Bytes;
use http_body::Frame;
use prost::Message;
use tokio_stream::wrappers::BroadcastStream;

use super::fixture::*;

/// A body that begins and never goes on, for as long as the second half is kept.
pub fn endless()
-> (impl http_body::Body<Data = Bytes, Error = Infallible>, tokio::sync::broadcast::Sender<Bytes>) {
    use tokio_stream::StreamExt;
    let (sender, receiver) = tokio::sync::broadcast::channel(1);
    sender.send(Bytes::from_static(&[0, 0])).unwrap();
    let frames = BroadcastStream::new(receiver).map(|piece| Ok(Frame::data(piece.unwrap_or_default())));
    (http_body_util::StreamBody::new(frames), sender)
}

#[tokio::test]
async fn twenty_thousand_spans_in_one_request_are_all_taken() {
    let edge = Edge::start().await;
    let body = spans(20_000).encode_to_vec();
    for (coding, bytes) in [("identity", body.clone()), ("gzip", gzip(&body))] {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", coding)];
        assert_eq!(edge.post("/v1/traces", &headers, bytes).await.status, 200);
        let taken = edge.taken();
        assert_eq!((taken[0].index.items, taken[0].index.spans.len()), (20_000, 20_000));
        assert_eq!(taken[0].reservation.bytes(), taken[0].body.len() + taken[0].index.heap_bytes());
        assert_eq!(edge.budget.used(), taken[0].reservation.bytes());
    }
    assert_eq!(edge.budget.used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_is_refused_before_it_takes_memory() {
    let edge = Edge::with(With { memory: 100 * MIB, ..With::default() }).await;
    let zeros = vec![0; 80 * MIB];
    let zstd = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    let many = (0..160).flat_map(|_| gzip(&zeros[..MIB])).collect::<Vec<_>>();
    for (coding, bomb) in [("gzip", gzip(&zeros)), ("gzip", many), ("deflate", zlib(&zeros)), ("zstd", zstd)]
    {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", coding)];
        let reply = edge.post("/v1/traces", &headers, bomb).await;
        assert_eq!(reply.status, 413, "{coding}");
        assert_eq!(edge.budget.used(), 0, "{coding}");
    }
    // What would fit the cap but not the budget is told to come again.
    let held = edge.budget.try_reserve(60 * MIB).unwrap();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let reply = edge.post("/v1/traces", &headers, gzip(&zeros[..50 * MIB])).await;
    assert_eq!(reply.status, 503);
    assert_eq!(edge.budget.used(), held.bytes());
}

#[tokio::test]
async fn the_whole_reason_reaches_a_caller_that_writes_before_it_reads() {
    let edge = Edge::with(With { request_max: MIB, ..With::default() }).await;
    let reply =
        edge.post("/v1/traces", &[("content-type", "application/x-protobuf")], vec![0; 40 * MIB]).await;
    assert_eq!((reply.status, reply.error().code), (413, 8));
}

#[tokio::test]
async fn thirty_million_empty_spans_are_counted_without_an_index_of_them() {
    let edge = Edge::start().await;
    let count = 2_000_000;
    let block = |inner: Vec<u8>| {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut message);
        [message, inner].concat()
    };
    let scope = [0x12, 0].repeat(count);
    let mut scope_field = vec![0x12];
    prost::encoding::encode_varint(scope.len() as u64, &mut scope_field);
    let body = block([scope_field, scope].concat());
    let reply = edge.framed(&[], frame(0, &body)).await;
    assert_eq!(reply.header("grpc-status"), "0");
    let decoded = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse::decode(
        reply.body.slice(5..),
    );
    let partial = decoded.unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, count as i64);
    assert!(partial.error_message.len() < 2048);
    assert_eq!(edge.budget.used(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_what_its_body_held() {
    let edge = Edge::start().await;
    let mut sender = edge.http2().await;
    let announced = request("POST", "/v1/traces", &[("content-type", "application/x-protobuf")], traces());
    assert_eq!(Answer::of(sender.send_request(announced).await.unwrap()).await.status, 200);
    drop(edge.taken());
    let head = "POST /v1/traces HTTP/1.1\r\nhost: edge\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 1000000\r\n\r\nabc";
    let mut socket = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    until(|| edge.budget.used() >= 1_000_000).await;
    drop(socket);
    until(|| edge.budget.used() == 0).await;
}

#[tokio::test]
async fn many_calls_on_one_connection_make_progress_by_themselves() {
    let edge = Edge::start().await;
    let socket = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (io, executor) = (hyper_util::rt::TokioIo::new(socket), hyper_util::rt::TokioExecutor::new());
    type AnyBody = http_body_util::combinators::BoxBody<Bytes, Infallible>;
    let (mut sender, conn) =
        hyper::client::conn::http2::handshake::<_, _, AnyBody>(executor, io).await.unwrap();
    tokio::spawn(conn);
    let call = |body: AnyBody| {
        let path = crate::wire::Signal::Traces.grpc_path();
        http::Request::post(format!("http://edge{path}"))
            .header("content-type", "application/grpc")
            .body(body)
    };
    let mut kept = Vec::new();
    for _ in 0..100 {
        use http_body_util::BodyExt;
        let (body, open) = endless();
        let stuck = sender.send_request(call(body.boxed()).unwrap());
        kept.push((tokio::spawn(stuck), open));
    }
    for _ in 0..10 {
        use http_body_util::BodyExt;
        let whole = http_body_util::Full::new(Bytes::from(frame(0, &traces()))).boxed();
        let reply = Answer::of(sender.send_request(call(whole).unwrap()).await.unwrap()).await;
        assert_eq!(reply.header("grpc-status"), "0");
    }
    assert_eq!(edge.taken().len(), 10);
    kept.iter().for_each(|(stuck, _)| stuck.abort());
}

/// Waits for something another task does.
pub async fn until(done: impl Fn() -> bool) {
    let all = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), all)
        .await
        .expect("it happens within ten seconds");
}
