//! The accept loops, and one task a connection with explicit limits.
//!
//! An accept error never ends a loop (faults F30): it backs off and tries again.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rand::Rng;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::Gate;
use super::conn::Conn;
use super::doors::Doors;
use super::listen::{Bound, Listener, Socket};
use super::origins::Origins;
use super::speech::Speech;
use super::watch::{Line, Patience, Turns, Watch, Watched};
use super::{Age, Inner, Settings, Timeouts, descriptors};
use crate::model::stream::{self, Io, Stream};
use crate::model::{Clock, Origin, Time};

/// What is in flight when we stop may finish within this.
const GRACE: Duration = Duration::from_secs(2);
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pauses after an accept error, doubling from one to the other.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Serves until `stop`, then finishes what is in flight (GOAWAY, `connection: close`) and returns.
pub async fn serve(bound: Bound, settings: Settings, inner: Inner, stop: CancellationToken) {
    let (listeners, doors) = bound.into_parts();
    let tracker = TaskTracker::new();
    doors.follow(&inner.meters, &stop, &tracker);
    let server = Arc::new(Server {
        clock: inner.clock,
        room: Arc::new(Semaphore::new(room(settings.connections_max))),
        gate: Arc::new(Gate::new(&settings, inner)),
        anonymous: Origin::anonymous(),
        doors: Arc::new(doors),
        age: settings.age,
        tracker: tracker.clone(),
        stop,
    });
    for listener in listeners {
        tracker.spawn(accept_all(server.clone(), listener));
    }
    tracker.close();
    server.stop.cancelled().await;
    // Each connection keeps to GRACE by itself; the rest is for the scheduler.
    if tokio::time::timeout(GRACE * 2, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "connections left open at the end");
    }
}

/// How many connections may be open: as many as were asked for, or as the system allows.
fn room(asked: usize) -> usize {
    let allowed = descriptors::for_connections();
    if allowed < asked {
        tracing::warn!(asked, allowed, "the limit of open files allows fewer connections");
    }
    asked.min(allowed).min(Semaphore::MAX_PERMITS)
}

struct Server {
    clock: Clock,
    room: Arc<Semaphore>,
    gate: Arc<Gate>,
    anonymous: Arc<Origin>,
    doors: Arc<Doors>,
    age: Option<Age>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Why a connection is told to go.
enum Why {
    Aged,
    /// We stop, or nobody is there.
    Other,
}

/// A connection counted as open until it is dropped, also by a panic.
struct Open(prometheus::IntGauge);

impl Open {
    fn new(gauge: prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn accept_all(server: Arc<Server>, listener: Listener) {
    let mut pause = BACKOFF.0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.stop.cancelled() => return,
        };
        match accepted {
            Ok(socket) => {
                pause = BACKOFF.0;
                server.clone().take(socket);
            }
            Err(e) if is_of_one_connection(&e) => {}
            Err(error) => {
                tracing::warn!(%error, ?pause, "can't accept connections; trying again");
                tokio::select! {
                    () = sleep(pause) => {}
                    () = server.stop.cancelled() => return,
                }
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

impl Server {
    /// Serves a connection on a task of its own, if there is room for one more.
    fn take(self: Arc<Self>, socket: Socket) {
        let meters = self.gate.meters().clone();
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            meters.refused_connections.with_label_values::<&str>(&[]).inc();
            return;
        };
        self.tracker.clone().spawn(async move {
            let _open = Open::new(meters.connections.clone());
            match socket {
                Socket::Tcp(socket, from) => {
                    stream::tune(&socket);
                    match &self.doors.tls {
                        None => self.converse(socket, Some(from)).await,
                        // Boxed: those without TLS should not be as large as those with it.
                        Some(tls) => Box::pin(self.converse_secretly(tls.current(), socket, from)).await,
                    }
                }
                Socket::Unix(socket) => self.converse(socket, None).await,
            }
            drop(room);
        });
    }

    /// The same under TLS, after a handshake that does not take for ever.
    async fn converse_secretly(&self, tls: Arc<ServerConfig>, socket: TcpStream, from: IpAddr) {
        let shaking = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(socket));
        let Some(shaken) = self.stop.run_until_cancelled(shaking).await else { return };
        let reason = match shaken {
            Ok(Ok(socket)) => return self.converse(socket, Some(from)).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                "refused"
            }
            Err(_) => "slow",
        };
        self.gate.meters().failed_handshakes.with_label_values(&[reason]).inc();
    }

    /// One connection, to its end: the peer's, ours when we stop, or silence.
    fn converse(&self, socket: impl Io, from: Option<IpAddr>) -> impl Future<Output = ()> {
        let watch = Arc::new(Watch::default());
        self.serve(Watched::new(Stream::new(socket), watch.clone()), watch, from)
    }

    async fn serve(&self, line: Line, watch: Arc<Watch>, from: Option<IpAddr>) {
        let origins = Origins::new(self.anonymous.clone(), from);
        let conn = Arc::new(Conn::new(self.gate.clone(), self.doors.clone(), origins, watch.clone()));
        let mut http = Speech::new(line, conn);
        let mut turns = Turns::new(watch.clone());
        let mut silence = Silence::new(watch, self.gate.timeouts, self.clock);
        // A token of its own: polling the shared one on every wake-up would have all connections meet
        // at its lock.
        let mut aged = self.age.map(|age| Box::pin(sleep(jittered(age.max))));
        let stop = self.stop.child_token();
        let mut stop = pin!(stop.cancelled());
        let ended = poll_fn(|cx| {
            if turns.gives_way() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Poll::Ready(result) = http.poll(cx) {
                return Poll::Ready(Ok(result));
            }
            if aged.as_mut().is_some_and(|aged| aged.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Err(Why::Aged));
            }
            if stop.as_mut().poll(cx).is_ready() || silence.poll(cx).is_ready() {
                return Poll::Ready(Err(Why::Other));
            }
            Poll::Pending
        });
        let result = match ended.await {
            Ok(result) => result,
            Err(why) => {
                http.finish();
                // Boxed: at the end only, and an idle connection should be small.
                match Box::pin(self.within_grace(why, poll_fn(|cx| http.poll(cx)))).await {
                    Some(result) => result,
                    None => return tracing::debug!("connection closed with requests in flight"),
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
    }
}

impl Server {
    /// What the rest of a connection ends with, if it does in time. That we stop cuts a longer grace short.
    async fn within_grace<T>(&self, why: Why, rest: impl Future<Output = T>) -> Option<T> {
        let grace = match (why, self.age) {
            (Why::Aged, Some(age)) => age.grace,
            _ => GRACE,
        };
        let stopping = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            result = rest => Some(result),
            () = sleep(grace) => None,
            () = stopping => None,
        }
    }
}

/// Give or take a tenth.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.9..=1.1))
}

/// A timer that follows [`Patience`] without being set anew for every request.
struct Silence {
    patience: Patience,
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    set_for: Time,
}

impl Silence {
    fn new(watch: Arc<Watch>, timeouts: Timeouts, clock: Clock) -> Self {
        let now = clock.now();
        let mut patience = Patience::new(watch, timeouts, now);
        let set_for = patience.until(now).unwrap_or(now);
        let timer = Box::pin(sleep_until(Instant::from_std(clock.instant(set_for))));
        Self { patience, clock, timer, set_for }
    }

    /// Ready when the connection has been silent for too long.
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            let due = self.patience.until(now);
            // Later than set: leave the timer, and look again when it rings.
            if let Some(due) = due.filter(|&due| due < self.set_for) {
                self.set(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match due {
                Some(due) if due <= now => return Poll::Ready(()),
                Some(due) => self.set(due),
                None => self.set(now + Duration::from_secs(10)),
            }
        }
    }

    fn set(&mut self, time: Time) {
        self.set_for = time;
        self.timer.as_mut().reset(Instant::from_std(self.clock.instant(time)));
    }
}
