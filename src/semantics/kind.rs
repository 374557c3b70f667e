//! What sort of observation a span is: the ten types that Langfuse's and InteractiveAI's views know.
//!
//! Each convention's word is translated; an unknown word is passed over for the next convention's, and a
//! span that names a model is a generation. Words the server leaves untranslated come after all that.

use std::fmt;

use super::convention::{Property, UNREAD};
use super::observation::{Found, Observation};
use super::words;

/// An observation's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    #[default]
    Span,
    Generation,
    Event,
    Agent,
    Tool,
    Chain,
    Retriever,
    Embedding,
    Evaluator,
    Guardrail,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Span,
        Self::Generation,
        Self::Event,
        Self::Agent,
        Self::Tool,
        Self::Chain,
        Self::Retriever,
        Self::Embedding,
        Self::Evaluator,
        Self::Guardrail,
    ];

    /// Lower case, as SDKs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Generation => "generation",
            Self::Event => "event",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Chain => "chain",
            Self::Retriever => "retriever",
            Self::Embedding => "embedding",
            Self::Evaluator => "evaluator",
            Self::Guardrail => "guardrail",
        }
    }

    /// Whether it is a call of a model, whose tokens are its own and not its children's.
    pub const fn is_model_call(self) -> bool {
        matches!(self, Self::Generation | Self::Embedding)
    }

    pub(super) fn of(observation: &Observation<'_>) -> Self {
        let said = observation.best(Property::Type, |found| of_found(found, observation));
        let by_model = || {
            let mut models = observation.found(Property::Model).filter(|found| found.place.rank < UNREAD);
            models.any(|found| found.value().and_then(words::text).is_some()).then_some(Self::Generation)
        };
        let late = || observation.best(Property::Type, |found| untranslated(found.key, word(found)?));
        said.or_else(by_model).or_else(late).unwrap_or_default()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether some convention defines `word` under this key.
pub fn is_known(key: &str, word: &str) -> bool {
    translated(key, word).or_else(|| untranslated(key, word)).is_some()
        // Spans like any other, by their own account.
        || matches!((key, word), ("openinference.span.kind", "UNKNOWN") | ("gen_ai.operation.name", "agent_step") | ("traceloop.span.kind", "task" | "unknown"))
}

fn word<'a>(found: &Found<'a>) -> Option<&'a str> {
    found.value()?.text().filter(|word| !word.is_empty())
}

fn of_found(found: &Found<'_>, observation: &Observation<'_>) -> Option<Kind> {
    match found.key {
        "gen_ai.tool.name" | "gen_ai.tool.call.id" => word(found).map(|_| Kind::Tool),
        "operation.name" | "ai.operationId" => {
            let names_model = observation.found(Property::Model).any(|found| found.value().is_some());
            of_ai_sdk(word(found)?, names_model)
        }
        key => translated(key, word(found)?),
    }
}

/// The server's translations.
fn translated(key: &str, word: &str) -> Option<Kind> {
    match key {
        "langfuse.observation.type" => Kind::ALL.into_iter().find(|kind| kind.name() == word),
        "openinference.span.kind" => Some(match word {
            "LLM" => Kind::Generation,
            "CHAIN" => Kind::Chain,
            "RETRIEVER" => Kind::Retriever,
            "EMBEDDING" => Kind::Embedding,
            "AGENT" => Kind::Agent,
            "TOOL" => Kind::Tool,
            "GUARDRAIL" => Kind::Guardrail,
            "EVALUATOR" => Kind::Evaluator,
            _ => return None,
        }),
        "gen_ai.operation.name" => Some(match word {
            "chat" | "completion" | "text_completion" | "generate_content" | "generate" => Kind::Generation,
            "embeddings" => Kind::Embedding,
            "invoke_agent" | "create_agent" => Kind::Agent,
            "execute_tool" => Kind::Tool,
            _ => return None,
        }),
        "genkit:metadata:subtype" => Some(match word {
            "model" => Kind::Generation,
            "embedder" => Kind::Embedding,
            "tool" => Kind::Tool,
            "retriever" => Kind::Retriever,
            "evaluator" => Kind::Evaluator,
            "flow" => Kind::Chain,
            _ => return None,
        }),
        _ => None,
    }
}

/// What a convention defines and the server does not translate.
fn untranslated(key: &str, word: &str) -> Option<Kind> {
    match (key, word) {
        ("openinference.span.kind", "RERANKER") | ("gen_ai.operation.name", "retrieval") => {
            Some(Kind::Retriever)
        }
        ("openinference.span.kind", "PROMPT") | ("gen_ai.operation.name", "invoke_workflow") => {
            Some(Kind::Chain)
        }
        ("traceloop.span.kind", "workflow") => Some(Kind::Chain),
        ("traceloop.span.kind", "agent") => Some(Kind::Agent),
        ("traceloop.span.kind", "tool") => Some(Kind::Tool),
        _ => None,
    }
}

/// Vercel's AI SDK appends a function's id to `operation.name`; a call of a model must name the model.
fn of_ai_sdk(operation: &str, names_model: bool) -> Option<Kind> {
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| operation.starts_with(beginning));
    if starts(&["ai.toolCall"]) {
        Some(Kind::Tool)
    } else if names_model && starts(&["ai.embed.doEmbed", "ai.embedMany.doEmbed"]) {
        Some(Kind::Embedding)
    } else if names_model
        && starts(&[
            "ai.generateText.doGenerate",
            "ai.streamText.doStream",
            "ai.generateObject.doGenerate",
            "ai.streamObject.doStream",
        ])
    {
        Some(Kind::Generation)
    } else {
        None
    }
}
