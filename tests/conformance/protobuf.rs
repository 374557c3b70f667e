//! A9: protobuf as it may be written, and what must come out of it.

use std::sync::Arc;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Histogram, HistogramDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, skip_field};
use spandrel::wire::Signal;

use crate::backend::{Arrived, Transport, contains};
use crate::call::{self, GrpcReply};
use crate::check::{Check, Otherwise, Seen, does_not, holds, inside, line, not_applicable, not_observable};
use crate::harness::read::attribute;
use crate::make::{self, field, number};
use crate::peer::{Peer, mark};

pub const CHECKS: &[Check] = &[
    line!("P01", Ours, "sends exactly one resource in a block, with all that several held", p01_one_resource),
    line!("P02", Ours, "sends the resource before the scopes", p02_resource_first),
    line!("P03", Ours, "replaces an attribute without doubling its key", p03_no_doubled_keys),
    line!(
        "P04",
        Spec,
        "goes by the last of a repeated scalar",
        p04_last_wins,
        inside: "the_last_of_repeated_fields_counts"
    ),
    line!("P05", Spec, "goes by the last of a oneof", p05_last_of_oneof),
    line!("P06", Ours, "passes unknown fields on bit for bit, at every level", p06_unknown_fields),
    line!("P07", Spec, "refuses tags that can not be, and skips whole groups", p07_tags_and_groups),
    line!("P08", Spec, "takes long varints and refuses endless ones", p08_varints),
    line!("P09", Ours, "refuses a known field of the wrong wire type", p09_wire_types),
    line!("P10", Spec, "takes repeated numbers packed and one by one", p10_packed_or_not),
    line!(
        "P11",
        Ours,
        "takes values 30 levels deep and none deeper",
        p11_depth,
        inside: "a_million_levels_are_refused_without_stack_or_time"
    ),
    line!("P12", Ours, "rejects the span whose text is not UTF-8, and no other", p12_utf8),
    line!("P13", Ours, "rejects the span whose ids have no valid length, and no other", p13_id_lengths),
    line!("P14", Ours, "takes equal bytes for several items, not for one", p14_no_dedupe_by_bytes),
    line!(
        "P15",
        Ours,
        "merges requests only up to what an upstream takes, and profiles never",
        p15_merged_within_limits,
        inside: "split_and_merged_requests_are_prosts"
    ),
    line!("P16", Ours, "compresses into one gzip member", p16_one_member),
    inside!(
        "P17",
        Ours,
        "agrees with other decoders on what is good and what it says",
        "verdicts_agree_on_mutated_requests",
        "the_index_says_what_prost_says",
        "good_requests_are_accepted_and_counted"
    ),
];

fn decoded(arrived: &Arrived) -> Result<ExportTraceServiceRequest, Otherwise> {
    let request = ExportTraceServiceRequest::decode(arrived.plain.clone());
    request.map_err(|fault| does_not(format!("prost can not read what it sends: {fault}")))
}

/// The span of this name as it arrives.
fn span_named(arrived: &Arrived, name: &str) -> Result<Span, Otherwise> {
    let blocks = decoded(arrived)?.resource_spans.into_iter();
    let mut spans = blocks.flat_map(|block| block.scope_spans).flat_map(|scope| scope.spans);
    spans.find(|span| span.name == name).ok_or_else(|| does_not("the span does not arrive"))
}

/// The resource of the block that has this mark.
fn resource_of(arrived: &Arrived, mark: &str) -> Result<Resource, Otherwise> {
    let has = |resource: &Resource| contains(&resource.encode_to_vec(), mark.as_bytes());
    let mut resources = decoded(arrived)?.resource_spans.into_iter().filter_map(|block| block.resource);
    resources.find(has).ok_or_else(|| does_not("its resource does not arrive"))
}

/// The blocks of a request, each as the field numbers in it.
fn blocks(arrived: &Arrived) -> Vec<Vec<u32>> {
    let blocks = fields(&arrived.plain).into_iter().filter(|(number, _)| *number == 1);
    blocks.map(|(_, block)| fields(block).into_iter().map(|(number, _)| number).collect()).collect()
}

/// The length-delimited fields of a message in order, read by prost.
fn fields(mut message: &[u8]) -> Vec<(u32, &[u8])> {
    let mut fields = Vec::new();
    while let Ok((number, wire_type)) = decode_key(&mut message) {
        let before = message;
        let Ok(()) = skip_field(wire_type, number, &mut message, DecodeContext::default()) else { break };
        let mut payload = &before[..before.len() - message.len()];
        if wire_type == WireType::LengthDelimited && decode_varint(&mut payload).is_ok() {
            fields.push((number, payload));
        }
    }
    fields
}

/// Sends bytes as traces; they must be taken whole.
async fn whole(peer: &Peer, mark: &str, body: &[u8]) -> Result<Arc<Arrived>, Otherwise> {
    let reply = call::export(peer.grpc()?, Signal::Traces, body).await?;
    holds!(reply.is("OK"), "it answers {}: {}", reply.code_name(), reply.message);
    holds!(rejected(&reply) == 0, "it rejects {} spans", rejected(&reply));
    peer.backend()?.arrives(mark).await
}

fn rejected(reply: &GrpcReply) -> i64 {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    let reply = ExportTraceServiceResponse::decode(reply.body.clone()).unwrap_or_default();
    reply.partial_success.map_or(0, |partial| partial.rejected_spans)
}

async fn p01_one_resource(peer: Arc<Peer>) -> Seen {
    let mark = mark("p01");
    let part = |key: &str, value: &str| {
        field(1, &Resource { attributes: vec![attribute(key, value)], ..Resource::default() }.encode_to_vec())
    };
    let spans = field(2, &field(2, &make::span(&mark).encode_to_vec()));
    let body = field(1, &[part("service.name", &mark), spans, part("host.name", "second")].concat());
    let arrived = whole(&peer, &mark, &body).await?;
    for block in blocks(&arrived) {
        let resources = block.iter().filter(|number| **number == 1).count();
        holds!(resources <= 1, "a block has {resources} resources");
    }
    let resource = resource_of(&arrived, &mark)?;
    let has = |key: &str| resource.attributes.iter().any(|attribute| attribute.key == key);
    holds!(has("service.name") && has("host.name"), "of two resources this is left: {resource:?}");
    Ok(())
}

async fn p02_resource_first(peer: Arc<Peer>) -> Seen {
    let mark = mark("p02");
    let spans = field(2, &field(2, &make::span(&mark).encode_to_vec()));
    let body = field(1, &[spans, field(1, &make::resource(&mark).encode_to_vec())].concat());
    let arrived = whole(&peer, &mark, &body).await?;
    for block in blocks(&arrived) {
        let (resource, scope) = (block.iter().position(|n| *n == 1), block.iter().position(|n| *n == 2));
        holds!(resource < scope, "a block's fields stand in this order: {block:?}");
    }
    Ok(())
}

async fn p03_no_doubled_keys(peer: Arc<Peer>) -> Seen {
    let backend = crate::backend::Backend::anywhere().await;
    let config = format!(
        "upstream: {}\nenvironment: forced\nenforce: true\njoin: {{idle: 300ms}}\n",
        backend.endpoint()
    );
    let own = peer.started(&config).await?;
    let mark = mark("p03");
    let mut request = make::one(&mark);
    if let Some(resource) = &mut request.resource_spans[0].resource {
        resource.attributes.push(attribute("deployment.environment.name", "said"));
        resource.attributes.push(attribute("deployment.environment.name", "said again"));
    }
    let reply = call::export(own.grpc(), Signal::Traces, &request.encode_to_vec()).await?;
    holds!(reply.is("OK"), "it answers {}", reply.code_name());
    let resource = resource_of(&*backend.arrives(&mark).await?, &mark)?;
    let said: Vec<_> =
        resource.attributes.iter().filter(|it| it.key == "deployment.environment.name").collect();
    let forced = said.len() == 1 && said[0].value == Some(make::text("forced"));
    holds!(forced, "an attribute that is to be replaced arrives as {said:?}");
    Ok(())
}

async fn p04_last_wins(peer: Arc<Peer>) -> Seen {
    let mark = mark("p04");
    let other = make::id(16);
    let arrived =
        whole(&peer, &mark, &make::traces_of(&mark, &[make::span_and(&mark, &field(1, &other))])).await?;
    let span = span_named(&arrived, &mark)?;
    holds!(span.trace_id == other, "of two trace ids the first counts");
    Ok(())
}

async fn p05_last_of_oneof(peer: Arc<Peer>) -> Seen {
    let mark = mark("p05");
    let value = [field(1, b"first"), number(3, 7)].concat();
    let twice = field(9, &[field(1, b"k"), field(2, &value)].concat());
    let arrived = whole(&peer, &mark, &make::traces_of(&mark, &[make::span_and(&mark, &twice)])).await?;
    let span = span_named(&arrived, &mark)?;
    let value = span.attributes.first().and_then(|it| it.value.as_ref()?.value.clone());
    holds!(value == Some(Value::IntValue(7)), "text and then 7 arrives as {value:?}");
    Ok(())
}

async fn p06_unknown_fields(peer: Arc<Peer>) -> Seen {
    let mark = mark("p06");
    let unknown = |level: &str| {
        let text = format!("{mark}-{level}");
        [field(17, text.as_bytes()), number(1001, 77), field((1 << 29) - 1, text.as_bytes())].concat()
    };
    let value = [field(1, b"v"), unknown("value")].concat();
    let pair = [field(1, b"k"), field(2, &value), unknown("attribute")].concat();
    let event = [field(2, b"e"), unknown("event")].concat();
    let span = make::span_and(&mark, &[field(9, &pair), field(11, &event), unknown("span")].concat());
    let scope = [field(1, b"scope"), unknown("scope")].concat();
    let scopes = [field(1, &scope), field(2, &span), unknown("scope-spans")].concat();
    let resource = [make::resource(&mark).encode_to_vec(), unknown("resource")].concat();
    let block = [field(1, &resource), field(2, &scopes), unknown("resource-spans")].concat();
    let arrived = whole(&peer, &mark, &field(1, &block)).await?;
    for level in ["value", "attribute", "event", "span", "scope", "scope-spans", "resource", "resource-spans"]
    {
        let kept = contains(&arrived.plain, &unknown(level));
        holds!(kept, "unknown fields are dropped from {level}");
    }
    Ok(())
}

/// Sends a span with these bytes in it beside a good one: taken whole, in part, or not.
async fn verdict(peer: &Peer, more: &[u8]) -> Result<&'static str, Otherwise> {
    let mark = mark("verdict");
    let body = make::traces_of(&mark, &[make::span_and(&mark, more), make::span(&mark).encode_to_vec()]);
    let reply = call::export(peer.grpc()?, Signal::Traces, &body).await?;
    Ok(match (reply.is("OK"), rejected(&reply)) {
        (true, 0) => "taken",
        (true, 1) => "rejected alone",
        (true, _) => "rejected with others",
        (false, _) => "refused with the request",
    })
}

async fn is_taken(peer: &Peer, what: &str, more: &[u8]) -> Seen {
    let verdict = verdict(peer, more).await?;
    holds!(verdict == "taken", "{what}: {verdict}");
    Ok(())
}

async fn is_not_taken(peer: &Peer, what: &str, more: &[u8]) -> Seen {
    let verdict = verdict(peer, more).await?;
    holds!(verdict != "taken", "{what}: {verdict}");
    Ok(())
}

/// A key with a field number and any three bits as its wire type.
fn key(number: u64, wire_type: u64) -> Vec<u8> {
    let mut key = Vec::new();
    prost::encoding::encode_varint(number << 3 | wire_type, &mut key);
    key
}

async fn p07_tags_and_groups(peer: Arc<Peer>) -> Seen {
    for (what, bytes) in [
        ("wire type 6", [key(100, 6), vec![1]].concat()),
        ("wire type 7", [key(100, 7), vec![1]].concat()),
        ("field number 0", [key(0, 0), vec![1]].concat()),
        ("a tag beyond 32 bits", [key(1 << 30, 0), vec![1]].concat()),
        ("the end of no group", key(100, 4)),
        ("a group that ends as another", [key(100, 3), key(101, 4)].concat()),
        ("a group without end", key(100, 3)),
    ] {
        is_not_taken(&peer, what, &bytes).await?;
    }
    let inner = [key(5, 3), number(1, 9), key(5, 4)].concat();
    let group = [key(100, 3), field(2, b"inside"), inner, key(100, 4)].concat();
    is_taken(&peer, "a group within a group", &group).await
}

async fn p08_varints(peer: Arc<Peer>) -> Seen {
    let kind = key(6, 0);
    is_taken(&peer, "2 in three bytes", &[kind.clone(), vec![0x82, 0x80, 0x00]].concat()).await?;
    let ten = [kind.clone(), vec![0xff; 9], vec![0x01]].concat();
    is_taken(&peer, "a number of ten bytes", &ten).await?;
    let long = [field(100, b"")[..2].to_vec(), vec![0x83, 0x80, 0x00], b"abc".to_vec()].concat();
    is_taken(&peer, "a length in three bytes", &long).await?;
    is_not_taken(&peer, "a number of eleven bytes", &[kind.clone(), vec![0xff; 10], vec![0x01]].concat())
        .await?;
    is_not_taken(&peer, "a length beyond its message", &[field(100, b"")[..2].to_vec(), vec![0x7f]].concat())
        .await?;
    let huge = [field(100, b"")[..2].to_vec(), vec![0xff; 9], vec![0x01]].concat();
    is_not_taken(&peer, "a length of 2^64 - 1", &huge).await
}

async fn p09_wire_types(peer: Arc<Peer>) -> Seen {
    is_not_taken(&peer, "a name that is a number", &number(5, 1)).await?;
    is_not_taken(&peer, "an event that is a number", &number(11, 1)).await?;
    let mut fixed = Vec::new();
    encode_key(6, WireType::SixtyFourBit, &mut fixed);
    is_not_taken(&peer, "a kind in eight bytes", &[fixed, vec![0; 8]].concat()).await
}

async fn p10_packed_or_not(peer: Arc<Peer>) -> Seen {
    let mark = mark("p10");
    let counts = vec![1, 2, 3];
    let point = HistogramDataPoint {
        time_unix_nano: make::NOW,
        count: 6,
        bucket_counts: counts.clone(),
        explicit_bounds: vec![0.5, 1.5],
        ..HistogramDataPoint::default()
    };
    let packed = point.encode_to_vec();
    let mut spread =
        HistogramDataPoint { bucket_counts: vec![], explicit_bounds: vec![], ..point }.encode_to_vec();
    for count in &counts {
        encode_key(6, WireType::SixtyFourBit, &mut spread);
        spread.extend_from_slice(&u64::to_le_bytes(*count));
    }
    for bound in [0.5_f64, 1.5] {
        encode_key(7, WireType::SixtyFourBit, &mut spread);
        spread.extend_from_slice(&bound.to_le_bytes());
    }
    for (form, point) in [("packed", packed), ("one by one", spread)] {
        let mark = format!("{mark}-{form}");
        let metric =
            [field(1, mark.as_bytes()), field(9, &[field(1, &point), number(2, 2)].concat())].concat();
        let block = [field(1, &make::resource(&mark).encode_to_vec()), field(2, &field(2, &metric))].concat();
        let came = peer.through_as(Signal::Metrics, &mark, &field(1, &block)).await?;
        let request = ExportMetricsServiceRequest::decode(came.plain.clone()).unwrap_or_default();
        let scopes = request.resource_metrics.into_iter().flat_map(|block| block.scope_metrics);
        let metric = scopes.flat_map(|scope| scope.metrics).find(|metric| metric.name == mark);
        let arrived = match metric.and_then(|metric| metric.data) {
            Some(Data::Histogram(Histogram { data_points, .. })) => data_points.into_iter().next(),
            _ => None,
        };
        let arrived = arrived.map(|point| (point.bucket_counts, point.explicit_bounds));
        holds!(arrived == Some((counts.clone(), vec![0.5, 1.5])), "{form}, they arrive as {arrived:?}");
    }
    Ok(())
}

async fn p11_depth(peer: Arc<Peer>) -> Seen {
    let nested = |levels: usize| {
        let inner = (1..levels)
            .fold(number(3, 1), |value, _| field(6, &field(1, &[field(1, b"k"), field(2, &value)].concat())));
        field(9, &[field(1, b"deep"), field(2, &inner)].concat())
    };
    is_taken(&peer, "30 levels", &nested(30)).await?;
    is_not_taken(&peer, "31 levels", &nested(31)).await?;
    is_not_taken(&peer, "5000 levels", &nested(5000)).await
}

async fn p12_utf8(peer: Arc<Peer>) -> Seen {
    let mark = mark("p12");
    let bad = make::span_and(&mark, &field(5, b"\xff\xfe"));
    rejected_alone(&peer, &mark, bad, b"\xff\xfe").await
}

async fn p13_id_lengths(peer: Arc<Peer>) -> Seen {
    for more in [field(1, &[7; 15]), field(2, &[7; 9]), field(4, &[7; 3]), field(1, b"")] {
        let mark = mark("p13");
        let bad = make::span_and("to be rejected", &more);
        rejected_alone(&peer, &mark, bad, b"to be rejected").await?;
    }
    Ok(())
}

/// Of a bad and a good span the good one arrives, in a request without the bad one, and the reply says so.
async fn rejected_alone(peer: &Peer, mark: &str, bad: Vec<u8>, sign: &[u8]) -> Seen {
    let good = make::span(mark).encode_to_vec();
    let body = make::traces_of(mark, &[bad, good]);
    let reply = call::export(peer.grpc()?, Signal::Traces, &body).await?;
    holds!(reply.is("OK"), "the whole request is refused: {} {}", reply.code_name(), reply.message);
    holds!(rejected(&reply) == 1, "of one bad and one good span {} are rejected", rejected(&reply));
    let arrived = peer.backend()?.arrives(mark).await?;
    holds!(!contains(&arrived.plain, sign), "what was rejected arrives upstream");
    Ok(())
}

async fn p14_no_dedupe_by_bytes(peer: Arc<Peer>) -> Seen {
    let mark = mark("p14");
    let mut twice = make::logs(&mark, 1);
    let record = twice.resource_logs[0].scope_logs[0].log_records[0].clone();
    twice.resource_logs[0].scope_logs[0].log_records.push(record);
    let arrived = peer.through_as(Signal::Logs, &mark, &twice.encode_to_vec()).await?;
    let at = arrived.plain.windows(mark.len()).filter(|at| *at == mark.as_bytes()).count();
    // Once as the resource's name, and once in each record's body.
    holds!(at >= 3, "of two equal records {} arrive", at.saturating_sub(1));
    Ok(())
}

const UPSTREAM_MAX: usize = 4 << 20;

async fn p15_merged_within_limits(peer: Arc<Peer>) -> Seen {
    let mark = mark("p15");
    let mut marks = Vec::new();
    for part in 0..4 {
        let mark = format!("{mark}-{part}");
        let mut request = make::logs(&mark, 1);
        request.resource_logs[0].scope_logs[0].log_records[0].body = Some(make::text(&"x".repeat(3 << 19)));
        let reply = call::export(peer.grpc()?, Signal::Logs, &request.encode_to_vec()).await?;
        holds!(reply.is("OK"), "1.5 MiB are answered {}", reply.code_name());
        marks.push(mark);
    }
    for mark in &marks {
        let arrived = peer.backend()?.arrives(mark).await?;
        let len = arrived.plain.len();
        holds!(len <= UPSTREAM_MAX, "four requests of 1.5 MiB go on in one of {len} bytes");
    }
    Ok(())
}

async fn p16_one_member(peer: Arc<Peer>) -> Seen {
    let mark = mark("p16");
    let backend = peer.backend()?;
    peer.through(&mark, &make::traces(&mark, (0..500).map(|_| make::span(&mark)).collect())).await?;
    for arrived in backend.marked(&mark) {
        let coding = match arrived.transport {
            Transport::Grpc => "grpc-encoding",
            Transport::Http => "content-encoding",
        };
        if arrived.headers.get(coding).is_none_or(|coding| coding != "gzip") {
            return Err(not_applicable("it was not told to compress"));
        }
        let mut rest = GzDecoder::new(&arrived.wire[..]);
        let read = std::io::Read::read_to_end(&mut rest, &mut Vec::new());
        let behind = rest.into_inner().len();
        holds!(read.is_ok() && behind == 0, "behind the first member come {behind} bytes");
    }
    match backend.marked(&mark).is_empty() {
        true => Err(not_observable("nothing came")),
        false => Ok(()),
    }
}
