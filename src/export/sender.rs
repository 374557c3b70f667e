//! One upstream's senders: each takes a batch, and keeps it until it is settled.
//!
//! A batch that must be tried again stays with its sender while the others go on; nothing is put back
//! into the queue, so nothing is overtaken twice or counted twice. A batch that is divided (`division`) stays
//! too, and its parts are sent one after the other within the time the batch has.

use std::sync::Arc;

use http::{HeaderMap, Method, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::appetite::{Appetite, Remedy};
use super::body::{Pieces, Whole};
use super::broken::Broken;
use super::classify::{self, Again, Refusal, Trouble, Verdict, Whom};
use super::compress::{apart, compress};
use super::dial::Dialer;
use super::division::{Division, Lesson};
use super::fleet::Member;
use super::gate::{Gate, Pass};
use super::line::{Line, Live};
use super::names::Resolver;
use super::retry::Backoff;
use super::settle::{Books, Claim, Ended, Loss};
use super::target::Target;
use super::voice::Voice;
use super::{Compression, Inner, Protocol, Settings, SetupError, grpc, http as otlp_http};
use crate::queue::{Batch, Reservation};
use crate::wire::divide::{self, Part};
use crate::wire::reply::Encoding;
use crate::wire::{Signal, json};

/// Connections a gRPC upstream is called over: two, so that one that breaks does not stop everything,
/// and a load balancer between has something to balance.
const SHARED_LINES: usize = 2;
/// Calls the upstream says it did not look at are made again at once, this often in a row.
const AT_ONCE_MAX: u32 = 3;

/// Everything the senders of one upstream share.
#[derive(Debug)]
pub(super) struct Upstream {
    settings: Settings,
    inner: Inner,
    target: Target,
    dialer: Dialer,
    lines: Vec<Line>,
    gate: Gate,
    appetite: Appetite,
    books: Books,
    voice: Voice,
    /// One of several gateways.
    member: Option<Member>,
}

/// A request that another gateway is to send.
struct Stray;

/// A batch made ready: what every attempt sends.
struct Parcel {
    signal: Signal,
    headers: HeaderMap,
    body: Pieces,
}

/// How a request is divided.
#[derive(Clone, Copy, Debug)]
enum Cut {
    InTwo,
    ToFit(usize),
}

impl Upstream {
    pub fn new(settings: Settings, inner: Inner, resolver: Resolver) -> Result<Self, SetupError> {
        let target = Target::new(&settings)?;
        let dialer = Dialer::new(&settings, &target, resolver)?;
        let lines = match settings.protocol {
            Protocol::Grpc => settings.parallel.clamp(1, SHARED_LINES),
            Protocol::HttpProtobuf | Protocol::HttpJson => settings.parallel.max(1),
        };
        Ok(Self {
            target,
            dialer,
            lines: (0..lines).map(|_| Line::default()).collect(),
            gate: Gate::new(settings.retry),
            appetite: Appetite::new(settings.request_max),
            books: Books::new(inner.meters.clone(), settings.name.clone()),
            voice: Voice::new(settings.name.clone()),
            settings,
            inner,
            member: None,
        })
    }

    /// The same, as one of several gateways.
    pub fn of_fleet(self, member: Member, at: &str) -> Self {
        let voice = Voice::new(format!("{} at {at}", self.settings.name));
        Self { member: Some(member), voice, ..self }
    }

    /// Whether a connection can be had.
    pub async fn can_be_reached(&self) -> bool {
        let dialled: Result<Live, _> = self.dialer.dial().await;
        dialled.is_ok()
    }

    pub fn senders(&self) -> usize {
        self.settings.parallel.max(1)
    }

    /// Sends batches, one at a time, until the outbox is closed and empty.
    pub async fn send_all(&self, sender: usize) {
        let Some(line) = self.lines.get(sender % self.lines.len().max(1)) else { return };
        while let Some(batch) = self.inner.outbox.take().await {
            let _out = self.member.as_ref().map(Member::took);
            let mut claim = self.books.claim(&batch);
            self.deliver(line, &batch, &mut claim).await;
        }
    }

    /// Counts what is left in the outbox as lost.
    fn lose_the_rest(&self) {
        let mut items = 0;
        while let Some(batch) = self.inner.outbox.try_take() {
            items += batch.items;
            self.books.claim(&batch).settle(batch.items, &Ended::Lost(Loss::Shutdown));
        }
        if items > 0 {
            self.voice.lost(Loss::Shutdown, items, self.inner.clock.now());
        }
    }

    /// Sends a batch, in parts where it is too large or was refused, and settles all of it.
    async fn deliver(&self, line: &Line, batch: &Batch, claim: &mut Claim<'_>) {
        let deadline = after(Instant::now(), self.settings.retry.give_up);
        let mut division = Division::of(Part { body: batch.body.clone(), items: batch.items });
        let mut paid = None;
        while let Some(part) = division.next() {
            let (len, items) = (part.body.len(), part.items);
            let most = self.appetite.most(self.inner.clock.now());
            if len > most
                && let Some(parts) = self.divide(batch, &part, Cut::ToFit(most), &mut paid).await
            {
                division.put_first(parts);
                continue;
            }
            let Ok(ended) = self.send(line, batch, &part, deadline).await else {
                let rest = std::iter::from_fn(|| division.next());
                let parts = std::iter::once(part).chain(rest).collect();
                if let Some(member) = &self.member {
                    member.give_back(batch, parts, claim.give_back());
                }
                return;
            };
            if let Some((remedy, cut)) = self.learn_from(&ended, len, &mut division)
                && let Some(parts) = self.divide(batch, &part, cut, &mut paid).await
            {
                if division.put(remedy, len, parts) {
                    self.books.divided(batch.signal, remedy);
                }
                continue;
            }
            let hopeless = matches!(ended, Ended::Refused { .. }) && division.is_hopeless();
            let rest = if hopeless {
                std::iter::from_fn(|| division.next()).map(|part| part.items).sum()
            } else {
                0
            };
            self.say(&ended, items + rest);
            claim.settle(items + rest, &ended);
        }
        match division.lesson() {
            Some(Lesson::TakesNothing) => self.appetite.spurned(),
            Some(Lesson::WasTooLarge(len)) => drop(self.appetite.refused_size(len, self.inner.clock.now())),
            None => {}
        }
    }

    /// What the end of a request says of the upstream, and how to divide the request if that may help.
    fn learn_from(&self, ended: &Ended, len: usize, division: &mut Division) -> Option<(Remedy, Cut)> {
        match ended {
            Ended::Delivered { .. } => {
                self.appetite.took(len);
                division.taken();
                None
            }
            Ended::Lost(_) => None,
            Ended::Refused { reason, .. } => {
                let remedy = self.appetite.remedy(*reason, len);
                let may = division.refused(remedy);
                match remedy.filter(|_| may)? {
                    Remedy::FindTheBad => Some((Remedy::FindTheBad, Cut::InTwo)),
                    Remedy::Shrink => {
                        let room = self.appetite.refused_size(len, self.inner.clock.now())?;
                        Some((Remedy::Shrink, Cut::ToFit(room)))
                    }
                }
            }
        }
    }

    /// The parts of a request that together settle what it did. The first division of a batch pays for the
    /// copies all of them will take.
    async fn divide(
        &self,
        batch: &Batch,
        whole: &Part,
        cut: Cut,
        paid: &mut Option<Reservation>,
    ) -> Option<Vec<Part>> {
        paid.get_or_insert_with(|| batch.reservation.another(batch.body.len() * 2));
        let (signal, body) = (batch.signal, whole.body.clone());
        let parts = apart(move || {
            let body = body.to_bytes();
            match cut {
                Cut::InTwo => divide::in_two(signal, &body).map(Vec::from),
                Cut::ToFit(room) => divide::to_fit(signal, &body, room),
            }
        });
        let mut parts = parts.await.ok()??;
        // Duplicates that were collapsed settle with the batch but are not in it.
        let inside: u64 = parts.iter().map(|part| part.items).sum();
        parts.first_mut()?.items += whole.items.saturating_sub(inside);
        Some(parts)
    }

    /// Sends one request until it is settled or its time is over.
    async fn send(&self, line: &Line, batch: &Batch, part: &Part, deadline: Instant) -> Result<Ended, Stray> {
        let parcel = match self.pack(batch, part).await {
            Ok(parcel) => parcel,
            Err(loss) => return Ok(Ended::Lost(loss)),
        };
        let mut backoff = Backoff::new(self.settings.retry);
        let mut spared = 0;
        loop {
            let Ok(pass) = timeout_at(deadline, self.gate.pass()).await else {
                return Ok(Ended::Lost(Loss::GaveUp));
            };
            let again = match self.attempt(line, &parcel, pass, spared).await {
                Verdict::Delivered { rejected, message } => {
                    return Ok(Ended::Delivered { rejected, message });
                }
                Verdict::Refused { reason, message } => return Ok(Ended::Refused { reason, message }),
                Verdict::Retry(again) => again,
            };
            if self.member.as_ref().is_some_and(|member| member.lets_go(&again)) {
                return Err(Stray);
            }
            if Instant::now() >= deadline {
                return Ok(Ended::Lost(Loss::GaveUp));
            }
            match again.whom {
                Whom::Upstream => spared = 0,
                Whom::Connection | Whom::Nobody => spared += 1,
                Whom::Batch => {
                    spared = 0;
                    let wait = backoff.next(again.after, &mut rand::rng());
                    // A wait beyond the end becomes one last attempt at the end.
                    sleep_until(after(Instant::now(), wait).min(deadline)).await;
                }
            }
        }
    }

    /// One attempt, and what the gate, the counters and the log learn from it. A request is `spared` the
    /// wait once after a broken old connection, and a few times when it was not looked at.
    async fn attempt(&self, line: &Line, parcel: &Parcel, pass: Pass<'_>, spared: u32) -> Verdict {
        let mut verdict = self.call(line, parcel).await;
        if let Verdict::Retry(again) = &mut verdict {
            let spent = match again.whom {
                Whom::Connection => spared >= 1,
                Whom::Nobody => spared >= AT_ONCE_MAX,
                Whom::Upstream | Whom::Batch => false,
            };
            if spent {
                again.whom = Whom::Batch;
            }
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
            Verdict::Retry(Again { whom: Whom::Connection | Whom::Nobody, .. }) => {}
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
                if broken.leaves_connection() {
                    line.put_back(live).await;
                } else {
                    line.discard(live).await;
                }
                broken.verdict(served)
            }
            Err(_) => {
                // It may be half open: the next call takes another connection.
                line.discard(live).await;
                classify::timed_out(limit)
            }
        }
    }

    /// One request and its reply. `Err` is a connection that ended before the reply did.
    async fn exchange(&self, live: &mut Live, parcel: &Parcel) -> Result<Verdict, Broken> {
        let mut request = Request::new(Whole::from(parcel.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri(parcel.signal);
        *request.headers_mut() = parcel.headers.clone();
        let reply = live.send(request).await?;
        let now = self.inner.clock.unix_nanos() / 1_000_000_000;
        match self.settings.protocol {
            Protocol::Grpc => grpc::verdict(parcel.signal, reply, now).await,
            Protocol::HttpProtobuf => otlp_http::verdict(parcel.signal, Encoding::Protobuf, reply, now).await,
            Protocol::HttpJson => otlp_http::verdict(parcel.signal, Encoding::Json, reply, now).await,
        }
    }

    /// Makes a request ready to be sent, once for all attempts.
    async fn pack(&self, batch: &Batch, part: &Part) -> Result<Parcel, Loss> {
        let message = match self.settings.protocol {
            Protocol::Grpc | Protocol::HttpProtobuf => Pieces::new(part.body.clone()),
            Protocol::HttpJson => {
                let (signal, body) = (batch.signal, part.body.clone());
                let json = apart(move || json::from_protobuf(signal, &body.to_bytes())).await;
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
        (Whom::Batch | Whom::Connection | Whom::Nobody, _) => drop(pass),
    }
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
