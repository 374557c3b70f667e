//! Every policy of the edge that does not depend on the protocol: budget, cap, walk, offer, count.
//!
//! In order: the size on the wire and the byte budget (asked by the protocol files before they read),
//! inflating under the cap, JSON to protobuf, one walk, the offer to a lane. What is refused alone is
//! reported by `partial_success`; what is refused whole is a [`Refusal`]. Never waits for a queue.
//!
//! The surprise: the same pure [`check`] runs inline for what is small and on a blocking thread for
//! what is large. A small body may turn out large when inflated: then it is checked again over there.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use rand::Rng;
use tokio::sync::Semaphore;

use super::body::pay_for;
use super::inflate::{Coding, InflateError, inflate};
use super::refusal::{Refusal, quoted};
use super::respond::Caller;
use super::tally::Tally;
use super::{Inner, Settings, Timeouts};
use crate::model::origin::{HOPS, HOPS_MAX, hops};
use crate::model::{Noting, Origin, Relay, Time};
use crate::queue::{Admitted, Budget, Reservation};
use crate::wire::reply::{Encoding, Partial};
use crate::wire::walk::{Refused, keep_good};
use crate::wire::{Detail, Fault, Index, Limits, Malformed, Signal, Signals, json, strindex_seen, walk};

/// Protobuf up to this size is checked where it was read: about a millisecond's work.
const INLINE_MAX: usize = 1 << 20;
/// JSON costs several times as much a byte.
const INLINE_JSON_MAX: usize = 256 * 1024;
/// Compressed bytes that are worth trying to inflate inline.
const INLINE_CODED_MAX: usize = 256 * 1024;

/// How much later callers are answered while lanes are behind: at most so many times this long.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES_MAX: u32 = 4;

const QUEUE_FULL: &str = "the queue is full";
const BEHIND: &str = "other requests were being checked until this call's time was up";

/// A request as a protocol file hands it over: its bytes, and what was paid for them.
#[derive(Debug)]
pub struct Parcel {
    pub signal: Signal,
    pub encoding: Encoding,
    pub coding: Coding,
    pub body: Bytes,
    pub paid: Reservation,
    /// When its caller stops waiting (conformance GS13).
    pub deadline: Time,
}

/// The policies and what they need, shared by all connections.
#[derive(Debug)]
pub struct Gate {
    inner: Inner,
    join: bool,
    signals: Signals,
    notes: bool,
    /// Also those that are evaluations and name no span.
    evaluations: bool,
    /// Bytes of one request: the setting, or what the budget could ever hold.
    pub request_max: usize,
    /// Bytes of one reply.
    pub response_max: usize,
    json: json::Options,
    /// Set once a string named by index has been told of.
    strindex_told: AtomicBool,
    pub timeouts: Timeouts,
    traces_at: Option<String>,
    heavy: Arc<Semaphore>,
    pub tally: Tally,
}

/// A request that was checked, and pays for its body and its index.
#[derive(Debug)]
struct Checked {
    body: Bytes,
    index: Index,
    /// Said to a caller whose request was taken whole (conformance G11).
    warning: Option<String>,
    paid: Reservation,
}

/// What `check` lets through.
type Passed = (Bytes, Index, Option<String>);

/// Why `check` stopped.
enum Stop {
    Refused(Refusal),
    NoBudget,
    /// More than the cap it was given.
    TooLarge,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl Gate {
    pub fn new(settings: &Settings, inner: Inner) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The index counts bytes in 32 bits.
        let request_max = settings.request_max.min(inner.budget.limit()).min(u32::MAX as usize);
        let tally = Tally::new(inner.meters.clone());
        let heavy = Arc::new(Semaphore::new(cores.clamp(1, 4)));
        Self {
            inner,
            join: settings.join,
            signals: settings.signals,
            traces_at: settings.traces_at.clone(),
            notes: settings.notes,
            evaluations: settings.evaluations,
            request_max,
            response_max: settings.response_max,
            json: json::Options { lenient: settings.lenient_json },
            strindex_told: AtomicBool::new(false),
            timeouts: settings.timeouts,
            heavy,
            tally,
        }
    }

    /// What is asked of requests.
    pub fn noting(&self) -> &Noting {
        &self.inner.noting
    }

    /// Who is handed what is not OTLP.
    pub fn relay(&self) -> Option<&Arc<dyn Relay>> {
        self.inner.relay.as_ref()
    }

    /// A further path at which spans come over HTTP.
    pub fn traces_at(&self) -> Option<&str> {
        self.traces_at.as_deref()
    }

    /// A gate with a lane nobody empties, for tests and `probe`.
    pub fn alone(memory: usize, request_max: usize) -> Self {
        let (lanes, _inboxes) = crate::queue::Lanes::new(1, 1);
        let meters = Arc::new(crate::telemetry::Meters::new());
        let inner = Inner {
            lanes,
            budget: Budget::new(memory),
            meters,
            clock: crate::model::Clock::new(),
            relay: None,
            noting: Arc::default(),
        };
        Self::new(&Settings { request_max, ..Settings::default() }, inner)
    }

    pub fn now(&self) -> Time {
        self.inner.clock.now()
    }

    pub fn clock(&self) -> crate::model::Clock {
        self.inner.clock
    }

    pub fn meters(&self) -> &Arc<crate::telemetry::Meters> {
        &self.inner.meters
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.inner.budget
    }

    /// Whether a signal is taken at all, if only in part.
    pub fn takes(&self, signal: Signal) -> bool {
        self.signals.has(signal) || self.takes_notes_only(signal)
    }

    /// Whether only what belongs to spans is taken of a signal.
    fn takes_notes_only(&self, signal: Signal) -> bool {
        signal == Signal::Logs && self.notes && !self.signals.has(signal)
    }

    /// What a request's head says against it, whatever its body.
    ///
    /// # Errors
    /// No upstream takes the signal; or the request has been through so many of us that it goes round.
    pub fn welcome(&self, signal: Signal, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.takes(signal) {
            return Err(Refusal::NotTaken(signal));
        }
        match hops(headers.get_all(HOPS).iter().map(HeaderValue::as_bytes)) {
            0..=HOPS_MAX => Ok(()),
            hops => Err(Refusal::Loop { hops }),
        }
    }

    /// Pays for a body that announces `bytes`, before any of it is read.
    ///
    /// # Errors
    /// Too large for any request, or for the budget as it is now; or the lanes are full.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, Refusal> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes > self.request_max {
            return Err(self.too_large("on the wire"));
        }
        if self.inner.lanes.is_full() {
            return Err(self.busy(QUEUE_FULL));
        }
        self.budget().try_reserve(bytes).ok_or_else(|| self.no_budget())
    }

    pub fn too_large(&self, what: &'static str) -> Refusal {
        Refusal::TooLarge { what, max: self.request_max }
    }

    pub fn no_budget(&self) -> Refusal {
        self.busy("memory is full")
    }

    /// One to five seconds, longer the fuller we are, jittered so that callers do not come back at once.
    fn busy(&self, what: &'static str) -> Refusal {
        let (used, limit) = (self.budget().used() as u64, self.budget().limit().max(1) as u64);
        let load = (used.saturating_mul(3000) / limit).min(3000);
        let after = Duration::from_millis(1000 + rand::rng().random_range(0..=1000 + load));
        Refusal::Busy { what, after }
    }

    /// Takes a request, or says why not. `Some(partial)`: some or all of its items were refused.
    pub async fn admit(
        self: &Arc<Self>,
        caller: Caller,
        origin: Arc<Origin>,
        parcel: Parcel,
    ) -> Result<Option<Partial>, Refusal> {
        let signal = parcel.signal;
        let checked = self.checked(parcel).await?;
        self.tell_of_strindex();
        let Checked { body, mut index, warning, paid } = checked;
        let (items, refused) = (index.items, &index.refused);
        self.tally.received(signal, caller, items + refused.items);
        self.tally.refused(signal, "bad_item", refused.items);
        let partial = match (refused.items, warning) {
            (0, None) => None,
            (0, Some(message)) => Some(Partial { rejected: 0, message }),
            (_, warning) => Some(partial(signal, items, refused, warning)),
        };
        if !self.evaluations {
            index.notes.retain(|note| !note.span.is_none());
        }
        let notes = index.notes.len() as u64;
        let (items, partial) = if self.takes_notes_only(signal) && notes < items {
            self.tally.refused(signal, "not_taken", items - notes);
            index.items = notes;
            (notes, Some(notes_only(items, notes, partial)))
        } else {
            (items, partial)
        };
        if items > 0 {
            self.let_lanes_catch_up().await;
            let offered = self.now();
            let request = Admitted { signal, origin, body, index, offered, reservation: paid };
            self.inner.lanes.offer(request).map_err(|_| {
                self.tally.refused(signal, "busy", items);
                self.busy(QUEUE_FULL)
            })?;
        }
        Ok(partial)
    }

    /// Gives lanes that are behind a moment: a caller that is answered a little later sends a little later,
    /// which is cheaper than a long queue, out of the processor's cache, and then a refusal. A moment and no
    /// longer: a lane that does not move is filled, and refuses.
    async fn let_lanes_catch_up(&self) {
        for _ in 0..PAUSES_MAX {
            if !self.inner.lanes.are_behind() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Says once that strings are named by index where no dictionary is (conformance G15).
    fn tell_of_strindex(&self) {
        if strindex_seen() && !self.strindex_told.load(Relaxed) && !self.strindex_told.swap(true, Relaxed) {
            tracing::warn!(
                "a caller names strings by index (key_strindex, string_value_strindex) outside profiles; \
                 there is no dictionary, so they are passed on and read as absent"
            );
        }
    }

    /// Runs [`check`] where it belongs.
    async fn checked(self: &Arc<Self>, parcel: Parcel) -> Result<Checked, Refusal> {
        let inline_max = match (parcel.coding, parcel.encoding) {
            (Coding::Identity, Encoding::Protobuf) => INLINE_MAX,
            (Coding::Identity, Encoding::Json) => INLINE_JSON_MAX,
            _ => INLINE_CODED_MAX,
        };
        if parcel.body.len() <= inline_max {
            let wire = parcel.paid.bytes();
            let mut paid = parcel.paid;
            let plain = Plain { signal: parcel.signal, encoding: parcel.encoding, coding: parcel.coding };
            let cap = if plain.encoding == Encoding::Json { INLINE_JSON_MAX } else { INLINE_MAX };
            match self.check(plain, parcel.body.clone(), cap.min(self.request_max), &mut paid) {
                Err(Stop::TooLarge) if cap < self.request_max => paid.resize(wire),
                outcome => return self.finish(outcome, paid),
            }
            return self.checked_aside(plain, parcel.body, paid, parcel.deadline).await;
        }
        let plain = Plain { signal: parcel.signal, encoding: parcel.encoding, coding: parcel.coding };
        self.checked_aside(plain, parcel.body, parcel.paid, parcel.deadline).await
    }

    /// Checks on a blocking thread; only so many at once.
    async fn checked_aside(
        self: &Arc<Self>,
        plain: Plain,
        body: Bytes,
        mut paid: Reservation,
        deadline: Time,
    ) -> Result<Checked, Refusal> {
        let patience = deadline.since(self.now());
        let turn = tokio::time::timeout(patience, self.heavy.clone().acquire_owned()).await;
        // Checked after its caller has gone, it would come again as a duplicate.
        let turn = turn.map_err(|_| self.busy(BEHIND))?.map_err(|_| Refusal::Internal)?;
        let gate = self.clone();
        let work = move || {
            let _turn = turn;
            let outcome = gate.check(plain, body, gate.request_max, &mut paid);
            gate.finish(outcome, paid)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "checking a request failed");
            Err(Refusal::Internal)
        })
    }

    /// Settles the account: what is held from now on is the body and its index.
    fn finish(&self, outcome: Result<Passed, Stop>, mut paid: Reservation) -> Result<Checked, Refusal> {
        let (body, index, warning) = outcome.map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            Stop::NoBudget => self.no_budget(),
            Stop::TooLarge => self.too_large("inflated"),
        })?;
        let holds = body.len() + index.heap_bytes();
        if holds > self.budget().limit() {
            return Err(Refusal::TooLarge { what: "with its index", max: self.budget().limit() });
        }
        if holds > paid.bytes() && !paid.try_grow(holds - paid.bytes()) {
            return Err(self.no_budget());
        }
        paid.resize(holds);
        Ok(Checked { body, index, warning, paid })
    }

    /// Inflates, transcodes and walks. Pure but for the budget.
    fn check(
        &self,
        plain: Plain,
        mut body: Bytes,
        cap: usize,
        paid: &mut Reservation,
    ) -> Result<Passed, Stop> {
        let Plain { signal, encoding, coding } = plain;
        if coding != Coding::Identity {
            body = inflate(coding, &body, cap, paid).map(Bytes::from).map_err(|e| match e {
                InflateError::TooLarge => Stop::TooLarge,
                InflateError::NoBudget => Stop::NoBudget,
                InflateError::Corrupt(why) => Refusal::Corrupt { coding: coding.name(), why }.into(),
            })?;
        }
        let mut warning = None;
        if encoding == Encoding::Json {
            if !paid.try_grow(body.len()) {
                return Err(Stop::NoBudget);
            }
            let read = json::to_protobuf_noting(signal, &body, self.request_max, self.json);
            let read = read.map_err(Refusal::from)?;
            self.tally.lenient_json(read.leniencies);
            warning = read.misspelt.map(|name| misspelt(&name));
            body = read.body.into();
        }
        let (body, index) = self.walk(signal, body, paid)?;
        Ok((body, index, warning))
    }

    fn walk(&self, signal: Signal, body: Bytes, paid: &mut Reservation) -> Result<(Bytes, Index), Stop> {
        let joined = self.join && signal == Signal::Traces;
        let noted = self.notes && signal == Signal::Logs;
        let detail = if joined || noted { Detail::Spans } else { Detail::Blocks };
        let limits = self.limits();
        let mut index = walk(signal, &body, detail, &limits).map_err(|m| self.not_walked(m, &body))?;
        if index.refused.items == 0 || index.items == 0 || joined {
            return Ok((body, index));
        }
        // The cold path: what is passed on whole must not carry what was refused.
        if !pay_for(paid, body.len() * 2) {
            return Err(Stop::NoBudget);
        }
        let good = keep_good(signal, &body, &limits).map_err(|m| self.not_walked(m, &body))?;
        let refused = std::mem::take(&mut index.refused);
        let good = Bytes::from(good);
        let again = walk(signal, &good, detail, &limits).map_err(|m| self.not_walked(m, &good))?;
        Ok((good, Index { refused, ..again }))
    }

    /// An index takes no more than what is free now: it is paid for once its size is known.
    fn limits(&self) -> Limits {
        let free = self.budget().limit().saturating_sub(self.budget().used());
        let usual = Limits::default();
        Limits { index_bytes: usual.index_bytes.min(free), ..usual }
    }

    /// An index without room is not the bytes' fault: ours when others hold the memory, and the
    /// request's size when it would not fit into an empty process.
    fn not_walked(&self, malformed: Malformed, body: &Bytes) -> Stop {
        if malformed.fault != Fault::IndexSize {
            return Refusal::from(malformed).into();
        }
        match self.budget().used() > body.len().saturating_mul(2) {
            true => Stop::NoBudget,
            false => Refusal::TooLarge { what: "with its index", max: self.budget().limit() }.into(),
        }
    }
}

/// What a caller is told of a name that was passed over (conformance J03, J04, G11).
fn misspelt(name: &str) -> String {
    format!("{name} is no OTLP/JSON name and was passed over with all it holds; names are lowerCamelCase")
}

/// What a caller is told whose log records are taken only as far as they belong to spans.
fn notes_only(items: u64, notes: u64, partial: Option<Partial>) -> Partial {
    let others = items - notes;
    let mut message = format!(
        "{others} of {items} log records refused: no upstream here takes logs, so only GenAI events \
         (`gen_ai.*`) that name their trace and span are taken, as events of that span; name `logs` in \
         `upstreams.NAME.signals` of the one that shall have the others, or do not send them"
    );
    let Some(Partial { rejected, message: said }) = partial else {
        return Partial { rejected: others, message };
    };
    let _ = write!(message, "; {said}");
    Partial { rejected: others + rejected, message }
}

/// What a body is, before it is plain protobuf.
#[derive(Clone, Copy, Debug)]
struct Plain {
    signal: Signal,
    encoding: Encoding,
    coding: Coding,
}

/// `partial_success`: the exact number refused, and for the first few which and why (conformance G09, G10).
fn partial(signal: Signal, accepted: u64, refused: &Refused, warning: Option<String>) -> Partial {
    let items = match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "data points",
        Signal::Logs => "log records",
        Signal::Profiles => "profiles",
    };
    let all = accepted + refused.items;
    let mut message = format!("{} of {all} {items} refused", refused.items);
    for (path, fault) in &refused.named {
        // Writing to a String does not fail.
        let _ = write!(message, "; {}: {fault}", quoted(path));
    }
    let rest = refused.items.saturating_sub(refused.named.len() as u64);
    if rest > 0 && !refused.named.is_empty() {
        let _ = write!(message, "; and {rest} more");
    }
    message.push_str("; correct them, the others need not be sent again");
    if let Some(warning) = warning {
        let _ = write!(message, "; {warning}");
    }
    Partial { rejected: refused.items, message }
}
