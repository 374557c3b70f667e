//! Who is asked: our own program, which can be started as a line needs it, or a stranger at an address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spandrel::wire::Signal;
use tokio::sync::OnceCell;

use crate::backend::{Answer, Arrived, Backend, Transport};
use crate::call;
use crate::check::{Otherwise, Seen, does_not, not_observable};
use crate::harness::{Proxy, Start};
use crate::make;

/// Labels to be written, a join that is quick about it, and batches that wait for nobody.
const QUICK: &str =
    "environment: conformance\nrelease: r1\njoin: {idle: 300ms, quiet: 20ms}\nbatch: {age: 10ms}\n";

/// The peer under test.
pub struct Peer {
    pub name: String,
    pub grpc: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    /// Where a stranger's client sends to, if it was told to.
    pub backend: Option<Arc<Backend>>,
    /// Our own program at those addresses; what it forwards comes to `backend`.
    pub own: Option<Proxy>,
    /// What `transports` has found out.
    pub spoken: OnceCell<Vec<Transport>>,
}

/// A client under test: what is fed to it comes to the backend.
pub struct Forwarding {
    pub backend: Arc<Backend>,
    pub transport: Transport,
    feed: SocketAddr,
    /// Ours, started for this check alone.
    pub own: Option<Proxy>,
}

impl Peer {
    /// Our own program with an upstream played to it.
    pub async fn own() -> Self {
        let backend = Arc::new(Backend::anywhere().await);
        let own = Proxy::with(format!("upstream: {}\n{QUICK}", backend.endpoint())).await;
        Self {
            name: "Spandrel".into(),
            grpc: Some(own.grpc()),
            http: Some(own.http()),
            backend: Some(backend),
            own: Some(own),
            spoken: OnceCell::new(),
        }
    }

    pub fn grpc(&self) -> Result<SocketAddr, Otherwise> {
        self.grpc.ok_or_else(|| not_observable("no gRPC address was given"))
    }

    pub fn http(&self) -> Result<SocketAddr, Otherwise> {
        self.http.ok_or_else(|| not_observable("no HTTP address was given"))
    }

    /// Where what the peer takes arrives.
    pub fn backend(&self) -> Result<&Backend, Otherwise> {
        self.backend.as_deref().ok_or_else(|| not_observable("nothing was given to see what it forwards"))
    }

    /// Our program once more, with this configuration: for lines about limits, shutdown, overload.
    pub async fn started(&self, config: &str) -> Result<Proxy, Otherwise> {
        self.started_with(Start { config: config.into(), ..Start::default() }).await
    }

    /// The same with variables and arguments.
    pub async fn started_with(&self, start: Start) -> Result<Proxy, Otherwise> {
        match self.own {
            Some(_) => Ok(Proxy::start(start).await),
            None => Err(not_observable("the peer would have to be started for it, with settings of its own")),
        }
    }

    /// A client that speaks this transport to an upstream of ours.
    pub async fn forwarding(&self, transport: Transport) -> Result<Forwarding, Otherwise> {
        self.forwarding_with(transport, "").await
    }

    /// The same, with more settings for our own program's upstream.
    pub async fn forwarding_with(&self, transport: Transport, more: &str) -> Result<Forwarding, Otherwise> {
        if self.own.is_some() {
            let backend = Arc::new(Backend::anywhere().await);
            let protocol = match transport {
                Transport::Grpc => "grpc",
                Transport::Http => "http/protobuf",
            };
            let config = format!(
                "upstreams:\n  default:\n    endpoint: {}\n    protocol: {protocol}\n    timeout: 2s\n    \
                 retry: {{initial: 50ms, max: 400ms, give_up: 60s}}\n{more}{QUICK}",
                backend.endpoint()
            );
            let own = self.started(&config).await?;
            return Ok(Forwarding { backend, transport, feed: own.grpc(), own: Some(own) });
        }
        if !self.transports().await?.contains(&transport) {
            return Err(not_observable(format!("its client was not told to send over {transport:?}")));
        }
        self.forwarded(transport)
    }

    /// The transports this peer's client speaks. A stranger's show when it is fed for the first time.
    pub async fn transports(&self) -> Result<Vec<Transport>, Otherwise> {
        if self.own.is_some() {
            return Ok(Transport::BOTH.into());
        }
        let spoken = self.spoken.get_or_try_init(|| async {
            let (mark, client) = (mark("spoken"), self.forwarded(Transport::Grpc)?);
            client.feed(&mark).await?;
            client.backend.arrives(&mark).await?;
            // Over the other transport it comes soon, if at all: a client that found nobody there when it
            // started may still be waiting before it connects again.
            let is_both = |backend: &Backend| {
                Transport::BOTH.iter().all(|it| !backend.marked_over(&mark, *it).is_empty()).then_some(())
            };
            let _ = client.backend.until("both transports", is_both).await;
            let speaks = |it: &Transport| !client.backend.marked_over(&mark, *it).is_empty();
            Ok(Transport::BOTH.into_iter().filter(speaks).collect())
        });
        spoken.await.cloned()
    }

    /// A stranger's client, which serves all checks.
    fn forwarded(&self, transport: Transport) -> Result<Forwarding, Otherwise> {
        match (&self.backend, self.grpc) {
            (Some(backend), Some(feed)) => {
                Ok(Forwarding { backend: backend.clone(), transport, feed, own: None })
            }
            _ => Err(not_observable("no client was pointed at the played upstream")),
        }
    }

    /// Sends one span or several, and returns the request they arrive in.
    pub async fn through(
        &self,
        mark: &str,
        request: &ExportTraceServiceRequest,
    ) -> Result<Arc<Arrived>, Otherwise> {
        self.through_as(Signal::Traces, mark, &request.encode_to_vec()).await
    }

    /// Sends bytes over gRPC, and returns the request in which the mark arrives.
    pub async fn through_as(
        &self,
        signal: Signal,
        mark: &str,
        body: &[u8],
    ) -> Result<Arc<Arrived>, Otherwise> {
        let backend = self.backend()?;
        let reply = call::export(self.grpc()?, signal, body).await?;
        if !reply.is("OK") {
            return Err(does_not(format!("it answered {}: {}", reply.code_name(), reply.message)));
        }
        backend.arrives(mark).await
    }
}

impl Forwarding {
    /// Gives the client one log record with this mark.
    pub async fn feed(&self, mark: &str) -> Seen {
        let reply = call::export(self.feed, Signal::Logs, &make::logs(mark, 1).encode_to_vec()).await?;
        match reply.is("OK") {
            true => Ok(()),
            false => Err(does_not(format!("it takes no data to forward: {}", reply.code_name()))),
        }
    }

    /// Feeds a record that the upstream answers like this first, and waits for its first arrival.
    pub async fn feed_answered(&self, mark: &str, answers: impl IntoIterator<Item = Answer>) -> Seen {
        self.backend.script(mark, self.transport, answers);
        self.feed(mark).await?;
        self.backend.arrive(mark, self.transport, 1).await.map(drop)
    }

    /// Waits as long as a client that tries again needs to come three times. What was to come again
    /// before that has come by then, and nobody had to sleep.
    pub async fn time_passes(&self) -> Seen {
        let mark = mark("clock");
        let later = || Answer::later(self.transport);
        self.feed_answered(&mark, [later(), later(), later()]).await?;
        self.backend.arrive(&mark, self.transport, 4).await.map(drop)
    }

    /// How often a mark has come.
    pub fn times(&self, mark: &str) -> usize {
        self.backend.marked_over(mark, self.transport).len()
    }
}

/// A word that nobody has used before, for finding one's own data again.
pub fn mark(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{:08x}-{count}", rand::random::<u32>())
}
