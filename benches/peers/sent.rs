//! What became of a load, as its callers were told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use spandrel::wire::TraceId;

use crate::caller::{Answer, Caller};

/// What became of it.
#[derive(Debug, Default)]
pub struct Sent {
    /// Items of requests that were answered OK.
    pub taken: u64,
    /// Requests answered OK, and requests told to come again later.
    pub requests: u64,
    pub later: u64,
    /// Requests answered otherwise, with the first answer; requests not sent as too many were on their way.
    pub refused: u64,
    pub first_refusal: Option<String>,
    pub held_back: u64,
    /// At a pace: how long each answer took.
    pub latencies: Vec<Duration>,
    /// At a pace, when the last request of each round was sent, and its traces.
    pub completed: Vec<(Instant, Vec<TraceId>)>,
}

/// Callers told to come again are told a second or more; this is less, and long enough for a queue to drain.
const NAP: Duration = Duration::from_millis(100);

impl Sent {
    /// Until it is taken. What is refused for good is a mistake of the bench or of the program.
    pub async fn insist(&mut self, caller: &mut Caller, items: u64, body: Bytes) {
        loop {
            match caller.send(body.clone()).await {
                Answer::Taken => break,
                Answer::Later => self.later += 1,
                Answer::Refused(why) => panic!("a request was refused for good: {why}"),
            }
            tokio::time::sleep(NAP).await;
        }
        self.note(Answer::Taken, items);
    }

    pub fn note(&mut self, answer: Answer, items: u64) {
        match answer {
            Answer::Taken => {
                self.taken += items;
                self.requests += 1;
            }
            Answer::Later => self.later += 1,
            Answer::Refused(why) => {
                self.refused += 1;
                self.first_refusal.get_or_insert(why);
            }
        }
    }

    pub fn add(&mut self, other: Sent) {
        self.taken += other.taken;
        self.requests += other.requests;
        self.later += other.later;
        self.refused += other.refused;
        self.held_back += other.held_back;
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
        self.latencies.extend(other.latencies);
        self.completed.extend(other.completed);
    }
}
