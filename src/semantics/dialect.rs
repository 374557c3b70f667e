//! What an upstream understands beyond OTLP, and hence what may be written for it.

/// Chosen by the configuration for the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Hash)]
pub enum Dialect {
    /// Any OTLP backend: nothing vendor-specific is written.
    #[default]
    Otel,
    /// Langfuse: `langfuse.*` attributes, `/api/public/otel`, no gRPC.
    Langfuse,
    /// InteractiveAI: Langfuse's wire, its own variables and header names.
    InteractiveAi,
}

impl Dialect {
    pub const ALL: [Self; 3] = [Self::Otel, Self::Langfuse, Self::InteractiveAi];

    /// As the configuration names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Otel => "otel",
            Self::Langfuse => "langfuse",
            Self::InteractiveAi => "interactiveai",
        }
    }

    /// Whether the server reads `langfuse.*` attributes.
    pub const fn reads_langfuse(self) -> bool {
        matches!(self, Self::Langfuse | Self::InteractiveAi)
    }
}
