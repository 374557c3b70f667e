//! OpenTelemetry's semantic conventions: GenAI, current and deprecated, and the general ones beside it.
//!
//! Content stood in span events, then in attributes, and now stands in one event or in log records; the
//! order is the server's, oldest forms not last. Logs are joined to their spans elsewhere.

use super::Convention::GenAi;
use super::On::{Event, Family, Resource, Span, SpanOrResource};
use super::Property::{self, *};
use super::Shape::{self, *};
use super::{On, Place, UNREAD};

const fn at(property: Property, rank: u8, on: On, key: &'static str, shape: Shape) -> Place {
    Place::new(GenAi, property, rank, on, key, shape)
}

pub(super) const PLACES: &[Place] = &[
    at(Type, 2, Span, "gen_ai.operation.name", Word),
    at(Type, 6, Span, "gen_ai.tool.name", Anything),
    at(Type, 7, Span, "gen_ai.tool.call.id", Anything),
    at(Name, 0, Span, "gen_ai.tool.name", Text),
    at(StatusMessage, UNREAD, Span, "error.type", Text),
    at(Model, 1, Span, "gen_ai.response.model", Text),
    at(Model, 3, Span, "gen_ai.request.model", Text),
    at(ModelParameters, 3, Family, "gen_ai.request.", Anything),
    at(CompletionStart, UNREAD, Span, "gen_ai.response.time_to_first_chunk", Number),
    at(Input, 10, Event, "gen_ai.client.inference.operation.details", Anything),
    at(Output, 10, Event, "gen_ai.client.inference.operation.details", Anything),
    at(Input, 11, Event, "gen_ai.system.message", Anything),
    at(Input, 11, Event, "gen_ai.user.message", Anything),
    at(Input, 11, Event, "gen_ai.assistant.message", Anything),
    at(Input, 11, Event, "gen_ai.tool.message", Anything),
    at(Output, 11, Event, "gen_ai.choice", Anything),
    at(Input, 12, Event, "gen_ai.content.prompt", Anything),
    at(Output, 12, Event, "gen_ai.content.completion", Anything),
    at(Input, 40, Span, "gen_ai.prompt", Anything),
    at(Output, 40, Span, "gen_ai.completion", Anything),
    at(Input, 50, Span, "gen_ai.input.messages", Anything),
    at(Output, 50, Span, "gen_ai.output.messages", Anything),
    at(Input, 51, Span, "gen_ai.system_instructions", Anything),
    at(Input, 52, Span, "gen_ai.tool.call.arguments", Anything),
    at(Output, 52, Span, "gen_ai.tool.call.result", Anything),
    at(Usage, 10, Family, "gen_ai.usage.", Count),
    at(Cost, 1, Span, "gen_ai.usage.cost", Number),
    at(Session, 2, Span, "gen_ai.conversation.id", Text),
    at(User, UNREAD, Span, "enduser.id", Text),
    at(Version, 1, Resource, "service.version", Text),
    at(Environment, 1, SpanOrResource, "deployment.environment.name", Text),
    at(Environment, 2, SpanOrResource, "deployment.environment", Text),
];
