//! What Langfuse's and InteractiveAI's SDKs write. They share the wire, so one file serves both.
//!
//! Values that are not strings are JSON in a string; SDK 5 writes metadata so even when it is text.

use super::Convention::Langfuse;
use super::On::{Family, Span, SpanOrResource};
use super::Property::{self, *};
use super::Shape::{self, *};
use super::{On, Place};

const fn at(property: Property, rank: u8, on: On, key: &'static str, shape: Shape) -> Place {
    Place::new(Langfuse, property, rank, on, key, shape)
}

pub(super) const PLACES: &[Place] = &[
    at(Type, 0, Span, "langfuse.observation.type", Word),
    at(Level, 0, Span, "langfuse.observation.level", Word),
    at(StatusMessage, 0, Span, "langfuse.observation.status_message", Text),
    at(Model, 0, Span, "langfuse.observation.model.name", Text),
    at(ModelParameters, 0, Span, "langfuse.observation.model.parameters", Object),
    at(CompletionStart, 0, Span, "langfuse.observation.completion_start_time", Moment),
    at(PromptName, 0, Span, "langfuse.observation.prompt.name", Text),
    at(PromptVersion, 0, Span, "langfuse.observation.prompt.version", Count),
    at(Input, 0, Span, "langfuse.observation.input", Anything),
    at(Output, 0, Span, "langfuse.observation.output", Anything),
    at(Usage, 0, Span, "langfuse.observation.usage_details", Object),
    at(Cost, 0, Span, "langfuse.observation.cost_details", Object),
    at(Metadata, 0, Family, "langfuse.observation.metadata.", Anything),
    at(Metadata, 1, Span, "langfuse.observation.metadata", Anything),
    at(TraceName, 0, Span, "langfuse.trace.name", Text),
    at(TraceInput, 0, Span, "langfuse.trace.input", Anything),
    at(TraceOutput, 0, Span, "langfuse.trace.output", Anything),
    at(TraceMetadata, 0, Family, "langfuse.trace.metadata.", Anything),
    at(TraceMetadata, 1, Family, "langfuse.metadata.", Anything),
    at(TraceMetadata, 2, Span, "langfuse.trace.metadata", Anything),
    at(User, 0, Span, "langfuse.user.id", Text),
    at(User, 1, Span, "user.id", Text),
    at(User, 2, Span, "langfuse.observation.metadata.langfuse_user_id", Text),
    at(User, 3, Span, "langfuse.trace.metadata.langfuse_user_id", Text),
    at(Session, 0, Span, "langfuse.session.id", Text),
    at(Session, 1, Span, "session.id", Text),
    at(Session, 3, Span, "langfuse.observation.metadata.langfuse_session_id", Text),
    at(Session, 4, Span, "langfuse.trace.metadata.langfuse_session_id", Text),
    at(Tags, 0, Span, "langfuse.trace.tags", List),
    at(Tags, 1, Span, "langfuse.tags", List),
    at(Tags, 2, Span, "langfuse.observation.metadata.langfuse_tags", List),
    at(Tags, 3, Span, "langfuse.trace.metadata.langfuse_tags", List),
    at(Version, 0, Span, "langfuse.version", Text),
    at(Environment, 0, SpanOrResource, "langfuse.environment", Text),
    at(Release, 0, SpanOrResource, "langfuse.release", Text),
    at(Public, 0, Span, "langfuse.trace.public", Truth),
    at(Root, 0, Span, "langfuse.internal.as_root", Truth),
    at(Root, 1, Span, "langfuse.internal.is_app_root", Truth),
];
