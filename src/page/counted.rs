//! What joined traces add up to, as metrics: duration, failed spans, tokens and cost.
//!
//! One more looker, on a thread of its own: lanes do no more for it than for anybody who looks, and what
//! comes too fast is skipped and counted as for any. Label sets are bounded, because services, environments
//! and models are whatever callers say. The surprise: late spans count, but not as a trace of their own.

use std::collections::HashSet;
use std::sync::Arc;

use super::meaning::clip;
use crate::model::Reason;
use crate::semantics::around::UNKNOWN_SERVICE;
use crate::semantics::level::Level;
use crate::semantics::rollup::{Row, Trace};
use crate::telemetry::Meters;
use crate::watch::{JoinedTrace, Kind, Looking, TooMany, Watchers};

/// Sets of service, environment and model that are told apart; all others are `other`.
pub const LABEL_SETS_MAX: usize = 1_000;
const OTHER: &str = "other";

/// Begins to count what leaves the join from now on.
///
/// # Errors
/// [`TooMany`] as any looker.
pub fn start(watchers: &Arc<Watchers>, meters: Arc<Meters>) -> Result<(), TooMany> {
    let looking = watchers.look(Kind::Rollups)?;
    let counting = std::thread::Builder::new().name("rollups".to_owned());
    if let Err(cause) = counting.spawn(move || count_all(looking, Counter::new(meters))) {
        tracing::warn!(%cause, "joined traces are not counted: no thread to be had");
    }
    Ok(())
}

fn count_all(mut looking: Looking, mut counter: Counter) {
    while let Some(trace) = looking.next_blocking() {
        counter.count(&trace);
    }
}

/// Counts traces, and knows the label sets there are.
struct Counter {
    meters: Arc<Meters>,
    known: HashSet<[String; 3]>,
}

impl Counter {
    fn new(meters: Arc<Meters>) -> Self {
        Self { meters, known: HashSet::new() }
    }

    fn count(&mut self, joined: &JoinedTrace) {
        let trace = Trace::read(&joined.body, None);
        let root = trace.root.and_then(|root| trace.observations.get(root));
        if let Some(root) = root.filter(|_| joined.reason != Reason::Late) {
            let [service, environment, _] = self.labels(root, &trace, false);
            let labels = [service.as_str(), environment.as_str()];
            self.meters.trace_seconds.with_label_values(&labels).observe(trace.latency.as_secs_f64());
        }
        let says_something =
            |row: &&Row<'_>| row.level == Level::Error || !row.counted.is_empty() || row.cost.is_some();
        for row in trace.observations.iter().filter(says_something) {
            self.count_row(row, &trace);
        }
    }

    fn count_row(&mut self, row: &Row<'_>, trace: &Trace<'_>) {
        if row.level == Level::Error {
            let [service, environment, _] = self.labels(row, trace, false);
            self.meters.trace_errors.with_label_values(&[&service, &environment]).inc();
        }
        let (counts, costs) = (row.usage_left_out.is_none(), row.cost_left_out.is_none());
        let tokens = Some(row.counted.tokens()).filter(|_| counts && !row.counted.is_empty());
        let cost = row.cost.as_ref().filter(|_| costs);
        if tokens.is_none() && cost.is_none() {
            return;
        }
        let [service, environment, model] = self.labels(row, trace, true);
        let labels = [service.as_str(), environment.as_str(), model.as_str()];
        if let Some(tokens) = tokens {
            for (side, tokens) in [("input", tokens.input), ("output", tokens.output)] {
                let labels = [labels[0], labels[1], labels[2], side];
                self.meters.trace_tokens.with_label_values(&labels).inc_by(tokens);
            }
        }
        if let Some(cost) = cost {
            // A counter never goes down, whatever somebody says it cost.
            self.meters.trace_cost.with_label_values(&labels).inc_by(cost.total.to_f64().max(0.0));
        }
    }

    /// Of a span: its service, its environment or its trace's, and its model where that is asked for.
    fn labels(&mut self, row: &Row<'_>, trace: &Trace<'_>, with_model: bool) -> [String; 3] {
        let observation = &row.observation;
        let model = if with_model { observation.model() } else { None };
        let labels = [
            clip(observation.around.service.unwrap_or(UNKNOWN_SERVICE)),
            clip(observation.environment().or(trace.environment).unwrap_or_default()),
            clip(&model.unwrap_or_default()),
        ];
        if self.known.contains(&labels) {
            return labels;
        }
        if self.known.len() < LABEL_SETS_MAX {
            self.known.insert(labels.clone());
            return labels;
        }
        self.meters.trace_other.with_label_values::<&str>(&[]).inc();
        [OTHER; 3].map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::{called, captured};

    #[test]
    fn a_trace_is_counted_by_service_environment_and_model() {
        let meters = Arc::new(Meters::new());
        let mut counter = Counter::new(meters.clone());
        counter.count(&captured());
        let seconds = meters.trace_seconds.with_label_values(&["py-gateway", "production"]);
        assert_eq!(seconds.get_sample_count(), 1);
        assert!((seconds.get_sample_sum() - 0.181).abs() < 0.001);

        counter.count(&called("gpt-4o", 100, 20, "0.5"));
        counter.count(&JoinedTrace { reason: Reason::Late, ..called("gpt-4o", 1, 2, "0.25") });
        let tokens = |side| meters.trace_tokens.with_label_values(&["shop", "test", "gpt-4o", side]).get();
        assert_eq!((tokens("input"), tokens("output")), (101, 22));
        let cost = meters.trace_cost.with_label_values(&["shop", "test", "gpt-4o"]).get();
        assert!((cost - 0.75).abs() < 1e-9, "{cost}");
        let seconds = meters.trace_seconds.with_label_values(&["shop", "test"]);
        assert_eq!(seconds.get_sample_count(), 1, "late spans are no trace of their own");
    }

    #[test]
    fn label_sets_are_bounded_and_the_rest_is_counted_as_other() {
        let meters = Arc::new(Meters::new());
        let mut counter = Counter::new(meters.clone());
        for n in 0..LABEL_SETS_MAX + 10 {
            counter.count(&called(&format!("model-{n}"), 1, 0, "1"));
        }
        // One set is the root's own, without a model.
        assert_eq!(meters.trace_other.with_label_values::<&str>(&[]).get(), 11);
        assert_eq!(meters.trace_tokens.with_label_values(&[OTHER, OTHER, OTHER, "input"]).get(), 11);
        assert_eq!(counter.known.len(), LABEL_SETS_MAX);
    }
}
