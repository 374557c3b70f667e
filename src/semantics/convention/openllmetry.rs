//! OpenLLMetry (Traceloop). What it has beyond GenAI's keys the server reads little of, so most of it
//! stands last: better than nothing where nobody else speaks.

use super::Convention::OpenLlmetry;
use super::On::{Family, Span};
use super::Property::{self, *};
use super::Shape::{self, *};
use super::{On, Place, UNREAD};

const fn at(property: Property, rank: u8, on: On, key: &'static str, shape: Shape) -> Place {
    Place::new(OpenLlmetry, property, rank, on, key, shape)
}

pub(super) const PLACES: &[Place] = &[
    at(Type, UNREAD + 2, Span, "traceloop.span.kind", Word),
    at(Input, 30, Span, "traceloop.entity.input", Anything),
    at(Output, 30, Span, "traceloop.entity.output", Anything),
    at(Input, 41, Family, "gen_ai.prompt.", Anything),
    at(Output, 41, Family, "gen_ai.completion.", Anything),
    at(Usage, 20, Span, "llm.usage.total_tokens", Count),
    at(TraceName, UNREAD, Span, "traceloop.workflow.name", Text),
    at(Session, UNREAD, Span, "traceloop.association.properties.session_id", Text),
    at(User, UNREAD + 1, Span, "traceloop.association.properties.user_id", Text),
    at(User, UNREAD + 2, Span, "gen_ai.user", Text),
    at(Version, UNREAD, Span, "traceloop.entity.version", Text),
    at(TraceMetadata, UNREAD, Family, "traceloop.association.properties.", Anything),
];
