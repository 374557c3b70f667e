//! Requests for tests, made of spans said in one line each, and what left, made comparable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use crate::join::{Join, Leaving, Settings};
use crate::model::{Origin, Reason, Repairs, TenantKey, Time};
use crate::semantics::context::Said;
use crate::semantics::roots::Mend;
use crate::wire::index::name_key;
use crate::wire::noted::Noted;
use crate::wire::walk::{Head, Range, ResourceEntry, ScopeEntry, SpanEntry};
use crate::wire::{Index, SpanId, TraceId};

pub const REMOTE: u32 = 0x300;
pub const CLIENT: u8 = 3;
pub const SERVER: u8 = 2;

/// A span to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: u64,
    pub id: u64,
    /// 0: none.
    pub parent: u64,
    pub service: &'static str,
    pub name: String,
    pub kind: u8,
    pub start: u64,
    pub end: u64,
    pub flags: u32,
    pub zero_parent: bool,
    pub attributes: Vec<(&'static str, String)>,
    pub marked_root: bool,
    /// `langfuse.internal.is_app_root`
    pub app_root: bool,
}

pub fn span(trace: u64, id: u64, parent: u64) -> Span {
    Span {
        trace,
        id,
        parent,
        service: "shop",
        name: format!("op {id}"),
        kind: 1,
        start: id,
        end: id + 1,
        flags: 0,
        zero_parent: false,
        attributes: Vec::new(),
        marked_root: false,
        app_root: false,
    }
}

impl Span {
    pub fn of(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    pub fn kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }
    pub fn says(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }
    pub fn marked_root(mut self) -> Self {
        self.marked_root = true;
        self
    }
    pub fn app_root(mut self) -> Self {
        self.app_root = true;
        self
    }
    pub fn body(&self) -> Vec<u8> {
        let marks = [
            ("langfuse.internal.as_root", self.marked_root),
            ("langfuse.internal.is_app_root", self.app_root),
        ];
        let mark = marks.into_iter().filter(|(_, marked)| *marked).map(|(key, _)| KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(any_value::Value::BoolValue(true)) }),
            ..Default::default()
        });
        otlp::Span {
            trace_id: trace_id(self.trace).0.to_vec(),
            span_id: span_id(self.id).0.to_vec(),
            parent_span_id: match self.parent {
                0 if !self.zero_parent => Vec::new(),
                parent => span_id(parent).0.to_vec(),
            },
            name: self.name.clone(),
            kind: self.kind.into(),
            start_time_unix_nano: self.start,
            end_time_unix_nano: self.end,
            flags: self.flags,
            attributes: self.attributes.iter().map(|(k, v)| pair(k, v)).chain(mark).collect(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

pub fn trace_id(n: u64) -> TraceId {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    TraceId(id)
}

pub fn span_id(n: u64) -> SpanId {
    SpanId(n.to_be_bytes())
}

pub fn resource(service: &str) -> Vec<u8> {
    let mut attributes = vec![pair("service.name", service)];
    if let Some(environment) = service.strip_prefix("in-") {
        attributes.push(pair("deployment.environment.name", environment));
    }
    if let Some(release) = service.strip_prefix("at-") {
        attributes.push(pair("app.release", release));
    }
    Resource { attributes, ..Default::default() }.encode_to_vec()
}

/// A request body and its index, a block for each run of spans of one service.
pub fn request(spans: &[Span]) -> (Bytes, Index) {
    let (mut body, mut index) = (Vec::new(), Index::default());
    let put = |body: &mut Vec<u8>, bytes: &[u8]| {
        let range = Range { at: body.len() as u32, len: bytes.len() as u32 };
        body.extend_from_slice(bytes);
        range
    };
    let scope = InstrumentationScope { name: "lib".into(), ..Default::default() }.encode_to_vec();
    let mut service = None;
    for span in spans {
        if service != Some(span.service) {
            service = Some(span.service);
            let piece = index.pieces.len() as u32;
            index.pieces.push(put(&mut body, &resource(span.service)));
            index.pieces.push(put(&mut body, &scope));
            let head = |at| Head { first: (at, at + 1), rest: (0, 0) };
            index.scopes.push(ScopeEntry { resource: index.resources.len() as u32, head: head(piece + 1) });
            index.resources.push(ResourceEntry { head: head(piece), ..Default::default() });
        }
        let bytes = span.body();
        let range = put(&mut body, &bytes);
        let name = bytes.windows(span.name.len().max(1)).position(|w| w == span.name.as_bytes()).unwrap_or(0);
        index.spans.push(SpanEntry {
            trace: trace_id(span.trace),
            span: span_id(span.id),
            parent: span_id(span.parent),
            body: range,
            name: Range { at: range.at + name as u32, len: span.name.len() as u32 },
            name_key: name_key(span.name.as_bytes()),
            scope: index.scopes.len() as u32 - 1,
            flags: span.flags,
            kind: span.kind,
            zero_parent: span.zero_parent,
            ended: span.end != 0,
            noted: Noted::PLACE,
            start: span.start,
        });
        index.items += 1;
    }
    (body.into(), index)
}

pub fn named(tenant: u64, header: &str) -> Arc<Origin> {
    let headers = vec![("authorization".into(), header.as_bytes().into())];
    Arc::new(Origin { tenant: TenantKey(tenant), key: tenant, headers, caller: None })
}

pub fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

pub fn give(join: &mut Join, at: Time, origin: &Arc<Origin>, spans: &[Span]) {
    let (body, index) = request(spans);
    assert_eq!(join.take(at, origin, &body, &index, |_| true), spans.len() as u64);
}

/// A join to which the shapes of these spans are known from a former life.
pub fn taught(settings: Settings, spans: &[Span]) -> Join {
    let mut before = Join::new(settings.clone(), 7);
    for trace in 0..200 {
        let mut spans = spans.to_vec();
        spans.iter_mut().for_each(|span| span.trace = 1_000_000 + trace);
        give(&mut before, ms(0), &Origin::anonymous(), &spans);
    }
    run(&mut before, ms(60_000));
    let mut join = Join::new(settings, 1);
    join.load(&before.save());
    join
}

/// Everything that leaves until `end`, each at the time it was due.
pub fn run(join: &mut Join, end: Time) -> Vec<(Time, Leaving)> {
    let mut left = Vec::new();
    while let Some(due) = join.next_due().filter(|&due| due <= end) {
        while let Some(leaving) = join.leave(due) {
            left.push((due, leaving));
        }
    }
    left
}

pub fn settings() -> Settings {
    Settings { idle: Duration::from_secs(6), ..Settings::default() }
}

/// What of a leaving trace must not depend on how it came.
#[derive(Debug, PartialEq)]
pub struct Essence {
    pub trace: TraceId,
    pub origin: Origin,
    pub reason: Reason,
    pub repairs: Repairs,
    pub environment: Option<String>,
    pub release: Option<String>,
    pub said: Option<Said>,
    pub mends: Vec<Option<Mend>>,
    pub events: Vec<Vec<Bytes>>,
    pub note_copies: u32,
    /// (resource, scope, spans) of each block.
    pub blocks: Vec<(Bytes, Bytes, Vec<Vec<u8>>)>,
}

pub fn essence(leaving: &Leaving) -> Essence {
    let block = |b: &crate::join::LeavingBlock| {
        let spans: Vec<Vec<u8>> = leaving.spans(b).map(|s| s.to_vec()).collect();
        assert_eq!(spans.len(), b.len());
        (b.resource.bytes.first.clone(), b.scope.bytes.first.clone(), spans)
    };
    Essence {
        trace: leaving.trace,
        origin: (**leaving.origin).clone(),
        reason: leaving.reason,
        repairs: leaving.repairs,
        environment: leaving.context.environment.as_deref().map(str::to_owned),
        release: leaving.context.release.as_deref().map(str::to_owned),
        said: leaving.context.said.as_deref().cloned(),
        mends: leaving.blocks.iter().flat_map(|b| leaving.spans(b).map(|s| s.mend)).collect(),
        events: leaving.blocks.iter().flat_map(|b| leaving.spans(b).map(|s| s.events.to_vec())).collect(),
        note_copies: leaving.note_copies,
        blocks: leaving.blocks.iter().map(block).collect(),
    }
}

/// The ids of the spans that left, block by block.
pub fn ids(leaving: &Leaving) -> Vec<Vec<u64>> {
    let id = |body: &[u8]| {
        let span = otlp::Span::decode(body).unwrap();
        u64::from_be_bytes(span.span_id.try_into().unwrap())
    };
    leaving.blocks.iter().map(|b| leaving.spans(b).map(|s| id(&s)).collect()).collect()
}
