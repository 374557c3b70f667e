//! A caller like any other, who should notice nothing while somebody else misbehaves.

use std::time::Duration;

use prost::Message;
use spandrel::wire::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Client, Proxy, made};

/// Exports small traces over gRPC and over HTTP in turn, one after the other.
pub struct Bystander {
    over: watch::Sender<bool>,
    task: JoinHandle<Served>,
}

/// How it was served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Requests, every one of them taken.
    pub requests: usize,
    /// Spans in them.
    pub spans: u64,
    /// The longest it waited for a reply.
    pub longest: Duration,
}

impl Bystander {
    pub fn of(proxy: &Proxy) -> Self {
        let over = watch::Sender::new(false);
        let (grpc, http, told) = (proxy.client(), proxy.http_client(), over.subscribe());
        Self { over, task: tokio::spawn(export(grpc, http, told)) }
    }

    /// Ends; all of its requests were taken, and none had to wait for long.
    pub async fn assert_served(self) -> Served {
        self.over.send_replace(true);
        let served = self.task.await.expect("a request of it was not taken; see above");
        assert!(served.requests >= 10, "{served:?}");
        // A machine with more work than cores is slow, not wrong: a wait for somebody else's timeout is.
        assert!(served.longest < Duration::from_secs(3), "{served:?}");
        served
    }
}

async fn export(grpc: Client, http: Client, over: watch::Receiver<bool>) -> Served {
    let mut served = Served::default();
    while !*over.borrow() || served.requests < 10 {
        let body = made::request(made::trace(5_000_000 + served.requests as u64, 3)).encode_to_vec();
        let began = Instant::now();
        let reply = match served.requests % 2 {
            0 => grpc.grpc(Signal::Traces, body).await,
            _ => http.http(Signal::Traces, body).await,
        };
        reply.assert_taken();
        served.longest = served.longest.max(began.elapsed());
        served.requests += 1;
        served.spans += 3;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served
}
