//! Endpoints that lead back to ourselves: found at the start, or by what goes round (faults F48).

use std::net::{Ipv4Addr, SocketAddr};

use prost::Message;
use spandrel::wire::Signal;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::harness::read::Export;
use crate::harness::{Proxy, Start, Upstream, made};

/// As many as a request may have been through; one more is refused.
const HOPS_MAX: u64 = 8;

/// Hands every connection on to `to`, once it is known: what a load balancer or a Service does.
fn relay(listener: TcpListener, to: tokio::sync::watch::Receiver<Option<SocketAddr>>) {
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = to.clone();
            tokio::spawn(async move {
                let Ok(Some(address)) = to.wait_for(Option::is_some).await.map(|known| *known) else {
                    return;
                };
                if let Ok(mut there) = TcpStream::connect(address).await {
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut there).await;
                }
            });
        }
    });
}

/// The start can not see this loop: the endpoint is somebody else's, who leads back. What is caught in it goes
/// round eight times, then is refused and counted, and the log says why.
#[tokio::test]
async fn f48_a_loop_behind_another_address_ends_and_is_said() {
    for protocol in ["grpc", "http/protobuf"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let known = tokio::sync::watch::Sender::new(None);
        relay(listener, known.subscribe());
        let proxy = Proxy::with(format!(
            "upstreams: {{default: {{endpoint: \"{endpoint}\", protocol: {protocol}}}}}\n\
             batch: {{age: 10ms}}\njoin: {{scope: off}}\n"
        ))
        .await;
        known.send_replace(Some(proxy.grpc()));
        for export in [Export::Logs(made::logs(0, 10)), Export::Traces(made::request(made::trace(1, 10)))] {
            let signal = export.signal();
            proxy.client().grpc(signal, export.encode()).await.assert_taken();
            let refused = |metrics: &crate::harness::Metrics| metrics.ledger(signal, "default").refused == 10;
            proxy.await_metrics("the tenth time round to be refused", refused).await;
            let ledger = proxy.await_settled(signal, "default").await;
            let rounds = (HOPS_MAX + 1) * 10;
            assert_eq!(
                (ledger.received, ledger.delivered, ledger.lost),
                (rounds, rounds - 10, 0),
                "{protocol}"
            );
        }
        proxy.await_stderr("the loop", |line| line.contains("there is a loop")).await;
        assert!(proxy.stop().await.success());
    }
}

/// Every request says how many it has been through, and requests of different counts are never one.
#[tokio::test]
async fn f48_the_count_of_hops_travels_and_grows() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\njoin: {{idle: 300ms}}\n", upstream.endpoint())).await;
    for (first, hops) in [(0, None), (10, Some("1")), (20, Some("8")), (30, None), (40, Some("what"))] {
        let mut headers = vec![("content-type", "application/x-protobuf")];
        headers.extend(hops.map(|hops| ("spandrel-hops", hops)));
        let body = made::logs(first, 10).encode_to_vec();
        proxy.http_client().post("/v1/logs", &headers, body).await.assert_taken();
    }
    let mut came = std::collections::BTreeMap::new();
    for request in upstream.await_items(Signal::Logs, 50).await {
        let hops = request.headers["spandrel-hops"].to_str().unwrap().to_owned();
        assert_eq!(request.headers.get_all("spandrel-hops").iter().count(), 1);
        *came.entry(hops).or_insert(0) += request.export.count();
    }
    // Not a number is none.
    assert_eq!(came.into_iter().collect::<Vec<_>>(), [("1".into(), 30), ("2".into(), 10), ("9".into(), 10)]);

    let body = made::logs(50, 10).encode_to_vec();
    let headers = [("content-type", "application/x-protobuf"), ("spandrel-hops", "9")];
    let reply = proxy.http_client().post("/v1/logs", &headers, body.clone()).await;
    let status = reply.error.clone().unwrap_or_default();
    assert_eq!((reply.status.as_u16(), status.code), (508, Code::FailedPrecondition as i32), "{reply:?}");
    assert!(status.message.contains("there is a loop"), "{status:?}");
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert("spandrel-hops", "9".parse().unwrap());
    let reply = proxy.client().grpc_with(Signal::Logs, body, metadata).await;
    assert_eq!(reply.code, Code::FailedPrecondition, "{reply:?}");
    assert!(reply.message.contains("there is a loop"), "{reply:?}");
}

/// A proxy variable that names one of our own listeners is a loop like any other, whatever the endpoint is.
#[tokio::test]
async fn f48_a_proxy_variable_that_leads_back_to_us_is_refused_at_the_start() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (name, endpoint) in
        [("HTTP_PROXY", "http://192.0.2.1:4317"), ("https_proxy", "https://192.0.2.1:4317")]
    {
        let config = format!("receive: {{grpc: \"{free}\", http: off}}\nadmin: off\nupstream: {endpoint}\n");
        let variables = vec![(name.to_owned(), format!("http://{free}"))];
        let (code, said) = Proxy::fails(Start { config, variables, ..Start::default() }).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("its proxy") && said.contains("leads back to us"), "{name}: {said}");
    }
}
