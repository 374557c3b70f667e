//! Against real sockets: upstreams that answer, refuse, break, bomb and come back.

mod book;
mod divide;
mod faults;
mod fleet;
mod grpc;
mod http;
mod proxies;
mod scores;
mod secure;
mod server;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::names::Resolver;
use super::sender::{Upstream, run};
use super::{Compression, Inner, Protocol, Retry, Settings, Tls, start};
use crate::model::{Clock, Destination, Origin, Time};
use crate::queue::{Batch, Budget, Outbox};
use crate::telemetry::Meters;
use crate::wire::{Rope, Sealed, Signal, Signals};

/// An upstream on this port of loopback, impatient enough for tests.
pub(super) fn settings(port: u16) -> Settings {
    Settings {
        name: "test".to_owned(),
        endpoint: Uri::try_from(format!("http://127.0.0.1:{port}")).unwrap(),
        exact: false,
        signals: Signals::ALL,
        default: true,
        protocol: Protocol::Grpc,
        headers: Vec::new(),
        lent: None,
        base: None,
        compression: Compression::None,
        tls: Tls::default(),
        proxy: None,
        timeout: Duration::from_secs(5),
        retry: Retry {
            initial: Duration::from_millis(10),
            max: Duration::from_millis(50),
            give_up: Duration::from_secs(20),
        },
        parallel: 4,
        request_max: 64 << 20,
        gateways: None,
    }
}

/// An exporter under test, with its counters in hand.
struct Exporter {
    outbox: Arc<Outbox>,
    meters: Arc<Meters>,
    budget: Arc<Budget>,
    give_up: CancellationToken,
    task: JoinHandle<()>,
    offered: u64,
    /// Log records that go with each item that is offered.
    notes_each: u64,
}

impl Exporter {
    fn start(settings: Settings) -> Self {
        Self::start_with(settings, Resolver::system())
    }

    /// Names mean what `resolver` says.
    fn start_with(settings: Settings, resolver: Resolver) -> Self {
        let (outbox, meters) = (Outbox::new(10_000, usize::MAX), Arc::new(Meters::new()));
        let inner = Inner { outbox: outbox.clone(), meters: meters.clone(), clock: Clock::new() };
        let give_up = CancellationToken::new();
        let upstream = Arc::new(Upstream::new(settings, inner, resolver).unwrap());
        let task = tokio::spawn(run(upstream, give_up.clone()));
        Self { outbox, meters, budget: Budget::new(1 << 30), give_up, task, offered: 0, notes_each: 0 }
    }

    fn offer(&mut self, body: &[u8], items: u64) {
        self.offer_from(Arc::new(Origin::default()), body, items);
    }

    fn offer_from(&mut self, origin: Arc<Origin>, body: &[u8], items: u64) {
        let mut rope = Rope::default();
        // In two pieces, as batches are.
        let (first, second) = body.split_at(body.len() / 2);
        rope.put(first);
        rope.put_bytes(second.to_vec().into());
        self.offer_sealed(origin, rope.into(), items);
    }

    fn offer_sealed(&mut self, origin: Arc<Origin>, body: Sealed, items: u64) {
        self.offered += items;
        let reservation = self.budget.reserve(body.len());
        let batch = Batch {
            signal: Signal::Traces,
            origin,
            to: Destination::of(0),
            body,
            items,
            notes: items * self.notes_each,
            opened: Time(0),
            reservation,
        };
        self.outbox.offer(Arc::new(batch)).unwrap();
    }

    /// Waits until everything is settled, and says how: `delivered=3 refused.invalid=2 lost.gave_up=1`.
    async fn finish(self) -> String {
        self.outbox.close();
        tokio::time::timeout(Duration::from_secs(60), self.task).await.expect("it ends by itself").unwrap();
        assert_eq!(self.budget.used(), 0, "all memory is paid back");
        let (words, sum) = account(&self.meters, "traces");
        assert_eq!(sum, self.offered, "every item is settled once: {words}");
        let (of_logs, sum) = account(&self.meters, "logs");
        assert_eq!(sum, self.offered * self.notes_each, "and every log record with them: {of_logs}");
        words
    }

    async fn abort(self) -> String {
        self.give_up.cancel();
        self.finish().await
    }

    fn sends(&self, outcome: &str) -> u64 {
        self.meters.sends.with_label_values(&["traces", "test", outcome]).get()
    }
}

/// As calls to a model are that were stamped: large texts, and between them small pieces that are the same bytes each.
fn many_pieces(count: usize, byte: u8) -> Sealed {
    let (stamp, text) =
        (Bytes::from(vec![byte; 100]), Bytes::from((0..=255).cycle().take(9_000).collect::<Vec<u8>>()));
    (0..count).flat_map(|nth| [stamp.clone(), text.slice(nth % 500..)]).collect::<Vec<_>>().into()
}

/// The counters of a signal in words, and the sum of settled items.
fn account(meters: &Meters, signal: &str) -> (String, u64) {
    let mut words = Vec::new();
    let mut sum = 0;
    let prefix = ["delivered", "refused", "lost"];
    for family in meters.registry.gather() {
        let Some(kind) =
            prefix.iter().find(|kind| family.name() == format!("spandrel_exporter_{kind}_items_total"))
        else {
            continue;
        };
        let is_of = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|l| l.name() == "signal" && l.value() == signal)
        };
        for metric in family.get_metric().iter().filter(is_of) {
            let count = metric.get_counter().get_value() as u64;
            sum += count;
            let reason = metric.get_label().iter().find(|label| label.name() == "reason");
            let reason = reason.map(|label| format!(".{}", label.value())).unwrap_or_default();
            if count > 0 {
                words.push((prefix.iter().position(|p| p == kind), format!("{kind}{reason}={count}")));
            }
        }
    }
    words.sort();
    (words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" "), sum)
}
