//! One upstream's senders: each takes a batch, and keeps it until it is settled.
//!
//! A batch that must be tried again stays with its sender while the others go on; nothing is put back
//! into the queue, so nothing is overtaken twice or counted twice.

use std::sync::Arc;

use http::{HeaderMap, Method, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::body::{Pieces, Whole};
use super::classify::{self, Again, Refusal, Trouble, Verdict, Whom};
use super::compress::{apart, compress};
use super::dial::Dialer;
use super::gate::{Gate, Pass};
use super::line::{Line, Live};
use super::retry::Backoff;
use super::settle::{Books, Ended, Loss};
use super::target::Target;
use super::voice::Voice;
use super::{Compression, Inner, Protocol, Settings, SetupError, grpc, http as otlp_http};
use crate::queue::Batch;
use crate::wire::reply::Encoding;
use crate::wire::{Signal, json};

/// Connections a gRPC upstream is called over: two, so that one that breaks does not stop everything,
/// and a load balancer between has something to balance.
const SHARED_LINES: usize = 2;

/// Everything the senders of one upstream share.
#[derive(Debug)]
pub(super) struct Upstream {
    settings: Settings,
    inner: Inner,
    target: Target,
    dialer: Dialer,
    lines: Vec<Line>,
    gate: Gate,
    books: Books,
    voice: Voice,
}

/// A batch made ready: what every attempt sends.
struct Parcel {
    signal: Signal,
    headers: HeaderMap,
    body: Pieces,
}

impl Upstream {
    pub fn new(settings: Settings, inner: Inner) -> Result<Self, SetupError> {
        let target = Target::new(&settings)?;
        let dialer = Dialer::new(&settings, &target)?;
        let lines = match settings.protocol {
            Protocol::Grpc => settings.parallel.clamp(1, SHARED_LINES),
            Protocol::HttpProtobuf | Protocol::HttpJson => settings.parallel.max(1),
        };
        Ok(Self {
            target,
            dialer,
            lines: (0..lines).map(|_| Line::default()).collect(),
            gate: Gate::new(settings.retry),
            books: Books::new(inner.meters.clone(), settings.name.clone()),
            voice: Voice::new(settings.name.clone()),
            settings,
            inner,
        })
    }

    pub fn senders(&self) -> usize {
        self.settings.parallel.max(1)
    }

    /// Sends batches, one at a time, until the outbox is closed and empty.
    pub async fn send_all(&self, sender: usize) {
        let Some(line) = self.lines.get(sender % self.lines.len().max(1)) else { return };
        while let Some(batch) = self.inner.outbox.take().await {
            let claim = self.books.claim(&batch);
            let ended = self.deliver(line, &batch).await;
            self.say(&ended, claim.items());
            claim.settle(&ended);
        }
    }

    /// Counts what is left in the outbox as lost.
    fn lose_the_rest(&self) {
        let mut items = 0;
        while let Some(batch) = self.inner.outbox.try_take() {
            items += batch.items;
            self.books.claim(&batch).settle(&Ended::Lost(Loss::Shutdown));
        }
        if items > 0 {
            self.voice.lost(Loss::Shutdown, items, self.inner.clock.now());
        }
    }

    async fn deliver(&self, line: &Line, batch: &Batch) -> Ended {
        let deadline = after(Instant::now(), self.settings.retry.give_up);
        let parcel = match self.pack(batch).await {
            Ok(parcel) => parcel,
            Err(loss) => return Ended::Lost(loss),
        };
        let mut backoff = Backoff::new(self.settings.retry);
        let mut spared = false;
        loop {
            let Ok(pass) = timeout_at(deadline, self.gate.pass()).await else {
                return Ended::Lost(Loss::GaveUp);
            };
            let again = match self.attempt(line, &parcel, pass, spared).await {
                Verdict::Delivered { rejected, message } => return Ended::Delivered { rejected, message },
                Verdict::Refused { reason, message } => return Ended::Refused { reason, message },
                Verdict::Retry(again) => again,
            };
            if Instant::now() >= deadline {
                return Ended::Lost(Loss::GaveUp);
            }
            match again.whom {
                Whom::Upstream => {}
                Whom::Connection => spared = true,
                Whom::Batch => {
                    let wait = backoff.next(again.after, &mut rand::rng());
                    // A wait beyond the end becomes one last attempt at the end.
                    sleep_until(after(Instant::now(), wait).min(deadline)).await;
                }
            }
        }
    }

    /// One attempt, and what the gate, the counters and the log learn from it. A batch is `spared` the
    /// wait after a broken old connection once, not for ever.
    async fn attempt(&self, line: &Line, parcel: &Parcel, pass: Pass<'_>, spared: bool) -> Verdict {
        let mut verdict = self.call(line, parcel).await;
        if let Verdict::Retry(again) = &mut verdict
            && again.whom == Whom::Connection
            && spared
        {
            again.whom = Whom::Batch;
        }
        let outcome = match &verdict {
            Verdict::Delivered { rejected: 0, .. } => "ok",
            Verdict::Delivered { .. } => "partial",
            Verdict::Refused { .. } => "refused",
            Verdict::Retry(again) => again.trouble.name(),
        };
        self.books.sent(parcel.signal, outcome);
        let now = self.inner.clock.now();
        match &verdict {
            Verdict::Retry(Again { whom: Whom::Connection, .. }) => {}
            Verdict::Retry(again) => {
                self.voice.failed(again.trouble.name(), &again.message, &self.inner.outbox, now);
                learn(pass, again);
            }
            Verdict::Delivered { .. } => {
                self.voice.worked(&self.inner.outbox, now);
                pass.well();
            }
            Verdict::Refused { .. } => pass.well(),
        }
        verdict
    }

    async fn call(&self, line: &Line, parcel: &Parcel) -> Verdict {
        let mut live = match line.connection(&self.dialer).await {
            Ok(live) => live,
            Err(error) => return classify::unreachable(error.trouble, error.to_string()),
        };
        let limit = self.settings.timeout;
        match timeout(limit, self.exchange(&mut live, parcel)).await {
            // More of it may still be coming: its connection is closed.
            Ok(Ok(verdict @ Verdict::Refused { reason: Refusal::ReplyTooLarge, .. })) => {
                line.discard(live).await;
                verdict
            }
            Ok(Ok(verdict)) => {
                line.give_back(live).await;
                verdict
            }
            Ok(Err(broken)) => {
                let served = live.has_served();
                line.discard(live).await;
                classify::cut(served, broken)
            }
            Err(_) => {
                // It may be half open: the next call takes another connection.
                line.discard(live).await;
                classify::timed_out(limit)
            }
        }
    }

    /// One request and its reply. `Err` is a connection that ended before the reply did.
    async fn exchange(&self, live: &mut Live, parcel: &Parcel) -> Result<Verdict, String> {
        let mut request = Request::new(Whole::from(parcel.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri(parcel.signal);
        *request.headers_mut() = parcel.headers.clone();
        let reply = live.send(request).await.map_err(|error| words(&error))?;
        let now = self.inner.clock.unix_nanos() / 1_000_000_000;
        match self.settings.protocol {
            Protocol::Grpc => grpc::verdict(parcel.signal, reply, now).await,
            Protocol::HttpProtobuf => otlp_http::verdict(parcel.signal, Encoding::Protobuf, reply, now).await,
            Protocol::HttpJson => otlp_http::verdict(parcel.signal, Encoding::Json, reply, now).await,
        }
    }

    /// Makes a batch ready to be sent, once for all attempts.
    async fn pack(&self, batch: &Batch) -> Result<Parcel, Loss> {
        let body = batch.body.clone();
        let message = match self.settings.protocol {
            Protocol::Grpc | Protocol::HttpProtobuf => Pieces::new(body.into_pieces()),
            Protocol::HttpJson => {
                let signal = batch.signal;
                let json = apart(move || json::from_protobuf(signal, &body.into_bytes())).await;
                Pieces::new(vec![json.map_err(|_| Loss::Fault)?.into()])
            }
        };
        if message.len() > self.settings.request_max {
            return Err(Loss::TooLarge);
        }
        let compression = self.settings.compression;
        let message = compress(compression, message).await.map_err(|_| Loss::Fault)?;
        let body = match self.settings.protocol {
            Protocol::Grpc => {
                grpc::frame(&message, compression != Compression::None).ok_or(Loss::TooLarge)?
            }
            Protocol::HttpProtobuf | Protocol::HttpJson => message,
        };
        Ok(Parcel { signal: batch.signal, headers: self.target.headers(&batch.origin), body })
    }

    fn say(&self, ended: &Ended, items: u64) {
        let now = self.inner.clock.now();
        match ended {
            Ended::Delivered { rejected: 0, message } if message.is_empty() => {}
            Ended::Delivered { rejected, message } => self.voice.partial(*rejected, message, now),
            Ended::Refused { reason, message } => self.voice.refused(*reason, items, message, now),
            Ended::Lost(loss) => self.voice.lost(*loss, items, now),
        }
    }
}

fn learn(pass: Pass<'_>, again: &Again) {
    match (again.whom, again.trouble) {
        (Whom::Upstream, _) => pass.down(again.after),
        // It answered this caller, so it is there for the others.
        (Whom::Batch, Trouble::Throttled | Trouble::Aborted) => pass.well(),
        (Whom::Batch | Whom::Connection, _) => drop(pass),
    }
}

/// An error with its causes: hyper's own text alone says little.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// `wait` from `start`, or as good as never.
fn after(start: Instant, wait: std::time::Duration) -> Instant {
    const NEVER: std::time::Duration = std::time::Duration::from_secs(86_400 * 365);
    start + wait.min(NEVER)
}

/// Runs the senders of an upstream until their outbox is closed and empty, or `give_up` fires.
pub(super) async fn run(upstream: Arc<Upstream>, give_up: CancellationToken) {
    let mut senders = JoinSet::new();
    let start = |senders: &mut JoinSet<()>, sender| {
        let (upstream, give_up) = (upstream.clone(), give_up.clone());
        senders.spawn(async move {
            // Dropped at `give_up`, it settles what it held.
            give_up.run_until_cancelled(upstream.send_all(sender)).await;
        });
    };
    (0..upstream.senders()).for_each(|sender| start(&mut senders, sender));
    while let Some(ended) = senders.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            let name = &upstream.settings.name;
            tracing::error!(upstream = name, "a sender failed, starting another: {error}");
            start(&mut senders, 0);
        }
    }
    upstream.lose_the_rest();
}
