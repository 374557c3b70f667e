//! The bounded queue in front of one upstream: lanes put batches in, its senders take them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use super::Batch;
use crate::wire::Signal;

/// Batches waiting for one upstream, bounded in number and in bytes.
#[derive(Debug)]
pub struct Outbox {
    queue: ArrayQueue<Arc<Batch>>,
    bytes: AtomicUsize,
    bytes_max: usize,
    closed: AtomicBool,
    filled: Notify,
}

impl Outbox {
    pub fn new(batches_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: ArrayQueue::new(batches_max),
            bytes: AtomicUsize::new(0),
            bytes_max,
            closed: AtomicBool::new(false),
            filled: Notify::new(),
        })
    }

    /// Puts a batch in, or hands it back when the queue is full. A batch larger than the bound
    /// is taken when the queue is empty, so that nothing is stuck for ever.
    pub fn offer(&self, batch: Arc<Batch>) -> Result<(), Arc<Batch>> {
        let len = batch.body.len();
        let before = self.bytes.fetch_add(len, Ordering::AcqRel);
        if before != 0 && before + len > self.bytes_max {
            self.bytes.fetch_sub(len, Ordering::AcqRel);
            return Err(batch);
        }
        self.queue.push(batch).inspect_err(|_| {
            self.bytes.fetch_sub(len, Ordering::AcqRel);
        })?;
        self.filled.notify_one();
        Ok(())
    }

    /// The next batch; waits for one. `None` once closed and empty.
    pub async fn take(&self) -> Option<Arc<Batch>> {
        loop {
            let filled = self.filled.notified();
            if let Some(batch) = self.try_take() {
                // Two offers while nobody waited left one permit: pass it on.
                if !self.is_empty() {
                    self.filled.notify_one();
                }
                return Some(batch);
            }
            if self.closed.load(Ordering::Acquire) {
                // Wake the next waiter too: one permit was stored, any number may wait.
                self.filled.notify_one();
                return self.try_take();
            }
            filled.await;
        }
    }

    /// The next batch if there is one now.
    pub fn try_take(&self) -> Option<Arc<Batch>> {
        let batch = self.queue.pop()?;
        self.bytes.fetch_sub(batch.body.len(), Ordering::AcqRel);
        Some(batch)
    }

    /// Batches of one signal before all others, otherwise in the order they stand: the process ends, and there
    /// may not be time for all.
    pub fn put_first(&self, signal: Signal) {
        let mut waiting: Vec<_> = std::iter::from_fn(|| self.try_take()).collect();
        waiting.sort_by_key(|batch| batch.signal != signal);
        for batch in waiting {
            self.bytes.fetch_add(batch.body.len(), Ordering::AcqRel);
            // There was room for it, and nobody puts any more in.
            if self.queue.push(batch).is_err() {
                debug_assert!(false, "there was room");
            }
        }
        self.filled.notify_one();
    }

    /// No more batches will come.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Destination, Origin, Time};
    use crate::queue::Budget;
    use crate::wire::{Rope, Signal};

    fn batch(len: usize) -> Arc<Batch> {
        let mut body = Rope::default();
        body.put(&vec![0; len]);
        let reservation = Budget::new(usize::MAX).reserve(len);
        let origin = Origin::anonymous();
        Arc::new(Batch {
            signal: Signal::Traces,
            origin,
            to: Destination::of(0),
            body: body.into(),
            items: 1,
            notes: 0,
            opened: Time::default(),
            reservation,
        })
    }

    #[test]
    fn it_is_bounded_in_bytes_and_in_number() {
        let outbox = Outbox::new(2, 100);
        assert!(outbox.offer(batch(60)).is_ok());
        assert!(outbox.offer(batch(41)).is_err(), "bytes");
        assert!(outbox.offer(batch(40)).is_ok());
        assert!(outbox.try_take().is_some());
        assert!(outbox.offer(batch(1)).is_ok());
        assert!(outbox.offer(batch(1)).is_err(), "number");
        assert_eq!(outbox.bytes(), 41);
    }

    #[test]
    fn a_batch_larger_than_the_bound_goes_when_it_is_alone() {
        let outbox = Outbox::new(2, 100);
        assert!(outbox.offer(batch(500)).is_ok());
        assert!(outbox.offer(batch(1)).is_err());
    }

    #[tokio::test]
    async fn closing_ends_every_taker_once_it_is_empty() {
        let outbox = Outbox::new(8, 100);
        outbox.offer(batch(1)).unwrap();
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let outbox = outbox.clone();
                tokio::spawn(async move {
                    let mut taken = 0;
                    while outbox.take().await.is_some() {
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        outbox.close();
        let mut taken = 0;
        for taker in takers {
            taken += taker.await.unwrap();
        }
        assert_eq!(taken, 1);
    }
}
