//! OpenInference, as Arize Phoenix and its instrumentations write it.
//!
//! Messages stand flattened (`llm.input_messages.0.message.role`, …), so they are a family and are given
//! out in the order they came. Of costs the server reads the total alone.

use super::Convention::OpenInference;
use super::On::{Family, Span};
use super::Property::{self, *};
use super::Shape::{self, *};
use super::{On, Place, UNREAD};

const fn at(property: Property, rank: u8, on: On, key: &'static str, shape: Shape) -> Place {
    Place::new(OpenInference, property, rank, on, key, shape)
}

pub(super) const PLACES: &[Place] = &[
    at(Type, 1, Span, "openinference.span.kind", Word),
    at(Model, 4, Span, "llm.response.model", Text),
    at(Model, 5, Span, "llm.model_name", Text),
    at(Model, UNREAD, Span, "llm.response.model_name", Text),
    at(Model, UNREAD + 1, Span, "llm.request.model_name", Text),
    at(Model, UNREAD + 2, Span, "embedding.model_name", Text),
    at(Model, UNREAD + 3, Span, "reranker.model_name", Text),
    at(ModelParameters, 1, Span, "llm.invocation_parameters", Object),
    at(Input, 31, Span, "input.value", Anything),
    at(Output, 31, Span, "output.value", Anything),
    at(Input, 42, Family, "llm.input_messages.", Anything),
    at(Output, 42, Family, "llm.output_messages.", Anything),
    at(Usage, 11, Family, "llm.token_count.", Count),
    at(Cost, 2, Span, "llm.cost.total", Number),
    at(Cost, UNREAD, Span, "llm.cost.prompt", Number),
    at(Cost, UNREAD + 1, Span, "llm.cost.completion", Number),
    at(Tags, 5, Span, "tag.tags", List),
    at(Metadata, UNREAD, Span, "metadata", Anything),
];
