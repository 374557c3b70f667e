//! Makes scores of the evaluations that pass a lane, for whoever posts them.
//!
//! Nothing is taken out of the telemetry: an evaluation goes on with its span, and as a log record where those are
//! taken. The environment is the one its trace is labelled with, so that both are found under the same.

use std::sync::Arc;

use crate::join::{Leaving, Stray};
use crate::model::Origin;
use crate::queue::scores::Scores;
use crate::rules::labels;
use crate::semantics::Dialect;
use crate::semantics::events::SPAN_EVENTS;
use crate::semantics::score::{Score, is_evaluation};
use crate::wire::attr::messages;
use crate::wire::{SpanId, TraceId};

/// `Span.span_id`.
const SPAN_ID: u32 = 2;

/// What a lane makes scores with.
#[derive(Clone, Debug)]
pub struct Scoring {
    dialect: Dialect,
    /// Of what does not say its own; of everything, where that is enforced.
    environment: Option<Arc<str>>,
    enforce: bool,
    scores: Scores,
}

impl Scoring {
    pub fn new(dialect: Dialect, labels: &labels::Settings, scores: Scores) -> Self {
        let environment = labels.own_environment().map(Arc::from);
        Self { dialect, environment, enforce: labels.enforce, scores }
    }

    /// The same with other labels.
    pub fn relabel(&mut self, labels: &labels::Settings) {
        *self = Self::new(self.dialect, labels, self.scores.clone());
    }

    /// Scores of the evaluations among the events of a trace that leaves.
    pub fn score(&self, trace: &Leaving) {
        let environment = trace.context.environment.as_deref();
        for span in trace.blocks.iter().flat_map(|block| trace.spans(block)) {
            let joined = span.events.iter().flat_map(|field| messages(field, SPAN_EVENTS));
            for event in messages(&span, SPAN_EVENTS).chain(joined).filter(|event| is_evaluation(event)) {
                let id = messages(&span, SPAN_ID).last().and_then(|id| id.try_into().ok());
                let of = (trace.trace, id.map(SpanId).unwrap_or_default());
                self.offer(of, event, &trace.origin, environment);
            }
        }
    }

    /// The score of an evaluation whose span is not here.
    pub fn score_stray(&self, stray: &Stray) {
        let of = (stray.trace, stray.span);
        self.offer(of, stray.event(), &stray.origin, stray.environment.as_deref());
    }

    fn offer(
        &self,
        (trace, span): (TraceId, SpanId),
        event: &[u8],
        origin: &Arc<Origin>,
        joined: Option<&str>,
    ) {
        let score = match Score::of(trace, span, event) {
            Ok(score) => score,
            Err(lacks) => {
                tracing::debug!(%trace, %span, "an evaluation is no score: {lacks}");
                return self.scores.count(lacks.name());
            }
        };
        let own = self.environment.as_deref();
        let environment = if self.enforce { own.or(joined) } else { joined.or(own) };
        let body = match self.dialect {
            Dialect::InteractiveAi => score.interactiveai(environment),
            Dialect::Langfuse | Dialect::Otel => score.langfuse(environment),
        };
        self.scores.offer(origin, body);
    }
}
