//! What is said about an upstream in the log: the first failure, a summary now and then, the recovery.
//!
//! An upstream that is down for an hour fails thousands of times; saying so thousands of times helps
//! nobody. The counters have every one of them. The deciding is pure; `now` is passed in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::classify::Refusal;
use super::settle::Loss;
use crate::model::Time;
use crate::queue::Outbox;

/// Between two lines about the same thing.
const EVERY: Duration = Duration::from_secs(30);

/// Lets the first of a kind through, then one in each interval with the number held back.
#[derive(Debug, Default)]
struct Hush {
    last: Option<Time>,
    held_back: u64,
}

impl Hush {
    /// How many there were since the last line, this one included, if it is time for one.
    fn say(&mut self, count: u64, now: Time) -> Option<u64> {
        self.held_back += count;
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

/// The voice of one upstream.
#[derive(Debug)]
pub(super) struct Voice {
    upstream: String,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// When the present spell of failures began.
    failing_since: Option<Time>,
    failures: Hush,
    refusals: Hush,
    warnings: Hush,
    losses: Hush,
}

impl Voice {
    pub fn new(upstream: String) -> Self {
        Self { upstream, said: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Said) -> T) -> T {
        work(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An attempt failed and will be repeated.
    pub fn failed(&self, what: &str, message: &str, outbox: &Outbox, now: Time) {
        let (count, since) = self.with(|said| {
            let since = *said.failing_since.get_or_insert(now);
            (said.failures.say(1, now), since)
        });
        if let Some(attempts) = count {
            let (upstream, batches, bytes) = (&self.upstream, outbox.len(), outbox.bytes());
            let failing = now.since(since).as_secs();
            tracing::warn!(
                upstream,
                attempts,
                failing_seconds = failing,
                waiting_batches = batches,
                waiting_bytes = bytes,
                "sending failed ({what}), will try again: {message}"
            );
        }
    }

    /// An attempt went through.
    pub fn worked(&self, outbox: &Outbox, now: Time) {
        let Some(since) = self.with(|said| {
            said.failures = Hush::default();
            said.failing_since.take()
        }) else {
            return;
        };
        let (upstream, batches, bytes) = (&self.upstream, outbox.len(), outbox.bytes());
        let failed = now.since(since).as_secs();
        tracing::info!(
            upstream,
            failed_seconds = failed,
            waiting_batches = batches,
            waiting_bytes = bytes,
            "sending works again"
        );
    }

    /// Items were refused for good.
    pub fn refused(&self, reason: Refusal, items: u64, message: &str, now: Time) {
        if let Some(items) = self.with(|said| said.refusals.say(items, now)) {
            let (upstream, reason, hint) = (&self.upstream, reason.name(), reason.hint());
            tracing::error!(upstream, items, reason, "refused by the upstream: {message}; {hint}");
        }
    }

    /// A batch was taken, with a complaint.
    pub fn partial(&self, rejected: u64, message: &str, now: Time) {
        if let Some(rejected) = self.with(|said| said.warnings.say(rejected, now)) {
            let upstream = &self.upstream;
            tracing::warn!(upstream, rejected, "taken by the upstream, but: {message}");
        }
    }

    /// Items were given up.
    pub fn lost(&self, loss: Loss, items: u64, now: Time) {
        if let Some(items) = self.with(|said| said.losses.say(items, now)) {
            let (upstream, reason) = (&self.upstream, loss.name());
            tracing::error!(upstream, items, reason, "items lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_then_one_summary_each_interval() {
        let mut hush = Hush::default();
        let said: Vec<_> =
            (0..70).filter_map(|second| hush.say(2, Time::from_millis(second * 1000))).collect();
        assert_eq!(said, [2, 60, 60]);
    }

    #[test]
    fn a_recovery_makes_the_next_failure_a_first_one() {
        let voice = Voice::new("test".to_owned());
        let outbox = Outbox::new(1, 1);
        voice.failed("connect", "refused", &outbox, Time::from_millis(0));
        assert!(voice.with(|said| said.failing_since.is_some()));
        voice.worked(&outbox, Time::from_millis(10));
        assert!(voice.with(|said| said.failing_since.is_none() && said.failures.last.is_none()));
    }
}
