//! What can be seen of a running pipeline: traces on the console, the latest kept, the admin port.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::reload::Reloads;
use crate::config::{Plan, found};
use crate::join::{HeldTrace, WaitsFor};
use crate::model::{Clock, background};
use crate::page::admin::{Admin, BindError, Shows, Sources, StatusInfo};
use crate::page::console::{Console, Form};
use crate::page::counted;
use crate::pipeline::keep::PAGE;
use crate::pipeline::lane::Pulse;
use crate::pipeline::shelf::Outlet;
use crate::queue::{Budget, Lanes};
use crate::receive::Listen;
use crate::telemetry::Meters;
use crate::watch::Watchers;

/// A lane that has not come round for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// For the console to print what it has when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the cgroup's limit is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the closures behind the admin port look at.
#[derive(Clone, Debug)]
pub struct State {
    pub lanes: Lanes,
    pub pulses: Vec<Pulse>,
    pub budget: Arc<Budget>,
    pub outlets: Vec<Outlet>,
    pub meters: Arc<Meters>,
    pub clock: Clock,
    pub listening: Vec<Listen>,
    /// Upstreams that are several gateways behind a name.
    pub fleets: Vec<String>,
    pub reloads: Reloads,
    /// Set by whoever says that the end is near.
    pub eager: Arc<AtomicBool>,
    /// Cancelled when the process is told to end.
    pub stop: CancellationToken,
}

/// The console and the admin port, while they run.
#[derive(Debug)]
pub struct Handles {
    watchers: Arc<Watchers>,
    console: Option<Console>,
    admin: Option<(SocketAddr, JoinHandle<()>)>,
    probes: Option<(SocketAddr, JoinHandle<()>)>,
    close_admin: CancellationToken,
}

/// Binds the admin port and starts the console where nothing is forwarded.
pub async fn start(plan: &Plan, state: State, watchers: Arc<Watchers>) -> Result<Handles, BindError> {
    // Not `stop`: while the rest drains, the admin port shows how far that has come.
    let close_admin = CancellationToken::new();
    let meters = state.meters.clone();
    let sources = sources(plan, state, watchers.clone());
    let mut ports = [None, None];
    for (port, (listen, shows)) in
        ports.iter_mut().zip([(plan.admin, Shows::All), (plan.probes, Shows::Probes)])
    {
        let Some(listen) = listen else { continue };
        let admin = Admin::bind(listen, shows).await?;
        let address = admin.address();
        *port = Some((address, background(admin.serve(sources.clone(), close_admin.clone()))));
    }
    let [admin, probes] = ports;
    // The first lookers of a new process always find room.
    if plan.rollup_metrics && counted::start(&watchers, meters).is_err() {
        tracing::warn!("joined traces are not counted: too many look");
    }
    let console = plan
        .upstreams
        .is_empty()
        .then(|| Console::start(&watchers, io::stdout(), Form::for_stdout()).ok())
        .flatten();
    Ok(Handles { watchers, console, admin, probes, close_admin })
}

impl Handles {
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    pub fn probes(&self) -> Option<SocketAddr> {
        self.probes.as_ref().map(|(address, _)| *address)
    }

    /// Prints what is left to print, and closes the admin port.
    pub async fn end(self) {
        self.watchers.close();
        self.close_admin.cancel();
        if let Some(console) = self.console {
            console.finish(LAST_WORDS).await;
        }
        for (_, port) in [self.admin, self.probes].into_iter().flatten() {
            let _ = port.await;
        }
    }
}

fn sources(plan: &Plan, state: State, watchers: Arc<Watchers>) -> Sources {
    let upstreams = match plan.upstreams.as_slice() {
        [] => vec![(PAGE.to_owned(), String::new())],
        upstreams => upstreams.iter().map(|u| (u.name.clone(), u.endpoint.to_string())).collect(),
    };
    let eager = state.eager.clone();
    let (refreshed, live, ready, held, status) =
        (state.clone(), state.clone(), state.clone(), state.clone(), state.clone());
    Sources {
        meters: state.meters,
        watchers,
        refresh: Arc::new(move || refreshed.refresh()),
        links: plan.links.clone(),
        live: Arc::new(move || live.live()),
        ready: Arc::new(move || ready.ready()),
        held: Arc::new(move |most| held.held(most)),
        flush: Arc::new(move || {
            if !eager.swap(true, Ordering::Relaxed) {
                tracing::info!("told to flush: from now on what comes is handed on at once");
            }
        }),
        status: Arc::new(move || StatusInfo {
            uptime: status.clock.now().since(crate::model::Time::default()),
            listeners: status.listening.iter().map(Listen::to_string).collect(),
            upstreams: upstreams.clone(),
        }),
    }
}

impl State {
    fn refresh(&self) {
        self.reloads.refresh();
        self.meters.memory_limit.set(i64::try_from(self.budget.limit()).unwrap_or(i64::MAX));
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.meters.memory_used.set(gauge(self.budget.used()));
        self.meters.queue_requests.set(gauge(self.lanes.len()));
        for Outlet { name, outbox, .. } in &self.outlets {
            self.meters.outbox_bytes.with_label_values(&[name]).set(gauge(outbox.bytes()));
            self.meters.outbox_batches.with_label_values(&[name]).set(gauge(outbox.len()));
        }
    }

    /// Spans get through the lanes. Whether an upstream takes them is not asked: restarting would
    /// only lose what is held for it.
    fn live(&self) -> Result<String, String> {
        let now = self.clock.now();
        match self.pulses.iter().map(|pulse| now.since(pulse.last())).max() {
            Some(still) if still > STUCK => Err(format!(
                "a lane has stood still for {} s with {} requests waiting",
                still.as_secs(),
                self.lanes.len()
            )),
            _ => Ok(format!("{} lanes move, {} requests wait", self.pulses.len(), self.lanes.len())),
        }
    }

    /// Requests are taken; a spent budget answers callers by itself, so it says so but stays ready.
    fn ready(&self) -> Result<String, String> {
        if self.stop.is_cancelled() {
            return Err("draining: requests are no longer taken".to_owned());
        }
        let listening: Vec<_> = self.listening.iter().map(Listen::to_string).collect();
        let (used, limit) = (self.budget.used(), self.budget.limit());
        let (config, gateways) = (self.reloads.detail(), self.without_gateways());
        let listening = listening.join(", ");
        Ok(format!("listening on {listening}; {used} of {limit} bytes held{config}{gateways}"))
    }

    /// Upstreams all of whose gateways are unknown or can not be reached: what is for them is kept.
    fn without_gateways(&self) -> String {
        let up = |name: &str| self.meters.gateways.with_label_values(&[name, "up"]).get();
        let none = self.fleets.iter().filter(|name| up(name) == 0);
        none.map(|name| format!("; upstream `{name}` reaches no gateway")).collect()
    }

    fn held(&self, most: usize) -> serde_json::Value {
        let traces: Vec<_> = self.lanes.held(most).iter().map(held_trace).collect();
        serde_json::json!({
            "held_traces": self.meters.held_traces.get(),
            "held_bytes": self.meters.held_bytes.get(),
            "traces": traces,
        })
    }
}

/// One trace the join holds, as `/tracez` shows it.
fn held_trace(trace: &HeldTrace) -> serde_json::Value {
    let mut waits_for = serde_json::json!({ "what": trace.waits_for.name() });
    match &trace.waits_for {
        WaitsFor::Quiet | WaitsFor::Root => {}
        WaitsFor::Parent(span) => waits_for["span"] = span.to_string().into(),
        WaitsFor::Learning { of } | WaitsFor::Records { of } => waits_for["of"] = of.to_string().into(),
        WaitsFor::Child { of, service, name } => {
            waits_for["of"] = of.to_string().into();
            waits_for["service"] = service.as_str().into();
            waits_for["name"] = name.as_str().into();
        }
    }
    serde_json::json!({
        "trace_id": trace.trace.to_string(),
        "spans": trace.spans,
        "bytes": trace.bytes,
        "age_ms": u64::try_from(trace.age.as_millis()).unwrap_or(u64::MAX),
        "quiet_ms": u64::try_from(trace.quiet.as_millis()).unwrap_or(u64::MAX),
        "roots": trace.roots,
        "missing_parents": trace.missing_parents,
        "waits_for": waits_for,
    })
}
/// Keeps the budget in step with the cgroup's limit: a pod's may change while it runs.
pub async fn follow_memory(budget: Arc<Budget>, recent: usize, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let (memory, how) = found::memory(Path::new("/"));
        let limit = memory.saturating_sub(recent);
        if limit != budget.limit() {
            tracing::info!(bytes = memory, "the memory budget is {how} now");
            budget.set_limit(limit);
        }
    }
}
