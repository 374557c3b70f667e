//! What requests hold, by a name that a table can have.

use spandrel::wire::Signal;

use super::template::Template;
use super::{records, spans};

/// How items are spread over requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// So many spans of one service, each 10 a trace.
    Flat(u16),
    /// The same, but of values that vary as in a service at work, in many requests before one comes again.
    Varied(u16),
    /// Traces of 12 spans over 3 services, 4 spans each; a request of 100 spans from each service in turn, with all
    /// that it did for 25 traces.
    Services,
    /// The same spans, but each of a trace in another request.
    Scattered,
    /// Spans of calls to models, 4 KB in and 4 KB out: two traces of 10, whose roots alone name user and session.
    Llm,
    /// 100 spans of 100 traces, whose parents never come.
    Orphans,
    /// 20 metrics of 5 data points.
    Metrics,
    /// 100 log records.
    Logs,
}

impl Content {
    pub fn signal(self) -> Signal {
        match self {
            Content::Metrics => Signal::Metrics,
            Content::Logs => Signal::Logs,
            Content::Flat(_)
            | Content::Varied(_)
            | Content::Services
            | Content::Scattered
            | Content::Llm
            | Content::Orphans => Signal::Traces,
        }
    }

    /// The requests of one round.
    pub fn templates(self) -> Vec<Template> {
        match self {
            Content::Flat(spans) => vec![spans::flat(spans)],
            Content::Varied(spans) => spans::varied(spans),
            Content::Services => spans::services(),
            Content::Scattered => spans::scattered(),
            Content::Llm => vec![spans::llm()],
            Content::Orphans => vec![spans::orphans()],
            Content::Metrics => vec![records::metrics()],
            Content::Logs => vec![records::logs()],
        }
    }

    /// Spans of each trace; 0 where traces are never whole, or there are none.
    pub fn trace_spans(self) -> usize {
        match self {
            Content::Flat(_) | Content::Varied(_) | Content::Llm => 10,
            Content::Services | Content::Scattered => spans::TRACE_SPANS,
            Content::Orphans | Content::Metrics | Content::Logs => 0,
        }
    }
}
