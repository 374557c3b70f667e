//! This edge's parsers by themselves: for `fuzz/`, which has no sockets.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;

use super::admit::Gate;
use super::body::Reader;
use super::{grpc, inflate};
use crate::model::Clock;
use crate::queue::Budget;

pub use inflate::{Coding, InflateError};

/// The gate of an edge that hands nothing on.
#[derive(Debug)]
pub struct Probe {
    gate: Gate,
}

impl Probe {
    /// One that may hold `memory` bytes and takes requests of `request_max`.
    pub fn new(memory: usize, request_max: usize) -> Self {
        Self { gate: Gate::alone(memory, request_max) }
    }

    pub fn budget(&self) -> &Arc<Budget> {
        self.gate.budget()
    }

    /// The message of a unary call whose body comes in these pieces, whether it is flagged as compressed,
    /// and the bytes that were paid for it.
    ///
    /// # Errors
    /// The outcome a refusal is counted under: `framing`, `too_large`, `busy`.
    pub async fn unframe(&self, pieces: &[&[u8]]) -> Result<(bool, Bytes, usize), &'static str> {
        let frame = |piece: &&[u8]| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece)));
        let frames: Vec<_> = pieces.iter().map(frame).collect();
        let clock = Clock::new();
        let deadline = clock.now() + self.gate.timeouts.request;
        let frames = StreamBody::new(tokio_stream::iter(frames));
        let mut body = Reader::new(frames, clock, deadline, self.gate.timeouts.body);
        match grpc::message(&self.gate, &mut body, self.gate.request_max).await {
            Ok(message) => Ok((message.compressed, message.bytes, message.paid.bytes())),
            Err(refusal) => Err(refusal.outcome()),
        }
    }

    /// Inflates to at most `max` bytes.
    ///
    /// # Errors
    /// [`InflateError`].
    pub fn inflate(&self, coding: Coding, input: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
        let mut paid = self.budget().try_reserve(input.len()).ok_or(InflateError::NoBudget)?;
        inflate::inflate(coding, input, max, &mut paid)
    }
}
