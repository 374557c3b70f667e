//! Where lanes leave scores for whoever posts them.
//!
//! Offering never waits; what does not fit, in number or in bytes, is lost and counted. The surprise: a score is paid
//! for twice, out of what scores may take and out of what the process may.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Budget, Reservation};
use crate::model::Origin;
use crate::telemetry::Meters;

/// Scores that wait, and their bytes.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 4 << 20;
/// What a score takes beside its body.
const OVERHEAD: usize = size_of::<Score>() + 64;

/// The lanes' end.
#[derive(Clone, Debug)]
pub struct Scores {
    queue: mpsc::Sender<Score>,
    /// What those that wait may take, and what the process may.
    room: Arc<Budget>,
    budget: Arc<Budget>,
    meters: Arc<Meters>,
}

/// A score on its way.
#[derive(Debug)]
pub struct Score {
    pub origin: Arc<Origin>,
    /// As its server wants it.
    pub body: Bytes,
    pub since: Instant,
    _paid: [Reservation; 2],
}

impl Scores {
    /// Both ends. Scores take a sixteenth of the budget at most.
    pub fn new(budget: &Arc<Budget>, meters: &Arc<Meters>) -> (Self, mpsc::Receiver<Score>) {
        let (give, queue) = mpsc::channel(WAITING_MAX);
        let room = Budget::new(WAITING_BYTES_MAX.min(budget.limit() / 16));
        (Self { queue: give, room, budget: budget.clone(), meters: meters.clone() }, queue)
    }

    /// Leaves a score of this caller's, as its server wants it.
    pub fn offer(&self, origin: &Arc<Origin>, body: Vec<u8>) {
        let outcome = match self.paid(OVERHEAD + body.len()) {
            None => "queue_full",
            Some(paid) => {
                let score =
                    Score { origin: origin.clone(), body: body.into(), since: Instant::now(), _paid: paid };
                match self.queue.try_send(score) {
                    Ok(()) => return,
                    Err(mpsc::error::TrySendError::Full(_)) => "queue_full",
                    Err(mpsc::error::TrySendError::Closed(_)) => "shutdown",
                }
            }
        };
        self.count(outcome);
    }

    /// Counts an evaluation that is no score.
    pub fn count(&self, outcome: &str) {
        count(&self.meters, outcome);
    }

    fn paid(&self, bytes: usize) -> Option<[Reservation; 2]> {
        Some([self.room.try_reserve(bytes)?, self.budget.try_reserve(bytes)?])
    }
}

/// Counts what became of a score.
pub fn count(meters: &Meters, outcome: &str) {
    meters.scores.with_label_values(&[outcome]).inc();
}
