//! What single frameworks write under names of their own: Vercel's AI SDK, Genkit, Logfire, Vertex agents,
//! LiveKit, MLflow, Pydantic AI. Their keys are theirs alone, so no scope needs to be asked for.

use super::Convention::Framework;
use super::On::{Family, Span};
use super::Property::{self, *};
use super::Shape::{self, *};
use super::{On, Place};

const fn at(property: Property, rank: u8, on: On, key: &'static str, shape: Shape) -> Place {
    Place::new(Framework, property, rank, on, key, shape)
}

pub(super) const PLACES: &[Place] = &[
    at(Type, 3, Span, "genkit:metadata:subtype", Anything),
    at(Type, 4, Span, "operation.name", Anything),
    at(Type, 5, Span, "ai.operationId", Anything),
    at(Name, 1, Span, "genkit:name", Text),
    at(Name, 2, Span, "logfire.msg", Text),
    at(Name, 3, Span, "ai.toolCall.name", Text),
    at(Name, 4, Span, "ai.operationId", Text),
    at(Model, 2, Span, "ai.model.id", Text),
    at(Model, 6, Span, "model", Text),
    at(ModelParameters, 2, Span, "model_config", Object),
    at(CompletionStart, 1, Span, "ai.response.msToFirstChunk", Number),
    at(CompletionStart, 2, Span, "ai.stream.msToFirstChunk", Number),
    at(Input, 1, Span, "genkit:input", Anything),
    at(Output, 1, Span, "genkit:output", Anything),
    at(Input, 2, Span, "ai.prompt.messages", Anything),
    at(Input, 3, Span, "ai.prompt", Anything),
    at(Input, 4, Span, "ai.toolCall.args", Anything),
    at(Output, 2, Span, "ai.response.text", Anything),
    at(Output, 3, Span, "ai.result.text", Anything),
    at(Output, 4, Span, "ai.toolCall.result", Anything),
    at(Output, 5, Span, "ai.response.object", Anything),
    at(Output, 6, Span, "ai.result.object", Anything),
    at(Output, 7, Span, "ai.response.toolCalls", Anything),
    at(Output, 8, Span, "ai.result.toolCalls", Anything),
    at(Input, 20, Span, "gcp.vertex.agent.llm_request", Anything),
    at(Output, 20, Span, "gcp.vertex.agent.llm_response", Anything),
    at(Input, 21, Span, "gcp.vertex.agent.tool_call_args", Anything),
    at(Output, 21, Span, "gcp.vertex.agent.tool_response", Anything),
    at(Input, 23, Span, "lk.input_text", Anything),
    at(Output, 23, Span, "lk.response.text", Anything),
    at(Input, 24, Span, "mlflow.spanInputs", Anything),
    at(Output, 24, Span, "mlflow.spanOutputs", Anything),
    at(Input, 32, Span, "input", Anything),
    at(Output, 32, Span, "output", Anything),
    at(Input, 33, Span, "tool_arguments", Anything),
    at(Output, 33, Span, "tool_response", Anything),
    at(Output, 34, Span, "final_result", Anything),
    at(Usage, 21, Span, "ai.usage.tokens", Count),
    at(Usage, 22, Span, "ai.usage.cachedInputTokens", Count),
    at(Usage, 23, Span, "ai.usage.reasoningTokens", Count),
    at(User, 4, Span, "ai.telemetry.metadata.userId", Text),
    at(Session, 5, Span, "ai.telemetry.metadata.sessionId", Text),
    at(Tags, 4, Span, "ai.telemetry.metadata.tags", List),
    at(Metadata, 2, Family, "ai.telemetry.metadata.", Anything),
];
