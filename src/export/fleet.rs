//! Several gateways behind one name: each trace goes to the one that owns it.
//!
//! A batch is divided by the owners of its traces (`roll`), and each part goes to the senders of its gateway, which
//! has connections, a gate and a queue of its own like any upstream. Metrics, profiles and records without a trace
//! go to one gateway, always the same. What a gateway that can not be reached had, queued or under way, comes back
//! here and goes to whoever owns it now; one that answers but can take nothing is waited for, because moving its
//! traces would split them.
//!
//! The surprise: nobody tells the gateways of each other, and no sidecar of another. They agree because they ask
//! the same name and count the same.

mod roll;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::classify::{Again, Trouble, Whom};
use super::names::{Names, Resolver};
use super::retry::Backoff;
use super::sender::{self, Upstream};
use super::settle::Books;
use super::target::Target;
use super::{Gateways, Inner, Settings, SetupError};
use crate::model::background;
use crate::queue::{Batch, Outbox};
use crate::wire::divide::{self, Part};
use crate::wire::{Signal, TraceId};
use roll::{EVERY, Roll};

/// Batches, and bytes of them, that wait for one gateway before all wait.
const QUEUE_BATCHES: usize = 1024;
const QUEUE_BYTES: usize = 8 << 20;
/// How long to wait for a full queue before trying again.
const FULL_NAP: Duration = Duration::from_millis(5);
/// Sidecars ask within this time of a boundary, not all in the same instant.
const SPREAD_MS: u64 = 500;
/// With no gateway known, the name is asked for this often.
const ASK_SOON: Duration = Duration::from_secs(1);

/// What the fleet and the senders of its gateways share.
#[derive(Debug)]
pub(super) struct Shared {
    roll: Mutex<Roll>,
    strays: mpsc::UnboundedSender<Arc<Batch>>,
    /// Batches that gateways have and that are not settled.
    out: AtomicUsize,
    changed: Notify,
}

impl Shared {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gateway, to its own senders.
#[derive(Clone, Debug)]
pub(super) struct Member {
    at: SocketAddr,
    fleet: Arc<Shared>,
}

/// Counts a batch as out until it is settled or handed back.
#[derive(Debug)]
pub(super) struct Out(Arc<Shared>);

impl Drop for Out {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

impl Member {
    /// The fleet has given a batch out; this one's sender has it now.
    pub fn took(&self) -> Out {
        Out(self.fleet.clone())
    }

    /// Whether what failed so is somebody else's to send: the gateway can not be reached, and another can.
    pub fn lets_go(&self, again: &Again) -> bool {
        let unreachable =
            matches!(again.trouble, Trouble::Connect | Trouble::Tls | Trouble::Cut | Trouble::Timeout);
        if !unreachable || matches!(again.whom, Whom::Connection | Whom::Nobody) {
            return false;
        }
        let mut roll = self.fleet.roll();
        roll.failed(self.at);
        let has_another = roll.has_another(self.at);
        drop(roll);
        self.fleet.changed.notify_one();
        has_another
    }

    /// Parts of a batch that somebody else is to send; they settle what is `left` of it.
    pub fn give_back(&self, batch: &Batch, parts: Vec<Part>, left: (u64, u64)) {
        for ((), stray) in shared_out(batch, left, parts.into_iter().map(|part| ((), part)).collect()) {
            // The fleet outlives its senders.
            let _ = self.fleet.strays.send(stray);
        }
    }
}

/// Batches of the parts of another, each with where it goes. Together they settle its `items` and `notes`: what is
/// in no part, duplicates that were collapsed, goes with the first.
fn shared_out<T>(
    batch: &Batch,
    (mut left, mut notes): (u64, u64),
    parts: Vec<(T, Part)>,
) -> impl Iterator<Item = (T, Arc<Batch>)> {
    let mut rest = left.saturating_sub(parts.iter().map(|(_, part)| part.items).sum());
    parts.into_iter().map(move |(to, part)| {
        let items = (part.items + std::mem::take(&mut rest)).min(left);
        left -= items;
        let batch = Batch {
            signal: batch.signal,
            origin: batch.origin.clone(),
            to: batch.to,
            items,
            notes: std::mem::take(&mut notes),
            opened: batch.opened,
            reservation: batch.reservation.another(part.body.len()),
            body: part.body,
        };
        (to, Arc::new(batch))
    })
}

/// The senders of one gateway.
#[derive(Debug)]
struct Senders {
    outbox: Arc<Outbox>,
    task: JoinHandle<()>,
}

/// All gateways of one upstream.
#[derive(Debug)]
pub(super) struct Fleet {
    settings: Settings,
    inner: Inner,
    books: Books,
    names: Arc<Names>,
    shared: Arc<Shared>,
    strays: mpsc::UnboundedReceiver<Arc<Batch>>,
    senders: BTreeMap<SocketAddr, Senders>,
    /// Of gateways that left: they finish what they have.
    ending: Vec<JoinHandle<()>>,
    /// Parts whose gateway's queue is full.
    waiting: VecDeque<(SocketAddr, Arc<Batch>)>,
    /// Chooses the gateway of what is no trace's.
    id: u64,
    give_up: CancellationToken,
}

impl Fleet {
    /// # Errors
    /// What an upstream's settings can be refused for.
    pub fn new(
        settings: Settings,
        gateways: Gateways,
        inner: Inner,
        resolver: Resolver,
        give_up: CancellationToken,
    ) -> Result<Self, SetupError> {
        // Found out now, not with the first gateway.
        Upstream::new(settings.clone(), inner.clone(), Resolver::system())?;
        let Target { host, port, .. } = Target::new(&settings)?;
        let names = Names::new(host, port, resolver);
        let (give_back, strays) = mpsc::unbounded_channel();
        let roll = Mutex::new(Roll::new(gateways.hold));
        let shared = Shared { roll, strays: give_back, out: AtomicUsize::new(0), changed: Notify::new() };
        Ok(Self {
            books: Books::new(inner.meters.clone(), settings.name.clone()),
            settings,
            inner,
            names,
            shared: Arc::new(shared),
            strays,
            senders: BTreeMap::new(),
            ending: Vec::new(),
            waiting: VecDeque::new(),
            id: rand::random(),
            give_up,
        })
    }

    /// Hands batches to gateways until the outbox is closed and all is settled, or `give_up` fires.
    pub async fn run(mut self) {
        let (answers, mut answered) = mpsc::channel(1);
        let asker = background(ask(self.names.clone(), self.inner.clock, answers));
        let mut closed = false;
        while !(closed && self.is_done()) {
            let changed = self.shared.clone();
            let ready = self.waiting.is_empty() && !self.senders.is_empty() && !closed;
            tokio::select! {
                () = self.give_up.cancelled() => break,
                Some(answer) = answered.recv() => self.learn(answer),
                Some(stray) = self.strays.recv() => {
                    self.count_moved(&stray);
                    self.place(stray);
                }
                batch = self.inner.outbox.take(), if ready => match batch {
                    Some(batch) => self.place(batch),
                    None => closed = true,
                },
                () = changed.changed.notified() => {}
                () = sleep(FULL_NAP), if !self.waiting.is_empty() => {}
            }
            self.take_from_the_fallen();
            self.hand_over();
        }
        asker.abort();
        self.end().await;
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.strays.is_empty() && self.shared.out.load(Ordering::Acquire) == 0
    }

    /// The name has been asked for.
    fn learn(&mut self, answer: Result<Vec<SocketAddr>, String>) {
        let name = &self.settings.name;
        let outcome = if answer.is_ok() { "ok" } else { "failed" };
        self.inner.meters.gateway_lookups.with_label_values(&[name, outcome]).inc();
        let now = self.inner.clock.unix_nanos();
        match answer {
            Ok(members) => {
                let count = members.len();
                if self.shared.roll().learn(now, members) {
                    tracing::info!(upstream = name, gateways = count, "gateways found");
                }
            }
            Err(why) if self.senders.is_empty() => {
                tracing::warn!(upstream = name, "no gateway is known: {why}; what is to be sent waits");
            }
            Err(why) => tracing::debug!(upstream = name, "gateways stay as they were: {why}"),
        }
        self.muster(now);
    }

    /// Starts senders for gateways that are new, and ends those of gateways that left.
    fn muster(&mut self, now: u64) {
        let members = {
            let mut roll = self.shared.roll();
            roll.prune(now);
            roll.members()
        };
        for at in &members {
            if !self.senders.contains_key(at) {
                match self.start(*at) {
                    Ok(senders) => drop(self.senders.insert(*at, senders)),
                    Err(error) => tracing::error!("{error}"),
                }
            }
        }
        let left: Vec<_> = self.senders.keys().filter(|at| !members.contains(at)).copied().collect();
        for at in left {
            let Some(senders) = self.senders.remove(&at) else { continue };
            self.take_back(&senders.outbox);
            senders.outbox.close();
            self.ending.push(senders.task);
        }
        self.ending.retain(|task| !task.is_finished());
        self.show();
    }

    fn start(&self, at: SocketAddr) -> Result<Senders, SetupError> {
        let outbox = Outbox::new(QUEUE_BATCHES, QUEUE_BYTES);
        let inner = Inner { outbox: outbox.clone(), ..self.inner.clone() };
        let here = Resolver::new(move |_, _| async move { Ok(vec![at]) });
        let member = Member { at, fleet: self.shared.clone() };
        let upstream = Upstream::new(self.settings.clone(), inner, here)?.of_fleet(member, &at.to_string());
        let upstream = Arc::new(upstream);
        let task = background(sender::run(upstream.clone(), self.give_up.clone()));
        let (shared, retry, give_up) = (self.shared.clone(), self.settings.retry, self.give_up.clone());
        // Ends with the senders, which hold the only other handle to what it knocks with.
        let knocking = Arc::downgrade(&upstream);
        background(give_up.run_until_cancelled_owned(async move {
            let mut backoff = Backoff::new(retry);
            while let Some(upstream) = knocking.upgrade() {
                let is_down = shared.roll().down().any(|down| down == at);
                if is_down && upstream.can_be_reached().await {
                    shared.roll().recovered(at);
                    shared.changed.notify_one();
                }
                drop(upstream);
                let wait = if is_down { backoff.next(None, &mut rand::rng()) } else { ASK_SOON };
                if !is_down {
                    backoff.reset();
                }
                sleep(wait.min(EVERY)).await;
            }
        }));
        Ok(Senders { outbox, task })
    }

    /// Divides a batch among the owners of its traces.
    fn place(&mut self, batch: Arc<Batch>) {
        let now = self.inner.clock.unix_nanos();
        let shared = self.shared.clone();
        let mut roll = shared.roll();
        let Some(anybody) = roll.anybody(now, self.id) else {
            // Nothing is taken before a gateway is known, and those that are known stay until others are.
            drop(roll);
            return self.lose(&batch);
        };
        let mut split = 0;
        let owner = |trace, start| match roll.owner(now, trace, start) {
            Some(owned) => {
                split += u64::from(owned.split);
                owned.by
            }
            None => anybody,
        };
        match self.divided(&batch, anybody, owner) {
            Err(only) => self.waiting.push_back((only, batch)),
            Ok(parts) => self.waiting.extend(shared_out(&batch, (batch.items, batch.notes), parts)),
        }
        self.inner.meters.gateway_splits.with_label_values(&[&self.settings.name]).inc_by(split);
    }

    fn divided(
        &self,
        batch: &Batch,
        anybody: SocketAddr,
        owner: impl FnMut(TraceId, u64) -> SocketAddr,
    ) -> Result<Vec<(SocketAddr, Part)>, SocketAddr> {
        match (self.senders.len(), batch.signal) {
            (0 | 1, _) | (_, Signal::Metrics | Signal::Profiles) => Err(anybody),
            _ => divide::by_place(batch.signal, &batch.body.to_bytes(), anybody, owner),
        }
    }

    /// Offers what waits; what finds its queue full goes on waiting.
    fn hand_over(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some((to, batch)) = self.waiting.pop_front() else { return };
            let Some(senders) = self.senders.get(&to) else {
                // It left in the meantime.
                self.place(batch);
                continue;
            };
            self.shared.out.fetch_add(1, Ordering::AcqRel);
            if let Err(batch) = senders.outbox.offer(batch) {
                self.shared.out.fetch_sub(1, Ordering::AcqRel);
                self.waiting.push_back((to, batch));
            }
        }
    }

    /// What is queued for gateways that can not be reached goes to whoever has their traces now.
    fn take_from_the_fallen(&mut self) {
        let fallen: Vec<_> = {
            let roll = self.shared.roll();
            roll.down().filter(|at| roll.has_another(*at)).collect()
        };
        for at in fallen {
            if let Some(outbox) = self.senders.get(&at).map(|senders| senders.outbox.clone()) {
                self.take_back(&outbox);
            }
            let theirs: Vec<_> =
                self.waiting.iter().filter(|(to, _)| *to == at).map(|(_, b)| b.clone()).collect();
            self.waiting.retain(|(to, _)| *to != at);
            theirs.into_iter().for_each(|batch| self.place(batch));
        }
        self.show();
    }

    fn take_back(&mut self, outbox: &Outbox) {
        while let Some(batch) = outbox.try_take() {
            self.shared.out.fetch_sub(1, Ordering::AcqRel);
            self.count_moved(&batch);
            self.place(batch);
        }
    }

    fn count_moved(&self, batch: &Batch) {
        let labels = [batch.signal.name(), &self.settings.name];
        self.inner.meters.gateway_moved.with_label_values(&labels).inc_by(batch.items);
    }

    fn show(&self) {
        let roll = self.shared.roll();
        let down = roll.down().count();
        let gauge =
            |state| self.inner.meters.gateways.with_label_values(&[self.settings.name.as_str(), state]);
        gauge("down").set(i64::try_from(down).unwrap_or(i64::MAX));
        gauge("up").set(i64::try_from(self.senders.len().saturating_sub(down)).unwrap_or(i64::MAX));
    }

    /// A claim that nobody settles is lost to the end.
    fn lose(&self, batch: &Batch) {
        drop(self.books.claim(batch));
    }

    /// Ends the senders, and counts as lost what nobody took.
    async fn end(mut self) {
        for (_, senders) in std::mem::take(&mut self.senders) {
            senders.outbox.close();
            self.ending.push(senders.task);
        }
        for task in std::mem::take(&mut self.ending) {
            let _ = task.await;
        }
        self.strays.close();
        while let Ok(stray) = self.strays.try_recv() {
            self.lose(&stray);
        }
        self.waiting.iter().for_each(|(_, batch)| self.lose(batch));
        while let Some(batch) = self.inner.outbox.try_take() {
            self.lose(&batch);
        }
    }
}

/// Asks for the name a moment after each boundary, and soon again while there is no answer.
async fn ask(
    names: Arc<Names>,
    clock: crate::model::Clock,
    answers: mpsc::Sender<Result<Vec<SocketAddr>, String>>,
) {
    let spread = Duration::from_millis(rand::random_range(0..SPREAD_MS));
    let mut known = false;
    loop {
        let answer = names.addresses().await;
        known |= answer.is_ok();
        if answers.send(answer).await.is_err() {
            return;
        }
        let period = EVERY.as_nanos() as u64;
        let to_boundary = Duration::from_nanos(period - clock.unix_nanos() % period);
        let wait = if known { to_boundary + spread } else { ASK_SOON };
        sleep_until(Instant::now() + wait).await;
    }
}
