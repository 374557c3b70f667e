//! A7: data that must come out as it went in.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::EntityRef;
use opentelemetry_proto::tonic::profiles::v1development::{
    Profile, ProfilesDictionary, ResourceProfiles, Sample, ScopeProfiles, ValueType,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use spandrel::wire::Signal;

use crate::backend::{Arrived, contains};
use crate::call::{self, PROTOBUF};
use crate::check::{Check, Otherwise, Seen, does_not, holds, line};
use crate::harness::read::attribute;
use crate::make::{self, field};
use crate::peer::{Peer, mark};

pub const CHECKS: &[Check] = &[
    line!("D01", Spec, "keeps all 32 bits of `flags`, of spans and of links", d01_flags),
    line!("D02", Spec, "keeps `trace_state` byte for byte", d02_trace_state),
    line!("D03", Must, "leaves every attribute key once, after adding its own", d03_unique_keys),
    line!("D04", Must, "keeps what `entity_refs` names among the attributes", d04_entity_refs),
    line!("D05", Spec, "never mixes what has different schema URLs", d05_schema_urls),
    line!("D06", Spec, "rejects ids of zeros, and takes a parent of zeros for none", d06_zero_ids),
    line!("D07", Spec, "keeps unknown kinds, old field numbers and dropped counts", d07_odd_fields),
    line!("D08", Spec, "passes on a log record whose trace id is invalid", d08_unassociated_logs),
    line!("D08.2", Should, "rejects a data point at time 0", d08_timeless_points),
    line!("D09", Spec, "passes profiles on whole", d09_profiles),
];

/// Sends spans that are bytes, and returns the named one as it arrives.
async fn passed(peer: &Peer, span: Span) -> Result<Span, Otherwise> {
    let mark = mark("d");
    let span = Span { name: mark.clone(), ..span };
    let arrived = peer.through(&mark, &make::traces(&mark, vec![span])).await?;
    blocks(&arrived)
        .into_iter()
        .flat_map(|block| block.scope_spans)
        .flat_map(|scope| scope.spans)
        .find(|span| span.name == mark)
        .ok_or_else(|| does_not("the span does not arrive"))
}

fn blocks(arrived: &Arrived) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(arrived.plain.clone()).unwrap_or_default().resource_spans
}

async fn d01_flags(peer: Arc<Peer>) -> Seen {
    for flags in [0x101, 0x301, 0xffff_fc01, 0] {
        let link = Link { trace_id: make::id(16), span_id: make::id(8), flags, ..Link::default() };
        let span = passed(&peer, Span { flags, links: vec![link], ..make::span("") }).await?;
        holds!(span.flags == flags, "flags {flags:#x} arrive as {:#x}", span.flags);
        let links = span.links.first().map(|link| link.flags);
        holds!(links == Some(flags), "a link's flags {flags:#x} arrive as {links:x?}");
    }
    Ok(())
}

async fn d02_trace_state(peer: Arc<Peer>) -> Seen {
    for state in ["ot=th:c;rv:ef284a6d3b1c90", " vendor = a b ,, x=1,", "=,\u{e9}"] {
        let span = passed(&peer, Span { trace_state: state.into(), ..make::span("") }).await?;
        holds!(span.trace_state == state, "{state:?} arrives as {:?}", span.trace_state);
    }
    Ok(())
}

async fn d03_unique_keys(peer: Arc<Peer>) -> Seen {
    let mark = mark("d03");
    let mut request = make::one(&mark);
    let resource = request.resource_spans[0].resource.as_mut();
    let own = ["deployment.environment.name", "service.version"].map(|key| attribute(key, "said"));
    resource.into_iter().for_each(|resource| resource.attributes.extend(own.clone()));
    let arrived = peer.through(&mark, &request).await?;
    for resource in blocks(&arrived).into_iter().filter_map(|block| block.resource) {
        let mut keys: Vec<_> = resource.attributes.iter().map(|attribute| &attribute.key).collect();
        keys.sort();
        let all = keys.len();
        keys.dedup();
        holds!(keys.len() == all, "a key is there twice: {:?}", resource.attributes);
    }
    Ok(())
}

async fn d04_entity_refs(peer: Arc<Peer>) -> Seen {
    let mark = mark("d04");
    let entity = EntityRef {
        r#type: "service".into(),
        id_keys: vec!["service.name".into()],
        description_keys: vec!["service.version".into()],
        ..EntityRef::default()
    };
    let mut request = make::one(&mark);
    if let Some(resource) = &mut request.resource_spans[0].resource {
        resource.attributes.push(attribute("service.version", "1.2.3"));
        resource.entity_refs.push(entity.clone());
    }
    let arrived = peer.through(&mark, &request).await?;
    let mut resources = blocks(&arrived).into_iter().filter_map(|block| block.resource);
    let Some(resource) = resources.find(|resource| contains(&resource.encode_to_vec(), mark.as_bytes()))
    else {
        return Err(does_not("the resource does not arrive"));
    };
    holds!(resource.entity_refs == [entity], "they arrive as {:?}", resource.entity_refs);
    for (key, value) in [("service.name", mark.as_str()), ("service.version", "1.2.3")] {
        let kept = resource.attributes.iter().any(|it| *it == attribute(key, value));
        holds!(kept, "{key} is not among the attributes any more");
    }
    Ok(())
}

async fn d05_schema_urls(peer: Arc<Peer>) -> Seen {
    let mark = mark("d05");
    let trace = make::id(16);
    let block = |at: usize, resource: &str, scope: &str| {
        let span = Span { trace_id: trace.clone(), ..make::span(&format!("{mark}-{at}")) };
        let mut block = make::traces(&mark, vec![span]).resource_spans.remove(0);
        block.schema_url = resource.into();
        block.scope_spans[0].schema_url = scope.into();
        block
    };
    let (old, new) = ("https://schemas.example/1", "https://schemas.example/2");
    let schemas = [(old, old), (old, new), (new, old), ("", ""), ("", new)];
    let resource_spans =
        schemas.iter().enumerate().map(|(at, (resource, scope))| block(at, resource, scope)).collect();
    let arrived = peer.through(&mark, &ExportTraceServiceRequest { resource_spans }).await?;
    let came = blocks(&arrived);
    for (at, (resource, scope)) in schemas.iter().enumerate() {
        let name = format!("{mark}-{at}");
        let kept = came.iter().any(|block| {
            block.schema_url == *resource
                && block
                    .scope_spans
                    .iter()
                    .any(|it| it.schema_url == *scope && it.spans.iter().any(|span| span.name == name))
        });
        holds!(kept, "a span under {resource:?} and {scope:?} arrives under others");
    }
    Ok(())
}

async fn d06_zero_ids(peer: Arc<Peer>) -> Seen {
    for bad in [
        Span { trace_id: vec![0; 16], ..make::span("zeros") },
        Span { span_id: vec![0; 8], ..make::span("zeros") },
    ] {
        let body = make::traces("d06", vec![bad]).encode_to_vec();
        let reply = call::export(peer.grpc()?, Signal::Traces, &body).await?;
        let partial =
            ExportTraceServiceResponse::decode(reply.body.clone()).unwrap_or_default().partial_success;
        let rejected = partial.map_or(0, |partial| partial.rejected_spans);
        holds!(!reply.is("OK") || rejected == 1, "a span whose id is zeros is taken");
    }
    let span = passed(&peer, Span { parent_span_id: vec![0; 8], ..make::span("") }).await?;
    let parent = &span.parent_span_id;
    holds!(parent.iter().all(|byte| *byte == 0), "a parent of zeros arrives as {parent:?}");
    Ok(())
}

async fn d07_odd_fields(peer: Arc<Peer>) -> Seen {
    for kind in [0, 99] {
        let event = Event { name: "e".into(), dropped_attributes_count: 4, ..Event::default() };
        let sent = Span {
            kind,
            dropped_attributes_count: 1,
            dropped_events_count: 2,
            dropped_links_count: 3,
            events: vec![event],
            ..make::span("")
        };
        let span = passed(&peer, sent).await?;
        holds!(span.kind == kind, "kind {kind} arrives as {}", span.kind);
        let events = span.events.first().map(|event| event.dropped_attributes_count);
        let dropped =
            (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count, events);
        holds!(dropped == (1, 2, 3, Some(4)), "dropped counts arrive as {dropped:?}");
    }
    let mark = mark("d07");
    let old = make::span(&format!("{mark}-old")).encode_to_vec();
    let scope = field(2, &field(2, &make::span(&mark).encode_to_vec()));
    let block =
        [field(1, &make::resource(&mark).encode_to_vec()), scope, field(1000, &field(2, &old))].concat();
    let arrived = peer.through_as(Signal::Traces, &mark, &field(1, &block)).await?;
    let kept = contains(&arrived.plain, format!("{mark}-old").as_bytes());
    holds!(kept, "what an old SDK says in field 1000 of a block is dropped");
    Ok(())
}

async fn d08_unassociated_logs(peer: Arc<Peer>) -> Seen {
    for trace_id in [vec![7; 5], vec![0; 16]] {
        let mark = mark("d08");
        let mut request = make::logs(&mark, 1);
        request.resource_logs[0].scope_logs[0].log_records[0].trace_id = trace_id.clone();
        let arrived = peer.through_as(Signal::Logs, &mark, &request.encode_to_vec()).await?;
        let came = ExportLogsServiceRequest::decode(arrived.plain.clone()).unwrap_or_default();
        let mut records =
            came.resource_logs.into_iter().flat_map(|it| it.scope_logs).flat_map(|it| it.log_records);
        let there = records.any(|record| record.body == Some(make::text(&mark)));
        holds!(there, "a record with the trace id {trace_id:?} is dropped");
    }
    Ok(())
}

async fn d08_timeless_points(peer: Arc<Peer>) -> Seen {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let mut request = make::metrics("d08", 2);
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(Data::Gauge(gauge)) = &mut metric.data else { unreachable!("just made") };
    gauge.data_points[1].time_unix_nano = 0;
    let reply = call::export(peer.grpc()?, Signal::Metrics, &request.encode_to_vec()).await?;
    let partial =
        ExportMetricsServiceResponse::decode(reply.body.clone()).unwrap_or_default().partial_success;
    let rejected = partial.map_or(0, |partial| partial.rejected_data_points);
    holds!(!reply.is("OK") || rejected == 1, "it is taken");
    Ok(())
}

async fn d09_profiles(peer: Arc<Peer>) -> Seen {
    let mark = mark("d09");
    let dictionary = ProfilesDictionary {
        string_table: vec![String::new(), format!("{mark}-type"), "bytes".into()],
        ..ProfilesDictionary::default()
    };
    let sample_type = Some(ValueType { type_strindex: 1, unit_strindex: 2 });
    let samples = vec![Sample { values: vec![1], ..Sample::default() }];
    let time_unix_nano = make::NOW;
    let profile =
        Profile { profile_id: make::id(16), time_unix_nano, sample_type, samples, ..Profile::default() };
    let id = profile.profile_id.clone();
    let scope_profiles = vec![ScopeProfiles { profiles: vec![profile], ..ScopeProfiles::default() }];
    let resource = Some(make::resource(&mark));
    let block = ResourceProfiles { resource, scope_profiles, ..ResourceProfiles::default() };
    let request =
        ExportProfilesServiceRequest { resource_profiles: vec![block], dictionary: Some(dictionary) };
    let body = request.encode_to_vec();
    for over in ["gRPC", "HTTP"] {
        let taken = match over {
            "gRPC" => call::export(peer.grpc()?, Signal::Profiles, &body).await?.code_name() == "OK",
            _ => {
                let path = Signal::Profiles.http_path();
                call::post(peer.http()?, path, PROTOBUF, body.clone()).await?.status == 200
            }
        };
        holds!(taken, "profiles over {over} are not taken");
    }
    let came = peer.backend()?.until("both to arrive", |backend| {
        let came = backend.marked(&mark);
        (came.len() >= 2).then_some(came)
    });
    for arrived in came.await? {
        let decoded = ExportProfilesServiceRequest::decode(arrived.plain.clone()).unwrap_or_default();
        let strings = decoded.dictionary.map(|dictionary| dictionary.string_table).unwrap_or_default();
        let profiles = decoded.resource_profiles.into_iter().flat_map(|block| block.scope_profiles);
        let profile = profiles.flat_map(|scope| scope.profiles).find(|it| it.profile_id == id);
        let kind = profile.and_then(|profile| profile.sample_type).map(|kind| kind.type_strindex);
        let kind = kind.and_then(|index| strings.get(usize::try_from(index).ok()?));
        holds!(kind == Some(&format!("{mark}-type")), "a profile's type arrives as {kind:?}");
    }
    Ok(())
}
