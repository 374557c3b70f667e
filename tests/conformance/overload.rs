//! A server that is given more than it can pass on, until it says so.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use spandrel::wire::Signal;
use tokio::sync::OnceCell;

use crate::backend::Backend;
use crate::call::{self, GrpcReply, PROTOBUF, Reply};
use crate::check::{Otherwise, not_observable};
use crate::make;
use crate::peer::{Peer, mark};

/// Requests after which a stranger is believed to have no bound that can be reached from here.
const PUSHES_MAX: usize = 20_000;

/// What it answered when it could take no more, over gRPC and over HTTP. Found out once for all lines.
pub async fn until_refused(peer: &Arc<Peer>) -> Result<(GrpcReply, Reply), Otherwise> {
    static FOUND: OnceCell<Result<(GrpcReply, Reply), Otherwise>> = OnceCell::const_new();
    FOUND.get_or_init(|| find(peer.clone())).await.clone()
}

async fn find(peer: Arc<Peer>) -> Result<(GrpcReply, Reply), Otherwise> {
    if peer.own.is_some() {
        let backend = Backend::anywhere().await;
        backend.down().await;
        let config = format!("upstream: {}\nmemory: 4MiB\nbatch: {{age: 10ms}}\n", backend.endpoint());
        let server = peer.started(&config).await?;
        return push(server.grpc(), server.http(), 64 << 10).await;
    }
    let backend = peer.backend.clone().ok_or_else(|| not_observable("it would have to be overloaded"))?;
    let (grpc, http) = (peer.grpc()?, peer.http()?);
    peer.transports().await?;
    backend.down().await;
    let found = push(grpc, http, 256).await;
    backend.up().await;
    // What it had taken goes on now; the next line wants it idle.
    let after = mark("after-overload");
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while tokio::time::Instant::now() < until {
        let reply = call::export(grpc, Signal::Logs, &make::logs(&after, 1).encode_to_vec()).await?;
        if reply.is("OK") && came_everywhere(&peer, &backend, &after).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    found
}

/// A client with two exporters has emptied both queues when both have brought the last of it.
async fn came_everywhere(peer: &Peer, backend: &Backend, mark: &str) -> bool {
    for transport in peer.transports().await.unwrap_or_default() {
        if backend.arrive(mark, transport, 1).await.is_err() {
            return false;
        }
    }
    true
}

async fn push(
    grpc: std::net::SocketAddr,
    http: std::net::SocketAddr,
    bytes: usize,
) -> Result<(GrpcReply, Reply), Otherwise> {
    let mark = mark("overload");
    let mut request = make::logs(&mark, 1);
    request.resource_logs[0].scope_logs[0].log_records[0].body = Some(make::text(&"x".repeat(bytes)));
    let body = request.encode_to_vec();
    let (mut over_grpc, mut over_http) = (None, None);
    for _ in 0..PUSHES_MAX {
        // Room comes and goes, so each transport is pushed at until it refuses for itself.
        if over_grpc.is_none() {
            let reply = call::export(grpc, Signal::Logs, &body).await?;
            over_grpc = (!reply.is("OK")).then_some(reply);
        }
        if over_http.is_none() {
            let reply = call::post(http, Signal::Logs.http_path(), PROTOBUF, body.clone()).await?;
            over_http = (reply.status != 200).then_some(reply);
        }
        match (over_grpc.take(), over_http.take()) {
            (Some(grpc), Some(http)) => return Ok((grpc, http)),
            partly => (over_grpc, over_http) = partly,
        }
    }
    Err(not_observable(format!("it took {PUSHES_MAX} requests with nobody to pass them on to")))
}
