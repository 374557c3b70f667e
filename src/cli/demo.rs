//! `spandrel demo`: the main job in one command. Starts the real pipeline on free ports, plays traces
//! over three services through its sockets in fragments and random order, and shows them whole.
//!
//! Traces are printed by the pipeline's own console, on standard output; what happens besides is told
//! on standard error. Nothing is forwarded, whatever the configuration says.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::channel::Channel;
use crate::config::Plan;
use crate::model::Clock;
use crate::page::proto::inspection_client::InspectionClient;
use crate::page::proto::{JoinedTrace, WatchRequest, WatchResponse};
use crate::receive::Listen;
use crate::service::{self, Seat};

mod play;
mod post;

/// Between the starts of two traces.
const APART: Duration = Duration::from_millis(25);
/// Longest wait before a request is sent: a fast timer of an SDK.
const DELAY_MS_MAX: u64 = 150;
/// An SDK's own timer is 5 s; the play's are thirty times faster, so an incomplete trace need not be
/// waited for as long as in earnest.
const IDLE: Duration = Duration::from_secs(1);
/// For one request to be answered, and for the admin port to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// For everything that was sent to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Traces to play; with 300 and more, see them leave sooner as their shape is learned
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
}

/// Plays, shows, explains.
pub fn run(plan: Plan, options: Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return super::fail(format!("can't start: {cause}")),
    };
    match runtime.block_on(demonstrate(plan, options.count)) {
        Ok(told) => {
            eprint!("{told}");
            ExitCode::SUCCESS
        }
        Err(why) => super::fail(why),
    }
}

async fn demonstrate(plan: Plan, count: u32) -> Result<String, String> {
    let running = service::start(staged(plan), None, Seat::Apart).await.map_err(said)?;
    let to = running.listening().iter().find_map(tcp).ok_or("no socket to play through")?;
    let admin = running.admin().ok_or("no admin port to watch")?;
    let watch = answered(watch(admin)).await?;
    eprintln!("spandrel {}: playing through {to}", env!("CARGO_PKG_VERSION"));
    let played = play_all(to, count).await?;
    let seen = see(watch, &played).await;
    let left = running.drain().await;
    if left.items > 0 {
        return Err(format!("{} spans were lost", left.items));
    }
    tell(&played, &seen)
}

fn tcp(listen: &Listen) -> Option<SocketAddr> {
    match listen {
        Listen::Tcp(address) => Some(*address),
        Listen::Unix(_) => None,
    }
}

/// The plan on free ports of this machine, joining, forwarding nowhere.
fn staged(plan: Plan) -> Plan {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let join = crate::join::Settings { idle: IDLE, ..crate::join::Settings::default() };
    let receive = crate::receive::Settings {
        listen: vec![Listen::Tcp(anywhere)],
        join: true,
        signals: crate::wire::Signals::ALL,
        ..plan.receive
    };
    Plan { receive, join: Some(join), upstreams: Vec::new(), admin: Some(anywhere), ..plan }
}

/// Sees traces leave as any client would: through the inspection API.
async fn watch(admin: SocketAddr) -> Result<Streaming<WatchResponse>, String> {
    let admin: Uri = format!("http://{admin}").parse().map_err(said)?;
    let channel = Channel::connect(&admin).await.map_err(said)?;
    let mut client = InspectionClient::with_origin(channel, admin);
    let watch = client.watch(WatchRequest::default()).await;
    Ok(watch.map_err(|status| status.message().to_owned())?.into_inner())
}

/// Plays every trace, each on its own timers. Returns their ids.
async fn play_all(to: SocketAddr, count: u32) -> Result<HashSet<[u8; 16]>, String> {
    let clock = Arc::new(Clock::new());
    let mut playing = JoinSet::new();
    for _ in 0..count {
        let (trace, exports) = play::trace(clock.unix_nanos());
        playing.spawn(async move { play_one(to, exports, count == 1).await.map(|()| trace) });
        tokio::time::sleep(APART).await;
    }
    let mut played = HashSet::new();
    while let Some(ended) = playing.join_next().await {
        played.insert(ended.map_err(said)??);
    }
    Ok(played)
}

async fn play_one(to: SocketAddr, exports: Vec<play::Export>, aloud: bool) -> Result<(), String> {
    for export in exports {
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=DELAY_MS_MAX))).await;
        let (service, way) = (export.service.name(), export.service.way().name());
        answered(post::post(to, &export)).await.map_err(|why| format!("{service} over {way}: {why}"))?;
        if aloud {
            let noun = if export.spans == 1 { "span" } else { "spans" };
            eprintln!("  {service:<12}  {} {noun:<5}  {way}", export.spans);
        }
    }
    if aloud {
        eprintln!();
    }
    Ok(())
}

/// What left, trace by trace: waits until every span of every trace was seen, or time is up.
async fn see(
    mut watch: Streaming<WatchResponse>,
    played: &HashSet<[u8; 16]>,
) -> HashMap<[u8; 16], Vec<JoinedTrace>> {
    let mut seen: HashMap<[u8; 16], Vec<JoinedTrace>> = HashMap::new();
    let all = played.len() * play::SPANS;
    let looking = async {
        while spans_in(seen.values().flatten()) < all {
            let Ok(Some(response)) = watch.message().await else { return };
            let Some(trace) = response.trace else { continue };
            if let Ok(id) = <[u8; 16]>::try_from(trace.trace_id.as_ref()) {
                seen.entry(id).or_default().push(trace);
            }
        }
    };
    // Short of time, what was seen is told as it is.
    let _ = tokio::time::timeout(SEEN_WITHIN, looking).await;
    seen
}

fn spans_in<'a>(traces: impl Iterator<Item = &'a JoinedTrace>) -> usize {
    traces.map(|trace| trace.span_count as usize).sum()
}

/// Two lines on what happened; an error when it is not what was played.
fn tell(played: &HashSet<[u8; 16]>, seen: &HashMap<[u8; 16], Vec<JoinedTrace>>) -> Result<String, String> {
    let whole = |parts: &&Vec<JoinedTrace>| matches!(parts.as_slice(), [one] if one.span_count as usize == play::SPANS);
    let whole: Vec<&JoinedTrace> =
        played.iter().filter_map(|id| seen.get(id)).filter(whole).flatten().collect();
    if whole.len() < played.len() {
        return Err(format!("{} of {} traces left whole", whole.len(), played.len()));
    }
    let learned = whole.iter().filter(|trace| trace.reason == "complete").count();
    Ok(match whole.as_slice() {
        [one] => format!(
            "three services sent {} spans in {} requests, in random order; they left as one trace, {}\n\
             only shop-gateway says its environment; orders and agent-worker were given it from the trace's root\n",
            one.span_count,
            one.requests,
            because(&one.reason),
        ),
        all => format!(
            "{} traces over three services came in pieces, in random order; each left whole\n\
             {learned} left as soon as they were complete: after 128 of a kind, no fixed wait is needed\n",
            all.len(),
        ),
    })
}

fn because(reason: &str) -> String {
    match reason {
        "complete" => "as soon as it was complete".to_owned(),
        "idle" => {
            let wait = IDLE.as_secs();
            format!("after {wait} s of silence, its shape being new (try --count 300)")
        }
        other => format!("by `{other}`"),
    }
}

/// Ends with an error what takes longer than anything on one machine should.
async fn answered<T>(call: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| Err(format!("no answer within {} s", ANSWERED_WITHIN.as_secs()));
    tokio::time::timeout(ANSWERED_WITHIN, call).await.unwrap_or_else(late)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
