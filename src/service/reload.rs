//! Keeps what is in force in step with its files: looked at when they change and on SIGHUP, off the lanes.
//!
//! What is wrong with a new configuration is said and counted, and changes nothing. What can not change under a
//! running process is named, here and at `/readyz`, until it is written as it runs; so is a source that can not be
//! used, whose last good value stays.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Look, Plan, SourceState, Standing};
use crate::follow::{Followed, Looked, Reading};
use crate::model::{Clock, Interest, Noting, Time, background};
use crate::pipeline::live::Live;
use crate::telemetry::Meters;

/// What lanes take from, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Reloads {
    pub live: Arc<Followed<Live>>,
    /// What of requests is noted for them.
    pub noting: Arc<Noting>,
    said: Arc<Mutex<Said>>,
    meters: Arc<Meters>,
    clock: Clock,
}

/// For whoever asks how the configuration stands.
#[derive(Debug, Default)]
struct Said {
    /// Why what is written is not in force.
    refused: Option<String>,
    at_next_start: Vec<String>,
    /// By name: what is wrong with a source, and since when.
    sources: BTreeMap<String, Option<(SourceState, Time)>>,
}

impl Reloads {
    /// What the plan says, for ever where nothing reads it again.
    pub fn of(plan: &Plan, standing: Option<Standing>, meters: &Arc<Meters>, clock: Clock) -> Self {
        let (live, noting) = (live(plan), Arc::new(Noting::default()));
        noting.note(live.interest());
        let said = Said { refused: plan.refused.clone(), ..Said::default() };
        let said = Arc::new(Mutex::new(said));
        let Some(standing) = standing else {
            return Self {
                live: Arc::new(Followed::fixed(live)),
                noting,
                said,
                meters: meters.clone(),
                clock,
            };
        };
        let before = Mutex::new(live.interest());
        let teller =
            Teller { noting: noting.clone(), before, said: said.clone(), meters: meters.clone(), clock };
        teller.sources(standing.sources());
        let (files, standing) = (standing.files(), Mutex::new(standing));
        let read = move || {
            let look = standing.lock().unwrap_or_else(PoisonError::into_inner).look();
            teller.read(look)
        };
        let live = Followed::from(live, files, Box::new(read));
        Self { live: Arc::new(live), noting, said, meters: meters.clone(), clock }
    }

    /// Follows the files until `stop`.
    pub fn start(&self, stop: CancellationToken) -> JoinHandle<()> {
        let this = self.clone();
        this.taken();
        background(self.live.clone().follow(stop, move |looked| {
            let outcome = match looked {
                Looked::Fresh => {
                    this.taken();
                    tracing::info!(
                        "the configuration changed and is in force{}",
                        locked(&this.said).waiting()
                    );
                    "ok"
                }
                Looked::Same => {
                    this.taken();
                    tracing::info!("the configuration is the one in force{}", locked(&this.said).waiting());
                    "unchanged"
                }
                Looked::Unusable(wrong) => {
                    tracing::error!(
                        "the configuration changed but is refused; the last stays in force: {wrong}"
                    );
                    "refused"
                }
            };
            this.meters.config_reloads.with_label_values(&[outcome]).inc();
        }))
    }

    /// The configuration was found good now.
    fn taken(&self) {
        let now = self.clock.unix_nanos() / 1_000_000_000;
        self.meters.config_loaded.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    /// Brings the ages of sources up to now, and whether what is written is in force.
    pub fn refresh(&self) {
        let now = self.clock.now();
        self.meters.source_age.reset();
        let said = locked(&self.said);
        self.meters.config_refused.set(i64::from(said.refused.is_some()));
        for (name, wrong) in &said.sources {
            let age = wrong.as_ref().map_or(0, |(_, since)| now.since(*since).as_secs());
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            self.meters.source_age.with_label_values(&[name]).set(age);
        }
    }

    /// What is written and not in force, to stand behind something else; empty when all is.
    pub fn detail(&self) -> String {
        let said = locked(&self.said);
        let mut detail = said.waiting();
        // Writing to a String does not fail.
        for (source, _) in said.sources.values().flatten() {
            let _ = write!(detail, "; {}", shown(source));
        }
        if let Some(refused) = &said.refused {
            let first = refused.lines().next().unwrap_or_default();
            let _ = write!(detail, "; the configuration as it is written is refused: {first}");
        }
        detail
    }
}

/// What of a plan lanes take.
fn live(plan: &Plan) -> Live {
    let written = (plan.labels.clone(), plan.stamps, plan.particulars.clone());
    Live::new(written, plan.rules.clone(), plan.join.as_ref())
}

impl Said {
    fn waiting(&self) -> String {
        match self.at_next_start.as_slice() {
            [] => String::new(),
            paths => format!("; takes effect at the next start: `{}`", paths.join("`, `")),
        }
    }
}

/// Notes what a look found.
struct Teller {
    noting: Arc<Noting>,
    /// What the last rules ask of requests: those that are here were noted for them.
    before: Mutex<Interest>,
    said: Arc<Mutex<Said>>,
    meters: Arc<Meters>,
    clock: Clock,
}

impl Teller {
    fn read(&self, look: Look) -> Reading<Live> {
        self.sources(look.sources);
        let mut said = locked(&self.said);
        let value = look.outcome.map(|change| {
            change.map(|change| {
                change.plan.notes.iter().for_each(|note| tracing::warn!("{note}"));
                said.at_next_start = change.at_next_start;
                let live = live(&change.plan);
                self.note(live.interest());
                live
            })
        });
        said.refused = value.as_ref().err().cloned();
        Reading { files: look.files, value }
    }

    /// Lanes still go by the last rules when the next ones are ready, so what either asks is noted.
    fn note(&self, interest: Interest) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        self.noting.note(interest.and(&before));
        *before = interest;
    }

    /// Says what is new of sources, once.
    fn sources(&self, states: Vec<SourceState>) {
        let mut said = locked(&self.said);
        let before = std::mem::take(&mut said.sources);
        for state in states {
            let known = before.get(&state.name).cloned().flatten();
            let name = state.name.clone();
            let now = match (&state.wrong, known) {
                (None, None) => None,
                (None, Some(_)) => {
                    tracing::info!("`{name}` can be used again");
                    None
                }
                (Some(_), Some((was, since))) if was == state => Some((state, since)),
                (Some(_), known) => {
                    tracing::warn!("{}", shown(&state));
                    self.meters.source_errors.with_label_values(&[&name]).inc();
                    Some((state, known.map_or_else(|| self.clock.now(), |(_, since)| since)))
                }
            };
            said.sources.insert(name, now);
        }
    }
}

fn shown(source: &SourceState) -> String {
    let wrong = source.wrong.as_deref().unwrap_or_default();
    let semicolon = if source.meanwhile.is_empty() { "" } else { "; " };
    format!("`{}` {wrong}{semicolon}{}", source.name, source.meanwhile)
}

fn locked(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}
