//! One upstream's shared patience: when it is down, one sender knocks and the others wait for the answer.
//!
//! Without it every parallel sender would back off on its own and attempts would multiply by their
//! number. It knows nothing of connections or batches; it is told how attempts went.
//!
//! The surprise: an attempt that ended without saying anything about the upstream (its [`Pass`] is just
//! dropped) leaves the gate as it was.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Retry;
use super::retry::Backoff;

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    backoff: Backoff,
    /// Not before this moment; `None` while the upstream is well.
    shut_until: Option<Instant>,
    /// Somebody is knocking.
    probing: bool,
    /// Counts closings, so that senders who failed together count as one failure.
    closings: u64,
}

/// Leave to make one attempt.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    probe: bool,
    closings: u64,
}

enum Look<'a> {
    Pass(Pass<'a>),
    Shut(Instant),
    Probing,
}

impl Gate {
    pub fn new(retry: Retry) -> Self {
        let state = State { backoff: Backoff::new(retry), shut_until: None, probing: false, closings: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits for leave to try: at once while the upstream is well, else one at a time.
    pub async fn pass(&self) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.look() {
                Look::Pass(pass) => return pass,
                Look::Probing => changed.await,
                Look::Shut(until) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    fn look(&self) -> Look<'_> {
        let mut state = self.state();
        let closings = state.closings;
        match state.shut_until {
            None => Look::Pass(Pass { gate: self, probe: false, closings }),
            Some(_) if state.probing => Look::Probing,
            Some(until) if Instant::now() < until => Look::Shut(until),
            Some(_) => {
                state.probing = true;
                Look::Pass(Pass { gate: self, probe: true, closings })
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The upstream answered: everybody may go on.
    pub fn well(self) {
        let mut state = self.gate.state();
        if state.shut_until.take().is_some() {
            state.backoff.reset();
            drop(state);
            self.gate.changed.notify_waiters();
        }
    }

    /// The upstream is down or asks everybody to wait, for at least `asked`.
    pub fn down(self, asked: Option<Duration>) {
        let mut state = self.gate.state();
        // Those who were under way when it closed already count as that failure.
        if state.closings == self.closings {
            state.closings += 1;
            let wait = state.backoff.next(asked, &mut rand::rng());
            state.shut_until = Instant::now().checked_add(wait).or(Some(Instant::now()));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.gate.state().probing = false;
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::retry::tests::RETRY;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn f11_many_senders_knock_like_one_while_the_upstream_is_down() {
        let gate = Arc::new(Gate::new(RETRY));
        let knocks = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..16)
            .map(|_| {
                let (gate, knocks) = (gate.clone(), knocks.clone());
                tokio::spawn(async move {
                    loop {
                        let pass = gate.pass().await;
                        knocks.fetch_add(1, Ordering::Relaxed);
                        pass.down(None);
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(60)).await;
        senders.iter().for_each(tokio::task::JoinHandle::abort);
        let knocks = knocks.load(Ordering::Relaxed);
        assert!((3..=60).contains(&knocks), "{knocks} attempts in 60 s");
    }

    #[tokio::test(start_paused = true)]
    async fn one_success_lets_everybody_through() {
        let gate = Gate::new(RETRY);
        gate.pass().await.down(None);
        let probe = gate.pass().await;
        assert!(matches!(gate.look(), Look::Probing));
        probe.well();
        assert!(matches!(gate.look(), Look::Pass(Pass { probe: false, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_the_same_moment_count_once() {
        let gate = Gate::new(RETRY);
        let together = [gate.pass().await, gate.pass().await, gate.pass().await];
        let began = Instant::now();
        together.into_iter().for_each(|pass| pass.down(None));
        let _probe = gate.pass().await;
        assert!(began.elapsed() <= Duration::from_millis(1010), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_dropped_lets_the_next_one_knock() {
        let gate = Gate::new(RETRY);
        gate.pass().await.down(None);
        drop(gate.pass().await);
        assert!(matches!(gate.look(), Look::Pass(Pass { probe: true, .. })));
    }
}
