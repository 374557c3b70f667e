//! The load: OTLP requests with fresh ids, as fast as they are taken or at a pace.
//!
//! At full speed whoever is told to come again does so, so that every item ends as taken. At a pace nobody comes
//! again and nobody waits for a slow reply: the schedule goes on, as callers that know nothing of each other do.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::caller::{Answer, Caller, Transport};
use crate::common::{Content, Template};
use crate::sent::Sent;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub transport: Transport,
    pub content: Content,
    pub gzip: bool,
    pub pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it is taken; of the items of a usual measurement one in so many.
    Full { one_in: u64 },
    /// So many items a second.
    Steady { items: u64 },
}

const CONNECTIONS: usize = 4;
/// Calls at once on each: gRPC shares a connection, HTTP/1.1 has one for each.
const STREAMS: usize = 8;
const HTTP_CONNECTIONS: usize = 8;
/// At a pace: calls on their way before more are held back.
const ON_THEIR_WAY: usize = 1024;
/// Longer than any run at full speed takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends a load, any number of times, never the same ids twice.
pub struct Sender {
    load: Load,
    templates: Vec<Template>,
    /// The number of the next request.
    next: AtomicU64,
}

impl Sender {
    /// `series` keeps the ids of two senders apart.
    pub fn new(load: Load, series: u64) -> Arc<Self> {
        let templates = load.content.templates();
        let next = AtomicU64::new((series << 32) * templates.len() as u64);
        Arc::new(Self { load, templates, next })
    }

    /// The template and the body of request `n`.
    fn request(&self, n: u64) -> (&Template, Bytes) {
        let rounds = self.templates.len() as u64;
        let (template, round) = (&self.templates[(n % rounds) as usize], n / rounds);
        let body = match (self.load.transport, self.load.gzip) {
            (Transport::Grpc, false) => template.framed(round),
            (Transport::Http, false) => template.fresh(round),
            (transport, true) => gzipped(&template.fresh(round), transport),
        };
        (template, body)
    }

    /// At the pace of the load: at full speed its part of `items`, else as long as `lasting`.
    pub async fn at_its_pace(self: &Arc<Self>, to: SocketAddr, items: u64, lasting: Duration) -> Sent {
        match self.load.pace {
            Pace::Full { one_in } => self.full(to, items / one_in).await,
            Pace::Steady { items } => self.steady(to, items, lasting).await,
        }
    }

    /// `items` of them, or a few more, as fast as they are taken; whoever is told to come again does so.
    pub async fn full(self: &Arc<Self>, to: SocketAddr, items: u64) -> Sent {
        let round: u64 = self.templates.iter().map(|template| template.items).sum();
        let requests = items.div_ceil(round) * self.templates.len() as u64;
        let first = self.next.fetch_add(requests, Ordering::Relaxed);
        // Compressing takes longer than what is measured: it is done before.
        let ready: Arc<Vec<Bytes>> = match self.load.gzip {
            true => Arc::new((first..first + requests).map(|n| self.request(n).1).collect()),
            false => Arc::default(),
        };
        let turn = Arc::new(AtomicU64::new(first));
        let mut callers = JoinSet::new();
        for mut caller in self.callers(to).await {
            let (sender, turn, ready) = (self.clone(), turn.clone(), ready.clone());
            callers.spawn(async move {
                let mut sent = Sent::default();
                loop {
                    let n = turn.fetch_add(1, Ordering::Relaxed);
                    if n >= first + requests {
                        return sent;
                    }
                    let (items, body) = match ready.get((n - first) as usize) {
                        Some(body) => (sender.request_items(n), body.clone()),
                        None => {
                            let (template, body) = sender.request(n);
                            (template.items, body)
                        }
                    };
                    sent.insist(&mut caller, items, body).await;
                }
            });
        }
        let all = async {
            let mut sent = Sent::default();
            while let Some(one) = callers.join_next().await {
                sent.add(one.unwrap());
            }
            sent
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the load is taken within five minutes")
    }

    /// So many items a second for so long, whatever becomes of them.
    pub async fn steady(self: &Arc<Self>, to: SocketAddr, items: u64, lasting: Duration) -> Sent {
        let connections = self.connections(to, CONNECTIONS).await;
        let on_their_way = Arc::new(Semaphore::new(ON_THEIR_WAY));
        let (mut calls, mut sent) = (JoinSet::new(), Sent::default());
        let (began, mut offered) = (now(), 0);
        loop {
            let due = began + Duration::from_secs_f64(offered as f64 / items as f64);
            let n = self.next.load(Ordering::Relaxed);
            // A round is finished: half of one would be traces that are not whole.
            if due - began >= lasting && self.is_first_of_round(n) {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            self.next.store(n + 1, Ordering::Relaxed);
            let (template, body) = self.request(n);
            let items = template.items;
            offered += items;
            let Ok(permit) = on_their_way.clone().try_acquire_owned() else {
                sent.held_back += 1;
                continue;
            };
            if self.is_first_of_round(n + 1) {
                sent.completed.push((now(), template.trace_ids(n / self.templates.len() as u64)));
            }
            let mut caller = connections[n as usize % CONNECTIONS].another().expect("paced loads are gRPC");
            calls.spawn(async move {
                let began = now();
                let answer = caller.send(body).await;
                drop(permit);
                let mut one = Sent { latencies: vec![began.elapsed()], ..Sent::default() };
                one.note(answer, items);
                one
            });
            while let Some(one) = calls.try_join_next() {
                sent.add(one.unwrap());
            }
        }
        while let Some(one) = calls.join_next().await {
            sent.add(one.unwrap());
        }
        sent
    }

    /// Connects until somebody listens, and sends until the first OK.
    pub async fn first_ok(&self, to: SocketAddr) {
        while tokio::net::TcpStream::connect(to).await.is_err() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let mut caller = self.connections(to, 1).await.remove(0);
        while caller.send(self.request(self.next.load(Ordering::Relaxed)).1).await != Answer::Taken {}
    }

    fn request_items(&self, n: u64) -> u64 {
        self.templates[(n % self.templates.len() as u64) as usize].items
    }

    fn is_first_of_round(&self, n: u64) -> bool {
        n.is_multiple_of(self.templates.len() as u64)
    }

    async fn connections(&self, to: SocketAddr, count: usize) -> Vec<Caller> {
        let Load { transport, content, gzip, .. } = self.load;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Caller::new(transport, content.signal(), gzip, to).await);
        }
        all
    }

    async fn callers(&self, to: SocketAddr) -> Vec<Caller> {
        if self.load.transport == Transport::Http {
            return self.connections(to, HTTP_CONNECTIONS).await;
        }
        let connections = self.connections(to, CONNECTIONS).await;
        connections.iter().flat_map(|one| (0..STREAMS).filter_map(|_| one.another())).collect()
    }
}

fn gzipped(body: &[u8], transport: Transport) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).and_then(|()| encoder.try_finish()).unwrap();
    let body = encoder.finish().unwrap();
    match transport {
        Transport::Http => body.into(),
        Transport::Grpc => {
            let len = u32::try_from(body.len()).unwrap().to_be_bytes();
            [&[1], &len[..], &body].concat().into()
        }
    }
}

pub fn now() -> Instant {
    Instant::now()
}
