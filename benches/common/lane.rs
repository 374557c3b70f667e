//! A lane put together of the library's parts: take, leave, label, batch; no threads, sockets or clock of its own.
//!
//! It is what `pipeline::journey` does with spans where no rules and no stamps are wanted, in steps that can be
//! measured one by one. Time is told: a millisecond for each request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spandrel::join::{Join, Leaving, Settings};
use spandrel::model::{Destination, Origin, Time};
use spandrel::queue::Budget;
use spandrel::queue::batcher::{self, BLOCK_OVERHEAD, Batcher, BlockKey, ITEM_OVERHEAD, Way};
use spandrel::rules::labels::{self, Known};
use spandrel::rules::memo::{Labelled, Memo};
use spandrel::wire::{Detail, Index, Limits, Sealed, Signal, TraceId, walk};

use super::{Content, ENVIRONMENT, RELEASE};

/// A request that has been walked.
pub type Walked = (Bytes, Index);

pub struct Lane {
    join: Join,
    labels: Memo,
    batcher: Batcher,
    origin: Arc<Origin>,
    now: Time,
}

/// The requests of so many rounds of traces over three services, whose parts come some requests apart.
pub fn requests(content: Content, rounds: std::ops::Range<u64>) -> Vec<Walked> {
    const TOGETHER: usize = 4;
    let templates = content.templates();
    let rounds: Vec<u64> = rounds.collect();
    let bodies = rounds.chunks(TOGETHER).flat_map(|some| {
        templates.iter().flat_map(move |template| some.iter().map(|round| template.fresh(*round)))
    });
    bodies
        .map(|body| {
            let index = walk(Signal::Traces, &body, Detail::Spans, &Limits::default());
            (body, index.expect("a good request"))
        })
        .collect()
}

impl Lane {
    pub fn new(budget: &Arc<Budget>, join: Settings) -> Self {
        let labels = labels::Settings {
            environment: Some(ENVIRONMENT.into()),
            release: Some(RELEASE.into()),
            ..labels::Settings::default()
        };
        Self {
            join: Join::new(join, 1),
            labels: Memo::new(labels, 1 << 20),
            batcher: Batcher::new(batcher::Settings::default(), budget.clone()),
            origin: Origin::anonymous(),
            now: Time::default(),
        }
    }

    /// Has it learn what these traces are like, from rounds that begin with `from`: until most leave while others come.
    /// Returns the first round that was not used.
    pub fn learn(&mut self, content: Content, from: u64) -> u64 {
        const ROUNDS: u64 = 50;
        for first in (from..).step_by(ROUNDS as usize).take(40) {
            let requests = requests(content, first..first + ROUNDS);
            if self.work(&requests, |_| true) > requests.len() * 50 {
                return first + ROUNDS;
            }
            // The first are waited for in full.
            self.now = self.now + Duration::from_secs(10);
        }
        unreachable!("most traces leave once they are known")
    }

    /// Spans of `requests` that are `mine`, from taking to batches that could be sent; how many left.
    pub fn work(&mut self, requests: &[Walked], mine: impl Fn(TraceId) -> bool) -> usize {
        let mut left = 0;
        for request in requests {
            self.take(request, &mine);
            left += self.let_leave();
            drop(self.closed());
        }
        left
    }

    /// At this time a request comes, or none; returns what is to be sent by then.
    pub fn pass(&mut self, now: Time, request: Option<&Walked>) -> Vec<Sealed> {
        self.now = now;
        if let Some((body, index)) = request {
            self.join.take(now, &self.origin, body, index, |_| true);
        }
        self.let_leave();
        self.closed()
    }

    /// What is due leaves, into batches; how many spans.
    fn let_leave(&mut self) -> usize {
        let mut left = 0;
        while let Some(leaving) = self.leave() {
            let labelled = self.label(&leaving);
            self.batch(&leaving, &labelled);
            left += leaving.span_count();
            self.recycle(leaving);
        }
        left
    }

    pub fn take(&mut self, (body, index): &Walked, mine: impl Fn(TraceId) -> bool) {
        self.now = self.now + Duration::from_millis(1);
        self.join.take(self.now, &self.origin, body, index, mine);
    }

    pub fn leave(&mut self) -> Option<Leaving> {
        self.join.leave(self.now)
    }

    pub fn recycle(&mut self, leaving: Leaving) {
        self.join.recycle(leaving);
    }

    pub fn label(&mut self, leaving: &Leaving) -> Vec<Rc<Labelled>> {
        let blocks = leaving.blocks.iter();
        blocks
            .map(|block| {
                let resource = &block.resource;
                self.labels.label_named(resource.bytes_id, resource.body(), Known::default())
            })
            .collect()
    }

    /// Into the open batch.
    pub fn batch(&mut self, leaving: &Leaving, labelled: &[Rc<Labelled>]) {
        let way = Way { origin: &leaving.origin, to: Destination::of(0) };
        let heads = labelled.iter().map(|labelled| labelled.body.len() + 2 * BLOCK_OVERHEAD).sum::<usize>();
        let len = heads + leaving.span_bytes() + leaving.span_count() * ITEM_OVERHEAD;
        self.batcher.make_room(Signal::Traces, way, len);
        let open = self.batcher.traces(self.now, way);
        for (block, labelled) in leaving.blocks.iter().zip(labelled) {
            let key = BlockKey { resource: (labelled.id, block.resource.bytes_id), scope: block.scope.id };
            let heads = || (block.resource.bytes.with_first(&labelled.body), block.scope.bytes.clone());
            open.block(key, heads).put_all(leaving.stretches(block));
        }
        self.batcher.close_if_full(Signal::Traces, way);
    }

    /// Bodies of batches that are full.
    pub fn closed(&mut self) -> Vec<Sealed> {
        self.batcher.close_due(self.now, false);
        std::iter::from_fn(|| self.batcher.take()).map(|(batch, _)| batch.body).collect()
    }

    pub fn held_traces(&self) -> usize {
        self.join.held_traces()
    }
}
