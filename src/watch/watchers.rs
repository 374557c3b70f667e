//! Who looks at joined traces: the latest kept, the console, metrics of traces, and readers of the
//! inspection API.
//!
//! A lane asks [`Watchers::wanted`] before it builds a [`JoinedTrace`], and [`Watchers::offer`] never
//! waits for anyone: each looker has its own queue, bounded in traces and bytes, and what does not fit
//! is skipped for that looker alone, counted, and told to it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use thiserror::Error;
use tokio::sync::mpsc;

use super::JoinedTrace;
use super::recent::Recent;
use crate::telemetry::Meters;
use crate::wire::TraceId;

/// Everyone who looks.
#[derive(Debug)]
pub struct Watchers {
    meters: Arc<Meters>,
    recent: Option<Mutex<Recent>>,
    lookers: RwLock<Vec<Looker>>,
    /// Lookers, and one for the latest kept.
    looking: AtomicUsize,
    next_id: AtomicU64,
}

/// The lanes' end of one looker's queue.
#[derive(Debug)]
struct Looker {
    id: u64,
    kind: Kind,
    queue: mpsc::Sender<Arc<JoinedTrace>>,
    tally: Arc<Tally>,
}

/// What both ends of a queue count.
#[derive(Debug, Default)]
struct Tally {
    bytes: AtomicUsize,
    missed: AtomicU64,
}

/// The `looker` label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Console,
    Watch,
    /// Counts traces as metrics.
    Rollups,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Console => "console",
            Kind::Watch => "watch",
            Kind::Rollups => "rollups",
        }
    }
}

/// Enough are looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{LOOKERS_MAX} are watching already; end one of them and try again")]
pub struct TooMany;

/// Lookers at once, the console and who counts included.
pub const LOOKERS_MAX: usize = 9;
/// Traces waiting for one looker.
const QUEUE_TRACES_MAX: usize = 256;
/// Bytes waiting for one looker. A larger trace is skipped.
const QUEUE_BYTES_MAX: usize = 2 << 20;

impl Watchers {
    /// `recent_bytes` 0: the latest are not kept.
    pub fn new(meters: Arc<Meters>, recent_bytes: usize) -> Arc<Self> {
        let recent = (recent_bytes > 0).then(|| Mutex::new(Recent::new(recent_bytes)));
        Arc::new(Self {
            meters,
            looking: AtomicUsize::new(usize::from(recent.is_some())),
            recent,
            lookers: RwLock::default(),
            next_id: AtomicU64::new(0),
        })
    }

    /// Whether a trace is worth building for [`Watchers::offer`]. One relaxed load.
    pub fn wanted(&self) -> bool {
        self.looking.load(Relaxed) > 0
    }

    /// Hands a trace to everyone who looks. Never waits for a looker; the locks taken are held for a
    /// push or a copy, by lanes and by who comes and goes.
    pub fn offer(&self, trace: JoinedTrace) {
        if let Some(mut recent) = self.recent() {
            let gone = recent.keep(&trace);
            self.meters.recent_evicted.with_label_values::<&str>(&[]).inc_by(gone);
        }
        let lookers = self.lookers.read().unwrap_or_else(PoisonError::into_inner);
        if lookers.is_empty() {
            return;
        }
        let trace = Arc::new(trace);
        for looker in lookers.iter().filter(|looker| !looker.give(&trace)) {
            looker.tally.missed.fetch_add(1, Relaxed);
            self.meters.watch_missed.with_label_values(&[looker.kind.name()]).inc();
        }
    }

    /// Joined traces from now on.
    ///
    /// # Errors
    /// [`TooMany`] when [`LOOKERS_MAX`] look already.
    pub fn look(self: &Arc<Self>, kind: Kind) -> Result<Looking, TooMany> {
        let (queue, taken) = mpsc::channel(QUEUE_TRACES_MAX);
        let (id, tally) = (self.next_id.fetch_add(1, Relaxed), Arc::<Tally>::default());
        let mut lookers = self.lookers.write().unwrap_or_else(PoisonError::into_inner);
        if lookers.len() >= LOOKERS_MAX {
            return Err(TooMany);
        }
        lookers.push(Looker { id, kind, queue, tally: tally.clone() });
        self.looking.fetch_add(1, AcqRel);
        Ok(Looking { id, taken, tally, watchers: self.clone() })
    }

    /// No more traces will come: every looker gets what is queued for it, and then the end.
    pub fn close(&self) {
        let mut lookers = self.lookers.write().unwrap_or_else(PoisonError::into_inner);
        self.looking.fetch_sub(lookers.len(), AcqRel);
        lookers.clear();
    }

    /// The latest traces kept, newest first, each with its parts; none when none are kept.
    pub fn latest(&self, most: usize) -> Vec<Vec<Arc<JoinedTrace>>> {
        self.recent().map(|recent| recent.latest(most)).unwrap_or_default()
    }

    /// All kept parts of one trace, oldest first.
    pub fn parts(&self, trace: TraceId) -> Vec<Arc<JoinedTrace>> {
        self.recent().map(|recent| recent.parts(trace)).unwrap_or_default()
    }

    /// Brings this module's gauges up to date.
    pub fn refresh(&self) {
        let as_gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        if let Some(recent) = self.recent() {
            self.meters.recent_traces.set(as_gauge(recent.len()));
            self.meters.recent_bytes.set(as_gauge(recent.bytes()));
        }
        let lookers = self.lookers.read().unwrap_or_else(PoisonError::into_inner);
        self.meters.lookers.set(as_gauge(lookers.len()));
    }

    fn recent(&self) -> Option<MutexGuard<'_, Recent>> {
        self.recent.as_ref().map(|recent| recent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn leave(&self, id: u64) {
        let mut lookers = self.lookers.write().unwrap_or_else(PoisonError::into_inner);
        let before = lookers.len();
        lookers.retain(|looker| looker.id != id);
        self.looking.fetch_sub(before - lookers.len(), AcqRel);
    }
}

impl Looker {
    /// Whether there was room.
    fn give(&self, trace: &Arc<JoinedTrace>) -> bool {
        let len = trace.body.len();
        let before = self.tally.bytes.fetch_add(len, AcqRel);
        let taken = before + len <= QUEUE_BYTES_MAX && self.queue.try_send(trace.clone()).is_ok();
        if !taken {
            self.tally.bytes.fetch_sub(len, AcqRel);
        }
        taken
    }
}

/// The looker's end. Dropping it ends the looking.
#[derive(Debug)]
pub struct Looking {
    id: u64,
    taken: mpsc::Receiver<Arc<JoinedTrace>>,
    tally: Arc<Tally>,
    watchers: Arc<Watchers>,
}

impl Looking {
    /// The next trace; waits for one. `None` once closed and empty.
    pub async fn next(&mut self) -> Option<Arc<JoinedTrace>> {
        let trace = self.taken.recv().await;
        self.settle(trace)
    }

    /// The same, for a thread of its own.
    pub fn next_blocking(&mut self) -> Option<Arc<JoinedTrace>> {
        let trace = self.taken.blocking_recv();
        self.settle(trace)
    }

    /// Traces skipped since this was last asked.
    pub fn missed(&self) -> u64 {
        self.tally.missed.swap(0, Acquire)
    }

    fn settle(&self, trace: Option<Arc<JoinedTrace>>) -> Option<Arc<JoinedTrace>> {
        trace.inspect(|t| {
            self.tally.bytes.fetch_sub(t.body.len(), AcqRel);
        })
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.watchers.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::trace_of;

    fn watchers(recent_bytes: usize) -> Arc<Watchers> {
        Watchers::new(Arc::new(Meters::new()), recent_bytes)
    }

    #[test]
    fn nothing_is_wanted_until_someone_looks_and_after_they_left() {
        let watchers = watchers(0);
        assert!(!watchers.wanted());
        let looking = watchers.look(Kind::Watch).unwrap();
        assert!(watchers.wanted());
        drop(looking);
        assert!(!watchers.wanted());
        assert!(self::watchers(1000).wanted(), "the latest are kept");
    }

    #[test]
    fn a_slow_looker_misses_traces_and_is_told_while_another_gets_them_all() {
        let watchers = watchers(0);
        let mut slow = watchers.look(Kind::Console).unwrap();
        let mut quick = watchers.look(Kind::Watch).unwrap();
        let all = QUEUE_TRACES_MAX + 10;
        for n in 0..all {
            watchers.offer(trace_of(u8::try_from(n % 200).unwrap(), 10));
            assert!(quick.next_blocking().is_some());
        }
        assert_eq!((quick.missed(), slow.missed()), (0, 10));
        assert_eq!(slow.missed(), 0, "told once");
        assert_eq!(watchers.meters.watch_missed.with_label_values(&["console"]).get(), 10);
        watchers.close();
        let got = std::iter::from_fn(|| slow.next_blocking()).count();
        assert_eq!(got, QUEUE_TRACES_MAX, "what was queued still comes, then the end");
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_room_comes_back() {
        let watchers = watchers(0);
        let mut looking = watchers.look(Kind::Watch).unwrap();
        watchers.offer(trace_of(1, QUEUE_BYTES_MAX));
        watchers.offer(trace_of(2, 1));
        assert_eq!(looking.missed(), 1);
        assert_eq!(looking.next_blocking().unwrap().trace, trace_of(1, 0).trace);
        watchers.offer(trace_of(3, 1));
        assert_eq!(looking.next_blocking().unwrap().trace, trace_of(3, 0).trace);
        assert_eq!(looking.missed(), 0);
        watchers.offer(trace_of(4, QUEUE_BYTES_MAX + 1));
        assert_eq!(looking.missed(), 1, "a trace larger than the queue is skipped");
    }

    #[test]
    fn no_more_than_so_many_look_and_a_place_becomes_free() {
        let watchers = watchers(0);
        let mut all: Vec<Looking> = (0..LOOKERS_MAX).map(|_| watchers.look(Kind::Watch).unwrap()).collect();
        assert_eq!(watchers.look(Kind::Watch).unwrap_err(), TooMany);
        all.pop();
        assert!(watchers.look(Kind::Watch).is_ok());
        drop(all);
        assert!(!watchers.wanted(), "those turned away are not counted");
    }

    #[test]
    fn closing_and_then_dropping_counts_everyone_out_once() {
        let watchers = watchers(0);
        let looking = watchers.look(Kind::Watch).unwrap();
        watchers.close();
        assert!(!watchers.wanted());
        drop(looking);
        assert!(!watchers.wanted());
    }
}
