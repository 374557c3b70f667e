//! `spandrel.v1.Inspection`: status, and joined traces as they leave (`proto/spandrel/v1`).

use std::pin::Pin;

use bytes::Bytes;
use prometheus::IntCounterVec;
use prometheus::core::Collector;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::Summary;
use super::admin::{Sources, StatusInfo};
use super::proto::inspection_server::{Inspection, InspectionServer};
use super::proto::{
    JoinedTrace, SignalCounts, StatusRequest, StatusResponse, Upstream, WatchRequest, WatchResponse,
};
use crate::model::background;
use crate::telemetry::Meters;
use crate::watch::{Kind, Looking, Watchers};
use crate::wire::Signal;

/// The service, to be put among the admin port's routes. Watches end when `stop` fires.
pub fn service(sources: Sources, stop: CancellationToken) -> InspectionServer<Inspect> {
    InspectionServer::new(Inspect { sources, stop })
}

/// Answers from [`Sources`].
#[derive(Debug)]
pub struct Inspect {
    sources: Sources,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl Inspection for Inspect {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        (self.sources.refresh)();
        Ok(Response::new(status((self.sources.status)(), &self.sources.meters)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let watchers: &std::sync::Arc<Watchers> = &self.sources.watchers;
        let looking = watchers.look(Kind::Watch).map_err(|e| Status::resource_exhausted(e.to_string()))?;
        // One on its way: what waits longer waits in `looking`, which is bounded in bytes.
        let (tell, told) = mpsc::channel(1);
        background(follow(looking, request.into_inner(), tell, self.stop.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

/// Passes traces on until the reader goes, the process stops, or no more come.
async fn follow(
    mut looking: Looking,
    wanted: WatchRequest,
    tell: mpsc::Sender<Result<WatchResponse, Status>>,
    stop: CancellationToken,
) {
    let mut missed = 0;
    loop {
        let next = tokio::select! {
            biased;
            next = looking.next() => next,
            () = tell.closed() => return,
            () = stop.cancelled() => return,
        };
        let Some(trace) = next else { return };
        missed += looking.missed();
        let with_otlp = wanted.with_otlp;
        let read = tokio::task::spawn_blocking(move || {
            let otlp = if with_otlp { trace.body.clone() } else { Bytes::new() };
            (Summary::read(&trace), otlp)
        });
        let Ok((summary, otlp)) = read.await else { return };
        if wants(&wanted, &summary) {
            let trace = Some(JoinedTrace::of(&summary, otlp));
            let response = WatchResponse { trace, missed: std::mem::take(&mut missed) };
            tokio::select! {
                sent = tell.send(Ok(response)) => if sent.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }
}

fn wants(wanted: &WatchRequest, summary: &Summary) -> bool {
    (!wanted.errors || summary.errors > 0)
        && summary.duration.as_millis() >= u128::from(wanted.min_duration_ms)
        && (wanted.service.is_empty() || summary.services.contains(&wanted.service))
}

fn status(info: StatusInfo, meters: &Meters) -> StatusResponse {
    let gauge = |value: i64| u64::try_from(value).unwrap_or(0);
    let upstream = |(name, endpoint): (String, String)| Upstream {
        queued_batches: gauge(meters.outbox_batches.with_label_values(&[&name]).get()),
        queued_bytes: gauge(meters.outbox_bytes.with_label_values(&[&name]).get()),
        name,
        endpoint,
    };
    StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(info.uptime.as_millis()).unwrap_or(u64::MAX),
        listeners: info.listeners,
        upstreams: info.upstreams.into_iter().map(upstream).collect(),
        memory_used_bytes: gauge(meters.memory_used.get()),
        memory_limit_bytes: gauge(meters.memory_limit.get()),
        signals: Signal::ALL.into_iter().map(|signal| counts(signal, meters)).collect(),
        held_traces: gauge(meters.held_traces.get()),
        held_bytes: gauge(meters.held_bytes.get()),
    }
}

fn counts(signal: Signal, meters: &Meters) -> SignalCounts {
    SignalCounts {
        signal: signal.name().to_owned(),
        received: sum(&meters.received_items, signal),
        delivered: sum(&meters.delivered_items, signal),
        refused: sum(&meters.receiver_refused_items, signal) + sum(&meters.upstream_refused_items, signal),
        lost: sum(&meters.lost_items, signal),
    }
}

/// Over all other labels.
fn sum(counter: &IntCounterVec, signal: Signal) -> u64 {
    let families = counter.collect();
    let rows = families.iter().flat_map(|family| family.get_metric());
    let of_signal = rows.filter(|row| {
        row.get_label().iter().any(|label| label.name() == "signal" && label.value() == signal.name())
    });
    // Counters are whole numbers carried as doubles: exact up to 2^53.
    of_signal.map(|row| row.get_counter().get_value() as u64).sum()
}
