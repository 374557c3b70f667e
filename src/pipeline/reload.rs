//! Keeps what is in force in step with its files: looked at when they change and on SIGHUP, off the lanes.
//!
//! What is wrong with a new configuration is said and counted, and changes nothing. What can not change under a
//! running process is named, here and at `/readyz`, until it is written as it runs.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::live::Live;
use crate::config::{Look, Plan, Standing};
use crate::follow::{Followed, Looked, Reading};
use crate::model::Clock;
use crate::telemetry::Meters;

/// What lanes take from, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Reloads {
    pub live: Arc<Followed<Live>>,
    said: Arc<Mutex<Said>>,
}

/// For whoever asks how the configuration stands.
#[derive(Debug, Default)]
struct Said {
    /// Why what is written is not in force.
    refused: Option<String>,
    at_next_start: Vec<String>,
}

impl Reloads {
    /// What the plan says, for ever where nothing reads it again.
    pub fn of(plan: &Plan, standing: Option<Standing>) -> Self {
        let (live, said) = (Live::of(plan), Arc::new(Mutex::new(Said::default())));
        let live = match standing {
            None => Followed::fixed(live),
            Some(standing) => {
                let (files, said) = (standing.files(), said.clone());
                let standing = Mutex::new(standing);
                let read = move || {
                    let Look { files, outcome } =
                        standing.lock().unwrap_or_else(PoisonError::into_inner).look();
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    let value = outcome.map(|change| {
                        change.map(|change| {
                            change.plan.notes.iter().for_each(|note| tracing::warn!("{note}"));
                            said.at_next_start = change.at_next_start;
                            Live::of(&change.plan)
                        })
                    });
                    said.refused = value.as_ref().err().cloned();
                    Reading { files, value }
                };
                Followed::from(live, files, Box::new(read))
            }
        };
        Self { live: Arc::new(live), said }
    }

    /// Follows the files until `stop`.
    pub fn start(&self, meters: &Arc<Meters>, clock: Clock, stop: CancellationToken) -> JoinHandle<()> {
        let (this, meters) = (self.clone(), meters.clone());
        let taken = move |meters: &Meters| meters.config_loaded.set(unix_seconds(clock));
        taken(&meters);
        tokio::spawn(self.live.clone().follow(stop, move |looked| {
            let outcome = match looked {
                Looked::Fresh => {
                    taken(&meters);
                    tracing::info!("the configuration changed and is in force{}", this.waiting());
                    "ok"
                }
                Looked::Same => {
                    taken(&meters);
                    tracing::info!("the configuration is the one in force{}", this.waiting());
                    "unchanged"
                }
                Looked::Unusable(wrong) => {
                    tracing::error!(
                        "the configuration changed but is refused; the last stays in force: {wrong}"
                    );
                    "refused"
                }
            };
            meters.config_reloads.with_label_values(&[outcome]).inc();
        }))
    }

    /// What is written and not in force, to stand behind something else; empty when all is.
    pub fn detail(&self) -> String {
        let mut detail = self.waiting();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refused) = &said.refused {
            let first = refused.lines().next().unwrap_or_default();
            // Writing to a String does not fail.
            let _ = write!(detail, "; the configuration as it is written is refused: {first}");
        }
        detail
    }

    fn waiting(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.at_next_start.as_slice() {
            [] => String::new(),
            paths => format!("; takes effect at the next start: `{}`", paths.join("`, `")),
        }
    }
}

fn unix_seconds(clock: Clock) -> i64 {
    i64::try_from(clock.unix_nanos() / 1_000_000_000).unwrap_or(i64::MAX)
}
