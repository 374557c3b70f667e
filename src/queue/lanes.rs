//! Lanes: worker threads behind bounded lock-free queues. A trace always lands in the same lane.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use thiserror::Error;

use super::Admitted;
use crate::wire::{Signal, TraceId};

/// Every lane the request needs is full, or gone: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the queue is full")]
pub struct Busy;

/// The sending side of all lanes.
#[derive(Clone, Debug)]
pub struct Lanes {
    senders: Arc<[Sender<Arc<Admitted>>]>,
}

impl Lanes {
    /// `count` lanes with room for `depth` requests each, and the receiving ends for their threads.
    pub fn new(count: usize, depth: usize) -> (Self, Vec<Receiver<Arc<Admitted>>>) {
        let (senders, receivers) = (0..count.max(1)).map(|_| bounded(depth)).unzip::<_, _, Vec<_>, Vec<_>>();
        (Self { senders: senders.into() }, receivers)
    }

    /// The lane that owns a trace. Trace ids are random in their low half (W3C Trace Context level 2).
    pub fn of(trace: TraceId, lanes: usize) -> usize {
        let low = u64::from_be_bytes(trace.0[8..].try_into().unwrap_or_default());
        usize::try_from(low % lanes.max(1) as u64).unwrap_or(0)
    }

    /// Offers a request to every lane that owns one of its traces; never blocks.
    ///
    /// # Errors
    /// [`Busy`] when one of them is full. Lanes that had taken it keep it: the caller will send it
    /// again, and the join collapses what came twice.
    pub fn offer(&self, request: Admitted) -> Result<(), Busy> {
        let request = Arc::new(request);
        match (self.senders.len(), request.signal, request.index.spans.as_slice()) {
            (1, _, _) => self.give(0, request),
            (n, Signal::Traces, spans @ [_, ..]) => {
                let mut wanted = vec![false; n];
                spans.iter().for_each(|s| wanted[Self::of(s.trace, n)] = true);
                if wanted.iter().zip(self.senders.iter()).any(|(w, s)| *w && s.is_full()) {
                    return Err(Busy);
                }
                (0..n).filter(|&i| wanted[i]).try_for_each(|i| self.give(i, request.clone()))
            }
            (n, _, _) => self.give(usize::try_from(request.arrived.0 % n as u64).unwrap_or(0), request),
        }
    }

    fn give(&self, lane: usize, request: Arc<Admitted>) -> Result<(), Busy> {
        self.senders[lane].try_send(request).map_err(|e| match e {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }

    /// Requests waiting in all lanes.
    pub fn len(&self) -> usize {
        self.senders.iter().map(Sender::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
