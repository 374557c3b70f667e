//! `spandrel run`: starts the pipeline, says what it does, reads its configuration again and ends when told to.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use crate::config::{Plan, Standing};
use crate::export::Protocol;
use crate::page::banner::{Banner, Forward, Written};
use crate::receive::Listen;
use crate::service::{self, Running, Seat};
use crate::wire::Signals;

use super::fail;

/// By then every thread and task has done what it does once.
const SETTLES: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT, then drains. SIGHUP has the configuration read again. `settled` is called
/// once the start is over.
pub fn run(plan: Plan, standing: Standing, settled: fn()) -> ExitCode {
    let (mut builder, seat) = match io_threads(cores(), plan.lanes) {
        // The thread that waits for the end can as well do it all: then nothing is handed from one to another.
        1 => (tokio::runtime::Builder::new_current_thread(), Seat::Beside),
        several => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.thread_name("io").worker_threads(several);
            (builder, Seat::Apart)
        }
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return fail(format!("can't start the runtime: {cause}")),
    };
    LocalSet::new().block_on(&runtime, async {
        let banner = banner(&plan);
        // Before anything is begun: unheard, it would end the process.
        let Ok(hangup) = signal(SignalKind::hangup()) else { return fail("can't listen for signals") };
        match service::start(plan, Some(standing), seat).await {
            Ok(running) => until_told(running, banner, hangup, settled).await,
            Err(cause) => fail(cause),
        }
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads for sockets: the cores that lanes leave free; at least one for each lane, and no more than lanes can
/// take from. A thread more than there are cores costs a tenth of all (`cargo bench --bench peers`), because
/// threads then take turns.
fn io_threads(cores: usize, lanes: usize) -> usize {
    let lanes = lanes.max(1);
    cores.saturating_sub(lanes).clamp(lanes, 4 * lanes)
}

async fn until_told(running: Running, banner: Banner, mut hangup: Signal, settled: fn()) -> ExitCode {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        return fail("can't listen for signals");
    };
    let listening = running.listening().iter().map(Listen::to_string).collect();
    let admin = running.admin().map(|address| address.to_string());
    eprint!("{}", Banner { listening, admin, ..banner }.render());
    let mut moment = pin!(tokio::time::sleep(SETTLES));
    let mut is_settled = false;
    loop {
        tokio::select! {
            () = &mut moment, if !is_settled => {
                is_settled = true;
                settled();
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => running.reload(),
        }
    }
    tracing::info!("draining");
    let left = running.drain().await;
    if left.items > 0 {
        tracing::error!(items = left.items, "ended with items unsent; they are lost");
    } else {
        tracing::info!("ended with nothing left");
    }
    ExitCode::SUCCESS
}

/// What the plan will do; addresses are known once bound.
fn banner(plan: &Plan) -> Banner {
    let labels = &plan.labels;
    let written = |key: &str, value: &Option<String>, source: &Option<String>| {
        value.clone().map(|value| Written {
            key: key.to_owned(),
            value,
            source: source.clone().unwrap_or_default(),
        })
    };
    let upstreams = plan.upstreams.iter().map(|upstream| Forward {
        name: upstream.name.clone(),
        signals: some_of(upstream.signals),
        endpoint: upstream.endpoint.to_string(),
        protocol: match upstream.protocol {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http/protobuf",
            Protocol::HttpJson => "http/json",
        }
        .to_owned(),
    });
    Banner {
        upstreams: upstreams.collect(),
        beyond: plan.upstreams.iter().find_map(|upstream| Some(upstream.base.as_ref()?.to_string())),
        environment: written(
            "deployment.environment.name",
            &labels.environment,
            &plan.labels_from.environment,
        ),
        release: written(&labels.release_key, &labels.release, &plan.labels_from.release),
        resource: labels.resource.clone(),
        enforce: labels.enforce,
        join: match plan.join.as_ref().map(|join| join.scope) {
            Some(crate::join::Scope::Trace) => "trace scope".to_owned(),
            Some(crate::join::Scope::Local) => "local scope".to_owned(),
            None => "off".to_owned(),
        },
        memory: plan.memory,
        ..Banner::default()
    }
}

/// The signals of an upstream that does not take all.
fn some_of(signals: Signals) -> Option<String> {
    (signals != Signals::ALL).then(|| signals.names(", "))
}
