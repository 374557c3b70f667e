//! Puts the parts together, in the order of a span's journey, and takes them apart again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinHandle, spawn_local};
use tokio_util::sync::CancellationToken;

use super::reload::Reloads;
use super::watch;
use crate::config::{Plan, Standing};
use crate::export::{self, SetupError};
use crate::join::Join;
use crate::model::{Clock, Relay, background};
use crate::page::admin;
use crate::pipeline::journey::Journey;
use crate::pipeline::keep::{self, PAGE};
use crate::pipeline::lane::{Lane, Pulse};
use crate::pipeline::ruler::Ruler;
use crate::pipeline::scoring::Scoring;
use crate::pipeline::shelf::{Outlet, Shelf};
use crate::pipeline::tally::LaneMeters;
use crate::queue::batcher::Batcher;
use crate::queue::{Budget, Lanes, Outbox};
use crate::receive::{self, BindError, Listen};
use crate::rules::memo::Memo;
use crate::telemetry::Meters;
use crate::watch::Watchers;
use crate::wire::{Signal, Signals};

/// Requests a lane's queue holds; their bytes are bounded by the budget.
const LANE_DEPTH: usize = 1024;
/// Batches an outbox holds; their bytes are bounded by the budget.
const OUTBOX_DEPTH: usize = 16 * 1024;

/// Why the process can not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("can't start a lane's thread: {0}")]
    Thread(std::io::Error),
}

/// A pipeline at work.
#[derive(Debug)]
pub struct Running {
    listening: Vec<Listen>,
    admin: Option<SocketAddr>,
    lanes: Lanes,
    threads: Vec<thread::JoinHandle<()>>,
    beside: Option<JoinHandle<()>>,
    outlets: Vec<Outlet>,
    exporters: Vec<JoinHandle<()>>,
    edge: JoinHandle<()>,
    watch: watch::Handles,
    reloads: Reloads,
    following: JoinHandle<()>,
    meters: Arc<Meters>,
    stop: CancellationToken,
    give_up: CancellationToken,
    lanes_give_up: Arc<AtomicBool>,
    /// How long the end may take before what is left is counted as lost.
    drain: Duration,
}

/// Where lanes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Each on a thread of its own.
    Apart,
    /// The only one beside the sockets, on the thread we are on: within a [`tokio::task::LocalSet`].
    Beside,
}

/// Starts everything the plan names, and keeps to what stands behind it. Listeners are bound first: nothing has
/// begun when one can't be had.
pub async fn start(plan: Plan, standing: Option<Standing>, seat: Seat) -> Result<Running, StartError> {
    let bound = receive::bind(&plan.receive).await?;
    let listening: Vec<_> = bound.addresses().cloned().collect();
    let clock = Clock::new();
    let meters = Arc::new(Meters::new());
    let budget = Budget::new(plan.memory.saturating_sub(plan.recent));
    let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());

    let (outlets, mut exporters) = start_exporters(&plan, &budget, &meters, clock, &give_up)?;
    let (scoring, poster) = start_scores(&plan, &budget, &meters, clock, &give_up)?.unzip();
    exporters.extend(poster);
    let watchers = Watchers::new(meters.clone(), plan.recent);
    let (lanes, inboxes) = Lanes::new(plan.lanes, LANE_DEPTH);
    let (lanes_give_up, eager) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let pulses: Vec<_> = inboxes.iter().map(|_| Pulse::new(clock.now())).collect();
    let reloads = Reloads::of(&plan, standing, &meters, clock);
    let (mut threads, mut beside) = (Vec::new(), None);
    for (number, inbox) in inboxes.into_iter().enumerate() {
        let lane = Lane {
            number,
            lanes: plan.lanes,
            inbox,
            clock,
            pulse: pulses[number].clone(),
            live: reloads.live.clone(),
            eager: eager.clone(),
            give_up: lanes_give_up.clone(),
            meters: meters.clone(),
            outlets: outlets.clone(),
        };
        let fresh = journeys(&plan, &budget, &meters, (clock, &reloads), &outlets, &scoring, &watchers);
        if seat == Seat::Beside && plan.lanes == 1 {
            beside = Some(spawn_local(lane.run_beside(fresh)));
            continue;
        }
        let thread = thread::Builder::new().name(format!("lane-{number}"));
        threads.push(thread.spawn(move || lane.run(fresh)).map_err(StartError::Thread)?);
    }

    let state = watch::State {
        lanes: lanes.clone(),
        pulses,
        budget: budget.clone(),
        outlets: outlets.clone(),
        meters: meters.clone(),
        clock,
        fleets: plan
            .upstreams
            .iter()
            .filter(|upstream| upstream.gateways.is_some())
            .map(|upstream| upstream.name.clone())
            .collect(),
        listening: listening.clone(),
        reloads: reloads.clone(),
        eager,
        stop: stop.clone(),
    };
    if plan.memory_follows {
        background(watch::follow_memory(budget.clone(), plan.recent, stop.clone()));
    }
    let drain = plan.drain;
    let watch = watch::start(&plan, state, watchers).await?;
    let relay = relay(&plan, &meters)?;
    let noting = reloads.noting.clone();
    let inner = receive::Inner { lanes: lanes.clone(), budget, meters: meters.clone(), clock, relay, noting };
    let edge = background(receive::serve(bound, plan.receive, inner, stop.clone()));
    let admin = watch.admin();
    let following = reloads.start(stop.clone());
    Ok(Running {
        listening,
        admin,
        lanes,
        threads,
        beside,
        outlets,
        exporters,
        edge,
        watch,
        reloads,
        following,
        meters,
        stop,
        give_up,
        lanes_give_up,
        drain,
    })
}

/// One outbox and its senders for each upstream; without any, one that keeps everything here.
fn start_exporters(
    plan: &Plan,
    budget: &Arc<Budget>,
    meters: &Arc<Meters>,
    clock: Clock,
    give_up: &CancellationToken,
) -> Result<(Vec<Outlet>, Vec<JoinHandle<()>>), StartError> {
    // One upstream may use the whole budget and push back; among several none may starve the others.
    let bytes_max = if plan.upstreams.len() > 1 { budget.limit() / 2 } else { usize::MAX };
    if plan.upstreams.is_empty() {
        let outbox = Outbox::new(OUTBOX_DEPTH, bytes_max);
        let keeper = background(keep::settle_here(outbox.clone(), meters.clone()));
        let here = Outlet { name: PAGE.to_owned(), signals: Signals::ALL, default: true, outbox };
        return Ok((vec![here], vec![keeper]));
    }
    let mut started = (Vec::new(), Vec::new());
    for upstream in &plan.upstreams {
        let outbox = Outbox::new(OUTBOX_DEPTH, bytes_max);
        let inner = export::Inner { outbox: outbox.clone(), meters: meters.clone(), clock };
        started.1.push(export::start(upstream.clone(), inner, give_up.clone())?);
        let (name, signals, default) = (upstream.name.clone(), upstream.signals, upstream.default);
        started.0.push(Outlet { name, signals, default, outbox });
    }
    Ok(started)
}

/// Who posts scores, if they are wanted and an upstream is a platform that has them.
fn start_scores(
    plan: &Plan,
    budget: &Arc<Budget>,
    meters: &Arc<Meters>,
    clock: Clock,
    give_up: &CancellationToken,
) -> Result<Option<(Scoring, JoinHandle<()>)>, StartError> {
    let Some(dialect) = plan.scores else { return Ok(None) };
    for upstream in &plan.upstreams {
        let started = export::scores(upstream, dialect, budget, meters, clock, give_up.clone())?;
        if let Some((scores, poster)) = started {
            return Ok(Some((Scoring::new(dialect, &plan.labels, scores), poster)));
        }
    }
    Ok(None)
}

/// The way to the platform for what is not OTLP, if an upstream is one.
fn relay(plan: &Plan, meters: &Arc<Meters>) -> Result<Option<Arc<dyn Relay>>, StartError> {
    for upstream in &plan.upstreams {
        if let Some(relay) = export::relay(upstream, meters)? {
            return Ok(Some(relay));
        }
    }
    Ok(None)
}

/// Makes journeys for a lane: one at its start, and one after each panic.
fn journeys(
    plan: &Plan,
    budget: &Arc<Budget>,
    meters: &Arc<Meters>,
    (clock, reloads): (Clock, &Reloads),
    outlets: &[Outlet],
    scoring: &Option<Scoring>,
    watchers: &Arc<Watchers>,
) -> impl Fn() -> Journey + Send + use<> {
    let (batch, live) = (plan.batch, reloads.live.clone());
    let lanes = plan.lanes.max(1);
    // The lanes share what the join may hold; the memo gets a small part of the budget beside it.
    let join = plan.join.clone().map(|settings| crate::join::Settings {
        held_bytes_max: settings.held_bytes_max / lanes,
        ..settings
    });
    let memo_bytes = (budget.limit() / 64 / lanes).clamp(64 << 10, 4 << 20);
    let (budget, meters, outlets, scoring, watchers) =
        (budget.clone(), meters.clone(), outlets.to_vec(), scoring.clone(), watchers.clone());
    move || {
        let now = live.current();
        Journey {
            join: join.clone().map(|settings| Join::new(settings, rand::random())),
            labels: Memo::new(now.labels.clone(), memo_bytes),
            rules: Ruler::new(now.rules.clone(), clock, now.told.clone(), &meters),
            stamps: now.stamps,
            particulars: now.particulars.clone(),
            batcher: Batcher::new(batch, budget.clone()),
            held: budget.reserve(0),
            shelf: Shelf::new(&outlets, &meters),
            scoring: scoring.clone(),
            watchers: watchers.clone(),
            clock,
            // The first: its join and its scores are the start's until it has kept up.
            version: 0,
            meters: LaneMeters::new(&meters),
            seen: clock.now(),
            in_hand: [0; 4],
        }
    }
}

/// What a drain could not deliver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Items lost because time ran out.
    pub items: u64,
}

impl Running {
    /// The addresses OTLP is taken on.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// Has the configuration read again.
    pub fn reload(&self) {
        self.reloads.live.ask();
    }

    /// The admin port, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Stops taking requests, lets the join go, sends what there is, within the time that has.
    /// What is worth most goes first: traces, which were held here, before logs and metrics.
    pub async fn drain(self) -> LeftOver {
        let deadline = tokio::time::sleep(self.drain);
        let (give_up, lanes_give_up) = (self.give_up.clone(), self.lanes_give_up.clone());
        let alarm = background(async move {
            deadline.await;
            lanes_give_up.store(true, Ordering::Release);
            give_up.cancel();
        });
        self.stop.cancel();
        let _ = self.edge.await;
        let _ = self.following.await;
        let (lanes, threads) = (self.lanes, self.threads);
        let _ = tokio::task::spawn_blocking(move || {
            lanes.drain();
            threads.into_iter().for_each(|lane| {
                let _ = lane.join();
            });
        })
        .await;
        if let Some(lane) = self.beside {
            let _ = lane.await;
        }
        for Outlet { outbox, .. } in &self.outlets {
            outbox.put_first(Signal::Traces);
            outbox.close();
        }
        for exporter in self.exporters {
            let _ = exporter.await;
        }
        alarm.abort();
        self.watch.end().await;
        LeftOver { items: self.meters.lost_to_shutdown() }
    }
}
