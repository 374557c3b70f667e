//! Several gateways behind one name, on real sockets: each trace at one of them, and none lost with one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::divide::{batch, spans};
use super::server::{Answer, Seen, Server, grpc_ok, http};
use super::{Exporter, settings};
use crate::export::fleet::Fleet;
use crate::export::names::Resolver;
use crate::export::{Gateways, Inner, Settings};
use crate::model::Clock;
use crate::queue::{Budget, Outbox};
use crate::telemetry::Meters;

/// Listeners on one port of three addresses of loopback.
async fn three() -> [TcpListener; 3] {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let at = |last| TcpListener::bind(SocketAddr::from(([127, 0, 0, last], port)));
        if let (Ok(second), Ok(third)) = (at(2).await, at(3).await) {
            return [first, second, third];
        }
    }
}

/// A fleet whose name stands for these addresses.
fn exporter(members: Vec<SocketAddr>, settings: Settings) -> Exporter {
    let (outbox, meters) = (Outbox::new(10_000, usize::MAX), Arc::new(Meters::new()));
    let inner = Inner { outbox: outbox.clone(), meters: meters.clone(), clock: Clock::new() };
    let give_up = CancellationToken::new();
    let resolver = Resolver::new(move |_, _| {
        let members = members.clone();
        async move { Ok(members) }
    });
    let endpoint = format!("http://gateway.test:{}", settings.endpoint.port_u16().unwrap()).parse().unwrap();
    let settings = Settings { endpoint, ..settings };
    let gateways = Gateways { hold: Duration::from_secs(30) };
    let fleet = Fleet::new(settings, gateways, inner, resolver, give_up.clone()).unwrap();
    let task = tokio::spawn(fleet.run());
    Exporter { outbox, meters, budget: Budget::new(1 << 30), give_up, task, offered: 0, notes_each: 1 }
}

/// Which servers each trace came to, and how many spans there are of all.
fn found(servers: &[&Server]) -> (BTreeMap<u32, BTreeSet<usize>>, usize) {
    let (mut at, mut count) = (BTreeMap::<u32, BTreeSet<usize>>::new(), 0);
    for (number, server) in servers.iter().enumerate() {
        for (_, trace) in server.seen().iter().flat_map(spans) {
            at.entry(trace).or_default().insert(number);
            count += 1;
        }
    }
    (at, count)
}

#[tokio::test]
async fn each_trace_goes_to_one_gateway_and_all_of_them_have_some() {
    let listeners = three().await;
    let members: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let servers = listeners.map(|listener| Server::on(listener, |_, _| grpc_ok()));
    let mut exporter = exporter(members, settings(servers[0].port));
    // The same traces twice, in other company.
    for (from, to) in [(0, 200), (100, 300), (0, 300)] {
        exporter.offer(&batch(from, to), u64::from(to - from) * 2);
    }
    assert_eq!(exporter.finish().await, "delivered=1400");
    let (at, count) = found(&servers.each_ref());
    assert_eq!((at.len(), count), (300, 1400));
    assert!(at.values().all(|servers| servers.len() == 1), "no trace is split");
    let shares: BTreeSet<usize> = at.values().flatten().copied().collect();
    assert_eq!(shares.len(), 3);
}

#[tokio::test]
async fn what_a_gateway_had_goes_to_the_others_when_it_is_gone() {
    let [first, second, third] = three().await;
    let members: Vec<_> = [&first, &second, &third].iter().map(|l| l.local_addr().unwrap()).collect();
    let port = members[0].port();
    // Nobody listens at the third from the start; the second goes away with its first call.
    drop(third);
    let first = Server::on(first, |_, _| grpc_ok());
    let cut = |_: usize, _: &Seen| Answer::Cut;
    let second = Server::on(second, cut);
    let mut exporter = exporter(members, settings(port));
    for from in 0..20 {
        exporter.offer(&batch(from * 50, from * 50 + 50), 100);
    }
    let meters = exporter.meters.clone();
    assert_eq!(exporter.finish().await, "delivered=2000");
    let (at, count) = found(&[&first]);
    assert_eq!((at.len(), count), (1000, 2000));
    drop(second);
    assert!(meters.gateway_moved.with_label_values(&["traces", "test"]).get() > 0);
    assert!(meters.gateways.with_label_values(&["test", "down"]).get() >= 1);
}

#[tokio::test]
async fn a_gateway_that_can_take_nothing_now_is_waited_for() {
    let [first, second, _] = three().await;
    let members: Vec<_> = [&first, &second].iter().map(|l| l.local_addr().unwrap()).collect();
    let port = members[0].port();
    let first = Server::on(first, |_, _| grpc_ok());
    let busy = |nth: usize, _: &Seen| {
        if nth < 3 { super::server::grpc(None, &[("grpc-status", "14")]) } else { grpc_ok() }
    };
    let second = Server::on(second, busy);
    let mut exporter = exporter(members, settings(port));
    exporter.offer(&batch(0, 100), 200);
    let meters = exporter.meters.clone();
    assert_eq!(exporter.finish().await, "delivered=200");
    assert_eq!(meters.gateway_splits.with_label_values(&["test"]).get(), 0);
    assert_eq!(meters.gateway_moved.with_label_values(&["traces", "test"]).get(), 0);
    assert!(second.seen().len() > 3 && !first.seen().is_empty());
}

#[tokio::test]
async fn without_any_gateway_everything_waits_and_is_counted_at_the_end() {
    let [first, second, third] = three().await;
    let members: Vec<_> = [&first, &second, &third].iter().map(|l| l.local_addr().unwrap()).collect();
    let port = members[0].port();
    drop((first, second, third));
    let mut exporter = exporter(members, settings(port));
    exporter.offer(&batch(0, 100), 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(exporter.abort().await, "lost.shutdown=200");
    let unknown = exporter_of_nobody();
    assert_eq!(unknown.await, "lost.shutdown=200");
}

async fn exporter_of_nobody() -> String {
    let mut exporter = exporter(Vec::new(), settings(4317));
    exporter.offer(&batch(0, 100), 200);
    tokio::task::yield_now().await;
    exporter.abort().await
}

#[tokio::test]
async fn over_http_it_is_the_same() {
    let listeners = three().await;
    let members: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let servers = listeners.map(|listener| Server::on(listener, |_, _| http(200, &[], "")));
    let over_http = Settings { protocol: super::Protocol::HttpProtobuf, ..settings(servers[0].port) };
    let mut exporter = exporter(members, over_http);
    exporter.offer(&batch(0, 300), 600);
    assert_eq!(exporter.finish().await, "delivered=600");
    assert!(found(&servers.each_ref()).0.values().all(|servers| servers.len() == 1));
}
