//! Rules that are known by a name.

use super::group::Group;

/// What may be written in the place of a rule.
pub const NAMES: [&str; 1] = ["llm_only"];

/// Drops every span that is not about a model: what the SDKs of Langfuse and InteractiveAI send by default is kept
/// (langfuse-python `span_filter.py`: their own spans, those with a `gen_ai.*` attribute, those of libraries known
/// to instrument models), and the same in the other conventions that are read here: `langfuse.*`, OpenInference,
/// OpenLLMetry.
const LLM_ONLY: &str = concat!(
    r#"drop() where not (IsMatch(scope.name, "^(?:langfuse-sdk|interactiveai-sdk|agent_framework|autogen-core|ai"#,
    r"|haystack|langsmith|litellm|openinference|pydantic-ai|strands-agents|vllm|opentelemetry[.]instrumentation[.](?:",
    "agno|alephalpha|anthropic|bedrock|cohere|crewai|google_generativeai|groq|haystack|langchain|llamaindex",
    "|mistralai|ollama|openai|openai_agents|openai_v2|replicate|sagemaker|together|transformers|vertexai|voyageai",
    r#"|watsonx|writer))(?:[.]|$)") or IsMatch(Concat(Keys(span.attributes), "\n"), "#,
    r#""(?m)^(?:gen_ai[.]|langfuse[.]|openinference[.]span[.]kind$|llm[.]|traceloop[.]span[.]kind$)"))"#
);

/// The rules of a preset.
pub fn of(name: &str) -> Option<Group> {
    let statements = match name {
        "llm_only" => vec![LLM_ONLY.to_owned()],
        _ => return None,
    };
    Some(Group { name: Some(name.to_owned()), statements, ..Group::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    #[test]
    fn every_preset_compiles() {
        for name in NAMES {
            let group = of(name).expect(name);
            Rules::compile(&[group]).unwrap_or_else(|mistakes| panic!("{name}: {}", mistakes[0]));
        }
        assert!(of("llm_onyl").is_none());
    }
}
