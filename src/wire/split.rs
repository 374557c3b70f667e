//! A resource block larger than a request may be, taken apart between its items.
//!
//! The cold path of what is not joined. Every part is a block again, with the heads of the scopes it
//! has items of; items are copied as they came, so that the last part to be sent does not keep all of a
//! large request. A Metric is taken apart between its data points, since one may hold any number.
//!
//! What has no seam is a part by itself, however large: whoever sends it must refuse it.

use super::block::{BlockHead, ScopeBlock};
use super::fields::{Fields, Payload, len_field_len, put_len_field, put_len_prefix};
use super::index::Range;
use super::{Rope, Signal, schema};

/// Room a scope block takes besides its head and items: a tag and a length.
const SCOPE_OVERHEAD: usize = 12;

/// Scope blocks that go together.
#[derive(Debug, Default)]
pub struct Part {
    /// Each with at least one item.
    pub scopes: Vec<ScopeBlock>,
    /// Spans, log records or data points in them.
    pub items: u64,
    /// Bytes they take in a block, at most.
    pub len: usize,
}

/// Gives the resource block at `block` of the walked `request` in parts of at most `room` bytes, in order.
pub fn parts(signal: Signal, request: &[u8], block: Range, room: usize, give: impl FnMut(Part)) {
    let mut cutter = Cutter { room, part: Part::default(), filled: 0, give };
    for field in Fields::of(block.of(request)) {
        if let (2, Payload::Len(scope)) = (field.number, field.payload) {
            cutter.scope(signal, scope);
        }
    }
    cutter.close();
}

/// The items of a resource block, an item going where `place` says: for each place its scope blocks and how many
/// items they have.
pub fn scopes_by<P: Copy + Eq>(
    block: &[u8],
    mut place: impl FnMut(&[u8]) -> P,
) -> Vec<(P, Vec<ScopeBlock>, u64)> {
    let mut places: Vec<(P, Vec<ScopeBlock>, u64)> = Vec::new();
    for field in Fields::of(block) {
        let (2, Payload::Len(scope)) = (field.number, field.payload) else { continue };
        let head = head(scope);
        // How many scope blocks each place had before this one: it may have none of it.
        let before: Vec<usize> = places.iter().map(|(_, scopes, _)| scopes.len()).collect();
        let mut fields = Fields::of(scope);
        while let Some((field, raw)) = fields.next_raw() {
            let (2, Payload::Len(item)) = (field.number, field.payload) else { continue };
            let to = place(item);
            let at = places.iter().position(|(known, ..)| *known == to).unwrap_or_else(|| {
                places.push((to, Vec::new(), 0));
                places.len() - 1
            });
            let (_, scopes, items) = &mut places[at];
            if scopes.len() == before.get(at).copied().unwrap_or_default() {
                scopes.push(ScopeBlock { head: head.clone(), items: Rope::default() });
            }
            if let Some(open) = scopes.last_mut() {
                open.items.put(raw);
                *items += 1;
            }
        }
    }
    places
}

struct Cutter<F> {
    room: usize,
    part: Part,
    /// Bytes of items in `part`.
    filled: usize,
    give: F,
}

impl<F: FnMut(Part)> Cutter<F> {
    fn scope(&mut self, signal: Signal, scope: &[u8]) {
        let head = head(scope);
        self.open(&head);
        // Items that stand side by side are taken as one stretch of bytes.
        let (mut from, mut to) = (0, 0);
        let mut fields = Fields::of(scope);
        while let Some((field, raw)) = fields.next_raw() {
            let (2, Payload::Len(item)) = (field.number, field.payload) else { continue };
            let end = scope.len() - fields.rest().len();
            let is_metric = signal == Signal::Metrics;
            if to != end - raw.len() || !self.fits(raw.len()) {
                self.put(scope.get(from..to).unwrap_or_default());
                from = end - raw.len();
            }
            if is_metric && raw.len() > self.room.saturating_sub(head_len(&head)) {
                self.metric(item, &head);
                (from, to) = (end, end);
                continue;
            }
            self.make_room(raw.len(), &head);
            self.count(raw.len(), if is_metric { points(item) } else { 1 });
            to = end;
        }
        self.put(scope.get(from..to).unwrap_or_default());
    }

    /// A Metric with more data points than fit: several of it, each with some.
    fn metric(&mut self, metric: &[u8], head: &BlockHead) {
        let (mut rest, mut data) = (Vec::new(), Vec::new());
        let mut fields = Fields::of(metric);
        while let Some((field, raw)) = fields.next_raw() {
            match (schema::METRIC.data(field.number), field.payload) {
                (Some(_), Payload::Len(body)) => data.push((field.number, body)),
                _ => rest.extend_from_slice(raw),
            }
        }
        for (number, data) in data {
            let is_point = |raw: &&[u8]| matches!(Fields::of(raw).next(), Some(f) if f.number == 1);
            let mut fields = Fields::of(data);
            let raws = std::iter::from_fn(|| fields.next_raw().map(|(_, raw)| raw));
            let (points, others): (Vec<&[u8]>, Vec<&[u8]>) = raws.partition(is_point);
            let others = others.concat();
            let besides = head_len(head) + rest.len() + others.len() + SCOPE_OVERHEAD;
            let room = self.room.saturating_sub(besides);
            let mut points = points.as_slice();
            while !points.is_empty() {
                let (some, left) = points.split_at(as_many_as_fit(points, room));
                points = left;
                let mut body = rest.clone();
                put_len_field(number, &[&others[..], &some.concat()].concat(), &mut body);
                let mut item = Vec::with_capacity(len_field_len(2, body.len()));
                put_len_field(2, &body, &mut item);
                self.make_room(item.len(), head);
                self.count(item.len(), some.len() as u64);
                self.put(&item);
            }
        }
    }

    fn fits(&self, len: usize) -> bool {
        self.filled == 0 || self.part.len + len <= self.room
    }

    /// Begins another part if this one has no room for `len` more bytes.
    fn make_room(&mut self, len: usize, head: &BlockHead) {
        if !self.fits(len) {
            self.close();
            self.open(head);
        }
    }

    fn count(&mut self, len: usize, items: u64) {
        self.part.len += len;
        self.part.items += items;
        self.filled += len;
    }

    fn open(&mut self, head: &BlockHead) {
        self.part.len += head_len(head);
        self.part.scopes.push(ScopeBlock { head: head.clone(), items: Rope::default() });
    }

    fn put(&mut self, items: &[u8]) {
        if let Some(scope) = self.part.scopes.last_mut() {
            scope.items.put(items);
        }
    }

    fn close(&mut self) {
        let mut part = std::mem::take(&mut self.part);
        self.filled = 0;
        part.scopes.retain(|scope| !scope.items.is_empty());
        if !part.scopes.is_empty() {
            (self.give)(part);
        }
    }
}

/// At least one.
fn as_many_as_fit(points: &[&[u8]], room: usize) -> usize {
    let mut len = 0;
    let fits = |point: &&&[u8]| {
        len += point.len();
        len <= room
    };
    points.iter().take_while(fits).count().max(1)
}

/// What a scope block takes besides its items, at most.
fn head_len(head: &BlockHead) -> usize {
    head.first.len() + head.rest.len() + SCOPE_OVERHEAD
}

/// What a scope block says besides its items; several scopes become one, as protobuf merges them.
fn head(scope: &[u8]) -> BlockHead {
    let (mut first, mut had_one, mut rest) = (Vec::new(), false, Vec::new());
    let mut fields = Fields::of(scope);
    while let Some((field, raw)) = fields.next_raw() {
        match (field.number, field.payload) {
            (1, Payload::Len(body)) => {
                first.extend_from_slice(body);
                had_one = true;
            }
            (2, Payload::Len(_)) => {}
            _ => rest.extend_from_slice(raw),
        }
    }
    let mut whole = Vec::new();
    if had_one {
        put_len_prefix(1, first.len(), &mut whole);
        whole.append(&mut first);
    }
    BlockHead { first: whole.into(), rest: rest.into() }
}

/// Data points of a Metric.
pub fn points(metric: &[u8]) -> u64 {
    let data = Fields::of(metric).filter(|field| schema::METRIC.data(field.number).is_some());
    data.map(|field| match field.payload {
        Payload::Len(data) => Fields::of(data).filter(|field| field.number == 1).count() as u64,
        _ => 0,
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::wire::{Detail, Limits, block, walk};

    fn scope(name: &str) -> Option<InstrumentationScope> {
        Some(InstrumentationScope { name: name.into(), ..Default::default() })
    }

    /// Every part as a request of its own, with the items it says it has.
    fn apart(signal: Signal, request: &[u8], room: usize) -> Vec<(Vec<u8>, u64)> {
        let request = Bytes::copy_from_slice(request);
        let index = walk(signal, &request, Detail::Blocks, &Limits::default()).unwrap();
        let mut given = Vec::new();
        for entry in &index.resources {
            let head = BlockHead::of(&request, &index, &entry.head);
            parts(signal, &request, entry.block, room, |part| {
                let (items, len) = (part.items, part.len);
                let mut body = Rope::default();
                block::write_resource_block(&BlockHead::default(), part.scopes.clone(), &mut body);
                assert!(body.len() <= len + SCOPE_OVERHEAD, "{} bytes, said to be {len}", body.len());
                let mut body = Rope::default();
                block::write_resource_block(&head, part.scopes, &mut body);
                let body = body.into_bytes().to_vec();
                let walked = walk(signal, &body, Detail::Blocks, &Limits::default()).unwrap();
                assert_eq!((walked.items, walked.refused.items), (items, 0));
                given.push((body, items));
            });
        }
        assert_eq!(given.iter().map(|(_, items)| items).sum::<u64>(), index.items);
        given
    }

    fn logs(scopes: &[Vec<usize>]) -> Logs {
        let record = |(at, len): (usize, &usize)| LogRecord {
            time_unix_nano: at as u64,
            severity_text: "x".repeat(*len),
            ..Default::default()
        };
        let scope_logs = scopes.iter().enumerate().map(|(at, lens)| ScopeLogs {
            scope: scope(&at.to_string()),
            log_records: lens.iter().enumerate().map(record).collect(),
            schema_url: "url".into(),
        });
        let block = ResourceLogs { scope_logs: scope_logs.collect(), ..Default::default() };
        Logs { resource_logs: vec![block] }
    }

    fn records(request: &Logs) -> Vec<(String, LogRecord)> {
        let scopes = request.resource_logs.iter().flat_map(|block| &block.scope_logs);
        let name = |scope: &ScopeLogs| scope.scope.clone().unwrap_or_default().name + &scope.schema_url;
        scopes.flat_map(|s| s.log_records.iter().map(move |record| (name(s), record.clone()))).collect()
    }

    proptest! {
        #[test]
        fn records_keep_their_scope_and_order_and_parts_their_size(
            scopes in prop::collection::vec(prop::collection::vec(0usize..60_000, 0..12), 1..4),
            room in 100usize..100_000,
        ) {
            let request = logs(&scopes);
            let parts = apart(Signal::Logs, &request.encode_to_vec(), room);
            let parts: Vec<Logs> = parts.iter().map(|(body, _)| Logs::decode(&body[..]).unwrap()).collect();
            let came: Vec<_> = parts.iter().flat_map(records).collect();
            prop_assert_eq!(came, records(&request));
            for part in parts {
                prop_assert!(part.encoded_len() <= room + SCOPE_OVERHEAD || records(&part).len() == 1);
            }
        }
    }

    fn metric(name: &str, points: u64) -> Metric {
        let point = |at| NumberDataPoint { time_unix_nano: at, ..Default::default() };
        let sum = Sum {
            data_points: (1..=points).map(point).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        };
        Metric { name: name.into(), unit: "1".into(), data: Some(Data::Sum(sum)), ..Default::default() }
    }

    #[test]
    fn a_metric_is_taken_apart_between_its_points() {
        let empty = Metric { data: Some(Data::Gauge(Gauge::default())), ..metric("none", 0) };
        let metrics = vec![metric("few", 3), metric("many", 1000), empty, metric("more", 10)];
        let scope_metrics = vec![ScopeMetrics { scope: scope("lib"), metrics, ..Default::default() }];
        let block = ResourceMetrics { scope_metrics, ..Default::default() };
        let request = Metrics { resource_metrics: vec![block] }.encode_to_vec();
        let parts = apart(Signal::Metrics, &request, 500);
        assert!(parts.len() > 20, "{} parts", parts.len());
        let mut points = std::collections::BTreeMap::new();
        for (body, _) in parts {
            assert!(body.len() <= 500 + SCOPE_OVERHEAD, "a part of {} bytes", body.len());
            for block in Metrics::decode(&body[..]).unwrap().resource_metrics {
                for metric in block.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                    let all: &mut Vec<u64> = points.entry(metric.name).or_default();
                    let Some(Data::Sum(sum)) = metric.data else { continue };
                    assert_eq!(
                        (metric.unit.as_str(), sum.aggregation_temporality, sum.is_monotonic),
                        ("1", 2, true)
                    );
                    all.extend(sum.data_points.iter().map(|point| point.time_unix_nano));
                }
            }
        }
        let wanted = [("few", 3), ("many", 1000), ("more", 10), ("none", 0)];
        let wanted = wanted.map(|(name, count)| (name.to_owned(), (1..=count).collect::<Vec<u64>>()));
        assert_eq!(points.into_iter().collect::<Vec<_>>(), wanted);
    }
}
